// What each client of gRPC-Web does with the hub, in Node and in Chromium. It gives what it has seen, as JSON.

/** Waits until check gives something true. */
async function until(what, check, ms = 15_000) {
  for (const end = Date.now() + ms; ;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const content = (value) => new TextEncoder().encode(JSON.stringify(value));
const text = (frame) => JSON.parse(new TextDecoder().decode(frame.message.content)).text;
/** The i-th message, in letters of two, three and four bytes. */
const said = (i) => `${i} of 20: ${'ä€😀'.repeat(i * 50)}`;

const refused = (call) => call.then(() => 'answered', (e) => e.code ?? String(e));

/**
 * A client subscribes to a group, sends to it by unary calls and gets all in order; then it is refused in several
 * ways, and leaves. streams is false for a client that cannot stream.
 */
export async function scenario(client, group, streams = true) {
  const seen = { texts: 0, wrong: 0, ops: [] };
  let subscription;
  let conn;
  if (streams) {
    subscription = client.stream('subscribe', { groups: [group], metadata: { app: 'e2e grpc-web' } }, ({ frames }) => {
      for (const frame of frames) {
        seen.ops.push(frame.op);
        if (frame.welcome) conn = frame.welcome.conn;
        if (frame.message && text(frame) !== said(seen.texts++)) seen.wrong++;
      }
    });
    subscription.done.catch(() => {}); // looked at below
    await until('joined', () => seen.ops.includes(5));
  }
  for (let i = 0; i < 20; i++) {
    const { message } = await client.unary('send', { message: { type: 'chat.message', to: `group:${group}`, content: content({ text: said(i) }), contentType: 'application/json' } });
    if (streams && Number(message.delivery.queued) !== 1) throw new Error(`queued for ${message.delivery.queued}`);
  }
  if (streams) {
    await until('all messages', () => seen.texts >= 20);
    const { message } = await client.unary('listConnections');
    seen.listed = message.connections.some((c) => c.id === conn);
  }
  seen.refusals = {
    absent: await refused(client.unary('closeConnection', { id: 'nobody' })),
    target: await refused(client.unary('send', { message: { type: 'x', to: 'nowhere:x' } })),
  };
  if (streams) seen.refusals.late = await refused(client.stream('subscribe', { groups: ['late'] }, () => {}, 300).done);
  const stats = await client.unary('getStats', {}, { 'x-e2e': 'custom' });
  seen.stats = stats.message.$typeName;
  if (streams) {
    subscription.cancel();
    await until('the connection has gone', async () => !(await client.unary('listConnections')).message.connections.some((c) => c.id === conn));
  }
  return seen;
}
