// comm.wt.js: WebTransport for comm.js, and the binary form of the client protocol (PROTOCOL.md, comm/1).
//
// One module without dependencies. A page hands it to comm.js, which then tries WebTransport first:
//
//   import { connect } from './comm.js';
//   import { webTransport } from './comm.wt.js';
//   const client = connect('https://gateway/', { webTransport });
//
// comm.wt.d.ts beside this file documents every exported name.

const TYPES = {
  message: 0x01, hello: 0x02, welcome: 0x03, join: 0x04, joined: 0x05, leave: 0x06, left: 0x07, ack: 0x08, call: 0x09,
  reply: 0x0a, error: 0x0b, gap: 0x0c, ping: 0x0d, pong: 0x0e, auth: 0x0f, authed: 0x10, closing: 0x11, list: 0x12,
  presence: 0x13, close: 0x14,
};
const OPS = Object.fromEntries(Object.entries(TYPES).map(([op, type]) => [type, op]));
const LANE = 0x20; // the first frame of each unidirectional stream
const CONTENT = 3;

// The fields: key, member, and how the value is written. Members that repeat are lists or objects.
const FIELDS = [
  [1, 'id', 'text'], [2, 'type', 'text'], [CONTENT, 'content', 'content'], [4, 'content_type', 'text'], [5, 'from', 'text'], [6, 'to', 'text'],
  [7, 'timestamp', 'time'], [8, 'headers', 'pairs'], [9, 'metadata', 'json'], [10, 'ack', 'flag'], [11, 'log', 'text'],
  [12, 'epoch', 'text'], [13, 'offset', 'number'], [14, 'group', 'text'], [15, 'target', 'text'], [16, 'token', 'text'],
  [17, 'position', 'text'], [18, 'version', 'number'], [19, 'session', 'text'], [20, 'metadata', 'pairs'], [21, 'code', 'text'],
  [22, 'message', 'text'], [23, 'reconnect', 'flag'], [24, 'after', 'number'], [25, 'conn', 'text'], [26, 'user', 'text'],
  [27, 'node', 'text'], [28, 'heartbeat', 'number'], [29, 'max_message', 'number'], [30, 'resumed', 'flag'], [31, 'expires', 'time'],
  [32, 'from', 'number'],
];
const GROUP = 14;
const FACT = 20; // the metadata of a hello
const FIRST = 32; // where a gap begins; its end is in the field of offsets
const BY_KEY = new Map(FIELDS.map(([key, name, kind]) => [key, { name, kind }]));

// The keys that a frame has a use for; others mean nothing in it.
const LOG = [11, 12, 13];
const MESSAGE = [1, 2, CONTENT, 4, 5, 6, 7, 8, 9];
const USES = {
  message: [...MESSAGE, 10, ...LOG], hello: [1, GROUP, 16, 17, 18, 19, FACT], welcome: [18, 19, 25, 26, 27, 28, 29, 30, 31],
  join: [1, GROUP, 17], joined: [1, ...LOG, GROUP], leave: [1, GROUP], left: [1, ...LOG, GROUP], ack: [1], call: MESSAGE,
  reply: [1, CONTENT, 4, 8], error: [1, GROUP, 21, 22], gap: [...LOG, FIRST], ping: [1], pong: [1], auth: [1, 16],
  authed: [1, 31], closing: [1, 21, 22, 23, 24], list: [1, 15], presence: [1, GROUP], close: [1, 15],
};

const utf8 = new TextEncoder();
const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What breaks the form of a frame. */
export class FormError extends Error {
  name = 'FormError';
}

/** Encodes a frame, as it stands in JSON, in its binary form. */
export function encode(frame) {
  const op = frame.op ?? 'message';
  const type = TYPES[op];
  if (type === undefined) throw new FormError(`op ${op}: allowed are ${Object.keys(TYPES).join(', ')}`);
  const w = new Writer();
  for (const [key, name, kind] of FIELDS) {
    if (key === CONTENT || !USES[op].includes(key)) continue;
    const value = op === 'hello' && key === GROUP ? frame.groups : op === 'gap' && key === 13 ? frame.to : frame[name];
    if (value === undefined || value === null || value === '' || value === false || (key === 13 && value === 0)) continue;
    for (const one of Array.isArray(value) ? value : [value]) w.field(key, kind, one);
  }
  if (frame.content !== undefined && frame.content !== null) w.bytes(CONTENT, contentBytes(frame.content, frame.content_type));
  const payload = w.done();
  const head = new Writer();
  head.varint(type);
  head.varint(payload.length);
  return concat([head.done(), payload]);
}

