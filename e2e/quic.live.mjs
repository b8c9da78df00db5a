// Chromium over WebTransport and HTTP/3, against examples/gateway with -quic.

import test from 'node:test';
import assert from 'node:assert/strict';
import { X509Certificate, createHash } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { chromium } from 'playwright-core';
import { freePort, start, startBrowser, until } from './live.mjs';

const group = 'lobby';

async function startGateway(t) {
  const [web, quic] = [await freePort(), await freePort()];
  const args = ['-addr', `127.0.0.1:${web}`, '-quic', `127.0.0.1:${quic}`];
  const { stop } = await start(process.env.GATEWAY, args, /^ +QUIC +\S+, ALPN comm\/1$/);
  t.after(() => stop());
  return { url: `http://127.0.0.1:${web}/`, quic: `127.0.0.1:${quic}`, stop };
}

test('the page opens a client over WebTransport, beside one of each other carrier', async (t) => {
  const { url } = await startGateway(t);
  const browser = await startBrowser(t);
  const page = await browser.newPage();
  const problems = [];
  page.on('pageerror', (err) => problems.push(err.message));
  page.on('console', (m) => m.type() === 'error' && !m.location().url.endsWith('/favicon.ico') && problems.push(m.text()));
  await page.goto(url);
  await page.fill('#open-group', group);
  await page.locator('#open-wt').waitFor();
  await page.getByRole('button', { name: 'One of each' }).click();
  await page.waitForFunction((group) => {
    const cards = [...document.querySelectorAll('.client')];
    return cards.length === 4 && cards.every((c) => c.querySelector('.badge').textContent === 'connected' && c.querySelector('.chips').textContent.includes(group));
  }, group);
  const texts = (i) => page.locator('.client').nth(i).locator('.log li:not(.event)').evaluateAll((lines) => lines.map((li) => li.lastChild.textContent));
  const want = [];
  for (const i of [3, 0]) { // WebTransport to all, and another to it
    await page.locator('.client').nth(i).locator('.say .text').fill(`from ${i}`);
    await page.locator('.client').nth(i).locator('.say').getByRole('button', { name: 'Send' }).click();
    want.push(`from ${i}`);
    for (let j = 0; j < 4; j++) {
      await until(() => `${j} has ${want}`, async () => (await texts(j)).length >= want.length);
      assert.deepEqual(await texts(j), want);
    }
  }
  const { connections } = await (await fetch(`${url}api/connections`)).json();
  assert.deepEqual(connections.map((c) => c.provider).sort(), ['http', 'quic', 'sse', 'websocket']);
  assert.deepEqual(problems, []);
});

/** A page of the gateway with comm.js and comm.wt.js at hand as `comm`. */
async function openModules(t, url, browser) {
  const page = await (browser ?? (await startBrowser(t))).newPage();
  await page.goto(url);
  await page.evaluate(async () => {
    globalThis.comm = { ...(await import('/comm.js')), ...(await import('/comm.wt.js')) };
    const { url, hashes } = await (await fetch('/api/webtransport')).json();
    const serverCertificateHashes = hashes.map((h) => ({ algorithm: 'sha-256', value: Uint8Array.from(atob(h), (c) => c.charCodeAt(0)) }));
    globalThis.quic = { wt: url, serverCertificateHashes };
  });
  return page;
}

test('comm.js over WebTransport: first choice, calls, large content, bytes, a close by the server, a return', async (t) => {
  const { url } = await startGateway(t);
  const page = await openModules(t, url);
  const result = await page.evaluate(async () => {
    const { connect, webTransport } = globalThis.comm;
    const client = connect('/', { ...globalThis.quic, webTransport, groups: ['lobby'] });
    await client.ready();
    const out = { carrier: client.carrier };
    out.echo = await client.call('echo', { text: 'hé 🙂', n: 1.5 });
    const large = 'x'.repeat(300_000);
    out.large = (await client.call('echo', large)) === large;
    out.bytes = [...(await client.call('echo', new Uint8Array([0, 1, 254, 255])))];
    out.time = typeof (await client.call('time', null));
    out.ping = (await client.ping()) >= 0;
    out.refused = await client.call('nothing', 1).catch((err) => err.code);
    const got = new Promise((resolve) => client.on('chat.message', resolve));
    await client.send('chat.message', { text: 'to all' }, { to: 'group:lobby', ack: true });
    out.got = (await got).content.text;
    globalThis.client = client;
    globalThis.states = [];
    client.onState((s) => globalThis.states.push(s.state));
    return out;
  });
  assert.deepEqual(result, {
    carrier: 'wt', echo: { text: 'hé 🙂', n: 1.5 }, large: true, bytes: [0, 1, 254, 255], time: 'string', ping: true, refused: 'unknown_type', got: 'to all',
  });
  const conn = await page.evaluate(() => globalThis.client.conn);
  const { status } = await fetch(`${url}api/connections/${conn}`, { method: 'DELETE' });
  assert.equal(status < 300, true);
  await page.waitForFunction(() => globalThis.client.state === 'closed');
  assert.equal(await page.evaluate(() => globalThis.client.reason.code), 'kicked');
  await page.evaluate(() => globalThis.client.connect());
  await page.waitForFunction(() => globalThis.client.state === 'connected');
  await page.evaluate(() => globalThis.client.close());
});

