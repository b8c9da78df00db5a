// Clients that nobody here wrote, against examples/gateway: npm ws, curl -N, npm eventsource, and
// Chromium with the gateway's page, all in one group.

import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import { SSEParser } from '../js/comm.js';
import { startBrowser, until } from './live.mjs';

const url = process.env.GATEWAY_URL;
const group = 'lobby'; // as in message.json
const ws = (path) => new URL(path, url.replace(/^http/, 'ws')).href;
const text = (m) => m.content?.text;

/** A member of the group: name, and texts, the chat messages that it got. */
function member(name, close) {
  const texts = [];
  return { name, texts, close, take: (frame) => frame.op === undefined && texts.push(text(frame)) };
}

/** npm ws as a simple client: it says nothing but what is in the address. */
async function joinByWS(t) {
  const socket = new WebSocket(ws(`/ws?group=${group}`));
  const m = Object.assign(member('npm ws', () => socket.close()), { socket });
  t.after(m.close);
  const joined = new Promise((resolve) => socket.on('message', (data) => {
    const frame = JSON.parse(data);
    if (frame.op === 'joined') resolve();
    m.take(frame);
  }));
  await joined;
  return m;
}

/** npm ws as a protocol client: subprotocol and hello. */
async function joinByHello(t) {
  const socket = new WebSocket(ws('/ws'), 'comm.v1.json');
  const m = Object.assign(member('npm ws with hello', () => socket.close()), { socket });
  t.after(m.close);
  const seen = [];
  socket.on('message', (data) => {
    seen.push(JSON.parse(data));
    m.take(seen.at(-1));
  });
  await once(socket, 'open');
  assert.equal(socket.protocol, 'comm.v1.json');
  socket.send(JSON.stringify({ op: 'hello', version: 1, groups: [group], metadata: { app: 'e2e' } }));
  await until('joined', () => seen.some((f) => f.op === 'joined'));
  assert.equal(seen[0].op, 'welcome');
  m.conn = seen[0].conn;
  return m;
}

