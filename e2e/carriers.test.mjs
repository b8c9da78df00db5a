// comm.js against doubles of WebSocket and fetch: falling back, SSE with POST, long polling.

import test from 'node:test';
import assert from 'node:assert/strict';
import { eventStream, fakeFetch, fakeTime, fakeWebSocket, json, settle, startClient, unreachable, welcoming } from './fakes.mjs';

const urls = { ws: 'ws://gateway.test/ws', sse: 'http://gateway.test/events', poll: 'http://gateway.test/poll' };
const welcome = { op: 'welcome', version: 1, conn: 'c1', session: 's1', max_message: 1 << 20 };
const blocked = () => fakeWebSocket((s) => s.cut());
const status = (code, headers = {}, body = '') => new Response(code === 204 ? null : body, { status: code, headers });

/** A gateway that speaks SSE; streams holds every stream it opened, and post answers what comes up. */
function sseGateway({ hello = () => welcome, post = () => json({ accepted: 1 }, 202) } = {}) {
  const streams = [];
  const fetch = fakeFetch((request) => {
    if (request.method === 'DELETE') return status(204);
    if (request.headers.has('Comm-Connection')) return post(request);
    const stream = eventStream(request.signal);
    streams.push(stream);
    stream.say(hello(request.frames[0]));
    return stream.response;
  });
  return { fetch, streams, last: () => streams.at(-1), ups: () => fetch.requests.filter((r) => r.headers.has('Comm-Connection') && r.method === 'POST') };
}

/** A gateway that speaks polling: answer(frames) is what the open poll gets. */
function pollGateway() {
  const waiting = [];
  let cursor = 0;
  const answer = (frames) => json({ conn: 'c1', cursor: String(++cursor), frames });
  const fetch = fakeFetch((request) => {
    if (request.method === 'DELETE') return status(204);
    if (request.headers.has('Comm-Connection')) return json({ accepted: 1 }, 202);
    if (request.method === 'POST') return answer([welcome]);
    return new Promise((resolve, reject) => waiting.push({ resolve, reject, request }));
  });
  const polls = () => fetch.of('GET', '/poll').map((r) => r.url.searchParams.get('cursor'));
  return { fetch, waiting, answer, polls, say: (...frames) => waiting.shift().resolve(answer(frames)) };
}

// --- falling back ---

test('WebSocket, else SSE, else polling, in this order', async (t) => {
  const WebSocket = blocked();
  const gateway = pollGateway();
  const fetch = fakeFetch((r) => (r.url.pathname === '/events' ? status(404) : gateway.fetch(r.url, r)));
  const client = startClient(t, { ...urls, WebSocket, fetch });
  await client.ready();
  assert.equal(client.carrier, 'poll');
  assert.equal(WebSocket.sockets.length, 1);
  assert.deepEqual(fetch.requests.slice(0, 2).map((r) => `${r.method} ${r.url.pathname}`), ['POST /events', 'POST /poll']);
  assert.deepEqual(client.states.map((s) => s.state), ['connecting', 'connected']);
});

test('without a WebSocket, or asked for another order, others begin', async (t) => {
  const { fetch } = sseGateway();
  const without = startClient(t, { ...urls, WebSocket: null, fetch });
  await without.ready();
  assert.equal(without.carrier, 'sse');
  const WebSocket = welcoming();
  const ordered = startClient(t, { ...urls, WebSocket, fetch: fakeFetch(unreachable), carriers: ['poll', 'ws'] });
  await ordered.ready();
  assert.equal(ordered.carrier, 'ws');
});

test('a WebSocket that throws at its address falls back', async (t) => {
  class Refusing {
    constructor() {
      throw new DOMException('insecure', 'SecurityError');
    }
  }
  const { fetch } = sseGateway();
  const client = startClient(t, { ...urls, WebSocket: Refusing, fetch });
  await client.ready();
  assert.equal(client.carrier, 'sse');
});

test('a proxy that holds the stream back falls back after the connect timeout', async (t) => {
  const advance = fakeTime(t);
  const gateway = pollGateway();
  const fetch = fakeFetch((r) => (r.url.pathname === '/events' ? eventStream(r.signal).response : gateway.fetch(r.url, r)));
  const client = startClient(t, { ...urls, WebSocket: blocked(), fetch });
  await advance(9_900);
  assert.equal(client.state, 'connecting');
  await advance(200);
  assert.equal(client.carrier, 'poll');
  assert.ok(fetch.of('POST', '/events')[0].signal.aborted);
});

