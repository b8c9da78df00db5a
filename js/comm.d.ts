// Types and documentation of comm.js, the client of a comm gateway. Durations are milliseconds.

/** Starts a client for the gateway at `url`, whose endpoints are `wt`, `ws`, `events` and `poll` below it. */
export function connect(url: string, options?: Options): CommClient;

/** The carriers: WebTransport, WebSocket, Server-Sent Events with POST, long polling. */
export type Carrier = 'wt' | 'ws' | 'sse' | 'poll';

export interface Options {
  /** Addresses of the carriers; relative ones are resolved against the page. At least one is needed. */
  wt?: string;
  ws?: string;
  sse?: string;
  poll?: string;
  /**
   * Which carriers to use, in which order. Default: wt, ws, sse, poll. wt is left out where there is no
   * option webTransport, no WebTransport in the browser, or no https address.
   */
  carriers?: Carrier[];
  /**
   * Credentials: a string, or a function that fetches them. It is called before the first attempt
   * (`connect`), before the identity ends (`expiring`), after it ended (`expired`), when the server
   * refused (`unauthenticated`; once, then the client closes) and by refresh() (`refresh`). An empty
   * answer means anonymous. If it fails, the client waits and tries again.
   */
  token?: string | ((ask: { reason: TokenReason }) => string | null | undefined | Promise<string | null | undefined>);
  /** Groups to join with the first hello. A refused one is reported to onError, with `group`. */
  groups?: string[];
  /** Shown on the connection: at most 16 members and 2 KiB. */
  metadata?: Record<string, string>;
  /** A session and a position to go on from, for example kept over a reload of the page. */
  session?: string;
  position?: string | Position;
  /** How long a request waits for its answer. Default 30,000. */
  timeout?: number;
  /** How long a carrier may take until welcome, and the token callback to answer. Default 10,000. */
  connectTimeout?: number;
  /**
   * On WebSocket, where the server names no heartbeat: how long the line may be silent before the
   * client asks with a ping frame, since JavaScript cannot see WebSocket's own pings. 2.5 times that
   * long in silence the connection counts as lost. 0 turns it off. Default 25,000.
   */
  keepalive?: number;
  /** How long one long poll waits. Default 25,000; the server allows 30,000 at most. */
  wait?: number;
  /** The most requests that may wait for an answer. Default 1,000. */
  maxPending?: number;
  /** The largest event that is read from a stream, in characters. Default 16 Mi. */
  maxFrame?: number;
  /** The most bytes that may wait to be sent. Default 16 MiB. */
  maxBuffered?: number;
  /** The most requests that wait while not connected. Default 0: they are refused with `offline`. */
  queue?: number;
  /** Bounds of the wait before the client returns. Default 500 and 30,000. */
  backoff?: { base?: number; max?: number };
  /** Passed to fetch. Default same-origin. */
  credentials?: RequestCredentials;
  /** Whether the constructor connects. Default true. */
  autoConnect?: boolean;
  /** What comm.wt.js exports under this name: WebTransport is then tried before all others. */
  webTransport?: unknown;
  /** For WebTransport: SHA-256 of certificates to trust without an authority. */
  serverCertificateHashes?: { algorithm: 'sha-256'; value: BufferSource }[];
  /** What to use in place of the globals: Node before 22 has no WebSocket of its own. */
  WebSocket?: unknown;
  WebTransport?: unknown;
  fetch?: typeof fetch;
  /** A source of numbers from 0 to below 1. Default Math.random. */
  random?: () => number;
}

export type TokenReason = 'connect' | 'expiring' | 'expired' | 'unauthenticated' | 'refresh';

/**
 * - connecting: an attempt is under way.
 * - connected: welcome. resumed says whether the earlier session goes on.
 * - waiting: the connection ended with code, and the client returns after `after` (or sooner, when
 *   the browser comes back online).
 * - closed: for good: by close(), or because the server said not to return. connect() starts anew.
 *
 * code is a closing code of PROTOCOL.md, `lost`, `bad_frame`, or `token` (the callback failed).
 */
export type State =
  | { state: 'connecting' }
  | { state: 'connected'; carrier: Carrier; conn: string; user?: string; node?: string; resumed: boolean }
  | { state: 'waiting'; code: string; message: string; after: number }
  | { state: 'closed'; code: string; message: string };

/** A message as it came. content is decoded by contentType: JSON, text, or bytes. */
export interface Message<T = unknown> {
  id?: string;
  type: string;
  content: T;
  contentType?: string;
  /** Who sent it, as the server knows them. */
  from?: string;
  to?: string;
  timestamp?: string;
  headers: Record<string, string>;
  metadata: Record<string, unknown>;
  /** Where a logged message stands. */
  log?: string;
  epoch?: string;
  offset?: number;
}

/** Offsets from..to of a log are lost for this client. Without `to` nobody knows how much of an older epoch was. */
export interface Gap {
  log: string;
  epoch: string;
  from: number;
  to?: number;
}

/** One connection in the answer of list. */
export interface ConnInfo {
  id: string;
  provider: string;
  user?: string;
  groups?: string[];
  labels?: Record<string, string>;
  metadata?: Record<string, string>;
  since: string;
}

export interface RequestOptions {
  /** Default: the client's timeout. */
  timeout?: number;
  signal?: AbortSignal;
}

export interface MessageOptions extends RequestOptions {
  /** An address: `conn:ID`, `user:NAME`, `group:NAME` or `all`. Absent: the server's handler of the type. */
  to?: string;
  headers?: Record<string, string>;
  metadata?: Record<string, unknown>;
  /** Default: JSON, or application/octet-stream for an ArrayBuffer or a view. */
  contentType?: string;
}

export interface SendOptions extends MessageOptions {
  id?: string;
  /** Wait until the receiver has handled the message. */
  ack?: boolean;
}

