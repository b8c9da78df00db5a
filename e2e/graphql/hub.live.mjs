// npm graphql-ws and graphql-sse as clients of the gateway's own schema: they say hello in connectionParams and
// in extensions, hear all events in one order, answer calls, and go on after a cut where their session was.

import test from 'node:test';
import assert from 'node:assert/strict';
import { createClient as createSSE } from 'graphql-sse';
import { createClient as createWS } from 'graphql-ws';
import WebSocket from 'ws';
import { startProxy, until } from '../live.mjs';

const gateway = new URL(process.env.GATEWAY_URL);
const events = `subscription { events { __typename position
  ... on HubWelcome { connection session resumed } ... on HubJoined { group } ... on HubMessage { type content place }
  ... on HubCall { id type content } ... on HubClosing { code reconnect } } }`;

/** Does an operation by a request of its own. */
async function request(query, variables) {
  const response = await fetch(new URL('/graphql', gateway), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}

const say = (group, content) =>
  request('mutation ($to: String!, $content: HubJSON) { send(to: $to, type: "chat", content: $content) { matched } }', { to: `group:${group}`, content });

/** What a client heard: all events, and its session and position as a user of it keeps them. */
function listener() {
  const kept = { list: [], session: undefined, position: undefined };
  kept.next = ({ data, errors }) => {
    assert.equal(errors, undefined, JSON.stringify(errors));
    const event = data.events;
    kept.list.push(event);
    if (event.__typename === 'HubWelcome') kept.session = event.session;
    if (event.position) kept.position = event.position;
  };
  kept.of = (name) => kept.list.filter((event) => event.__typename === name);
  kept.contents = () => kept.of('HubMessage').map((event) => event.content);
  return kept;
}

test('hub: graphql-ws resumes its session by itself', async (t) => {
  const proxy = await startProxy(gateway.host);
  t.after(proxy.stop);
  const heard = listener();
  const acknowledged = [];
  const client = createWS({
    url: `${proxy.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
    shouldRetry: () => true,
    connectionParams: () => ({ comm: { version: 1, groups: ['resumed'], session: heard.session, position: heard.position, metadata: { name: 'Ws' } } }),
    on: { connected: (_, payload) => acknowledged.push(payload.comm) },
  });
  t.after(() => client.dispose());
  const failures = [];
  client.subscribe({ query: events }, { next: heard.next, error: (error) => failures.push(error), complete: () => {} });
  await until('the group to be joined', () => heard.of('HubJoined').some((event) => event.group === 'resumed'));
  let said = 0;
  for (let round = 1; round <= 3; round++) {
    await say('resumed', ++said);
    await until('a message', () => heard.contents().length === said);
    proxy.down = true;
    proxy.cut();
    await until('the cut to be noticed', async () => (await say('resumed', ++said)).send.matched === 0);
    proxy.down = false;
    await until('what was missed', () => heard.contents().length >= said);
  }
  assert.deepEqual(heard.contents(), Array.from({ length: said }, (_, i) => i + 1));
  assert.equal(heard.of('HubWelcome').length, 4);
  assert.deepEqual(heard.of('HubWelcome').map((event) => event.resumed), [false, true, true, true]);
  assert.deepEqual(acknowledged.map((welcome) => welcome.session), Array(4).fill(heard.session));
  assert.equal(new Set(acknowledged.map((welcome) => welcome.conn)).size, 4);
  assert.deepEqual(failures, []);
});

test('hub: graphql-ws answers a call of another client, and is told why it is closed', async (t) => {
  const heard = listener();
  const closed = [];
  const client = createWS({
    url: new URL('/graphql', gateway).href.replace('http', 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: { comm: { metadata: { name: 'Callee' } } },
    on: { closed: ({ code, reason }) => closed.push(`${code} ${reason}`) },
  });
  t.after(() => client.dispose());
  const ended = new Promise((resolve) => {
    client.subscribe({ query: events }, { next: heard.next, error: resolve, complete: resolve });
  });
  await until('welcome', () => heard.of('HubWelcome').length === 1);
  const { connection } = heard.of('HubWelcome')[0];
  const called = request('mutation ($to: String) { call(to: $to, type: "double", content: 21) { content headers } }', { to: `conn:${connection}` });
  const [call] = await until('the call', () => heard.of('HubCall').length && heard.of('HubCall'));
  const replied = client.iterate({ query: 'mutation ($id: ID!, $content: HubJSON) { reply(id: $id, content: $content) }', variables: { id: call.id, content: call.content * 2 } });
  assert.deepEqual((await replied.next()).value, { data: { reply: true } });
  assert.equal((await called).call.content, 42);
  await request('mutation ($id: ID!) { close(id: $id) }', { id: connection });
  await ended;
  await until('the close', () => closed.length === 1);
  assert.deepEqual(heard.of('HubClosing').map(({ code, reconnect }) => [code, reconnect]), [['KICKED', false]]);
  assert.match(closed[0], /^4401 closed by /);
});

test('hub: a version that is not spoken is refused for good', async () => {
  const closed = [];
  const client = createWS({
    url: new URL('/graphql', gateway).href.replace('http', 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: { comm: { version: 9 } },
    on: { closed: ({ code, reason }) => closed.push(`${code} ${reason}`) },
  });
  await assert.rejects(client.iterate({ query: events }).next());
  assert.deepEqual(closed, ['4400 unsupported_version: version 9: allowed is 1']);
});

test('hub: graphql-sse says hello in extensions', async (t) => {
  await say('streamed', 'before');
  const heard = listener();
  const client = createSSE({ url: new URL('/graphql', gateway).href, retryAttempts: 0 });
  t.after(() => client.dispose());
  const extensions = { comm: { groups: ['streamed'], position: 'group:streamed@0:0', metadata: { name: 'Sse' } } };
  client.subscribe({ query: events, extensions }, { next: heard.next, error: () => {}, complete: () => {} });
  await until('what was said before', () => heard.contents().length === 1);
  await say('streamed', 'now');
  await until('what is said now', () => heard.contents().length === 2);
  assert.deepEqual(heard.list.map((event) => event.__typename), ['HubWelcome', 'HubJoined', 'HubMessage', 'HubMessage']);
  assert.deepEqual(heard.contents(), ['before', 'now']);
});
