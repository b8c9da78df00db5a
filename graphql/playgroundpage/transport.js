// How operations reach the server and what it says comes back.

/** Executes a query or mutation once; gives {status, body}. */
export async function post(url, request, headers, signal) {
  const accept = 'application/graphql-response+json, application/json;q=0.9';
  const response = await send(url, request, headers, signal, accept);
  return { status: `${response.status} ${response.statusText}`, body: parse(await response.text()) };
}

const send = (url, request, headers, signal, accept) =>
  fetch(url, { method: 'POST', headers: { ...headers, accept, 'content-type': 'application/json' }, body: JSON.stringify(request), signal });

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * Subscribes over WebSocket, or as an event stream where the socket is refused, and calls take for each
 * response and opened with the carrier's name. It ends when the operation does or signal stops it.
 */
export async function subscribe(url, request, headers, signal, { take, opened }) {
  if (await bySocket(url, request, headers, signal, { take, opened })) return;
  await byStream(url, request, headers, signal, { take, opened });
}

/** Speaks graphql-transport-ws; gives false where it was never acknowledged. */
function bySocket(url, request, headers, signal, { take, opened }) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, 'graphql-transport-ws');
    const say = (message) => socket.send(JSON.stringify(message));
    const late = setTimeout(() => socket.close(), 5000);
    let acknowledged = false;
    const end = () => {
      if (acknowledged && socket.readyState === WebSocket.OPEN && signal.aborted) say({ id: '1', type: 'complete' });
      socket.close(1000);
      resolve(true);
    };
    signal.addEventListener('abort', end);
    socket.onopen = () => say({ type: 'connection_init', payload: headers });
    socket.onmessage = ({ data }) => {
      const { type, payload } = JSON.parse(data);
      if (type === 'ping') say({ type: 'pong', payload });
      if (type === 'next') take(payload);
      if (type === 'error') take({ errors: payload });
      if (type === 'complete' || type === 'error') end();
      if (type !== 'connection_ack') return;
      acknowledged = true;
      clearTimeout(late);
      opened('WebSocket');
      say({ id: '1', type: 'subscribe', payload: request });
    };
    socket.onclose = ({ code, reason }) => {
      clearTimeout(late);
      if (acknowledged) reject(new Error(`The connection was closed: ${code} ${reason}`));
      else resolve(signal.aborted);
    };
  });
}

/** Reads an event stream of graphql-sse in its distinct connections mode. */
async function byStream(url, request, headers, signal, { take, opened }) {
  const response = await send(url, request, headers, signal, 'text/event-stream');
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) return take(parse(await response.text()));
  opened('Server-Sent Events');
  let rest = '';
  for (const reader = response.body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split(/\r?\n\r?\n/);
    rest = events.pop();
    for (const event of events) {
      const lines = (name) => event.split(/\r?\n/).filter((l) => l.startsWith(`${name}:`)).map((l) => l.slice(name.length + 1).trimStart());
      if (lines('event')[0] === 'next') take(parse(lines('data').join('\n')));
      if (lines('event')[0] === 'complete') return reader.cancel();
    }
  }
}
