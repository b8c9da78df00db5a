// npm graphql-ws, graphql-sse in both of its modes, and subscriptions-transport-ws, which speaks the old
// subprotocol, against the handler alone and against the provider in a gateway.

import test from 'node:test';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createClient as createSSE } from 'graphql-sse';
import { createClient as createWS } from 'graphql-ws';
import old from 'subscriptions-transport-ws';
import WebSocket from 'ws';
import { startProxy, until } from '../live.mjs';
import { startServed, wsURL } from './served.mjs';

const { servers, stop } = await startServed();
test.after(() => stop());

/** What a client is told: its data and errors in order; it throws what refuses the operation. */
async function heard(results) {
  const list = [];
  for await (const result of results) list.push(result);
  return list;
}

/** The old client's observable as what the others give. */
function iterate(client, request) {
  const waiting = [];
  let wake = () => {};
  const put = (item) => {
    waiting.push(item);
    wake();
  };
  const { unsubscribe } = client.request(request).subscribe({ next: (value) => put({ value }), error: (error) => put({ error }), complete: () => put({ done: true }) });
  return {
    async *[Symbol.asyncIterator]() {
      try {
        for (;;) {
          while (waiting.length === 0) await new Promise((resolve) => (wake = resolve));
          const { value, error, done } = waiting.shift();
          if (error) throw error;
          if (done) return;
          yield value;
        }
      } finally {
        unsubscribe();
      }
    },
  };
}

/**
 * The clients: iterate(request) gives the responses, dispose() ends the connection. Where reconnect is not
 * asked for, a client gives up at the first failure.
 */
const clients = {
  'graphql-ws': (url, { token, reconnect = 0, onConnected } = {}) => {
    const client = createWS({ url: wsURL(url), webSocketImpl: WebSocket, connectionParams: token && { token }, retryAttempts: reconnect, retryWait: pause, shouldRetry: () => true, on: { connected: onConnected } });
    return { iterate: (request) => client.iterate(request), dispose: () => client.dispose() };
  },
  'graphql-sse, distinct': (url, options) => sse(url, false, options),
  'graphql-sse, single': (url, options) => sse(url, true, options),
  'subscriptions-transport-ws': (url, { token, reconnect = 0, onConnected } = {}) => {
    const client = new old.SubscriptionClient(wsURL(url), { connectionParams: token && { token }, reconnect: reconnect > 0, reconnectionAttempts: reconnect, connectionCallback: onConnected }, WebSocket);
    client.onReconnected(() => onConnected?.());
    const dispose = () => {
      client.close(true, true);
      client.clearCheckConnectionInterval(); // which close forgets where the connection has gone by itself
    };
    return { iterate: (request) => iterate(client, request), dispose };
  },
};

function sse(url, singleConnection, { token, reconnect = 0, onConnected } = {}) {
  const client = createSSE({ url, singleConnection, headers: token && { Authorization: `Bearer ${token}` }, retryAttempts: reconnect, retry: pause, onNonLazyError: () => {}, on: { connected: onConnected } });
  return { iterate: (request) => client.iterate(request), dispose: () => client.dispose() };
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 20));
const isSSE = (name) => name.startsWith('graphql-sse');
const transport = (name) => (isSSE(name) ? 'sse' : 'websocket');

async function ask(url, query) {
  const response = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ query }) });
  return (await response.json()).data;
}

const allClosed = (url) => until('all sources have ended', async () => (await ask(url, '{ open }')).open === 0);
const numbers = (to) => Array.from({ length: to }, (_, i) => ({ data: { count: i + 1 } }));
const count = (to, every = 0) => ({ query: 'subscription Count($to: Int!, $every: Int!) { count(to: $to, every: $every) }', operationName: 'Count', variables: { to, every } });