test('what worked is remembered, and given up after two rounds', async (t) => {
  const advance = fakeTime(t);
  let up = true;
  const WebSocket = fakeWebSocket((s) => {
    s.onframe = () => s.say(welcome);
    if (up) s.accept();
    else s.cut();
  });
  const { fetch } = sseGateway();
  const client = startClient(t, { ...urls, WebSocket, fetch });
  await client.ready();
  up = false;
  WebSocket.last.cut();
  await advance(500); // round 1
  await advance(1_000); // round 2
  assert.equal(fetch.requests.length, 0, 'a server that restarts is not fled from');
  await advance(2_000);
  assert.equal(client.carrier, 'sse');
});

test('when every carrier fails, the client waits and tries all again', async (t) => {
  const advance = fakeTime(t);
  const WebSocket = blocked();
  const fetch = fakeFetch(unreachable);
  const client = startClient(t, { ...urls, WebSocket, fetch });
  await settle();
  assert.deepEqual(client.reason, { state: 'waiting', code: 'lost', message: 'fetch failed', after: 500 });
  await advance(500);
  assert.deepEqual([WebSocket.sockets.length, fetch.requests.length], [2, 4]);
});

const refusals = [
  ['401', status(401), { state: 'closed', code: 'unauthorized' }],
  ['403', status(403, {}, 'origin https://evil.test'), { state: 'closed', code: 'unauthorized', message: 'origin https://evil.test' }],
  ['400 of another version', json({ op: 'error', code: 'unsupported_version', message: 'spoken is 2' }, 400), { state: 'closed', code: 'protocol_error' }],
  ['400 of a revoked session', json({ op: 'error', code: 'session_revoked', message: 'out' }, 400), { state: 'closed', code: 'kicked' }],
  ['503 with Retry-After', status(503, { 'Retry-After': '7' }), { state: 'waiting', code: 'try_later', after: 7_000 }],
  ['503 with a date', status(503, { 'Retry-After': 'Tue, 14 Nov 2023 22:13:30 GMT' }), { state: 'waiting', code: 'try_later', after: 10_000 }],
  ['503 for days', status(503, { 'Retry-After': '999999' }), { state: 'waiting', code: 'try_later', after: 300_000 }],
  ['429', status(429), { state: 'waiting', code: 'rate_limited', after: 5_000 }],
  ['502', status(502, {}, '<html>'), { state: 'waiting', code: 'lost', after: 500 }],
];

for (const [name, response, want] of refusals) {
  test(`a hello that is answered with ${name}`, async (t) => {
    fakeTime(t);
    const client = startClient(t, { sse: urls.sse, ws: undefined, fetch: fakeFetch(() => response) });
    await settle();
    for (const [member, value] of Object.entries(want)) assert.equal(client.reason[member], value, member);
  });
}

// --- Server-Sent Events ---

test('SSE: hello by POST, frames down, frames up with the names of the connection', async (t) => {
  const { fetch, last, ups } = sseGateway();
  const client = startClient(t, { sse: urls.sse, ws: undefined, fetch, groups: ['lobby'], token: 'secret' });
  await client.ready();
  const [hello] = fetch.requests;
  assert.equal(hello.headers.get('Accept'), 'text/event-stream');
  assert.equal(hello.headers.get('Content-Type'), 'application/json');
  assert.equal(hello.headers.get('Authorization'), 'Bearer secret');
  assert.deepEqual(hello.frames, [{ op: 'hello', version: 1, groups: ['lobby'] }]);

  last().write(`: alive\nid: group:lobby@e1:4\nevent: control\ndata: {"op":"joined","group":"lobby",\ndata: "log":"group:lobby","epoch":"e1","offset":4}\n\n`);
  last().say({ type: 'm', content: 'hi', log: 'group:lobby', epoch: 'e1', offset: 5 });
  await settle();
  assert.deepEqual(client.messages.map((m) => m.content), ['hi']);
  assert.equal(client.position, 'group:lobby@e1:5');

  const call = client.call('sum', [1, 2]);
  await settle();
  const [up] = ups();
  assert.equal(up.headers.get('Comm-Connection'), 'c1');
  assert.equal(up.headers.get('Comm-Session'), 's1');
  assert.equal(up.headers.get('Authorization'), 'Bearer secret');
  last().say({ op: 'reply', id: up.frames[0].id, content: 3 });
  assert.equal(await call, 3);

  await client.close();
  const [bye] = fetch.of('DELETE', '/events');
  assert.equal(bye.headers.get('Comm-Session'), 's1');
  assert.ok(hello.signal.aborted, 'the stream is let go');
});