/** curl -N: a stream on the command line. */
async function joinByCurl(t) {
  const curl = spawn('curl', ['-sSN', `${url}/events?group=${group}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  const m = Object.assign(member('curl -N', () => curl.kill()), { ended: once(curl, 'exit') });
  t.after(m.close);
  let joined = false;
  const parser = new SSEParser({
    event: ({ type, data }) => {
      const frame = JSON.parse(data);
      assert.equal(type, frame.op === undefined ? 'message' : 'control');
      if (frame.op === 'welcome') m.conn = frame.conn;
      joined ||= frame.op === 'joined';
      m.take(frame);
    },
  });
  curl.stdout.on('data', (chunk) => parser.push(chunk));
  await until('joined', () => joined);
  return m;
}

/** npm eventsource: onmessage sees exactly the messages. */
async function joinByEventSource(t) {
  const source = new EventSource(`${url}/events?group=${group}`);
  const m = member('npm eventsource', () => source.close());
  t.after(m.close);
  source.onmessage = ({ data, lastEventId }) => {
    m.take(JSON.parse(data));
    m.lastEventId = lastEventId;
  };
  let joined = false;
  source.addEventListener('control', ({ data }) => (joined ||= JSON.parse(data).op === 'joined'));
  await until('joined', () => joined);
  return m;
}

/** Long polling with plain requests. */
async function joinByPolling(t) {
  const stop = new AbortController();
  const m = member('long polling', () => stop.abort());
  t.after(m.close);
  const res = await fetch(`${url}/poll?group=${group}`, { signal: stop.signal });
  assert.equal(res.status, 200);
  let { conn, cursor, frames } = await res.json();
  const { session } = frames.find((f) => f.op === 'welcome');
  const poll = async () => {
    while (!stop.signal.aborted) {
      const next = await fetch(`${url}/poll?${new URLSearchParams({ conn, cursor, wait: 5_000 })}`, { headers: { 'Comm-Session': session }, signal: stop.signal });
      if (next.status === 204) continue;
      ({ cursor, frames } = await next.json());
      frames.forEach((f) => m.take(f));
    }
  };
  let joined = frames.some((f) => f.op === 'joined');
  frames.forEach((f) => m.take(f));
  poll().catch((err) => stop.signal.aborted || assert.fail(err));
  if (!joined) await until('listed', async () => JSON.stringify(await connections()).includes(conn));
  return m;
}

const connections = async () => (await (await fetch(`${url}/api/connections?limit=200`)).json()).connections;

/** The gateway's page in Chromium, with one client of each carrier in the group. */
async function openPage(t) {
  const browser = await startBrowser(t);
  const page = await browser.newPage();
  const problems = [];
  page.on('pageerror', (err) => problems.push(err.message));
  page.on('console', (m) => m.type() === 'error' && !m.location().url.endsWith('/favicon.ico') && problems.push(m.text()));
  page.on('request', (r) => r.url().startsWith(url) || r.url().startsWith(ws('/')) || problems.push(`outside: ${r.url()}`));
  await page.goto(url);
  await page.fill('#open-group', group);
  await page.getByRole('button', { name: 'One of each' }).click();
  await page.waitForFunction((group) => {
    const cards = [...document.querySelectorAll('.client')];
    return cards.length === 3 && cards.every((c) => c.querySelector('.badge').textContent === 'connected' && c.querySelector('.chips').textContent.includes(group));
  }, group);
  const members = ['WebSocket', 'SSE', 'Long polling'].map((carrier, i) => ({
    name: `page: ${carrier}`,
    card: page.locator('.client').nth(i),
    get texts() {
      return this.card.locator('.log li:not(.event)').evaluateAll((lines) => lines.map((li) => li.lastChild.textContent));
    },
  }));
  return { page, members, problems };
}

async function curlSend() {
  const args = ['-sS', '--fail-with-body', '-H', 'Content-Type: application/json', '-d', '@message.json', `${url}/api/send`];
  const curl = spawn('curl', args, { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  curl.stdout.on('data', (chunk) => (out += chunk));
  const [code] = await once(curl, 'close');
  assert.equal(code, 0, out);
  return JSON.parse(out);
}

test('one group, every client', async (t) => {
  const plain = [await joinByWS(t), await joinByHello(t), await joinByCurl(t), await joinByEventSource(t), await joinByPolling(t)];
  const { page, members, problems } = await openPage(t);
  const all = [...plain, ...members];
  const want = [];
  const everyoneGot = async (said) => {
    want.push(said);
    for (const m of all) {
      let got;
      await until(() => `${m.name} has ${JSON.stringify(got)}, wants ${JSON.stringify(want)}`, async () => (got = await m.texts).length >= want.length);
      assert.deepEqual(got, want, m.name);
    }
  };

  await t.test('curl -d @message.json /api/send reaches all', async () => {
    const delivery = await curlSend();
    assert.equal(delivery.matched, all.length);
    assert.equal(delivery.queued, all.length);
    await everyoneGot('by curl to the API');
  });

  await t.test('npm ws speaks to all', async () => {
    plain[1].socket.send(JSON.stringify({ type: 'chat.message', to: `group:${group}`, content: { text: 'by npm ws <b>&amp;' } }));
    await everyoneGot('by npm ws <b>&amp;');
  });

  for (const m of members) {
    await t.test(`${m.name} speaks to all`, async () => {
      await m.card.locator('.say .text').fill(`from ${m.name}`);
      await m.card.locator('.say').getByRole('button', { name: 'Send' }).click();
      await everyoneGot(`from ${m.name}`);
    });
  }

  await t.test('the page lists every connection and its numbers', async () => {
    await page.fill('#filter', group);
    await page.waitForFunction((n) => document.querySelectorAll('#conn-rows tr').length === n, all.length);
    const providers = new Set((await connections()).filter((c) => c.groups?.includes(group)).map((c) => c.provider));
    assert.deepEqual([...providers].sort(), ['http', 'sse', 'websocket']);
    assert.equal(await page.locator('.provider').count() >= 3, true);
    assert.match(await page.locator('.tile').first().innerText(), /\d/);
  });

  await t.test('the page taps a type', async () => {
    await page.fill('#tap-what', 'chat.message');
    const answer = page.waitForResponse((r) => new URL(r.url()).pathname.endsWith('/tap'));
    await page.click('#tap-go');
    await page.waitForFunction(() => document.querySelector('#tap-state').textContent.startsWith('listening'));
    await answer; // behind which the gateway has begun to
    await curlSend();
    await everyoneGot('by curl to the API');
    await page.waitForFunction((n) => document.querySelectorAll('#tap-log li').length >= n, all.length);
    await page.click('#tap-go');
    await page.waitForFunction(() => document.querySelector('#tap-state').textContent.startsWith('stopped'));
  });

  await t.test('the page closes the connection of curl', async () => {
    const curl = plain[2];
    await page.fill('#filter', curl.conn);
    await page.getByRole('button', { name: `Close ${curl.conn}` }).click();
    await page.locator('#close-dialog').getByRole('button', { name: 'Close it' }).click();
    await curl.ended;
  });

  assert.match(plain[3].lastEventId, new RegExp(`group:${group}@[0-9a-z.]+:\\d+`), 'the position is the last event id');
  assert.deepEqual(problems, []);
});

for (const [width, height, scheme] of [[1360, 900, 'light'], [390, 844, 'dark']]) {
  test(`the page fits ${width} pixels in ${scheme}`, async (t) => {
    const browser = await startBrowser(t);
    const page = await browser.newPage({ viewport: { width, height }, colorScheme: scheme });
    await page.goto(url);
    await page.getByRole('button', { name: 'One of each' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.client .badge.is-good').length === 3);
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width, 'nothing stands over');
    const unnamed = await page.evaluate(() => [...document.querySelectorAll('button, input, select, textarea')]
      .filter((e) => !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim()))
      .map((e) => e.outerHTML));
    assert.deepEqual(unnamed, [], 'every control has a name');
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/page-${width}-${scheme}.png`, fullPage: true });
  });
}
