// comm.js against doubles of WebSocket and fetch: the state machine, requests, groups, tokens.

import test from 'node:test';
import assert from 'node:assert/strict';
import { CommClient, CommError, backoff, connect } from '../js/comm.js';
import { fakeTime, fakeWebSocket, fakeFetch, settle, startClient, unreachable, welcoming } from './fakes.mjs';

const names = (client) => client.states.map((s) => s.state);

test('backoff: full jitter below min(30 s, 0.5 s * 2^n)', () => {
  for (let n = 0; n < 2_000; n++) {
    const most = Math.min(30_000, 500 * 2 ** n);
    assert.equal(backoff(n, undefined, () => 1), most);
    assert.equal(backoff(n, undefined, () => 0), 0);
    const wait = backoff(n);
    assert.ok(wait >= 0 && wait < most, `attempt ${n}: ${wait}`);
  }
});

test('options that are wrong are refused by name', () => {
  assert.throws(() => new CommClient({}), /no carrier/);
  assert.throws(() => new CommClient({ ws: 'ws://gateway.example/ws', WebSocket: null }), /no WebSocket here: give one as the option WebSocket/);
  assert.throws(() => new CommClient({ ws: 'ws://h/', carriers: ['carrier-pigeon'] }), /carrier-pigeon: allowed are wt, ws, sse and poll/);
  assert.throws(() => new CommClient({ sse: 'http://h/', timeout: 'soon' }), /timeout: soon/);
  assert.throws(() => new CommClient({ sse: 'http://h/', backoff: { max: -1 } }), /max: -1/);
  assert.throws(() => new CommClient({ sse: 'http://h/', position: 'x' }), { code: 'bad_position' });
});

test('the client says hello as a protocol client and is welcomed', async (t) => {
  const WebSocket = welcoming({ user: 'ann', node: 'n1' });
  const client = startClient(t, { ws: 'http://gateway.test/ws', WebSocket, groups: ['lobby'], metadata: { app: 'test' }, token: 'secret' });
  await client.ready();
  await settle();
  const { url, protocols, frames } = WebSocket.last;
  assert.equal(url, 'ws://gateway.test/ws');
  assert.deepEqual(protocols, ['comm.v1.json']);
  assert.deepEqual(frames, [{ op: 'hello', version: 1, groups: ['lobby'], metadata: { app: 'test' }, token: 'secret' }]);
  assert.deepEqual(client.states, [
    { state: 'connecting' },
    { state: 'connected', carrier: 'ws', conn: 'c1', user: 'ann', node: 'n1', resumed: false },
  ]);
  assert.deepEqual([client.carrier, client.conn, client.user, client.session], ['ws', 'c1', 'ann', 's1']);
  assert.deepEqual(client.groups, ['lobby']);
  assert.equal(client.position, 'group:lobby@e1:4');
});

test('connect finds the endpoints below an address', async (t) => {
  fakeTime(t); // in which no second attempt comes
  const WebSocket = fakeWebSocket((s) => s.cut());
  const fetch = fakeFetch(unreachable);
  const client = connect('https://gateway.test/base', { WebSocket, fetch });
  t.after(() => client.close());
  await settle();
  assert.equal(WebSocket.last.url, 'wss://gateway.test/base/ws');
  assert.deepEqual(fetch.requests.map((r) => r.url.href), ['https://gateway.test/base/events', 'https://gateway.test/base/poll']);
});

test('after a cut the client resumes with session, groups and position', async (t) => {
  const advance = fakeTime(t);
  const WebSocket = welcoming();
  const client = startClient(t, { WebSocket, groups: ['lobby'] });
  await client.ready();
  WebSocket.last.say({ type: 'm', content: 1, log: 'group:lobby', epoch: 'e1', offset: 5 });
  WebSocket.last.say({ op: 'gap', log: 'group:lobby', epoch: 'e1', from: 6, to: 9 });
  WebSocket.last.cut();
  await settle();
  assert.equal(client.state, 'waiting');
  assert.deepEqual(client.states.at(-1), { state: 'waiting', code: 'lost', message: 'websocket closed with 1006', after: 500 });
  await advance(450);
  assert.equal(WebSocket.sockets.length, 1, 'not before the wait is over');
  await advance(100);
  assert.equal(client.state, 'connected');
  assert.deepEqual(WebSocket.last.frames[0], { op: 'hello', version: 1, session: 's1', groups: ['lobby'], position: 'group:lobby@e1:9' });
  assert.deepEqual(client.gaps, [{ log: 'group:lobby', epoch: 'e1', from: 6, to: 9 }]);
  assert.deepEqual(client.messages.map((m) => m.content), [1]);
});