/**
 * A client that stays connected: it falls back from carrier to carrier, returns after a cut with
 * full jitter, resumes its session, and goes on from its position, so that what its groups keep in
 * their logs arrives once and in order, or as an announced gap.
 *
 * A carrier that was welcome once is kept; the others get their turn when it failed twice in a row.
 *
 * Every promise rejects with a CommError.
 */
export class CommClient {
  constructor(options: Options);

  readonly state: State['state'];
  /** The last state with its details. */
  readonly reason: State;
  /** The carrier, connection id and user while connected, else ''. */
  readonly carrier: Carrier | '';
  readonly conn: string;
  readonly user: string;
  /** The session's secret, to resume with. */
  readonly session: string;
  /** The position in its text form, to resume with. */
  readonly position: string;
  /** The groups that this connection is in. */
  readonly groups: string[];

  /** Starts, or starts again after closed. The constructor does it unless autoConnect is false. */
  connect(): void;
  /** Resolves when connected, at once if it is; rejects when closed. */
  ready(): Promise<void>;
  /** Says goodbye and stays away. Waiting requests are rejected. Resolves when the goodbye was said, within 2 s. */
  close(): Promise<void>;

  /**
   * Joins a group and stays in it over reconnects until leave, or until the server puts the client
   * out. Also waits for the next connection. After `timeout` it rejects, but the group stays wanted.
   * log is absent where the group keeps no history. position asks for what the log holds behind it:
   * `group:lobby@0:0` reads all that the server still keeps.
   */
  join(group: string, options?: RequestOptions & { position?: string | Position }): Promise<{ group: string; log?: string }>;
  leave(group: string, options?: RequestOptions): Promise<void>;

  /**
   * Sends a message. Resolves when the carrier took it, with `ack` when the receiver handled it.
   * Without `ack` an error of the server comes later, to onError, with the message's id.
   */
  send(type: string, content?: unknown, options?: SendOptions): Promise<{ id: string }>;
  /** Sends a message and waits for the reply's content. */
  call<T = unknown>(type: string, content?: unknown, options?: MessageOptions): Promise<T>;
  /** Who is in a group. */
  presence(group: string, options?: RequestOptions): Promise<{ user: string; conns: number; since: string }[]>;
  /** The connections that an address reaches, at most 1,000. */
  list(target: string, options?: RequestOptions): Promise<ConnInfo[]>;
  /** Closes another connection, by its id or `conn:ID`. */
  closeConn(target: string, options?: RequestOptions): Promise<void>;
  /** Asks for a pong and gives the round trip. */
  ping(options?: RequestOptions): Promise<number>;
  /** Fetches a token now and renews the identity in place. */
  refresh(): Promise<void>;

  /**
   * Calls handler for every message of a type, or of all types with '*', in the order of arrival. A
   * message that wants an acknowledgement gets it when every handler has resolved, and an error when
   * one threw. Returns a function that removes the handler.
   */
  on<T = any>(type: string, handler: (message: Message<T>) => unknown): () => void;
  /**
   * Answers calls of a type with what handler gives. A CommError that it throws is the answer; of
   * any other error the caller learns only the code `internal`. One handler a type.
   */
  onCall<T = any>(type: string, handler: (content: T, message: Message<T>) => unknown): () => void;

  /** Listeners. Each returns a function that removes it. */
  onState(listener: (state: State) => void): () => void;
  onGap(listener: (gap: Gap) => void): () => void;
  /** The client is in a group, or no longer. */
  onGroup(listener: (event: { group: string; joined: boolean }) => void): () => void;
  /** Errors that no promise carries; without a listener they go to the console. */
  onError(listener: (error: Error) => void): () => void;
}

/**
 * Why a request failed. code is an error code of PROTOCOL.md, or one of this module's own:
 * - offline: not connected, and no place in the queue
 * - disconnected: the connection ended before the answer; whether the server acted is unknown
 * - closed: the client is closed
 * - aborted: by the signal, or a join by leave
 * - token: the token callback failed
 * - timeout, limit, too_large, bad_message: also found here, before anything is sent
 */
export class CommError extends Error {
  constructor(code: string, message?: string, options?: ErrorOptions);
  readonly name: 'CommError';
  readonly code: string;
  /** Of the frame that failed, on errors given to onError. */
  id?: string;
  /** Of a refused join. */
  group?: string;
}

/** How far a client has read: one epoch and offset a log. */
export class Position {
  /** Parses the text form `log@epoch:offset,...`; throws a CommError bad_position. */
  static parse(text: string): Position;
  readonly size: number;
  get(log: string): { epoch: string; offset: number } | undefined;
  set(log: string, epoch: string, offset: number): void;
  delete(log: string): boolean;
  /** The names of the logs, sorted as bytes. */
  logs(): string[];
  /** The text form of one log, or ''. */
  entry(log: string): string;
  /** Applies a frame from the server; reports whether anything changed. */
  observe(frame: object): boolean;
  /** The canonical text form. */
  toString(): string;
}

/** An event of a stream. */
export interface SSEEvent {
  type: string;
  data: string;
  lastEventId: string;
}

/** Parses an event stream (WHATWG HTML 9.2) from bytes that are cut anywhere. */
export class SSEParser {
  constructor(on: {
    event?: (event: SSEEvent) => void;
    comment?: (text: string) => void;
    retry?: (ms: number) => void;
    /** The largest event, in characters; push throws a CommError too_large beyond it. */
    max?: number;
  });
  readonly lastEventId: string;
  push(bytes: Uint8Array): void;
}

/** A random wait before attempt n, counted from 0: below min(max, base * 2^n). */
export function backoff(n: number, bounds?: { base: number; max: number }, random?: () => number): number;