/**
 * Decodes the frame at the beginning of bytes: {frame, size}, null where it is not whole yet. A frame of a type that
 * is not known has the op `unknown`; the beginning of a lane `lane`. max bounds the frame before it is looked at.
 */
export function decode(bytes, max = Infinity) {
  const r = new Reader(bytes);
  const type = r.varint();
  const length = r.varint();
  if (type === null || length === null) return null;
  const size = r.at + length;
  if (size > max) throw new FormError(`a frame of ${size} bytes: allowed are ${max}`);
  if (size > bytes.length) return null;
  if (type === LANE) return { frame: { op: 'lane' }, size };
  const op = OPS[type];
  if (op === undefined) return { frame: { op: 'unknown' }, size };
  return { frame: members(new Reader(bytes.subarray(r.at, size)), op), size };
}

function members(r, op) {
  const frame = op === 'message' ? {} : { op };
  let content;
  while (!r.empty) {
    const key = r.varint();
    const value = r.take(r.varint());
    if (value === null) throw new FormError('a field ends behind its frame');
    const field = BY_KEY.get(key);
    if (field === undefined || !USES[op].includes(key)) continue; // of a later version, or another frame's
    if (key === CONTENT) content = value;
    else if (field.kind === 'pairs') Object.assign((frame[field.name] ??= {}), pair(value));
    else if (op === 'hello' && key === GROUP) (frame.groups ??= []).push(text.decode(value));
    else if (op === 'gap' && key === 13) frame.to = readValue('number', value);
    else frame[field.name] = readValue(field.kind, value);
  }
  if (op === 'message' || op === 'call' || op === 'reply') frame.content = contentValue(content, frame.content_type);
  return frame;
}

function readValue(kind, value) {
  switch (kind) {
    case 'text':
      return text.decode(value);
    case 'json':
      return JSON.parse(text.decode(value));
    case 'flag':
      return true;
    case 'time':
      return readTime(new Reader(value));
  }
  const number = new Reader(value).varint();
  if (!Number.isSafeInteger(number)) throw new FormError('a field that is no number');
  return number;
}

// Seconds since 1970 in zigzag form, then nanoseconds, as RFC 3339.
function readTime(r) {
  const zigzag = r.varint();
  const nanos = r.varint();
  if (zigzag === null || nanos === null) throw new FormError('a field that is no time');
  const seconds = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  const fraction = nanos === 0 ? '' : `.${String(nanos).padStart(9, '0').replace(/0+$/, '')}`;
  return `${new Date(seconds * 1_000).toISOString().slice(0, -5)}${fraction}Z`;
}

function pair(value) {
  const r = new Reader(value);
  const name = r.take(r.varint());
  if (name === null) throw new FormError('a member without a name');
  return { [text.decode(name)]: text.decode(r.rest()) };
}

const isJSON = (type) => type === undefined || type === 'application/json';

// In JSON a frame has text as a string and other bytes as base64: so has it here.
function contentBytes(content, type) {
  if (isJSON(type)) return utf8.encode(JSON.stringify(content));
  if (type.startsWith('text/')) return utf8.encode(content);
  return Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
}

function contentValue(bytes, type) {
  if (bytes === undefined) return null;
  if (isJSON(type)) return JSON.parse(text.decode(bytes));
  if (type.startsWith('text/')) return text.decode(bytes);
  let binary = '';
  for (let i = 0; i < bytes.length; i += 0x2000) binary += String.fromCharCode(...bytes.subarray(i, i + 0x2000));
  return btoa(binary);
}

class Writer {
  #parts = [];