test('the wait doubles until a connection lasts ten seconds', async (t) => {
  const advance = fakeTime(t);
  const WebSocket = welcoming();
  const client = startClient(t, { WebSocket });
  const waits = [];
  client.onState((s) => s.state === 'waiting' && waits.push(s.after));
  await client.ready();
  for (let i = 0; i < 8; i++) {
    WebSocket.last.cut();
    await settle();
    await advance(waits.at(-1));
    assert.equal(client.state, 'connected');
  }
  assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  await advance(9_900);
  WebSocket.last.cut();
  await advance(30_000);
  await advance(10_000);
  WebSocket.last.cut();
  await settle();
  assert.deepEqual(waits.slice(-2), [30_000, 500]);
});

test('a drain is waited out as the server says', async (t) => {
  const advance = fakeTime(t);
  const WebSocket = welcoming();
  const client = startClient(t, { WebSocket, random: () => 0 });
  await client.ready();
  WebSocket.last.say({ op: 'closing', code: 'drain', message: 'the server is going away', reconnect: true, after: 730 });
  await settle();
  assert.deepEqual(client.reason, { state: 'waiting', code: 'drain', message: 'the server is going away', after: 730 });
  globalThis.dispatchEvent?.(new Event('online'));
  await advance(700);
  assert.equal(WebSocket.sockets.length, 1);
  await advance(50);
  assert.equal(client.state, 'connected');
  assert.equal(WebSocket.last.frames[0].session, 's1');
});

const endings = [
  // frame or close code, state, code
  [{ op: 'closing', code: 'normal' }, 'closed', 'normal'],
  [{ op: 'closing', code: 'kicked', message: 'out' }, 'closed', 'kicked'],
  [{ op: 'closing', code: 'superseded' }, 'closed', 'superseded'],
  [{ op: 'closing', code: 'unauthorized' }, 'closed', 'unauthorized'],
  [{ op: 'closing', code: 'slow_consumer', reconnect: true }, 'waiting', 'slow_consumer'],
  [{ op: 'closing', code: 'from the future', reconnect: true }, 'waiting', 'from the future'],
  [1000, 'closed', 'normal'], [1001, 'waiting', 'drain'], [1002, 'closed', 'protocol_error'], [1003, 'closed', 'protocol_error'],
  [1005, 'waiting', 'lost'], [1006, 'waiting', 'lost'], [1007, 'closed', 'invalid_data'], [1008, 'closed', 'unauthorized'],
  [1009, 'closed', 'too_large'], [1011, 'waiting', 'internal'], [1012, 'waiting', 'lost'], [1013, 'waiting', 'try_later'],
  [4000, 'closed', 'superseded'], [4001, 'closed', 'kicked'], [4002, 'waiting', 'slow_consumer'],
  [4003, 'waiting', 'expired'], [4004, 'waiting', 'heartbeat'], [4005, 'waiting', 'rate_limited'], [4999, 'waiting', 'lost'],
];

for (const [how, state, code] of endings) {
  test(`the end ${JSON.stringify(how)} leads to ${state}`, async (t) => {
    const WebSocket = welcoming();
    const client = startClient(t, { WebSocket });
    await client.ready();
    if (typeof how === 'number') WebSocket.last.cut(how);
    else WebSocket.last.say(how);
    await settle();
    assert.deepEqual([client.reason.state, client.reason.code], [state, code]);
    if (code === 'rate_limited') assert.ok(client.reason.after >= 5_000);
    if (state === 'closed') await assert.rejects(client.ready(), { code: 'closed' });
  });
}