test('SSE: frames go up one POST at a time, in order, what gathers together', async (t) => {
  const release = [];
  const { fetch, ups } = sseGateway({ post: () => new Promise((resolve) => release.push(() => resolve(json({ accepted: 1 }, 202)))) });
  const client = startClient(t, { sse: urls.sse, ws: undefined, fetch });
  await client.ready();
  const sent = Array.from({ length: 150 }, (_, i) => client.send('m', i));
  await settle();
  assert.equal(ups().length, 1, 'the second waits for the first');
  for (let i = 0; i < 4; i++) {
    release.shift()();
    await settle();
  }
  await Promise.all(sent);
  assert.deepEqual(ups().map((r) => r.frames.length), [1, 64, 64, 21]);
  assert.deepEqual(ups().flatMap((r) => r.frames.map((f) => f.content)), Array.from({ length: 150 }, (_, i) => i));
});

test('SSE: a frame that is refused fails alone', async (t) => {
  let gate;
  const held = new Promise((resolve) => (gate = resolve));
  const { fetch, ups } = sseGateway({
    post: async (r) => {
      if (ups().length === 1) await held;
      const bad = r.frames.find((f) => f.type === 'bad');
      return bad ? json({ op: 'error', id: bad.id, code: 'bad_message', message: 'no' }, 400) : json({ accepted: r.frames.length }, 202);
    },
  });
  const client = startClient(t, { sse: urls.sse, ws: undefined, fetch });
  await client.ready();
  const results = Promise.allSettled(['first', 'a', 'bad', 'b'].map((type) => client.send(type)));
  await settle();
  gate();
  assert.deepEqual((await results).map((r) => r.reason?.code ?? 'sent'), ['sent', 'sent', 'bad_message', 'sent']);
  assert.deepEqual(ups().map((r) => r.frames.map((f) => f.type)), [['first'], ['a', 'bad', 'b'], ['b']]);
  assert.equal(client.state, 'connected');
});

test('SSE: 413 for several frames sends them one by one', async (t) => {
  const { fetch, ups } = sseGateway({ post: (r) => (r.frames.length > 1 || r.frames[0].content === 'huge' ? status(413) : json({ accepted: 1 }, 202)) });
  const client = startClient(t, { sse: urls.sse, ws: undefined, fetch });
  await client.ready();
  const results = Promise.allSettled([1, 2, 'huge', 3].map((c) => client.send('m', c)));
  assert.deepEqual((await results).map((r) => r.reason?.code ?? 'sent'), ['sent', 'sent', 'too_large', 'sent']);
  assert.deepEqual(ups().filter((r) => r.frames.length === 1).map((r) => r.frames[0].content), [1, 2, 'huge', 3]);
});

for (const [code, want] of [[404, 'lost'], [403, 'lost'], [401, 'expired']]) {
  test(`SSE: ${code} to a frame ends the connection, which resumes`, async (t) => {
    const advance = fakeTime(t);
    const { fetch } = sseGateway({ post: () => status(code) });
    const client = startClient(t, { sse: urls.sse, ws: undefined, fetch });
    await client.ready();
    await assert.rejects(client.send('m'));
    await settle();
    assert.deepEqual([client.reason.state, client.reason.code], ['waiting', want]);
    await advance(500);
    assert.equal(client.state, 'connected');
    assert.equal(fetch.requests.at(-1).frames[0].session, 's1');
  });
}

test('SSE: the end of the stream and a network failure resume', async (t) => {
  const advance = fakeTime(t);
  let down = false;
  const { fetch, last } = sseGateway({ post: () => (down ? unreachable() : json({}, 202)) });
  const client = startClient(t, { sse: urls.sse, ws: undefined, fetch });
  await client.ready();
  last().end();
  await settle();
  assert.equal(client.reason.message, 'the stream ended');
  await advance(500);
  down = true;
  await assert.rejects(client.send('m'), { code: 'disconnected' });
  await settle();
  assert.equal(client.state, 'waiting');
});

test('SSE: comments are a sign of life, silence is not', async (t) => {
  const advance = fakeTime(t);
  const { fetch, last, ups } = sseGateway({ hello: () => ({ ...welcome, heartbeat: 1_000 }) });
  const client = startClient(t, { sse: urls.sse, ws: undefined, fetch });
  await client.ready();
  for (let i = 0; i < 10; i++) {
    await advance(1_000);
    last().write(':\n');
  }
  assert.equal(client.state, 'connected');
  await advance(3_000);
  assert.ok(client.states.some((s) => s.code === 'heartbeat'));
  assert.equal(ups().length, 0, 'no pings by POST');
});

