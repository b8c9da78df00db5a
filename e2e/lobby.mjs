// A WebSocket client of npm ws: joins a group and prints what comes.
//
//   node lobby.mjs ws://127.0.0.1:8080/ws

import WebSocket from 'ws';

const ws = new WebSocket(process.argv[2] ?? 'ws://127.0.0.1:8080/ws');
ws.on('open', () => ws.send(JSON.stringify({ op: 'join', id: 'j1', group: 'lobby' })));
ws.on('message', (data) => console.log(data.toString()));
ws.on('close', (code) => console.log(`closed: ${code}`));
