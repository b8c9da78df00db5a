// comm.js: the client of a comm gateway, for browsers and Node 20 or newer.
//
// One module without dependencies. It speaks version 1 of the client protocol (PROTOCOL.md) over
// WebSocket, else Server-Sent Events with POST, else long polling, returns by itself after a cut,
// and goes on where it stopped. With comm.wt.js it tries WebTransport before all others. comm.d.ts
// beside this file documents every exported name.

const VERSION = 1;
const SUBPROTOCOL = 'comm.v1.json';
const KiB = 1024;
const MAX_TIMER = 2 ** 31 - 1; // setTimeout fires at once beyond it
const STABLE = 10_000; // a connection that lasts this long resets the backoff
const LATER = 5_000; // the least wait after rate_limited
const REDIALS = 2; // attempts with the carrier that worked before the others are tried again

const DEFAULTS = {
  carriers: ['wt', 'ws', 'sse', 'poll'],
  groups: [],
  timeout: 30_000,
  connectTimeout: 10_000,
  keepalive: 25_000,
  wait: 25_000,
  maxPending: 1_000,
  maxFrame: 16 * KiB * KiB,
  maxBuffered: 16 * KiB * KiB,
  queue: 0,
  backoff: { base: 500, max: 30_000 },
  credentials: 'same-origin',
  random: Math.random,
  autoConnect: true,
};

/** Why a request failed, or a connection. The code is one of PROTOCOL.md or one of comm.d.ts. */
export class CommError extends Error {
  constructor(code, message, options) {
    super(message || code, options);
    this.name = 'CommError';
    this.code = code;
  }
}

/** Starts a client for the gateway at url, whose endpoints are wt, ws, events and poll below it. */
export function connect(url, options = {}) {
  const at = (path) => new URL(path, new URL(url.endsWith('/') ? url : url + '/', base())).href;
  return new CommClient({ wt: at('wt'), ws: at('ws'), sse: at('events'), poll: at('poll'), ...options });
}

/** The longest wait before attempt n (from 0) is min(max, base * 2^n); the wait is random below it. */
export function backoff(n, { base, max } = DEFAULTS.backoff, random = Math.random) {
  return random() * Math.min(max, base * 2 ** Math.min(n, 30));
}

// ---------------------------------------------------------------------------------------------
// Positions
// ---------------------------------------------------------------------------------------------

/** How far a client has read: one epoch and offset a log. It is empty at first. */
export class Position {
  #logs = new Map();

  static parse(text) {
    const p = new Position();
    for (const entry of text ? text.split(',') : []) {
      const m = /^((?:[A-Za-z0-9._\-/:]|%[0-9A-F]{2})+)@([0-9a-z.]{1,32}):(0|[1-9]\d*)$/.exec(entry);
      const log = m && unescapeLog(m[1]);
      if (!log || escapeLog(log) !== m[1] || p.#logs.has(log)) {
        throw new CommError('bad_position', `position entry ${JSON.stringify(entry)}: allowed is log@epoch:offset, once a log`);
      }
      p.set(log, m[2], Number(m[3]));
    }
    return p;
  }

  get size() {
    return this.#logs.size;
  }

  get(log) {
    return this.#logs.get(log);
  }

  set(log, epoch, offset) {
    this.#logs.set(log, { epoch, offset });
  }

  delete(log) {
    return this.#logs.delete(log);
  }

  logs() {
    return [...this.#logs.keys()].sort(byBytes);
  }

  /** Applies a frame that came from the server; reports whether anything changed. */
  observe(frame) {
    const { op = 'message', log, epoch } = frame;
    if (!log) return false;
    switch (op) {
      case 'joined':
        this.set(log, epoch, frame.offset ?? 0);
        return true;
      case 'left':
        return this.delete(log);
      case 'message':
        return this.#advance(log, epoch, frame.offset ?? 0);
      case 'gap':
        // One without an end tells of an epoch that is over; joined has set the place in the new one.
        return frame.to !== undefined && this.#advance(log, epoch, frame.to);
    }
    return false;
  }

  // Only joined adds a log, and inside one epoch an offset never goes back.
  #advance(log, epoch, offset) {
    const at = this.#logs.get(log);
    if (!at || (at.epoch === epoch && at.offset >= offset)) return false;
    this.set(log, epoch, offset);
    return true;
  }

  /** The text form of one log's entry, or ''. */
  entry(log) {
    const at = this.#logs.get(log);
    return at ? `${escapeLog(log)}@${at.epoch}:${at.offset}` : '';
  }

  /** The canonical text form. */
  toString() {
    return this.logs().map((log) => this.entry(log)).join(',');
  }
}

const utf8 = new TextEncoder();

function escapeLog(log) {
  let out = '';
  for (const b of utf8.encode(log)) {
    const c = String.fromCharCode(b);
    out += /[A-Za-z0-9._\-/:]/.test(c) ? c : '%' + b.toString(16).toUpperCase().padStart(2, '0');
  }
  return out;
}

function unescapeLog(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null; // the bytes are not UTF-8
  }
}

// Sorts as bytes of UTF-8 would: JavaScript compares UTF-16 units, which puts U+10000 before U+FFFD.
function byBytes(a, b) {
  const x = utf8.encode(a);
  const y = utf8.encode(b);
  for (let i = 0; i < x.length && i < y.length; i++) {
    if (x[i] !== y[i]) return x[i] - y[i];
  }
  return x.length - y.length;
}

// ---------------------------------------------------------------------------------------------
// Server-Sent Events
// ---------------------------------------------------------------------------------------------

/** Parses an event stream (WHATWG HTML 9.2) from bytes that are cut anywhere. */
export class SSEParser {
  #decoder = new TextDecoder(); // drops one byte order mark at the start
  #rest = '';
  #skipLF = false; // the last chunk ended with CR, whose LF may begin this one
  #data = [];
  #size = 0;
  #event = '';
  #id = '';

  constructor({ event, comment, retry, max = DEFAULTS.maxFrame }) {
    this.on = { event, comment, retry };
    this.max = max;
    this.lastEventId = '';
  }

