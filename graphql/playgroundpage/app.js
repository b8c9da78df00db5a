// The page: what is edited, run and shown.

import { analyse } from './analysis.js';
import { browse } from './docs.js';
import { $, el } from './dom.js';
import { Editor } from './editor.js';
import { endpoint } from './endpoint.js';
import { prettify, prettifyJSON } from './format.js';
import { checkJSON, jsonTokens, offsetOf, tokens } from './lexer.js';
import { add, clear } from './results.js';
import { introspection, Schema } from './schema.js';
import { newTab, openTab, remember, save, state } from './store.js';
import { post, subscribe } from './transport.js';

const url = new URL(endpoint, location.href);
let schema = null;
let running = null; // the AbortController of what runs

const json = { tokens: jsonTokens, check: checkJSON, changed: keep, run };
const query = new Editor($('query'), {
  label: 'Document', hint: 'Ctrl+Space completes', tokens, changed: keep, run,
  check: (text) => analyse(text, schema).problems,
  complete: (text, caret) => analyse(text, schema, caret),
});
const variables = new Editor($('variables'), { label: 'Variables', hint: 'JSON', ...json });
const headers = new Editor($('headers'), { label: 'Headers', hint: 'JSON, not kept', ...json });
const editors = { query, variables, headers };

// Tabs and history.

function showTab() {
  for (const [name, editor] of Object.entries(editors)) editor.value = state.tabs[state.open][name];
  listOperations();
  listTabs();
}

function keep() {
  for (const [name, editor] of Object.entries(editors)) state.tabs[state.open][name] = editor.value;
  listOperations();
  listTabs();
}

function listTabs() {
  save();
  $('tabs').replaceChildren(...state.tabs.map((tab, i) => {
    const title = analyse(tab.query).operations.find((o) => o.name)?.name ?? `Tab ${i + 1}`;
    const open = el('button', { ariaCurrent: String(i === state.open), onclick: () => switchTab(i) }, title);
    return el('li', {}, open, el('button', { ariaLabel: `Close ${title}`, onclick: () => closeTab(i) }, '×'));
  }));
}

function switchTab(i) {
  state.open = i;
  showTab();
}

function closeTab(i) {
  state.tabs.splice(i, 1);
  if (!state.tabs.length) state.tabs.push(newTab());
  switchTab(Math.min(state.open - (i < state.open), state.tabs.length - 1));
}

function listHistory() {
  $('history-list').replaceChildren(...state.history.map((h) => el('li', {}, el('button', { title: h.query, onclick: () => openTab(h.query, h.variables) && showTab() },
    h.query.replace(/\s+/g, ' ').slice(0, 200), el('small', {}, new Date(h.at).toLocaleString())))));
}

// Running.

function listOperations() {
  const { operations } = analyse(query.value);
  const before = $('operation').value;
  const names = operations.map((o) => o.name ?? o.kind);
  $('operation').replaceChildren(...names.map((name) => el('option', {}, name)));
  $('operation').disabled = names.length < 2;
  if (names.includes(before)) $('operation').value = before;
}

/** The operation to run: that at the caret, if it is there that one types, or the chosen one. */
function chosen() {
  const { operations } = analyse(query.value);
  return operations[Math.max(0, $('operation').selectedIndex)];
}

function run() {
  if (running) return running.abort();
  const wrong = Object.values({ variables, headers }).find((e) => e.marks.length);
  if (wrong) return wrong.select(wrong.marks[0]);
  execute(chosen());
}

async function execute(operation) {
  const request = { query: query.value, operationName: operation?.name ?? undefined, variables: JSON.parse(variables.value || '{}') };
  const sent = JSON.parse(headers.value || '{}');
  const streams = operation?.kind === 'subscription' || /@(defer|stream)\b/.test(request.query);
  const began = performance.now();
  const passed = () => `${Math.round(performance.now() - began)} ms`;
  const { signal } = start();
  try {
    if (streams) await follow(request, sent, signal, passed);
    else await once(request, sent, signal, passed);
  } catch (err) {
    status(signal.aborted ? `Stopped after ${passed()}` : `${err.message} (${passed()})`, !signal.aborted);
  }
  running = null;
  $('run').textContent = 'Run';
}

function start() {
  remember(state.tabs[state.open]);
  listHistory();
  save();
  clear();
  status('Running');
  $('run').textContent = 'Stop';
  return (running = new AbortController());
}

async function once(request, sent, signal, passed) {
  const { status: code, body } = await post(url, request, sent, signal);
  status(`${code}, ${passed()}`, Boolean(body?.errors));
  take(body);
}

async function follow(request, sent, signal, passed) {
  let carrier = '';
  let events = 0;
  const tell = (word) => status(`${word} ${carrier}, ${events} event${events === 1 ? '' : 's'}, ${passed()}`);
  await subscribe(url, request, sent, signal, {
    opened: (name) => tell('Open over', (carrier = name)),
    take: (body) => {
      events++;
      take(body, `${events}, after ${passed()}`);
      tell('Open over');
    },
  });
  tell(signal.aborted ? 'Stopped' : 'Ended');
}

/** Shows a response, and where the document is wrong by it. */
function take(body, title) {
  add(body, title);
  const marks = (body?.errors ?? []).flatMap(({ message, locations }) => (locations ?? []).map((place) => {
    const start = offsetOf(query.value, place);
    return { start, end: start + 1, message };
  }));
  if (marks.length) query.mark(marks);
}

function status(text, failed = false) {
  $('status').textContent = text;
  $('status').classList.toggle('failed', failed);
}

// The schema.

async function load() {
  try {
    const { body } = await post(url, { query: introspection }, JSON.parse(headers.value || '{}'));
    schema = body.data ? new Schema(body.data) : null;
    browse(schema, `There is no schema to show: ${body.errors?.[0]?.message ?? body}`);
  } catch (err) {
    browse(schema = null, `The schema cannot be loaded: ${err.message}`);
  }
  query.refresh();
}

function toggle(name, open) {
  for (const other of ['schema', 'history']) {
    const on = other === name && open;
    $(other).hidden = !on;
    $(`${other}-toggle`).ariaExpanded = String(on);
  }
}

for (const name of ['schema', 'history']) $(`${name}-toggle`).onclick = () => toggle(name, $(name).hidden);
$('docs-reload').onclick = load;
$('run').onclick = run;
$('new-tab').onclick = () => openTab() && showTab();
$('history-clear').onclick = () => {
  state.history = [];
  save();
  listHistory();
};
$('prettify').onclick = () => {
  if (!analyse(query.value).problems.length) query.replace(prettify(query.value));
  for (const editor of [variables, headers]) if (!editor.marks.length) editor.replace(prettifyJSON(editor.value));
};

toggle('schema', matchMedia('(min-width: 75rem)').matches);
showTab();
listHistory();
load();