  done() {
    return concat(this.#parts);
  }

  // RFC 9000 16. Numbers beyond 2^53 are none that JavaScript has.
  varint(v) {
    if (!Number.isSafeInteger(v) || v < 0) throw new FormError(`${v}: allowed is a whole number from 0`);
    const size = v < 2 ** 6 ? 1 : v < 2 ** 14 ? 2 : v < 2 ** 30 ? 4 : 8;
    const b = new Uint8Array(size);
    for (let i = size - 1, rest = v; i >= 0; i--, rest = Math.floor(rest / 256)) b[i] = rest % 256;
    b[0] |= { 1: 0, 2: 0x40, 4: 0x80, 8: 0xc0 }[size];
    this.#parts.push(b);
  }

  bytes(key, b) {
    this.varint(key);
    this.varint(b.length);
    this.#parts.push(b);
  }

  field(key, kind, value) {
    if (kind === 'pairs') {
      const names = Object.keys(value).sort();
      for (const name of names) this.bytes(key, pairBytes(name, String(value[name])));
      return;
    }
    this.bytes(key, valueBytes(kind, value));
  }
}

function valueBytes(kind, value) {
  const w = new Writer();
  switch (kind) {
    case 'text':
      return utf8.encode(String(value));
    case 'json':
      return utf8.encode(JSON.stringify(value));
    case 'flag':
      return new Uint8Array(0);
    case 'time':
      writeTime(w, value);
      return w.done();
  }
  w.varint(value);
  return w.done();
}

function writeTime(w, value) {
  const m = /^(.*?)(?:\.(\d{1,9}))?Z$/.exec(value);
  const ms = m ? Date.parse(`${m[1]}Z`) : NaN;
  if (Number.isNaN(ms)) throw new FormError(`${value}: allowed is a time in RFC 3339, in UTC`);
  const seconds = ms / 1_000;
  w.varint(seconds >= 0 ? seconds * 2 : -seconds * 2 - 1);
  w.varint(Number((m[2] ?? '').padEnd(9, '0')));
}

function pairBytes(name, value) {
  const w = new Writer();
  const n = utf8.encode(name);
  w.varint(n.length);
  return concat([w.done(), n, utf8.encode(value)]);
}

class Reader {
  at = 0;

  constructor(bytes) {
    this.bytes = bytes;
  }

  get empty() {
    return this.at >= this.bytes.length;
  }

  // The next number, or null where it is not whole.
  varint() {
    const first = this.bytes[this.at];
    if (first === undefined) return null;
    const size = 1 << (first >> 6);
    if (this.at + size > this.bytes.length) return null;
    let v = first & 0x3f;
    for (let i = 1; i < size; i++) v = v * 256 + this.bytes[this.at + i];
    this.at += size;
    return v; // beyond 2^53 nearly
  }

  take(length) {
    if (length === null || this.at + length > this.bytes.length) return null;
    return this.bytes.subarray(this.at, (this.at += length));
  }

