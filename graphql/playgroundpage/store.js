// Tabs and history, kept in the browser where it allows that. Headers are not: they hold secrets.

import { endpoint } from './endpoint.js';

const key = `graphql-playground:${new URL(endpoint, location.href).pathname}`;
const maxTabs = 20;
const maxHistory = 50;
const maxKept = 100_000; // characters of one text

export const sample = '# Ctrl+Enter runs, Ctrl+Space completes.\n{\n  __typename\n}\n';
export const newTab = (query = sample, variables = '') => ({ query, variables, headers: '' });

/** What the page remembers: tabs, which of them is open, history. */
export const state = { tabs: [newTab()], open: 0, history: [] };

const texts = (list, max) => (Array.isArray(list) ? list : []).filter((t) => typeof t?.query === 'string').slice(0, max);

try {
  const kept = JSON.parse(localStorage.getItem(key)) ?? {};
  const tabs = texts(kept.tabs, maxTabs).map((t) => newTab(t.query, String(t.variables)));
  if (tabs.length) Object.assign(state, { tabs, open: Math.min(Math.max(0, kept.open | 0), tabs.length - 1) });
  state.history = texts(kept.history, maxHistory);
} catch { /* without memory */ }

export function save() {
  const short = ({ query, variables }) => ({ query: query.slice(0, maxKept), variables: variables.slice(0, maxKept) });
  try {
    localStorage.setItem(key, JSON.stringify({ ...state, tabs: state.tabs.map(short) }));
  } catch { /* without memory, or it is full */ }
}

/** Opens another tab, unless there are too many. */
export function openTab(...texts) {
  if (state.tabs.length >= maxTabs) return false;
  state.open = state.tabs.push(newTab(...texts)) - 1;
  return true;
}

/** Remembers what was run, the newest first, each once. */
export function remember({ query, variables }) {
  if (query.length + variables.length > maxKept) return;
  const others = state.history.filter((h) => h.query !== query || h.variables !== variables);
  state.history = [{ query, variables, at: Date.now() }, ...others].slice(0, maxHistory);
}