  push(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (this.#skipLF && text) {
      if (text[0] === '\n') text = text.slice(1);
      this.#skipLF = false;
    }
    const end = /\r\n|\r|\n/g;
    let from = 0;
    for (let m; (m = end.exec(text)); from = end.lastIndex) {
      this.#skipLF = m[0] === '\r' && end.lastIndex === text.length;
      const line = this.#rest + text.slice(from, m.index);
      this.#rest = '';
      this.#line(line);
    }
    this.#rest += text.slice(from);
    if (this.#rest.length + this.#size > this.max) {
      throw new CommError('too_large', `event over ${this.max} characters`);
    }
  }

  #line(line) {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return this.on.comment?.(line.slice(1));
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value[0] === ' ') value = value.slice(1);
    switch (field) {
      case 'data':
        this.#data.push(value);
        this.#size += value.length + 1;
        break;
      case 'event':
        this.#event = value;
        break;
      case 'id':
        if (!value.includes('\0')) this.#id = value;
        break;
      case 'retry':
        if (/^\d+$/.test(value)) this.on.retry?.(Number(value));
    }
  }

  // The id is committed even where there is no data to dispatch.
  #dispatch() {
    this.lastEventId = this.#id;
    const data = this.#data;
    const type = this.#event || 'message';
    this.#data = [];
    this.#size = 0;
    this.#event = '';
    if (data.length > 0) this.on.event?.({ type, data: data.join('\n'), lastEventId: this.#id });
  }
}

// ---------------------------------------------------------------------------------------------
// Carriers. A link is one connection: it says hello, hands frames up, and ends once.
//
// An outcome says how a link ended: code, message, reconnect (whether to return), after (ms), and
// fallback (whether the carrier itself failed, so that the next one is worth a try).
// ---------------------------------------------------------------------------------------------

// Close codes that mean: do not return. PROTOCOL.md, "Why a connection ends"; 1003 and 1010 are
// as permanent as 1002 (RFC 6455 7.4.1).
const CLOSE_CODES = {
  1000: ['normal', false],
  1001: ['drain', true],
  1002: ['protocol_error', false],
  1003: ['protocol_error', false],
  1007: ['invalid_data', false],
  1008: ['unauthorized', false],
  1009: ['too_large', false],
  1010: ['protocol_error', false],
  1011: ['internal', true],
  1013: ['try_later', true],
  4000: ['superseded', false],
  4001: ['kicked', false],
  4002: ['slow_consumer', true],
  4003: ['expired', true],
  4004: ['heartbeat', true],
  4005: ['rate_limited', true],
};

// Errors before welcome after which the connection certainly ends.
const DECISIVE = new Set(['unauthenticated', 'unsupported_version', 'session_revoked']);

const lost = (message, fallback = true) => ({ code: 'lost', message, reconnect: true, after: 0, fallback });

class Link {
  #ended = false;

  constructor(env, url, up) {
    this.env = env; // the client's options, and token()
    this.url = url;
    this.up = up; // {frame, heard, end}
  }

  get ended() {
    return this.#ended;
  }

  receive(text) {
    if (this.#ended) return;
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      frame = null;
    }
    if (frame === null || typeof frame !== 'object' || Array.isArray(frame)) {
      // Skipping it could move the position past a message, so the link ends and resumes.
      return this.end({ ...lost('the server sent what is not a frame', false), code: 'bad_frame' });
    }
    this.deliver(frame);
  }

  deliver(frame) {
    if (!this.#ended) this.up.frame(frame);
  }

  heard() {
    if (!this.#ended) this.up.heard();
  }

  end(outcome) {
    if (this.#ended) return;
    this.#ended = true;
    this.up.end(outcome);
  }

  // Cuts the connection without a word.
  kill() {
    this.#ended = true;
  }
}

class WebSocketLink extends Link {
  open(hello) {
    const ws = (this.ws = new this.env.WebSocket(this.url.replace(/^http/i, 'ws'), [SUBPROTOCOL]));
    const token = this.env.token();
    ws.onopen = () => ws.send(JSON.stringify(token ? { ...hello, token } : hello));
    ws.onmessage = ({ data }) => {
      this.heard();
      if (typeof data === 'string') this.receive(data);
      else this.end({ ...lost('the server sent a binary frame', false), code: 'bad_frame' });
    };
    ws.onerror = () => {}; // close follows and says more
    ws.onclose = ({ code, reason }) => {
      this.closed?.();
      const [name, reconnect] = CLOSE_CODES[code] ?? ['lost', true];
      this.end({ code: name, message: reason || `websocket closed with ${code}`, reconnect, after: 0, fallback: code === 1006 });
    };
  }

  async send(text) {
    if (this.ws.readyState !== 1) throw new CommError('disconnected', 'the connection is closing');
    if (this.ws.bufferedAmount + text.length > this.env.maxBuffered) {
      throw new CommError('limit', `more than maxBuffered (${this.env.maxBuffered} bytes) are waiting to be sent`);
    }
    this.ws.send(text);
  }

  async goodbye() {
    super.kill();
    const closed = new Promise((resolve) => (this.closed = resolve));
    this.ws.close(1000);
    await within(closed, 2_000);
  }

  kill() {
    super.kill();
    const { ws } = this;
    if (!ws) return;
    ws.onopen = ws.onmessage = ws.onclose = null;
    ws.close();
  }
}

// WebTransport, by the option webTransport: what comm.wt.js exports under that name.
class WebTransportLink extends Link {
  #buffered = 0;

  open(hello) {
    const { env } = this;
    const token = env.token();
    const up = {
      frame: (frame) => this.deliver(frame),
      heard: () => this.heard(),
      failed: (err) => this.end(lost(`webtransport: ${err.message}`)),
      closed: ({ closeCode, reason }) => {
        const [code, reconnect] = CLOSE_CODES[closeCode] ?? ['lost', true];
        this.end({ code, message: reason || `webtransport closed with ${closeCode}`, reconnect, after: 0, fallback: false });
      },
    };
    const { WebTransport, serverCertificateHashes, maxFrame: max } = env;
    this.wire = env.webTransport(this.url, { WebTransport, serverCertificateHashes, max, hello: token ? { ...hello, token } : hello, up });
  }

  async send(text) {
    if (this.#buffered + text.length > this.env.maxBuffered) {
      throw new CommError('limit', `more than maxBuffered (${this.env.maxBuffered} bytes) are waiting to be sent`);
    }
    this.#buffered += text.length;
    try {
      await this.wire.send(JSON.parse(text));
    } catch (err) {
      throw new CommError('disconnected', `sending failed: ${err.message}`, { cause: err });
    } finally {
      this.#buffered -= text.length;
    }
  }

  async goodbye() {
    super.kill();
    await within(this.wire.goodbye(), 2_000).catch(() => {}); // the server will miss us by itself
    this.wire.close();
  }

  kill() {
    super.kill();
    this.wire?.close();
  }
}

// What SSE and polling share: requests with credentials, and frames upward in batches by POST.
class HttpLink extends Link {
  #open = new Set();
  #outbox = [];
  #buffered = 0;
  #posting = false;
  #batch = 64;

  deliver(frame) {
    if (frame.op === 'welcome') {
      this.conn = frame.conn;
      this.session = frame.session;
      this.maxBody = Math.min(frame.max_message || KiB * KiB, 256 * KiB);
    }
    super.deliver(frame);
  }

  // Sends one request. use gets the response and must read the body; kill cuts both.
  async request(method, { url = this.url, headers, body, timeout, keepalive }, use) {
    const abort = new AbortController();
    this.#open.add(abort);
    const timer = timeout && setTimeout(() => abort.abort(), timeout);
    try {
      const token = this.env.token();
      const all = { ...headers };
      if (body !== undefined) all['Content-Type'] = 'application/json';
      if (token) all.Authorization = `Bearer ${token}`;
      const { credentials } = this.env;
      const init = { method, headers: all, body, keepalive, credentials, cache: 'no-store', signal: abort.signal };
      return await use(await this.env.fetch(url, init));
    } finally {
      clearTimeout(timer);
      this.#open.delete(abort);
    }
  }

  // Waits, but not beyond the end.
  pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.unpause = () => (clearTimeout(timer), resolve());
    });
  }

