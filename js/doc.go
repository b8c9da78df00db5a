// Package commjs holds comm.js, the client of a comm gateway for browsers and Node: one ES module
// without dependencies that speaks the client protocol (PROTOCOL.md) over WebSocket, else
// Server-Sent Events with POST, else long polling, and comm.d.ts, its types and documentation.
//
// A service that serves web pages serves the module beside them:
//
//	mux.Handle("/js/", http.StripPrefix("/js", commjs.Handler()))
//
// and a page uses it:
//
//	import { connect } from '/js/comm.js';
//	const client = connect('/', { groups: ['lobby'] });
//	client.on('chat.message', (m) => console.log(m.from, m.content));
//	await client.ready();
//	await client.send('chat.message', { text: 'hello' });
//
// The module comm.wt.js adds WebTransport as the first choice, for browsers that have it and gateways that serve
// HTTP/3 (package commquic):
//
//	import { webTransport } from '/js/comm.wt.js';
//	const client = connect('/', { webTransport });
//
// Use [Source] to put the module into a bundle or under another name.
package commjs
