// How operations reach the server and what it says comes back.

const send = (url, request, headers, signal, accept) =>
	fetch(url, { method: 'POST', headers: { ...headers, accept, 'content-type': 'application/json' }, body: JSON.stringify(request), signal });

/** Executes a query or mutation; gives the status and the body. */
export async function post(url, request, headers, signal) {
	const response = await send(url, request, headers, signal, 'application/graphql-response+json');
	return [`${response.status} ${response.statusText}`, parse(await response.text())];
}

function parse(text) {
	try {
		return JSON.parse(text);
	} catch {
		return text;
	}
}

/**
 * Subscribes over WebSocket, or by an event stream where the socket is refused, and calls opened with the
 * name of the carrier and take with each response. It ends when the operation does, or by signal.
 */
export async function subscribe(url, request, headers, signal, opened, take) {
	if (!await bySocket(url, request, headers, signal, opened, take)) await byStream(url, request, headers, signal, opened, take);
}

/** Speaks graphql-transport-ws; gives false where it was never acknowledged. */
function bySocket(url, request, headers, signal, opened, take) {
	return new Promise((resolve, reject) => {
		const socket = new WebSocket(url, 'graphql-transport-ws');
		const say = (type, payload) => socket.send(JSON.stringify({ id: '1', type, payload }));
		const late = setTimeout(() => socket.close(), 5000);
		let acknowledged = false;
		const end = () => {
			socket.close(1000);
			resolve(true);
		};
		const hear = {
			connection_ack() {
				clearTimeout(late);
				acknowledged = true;
				opened('WebSocket');
				say('subscribe', request);
			},
			ping: () => socket.send('{"type":"pong"}'),
			next: take,
			error: (errors) => end(take({ errors })),
			complete: end,
		};
		signal.addEventListener('abort', end);
		socket.onopen = () => socket.send(JSON.stringify({ type: 'connection_init', payload: headers }));
		socket.onmessage = ({ data }) => {
			const { type, payload } = JSON.parse(data);
			hear[type]?.(payload);
		};
		socket.onclose = ({ code, reason }) => {
			clearTimeout(late);
			if (acknowledged) reject(new Error(`The connection was closed: ${code} ${reason}`));
			else resolve(signal.aborted);
		};
	});
}

/** Reads an event stream of graphql-sse. */
async function byStream(url, request, headers, signal, opened, take) {
	const response = await send(url, request, headers, signal, 'text/event-stream');
	if (!/^text\/event-stream/.test(response.headers.get('content-type'))) return take(parse(await response.text()));
	opened('Server-Sent Events');
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	for (let rest = '', chunk; !(chunk = await reader.read()).done;) {
		const events = (rest + chunk.value).replaceAll('\r\n', '\n').split('\n\n');
		rest = events.pop();
		for (const event of events) {
			const data = [...event.matchAll(/^data: ?(.*)/gm)].map((line) => line[1]).join('\n');
			if (/^event: ?next$/m.test(event)) take(parse(data));
			if (/^event: ?complete$/m.test(event)) return reader.cancel();
		}
	}
}