  names() {
    return { 'Comm-Connection': this.conn, 'Comm-Session': this.session };
  }

  send(text) {
    const bytes = byteLength(text);
    if (this.#buffered + bytes > this.env.maxBuffered || this.#outbox.length >= this.env.maxPending) {
      return Promise.reject(new CommError('limit', 'too many frames are waiting to be sent'));
    }
    this.#buffered += bytes;
    return new Promise((resolve, reject) => {
      this.#outbox.push({ text, bytes, resolve, reject });
      this.#post();
    });
  }

  // One POST at a time keeps the order; what gathers meanwhile goes together in the next.
  async #post() {
    if (this.#posting) return;
    this.#posting = true;
    while (this.#outbox.length > 0 && !this.ended) {
      const batch = this.#take();
      const body = batch.length === 1 ? batch[0].text : `[${batch.map((f) => f.text).join(',')}]`;
      const opts = { headers: this.names(), body, timeout: this.env.timeout };
      try {
        await this.request('POST', opts, async (res) => this.#posted(batch, res.status, await problem(res)));
      } catch (err) {
        const gone = new CommError('disconnected', `sending failed: ${err.message}`, { cause: err });
        for (const f of batch) f.reject(gone);
        this.end(lost(gone.message));
      }
    }
    this.#posting = false;
  }

  #take() {
    let n = 0;
    let bytes = 2;
    while (n < this.#outbox.length && n < this.#batch && (n === 0 || bytes + this.#outbox[n].bytes < this.maxBody)) {
      bytes += this.#outbox[n++].bytes + 1;
    }
    const batch = this.#outbox.splice(0, n);
    for (const f of batch) this.#buffered -= f.bytes;
    return batch;
  }

  #posted(batch, status, error) {
    if (status >= 200 && status < 300) {
      for (const f of batch) f.resolve();
      return;
    }
    if (status === 413 && batch.length > 1) {
      this.#batch = 1; // the body was too large, perhaps no frame is
      return this.#again(batch);
    }
    const err = new CommError(error.code || STATUS_CODES[status] || 'internal', error.message || `the server answered ${status}`);
    const at = status === 400 && error.id ? batch.findIndex((f) => JSON.parse(f.text).id === error.id) : -1;
    if (at >= 0) {
      // What stands before the bad frame was taken, nothing behind it was.
      for (const f of batch.slice(0, at)) f.resolve();
      batch[at].reject(err);
      return this.#again(batch.slice(at + 1));
    }
    for (const f of batch) f.reject(err);
    if (status === 401) this.end({ ...lost('the credentials were refused', false), code: 'expired' });
    else if (status === 403 || status === 404 || status === 410) this.end(lost(err.message, false));
  }

  #again(frames) {
    for (const f of frames) this.#buffered += f.bytes;
    this.#outbox.unshift(...frames);
  }

  async goodbye() {
    super.kill();
    const opts = { headers: this.names(), keepalive: true, timeout: 2_000 };
    try {
      await this.request('DELETE', opts, (res) => res.text());
    } catch {
      // The server will miss us by itself.
    }
    this.kill();
  }

  kill() {
    super.kill();
    for (const abort of this.#open) abort.abort();
    this.unpause?.();
    const gone = new CommError('disconnected', 'the connection ended');
    for (const f of this.#outbox.splice(0)) f.reject(gone);
  }
}

class SSELink extends HttpLink {
  async open(hello) {
    const opts = { headers: { Accept: 'text/event-stream' }, body: JSON.stringify(hello) };
    try {
      await this.request('POST', opts, (res) => this.#read(res));
    } catch (err) {
      this.end(lost(err.message));
    }
  }

  async #read(res) {
    if (res.status !== 200 || !/^text\/event-stream\b/i.test(res.headers.get('Content-Type') ?? '')) {
      return this.end(await refusal(res));
    }
    const parser = new SSEParser({ event: (e) => this.receive(e.data), max: this.env.maxFrame });
    const reader = res.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return this.end(lost('the stream ended'));
      this.heard();
      parser.push(value);
    }
  }
}

class PollLink extends HttpLink {
  #cursor = '';

