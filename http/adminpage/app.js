// The page of a comm gateway: live connections, numbers, clients of its own, send, tap and close.
// Everything that comes from outside is put into the document as text, never as markup.

import { CommClient, SSEParser } from './comm.js';
import { webTransport } from './comm.wt.js';

const $ = (id) => document.getElementById(id);
const CARRIERS = { ws: ['WebSocket', 'websocket'], sse: ['SSE', 'sse'], poll: ['Long polling', 'http'], wt: ['WebTransport', 'quic'] };
const NAMES = { websocket: 'WebSocket', sse: 'SSE', http: 'HTTP', grpc: 'gRPC', quic: 'QUIC', graphql: 'GraphQL' };
const TOKEN = 'comm.token';
const PERIOD = 1_500;
const MAX_CLIENTS = 12;
const MAX_LINES = 200;
const MAX_TEXT = 2_000;

// ---------------------------------------------------------------------------------------------
// Small parts
// ---------------------------------------------------------------------------------------------

function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue;
    if (name in node && name !== 'list') node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined && c !== ''));
  return node;
}

function svg(tag, attrs, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attrs)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const ICONS = {
  send: 'M14 2 7 9M14 2 9.5 14 7 9 2 6.5Z',
  tap: 'M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8ZM8 6a2 2 0 1 1 0 4 2 2 0 0 1 0-4Z',
  close: 'M4 4l8 8M12 4l-8 8',
};

function iconButton(name, label, onclick) {
  const icon = svg('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' }, svg('path', { d: ICONS[name] }));
  return el('button', { type: 'button', className: `icon ${name === 'close' ? 'shut' : ''}`, title: label, 'aria-label': label, onclick }, icon);
}

// Changes text only where it differs, so that a selection survives.
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const plain = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const count = (n = 0) => (n < 10_000 ? plain.format(n) : compact.format(n));

function bytes(n = 0) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return `${i === 0 ? Math.round(n) : n.toFixed(n < 10 ? 1 : 0)} ${units[i]}`;
}

function span(ms) {
  const s = Math.max(0, Math.round(ms / 1_000));
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3_600)} h ${Math.floor((s % 3_600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3_600)} h`;
}

const since = (time) => span(Date.now() - Date.parse(time)).replace(/( min) .*/, '$1');
const millis = (ms) => (ms === undefined || ms === null ? '–' : ms < 10 ? `${ms.toFixed(2)} ms` : `${Math.round(ms)} ms`);
const clock = (at = new Date()) => new Date(at).toLocaleTimeString([], { hour12: false });
const short = (text) => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)} …` : text);
const mark = (provider) => `c-${/^[a-z]+$/.test(provider ?? '') ? provider : 'other'}`;
const protocolName = (provider) => NAMES[provider] ?? provider ?? '?';
const clientName = (provider) => (provider === 'http' ? 'Long polling' : protocolName(provider));

// ---------------------------------------------------------------------------------------------
// The gateway's API
// ---------------------------------------------------------------------------------------------

const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? '',
  set(value) {
    if (value) sessionStorage.setItem(TOKEN, value);
    else sessionStorage.removeItem(TOKEN);
    setText($('token-open'), value ? 'Token set' : 'Token');
  },
};