test('a session that was revoked is the end', async (t) => {
  const WebSocket = fakeWebSocket((s) => {
    s.onframe = () => s.say({ op: 'error', code: 'session_revoked', message: 'kicked' });
    s.accept();
  });
  const client = startClient(t, { WebSocket, session: 'old' });
  await assert.rejects(client.ready(), { name: 'CommError', code: 'closed', message: 'kicked: kicked' });
  assert.equal(client.session, '');
});

test('a session that is unknown is a notice', async (t) => {
  const WebSocket = fakeWebSocket((s) => {
    s.onframe = () => s.say({ op: 'error', code: 'session_unknown', message: 'too old' }, { op: 'welcome', version: 1, conn: 'c2', session: 's2' });
    s.accept();
  });
  const client = startClient(t, { WebSocket, session: 'old' });
  await client.ready();
  assert.equal(client.session, 's2');
  assert.deepEqual(client.errors.map((e) => e.code), ['session_unknown']);
});

test('an error before the end keeps what the end says', async (t) => {
  const WebSocket = fakeWebSocket((s) => {
    s.onframe = () => s.say({ op: 'error', code: 'limit', message: 'full' }, { op: 'closing', code: 'try_later', reconnect: true, after: 9_000 });
    s.accept();
  });
  const fetch = fakeFetch(unreachable);
  const client = startClient(t, { WebSocket, sse: 'http://gateway.test/events', fetch });
  await settle();
  assert.deepEqual(client.reason, { state: 'waiting', code: 'try_later', message: 'full', after: 9_000 });
  assert.equal(fetch.requests.length, 0, 'the server spoke: no other carrier is tried');
});

test('a version that the server does not speak is the end', async (t) => {
  const WebSocket = fakeWebSocket((s) => {
    s.onframe = () => s.say({ op: 'error', code: 'unsupported_version', message: 'version 1: spoken is 2' });
    s.accept();
  });
  const client = startClient(t, { WebSocket });
  await assert.rejects(client.ready(), /protocol_error: version 1: spoken is 2/);
});

test('close says goodbye and stays away', async (t) => {
  const WebSocket = welcoming();
  const client = startClient(t, { WebSocket });
  await client.ready();
  const call = assert.rejects(client.call('slow'), { code: 'disconnected' });
  await client.close();
  await call;
  assert.equal(WebSocket.last.closedWith, 1000);
  assert.deepEqual(client.reason, { state: 'closed', code: 'client', message: 'closed by this client' });
  await settle();
  assert.equal(WebSocket.sockets.length, 1);
  await assert.rejects(client.send('m'), { code: 'closed' });
  await assert.rejects(client.join('g'), { code: 'closed' });
  client.connect();
  await client.ready();
  assert.equal(WebSocket.sockets.length, 2);
  assert.equal(WebSocket.last.frames[0].session, undefined);
});

test('close before welcome cuts the attempt', async (t) => {
  const WebSocket = fakeWebSocket((s) => s.accept());
  const client = startClient(t, { WebSocket });
  const ready = assert.rejects(client.ready(), { code: 'closed' });
  await settle();
  await client.close();
  await ready;
  assert.deepEqual(names(client), ['connecting', 'closed']);
});

test('a carrier that is silent until the connect timeout is given up', async (t) => {
  const advance = fakeTime(t);
  const WebSocket = fakeWebSocket((s) => s.accept());
  const client = startClient(t, { WebSocket, connectTimeout: 3_000 });
  await advance(2_950);
  assert.equal(client.state, 'connecting');
  await advance(100);
  assert.equal(client.reason.message, 'ws: no welcome within 3000 ms');
});

test('silence is asked about with a ping, then the connection counts as lost', async (t) => {
  const advance = fakeTime(t);
  const WebSocket = welcoming({ heartbeat: 2_000 });
  const client = startClient(t, { WebSocket });
  await client.ready();
  const first = WebSocket.last;
  first.onframe = (f) => f.op === 'ping' && first.say({ op: 'pong', id: f.id });
  await advance(20_000);
  assert.equal(client.state, 'connected');
  assert.ok(first.ops('ping').length >= 9, `${first.ops('ping').length} pings`);
  first.onframe = null;
  await advance(4_900);
  assert.equal(client.state, 'connected');
  await advance(2_000);
  assert.ok(client.states.some((s) => s.code === 'heartbeat'));
});

