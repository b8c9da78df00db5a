// Tabs and history, kept in the browser where it allows that. Headers are not: they hold secrets.

import { endpoint } from './endpoint.js';

const key = `graphql-playground:${new URL(endpoint, location.href).pathname}`;
const maxTabs = 20;
const maxHistory = 50;
const maxKept = 50_000; // characters of one text

const sample = '{\n  __typename\n}\n';
const tab = ({ query, variables }) => ({ query, variables, headers: '' });
const short = ({ query, variables }) => ({ query: query.slice(0, maxKept), variables: variables.slice(0, maxKept) });

export const state = { tabs: [], open: 0, history: [] };

try {
	const { tabs, open, history } = JSON.parse(localStorage.getItem(key));
	Object.assign(state, { tabs: tabs.map(short).map(tab), open, history: history.map(short) });
} catch { /* nothing is kept */ }
if (!state.tabs[state.open]) openTab();

export function save() {
	try {
		localStorage.setItem(key, JSON.stringify({ ...state, tabs: state.tabs.map(short) }));
	} catch { /* it works without */ }
}

/** Opens another tab. */
export function openTab(texts = { query: sample, variables: '' }) {
	state.tabs.splice(maxTabs - 1);
	state.open = state.tabs.push(tab(texts)) - 1;
}

export function closeTab(i) {
	state.tabs.splice(i, 1);
	if (i < state.open || state.open === state.tabs.length) state.open--;
	if (!state.tabs.length) openTab();
}

/** Remembers what was run, the newest first, each once. */
export function remember(run) {
	const { query, variables } = short(run);
	const others = state.history.filter((h) => h.query !== query || h.variables !== variables);
	state.history = [{ query, variables }, ...others].slice(0, maxHistory);
}
