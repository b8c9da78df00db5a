// relay-runtime, against the handler alone and against the provider in a gateway. Its artifacts are written here as
// its compiler makes them. A network layer is the application's with Relay: this one is fetch and graphql-ws.
//
// Relay reads parts by path and label, one fragment or one element of a list each. That is the format of
// deferSpec=20220824 once its lists are taken apart. The format by id cannot be given to it: there the fields that
// two fragments select come with one of them, and Relay takes those that a fragment lacks for missing.

import test from 'node:test';
import assert from 'node:assert/strict';
import { createClient } from 'graphql-ws';
import relay from 'relay-runtime';
import WebSocket from 'ws';
import { startServed, wsURL } from './served.mjs';

const { commitMutation, Environment, fetchQuery, Network, Observable, RecordSource, requestSubscription, Store } = relay;
const { servers, stop } = await startServed();
test.after(() => stop());

const variable = (name) => ({ kind: 'Variable', name, variableName: name });
const scalar = (name, args = null) => ({ kind: 'ScalarField', alias: null, args, name, storageKey: null });
const linked = (name, concreteType, plural, selections) => ({ kind: 'LinkedField', alias: null, args: null, concreteType, name, plural, selections, storageKey: null });

/** What the compiler makes of an operation. read has the selections that are read, where they are not those that are written. */
function request(operationKind, name, text, variables, selections, read = selections) {
  const argumentDefinitions = variables.map((v) => ({ kind: 'LocalArgument', name: v, defaultValue: null }));
  const type = { query: 'Query', mutation: 'Mutation', subscription: 'Subscription' }[operationKind];
  return {
    kind: 'Request',
    fragment: { kind: 'Fragment', name, type, metadata: null, argumentDefinitions, selections: read, abstractKey: null },
    operation: { kind: 'Operation', name, argumentDefinitions, selections },
    params: { id: null, cacheID: name, metadata: {}, name, operationKind, text },
  };
}

const hello = request('query', 'HelloQuery', 'query HelloQuery($name: String!) { hello(name: $name) }', ['name'], [scalar('hello', [variable('name')])]);
const set = request('mutation', 'SetMutation', 'mutation SetMutation($value: Int!) { set(value: $value) }', ['value'], [scalar('set', [variable('value')])]);
const store = request('mutation', 'StoreMutation', 'mutation StoreMutation($files: [Upload!]!) { store(files: $files) }', ['files'], [scalar('store', [variable('files')])]);
const count = request('subscription', 'CountSubscription', 'subscription CountSubscription($to: Int!, $every: Int!) { count(to: $to, every: $every) }', ['to', 'every'], [scalar('count', [variable('to'), variable('every')])]);
const secret = request('query', 'SecretQuery', 'query SecretQuery { person { id secret } }', [], [linked('person', 'Person', false, [scalar('id'), scalar('secret')])]);

const person = (...selections) => [linked('person', 'Person', false, [scalar('id'), ...selections])];
const deferred = request(
  'query', 'DeferQuery', 'query DeferQuery { person { id ...Story @defer(label: "DeferQuery$defer$Story") } } fragment Story on Person { id story }', [],
  person({ kind: 'Defer', if: null, label: 'DeferQuery$defer$Story', selections: [scalar('story')] }),
  person({ kind: 'Defer', selections: [{ kind: 'FragmentSpread', name: 'Story', args: null }] }),
);
const friends = linked('friends', 'Person', true, [scalar('id'), scalar('story')]);
const streamed = request(
  'query', 'StreamQuery', 'query StreamQuery { person { id friends @stream(label: "StreamQuery$stream$friends", initialCount: 1) { id story } } }', [],
  person({ kind: 'Stream', if: null, label: 'StreamQuery$stream$friends', selections: [friends] }),
  person({ kind: 'Stream', selections: [friends] }),
);

/** The parts of a response as they come. */
async function* parts(response) {
  const boundary = `\r\n--${/boundary="?([^";]+)/.exec(response.headers.get('content-type'))[1]}`;
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    for (let end; (end = text.indexOf(boundary)) >= 0; text = text.slice(end + boundary.length)) {
      const body = text.slice(0, end).split('\r\n\r\n')[1];
      if (body) yield JSON.parse(body);
    }
  }
}