test('a ping is answered, an unknown op is refused', async (t) => {
  const WebSocket = welcoming();
  const client = startClient(t, { WebSocket });
  await client.ready();
  WebSocket.last.say({ op: 'ping', id: '7' }, { op: 'dance', id: '8' });
  await settle();
  assert.deepEqual(WebSocket.last.frames.slice(1), [
    { op: 'pong', id: '7' },
    { op: 'error', id: '8', code: 'unknown_op', message: 'unknown op dance' },
  ]);
});

for (const bad of ['{', 'null', '[]', '7']) {
  test(`what is not a frame (${bad}) ends the connection, which resumes`, async (t) => {
    const WebSocket = welcoming();
    const client = startClient(t, { WebSocket });
    await client.ready();
    WebSocket.last.say(bad);
    await settle();
    assert.deepEqual([client.reason.state, client.reason.code], ['waiting', 'bad_frame']);
  });
}

// --- requests ---

test('send resolves when taken, with ack when handled', async (t) => {
  const WebSocket = welcoming();
  const client = startClient(t, { WebSocket });
  await client.ready();
  const { id } = await client.send('chat.message', { text: 'hi' }, { to: 'group:lobby', headers: { a: 'b' }, metadata: { m: 1 } });
  assert.deepEqual(WebSocket.last.frames.at(-1), { id, type: 'chat.message', content: { text: 'hi' }, to: 'group:lobby', headers: { a: 'b' }, metadata: { m: 1 } });

  let handled = false;
  const sent = client.send('chat.message', 1, { ack: true, id: 'mine' }).then(() => (handled = true));
  await settle();
  assert.equal(handled, false);
  assert.deepEqual(WebSocket.last.frames.at(-1), { id: 'mine', type: 'chat.message', content: 1, ack: true });
  WebSocket.last.say({ op: 'ack', id: 'mine' });
  await sent;

  const refused = client.send('nope', null, { ack: true, id: 'x' });
  await settle();
  WebSocket.last.say({ op: 'error', id: 'x', code: 'unknown_type', message: 'no handler' });
  await assert.rejects(refused, { name: 'CommError', code: 'unknown_type', message: 'no handler' });

  WebSocket.last.say({ op: 'error', id, code: 'forbidden', message: 'send' });
  assert.deepEqual(client.errors.map((e) => [e.code, e.id]), [['forbidden', id]], 'a later error of a send is reported');
  await assert.rejects(client.send(''), { code: 'bad_message' });
});

test('call, presence, list, closeConn and ping have answers', async (t) => {
  const WebSocket = welcoming();
  const client = startClient(t, { WebSocket });
  await client.ready();
  const ask = async (promise, answer) => {
    await settle();
    const frame = WebSocket.last.frames.at(-1);
    WebSocket.last.say({ id: frame.id, ...answer });
    const { id, ...rest } = frame;
    assert.match(id, /^[0-9a-z]{8}\.[0-9a-z]+$/);
    return [rest, await promise];
  };
  assert.deepEqual(await ask(client.call('sum', [1, 2]), { op: 'reply', content: 3 }), [{ op: 'call', type: 'sum', content: [1, 2] }, 3]);
  assert.deepEqual(await ask(client.call('none'), { op: 'reply' }), [{ op: 'call', type: 'none' }, null]);
  assert.deepEqual(await ask(client.presence('lobby'), { op: 'reply', content: [] }), [{ op: 'presence', group: 'lobby' }, []]);
  assert.deepEqual(await ask(client.list('all'), { op: 'reply', content: [{ id: 'c1' }] }), [{ op: 'list', target: 'all' }, [{ id: 'c1' }]]);
  assert.deepEqual(await ask(client.closeConn('c9'), { op: 'ack' }), [{ op: 'close', target: 'conn:c9' }, undefined]);
  const [ping, rtt] = await ask(client.ping(), { op: 'pong' });
  assert.deepEqual(ping, { op: 'ping' });
  assert.ok(rtt >= 0);
  await assert.rejects(ask(client.call('sum'), { op: 'error', code: 'internal', message: 'broke' }), { code: 'internal', message: 'broke' });
});

