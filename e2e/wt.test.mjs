// comm.wt.js against the vectors of the binary form, and comm.js over a double of WebTransport.

import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { CommClient } from '../js/comm.js';
import { FormError, FrameReader, decode, encode, webTransport } from '../js/comm.wt.js';
import { settle } from './fakes.mjs';

const vectors = (name) => JSON.parse(readFileSync(new URL(`../quic/testdata/${name}.json`, import.meta.url)));
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, 'hex'));
const hex = (b) => Buffer.from(b).toString('hex');

// What JSON leaves out or writes in another way, and means the same.
function plain(frame) {
  const out = { ...frame };
  const op = out.op ?? 'message';
  if (op === 'message') delete out.op;
  if ((op === 'message' || op === 'call' || op === 'reply') && out.content === undefined) out.content = null;
  if (op === 'hello') out.version ??= 1;
  if (out.offset === 0) delete out.offset;
  if (out.content_type === 'application/json') delete out.content_type;
  for (const at of ['timestamp', 'expires']) if (out[at]) out[at] = out[at].replace(/(\.\d*?)0+Z$/, '$1Z').replace('.Z', 'Z');
  return out;
}

for (const v of vectors('frames')) {
  test(`frame: ${v.name}`, () => {
    const got = decode(bytes(v.hex));
    assert.equal(got.size, v.hex.length / 2);
    assert.deepEqual(plain(got.frame), plain(v.json));
    assert.equal(hex(encode(v.json)), v.hex);
  });
}

for (const v of vectors('also')) {
  test(`also read: ${v.name}`, () => assert.deepEqual(plain(decode(bytes(v.hex)).frame), plain(v.json)));
}

test('every cut of a stream gives the same frames', () => {
  const all = vectors('frames').map((v) => v.hex).join('');
  const whole = [];
  new FrameReader((f) => whole.push(f)).push(bytes(all));
  assert.equal(whole.length, vectors('frames').length);
  for (const size of [1, 2, 7, 64]) {
    const got = [];
    const reader = new FrameReader((f) => got.push(f));
    for (let i = 0; i < all.length; i += 2 * size) reader.push(bytes(all.slice(i, i + 2 * size)));
    assert.deepEqual(got, whole);
  }
});

test('a large frame in small pieces is not copied for each of them', () => {
  const frame = encode({ type: 'large', content_type: 'text/plain', content: 'x'.repeat(8 << 20) });
  const got = [];
  const reader = new FrameReader((f) => got.push(f));
  const start = process.cpuUsage(); // which others on the machine do not lengthen
  for (let at = 0; at < frame.length; at += 512) reader.push(frame.subarray(at, at + 512));
  assert.equal(got[0]?.content.length, 8 << 20);
  const { user, system } = process.cpuUsage(start);
  assert.ok(user + system < 3_000_000, 'it took longer than 3 s'); // 130 GB of copies would
  reader.push(encode({ type: 'small', content: 1 }));
  assert.equal(got[1].content, 1);
});

test('what is too large is refused by its head; what is not known is told', () => {
  assert.throws(() => new FrameReader(() => {}, 100).push(bytes('0180000065')), FormError);
  assert.equal(decode(bytes('3f00')).frame.op, 'unknown');
  assert.equal(decode(bytes('2000')).frame.op, 'lane');
  assert.equal(decode(bytes('01')), null);
  assert.throws(() => decode(bytes('01020105')), FormError);
  assert.throws(() => encode({ op: 'nothing' }), FormError);
  assert.throws(() => encode({ op: 'joined', offset: -1 }), FormError);
});

/** A server for WebTransport: serve(session) when one has connected. It speaks in frames. */
function fakeWebTransport(serve) {
  const sessions = [];
  class FakeWebTransport {
    frames = [];
    over = false;

    constructor(url, options) {
      Object.assign(this, { url, options });
      this.ready = new Promise((resolve, reject) => Object.assign(this, { accept: resolve, refuse: reject }));
      this.closed = new Promise((resolve, reject) => Object.assign(this, { leave: resolve, cut: reject }));
      this.ready.catch(() => {});
      this.closed.catch(() => {});
      const stream = () => new ReadableStream({ start: (c) => (this.source = c) });
      this.lanes = null;
      this.incomingUnidirectionalStreams = new ReadableStream({ start: (c) => (this.lanes = c) });
      this.datagrams = { readable: new ReadableStream({ start: (c) => (this.packets = c) }) };
      this.stream = stream;
      sessions.push(this);
      setImmediate(() => serve(this));
    }

    async createBidirectionalStream() {
      const reader = new FrameReader((f) => this.frames.push(f));
      const writable = new WritableStream({
        write: (chunk) => reader.push(chunk),
        close: () => this.leave({ closeCode: 1000, reason: 'bye' }),
      });
      return { readable: this.stream(), writable };
    }

    say(...frames) {
      for (const f of frames) this.source.enqueue(encode(f));
    }

    close(info) {
      this.over = true;
      this.leave(info);
    }
  }
  return { WebTransport: FakeWebTransport, sessions };
}

