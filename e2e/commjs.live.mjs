// comm.js in Chromium against the test gateway: through cuts, a drain, tokens that end, and a
// network without WebSocket.

import test from 'node:test';
import assert from 'node:assert/strict';
import { startBrowser, startProxy, startTestGateway, until } from './live.mjs';

/** Opens a page with a client of the given options in window.client; what happened is in window.seen. */
async function openClient(browser, url, options) {
  const page = await browser.newPage();
  await page.goto(url);
  await page.evaluate(async (options) => {
    const { connect } = await import('/comm.js');
    const seen = (window.seen = { notes: [], gaps: [], states: [], errors: [], tokens: [] });
    const token = options.ttl && (async ({ reason }) => {
      seen.tokens.push(reason);
      if (window.noRenewal && reason === 'expiring') throw new Error('no renewal');
      return (await fetch(`/token?user=ann&ttl=${options.ttl}`)).text();
    });
    const client = (window.client = connect('/', { backoff: { base: 50, max: 500 }, ...options, token: token || undefined }));
    client.on('note', (m) => seen.notes.push(m.content));
    client.onGap((g) => seen.gaps.push(g));
    client.onState((s) => seen.states.push(s));
    client.onError((e) => seen.errors.push(`${e.code}: ${e.message}`));
    await client.ready();
  }, options);
  return {
    page,
    seen: () => page.evaluate(() => window.seen),
    get: (name) => page.evaluate((name) => window.client[name], name),
    call: (method, ...args) => page.evaluate(({ method, args }) => window.client[method](...args), { method, args }),
  };
}

async function note(gateway, to, content) {
  const res = await fetch(`${gateway.url}/send?to=${encodeURIComponent(to)}`, { method: 'POST', body: JSON.stringify(content) });
  assert.equal(res.status, 204, await res.text());
}

async function setUp(t) {
  const gateway = await startTestGateway();
  t.after(() => gateway.stop());
  const proxy = await startProxy(gateway.addr);
  t.after(() => proxy.stop());
  return { gateway, proxy, browser: await startBrowser(t) };
}

for (const carrier of (process.env.CARRIERS ?? 'ws sse poll').split(' ')) {
  test(`${carrier}: nothing is lost and nothing doubled over ten cuts`, async (t) => {
    const { gateway, proxy, browser } = await setUp(t);
    const client = await openClient(browser, proxy.url, { carriers: [carrier], groups: ['lobby'] });
    assert.equal(await client.get('carrier'), carrier);
    await until('joined', async () => (await client.get('groups')).includes('lobby'));
    let n = 0;
    for (let cut = 0; cut < 10; cut++) {
      for (let i = 0; i < 10; i++) await note(gateway, 'group:lobby', ++n);
      proxy.cut();
      for (let i = 0; i < 10; i++) await note(gateway, 'group:lobby', ++n);
      await until('connected again', async () => (await client.get('state')) === 'connected');
    }
    await until('the last note', async () => (await client.seen()).notes.at(-1) === n);
    const { notes, gaps, states, errors } = await client.seen();
    assert.deepEqual(notes, Array.from({ length: n }, (_, i) => i + 1));
    assert.deepEqual([gaps, errors], [[], []]);
    if (carrier !== 'poll') assert.ok(states.filter((s) => s.resumed).length >= 5, JSON.stringify(states));
    assert.equal(await client.call('call', 'sum', [1, 2, 3]), 6);
    await client.call('close');
    assert.equal(await client.get('state'), 'closed');
  });

  test(`${carrier}: a drain sends it to the next process, with the gap announced`, async (t) => {
    const { gateway, proxy, browser } = await setUp(t);
    const client = await openClient(browser, proxy.url, { carriers: [carrier], groups: ['lobby'] });
    await until('joined', async () => (await client.get('position')).startsWith('group:lobby@'));
    await note(gateway, 'group:lobby', 'before');
    await until('the note', async () => (await client.seen()).notes.length === 1);
    assert.equal(await gateway.stop(), 0, 'a drain ends well');
    const next = await startTestGateway(gateway.addr);
    t.after(() => next.stop());
    await until('connected to the next', async () => new Set((await client.seen()).states.map((s) => s.node).filter(Boolean)).size === 2);
    await until('joined again', async () => (await client.get('groups')).includes('lobby'));
    await note(next, 'group:lobby', 'after');
    await until('the note behind the drain', async () => (await client.seen()).notes.length === 2);
    const { states, gaps, notes } = await client.seen();
    const waiting = states.find((s) => s.state === 'waiting');
    assert.equal(waiting.code, 'drain');
    assert.deepEqual(notes, ['before', 'after']);
    assert.deepEqual(gaps.map((g) => [g.log, g.to]), [['group:lobby', undefined]]);
  });

  test(`${carrier}: a token is renewed in place, and after it ended anew`, async (t) => {
    const { gateway, proxy, browser } = await setUp(t);
    const client = await openClient(browser, proxy.url, { carriers: [carrier], groups: ['lobby'], ttl: '2s' });
    const conn = await client.get('conn');
    assert.equal(await client.get('user'), 'ann');
    await until('two renewals', async () => (await client.seen()).tokens.length >= 3);
    assert.equal(await client.get('conn'), conn, 'on the same connection');
    assert.deepEqual([...new Set((await client.seen()).tokens)], ['connect', 'expiring']);
    await client.page.evaluate(() => (window.noRenewal = true));
    await until('another connection', async () => ![conn, ''].includes(await client.get('conn')));
    const { tokens, states } = await client.seen();
    assert.ok(tokens.includes('expired'), String(tokens));
    assert.ok(states.some((s) => s.state === 'waiting' && s.code === 'expired'), JSON.stringify(states));
    assert.equal(await client.get('user'), 'ann');
    await note(gateway, 'user:ann', 'still here');
    await until('the note', async () => (await client.seen()).notes.includes('still here'));
  });
}

test('a network that lets no WebSocket through leads to SSE', async (t) => {
  const { gateway, proxy, browser } = await setUp(t);
  proxy.refuse = (head) => /^upgrade: *websocket/im.test(head);
  const client = await openClient(browser, proxy.url, { groups: ['lobby'] });
  assert.equal(await client.get('carrier'), 'sse');
  await note(gateway, 'group:lobby', 'by SSE');
  await until('the note', async () => (await client.seen()).notes.length === 1);
});

test('a gateway that is away for a while is found again', async (t) => {
  const { gateway, proxy, browser } = await setUp(t);
  const client = await openClient(browser, proxy.url, { groups: ['lobby'] });
  await until('joined', async () => (await client.get('position')).startsWith('group:lobby@'));
  proxy.down = true;
  proxy.cut();
  await until('waiting', async () => (await client.get('state')) === 'waiting');
  await note(gateway, 'group:lobby', 'meanwhile');
  proxy.down = false;
  await until('the note', async () => (await client.seen()).notes.length === 1);
  assert.deepEqual((await client.seen()).gaps, []);
});