  rest() {
    return this.bytes.subarray(this.at);
  }
}

function concat(parts) {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

/** Cuts a stream of bytes into frames; each is handed to take. A frame over max bytes is a FormError. */
export class FrameReader {
  #held = new Uint8Array(0); // the beginning of a frame, with room behind it
  #size = 0;

  constructor(take, max = 16 * 2 ** 20) {
    this.take = take;
    this.max = max;
  }

  push(bytes) {
    const rest = this.#frames(this.#size > 0 ? this.#hold(bytes) : bytes);
    this.#held = rest.length === 0 ? new Uint8Array(0) : this.#size > 0 && rest.length === this.#size ? this.#held : rest.slice();
    this.#size = rest.length;
  }

  // Hands the frames of all on, and returns what is behind them.
  #frames(all) {
    for (let next; (next = decode(all, this.max)) !== null; ) {
      all = all.subarray(next.size);
      this.take(next.frame);
    }
    return all;
  }

  // Adds bytes to what is held. The room doubles, so that a large frame is not copied for each of its pieces.
  #hold(bytes) {
    const size = this.#size + bytes.length;
    if (size > this.#held.length) {
      const grown = new Uint8Array(Math.max(size, 2 * this.#held.length));
      grown.set(this.#held.subarray(0, this.#size));
      this.#held = grown;
    }
    this.#held.set(bytes, this.#size);
    this.#size = size;
    return this.#held.subarray(0, size);
  }
}

/**
 * Opens one connection for comm.js: what CommClient's option webTransport takes. up has frame(frame), heard(),
 * failed(err) for a carrier that does not work here, and closed({closeCode, reason}).
 */
export function webTransport(url, { WebTransport = globalThis.WebTransport, max, serverCertificateHashes, hello, up }) {
  return new Wire(new WebTransport(url, serverCertificateHashes && { serverCertificateHashes }), { max, hello, up });
}

// Bytes that are no frames: JSON and UTF-8 have errors of their own.
function isForm(err) {
  return err instanceof FormError || err instanceof SyntaxError || err instanceof TypeError;
}

class Wire {
  #writer = null;
  #over = false;
  #self; // the address of this connection

  constructor(transport, { max, hello, up }) {
    this.transport = transport;
    this.max = max;
    this.up = up;
    this.closed = transport.closed.then(
      (info) => this.#end(() => up.closed({ closeCode: info?.closeCode ?? 0, reason: info?.reason ?? '' })),
      (err) => this.#end(() => up.failed(err)),
    );
    this.#run(hello).catch((err) => this.#broken(err));
  }

  async #run(hello) {
    await this.transport.ready;
    const stream = await this.transport.createBidirectionalStream();
    this.#writer = stream.writable.getWriter();
    this.#writer.closed.catch(() => {}); // told by the transport's end
    await this.#writer.write(encode(hello));
    this.#lanes().catch(() => {}); // told by the transport's end
    this.#datagrams().catch(() => {});
    await this.#read(stream.readable);
  }

  // A stream that ends, or breaks the form, ends the connection: skipping a frame could lose one.
  async #read(readable, lane = false) {
    const frames = new FrameReader((frame) => this.#take(frame, lane), this.max);
    const reader = readable.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.up.heard();
      frames.push(value);
    }
  }

  #take(frame, lane) {
    if (this.#over || frame.op === 'unknown' || (lane && frame.op !== undefined)) return;
    if (frame.op === 'welcome') this.#self = `conn:${frame.conn}`;
    if (!lane && frame.op === undefined) frame.to ??= this.#self; // what is to this end alone does not say so
    this.up.frame(frame);
  }

  async #lanes() {
    const streams = this.transport.incomingUnidirectionalStreams.getReader();
    for (;;) {
      const { done, value } = await streams.read();
      if (done) return;
      this.#read(value, true).catch((err) => isForm(err) && this.#broken(err)); // else a lane that was given up
    }
  }

  async #datagrams() {
    const reader = this.transport.datagrams.readable.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.up.heard();
      const next = this.#datagram(value);
      if (next?.size === value.length) this.#take(next.frame, true);
    }
  }

  // One that is no frame is lost, as any may be.
  #datagram(bytes) {
    try {
      return decode(bytes, this.max);
    } catch {
      return null;
    }
  }

  // The transport's own end says more, where it comes; but not for bytes that were no frames.
  #broken(err) {
    const form = isForm(err);
    if (form) this.#end(() => this.up.failed(err));
    else setTimeout(() => this.#end(() => this.up.failed(err)), 500);
    if (form) this.close(1002, 'not a frame');
  }

  #end(tell) {
    if (this.#over) return;
    this.#over = true;
    tell();
  }

  /** Sends a frame; settles when the transport has taken it. */
  async send(frame) {
    if (this.#over || this.#writer === null) throw new Error('the connection is closing');
    await this.#writer.write(encode(frame));
  }

  /** Ends in good order: the server closes what this end no longer writes to. */
  async goodbye() {
    this.#over = true;
    await this.#writer?.close();
    await this.closed;
  }

  close(closeCode = 0, reason = '') {
    this.#over = true;
    try {
      this.transport.close({ closeCode, reason });
    } catch {
      // it never stood
    }
  }
}
