// Types and documentation of comm.wt.js: WebTransport for comm.js.

/** What CommClient's option `webTransport` takes: opens one connection. Call it only to wrap it. */
export function webTransport(url: string, options: WireOptions): Wire;

export interface WireOptions {
  /** What to use in place of the global. */
  WebTransport?: unknown;
  /** SHA-256 of certificates that are trusted without an authority: ECDSA, valid for at most 14 days. */
  serverCertificateHashes?: { algorithm: 'sha-256'; value: BufferSource }[];
  /** The largest frame that is taken, in bytes. Default 16 MiB. */
  max?: number;
  /** The first frame. */
  hello: Frame;
  up: {
    frame(frame: Frame): void;
    /** Something has come. */
    heard(): void;
    /** The carrier does not work here, or is lost. */
    failed(err: Error): void;
    /** The server has closed: a closing code of PROTOCOL.md. */
    closed(info: { closeCode: number; reason: string }): void;
  };
}

export interface Wire {
  send(frame: Frame): Promise<void>;
  goodbye(): Promise<void>;
  close(closeCode?: number, reason?: string): void;
}

/** A frame as it stands in JSON (PROTOCOL.md). */
export type Frame = Record<string, unknown>;

/** Encodes a frame in its binary form (PROTOCOL.md, comm/1). */
export function encode(frame: Frame): Uint8Array;

/** Decodes the frame at the beginning of bytes; null where it is not whole yet. */
export function decode(bytes: Uint8Array, max?: number): { frame: Frame; size: number } | null;

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  constructor(take: (frame: Frame) => void, max?: number);
  push(bytes: Uint8Array): void;
}

/** What breaks the form of a frame. */
export class FormError extends Error {}