test('bytes and text keep their kind in both directions', async (t) => {
  const WebSocket = welcoming();
  const client = startClient(t, { WebSocket });
  await client.ready();
  const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => i);
  await client.send('b', bytes.subarray(1));
  await client.send('b', bytes.buffer, { contentType: 'image/png' });
  await client.send('t', 'plain', { contentType: 'text/plain' });
  const [b, png, text] = WebSocket.last.frames.slice(1);
  assert.equal(b.content_type, 'application/octet-stream');
  assert.deepEqual(Buffer.from(b.content, 'base64'), Buffer.from(bytes.subarray(1)));
  assert.equal(png.content_type, 'image/png');
  assert.deepEqual([text.content, text.content_type], ['plain', 'text/plain']);
  WebSocket.last.say(b, text);
  assert.deepEqual(client.messages[0].content, bytes.subarray(1));
  assert.equal(client.messages[1].content, 'plain');
});

test('a request without an answer times out and leaves nothing behind', async (t) => {
  const advance = fakeTime(t);
  const WebSocket = welcoming();
  const client = startClient(t, { WebSocket, maxPending: 1 });
  await client.ready();
  const call = assert.rejects(client.call('slow', 1, { timeout: 1_000 }), { code: 'timeout', message: 'call: no answer within 1000 ms' });
  await assert.rejects(client.call('second'), { code: 'limit', message: 'maxPending: at most 1 requests may wait' });
  await advance(1_000);
  await call;
  const { id } = WebSocket.last.ops('call')[0];
  WebSocket.last.say({ op: 'reply', id, content: 1 }); // too late: nobody minds
  const abort = new AbortController();
  const aborted = client.call('third', 1, { signal: abort.signal });
  abort.abort();
  await assert.rejects(aborted, { code: 'aborted' });
  await assert.rejects(client.call('fourth', 1, { signal: abort.signal }), { code: 'aborted' });
  assert.equal(WebSocket.last.ops('call').length, 2);
});

test('what waits for an answer at a cut is rejected', async (t) => {
  const WebSocket = welcoming();
  const client = startClient(t, { WebSocket });
  await client.ready();
  const call = client.call('slow');
  await settle();
  WebSocket.last.cut();
  await assert.rejects(call, { code: 'disconnected' });
  await assert.rejects(client.send('m'), { code: 'offline', message: 'not connected' });
});

test('with a queue, requests wait for the connection, in order and bounded', async (t) => {
  const WebSocket = welcoming();
  const client = startClient(t, { WebSocket, queue: 2 });
  const sent = [client.send('a'), client.send('b')];
  await assert.rejects(client.send('c'), { code: 'offline', message: 'not connected, and the queue of 2 is full' });
  await Promise.all(sent);
  assert.deepEqual(WebSocket.last.frames.slice(1).map((f) => f.type), ['a', 'b']);
  WebSocket.last.cut();
  await settle();
  const never = assert.rejects(client.send('d'), { code: 'closed' });
  await client.close();
  await never;
});

test('a frame over the limit of the server is not sent', async (t) => {
  const WebSocket = welcoming({ max_message: 100 });
  const client = startClient(t, { WebSocket });
  await client.ready();
  await assert.rejects(client.send('m', 'é'.repeat(50)), { code: 'too_large' });
  assert.equal(WebSocket.last.frames.length, 1);
  WebSocket.last.bufferedAmount = 1 << 30;
  await assert.rejects(client.send('m'), { code: 'limit' });
});

// --- messages and calls from the server ---

