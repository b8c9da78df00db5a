// What the tests against a running gateway share: processes, a proxy that cuts, a browser, waiting.

import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

/** How long is waited for what must come: that it is over is always a failure, so it is long. */
const patience = 60_000;

/**
 * A port of 127.0.0.1 that nobody uses, on TCP and UDP, and that the system gives to no socket by its own choice: one
 * could take it before, or while a server is away, and a client that tries it then could even meet itself there.
 */
export async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(10_000 * Math.random());
    const [tcp, udp] = [net.createServer(), createSocket('udp4')];
    const free = await Promise.all([
      new Promise((resolve) => tcp.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => tcp.close(() => resolve(true)))),
      new Promise((resolve) => udp.once('error', () => udp.close(() => resolve(false))).bind(port, '127.0.0.1', () => udp.close(() => resolve(true)))),
    ]);
    if (free.every(Boolean)) return port;
  }
}

/** Starts a program and waits for the line of its output that matches; gives the match, and stop(). */
export async function start(program, args, pattern) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const stop = async (signal = 'SIGTERM') => {
    child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), patience);
    const [code] = await ended;
    clearTimeout(late);
    return code;
  };
  const lines = createInterface({ input: child.stdout });
  const match = new Promise((resolve) => lines.on('line', (line) => pattern.test(line) && resolve(pattern.exec(line))));
  const late = new Promise((resolve) => setTimeout(resolve, patience, []).unref());
  const first = await Promise.race([match, ended, late]);
  if (first !== (await Promise.race([match, null]))) {
    child.kill('SIGKILL');
    throw new Error(`${program} was not ready within ${patience / 1000} s`);
  }
  return { match: first, stop, child };
}

/** Starts the test gateway at an address; gives its url and stop(). */
export async function startTestGateway(addr) {
  addr ??= `127.0.0.1:${await freePort()}`;
  const { match, stop } = await start(process.env.TESTGATEWAY, ['-addr', addr], /^listening on (http:\/\/([0-9.]+:\d+))$/);
  return { url: match[1], addr: match[2], stop };
}

/**
 * A TCP proxy before a gateway. cut() ends every connection; refuse, where it is set, says by a
 * connection's first bytes whether to end it at once. sent counts the bytes that went down. None is
 * reset: Node 20 may wait for ever for one that was when the process is to end.
 */
export async function startProxy(addr) {
  const [host, port] = addr.split(':');
  const pairs = new Set();
  const proxy = { refuse: null, sent: 0, down: false };
  const server = net.createServer((client) => {
    const gateway = net.connect({ host, port });
    const pair = () => {
      client.destroy();
      gateway.destroy();
      pairs.delete(pair);
    };
    pairs.add(pair);
    if (proxy.down) return pair();
    for (const socket of [client, gateway]) socket.on('error', pair).on('close', pair);
    client.once('data', (head) => proxy.refuse?.(head.toString('latin1')) && pair());
    gateway.on('data', (chunk) => (proxy.sent += chunk.length));
    client.pipe(gateway).pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  proxy.cut = () => pairs.forEach((pair) => pair());
  proxy.stop = () => {
    server.close();
    proxy.cut();
  };
  return proxy;
}

/** Starts Chromium. It is closed when the test ends. */
export async function startBrowser(t) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  t.after(() => browser.close());
  return browser;
}

/** Waits until check gives something true, which it resolves with. */
export async function until(what, check, ms = patience) {
  const end = Date.now() + ms;
  let last;
  for (;;) {
    last = await check();
    if (last) return last;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain: ${typeof what === 'function' ? what() : what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