const welcome = { op: 'welcome', version: 1, conn: 'c1', session: 's1', node: 'n1', max_message: 1 << 20 };

async function client(t, serve, options) {
  const fake = fakeWebTransport(serve);
  const c = new CommClient({ wt: 'https://gateway.example/wt', webTransport, WebTransport: fake.WebTransport, random: () => 0, ...options });
  t.after(() => c.close());
  return { c, ...fake };
}

test('hello, messages both ways, a call, a lane, a datagram, and a goodbye', async (t) => {
  const { c, sessions } = await client(t, async (s) => {
    s.accept();
    await settle();
    s.say(welcome);
  }, { token: 'secret', groups: ['lobby'], serverCertificateHashes: [{ algorithm: 'sha-256', value: new Uint8Array(32) }] });
  const got = [];
  const to = [];
  c.on('note', (m) => { got.push(m.content); to.push(m.to); });
  await c.ready();
  const [s] = sessions;
  assert.equal(c.carrier, 'wt');
  assert.equal(s.options.serverCertificateHashes.length, 1);
  assert.deepEqual(s.frames[0], { op: 'hello', version: 1, token: 'secret', groups: ['lobby'] });
  s.say({ type: 'note', content: { n: 1 } });
  s.lanes.enqueue(new ReadableStream({
    start(lane) {
      lane.enqueue(bytes('2000'));
      lane.enqueue(encode({ type: 'note', content: 2 }));
      lane.enqueue(encode({ op: 'closing', code: 'kicked' })); // nothing but messages counts on a lane
    },
  }));
  s.packets.enqueue(bytes('01050301')); // a datagram that is no frame is lost, alone
  s.packets.enqueue(encode({ type: 'note', content_type: 'text/plain', content: 'x' }).with(-1, 0xff));
  s.packets.enqueue(encode({ type: 'note', content: 3 }));
  await settle();
  assert.deepEqual(got.slice(0, 1), [{ n: 1 }]); // between lanes there is no order
  assert.equal(to[0], 'conn:c1'); // what is to this end alone does not say so
  assert.deepEqual(got.slice(1).sort(), [2, 3]);
  const sum = c.call('sum', [1, 2]);
  await settle();
  const call = s.frames.find((f) => f.op === 'call');
  s.say({ op: 'reply', id: call.id, content: 3 });
  assert.equal(await sum, 3);
  await c.send('bytes', new Uint8Array([1, 2, 255]));
  await settle();
  assert.deepEqual(s.frames.at(-1).content, 'AQL/');
  await c.close();
  assert.equal(s.over, true);
});

test('a carrier that does not work gives way to the next, and a close code counts', async (t) => {
  let tried;
  const next = new Promise((resolve) => (tried = resolve));
  const { c } = await client(t, (s) => {
    s.refuse(new Error('no QUIC here'));
    s.cut(new Error('no QUIC here'));
  }, { ws: 'wss://gateway.example/ws', WebSocket: class { constructor() { tried('ws'); throw new Error('enough'); } }, random: () => 1 });
  assert.equal(await next, 'ws');
  await c.close();

  const kicked = await client(t, async (s) => {
    s.accept();
    await settle();
    s.say(welcome);
    await settle();
    s.leave({ closeCode: 4001, reason: 'out' });
  });
  await new Promise((resolve) => kicked.c.onState((s) => s.state === 'closed' && resolve()));
  assert.equal(kicked.c.reason.code, 'kicked');
});

test('bytes that are no frames end the connection', async (t) => {
  const { c, sessions } = await client(t, async (s) => {
    s.accept();
    await settle();
    s.say(welcome);
    await settle();
    s.source.enqueue(bytes('01020105'));
  });
  await new Promise((resolve) => c.onState((s) => s.state === 'waiting' && resolve()));
  assert.match(c.reason.message, /field ends/);
  assert.equal(sessions[0].over, true);
});

test('it is left out where it cannot be', () => {
  const at = { wt: 'https://gateway.example/wt', autoConnect: false };
  assert.throws(() => new CommClient(at), /no carrier/);
  assert.throws(() => new CommClient({ ...at, webTransport, WebTransport: undefined }), /no carrier/);
  assert.throws(() => new CommClient({ ...at, wt: 'http://gateway.example/wt', webTransport, WebTransport: class {} }), /no carrier/);
});