test('messages reach their handlers in order, and ack says that they were handled', async (t) => {
  const WebSocket = welcoming();
  const client = startClient(t, { WebSocket, collect: false });
  const got = [];
  let release;
  const off = client.on('m', (m) => got.push(m.content));
  client.on('slow', () => new Promise((resolve) => (release = resolve)));
  client.on('bad', () => {
    throw new Error('private detail');
  });
  await client.ready();
  const socket = WebSocket.last;
  socket.say({ type: 'm', content: 1 }, { type: 'm', content: 2, ack: true, id: 'a' }, { type: 'slow', ack: true, id: 'b' });
  socket.say({ type: 'bad', ack: true, id: 'c' }, { type: 'other', ack: true, id: 'd' }, { type: 'other' });
  await settle();
  const answers = () => Object.fromEntries(socket.frames.slice(1).map((f) => [f.id, f.code ?? f.op]));
  assert.deepEqual(got, [1, 2]);
  assert.deepEqual(answers(), { a: 'ack', c: 'internal', d: 'unknown_type' });
  assert.ok(!JSON.stringify(socket.frames).includes('private'));
  assert.deepEqual(client.errors.map((e) => e.message), ['private detail']);
  release();
  await settle();
  assert.equal(answers().b, 'ack');
  off();
  socket.say({ type: 'm', content: 3 });
  assert.deepEqual(got, [1, 2]);
});

test('calls are answered by their handler', async (t) => {
  const WebSocket = welcoming();
  const client = startClient(t, { WebSocket });
  client.onCall('sum', async ([a, b], m) => a + b + (m.from === 'ann' ? 0 : 100));
  client.onCall('full', () => {
    throw new CommError('limit', 'no more');
  });
  client.onCall('broken', () => null.x);
  assert.throws(() => client.onCall('sum', () => 0), TypeError);
  await client.ready();
  const call = (id, type, content) => WebSocket.last.say({ op: 'call', id, type, content, from: 'ann' });
  call('1', 'sum', [1, 2]);
  call('2', 'full');
  call('3', 'broken');
  call('4', 'missing');
  await settle();
  assert.deepEqual(WebSocket.last.frames.slice(1).sort((a, b) => a.id - b.id), [
    { op: 'reply', id: '1', content: 3 },
    { op: 'error', id: '2', code: 'limit', message: 'no more' },
    { op: 'error', id: '3', code: 'internal', message: 'the handler failed' },
    { op: 'error', id: '4', code: 'unknown_type', message: 'no handler for missing' },
  ]);
  assert.equal(client.errors.length, 1);
});

// --- groups ---

test('join and leave follow the connection', async (t) => {
  const advance = fakeTime(t);
  const WebSocket = welcoming();
  const client = startClient(t, { WebSocket });
  const early = client.join('early'); // before the first hello: it names the group
  const events = [];
  client.onGroup((e) => events.push(e));
  assert.deepEqual(await early, { group: 'early', log: 'group:early' });
  assert.deepEqual(WebSocket.last.frames[0].groups, ['early']);
  await client.join('late');
  assert.deepEqual(client.groups, ['early', 'late']);
  assert.deepEqual(await client.join('late'), { group: 'late' });
  assert.equal(WebSocket.last.ops('join').length, 1);
  await client.leave('early');
  assert.deepEqual(client.groups, ['late']);
  assert.equal(client.position, 'group:late@e1:4');
  WebSocket.last.cut();
  await settle();
  const waiting = client.join('third');
  await client.leave('late');
  await advance(500);
  await waiting;
  assert.deepEqual(WebSocket.last.frames[0].groups, ['third']);
  WebSocket.last.say({ op: 'left', group: 'third' }); // the server puts us out
  WebSocket.last.cut();
  await advance(1_000);
  assert.equal(WebSocket.last.frames[0].groups, undefined);
  assert.deepEqual(events, [
    { group: 'early', joined: true }, { group: 'late', joined: true }, { group: 'early', joined: false },
    { group: 'third', joined: true }, { group: 'third', joined: false },
  ]);
});

test('a join names the place to read from', async (t) => {
  const WebSocket = welcoming();
  const client = startClient(t, { WebSocket });
  await client.ready();
  await client.join('lobby', { position: 'group:lobby@e1:0' });
  assert.equal(WebSocket.last.ops('join')[0].position, 'group:lobby@e1:0');
});

