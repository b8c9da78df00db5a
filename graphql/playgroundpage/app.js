// The page: what is edited, run and shown.

import { analyse } from './analysis.js';
import { browse } from './docs.js';
import { $, el } from './dom.js';
import { Editor } from './editor.js';
import { endpoint } from './endpoint.js';
import { prettify } from './format.js';
import { checkJSON, offsetOf, parseObject } from './lexer.js';
import { add, clear } from './results.js';
import { introspection, Schema } from './schema.js';
import { closeTab, openTab, remember, save, state } from './store.js';
import { post, subscribe } from './transport.js';

const url = new URL(endpoint, location.href);
let schema = null;
let running = null; // the AbortController of what runs

const calls = { changed: keep, run };
const json = { check: checkJSON, complete: () => ({ offers: [] }), ...calls };
const editors = {
	query: new Editor($('query'), {
		label: 'Document', hint: 'Ctrl+Space completes', ...calls,
		check: (text) => analyse(text, schema).problems, complete: (text, caret) => analyse(text, schema, caret),
	}),
	variables: new Editor($('variables'), { label: 'Variables', hint: 'JSON', ...json }),
	headers: new Editor($('headers'), { label: 'Headers', hint: 'JSON, not kept', ...json }),
};
const { query, variables, headers } = editors;
const parsed = (editor) => parseObject(editor.value);

// Tabs and history.

function showTab() {
	for (const name in editors) editors[name].value = state.tabs[state.open][name];
	keep();
}

function keep() {
	for (const name in editors) state.tabs[state.open][name] = editors[name].value;
	list();
}

function list() {
	save();
	$('tabs').replaceChildren(...state.tabs.map((tab, i) => {
		const title = /(?:query|mutation|subscription)\s+(\w+)/.exec(tab.query)?.[1] ?? `Tab ${i + 1}`;
		const open = el('button', { ariaCurrent: String(i === state.open), onclick: () => showTab(state.open = i) }, title);
		return el('li', {}, open, el('button', { ariaLabel: `Close ${title}`, onclick: () => showTab(closeTab(i)) }, '×'));
	}));
	$('runs').replaceChildren(...state.history.map((run) =>
		el('li', {}, el('button', { title: run.query, onclick: () => showTab(openTab(run)) }, run.query.replace(/\s+/g, ' ').slice(0, 150)))));
	const picker = $('operation');
	const { value } = picker;
	const names = analyse(query.value).operations.map((o) => o.name ?? o.kind);
	picker.replaceChildren(...names.map((name) => el('option', {}, name)));
	picker.disabled = names.length < 2;
	if (names.includes(value)) picker.value = value;
}

// Running.

function run() {
	if (running) return running.abort();
	const wrong = [variables, headers].find((editor) => editor.marks.length);
	if (wrong) wrong.select(wrong.marks[0]);
	else execute(analyse(query.value).operations[$('operation').selectedIndex]);
}

async function execute(operation) {
	const request = { query: query.value, operationName: operation?.name, variables: parsed(variables) };
	const began = performance.now();
	const passed = () => `${Math.round(performance.now() - began)} ms`;
	running = new AbortController();
	$('run').textContent = 'Stop';
	remember(state.tabs[state.open]);
	list();
	clear();
	status('Running');
	try {
		const how = operation?.kind === 'subscription' || /@(defer|stream)\b/.test(request.query) ? follow : once;
		await how(request, running.signal, passed);
	} catch (err) {
		status(running.signal.aborted ? `Stopped, ${passed()}` : `${err.message}, ${passed()}`, !running.signal.aborted);
	}
	running = null;
	$('run').textContent = 'Run';
}

async function once(request, signal, passed) {
	const [code, body] = await post(url, request, parsed(headers), signal);
	status(`${code}, ${passed()}`, body.errors);
	take(body);
}

async function follow(request, signal, passed) {
	let carrier = 'no connection';
	let events = 0;
	const tell = (word) => status(`${word}: ${carrier}, ${events} event${events === 1 ? '' : 's'}, ${passed()}`);
	await subscribe(url, request, parsed(headers), signal, (name) => tell('Open', carrier = name), (body) => {
		take(body, `${++events}, after ${passed()}`);
		tell('Open');
	});
	tell(signal.aborted ? 'Stopped' : 'Ended');
}

/** Shows a response, and where the document is wrong by it. */
function take(body, title) {
	add(body, title);
	const marks = (body.errors ?? []).flatMap(({ message, locations }) => (locations ?? []).map(({ line, column }) => {
		const start = offsetOf(query.value, line, column);
		return { start, end: start + 1, message };
	}));
	if (marks.length) query.mark(marks);
}

function status(text, failed) {
	$('status').textContent = text;
	$('status').className = failed ? 'bad' : '';
}

// The schema.

async function load() {
	try {
		const [, { data, errors }] = await post(url, { query: introspection }, parsed(headers));
		schema = data ? new Schema(data) : null;
		browse(schema, `There is no schema to show: ${errors?.[0].message}`);
	} catch (err) {
		browse(schema = null, `The schema cannot be loaded: ${err.message}`);
	}
	query.refresh();
}

function toggle(name, open) {
	for (const side of ['schema', 'history']) {
		$(side).hidden = side !== name || !open;
		$(`${side}-toggle`).ariaExpanded = String(!$(side).hidden);
	}
}

for (const side of ['schema', 'history']) $(`${side}-toggle`).onclick = () => toggle(side, $(side).hidden);
$('reload').onclick = load;
$('run').onclick = run;
$('new-tab').onclick = () => showTab(openTab());
$('clear').onclick = () => list(state.history = []);
$('prettify').onclick = () => {
	for (const editor of [variables, headers]) if (editor.value.trim() && !editor.marks.length) editor.replace(JSON.stringify(parsed(editor), null, 2));
	if (!analyse(query.value).problems.length) query.replace(prettify(query.value));
};

toggle('schema', matchMedia('(min-width: 75rem)').matches);
showTab();
load();