  async open(hello) {
    try {
      const opts = { body: JSON.stringify(hello), timeout: this.env.connectTimeout };
      await this.request('POST', opts, (res) => this.#answer(res));
      let failed = 0;
      while (!this.ended) failed = await this.#poll(failed);
    } catch (err) {
      this.end(lost(err.message));
    }
  }

  // An answer that was lost is repeated by the next poll, whose cursor is still the old one: a
  // failed poll loses nothing as long as the connection is polled again within its 45 s.
  async #poll(failed) {
    const { wait } = this.env;
    const url = new URL(this.url);
    url.searchParams.set('conn', this.conn);
    url.searchParams.set('cursor', this.#cursor);
    url.searchParams.set('wait', wait);
    const opts = { url: url.href, headers: { 'Comm-Session': this.session }, timeout: wait + 10_000 };
    const began = Date.now();
    try {
      await this.request('GET', opts, async (res) => {
        if (res.status >= 500) throw new Error(`the server answered ${res.status}`);
        await this.#answer(res);
      });
    } catch (err) {
      if (failed >= 4 || this.ended) throw err;
      await this.pause(backoff(failed + 1, undefined, this.env.random));
      return failed + 1;
    }
    if (Date.now() - began < 20) await this.pause(20); // a server that answers at once must not make us spin
    return 0;
  }

  async #answer(res) {
    if (res.status === 204 && this.conn) return this.heard();
    if (res.status === 410 || (res.status === 404 && this.conn)) return this.end(lost('the connection is gone', false));
    if (res.status === 401 && this.conn) return this.end({ ...lost('the credentials were refused', false), code: 'expired' });
    if (res.status !== 200) return this.end(await refusal(res));
    const answer = await res.json();
    if (!Array.isArray(answer.frames)) return this.end(lost('the answer holds no frames'));
    this.heard();
    this.#cursor = String(answer.cursor);
    for (const frame of answer.frames) this.deliver(frame);
    if (!this.conn && !this.ended) this.end(lost('the answer holds no welcome'));
  }
}

const LINKS = { wt: WebTransportLink, ws: WebSocketLink, sse: SSELink, poll: PollLink };
const STATUS_CODES = { 401: 'unauthenticated', 403: 'forbidden', 404: 'not_found', 413: 'too_large', 429: 'rate_limited', 503: 'limit' };

// The error frame or RFC 9457 problem in a refusing answer.
async function problem(res) {
  const text = (await res.text()).slice(0, 64 * KiB);
  try {
    const body = JSON.parse(text) ?? {};
    return { id: body.id, code: body.code, message: body.message || body.detail || body.title };
  } catch {
    return { message: text.slice(0, 200).trim() };
  }
}

// How a hello that was answered with another status than 200 ended.
async function refusal(res) {
  const error = await problem(res);
  const message = error.message || `the server answered ${res.status}`;
  const end = { message, reconnect: true, after: 0, fallback: false, error: error.code };
  if (res.status === 401) return { ...end, code: 'unauthorized', error: 'unauthenticated' };
  if (res.status === 403) return { ...end, code: 'unauthorized', error: error.code || 'forbidden', reconnect: false };
  const after = retryAfter(res);
  if (res.status === 429) return { ...end, code: 'rate_limited', after };
  if (res.status === 503 && after > 0) return { ...end, code: 'try_later', after };
  return { ...end, code: 'lost', fallback: !error.code };
}

// Retry-After in milliseconds (RFC 9110 10.2.3), at most five minutes.
function retryAfter(res) {
  const value = res.headers.get('Retry-After');
  if (!value) return 0;
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return Math.min(Math.max(ms || 0, 0), 300_000);
}

// ---------------------------------------------------------------------------------------------
// The client
// ---------------------------------------------------------------------------------------------

/** A client that stays connected. Its methods, options and events are described in comm.d.ts. */
export class CommClient {
  #env;
  #state = { state: 'closed', code: 'client', message: 'not started' }; // until connect
  #run = null; // the loop that keeps us connected: {stopped, wake}
  #link = null; // the link that is welcome
  #finish = null; // ends the attempt at hand
  #welcome = null;
  #worked = ''; // the carrier that was welcome last
  #rounds = 0; // rounds of attempts since a connection was stable
  #misses = 0; // rounds since a carrier was welcome
  #session = '';
  #position = new Position();
  #fresh = new Set(); // logs that were named on this connection
  #token;
  #tokenReason = 'connect';
  #tokenTimer;
  #authTries = 0;
  #wanted = new Set();
  #joined = new Set();
  #joins = new Map(); // group -> waiting joins
  #pending = new Map(); // id -> request
  #queue = []; // requests made while not connected
  #handlers = new Map();
  #callHandlers = new Map();
  #listeners = { state: new Set(), gap: new Set(), error: new Set(), group: new Set() };
  #prefix = randomPrefix();
  #seq = 0;