// --- long polling ---

test('polling: every answer is confirmed by the next cursor', { timeout: 60_000 }, async (t) => {
  const gateway = pollGateway();
  const client = startClient(t, { poll: urls.poll, ws: undefined, fetch: gateway.fetch });
  await client.ready();
  await settle();
  const polled = async (n) => {
    while (gateway.polls().length < n) await settle();
  };
  const [poll] = gateway.fetch.of('GET', '/poll');
  assert.deepEqual(Object.fromEntries(poll.url.searchParams), { conn: 'c1', cursor: '1', wait: '25000' });
  assert.equal(poll.headers.get('Comm-Session'), 's1');
  gateway.say({ type: 'm', content: 1 }, { type: 'm', content: 2 });
  await polled(2);
  gateway.say({ type: 'm', content: 3 });
  await settle();
  assert.deepEqual(client.messages.map((m) => m.content), [1, 2, 3]);
  await client.send('up', 1);
  assert.equal(gateway.fetch.of('POST', '/poll').at(-1).headers.get('Comm-Connection'), 'c1');
  await polled(3);
  await settle();
  assert.deepEqual(gateway.polls(), ['1', '2', '3']);
  await client.close();
  assert.equal(gateway.fetch.of('DELETE', '/poll').length, 1);
});

test('polling: an empty answer and a lost one poll again with the same cursor', async (t) => {
  const advance = fakeTime(t);
  const gateway = pollGateway();
  const client = startClient(t, { poll: urls.poll, ws: undefined, fetch: gateway.fetch });
  await client.ready();
  await advance(1_000);
  gateway.waiting.shift().resolve(status(204));
  await advance(100);
  gateway.waiting.shift().reject(new TypeError('network changed'));
  await advance(1_000);
  gateway.waiting.shift().resolve(status(502));
  await advance(2_000);
  gateway.say({ type: 'm', content: 1 });
  await advance(100);
  assert.deepEqual(gateway.polls(), ['1', '1', '1', '1', '2']);
  assert.deepEqual(client.messages.map((m) => m.content), [1]);
  assert.deepEqual(client.states.map((s) => s.state), ['connecting', 'connected']);
});

test('polling: five lost polls in a row are a cut', async (t) => {
  const advance = fakeTime(t);
  const gateway = pollGateway();
  const client = startClient(t, { poll: urls.poll, ws: undefined, fetch: gateway.fetch });
  await client.ready();
  await settle();
  for (let i = 0; i < 5; i++) {
    assert.equal(client.state, 'connected');
    gateway.waiting.shift().reject(new TypeError('network down'));
    if (i < 4) await advance(8_000);
  }
  await settle();
  assert.equal(client.reason.message, 'network down');
});

test('polling: a connection that is gone is opened anew and resumed', async (t) => {
  const advance = fakeTime(t);
  const gateway = pollGateway();
  const client = startClient(t, { poll: urls.poll, ws: undefined, fetch: gateway.fetch });
  await client.ready();
  await settle();
  gateway.waiting.shift().resolve(status(410));
  await settle();
  assert.deepEqual([client.reason.state, client.reason.code], ['waiting', 'lost']);
  await advance(500);
  assert.deepEqual(gateway.fetch.of('POST', '/poll').at(-1).frames, [{ op: 'hello', version: 1, session: 's1' }]);
});

test('polling: closing ends it as everywhere', async (t) => {
  const gateway = pollGateway();
  const client = startClient(t, { poll: urls.poll, ws: undefined, fetch: gateway.fetch });
  await client.ready();
  await settle();
  gateway.say({ type: 'm', content: 'last' }, { op: 'closing', code: 'kicked' });
  await settle();
  assert.deepEqual(client.messages.map((m) => m.content), ['last']);
  assert.deepEqual(client.reason, { state: 'closed', code: 'kicked', message: '' });
});

test('polling: a server that answers at once does not make the client spin', async (t) => {
  const advance = fakeTime(t);
  const fetch = fakeFetch((r) => (r.method === 'POST' ? json({ conn: 'c1', cursor: '1', frames: [welcome] }) : status(204)));
  const client = startClient(t, { poll: urls.poll, ws: undefined, fetch });
  await client.ready();
  await advance(1_000);
  assert.ok(fetch.of('GET', '/poll').length <= 55, `${fetch.of('GET', '/poll').length} polls a second`);
});