for (const [place, url] of Object.entries(servers)) {
  for (const [name, create] of Object.entries(clients)) {
    /** A test with a client that is disposed of at its end. */
    const check = (what, body) => test(`subscriptions: ${name}, ${place}: ${what}`, { timeout: 120_000 }, async (t) => {
      const client = create(url);
      t.after(() => client.dispose());
      await body(client, t);
      client.dispose();
      await allClosed(url);
    });

    check('queries, mutations and subscriptions', async (client) => {
      assert.deepEqual(await heard(client.iterate({ query: '{ hello }' })), [{ data: { hello: 'hello world' } }]);
      assert.deepEqual(await heard(client.iterate({ query: 'mutation($v: Int!) { set(value: $v) }', variables: { v: 7 } })), [{ data: { set: 7 } }]);
      assert.deepEqual(await heard(client.iterate(count(3, 5))), numbers(3));
      assert.deepEqual(await heard(client.iterate(count(0))), []);
      assert.deepEqual(await heard(client.iterate({ query: 'subscription { who }' })), [{ data: { who: `nobody by ${transport(name)}` } }]);
    });

    check('many events in their order', async (client) => {
      assert.deepEqual(await heard(client.iterate(count(5000))), numbers(5000));
    });

    check('many operations at once', async (client) => {
      const all = await Promise.all(Array.from({ length: 20 }, (_, i) => heard(client.iterate(count(10 + i, 1)))));
      all.forEach((list, i) => assert.deepEqual(list, numbers(10 + i)));
    });

    check('an event fails and the stream goes on', async (client) => {
      const list = await heard(client.iterate({ query: 'subscription { broken }' }));
      assert.deepEqual(list.map((r) => r.data), [{ broken: 1 }, { broken: null }, { broken: 3 }]);
      assert.deepEqual(list[1].errors, [{ message: 'one event fails', locations: [{ line: 1, column: 16 }], path: ['broken'] }]);
      assert.ok(!('errors' in list[0]) && !('errors' in list[2]));
    });

    for (const [what, request, message] of [
      ['a source that cannot be made', { query: 'subscription { refused }' }, /^there is no source$/],
      ['a document that is not valid', { query: 'subscription { nope }' }, /^Cannot query field "nope"/],
      ['a document that is none', { query: 'subscription {' }, /^Syntax Error/],
      ['variables that are wrong', { ...count(1), variables: { to: 'x', every: 0 } }, /^Variable "\$to" got invalid value/],
    ]) {
      check(`${what} is told, and the connection serves on`, async (client) => {
        const text = await refused(client, request);
        if (text !== null) assert.match(text, message);
        else assert.equal(name, 'graphql-sse, single');
        assert.deepEqual(await heard(client.iterate(count(2))), numbers(2));
      });
    }

    check('who leaves an operation ends its source alone', async (client) => {
      const other = heard(client.iterate(count(100, 5)));
      for await (const result of client.iterate({ query: 'subscription { forever }' })) {
        assert.deepEqual(result, { data: { forever: 'begun' } });
        break;
      }
      assert.deepEqual(await other, numbers(100));
      await allClosed(url);
    });

    test(`subscriptions: ${name}, ${place}: a client that vanishes ends its sources`, { timeout: 120_000 }, async (t) => {
      const proxy = await startProxy(new URL(url).host);
      t.after(proxy.stop);
      const client = create(new URL('/graphql', proxy.url).href);
      t.after(() => client.dispose());
      const operations = [1, 2, 3].map(() => client.iterate({ query: 'subscription { forever }' })[Symbol.asyncIterator]());
      for (const o of operations) assert.deepEqual((await o.next()).value, { data: { forever: 'begun' } });
      assert.equal((await ask(url, '{ open }')).open, 3);
      const ends = operations.map((o) => o.next().then(() => 'ended', () => 'failed'));
      proxy.stop();
      await allClosed(url);
      if (name !== 'subscriptions-transport-ws') assert.deepEqual(await Promise.all(ends), ['failed', 'failed', 'failed']);
    });

    test(`subscriptions: ${name}, ${place}: a client whose connection is cut comes back`, { timeout: 120_000 }, async (t) => {
      const proxy = await startProxy(new URL(url).host);
      t.after(proxy.stop);
      let connected = 0;
      const client = create(new URL('/graphql', proxy.url).href, { reconnect: 20, onConnected: () => connected++ });
      t.after(() => client.dispose());
      const list = [];
      for await (const { data } of client.iterate(count(60, 5))) {
        if (list.push(data.count) === 20) proxy.cut();
      }
      const again = list.lastIndexOf(1);
      assert.ok(again >= 20, 'the operation was begun again');
      assert.deepEqual(list.slice(again), numbers(60).map((r) => r.data.count));
      if (name !== 'graphql-sse, distinct') assert.ok(connected >= 2, `${connected} connections`);
      client.dispose();
      await allClosed(url);
    });
  }
}

/**
 * The text of what refuses a request: clients of WebSocket throw it, those of event streams are sent it. In the
 * single connection mode it is the body of 400, as from graphql-sse's own server, and this client does not
 * read it.
 */
async function refused(client, request) {
  try {
    const list = await heard(client.iterate(request));
    assert.ok(list.every((r) => !('data' in r) || r.data === undefined), JSON.stringify(list));
    return list[0].errors[0].message;
  } catch (error) {
    if (error.response?.status === 400) return null;
    return [error].flat()[0].message;
  }
}

for (const [name, create] of Object.entries(clients)) {
  test(`subscriptions: ${name}: a gateway knows who comes with a token, and refuses a wrong one`, { timeout: 120_000 }, async (t) => {
    const known = create(servers.gateway, { token: 'let-me-in' });
    t.after(() => known.dispose());
    assert.deepEqual(await heard(known.iterate({ query: 'subscription { who }' })), [{ data: { who: `ann by ${transport(name)}` } }]);
    if (name === 'subscriptions-transport-ws') return; // it waits for ever, whatever it is told; see the next test
    const unknown = create(servers.gateway, { token: 'wrong' });
    t.after(() => unknown.dispose());
    const error = await heard(unknown.iterate({ query: 'subscription { who }' })).then(() => assert.fail('admitted'), (e) => e);
    if (isSSE(name)) assert.equal(error.response?.status, 401, error);
    else assert.equal(error.code, 4403, error);
  });
}

test('subscriptions: subscriptions-transport-ws is told why it is refused', { timeout: 120_000 }, async () => {
  const socket = new WebSocket(wsURL(servers.gateway), 'graphql-ws');
  const messages = [];
  socket.on('message', (data) => messages.push(JSON.parse(data)));
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init', payload: { token: 'wrong' } }));
  const [code] = await once(socket, 'close');
  assert.equal(code, 4403);
  assert.deepEqual(messages.map((m) => m.type), ['connection_error']);
});
