// Doubles of the two things that comm.js needs of its world: a WebSocket class and a fetch. A test
// plays the server in them, without sockets and without waiting.

import { CommClient } from '../js/comm.js';

/** Lets everything run that does not wait for a timer. */
export async function settle(rounds = 10) {
  for (let i = 0; i < rounds; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Fakes setTimeout, setInterval and Date for one test. Returns advance(ms), which goes in steps of 50 ms. */
export function fakeTime(t, now = 1_700_000_000_000) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now });
  return async (ms) => {
    await settle();
    for (let left = ms; left > 0; left -= 50) {
      t.mock.timers.tick(Math.min(left, 50));
      await settle(3);
    }
    await settle();
  };
}

/**
 * A server for WebSocket clients: serve(socket) is called when one connects. Each socket has say(frame)
 * to send a frame down, cut(code), and frames, what came up.
 */
export function fakeWebSocket(serve) {
  const sockets = [];
  class FakeWebSocket {
    readyState = 0;
    bufferedAmount = 0;
    frames = [];

    constructor(url, protocols) {
      Object.assign(this, { url, protocols });
      sockets.push(this);
      setImmediate(() => this.readyState === 0 && serve(this));
    }

    // For the server's side.
    accept() {
      this.readyState = 1;
      this.onopen?.();
    }

    say(...frames) {
      for (const frame of frames) this.onmessage?.({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) });
    }

    cut(code = 1006, reason = '') {
      if (this.readyState === 3) return;
      this.readyState = 3;
      this.onclose?.({ code, reason });
    }

    ops(op) {
      return this.frames.filter((f) => f.op === op);
    }

    // For the client's side.
    send(text) {
      this.frames.push(JSON.parse(text));
      this.onframe?.(this.frames.at(-1));
    }

    close(code = 1005) {
      this.closedWith = code;
      setImmediate(() => this.cut(code));
    }
  }
  FakeWebSocket.sockets = sockets;
  Object.defineProperty(FakeWebSocket, 'last', { get: () => sockets.at(-1) });
  return FakeWebSocket;
}

/** A server that welcomes every hello, answers joins and leaves, and keeps the group lobby in a log. */
export function welcoming(more = {}) {
  return fakeWebSocket((socket) => {
    socket.onframe = (frame) => {
      if (frame.op === 'hello') {
        socket.say({ op: 'welcome', version: 1, conn: 'c1', session: 's1', max_message: 1 << 20, ...more });
        for (const group of frame.groups ?? []) socket.say({ op: 'joined', group, log: `group:${group}`, epoch: 'e1', offset: 4 });
      }
      if (frame.op === 'join') socket.say({ op: 'joined', id: frame.id, group: frame.group, log: `group:${frame.group}`, epoch: 'e1', offset: 4 });
      if (frame.op === 'leave') socket.say({ op: 'left', id: frame.id, group: frame.group, log: `group:${frame.group}` });
    };
    socket.accept();
  });
}

/** A fetch that hands each request to serve(request), which gives a Response, or throws as a network does. */
export function fakeFetch(serve) {
  const requests = [];
  const fetch = async (url, init) => {
    const request = { url: new URL(url), method: init.method, headers: new Headers(init.headers), body: init.body, signal: init.signal };
    if (request.body !== undefined) request.frames = [JSON.parse(request.body)].flat();
    requests.push(request);
    const aborted = new Promise((_, reject) => init.signal.addEventListener('abort', () => reject(init.signal.reason)));
    return Promise.race([serve(request), aborted]);
  };
  fetch.requests = requests;
  fetch.of = (method, path) => requests.filter((r) => r.method === method && r.url.pathname === path);
  return fetch;
}

/** A stream of events: response, say(...frames), write(text) and end(). It fails when signal aborts. */
export function eventStream(signal) {
  let controller;
  const body = new ReadableStream({ start: (c) => (controller = c) });
  signal?.addEventListener('abort', () => {
    try {
      controller.error(signal.reason);
    } catch {
      // It was closed before.
    }
  });
  const write = (text) => controller.enqueue(new TextEncoder().encode(text));
  return {
    response: new Response(body, { headers: { 'Content-Type': 'text/event-stream' } }),
    write,
    say: (...frames) => frames.forEach((f) => write(`${f.op ? 'event: control\n' : ''}data: ${JSON.stringify(f)}\n\n`)),
    end: () => controller.close(),
  };
}

export const json = (body, status = 200, headers = {}) =>
  new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json', ...headers } });

export const unreachable = () => {
  throw new TypeError('fetch failed');
};

/**
 * A client whose states are kept in client.states, whose errors in client.errors, and whose waits
 * are the longest that jitter allows. It is closed when the test ends.
 */
export function startClient(t, options) {
  const client = new CommClient({ ws: 'ws://gateway.test/ws', random: () => 1, ...options });
  client.states = [];
  client.errors = [];
  client.gaps = [];
  client.messages = [];
  client.onState((s) => client.states.push(s));
  client.onError((e) => client.errors.push(e));
  client.onGap((g) => client.gaps.push(g));
  if (options.collect !== false) client.on('*', (m) => client.messages.push(m));
  t.after(() => client.close());
  return client;
}