test('a refused group does not end the connection and is not asked for again', async (t) => {
  const advance = fakeTime(t);
  const WebSocket = fakeWebSocket((s) => {
    s.onframe = (f) => {
      if (f.op === 'hello') s.say({ op: 'welcome', version: 1, conn: 'c', session: 's' });
      for (const group of f.groups ?? []) s.say({ op: 'error', group, code: 'forbidden', message: `join ${group}` });
      if (f.op === 'join') s.say({ op: 'error', id: f.id, group: f.group, code: 'forbidden', message: `join ${f.group}` });
    };
    s.accept();
  });
  const client = startClient(t, { WebSocket, groups: ['secret'] });
  await client.ready();
  assert.deepEqual(client.errors.map((e) => [e.code, e.group]), [['forbidden', 'secret']]);
  await assert.rejects(client.join('vault'), { code: 'forbidden', group: 'vault' });
  assert.equal(client.errors.length, 1, 'the promise carried the second');
  WebSocket.last.cut();
  await advance(500);
  assert.equal(client.state, 'connected');
  assert.equal(WebSocket.last.frames[0].groups, undefined);
});

test('logs that a stable connection never named leave the position', async (t) => {
  const advance = fakeTime(t);
  const WebSocket = welcoming();
  const client = startClient(t, { WebSocket, groups: ['lobby'] });
  await client.ready();
  WebSocket.last.say({ op: 'joined', group: 'once', log: 'group:once', epoch: 'e0', offset: 7 }); // by the server
  await advance(10_000);
  WebSocket.last.cut();
  await advance(500);
  assert.equal(WebSocket.last.frames[0].position, 'group:lobby@e1:4,group:once@e0:7');
  WebSocket.last.cut(); // too soon to judge
  await advance(1_000);
  assert.equal(WebSocket.last.frames[0].position, 'group:lobby@e1:4,group:once@e0:7');
  await advance(10_000);
  WebSocket.last.cut();
  await advance(1_000);
  assert.equal(WebSocket.last.frames[0].position, 'group:lobby@e1:4');
});

// --- tokens ---

test('a token is renewed in place before it ends', async (t) => {
  const advance = fakeTime(t);
  const expires = (ms) => new Date(Date.now() + ms).toISOString();
  const WebSocket = fakeWebSocket((s) => {
    s.onframe = (f) => {
      if (f.op === 'hello') s.say({ op: 'welcome', version: 1, conn: 'c', session: 's', expires: expires(600_000) });
      if (f.op === 'auth') s.say({ op: 'authed', id: f.id, expires: expires(10_000) });
    };
    s.accept();
  });
  const reasons = [];
  const client = startClient(t, { WebSocket, token: async ({ reason }) => `t${reasons.push(reason)}`, keepalive: 0 });
  await client.ready();
  await advance(539_000);
  assert.deepEqual(reasons, ['connect']);
  await advance(2_000);
  assert.deepEqual(reasons, ['connect', 'expiring'], 'a minute before the end');
  await advance(7_900);
  assert.deepEqual(reasons, ['connect', 'expiring', 'expiring'], 'after four fifths of ten seconds');
  assert.deepEqual(WebSocket.last.ops('auth').map((f) => f.token), ['t2', 't3']);
  await client.refresh();
  assert.equal(reasons.at(-1), 'refresh');
  assert.equal(WebSocket.sockets.length, 1);
});

test('a token that cannot be renewed is asked for again, and after expired anew', async (t) => {
  const advance = fakeTime(t);
  const expires = (ms) => new Date(Date.now() + ms).toISOString();
  const WebSocket = fakeWebSocket((s) => {
    s.onframe = (f) => {
      if (f.op === 'hello') s.say({ op: 'welcome', version: 1, conn: 'c', session: 's', expires: expires(10_000) });
      if (f.op === 'auth') s.say({ op: 'error', id: f.id, code: 'unauthenticated', message: 'old' });
    };
    s.accept();
  });
  let n = 0;
  const client = startClient(t, { WebSocket, token: () => `t${++n}` });
  await client.ready();
  await advance(12_000);
  const auths = WebSocket.last.ops('auth').length;
  assert.ok(auths >= 2 && auths <= 4, `${auths} renewals in ten seconds`);
  await advance(20_000);
  assert.equal(WebSocket.last.ops('auth').length, auths, 'none after the end');
  WebSocket.last.say({ op: 'closing', code: 'expired', reconnect: true });
  await advance(1_000);
  assert.equal(client.state, 'connected');
  assert.equal(WebSocket.last.frames[0].token, `t${n}`);
  assert.equal(client.errors.length, auths);
});

