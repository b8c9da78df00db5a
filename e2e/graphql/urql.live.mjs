// urql, against the handler alone and against the provider in a gateway: operations over HTTP, subscriptions by
// graphql-ws, @defer and uploads as it does them by itself.

import test from 'node:test';
import assert from 'node:assert/strict';
import { Client, fetchExchange, gql, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { startServed, wsURL } from './served.mjs';

const { servers, stop } = await startServed();
test.after(() => stop());

function connect(t, url, headers = {}) {
  const socket = createClient({ url: wsURL(url), webSocketImpl: WebSocket, retryAttempts: 0 });
  t.after(() => socket.dispose());
  const forwardSubscription = ({ query, variables }) => ({ subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }) });
  return new Client({ url, preferGetMethod: false, fetchOptions: { headers }, exchanges: [fetchExchange, subscriptionExchange({ forwardSubscription })] });
}

/** All results of an operation, until one has no next. A subscription's last event comes again so when it is over. */
function heard(source) {
  const list = [];
  return new Promise((resolve) => {
    const { unsubscribe } = source.subscribe((result) => {
      list.push(structuredClone({ data: result.data, errors: result.error?.graphQLErrors.map((e) => e.message), hasNext: result.hasNext }));
      if (!result.hasNext) setTimeout(() => unsubscribe() || resolve(list));
    });
  });
}

for (const [place, url] of Object.entries(servers)) {
  test(`urql: ${place}: queries, mutations and their errors`, { timeout: 120_000 }, async (t) => {
    const client = connect(t, url);
    assert.deepEqual((await client.query(gql('query($n: String!) { hello(name: $n) }'), { n: 'you' }).toPromise()).data, { hello: 'hello you' });
    assert.deepEqual((await client.mutation(gql('mutation { set(value: 7) }'), {}).toPromise()).data, { set: 7 });
    const { error } = await client.query(gql('{ person { id secret } }'), {}).toPromise();
    assert.deepEqual(error.graphQLErrors.map(({ message, path }) => ({ message, path })), [{ message: 'it is a secret', path: ['person', 'secret'] }]);
    assert.match((await client.query(gql('{ nope }'), {}).toPromise()).error.message, /Cannot query field "nope"/);
  });

  test(`urql: ${place}: subscriptions by graphql-ws`, { timeout: 120_000 }, async (t) => {
    const client = connect(t, url);
    const events = await heard(client.subscription(gql('subscription($to: Int!) { count(to: $to, every: 1) }'), { to: 5 }));
    assert.deepEqual(events.filter((e) => e.hasNext).map((e) => e.data.count), [1, 2, 3, 4, 5]);
    const broken = await heard(client.subscription(gql('subscription { broken }'), {}));
    assert.deepEqual(broken.filter((e) => e.hasNext).map((e) => e.data.broken), [1, null, 3]);
    assert.deepEqual(broken[1].errors, ['one event fails']);
  });

  test(`urql: ${place}: @defer`, { timeout: 120_000 }, async (t) => {
    const client = connect(t, url);
    const deferred = await heard(client.query(gql('{ person { id ... @defer { story friends { id ... @defer { story } } } } }'), {}));
    assert.deepEqual(deferred[0].data, { person: { id: '1' } });
    const friends = [['2', 'Bea'], ['3', 'Cai'], ['4', 'Dan']].map(([id, name]) => ({ id, story: `the story of ${name}` }));
    assert.deepEqual(deferred.at(-1).data, { person: { id: '1', story: 'the story of Ada', friends } });
  });

  // Told by id, urql writes the items of a list beside it: it takes the list's name for the index of the first.
  test(`urql: ${place}: @defer and @stream told by path and label`, { timeout: 120_000 }, async (t) => {
    const client = connect(t, url, { accept: 'multipart/mixed;deferSpec=20220824, application/json' });
    const deferred = await heard(client.query(gql('{ person { id ... @defer { story } } }'), {}));
    assert.deepEqual(deferred.map((r) => r.data), [{ person: { id: '1' } }, { person: { id: '1', story: 'the story of Ada' } }]);
    const streamed = await heard(client.query(gql('{ person { id friends @stream(initialCount: 1) { id story } } }'), {}));
    assert.deepEqual(streamed[0].data.person.friends.map((f) => f.id), ['2']);
    assert.deepEqual(streamed.at(-1).data.person.friends.map((f) => f.story), ['the story of Bea', 'the story of Cai', 'the story of Dan']);
  });

  test(`urql: ${place}: uploads`, { timeout: 120_000 }, async (t) => {
    const client = connect(t, url, { 'GraphQL-Require-Preflight': 'true' });
    const files = ['one', 'two'].map((text) => new Blob([text], { type: 'text/plain' }));
    const { data } = await client.mutation(gql('mutation($files: [Upload!]!) { store(files: $files) }'), { files }).toPromise();
    assert.deepEqual(data.store, ['blob text/plain one', 'blob text/plain two']);
  });
}