test('where the certificate is not trusted the client falls back to WebSocket', async (t) => {
  const { url } = await startGateway(t);
  const page = await openModules(t, url);
  const carrier = await page.evaluate(async () => {
    const client = globalThis.comm.connect('/', { wt: globalThis.quic.wt, webTransport: globalThis.comm.webTransport });
    await client.ready();
    const { carrier } = client;
    await client.close();
    return carrier;
  });
  assert.equal(carrier, 'ws');
});

test('a drain reaches the page over WebTransport', async (t) => {
  const { url, stop } = await startGateway(t);
  const page = await openModules(t, url);
  await page.evaluate(async () => {
    globalThis.client = globalThis.comm.connect('/', { ...globalThis.quic, webTransport: globalThis.comm.webTransport, carriers: ['wt'] });
    globalThis.reasons = [];
    globalThis.client.onState((s) => s.code && globalThis.reasons.push(s.code));
    await globalThis.client.ready();
  });
  assert.equal(await stop(), 0);
  await page.waitForFunction(() => globalThis.reasons.length > 0);
  assert.equal((await page.evaluate(() => globalThis.reasons))[0], 'drain');
});

test('a bare WebTransport session of another origin is refused', async (t) => {
  const gateway = await startGateway(t);
  const { url: at, hashes } = await (await fetch(`${gateway.url}api/webtransport`)).json();
  const other = net.createServer((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi'));
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => other.close());
  const browser = await startBrowser(t);
  const page = await browser.newPage();
  for (const [origin, want] of [[`http://127.0.0.1:${other.address().port}/`, 'refused'], [gateway.url, 'open']]) {
    await page.goto(origin);
    const outcome = await page.evaluate(async ({ at, hashes }) => {
      const value = (hash) => Uint8Array.from(atob(hash), (c) => c.charCodeAt(0));
      const session = new WebTransport(at, { serverCertificateHashes: hashes.map((h) => ({ algorithm: 'sha-256', value: value(h) })) });
      session.closed.catch(() => {});
      return session.ready.then(() => 'open', () => 'refused');
    }, { at, hashes });
    assert.equal(outcome, want, origin);
  }
});

/** The SHA-256 of the public key of a server, which Chromium can be told to trust over QUIC. */
async function publicKeyHash(addr) {
  const [host, port] = addr.split(':');
  const socket = tls.connect({ host, port, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const key = new X509Certificate(socket.getPeerCertificate(true).raw).publicKey.export({ type: 'spki', format: 'der' });
  socket.destroy();
  return createHash('sha256').update(key).digest('base64');
}

test('Chromium reads the page, an event stream and long polling over HTTP/3', async (t) => {
  const { quic } = await startGateway(t);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--enable-quic', `--origin-to-force-quic-on=${quic}`,
      `--ignore-certificate-errors-spki-list=${await publicKeyHash(quic)}`,
    ],
  });
  t.after(() => browser.close());
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const response = await page.goto(`https://${quic}/`);
  assert.equal(response.status(), 200);
  const result = await page.evaluate(async () => {
    const { connect } = await import('/comm.js');
    const out = { protocol: performance.getEntriesByType('navigation')[0].nextHopProtocol };
    for (const carrier of ['sse', 'poll']) {
      const client = connect('/', { carriers: [carrier] });
      await client.ready();
      out[carrier] = await client.call('echo', carrier);
      await client.close();
    }
    out.hops = [...new Set(performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/comm.js')).map((e) => e.nextHopProtocol))];
    return out;
  });
  assert.deepEqual(result, { protocol: 'h3', sse: 'sse', poll: 'poll', hops: ['h3'] });
});