class APIError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function api(path, { method = 'GET', body, signal } = {}) {
  const headers = {};
  if (token.get()) headers.Authorization = `Bearer ${token.get()}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const res = await fetch(`api/${path}`, { method, headers, body, signal, cache: 'no-store' });
  if (res.ok) return res;
  const problem = await res.json().catch(() => ({}));
  throw new APIError(res.status, problem.detail || problem.title || `the gateway answered ${res.status}`);
}

const getJSON = async (path) => (await api(path)).json();

// ---------------------------------------------------------------------------------------------
// Numbers
// ---------------------------------------------------------------------------------------------

const POINTS = 60;

// One tile with its rate and the last minute and a half as a line.
class Tile {
  #points = [];
  #last = null;

  constructor(title) {
    this.value = document.createTextNode('–');
    this.unit = el('span', { className: 'unit' });
    this.more = el('span', { className: 'more' });
    this.line = svg('path', {});
    this.fill = svg('path', { class: 'fill' });
    const spark = svg('svg', { class: 'spark', viewBox: `0 0 ${POINTS - 1} 40`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, this.fill, this.line);
    this.node = el('div', { className: 'tile' }, el('dt', { textContent: title }), el('dd', {}, el('span', { className: 'value' }, this.value, this.unit)), this.more, spark);
    $('tiles').append(this.node);
  }

  show(value, unit, more, point) {
    setText(this.value, value);
    setText(this.unit, unit);
    setText(this.more, more);
    if (point !== undefined) this.#draw(point);
  }

  // How much a counter grew a second, from one look to the next.
  rate(total, at) {
    const last = this.#last;
    this.#last = { total, at };
    if (!last || at <= last.at || total < last.total) return undefined;
    return ((total - last.total) * 1_000) / (at - last.at);
  }

  #draw(point) {
    this.#points = [...this.#points, point].slice(-POINTS);
    if (this.#points.length < 3) return;
    const most = Math.max(...this.#points, 1);
    const from = POINTS - this.#points.length;
    const steps = this.#points.map((p, i) => `${from + i},${(37 - (p / most) * 26).toFixed(1)}`);
    const line = `M${steps.join('L')}`;
    this.line.setAttribute('d', line);
    this.fill.setAttribute('d', `${line}L${POINTS - 1},40L${from},40Z`);
  }
}

const tiles = {
  connections: new Tile('Connections'),
  in: new Tile('Messages in'),
  out: new Tile('Messages out'),
  bytes: new Tile('Traffic'),
  requests: new Tile('HTTP requests'),
  drops: new Tile('Dropped'),
  access: new Tile('Access denied'),
  closed: new Tile('Ended'),
};

// What is counted by reason: the sum, and the reasons with their numbers.
function byReason(counts = {}) {
  const list = Object.entries(counts).filter(([, n]) => n > 0).sort(([, a], [, b]) => b - a);
  return [list.reduce((sum, [, n]) => sum + n, 0), list.map(([why, n]) => `${count(n)} ${why.replaceAll('_', ' ')}`).join(', ')];
}

function showStats(stats) {
  const { totals: t = {} } = stats;
  const at = performance.now();
  const rate = (tile, total) => {
    const r = tile.rate(total, at);
    return [r, r === undefined ? '–' : count(r >= 10 ? Math.round(r) : r)];
  };
  tiles.connections.show(count(t.connections_active), '', `${count(t.connections_total)} since the start`, t.connections_active ?? 0);
  const failed = (n) => (n ? `, ${count(n)} failed` : '');
  const [inRate, inText] = rate(tiles.in, t.messages_in ?? 0);
  tiles.in.show(inText, '/s', `${count(t.messages_in)} in all${failed(t.messages_in_failed)}`, inRate);
  const [outRate, outText] = rate(tiles.out, t.messages_out ?? 0);
  tiles.out.show(outText, '/s', `${count(t.messages_out)} in all${failed(t.messages_out_failed)}`, outRate);
  const byteRate = tiles.bytes.rate((t.bytes_in ?? 0) + (t.bytes_out ?? 0), at);
  tiles.bytes.show(bytes(byteRate), '/s', `${bytes(t.bytes_in)} in, ${bytes(t.bytes_out)} out`, byteRate);
  const [reqRate, reqText] = rate(tiles.requests, t.requests ?? 0);
  tiles.requests.show(reqText, '/s', `${count(t.requests)} in all${failed(t.requests_failed)}`, reqRate);
  const [dropped, lost] = byReason(t.drops);
  tiles.drops.show(count(dropped), '', lost || 'nothing lost', tiles.drops.rate(dropped, at));
  tiles.drops.node.classList.toggle('alarm', dropped > 0);
  const denied = (t.access_denied ?? 0) + (t.access_failed ?? 0);
  tiles.access.show(count(t.access_denied), '', t.access_failed ? `and ${count(t.access_failed)} not decided` : 'all decided', tiles.access.rate(denied, at));
  tiles.access.node.classList.toggle('alarm', t.access_failed > 0);
  const [ended, why] = byReason(t.closed);
  tiles.closed.show(count(ended), '', why || 'no connection', tiles.closed.rate(ended, at));
  showProviders(stats.providers ?? {});
  showTypes(stats.types ?? {});
  showCalls(stats.providers ?? {});
}

function showProviders(providers) {
  const cards = Object.entries(providers).map(([name, p]) => {
    const state = !p.running ? ['stopped', 'is-bad'] : p.healthy ? ['healthy', 'is-good'] : ['unhealthy', 'is-warn'];
    const [dropped, lost] = byReason(p.drops);
    const [ended, why] = byReason(p.closed);
    const fact = (title, value, more) => el('div', {}, el('dt', { textContent: title }), el('dd', {}, value, more && el('small', { textContent: more })));
    return el('article', { className: `provider card ${mark(name)}` },
      el('header', {}, el('h3', {}, el('i', { className: 'swatch' }), protocolName(name)), el('span', { className: `badge ${state[1]}`, textContent: state[0] })),
      el('p', { className: 'sub', textContent: (p.addrs ?? []).join(', ') }),
      el('dl', {},
        fact('Connections', count(p.connections_active), `of ${count(p.connections_total)}`),
        fact('Messages', `${count(p.messages_in)} in`, `${count(p.messages_out)} out`),
        fact('Bytes', bytes(p.bytes_in), `${bytes(p.bytes_out)} out`),
        fact('Requests', count(p.requests), `${count(p.requests_failed)} failed`),
        fact('Failed', `${count(p.messages_in_failed)} in`, `${count(p.messages_out_failed)} out`),
        fact('Dropped', count(dropped), lost),
        fact('Denied', count(p.access_denied), `${count(p.access_failed)} not decided`),
        fact('Ended', count(ended), why),
        fact('Average', millis(p.response_avg_ms)),
        fact('Median', millis(p.response_p50_ms)),
        fact('95 %', millis(p.response_p95_ms)),
        fact('99 %', millis(p.response_p99_ms), `${millis(p.response_max_ms)} at most`)),
      el('ul', { className: 'chips', 'aria-label': 'Features' }, ...(p.features ?? []).map((f) => el('li', { className: 'chip', textContent: f }))));
  });
  $('providers').replaceChildren(...cards);
}

const typeRows = new Map();

function showTypes(types) {
  const names = Object.keys(types).sort();
  $('types-card').hidden = names.length === 0;
  syncRows($('type-rows'), typeRows, names, (name) => {
    const acts = el('td', {}, el('div', { className: 'acts' }, iconButton('tap', `Tap ${name}`, () => startTap('type', name))));
    return numberRow([el('code', { textContent: short(name) })], ['Handled', 'Failed', 'Average', 'Median', '99 %'], acts);
  }, ({ cells }, name) => {
    const t = types[name];
    showCells(cells, [count(t.handled), count(t.failed), millis(t.avg_ms), millis(t.p50_ms), millis(t.p99_ms)]);
    cells[1].classList.toggle('alarm', t.failed > 0);
  });
}

const callRows = new Map();

// Calls of all providers by their methods.
function showCalls(providers) {
  const calls = new Map(Object.entries(providers).flatMap(([provider, p]) => Object.entries(p.calls ?? {}).map(([name, c]) => [`${provider} ${name}`, { provider, name, ...c }])));
  const keys = [...calls.keys()].sort();
  $('calls-card').hidden = keys.length === 0;
  syncRows($('call-rows'), callRows, keys, (key) => {
    const { provider, name } = calls.get(key);
    const ended = el('span', { className: 'under' });
    return { ...numberRow([el('code', { textContent: short(name) }), ended], ['Calls', 'Failed', 'Average', 'Median', '99 %']), provider, ended };
  }, ({ cells, provider, ended }, key) => {
    const c = calls.get(key);
    setText(ended, [protocolName(provider), byReason(c.codes)[1]].filter(Boolean).join(' · '));
    showCells(cells, [count(c.calls), count(c.failed), millis(c.avg_ms), millis(c.p50_ms), millis(c.p99_ms)]);
    cells[1].classList.toggle('alarm', c.failed > 0);
  });
}

// A row of numbers behind what they are about.
function numberRow(about, labels, ...last) {
  const cells = labels.map((label) => el('td', { className: 'n', 'data-label': label }));
  return { node: el('tr', {}, el('td', {}, ...about), ...cells, ...last), cells };
}

const showCells = (cells, texts) => texts.forEach((text, i) => setText(cells[i], text));

// Keeps one row a key: what has focus or is selected stays while the numbers change.
function syncRows(body, rows, keys, make, update) {
  for (const [key, row] of rows) {
    if (keys.includes(key)) continue;
    row.node.remove();
    rows.delete(key);
  }
  keys.forEach((key, i) => {
    const row = rows.get(key) ?? make(key);
    rows.set(key, row);
    if (body.children[i] !== row.node) body.insertBefore(row.node, body.children[i] ?? null);
    update(row, key);
  });
}

// ---------------------------------------------------------------------------------------------
// Connections
// ---------------------------------------------------------------------------------------------

const connRows = new Map();
let conns = new Map(); // id -> connection, as last seen
let connTotal = 0;

function showConnections({ connections = [], total = connections.length }) {
  conns = new Map(connections.map((c) => [c.id, c]));
  connTotal = total;
  drawConnections();
  const names = new Set(connections.flatMap((c) => [...(c.groups ?? []), c.user, c.id]).filter(Boolean));
  if ($('send-names').childElementCount !== names.size) $('send-names').replaceChildren(...[...names].map((value) => el('option', { value })));
}

function drawConnections() {
  const words = $('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = [...conns.values()].filter((c) => {
    const text = [c.id, c.user, c.remote, c.provider, clientName(c.provider), ...(c.groups ?? []), ...Object.values(c.metadata ?? {})].join(' ').toLowerCase();
    return words.every((w) => text.includes(w));
  });
  syncRows($('conn-rows'), connRows, shown.map((c) => c.id), makeConnection, updateConnection);
  $('no-conns').hidden = shown.length > 0;
  setText($('no-conns'), conns.size > 0 ? 'No connection matches the filter.' : 'Nobody is connected.');
  const more = connTotal > conns.size ? `the first ${conns.size} of ${count(connTotal)}` : `${count(connTotal)} ${connTotal === 1 ? 'connection' : 'connections'}`;
  setText($('conn-count'), words.length > 0 ? `${shown.length} of ${more}` : more);
}

function makeConnection(id) {
  const proto = el('span', { className: 'proto' });
  const under = el('span', { className: 'under' });
  const groups = el('td', { className: 'full' });
  const cells = Object.fromEntries(['Since', 'In', 'Out', 'Queue', 'RTT'].map((label) => [label, el('td', { className: 'n', 'data-label': label })]));
  const acts = el('div', { className: 'acts' },
    iconButton('send', `Send to ${id}`, () => prepareSend('conn', id)),
    iconButton('tap', `Tap ${id}`, () => startTap('conn', id)),
    iconButton('close', `Close ${id}`, () => confirmClose(id)));
  const node = el('tr', {}, el('td', {}, proto, el('code', { className: 'id', textContent: id }), under), groups, ...Object.values(cells), el('td', {}, acts));
  return { node, proto, under, groups, cells };
}

function updateConnection({ node, proto, under, groups, cells }, id) {
  const c = conns.get(id);
  node.className = `${mark(c.provider)} ${[...clients].some((own) => own.client.conn === id) ? 'own' : ''}`;
  if (!proto.firstChild) proto.append(el('i', { className: 'swatch' }), clientName(c.provider));
  setText(under, [c.user, c.remote].filter(Boolean).join(' · '));
  const names = c.groups ?? [];
  if (groups.dataset.names !== names.join('\n')) {
    groups.dataset.names = names.join('\n');
    groups.replaceChildren(...(names.length > 0 ? [el('div', { className: 'chips' }, ...names.map((g) => el('span', { className: 'chip', textContent: g })))] : []));
  }
  setText(cells.Since, since(c.since));
  cells.Since.title = `${c.since}, last heard of ${c.last_activity}`;
  setText(cells.In, `${count(c.messages_in)}${c.failed_in ? `, ${count(c.failed_in)} failed` : ''}`);
  cells.In.classList.toggle('alarm', c.failed_in > 0);
  cells.In.title = bytes(c.bytes_in);
  setText(cells.Out, count(c.messages_out));
  cells.Out.title = bytes(c.bytes_out);
  setText(cells.Queue, `${count(c.queue_messages)}${c.dropped ? `, ${count(c.dropped)} lost` : ''}`);
  cells.Queue.title = bytes(c.queue_bytes);
  cells.Queue.classList.toggle('alarm', c.dropped > 0);
  setText(cells.RTT, c.rtt_ms ? millis(c.rtt_ms) : '–');
}

async function confirmClose(id) {
  const c = conns.get(id);
  const dialog = $('close-dialog');
  setText($('close-text'), `${clientName(c?.provider)} ${id}${c?.user ? ` of ${c.user}` : ''}. Its session is revoked and does not come back.`);
  dialog.returnValue = '';
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }));
  if (dialog.returnValue !== 'close') return;
  try {
    await api(`connections/${encodeURIComponent(id)}`, { method: 'DELETE' });
    refresh();
  } catch (err) {
    complain(err);
  }
}

// ---------------------------------------------------------------------------------------------
// Clients of the page
// ---------------------------------------------------------------------------------------------

const clients = new Set();
let clientNumber = 0;
let quic = null; // where WebTransport is served: {wt, serverCertificateHashes}

// Asked once, when the API has answered: only then is the button there.
async function offerWebTransport() {
  if (quic || !globalThis.WebTransport) return;
  const { url, hashes } = await (await api('webtransport')).json();
  const value = (hash) => Uint8Array.from(atob(hash), (c) => c.charCodeAt(0));
  quic = { wt: url, ...(hashes?.length && { serverCertificateHashes: hashes.map((h) => ({ algorithm: 'sha-256', value: value(h) })) }) };
  $('open-wt').hidden = !url;
}

class Client {
  constructor(carrier, group, user) {
    const [label, provider] = CARRIERS[carrier];
    const number = ++clientNumber;
    this.node = $('client-template').content.firstElementChild.cloneNode(true);
    this.node.classList.add(mark(provider));
    this.part = (selector) => this.node.querySelector(selector);
    this.part('.carrier').textContent = label;
    this.part('.shut').setAttribute('aria-label', `Close client ${number}, ${label}`);
    this.part('.log').setAttribute('aria-label', `Messages of client ${number}, ${label}`);
    this.part('.log').dataset.empty = 'No message yet.';
    this.part('.name').value = group || 'lobby';
    this.#nameLabels(number);
    this.client = new CommClient({
      ws: 'ws', sse: 'events', poll: 'poll', ...quic, webTransport, carriers: [carrier],
      groups: group ? [group] : [], metadata: { page: 'admin', client: String(number), ...(user && { user }) },
      token: () => token.get(),
    });
    this.#listen();
    this.#forms();
    clients.add(this);
    $('clients').append(this.node);
    $('no-clients').hidden = true;
  }

  #nameLabels(number) {
    this.node.querySelectorAll('label').forEach((label, i) => {
      const field = label.nextElementSibling;
      field.id = `client-${number}-${i}`;
      label.htmlFor = field.id;
    });
  }

  #listen() {
    const { client } = this;
    client.onState((s) => this.#state(s));
    client.onGroup(() => this.#groups());
    client.onError((err) => this.line('fault', `${err.code ?? 'error'}${err.group ? ` (${err.group})` : ''}: ${err.message}`));
    client.onGap((g) => this.line('event', `gap in ${g.log}: ${g.from} to ${g.to ?? 'its end'} are lost`));
    client.on('*', (m) => this.message(m));
  }

  #state(s) {
    const looks = { connecting: '', connected: 'is-good', waiting: 'is-warn', closed: 'is-bad' };
    const badge = this.part('.badge');
    badge.className = `badge ${looks[s.state]}`;
    badge.textContent = s.state === 'waiting' ? `back in ${Math.ceil(s.after / 1_000)} s` : s.state;
    this.part('.conn').textContent = this.client.conn;
    this.part('.rtt').textContent = '';
    this.#groups();
    if (s.state === 'connected') {
      this.line('event', s.resumed ? `resumed as ${s.conn}` : `connected as ${s.conn}`);
      this.#measure();
      refresh();
    }
    if (s.state === 'waiting' || (s.state === 'closed' && s.code !== 'client')) this.line('event', `${s.state}: ${s.code} ${s.message}`);
  }

  async #measure() {
    try {
      this.part('.rtt').textContent = millis(await this.client.ping());
    } catch {
      // The state says why.
    }
  }

  #groups() {
    const chips = this.client.groups.map((group) => {
      const leave = el('button', { type: 'button', textContent: '×', 'aria-label': `Leave ${group}`, onclick: () => this.client.leave(group).catch((err) => this.line('fault', err.message)) });
      return el('li', { className: 'chip' }, group, leave);
    });
    this.part('.chips').replaceChildren(...chips);
  }

  #forms() {
    const kind = this.part('.kind');
    kind.onchange = () => (this.part('.name').disabled = kind.value === 'all');
    this.part('.shut').onclick = () => this.close();
    this.part('.join').onsubmit = async (e) => {
      e.preventDefault();
      const field = this.part('.group');
      try {
        await this.client.join(field.value);
        field.value = '';
      } catch (err) {
        this.line('fault', `join ${field.value}: ${err.message}`);
      }
    };
    this.part('.say').onsubmit = async (e) => {
      e.preventDefault();
      const text = this.part('.text');
      const result = this.part('.say .result');
      try {
        await this.client.send('chat.message', { text: text.value }, { to: address(kind.value, this.part('.name').value) });
        text.value = '';
        result.textContent = '';
      } catch (err) {
        result.className = 'result bad';
        result.textContent = err.message;
      }
    };
  }

  message(m) {
    const sender = conns.get(String(m.from ?? '').replace(/^conn:/, ''));
    const who = el('span', { className: `who ${mark(sender?.provider)}` },
      sender && el('i', { className: 'swatch' }),
      el('b', { textContent: sender ? clientName(sender.provider) : m.from || 'server' }),
      el('span', { textContent: m.to ? `to ${m.to}` : m.type }),
      el('time', { textContent: clock() }));
    const text = typeof m.content?.text === 'string' ? m.content.text : contentText(m.content);
    addLine(this.part('.log'), el('li', { className: 'new' }, who, short(text)));
  }

  line(kind, text) {
    addLine(this.part('.log'), el('li', { className: kind, textContent: short(text) }));
  }

  close() {
    clients.delete(this);
    this.node.remove();
    $('no-clients').hidden = clients.size > 0;
    this.client.close().then(refresh);
  }
}

function contentText(content) {
  return content instanceof Uint8Array ? `${content.length} bytes` : JSON.stringify(content);
}

const address = (kind, name) => (kind === 'all' ? 'all' : `${kind}:${name.trim()}`);

// Bounded, and it follows the end only where the reader is there.
function addLine(log, line) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(line);
  while (log.childElementCount > MAX_LINES) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

$('open-form').onsubmit = (e) => {
  e.preventDefault();
  const which = e.submitter?.value ?? 'all';
  const carriers = which === 'all' ? Object.keys(CARRIERS).filter((c) => c !== 'wt' || quic?.wt) : [which];
  if (clients.size + carriers.length > MAX_CLIENTS) return complain(new Error(`This page opens at most ${MAX_CLIENTS} clients: close one first.`));
  complain(null);
  for (const carrier of carriers) new Client(carrier, $('open-group').value.trim(), $('open-user').value.trim());
};

// ---------------------------------------------------------------------------------------------
// Send
// ---------------------------------------------------------------------------------------------

function showKind() {
  $('send-name-box').hidden = $('send-kind').value === 'all';
}

function prepareSend(kind, name) {
  $('send-kind').value = kind;
  $('send-name').value = name;
  showKind();
  $('send-content').focus();
  $('send-form').scrollIntoView({ block: 'nearest' });
}

$('send-kind').onchange = showKind;

$('send-form').onsubmit = async (e) => {
  e.preventDefault();
  const result = $('send-result');
  const say = (text, bad) => {
    result.className = bad ? 'result bad' : 'result';
    setText(result, text);
  };
  let content;
  try {
    content = JSON.parse($('send-content').value || 'null');
  } catch (err) {
    return say(`The content is not JSON: ${err.message}`, true);
  }
  try {
    const body = JSON.stringify({ to: address($('send-kind').value, $('send-name').value), type: $('send-type').value, content });
    const d = await (await api('send', { method: 'POST', body })).json();
    const rest = [d.dropped && `${count(d.dropped)} dropped`, d.closed && `${count(d.closed)} closed`].filter(Boolean);
    say([d.matched ? `Queued for ${count(d.queued)} of ${count(d.matched)}` : 'Nobody is there', ...rest].join(', '), rest.length > 0);
  } catch (err) {
    say(err.message, true);
  }
};

// ---------------------------------------------------------------------------------------------
// Tap
// ---------------------------------------------------------------------------------------------

const TAP_SECONDS = 30;
let tap = null; // the AbortController of the one that runs

function tapState(text, running) {
  setText($('tap-state'), text);
  setText($('tap-go'), running ? 'Stop' : `Tap ${TAP_SECONDS} s`);
}

async function startTap(kind, what) {
  $('tap-kind').value = kind;
  $('tap-what').value = what;
  tap?.abort();
  const mine = (tap = new AbortController());
  $('tap-log').replaceChildren();
  $('no-tap').hidden = true;
  let frames = 0;
  let ended = '';
  tapState(`listening to ${what}`, true);
  const parser = new SSEParser({
    event: ({ type, data }) => {
      if (type === 'end') ended = 'ended';
      else tapLine(JSON.parse(data));
      if (type !== 'end') tapState(`${count(++frames)} ${frames === 1 ? 'frame' : 'frames'} of ${what}`, true);
    },
  });
  try {
    const res = await api(`tap?${new URLSearchParams({ [kind]: what, for: `${TAP_SECONDS}s` })}`, { signal: mine.signal });
    const reader = res.body.getReader();
    for (let r; !ended && !(r = await reader.read()).done; ) parser.push(r.value);
  } catch (err) {
    ended = mine.signal.aborted ? 'stopped' : err.message;
  } finally {
    mine.abort();
  }
  if (tap !== mine) return;
  tap = null;
  tapState(`${ended || 'ended'}, ${count(frames)} ${frames === 1 ? 'frame' : 'frames'}`, false);
  $('no-tap').hidden = frames > 0;
}

function tapLine({ direction, conn, provider, at, frame }) {
  const who = el('span', { className: `who ${mark(provider)}` },
    el('i', { className: 'swatch' }), el('b', { className: 'way', textContent: direction === 'in' ? '→ in' : '← out' }),
    el('span', { textContent: conn }), el('time', { textContent: clock(at) }));
  addLine($('tap-log'), el('li', { className: 'new' }, who, el('code', { textContent: short(JSON.stringify(frame)) })));
}

$('tap-form').onsubmit = (e) => {
  e.preventDefault();
  if (tap) tap.abort();
  else startTap($('tap-kind').value, $('tap-what').value.trim());
};

// ---------------------------------------------------------------------------------------------
// The page
// ---------------------------------------------------------------------------------------------

function complain(err) {
  const notice = $('notice');
  notice.hidden = !err;
  if (err) setText(notice, err.message);
}

function health(look, text) {
  $('health').className = `pill ${look}`;
  setText($('health-text'), text);
}

let refreshing = false;
let refused = false; // the token at hand
let wasRefused = false; // the notice says so

// One look at the gateway. Where it refuses, the page asks for a token and waits for one.
async function refresh() {
  if (refreshing) return;
  refreshing = true;
  try {
    const [stats, list] = await Promise.all([getJSON('stats'), getJSON('connections?limit=200')]);
    if (wasRefused) complain(null);
    wasRefused = refused = false;
    health('is-good', `up ${span(stats.uptime_ms)}`);
    showStats(stats);
    showConnections(list);
    await offerWebTransport();
  } catch (err) {
    if (err.status === 401 || err.status === 403) {
      health('is-warn', 'token needed');
      if (!refused) askToken();
      wasRefused = refused = true;
      complain(err);
    } else {
      health('is-bad', 'not reachable');
    }
  } finally {
    refreshing = false;
  }
}

function askToken() {
  $('token').value = token.get();
  if (!$('token-dialog').open) $('token-dialog').showModal();
}

$('token-open').onclick = askToken;
$('token-cancel').onclick = () => $('token-dialog').close();
$('token-form').onsubmit = () => {
  token.set($('token').value.trim());
  refused = false;
  refresh();
};
$('filter').oninput = drawConnections;

// The token may come in the fragment, which no server sees; it is taken out of the address at once.
function takeFragment() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given === null) return token.set(token.get());
  token.set(given);
  history.replaceState(null, '', location.pathname + location.search);
}

async function watch() {
  for (;;) {
    if (!document.hidden && !refused) await refresh(); // asking on with a refused token would look like an attack
    await new Promise((resolve) => setTimeout(resolve, PERIOD));
  }
}

takeFragment();
addEventListener('hashchange', () => {
  takeFragment();
  refused = false;
  refresh();
});
addEventListener('pagehide', () => clients.forEach((c) => c.client.close()));
document.addEventListener('visibilitychange', () => document.hidden || refused || refresh());
watch();
