// gRPC-Web without a proxy: @connectrpc/connect-web and npm grpc-web against examples/gateway, in Node and on
// pages of Chromium. The pages are of another origin than the gateway, which is what gRPC-Web is for.

import test from 'node:test';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, writeFile, mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';
import { start, startBrowser } from './live.mjs';
import { scenario } from './grpcweb/scenario.mjs';

const url = process.env.GATEWAY_URL;
const set = await readFile(process.env.HUB_DESCRIPTOR);
const folder = import.meta.dirname;

/** What every client must have seen. */
function check(seen, streams) {
  assert.equal(seen.failed, undefined, seen.message);
  if (streams) {
    assert.equal(seen.texts, 20);
    assert.equal(seen.wrong, 0, 'all came whole and in order');
    assert.equal(seen.ops[0], 3, 'welcome comes first');
    assert.ok(seen.listed, 'the stream is in the registry');
  }
  assert.deepEqual(seen.refusals, { absent: 'NOT_FOUND', target: 'NOT_FOUND', ...(streams ? { late: 'DEADLINE_EXCEEDED' } : {}) });
  assert.equal(seen.stats, 'comm.v1.GetStatsResponse');
}

test('gRPC-Web: connect-web in Node', async () => {
  const { connectWeb } = await import('./grpcweb/clients.mjs');
  check(await scenario(connectWeb(url, set), 'web-node-connect'), true);
});

// npm grpc-web is for browsers; npm xhr2 is the XMLHttpRequest that it is used with in Node.
test('gRPC-Web: npm grpc-web in Node', async (t) => {
  globalThis.XMLHttpRequest = createRequire(import.meta.url)('xhr2');
  t.after(() => delete globalThis.XMLHttpRequest);
  const { grpcWeb } = await import('./grpcweb/clients.mjs');
  for (const format of ['text', 'binary']) check(await scenario(grpcWeb(url, set, format), `web-node-${format}`, false), false);
});

/** Where a page finds the modules that it names. */
const imports = {
  'grpc-web': '/node_modules/grpc-web/index.esm.js',
  '@connectrpc/connect-web': '/node_modules/@connectrpc/connect-web/dist/esm/index.js',
  '@connectrpc/connect': '/node_modules/@connectrpc/connect/dist/esm/index.js',
  '@connectrpc/connect/protocol': '/node_modules/@connectrpc/connect/dist/esm/protocol/index.js',
  '@connectrpc/connect/protocol-connect': '/node_modules/@connectrpc/connect/dist/esm/protocol-connect/index.js',
  '@connectrpc/connect/protocol-grpc': '/node_modules/@connectrpc/connect/dist/esm/protocol-grpc/index.js',
  '@connectrpc/connect/protocol-grpc-web': '/node_modules/@connectrpc/connect/dist/esm/protocol-grpc-web/index.js',
  '@bufbuild/protobuf': '/node_modules/@bufbuild/protobuf/dist/esm/index.js',
  '@bufbuild/protobuf/wkt': '/node_modules/@bufbuild/protobuf/dist/esm/wkt/index.js',
  '@bufbuild/protobuf/wire': '/node_modules/@bufbuild/protobuf/dist/esm/wire/index.js',
  '@bufbuild/protobuf/reflect': '/node_modules/@bufbuild/protobuf/dist/esm/reflect/index.js',
  '@bufbuild/protobuf/codegenv2': '/node_modules/@bufbuild/protobuf/dist/esm/codegenv2/index.js',
};

/** Serves a page with the clients; gives its origin. */
async function servePage(t) {
  const page = `<!doctype html><title>gRPC-Web</title><script type="importmap">${JSON.stringify({ imports })}</script>`;
  const server = http.createServer(async (request, response) => {
    if (request.url === '/') return response.writeHead(200, { 'Content-Type': 'text/html' }).end(page);
    try {
      const name = path.join(folder, path.normalize(new URL(request.url, 'http://page').pathname));
      const body = await readFile(name);
      response.writeHead(200, { 'Content-Type': 'text/javascript' }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => { server.closeAllConnections(); server.close(); });
  return `http://127.0.0.1:${server.address().port}`;
}

/** Starts a gateway that allows an origin; gives its url. */
async function startGateway(t, origin) {
  const dir = await mkdtemp(path.join(tmpdir(), 'comm-grpcweb-'));
  const config = path.join(dir, 'config.json');
  await writeFile(config, JSON.stringify({ communication: { allowed_origins: [origin] } }));
  const { match, stop } = await start(process.env.GATEWAY, ['-addr', '127.0.0.1:0', '-config', config], /^The gateway is at (http:\/\/[0-9.]+:\d+)\/$/);
  t.after(async () => {
    await stop();
    await rm(dir, { recursive: true });
  });
  return match[1];
}

test('gRPC-Web: pages of another origin', async (t) => {
  const origin = await servePage(t);
  const gateway = await startGateway(t, origin);
  const browser = await startBrowser(t);
  const run = async (from, kind, format, streams) => {
    const page = await browser.newPage();
    const errors = [];
    page.on('pageerror', (e) => errors.push(String(e)));
    await page.goto(`${from}/`);
    const seen = await page.evaluate(async ({ gateway, set, kind, format, streams }) => {
      const clients = await import('/grpcweb/clients.mjs');
      const { scenario } = await import('/grpcweb/scenario.mjs');
      const client = clients[kind](gateway, Uint8Array.from(atob(set), (c) => c.charCodeAt(0)), format);
      try {
        return await scenario(client, `web-page-${kind}-${format}`, streams);
      } catch (e) {
        return { failed: e.code ?? String(e), message: e.message };
      }
    }, { gateway, set: set.toString('base64'), kind, format, streams });
    assert.deepEqual(errors, []);
    await page.close();
    return seen;
  };
  await t.test('connect-web', async () => check(await run(origin, 'connectWeb', '', true), true));
  await t.test('npm grpc-web, text', async () => check(await run(origin, 'grpcWeb', 'text', true), true));
  await t.test('npm grpc-web, binary', async () => check(await run(origin, 'grpcWeb', 'binary', false), false));
  await t.test('an origin that is not allowed', async () => {
    const seen = await run(origin.replace('127.0.0.1', 'localhost'), 'connectWeb', '', false);
    assert.equal(seen.failed, 'UNKNOWN', JSON.stringify(seen)); // the browser tells a page no more
  });
});