test('a refused token is fetched anew once', async (t) => {
  const refuse = new Set(['old']);
  const WebSocket = fakeWebSocket((s) => {
    s.onframe = ({ token }) => {
      if (refuse.has(token)) s.say({ op: 'error', code: 'unauthenticated', message: 'wrong token' });
      else s.say({ op: 'welcome', version: 1, conn: 'c', session: 's' });
    };
    s.accept();
  });
  const tokens = ['old', 'new'];
  const reasons = [];
  const client = startClient(t, { WebSocket, token: ({ reason }) => (reasons.push(reason), tokens.shift() ?? 'old') });
  await client.ready();
  assert.deepEqual(reasons, ['connect', 'unauthenticated']);
  refuse.add('new');
  const hopeless = startClient(t, { WebSocket, token: () => 'old' });
  await assert.rejects(hopeless.ready(), { code: 'closed', message: 'unauthorized: wrong token' });
  const before = WebSocket.sockets.length;
  const fixed = startClient(t, { WebSocket, token: 'old' });
  await assert.rejects(fixed.ready(), { code: 'closed' });
  assert.equal(WebSocket.sockets.length, before + 1, 'a string has no fresh one');
});

test('a token callback that fails or hangs is waited out', async (t) => {
  const advance = fakeTime(t);
  const WebSocket = welcoming();
  const answers = [() => Promise.reject(new Error('login is down')), () => new Promise(() => {}), () => 'good'];
  const client = startClient(t, { WebSocket, token: () => answers.shift()() });
  await settle();
  assert.deepEqual([client.reason.state, client.reason.code], ['waiting', 'token']);
  await advance(500);
  await advance(10_000);
  assert.deepEqual(client.errors.map((e) => e.message), ['the token callback failed: login is down', 'the token callback failed: no token within 10000 ms']);
  await advance(1_000);
  assert.equal(client.state, 'connected');
  assert.equal(WebSocket.last.frames[0].token, 'good');
});

// --- over a long life ---

test('five hundred reconnects keep no timer and no listener', async (t) => {
  const advance = fakeTime(t);
  const WebSocket = welcoming({ heartbeat: 1_000, expires: new Date(Date.now() + 1e9).toISOString() });
  let listeners = 0;
  globalThis.addEventListener = () => listeners++;
  globalThis.removeEventListener = () => listeners--;
  t.after(() => {
    delete globalThis.addEventListener;
    delete globalThis.removeEventListener;
  });
  let timers = 0;
  const count = (set, clear) => {
    const [real, unset] = [globalThis[set], globalThis[clear]];
    const live = new Set();
    t.mock.method(globalThis, set, (fn, ms, ...args) => {
      const id = real(() => (set === 'setTimeout' && live.delete(id) && timers--, fn(...args)), ms);
      live.add(id);
      timers++;
      return id;
    });
    t.mock.method(globalThis, clear, (id) => {
      if (live.delete(id)) timers--;
      unset(id);
    });
  };
  count('setTimeout', 'clearTimeout');
  count('setInterval', 'clearInterval');
  const client = startClient(t, { WebSocket, groups: ['lobby'], random: () => 0, token: () => 't' });
  await client.ready();
  const [some, before] = [timers, listeners];
  for (let i = 0; i < 500; i++) {
    WebSocket.last.cut();
    await settle(2);
    t.mock.timers.tick(0);
    await settle(5);
    assert.equal(client.state, 'connected', `reconnect ${i}`);
  }
  assert.equal(timers, some);
  assert.equal(listeners, before);
  await client.close();
  await advance(0);
  assert.deepEqual([timers, listeners], [0, 0]);
});