/** One response as those that Relay reads. */
function* forRelay({ incremental, hasNext, ...first }) {
  const extensions = { is_final: !hasNext };
  if ('data' in first) yield { ...first, extensions };
  for (const { data, items, path, ...others } of incremental ?? []) {
    if (!items) yield { data, path, ...others, extensions };
    for (const [i, item] of items?.entries() ?? []) yield { data: item, path: [...path.slice(0, -1), path.at(-1) + i], ...others, extensions };
  }
}

function form(operation, { files }) {
  const body = new FormData();
  body.set('operations', JSON.stringify({ ...operation, variables: { files: files.map(() => null) } }));
  body.set('map', JSON.stringify(Object.fromEntries(files.map((_, i) => [i, [`variables.files.${i}`]]))));
  files.forEach((file, i) => body.set(String(i), file, `${i}.txt`));
  return body;
}

function environment(t, url) {
  const socket = createClient({ url: wsURL(url), webSocketImpl: WebSocket, retryAttempts: 0 });
  t.after(() => socket.dispose());
  const ask = async (sink, { text: query, name: operationName }, variables, uploads) => {
    const headers = { Accept: 'multipart/mixed;deferSpec=20220824, application/json', 'GraphQL-Require-Preflight': '1' };
    if (!uploads) headers['Content-Type'] = 'application/json';
    const body = uploads ? form({ query, operationName }, uploads) : JSON.stringify({ query, operationName, variables });
    const response = await fetch(url, { method: 'POST', headers, body });
    if (!response.headers.get('content-type').startsWith('multipart/mixed')) return sink.next(await response.json());
    for await (const part of parts(response)) for (const r of forRelay(part)) sink.next(r);
  };
  const execute = (params, variables, _, uploads) => Observable.create((sink) => void ask(sink, params, variables, uploads).then(() => sink.complete(), sink.error));
  const subscribe = ({ text: query, name: operationName }, variables) => Observable.create((sink) => socket.subscribe({ query, operationName, variables }, sink));
  return new Environment({ network: Network.create(execute, subscribe), store: new Store(new RecordSource()) });
}

const mutate = (env, mutation, variables, uploadables) =>
  new Promise((onCompleted, onError) => commitMutation(env, { mutation, variables, uploadables, onCompleted, onError }));

/** What the store has of a field, each time that the query's data or a part of it has come. */
async function watch(env, operation, of) {
  const shown = [];
  await new Promise((complete, error) => env.execute({ operation: relay.createOperationDescriptor(operation, {}) }).subscribe({ next: () => shown.push(of(env.getStore().getSource())), complete, error }));
  return shown;
}

for (const [place, url] of Object.entries(servers)) {
  test(`relay: ${place}: queries, mutations and their errors`, { timeout: 120_000 }, async (t) => {
    const env = environment(t, url);
    assert.deepEqual(await fetchQuery(env, hello, { name: 'you' }).toPromise(), { hello: 'hello you' });
    assert.deepEqual(await mutate(env, set, { value: 7 }), { set: 7 });
    await assert.rejects(fetchQuery(env, secret, {}).toPromise(), /it is a secret/);
  });

  test(`relay: ${place}: subscriptions by graphql-ws`, { timeout: 120_000 }, async (t) => {
    const env = environment(t, url);
    const events = [];
    await new Promise((onCompleted, onError) => requestSubscription(env, { subscription: count, variables: { to: 5, every: 1 }, onNext: (data) => events.push(data.count), onCompleted, onError }));
    assert.deepEqual(events, [1, 2, 3, 4, 5]);
  });

  test(`relay: ${place}: @defer`, { timeout: 120_000 }, async (t) => {
    const shown = await watch(environment(t, url), deferred, (source) => source.get('1')?.story);
    assert.deepEqual([shown[0], shown.at(-1)], [undefined, 'the story of Ada']);
  });

  test(`relay: ${place}: @stream`, { timeout: 120_000 }, async (t) => {
    const shown = await watch(environment(t, url), streamed, (source) => source.get('1').friends.__refs.map((id) => source.get(id).story));
    assert.deepEqual(shown[0], ['the story of Bea']);
    assert.deepEqual(shown.at(-1), ['the story of Bea', 'the story of Cai', 'the story of Dan']);
  });

  test(`relay: ${place}: uploads`, { timeout: 120_000 }, async (t) => {
    const files = ['one', 'two'].map((text) => new Blob([text], { type: 'text/plain' }));
    const data = await mutate(environment(t, url), store, { files: [] }, { files });
    assert.deepEqual(data.store, ['0.txt text/plain one', '1.txt text/plain two']);
  });
}
