// Apollo Client, against the handler alone and against the provider in a gateway: operations over HTTP and by
// graphql-ws, @defer and @stream in both formats that it reads, uploads by apollo-upload-client.

import test from 'node:test';
import assert from 'node:assert/strict';
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { Defer20220824Handler, GraphQL17Alpha9Handler } from '@apollo/client/incremental';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import UploadHttpLink from 'apollo-upload-client/UploadHttpLink.mjs';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { startServed, wsURL } from './served.mjs';

const { servers, stop } = await startServed();
test.after(() => stop());

const handlers = { 'by path and label': Defer20220824Handler, 'by id': GraphQL17Alpha9Handler };

/** A client; links says what carries queries and mutations. seen has the formats in which it was answered. */
function connect(t, url, Handler, { carrier = 'http', seen = [] } = {}) {
  const socket = createClient({ url: wsURL(url), webSocketImpl: WebSocket, retryAttempts: 0 });
  const overSocket = new GraphQLWsLink(socket);
  const watched = async (...args) => {
    const response = await fetch(...args);
    seen.push(response.headers.get('content-type'));
    return response;
  };
  const links = { http: new HttpLink({ uri: url, fetch: watched }), upload: new UploadHttpLink({ uri: url, fetch: watched, headers: { 'Apollo-Require-Preflight': 'true' } }), socket: overSocket };
  const link = ApolloLink.split(({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION, overSocket, links[carrier]);
  const client = new ApolloClient({ link, cache: new InMemoryCache(), incrementalHandler: new Handler(), defaultOptions: { watchQuery: { errorPolicy: 'all' } } });
  t.after(() => {
    client.stop();
    return socket.dispose();
  });
  return client;
}

/** All that an observable gives; it throws what that ends with. */
function all(observable) {
  const list = [];
  return new Promise((resolve, reject) => observable.subscribe({ next: (value) => list.push(value), error: reject, complete: () => resolve(list) }));
}

/** What is shown, without what Apollo adds. */
const plain = (value) => JSON.parse(JSON.stringify(value, (key, v) => (key === '__typename' ? undefined : v)));

/** What a query has shown, from the first data to the last. */
function watch(client, query) {
  const shown = [];
  return new Promise((resolve, reject) => {
    const subscription = client.watchQuery({ query: gql(query), fetchPolicy: 'network-only', notifyOnNetworkStatusChange: true }).subscribe({
      next: (result) => {
        if (result.data) shown.push({ data: plain(result.data), dataState: result.dataState, errors: result.error?.errors });
        if (!result.loading) setTimeout(() => resolve(shown) || subscription.unsubscribe());
      },
      error: reject,
    });
  });
}

for (const [place, url] of Object.entries(servers)) {
  test(`apollo: ${place}: queries, mutations and their errors`, { timeout: 120_000 }, async (t) => {
    const client = connect(t, url, GraphQL17Alpha9Handler);
    assert.deepEqual((await client.query({ query: gql('query($n: String!) { hello(name: $n) }'), variables: { n: 'you' } })).data, { hello: 'hello you' });
    assert.deepEqual((await client.mutate({ mutation: gql('mutation { set(value: 7) }') })).data, { set: 7 });
    const failed = await client.query({ query: gql('{ person { id secret } }'), errorPolicy: 'all' });
    assert.deepEqual(failed.error.errors.map(({ message, path }) => ({ message, path })), [{ message: 'it is a secret', path: ['person', 'secret'] }]);
    await assert.rejects(client.query({ query: gql('{ nope }') }), /Cannot query field "nope"/);
  });

  test(`apollo: ${place}: subscriptions by graphql-ws`, { timeout: 120_000 }, async (t) => {
    const client = connect(t, url, GraphQL17Alpha9Handler);
    const events = await all(client.subscribe({ query: gql('subscription($to: Int!) { count(to: $to, every: 1) }'), variables: { to: 5 } }));
    assert.deepEqual(events.map((e) => e.data.count), [1, 2, 3, 4, 5]);
    const broken = await all(client.subscribe({ query: gql('subscription { broken }'), errorPolicy: 'all' }));
    assert.deepEqual(broken.map((e) => e.data?.broken ?? null), [1, null, 3]);
    assert.match(broken[1].error.message, /one event fails/);
  });

  for (const [format, Handler] of Object.entries(handlers)) {
    test(`apollo: ${place}: @defer, told ${format}`, { timeout: 120_000 }, async (t) => {
      const seen = [];
      const shown = await watch(connect(t, url, Handler, { seen }), '{ person { id name ... @defer { story friends { id ... @defer { story } } } } }');
      assert.match(seen[0], Handler === Defer20220824Handler ? /^multipart\/mixed.*deferSpec=20220824/ : /^multipart\/mixed.*incrementalSpec=v0\.2/);
      assert.deepEqual(shown[0].data, { person: { id: '1', name: 'Ada' } });
      assert.equal(shown[0].dataState, 'streaming');
      const friends = [['2', 'Bea'], ['3', 'Cai'], ['4', 'Dan']].map(([id, name]) => ({ id, story: `the story of ${name}` }));
      assert.deepEqual(shown.at(-1).data, { person: { id: '1', name: 'Ada', story: 'the story of Ada', friends } });
      assert.equal(shown.at(-1).dataState, 'complete');
    });

    test(`apollo: ${place}: what is deferred and fails, told ${format}`, { timeout: 120_000 }, async (t) => {
      const shown = await watch(connect(t, url, Handler), '{ person { id ... @defer { secret } } }');
      assert.deepEqual(shown.at(-1).data, { person: { id: '1' } });
      assert.deepEqual(shown.at(-1).errors.map((e) => e.message), ['it is a secret']);
    });

    test(`apollo: ${place}: @stream, told ${format}`, { timeout: 120_000 }, async (t) => {
      const shown = await watch(connect(t, url, Handler), '{ person { id friends @stream(initialCount: 1) { id story } } }');
      assert.deepEqual(shown[0].data.person.friends.map((f) => f.id), ['2']);
      assert.deepEqual(shown.at(-1).data.person.friends.map((f) => f.story), ['the story of Bea', 'the story of Cai', 'the story of Dan']);
    });
  }

  test(`apollo: ${place}: @defer by graphql-ws, where the one format is that by id`, { timeout: 120_000 }, async (t) => {
    const shown = await watch(connect(t, url, GraphQL17Alpha9Handler, { carrier: 'socket' }), '{ person { id ... @defer { story } } }');
    assert.deepEqual(shown[0].data, { person: { id: '1' } });
    assert.deepEqual(shown.at(-1).data, { person: { id: '1', story: 'the story of Ada' } });
  });

  test(`apollo: ${place}: uploads`, { timeout: 120_000 }, async (t) => {
    const client = connect(t, url, GraphQL17Alpha9Handler, { carrier: 'upload' });
    // Node 20 has no global File; apollo-upload-client takes a Blob as well, and names it "blob".
    const files = ['one', 'two'].map((text) => new Blob([text], { type: 'text/plain' }));
    const { data } = await client.mutate({ mutation: gql('mutation($files: [Upload!]!) { store(files: $files) }'), variables: { files } });
    assert.deepEqual(data.store, ['blob text/plain one', 'blob text/plain two']);
  });
}