  constructor(options = {}) {
    const given = Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined));
    const { WebSocket, WebTransport } = globalThis;
    const env = { ...DEFAULTS, fetch: globalThis.fetch?.bind(globalThis), WebSocket, WebTransport, ...given };
    env.backoff = { ...DEFAULTS.backoff, ...options.backoff };
    for (const [name, value] of Object.entries({ ...env, ...env.backoff })) {
      const ok = typeof (DEFAULTS[name] ?? DEFAULTS.backoff[name]) !== 'number' || (typeof value === 'number' && value >= 0);
      if (!ok) throw new TypeError(`${name}: ${value}: allowed is a number from 0`);
    }
    const unknown = env.carriers.filter((name) => !Object.hasOwn(LINKS, name));
    if (unknown.length > 0) throw new TypeError(`carriers: ${unknown}: allowed are wt, ws, sse and poll`);
    const needs = { wt: env.webTransport && env.WebTransport, ws: env.WebSocket };
    const at = (name) => new URL(options[name], base()).href;
    const usable = (name) => options[name] && (name in needs ? needs[name] : env.fetch) && (name !== 'wt' || at(name).startsWith('https:'));
    env.carriers = env.carriers.filter(usable);
    const lacking = options.ws && !env.WebSocket ? '; there is no WebSocket here: give one as the option WebSocket' : '';
    if (env.carriers.length === 0) throw new TypeError(`no carrier: give at least one of the addresses wt (with webTransport), ws, sse, poll${lacking}`);
    env.urls = Object.fromEntries(env.carriers.map((name) => [name, at(name)]));
    env.source = options.token;
    env.token = () => this.#token;
    this.#env = env;
    this.#session = options.session ?? '';
    if (options.position) this.#position = Position.parse(String(options.position));
    for (const group of env.groups) this.#wanted.add(group);
    if (env.autoConnect) this.connect();
  }

  get state() {
    return this.#state.state;
  }

  get reason() {
    return this.#state;
  }

  get carrier() {
    return this.#welcome?.carrier ?? '';
  }

  get conn() {
    return this.#welcome?.conn ?? '';
  }

  get user() {
    return this.#welcome?.user ?? '';
  }

  get session() {
    return this.#session;
  }

  get position() {
    return this.#position.toString();
  }

  get groups() {
    return [...this.#joined].sort();
  }

  // --- the way in and out ---

  connect() {
    if (this.#run) return;
    const run = (this.#run = { stopped: false, wake: null });
    this.#rounds = this.#misses = this.#authTries = 0;
    this.#state = { state: 'connecting' };
    queueMicrotask(() => this.#loop(run)); // so that handlers set beside the call miss nothing
  }

  ready() {
    const { state, code, message } = this.#state;
    if (state === 'connected') return Promise.resolve();
    if (state === 'closed') return Promise.reject(new CommError('closed', `${code}: ${message}`));
    return new Promise((resolve, reject) => {
      const off = this.onState(({ state, code, message }) => {
        if (state === 'connected') resolve();
        else if (state === 'closed') reject(new CommError('closed', `${code}: ${message}`));
        else return;
        off();
      });
    });
  }

  async close() {
    const link = this.#link;
    if (!this.#run) return;
    this.#shut({ code: 'client', message: 'closed by this client' }, link !== null);
    this.#session = ''; // said goodbye to
    if (link) await link.goodbye();
  }

  // Ends the loop for good. keep leaves the link to the caller, who says goodbye on it.
  #shut({ code, message }, keep = false) {
    const run = this.#run;
    this.#run = null;
    run.stopped = true;
    run.wake?.();
    this.#finish?.({ ...lost(message, false), code }, keep);
    const err = new CommError('closed', `${code}: ${message}`);
    for (const request of this.#queue.splice(0)) request.settle(err);
    for (const group of [...this.#joins.keys()]) this.#settleJoin(group, err);
    this.#enter({ state: 'closed', code, message });
  }

  async #loop(run) {
    while (!run.stopped) {
      this.#enter({ state: 'connecting' });
      const outcome = await this.#round(run);
      if (run.stopped) return;
      const stop = this.#judge(outcome);
      if (stop) return this.#shut(stop);
      const after = outcome.code === 'rate_limited' ? Math.max(outcome.after, LATER) : outcome.after;
      const delay = outcome.now ? 0 : Math.max(after, backoff(this.#rounds++, this.#env.backoff, this.#env.random));
      this.#enter({ state: 'waiting', code: outcome.code, message: outcome.message, after: Math.round(delay) });
      await this.#wait(run, delay, after === 0);
    }
  }

  // One round tries the carriers in order until one is welcome, or the server itself refuses.
  async #round(run) {
    try {
      await this.#needToken();
    } catch (err) {
      this.#report(new CommError('token', `the token callback failed: ${err?.message ?? err}`, { cause: err }));
      return { ...lost('the token callback failed', false), code: 'token' };
    }
    let outcome = lost('stopped', false);
    for (const name of this.#plan()) {
      if (run.stopped) break;
      outcome = await this.#attempt(name);
      if (outcome.welcomed || !outcome.fallback) break;
    }
    if (!outcome.welcomed) this.#misses++;
    return outcome;
  }

  // What worked is tried alone at first: a server that restarts must not push everyone down to polling.
  #plan() {
    const { carriers } = this.#env;
    if (!this.#worked) return carriers;
    if (this.#misses < REDIALS) return [this.#worked];
    this.#worked = '';
    return carriers;
  }

  #attempt(name) {
    return new Promise((resolve) => {
      const at = { name, welcomed: false, timers: [], named: new Set(this.#wanted) };
      const end = (outcome, keep) => {
        if (at.done) return;
        at.done = true;
        this.#finish = null;
        at.timers.forEach(clearTimeout);
        clearInterval(at.watch);
        if (!keep) link.kill();
        if (at.welcomed) this.#unwelcome(at, outcome);
        resolve(at.error ? { ...outcome, error: at.error.code, message: at.error.message, fallback: false } : { ...outcome, welcomed: at.welcomed });
      };
      this.#finish = end;
      const { connectTimeout } = this.#env;
      const late = lost(`${name}: no welcome within ${connectTimeout} ms`);
      at.timers.push(setTimeout(() => at.welcomed || end(late), connectTimeout));
      const up = { frame: (f) => this.#frame(at, link, f, end), heard: () => (at.silent = 0), end };
      const link = new LINKS[name](this.#env, this.#env.urls[name], up);
      try {
        link.open(this.#hello());
      } catch (err) {
        end(lost(`${name}: ${err.message}`)); // WebSocket throws at an address it may not use
      }
    });
  }

  #hello() {
    const hello = { op: 'hello', version: VERSION };
    if (this.#session) hello.session = this.#session;
    if (this.#wanted.size > 0) hello.groups = [...this.#wanted];
    if (this.#position.size > 0) hello.position = this.#position.toString();
    if (this.#env.metadata) hello.metadata = this.#env.metadata;
    return hello;
  }

  // Decides whether a connection that ended is the last: the state to close with, or nothing.
  #judge(outcome) {
    const { code, message, error, welcomed } = outcome;
    const { source } = this.#env;
    if (!welcomed && (error === 'unauthenticated' || (code === 'unauthorized' && !error))) {
      this.#token = undefined;
      this.#tokenReason = 'unauthenticated';
      outcome.now = true; // once, with a fresh token
      return typeof source === 'function' && this.#authTries++ === 0 ? null : { code: 'unauthorized', message };
    }
    if (code === 'expired') {
      this.#token = undefined;
      this.#tokenReason = 'expired';
      return typeof source === 'string' ? { code, message } : null; // a cookie may have been renewed
    }
    if (error === 'session_revoked' || code === 'kicked' || code === 'superseded') this.#session = '';
    if (error === 'session_revoked') return { code: 'kicked', message };
    if (error === 'unsupported_version') return { code: 'protocol_error', message };
    if (error === 'bad_position') this.#position = new Position();
    return outcome.reconnect ? null : { code, message };
  }

  #wait(run, delay, wakeable) {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        globalThis.removeEventListener?.('online', done);
        run.wake = null;
        resolve();
      };
      const timer = setTimeout(done, Math.min(delay, MAX_TIMER));
      run.wake = done;
      if (wakeable) globalThis.addEventListener?.('online', done);
    });
  }

  #enter(state) {
    this.#state = state;
    this.#emit('state', state);
  }

  // --- tokens ---

  async #needToken() {
    const { source } = this.#env;
    if (source === undefined || this.#token) return;
    this.#token = (await this.#ask(this.#tokenReason)) || undefined;
    this.#tokenReason = 'connect';
  }

  #ask(reason) {
    const { source, connectTimeout } = this.#env;
    const token = typeof source === 'function' ? Promise.resolve().then(() => source({ reason })) : Promise.resolve(source);
    return within(token, connectTimeout, () => new CommError('timeout', `no token within ${connectTimeout} ms`));
  }

  // Renews the identity before it ends: a minute before, or after four fifths of a short life.
  #schedule(expires) {
    clearTimeout(this.#tokenTimer);
    const ends = Date.parse(expires ?? '');
    if (Number.isNaN(ends) || typeof this.#env.source !== 'function') return;
    const left = ends - Date.now();
    this.#renewIn(Math.max(left * 0.8, left - 60_000), ends);
  }

  #renewIn(delay, ends) {
    const wait = Math.min(Math.max(delay, 1_000), MAX_TIMER);
    this.#tokenTimer = setTimeout(async () => {
      if (delay > MAX_TIMER) return this.#renewIn(delay - MAX_TIMER, ends);
      try {
        await this.#renew('expiring');
      } catch (err) {
        if (this.#state.state !== 'connected') return;
        this.#report(err);
        const left = ends - Date.now();
        if (left > 0) this.#renewIn(left / 2, ends); // past it the server closes with expired
      }
    }, wait);
  }

  async #renew(reason) {
    const token = await this.#ask(reason);
    if (!token) throw new CommError('token', 'the token callback gave no token');
    const frame = await this.#request({ op: 'auth', token });
    this.#token = token;
    this.#schedule(frame.expires);
  }

  refresh() {
    if (typeof this.#env.source !== 'function') {
      return Promise.reject(new CommError('token', 'the option token is not a function'));
    }
    return this.#renew('refresh');
  }

  // --- frames from the server ---

  #frame(at, link, frame, end) {
    const op = frame.op ?? 'message';
    if (!at.welcomed && op !== 'welcome') return this.#early(at, frame, end);
    if (this.#position.observe(frame) || frame.log) this.#fresh.add(frame.log);
    switch (op) {
      case 'message':
        return this.#message(frame);
      case 'call':
        return this.#called(frame);
      case 'welcome':
        return this.#welcomed(at, link, frame, end);
      case 'joined':
        return this.#onJoined(frame);
      case 'left':
        return this.#onLeft(frame);
      case 'ack':
      case 'reply':
      case 'pong':
      case 'authed':
        return this.#settle(frame.id, null, frame);
      case 'error':
        return this.#onError(frame);
      case 'gap':
        return this.#emit('gap', { log: frame.log, epoch: frame.epoch, from: frame.from, to: frame.to });
      case 'ping':
        return this.#answer({ op: 'pong', id: frame.id });
      case 'closing':
        return end(closingOutcome(frame));
      default:
        this.#answer({ op: 'error', id: frame.id, code: 'unknown_op', message: `unknown op ${String(op).slice(0, 64)}` });
    }
  }

  // Before welcome only errors and the end are of interest. An error is kept for the end that follows,
  // which says whether and when to return; where it decides by itself nothing else is waited for.
  #early(at, frame, end) {
    if (frame.op === 'closing') return end(closingOutcome(frame));
    if (frame.op !== 'error') return;
    if (frame.code === 'session_unknown') return this.#report(new CommError(frame.code, frame.message));
    at.error = frame;
    if (DECISIVE.has(frame.code)) end(lost(frame.message, false));
  }

  #welcomed(at, link, frame, end) {
    if (at.welcomed) return;
    at.welcomed = true;
    this.#link = link;
    this.#worked = at.name;
    this.#misses = this.#authTries = 0;
    this.#session = frame.session ?? '';
    this.#welcome = { ...frame, carrier: at.name };
    this.#fresh.clear();
    at.timers.push(setTimeout(() => ((this.#rounds = 0), (at.stable = true)), STABLE));
    this.#watch(at, link, frame.heartbeat, end);
    this.#schedule(frame.expires);
    const { conn, user, node } = frame;
    this.#enter({ state: 'connected', carrier: at.name, conn, user, node, resumed: frame.resumed === true });
    for (const group of this.#wanted) if (!at.named.has(group)) this.#sendJoin(group);
    for (const group of at.named) if (!this.#wanted.has(group)) this.leave(group).catch((err) => this.#report(err));
    for (const request of this.#queue.splice(0)) this.#dispatch(request);
  }

  // Counts silence in half heartbeats, so that neither a sleeping computer nor a changed clock
  // condemns a living connection. JavaScript cannot see WebSocket and QUIC pings: after one silent
  // heartbeat it asks with a ping frame. On SSE the comments are heard; a poll is bounded by itself.
  #watch(at, link, heartbeat, end) {
    const asks = at.name === 'ws' || at.name === 'wt';
    const every = at.name === 'poll' ? 0 : heartbeat || (asks ? this.#env.keepalive : 0);
    if (!every) return;
    at.silent = 0;
    at.watch = setInterval(() => {
      at.silent++;
      if (at.silent === 2 && asks) this.#answer({ op: 'ping', id: 'alive' });
      if (at.silent >= 5) end({ ...lost(`nothing heard for ${2.5 * every} ms`, false), code: 'heartbeat' });
    }, every / 2);
  }

  #unwelcome(at, outcome) {
    this.#link = null;
    this.#welcome = null;
    this.#joined.clear();
    clearTimeout(this.#tokenTimer);
    if (at.stable) {
      // Logs that this connection never named are no longer ours.
      for (const log of this.#position.logs()) if (!this.#fresh.has(log)) this.#position.delete(log);
    }
    const err = new CommError('disconnected', `the connection ended: ${outcome.code}: ${outcome.message}`);
    for (const id of [...this.#pending.keys()]) this.#settle(id, err);
  }

  // --- messages and calls from the server ---

  async #message(frame) {
    let msg;
    const handlers = [...(this.#handlers.get(frame.type) ?? []), ...(this.#handlers.get('*') ?? [])];
    try {
      msg = decodeMessage(frame);
      await Promise.all(handlers.map(async (fn) => fn(msg)));
    } catch (err) {
      this.#report(err);
      if (frame.ack) this.#answer({ op: 'error', id: frame.id, ...errorMembers(err) });
      return;
    }
    if (!frame.ack) return;
    if (handlers.length > 0) this.#answer({ op: 'ack', id: frame.id });
    else this.#answer({ op: 'error', id: frame.id, code: 'unknown_type', message: `no handler for ${frame.type}` });
  }

  async #called(frame) {
    const { id } = frame;
    const handler = this.#callHandlers.get(frame.type);
    if (!handler) return this.#answer({ op: 'error', id, code: 'unknown_type', message: `no handler for ${frame.type}` });
    try {
      const msg = decodeMessage(frame);
      this.#answer({ op: 'reply', id, ...encodeContent(await handler(msg.content, msg)) });
    } catch (err) {
      if (!(err instanceof CommError)) this.#report(err);
      this.#answer({ op: 'error', id, ...errorMembers(err) });
    }
  }

  // Sends what nobody waits for: a link that is gone needs no answer.
  #answer(frame) {
    this.#link?.send(JSON.stringify(frame)).catch((err) => {
      if (err.code !== 'disconnected') this.#report(err);
    });
  }

  #onError(frame) {
    const err = new CommError(frame.code, frame.message);
    if (frame.group !== undefined) err.group = frame.group;
    if (frame.id !== undefined) err.id = frame.id;
    if (frame.group !== undefined && this.#refused(frame.group, err)) {
      this.#settle(frame.id, err);
      return;
    }
    if (!this.#settle(frame.id, err)) this.#report(err);
  }

  // --- groups ---

  #onJoined({ id, group, log }) {
    this.#settle(id, null, {});
    if (group === undefined) return;
    this.#joined.add(group);
    this.#settleJoin(group, null, { group, log });
    this.#emit('group', { group, joined: true });
  }

  #onLeft({ id, group }) {
    const asked = this.#settle(id, null, {});
    this.#joined.delete(group);
    if (!asked) this.#wanted.delete(group); // the server put us out
    this.#emit('group', { group, joined: false });
  }

  // A refused join is withdrawn, but for a group in which we already are.
  #refused(group, err) {
    if (this.#joined.has(group)) return false;
    this.#wanted.delete(group);
    this.#position.delete(`group:${group}`);
    return this.#settleJoin(group, err);
  }

  #settleJoin(group, err, value) {
    const waiting = this.#joins.get(group);
    this.#joins.delete(group);
    waiting?.forEach((w) => w.settle(err, value));
    return waiting !== undefined;
  }

  #sendJoin(group) {
    const position = this.#position.entry(`group:${group}`);
    this.#request({ op: 'join', group, ...(position && { position }) }).catch((err) => {
      // After a cut the next hello names the group; every other failure is the join's.
      if (err.code !== 'disconnected' && err.code !== 'closed') this.#refused(group, err);
    });
  }

  join(group, { position, timeout, signal } = {}) {
    return new Promise((resolve, reject) => {
      if (!this.#run) throw new CommError('closed', 'the client is closed');
      if (signal?.aborted) throw new CommError('aborted', `join ${group}: aborted`, { cause: signal.reason });
      for (const [log, at] of positionEntries(position)) this.#position.set(log, at.epoch, at.offset);
      this.#wanted.add(group);
      if (this.#joined.has(group)) return resolve({ group });
      const waiting = this.#joins.get(group) ?? new Set();
      const known = waiting.size > 0;
      const w = settler({ resolve, reject, timeout: timeout ?? this.#env.timeout, signal, what: `join ${group}` }, () => {
        waiting.delete(w);
        if (waiting.size === 0 && this.#joins.get(group) === waiting) this.#joins.delete(group);
      });
      waiting.add(w);
      this.#joins.set(group, waiting);
      if (this.#link && !known) this.#sendJoin(group);
    });
  }

  async leave(group, options) {
    this.#wanted.delete(group);
    this.#joined.delete(group);
    this.#position.delete(`group:${group}`);
    this.#settleJoin(group, new CommError('aborted', `left ${group}`));
    if (!this.#link) return; // the next hello does not name the group
    try {
      await this.#request({ op: 'leave', group }, options);
    } catch (err) {
      if (err.code !== 'disconnected') throw err;
    }
  }

  // --- requests ---

  async send(type, content, options = {}) {
    const id = options.id ?? this.#id();
    const frame = { id, ...messageMembers(type, content, options) };
    if (options.ack) frame.ack = true;
    await this.#request(frame, { ...options, taken: !options.ack });
    return { id };
  }

  async call(type, content, options = {}) {
    const reply = await this.#request({ op: 'call', ...messageMembers(type, content, options) }, options);
    return decodeContent(reply);
  }

  async presence(group, options) {
    return decodeContent(await this.#request({ op: 'presence', group }, options));
  }

  async list(target, options) {
    return decodeContent(await this.#request({ op: 'list', target }, options));
  }

  async closeConn(target, options) {
    await this.#request({ op: 'close', target: target.includes(':') ? target : `conn:${target}` }, options);
  }

  async ping(options) {
    const began = performance.now();
    await this.#request({ op: 'ping' }, options);
    return performance.now() - began;
  }

  // Sends a frame and waits for its answer, or with taken only until the carrier took it.
  #request(frame, { timeout = this.#env.timeout, signal, taken = false } = {}) {
    return new Promise((resolve, reject) => {
      const { maxPending, queue } = this.#env;
      if (!this.#run) throw new CommError('closed', 'the client is closed');
      if (signal?.aborted) throw new CommError('aborted', 'aborted before it was sent', { cause: signal.reason });
      if (this.#pending.size >= maxPending) throw new CommError('limit', `maxPending: at most ${maxPending} requests may wait`);
      frame = { ...frame, id: frame.id ?? this.#id() };
      const text = JSON.stringify(frame);
      const what = frame.op ?? 'send';
      const request = settler({ resolve, reject, timeout, signal, what }, () => {
        if (this.#pending.get(frame.id) === request) this.#pending.delete(frame.id);
        const at = this.#queue.indexOf(request);
        if (at >= 0) this.#queue.splice(at, 1);
      });
      Object.assign(request, { id: frame.id, text, taken });
      if (this.#link) return this.#dispatch(request);
      if (this.#queue.length < queue) return this.#queue.push(request);
      request.settle(new CommError('offline', queue ? `not connected, and the queue of ${queue} is full` : 'not connected'));
    });
  }

  #dispatch(request) {
    const max = this.#welcome.max_message;
    if (max && request.text.length * 3 > max && byteLength(request.text) > max) {
      return request.settle(new CommError('too_large', `frame of ${byteLength(request.text)} bytes: the server takes ${max}`));
    }
    if (this.#pending.has(request.id)) {
      return request.settle(new CommError('bad_message', `id ${request.id} is in use`));
    }
    this.#pending.set(request.id, request);
    this.#link.send(request.text).then(
      () => request.taken && request.settle(null),
      (err) => request.settle(err),
    );
  }

  #settle(id, err, frame) {
    const request = this.#pending.get(id);
    request?.settle(err, frame);
    return request !== undefined;
  }

  #id() {
    return `${this.#prefix}.${(++this.#seq).toString(36)}`;
  }

  // --- handlers and listeners ---

  on(type, handler) {
    const set = this.#handlers.get(type) ?? new Set();
    this.#handlers.set(type, set.add(handler));
    return () => {
      set.delete(handler);
      if (set.size === 0 && this.#handlers.get(type) === set) this.#handlers.delete(type);
    };
  }

  onCall(type, handler) {
    if (this.#callHandlers.has(type)) throw new TypeError(`calls of type ${type} have a handler`);
    this.#callHandlers.set(type, handler);
    return () => {
      if (this.#callHandlers.get(type) === handler) this.#callHandlers.delete(type);
    };
  }

  onState(listener) {
    return this.#listen('state', listener);
  }

  onGap(listener) {
    return this.#listen('gap', listener);
  }

  onGroup(listener) {
    return this.#listen('group', listener);
  }

  onError(listener) {
    return this.#listen('error', listener);
  }

  #listen(name, listener) {
    const set = this.#listeners[name].add(listener);
    return () => set.delete(listener);
  }

  #emit(name, event) {
    for (const fn of [...this.#listeners[name]]) {
      try {
        fn(event);
      } catch (err) {
        if (name === 'error') console.error(err);
        else this.#report(err);
      }
    }
  }

  // An error that no promise carries. Without a listener it goes to the console, never lost.
  #report(err) {
    if (this.#listeners.error.size > 0) this.#emit('error', err);
    else console.error(err);
  }
}

// ---------------------------------------------------------------------------------------------
// Small parts
// ---------------------------------------------------------------------------------------------

function closingOutcome({ code, message, reconnect, after }) {
  return { code, message: message ?? '', reconnect: reconnect === true, after: Math.max(Number(after) || 0, 0), fallback: false };
}

// One promise with a timeout and a signal, settled once; cleanup runs then.
function settler({ resolve, reject, timeout, signal, what }, cleanup) {
  let settled = false;
  const request = {
    settle(err, value) {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', aborted);
      cleanup();
      if (err) reject(err);
      else resolve(value);
    },
  };
  const aborted = () => request.settle(new CommError('aborted', `${what}: aborted`, { cause: signal.reason }));
  const timer = setTimeout(() => request.settle(new CommError('timeout', `${what}: no answer within ${timeout} ms`)), Math.min(timeout, MAX_TIMER));
  signal?.addEventListener('abort', aborted);
  return request;
}

function messageMembers(type, content, { to, headers, metadata, contentType }) {
  if (typeof type !== 'string' || type === '') throw new CommError('bad_message', 'type: allowed is a string of 1 to 128 bytes');
  const frame = { type, ...encodeContent(content, contentType) };
  if (to !== undefined) frame.to = to;
  if (headers !== undefined) frame.headers = headers;
  if (metadata !== undefined) frame.metadata = metadata;
  return frame;
}

// Bytes travel as base64, text/... as a string, everything else as JSON.
function encodeContent(content, contentType) {
  const binary = content instanceof ArrayBuffer || ArrayBuffer.isView(content);
  if (binary) return { content: toBase64(content), content_type: contentType ?? 'application/octet-stream' };
  if (contentType === undefined || contentType === 'application/json') return { content };
  if (contentType.startsWith('text/')) return { content: String(content), content_type: contentType };
  return { content: toBase64(utf8.encode(String(content))), content_type: contentType };
}

function decodeContent({ content = null, content_type: type }) {
  if (type === undefined || type === 'application/json' || type.startsWith('text/')) return content;
  return Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
}

function decodeMessage(frame) {
  const { id, type, from, to, timestamp, headers = {}, metadata = {}, log, epoch, offset } = frame;
  return { id, type, content: decodeContent(frame), contentType: frame.content_type, from, to, timestamp, headers, metadata, log, epoch, offset };
}

// What the other side may know of a handler's error: a CommError speaks for itself.
function errorMembers(err) {
  if (err instanceof CommError) return { code: err.code, message: err.message };
  return { code: 'internal', message: 'the handler failed' };
}

function toBase64(data) {
  const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  let binary = '';
  for (let i = 0; i < bytes.length; i += 0x2000) binary += String.fromCharCode(...bytes.subarray(i, i + 0x2000));
  return btoa(binary);
}

function positionEntries(position) {
  if (!position) return [];
  const p = Position.parse(String(position));
  return p.logs().map((log) => [log, p.get(log)]);
}

function randomPrefix() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (b) => (b % 36).toString(36)).join('');
}

function byteLength(text) {
  return utf8.encode(text).length;
}

function base() {
  return globalThis.document?.baseURI ?? globalThis.location?.href;
}

// Settles as promise does, or after ms: rejected with failure(), or resolved where there is none.
function within(promise, ms, failure) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => (failure ? reject(failure()) : resolve()), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
