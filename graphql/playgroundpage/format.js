// Lays out documents: a line for each selection, arguments in one line.

import { jsonTokens, tokens } from './lexer.js';

export function prettify(text) {
  const list = tokens(text);
  const open = []; // brackets
  let out = '';
  list.forEach((t, i) => {
    const prev = list[i - 1];
    const inline = open.includes('(');
    if (/^[)\]}]$/.test(t.text)) open.pop();
    if (prev) out += gap(list, i, { inline, depth: open.length, sameLine: !text.slice(prev.end, t.start).includes('\n') });
    out += t.text;
    if (/^[([{]$/.test(t.text)) open.push(t.text);
  });
  return `${out}\n`;
}

/** What stands before token i. */
function gap(list, i, { inline, depth, sameLine }) {
  const [before, prev, t] = [list[i - 2], list[i - 1], list[i]];
  const line = `\n${'  '.repeat(depth)}`;
  if (t.kind === 'comment') return sameLine ? ' ' : depth || prev.kind === 'comment' ? line : '\n\n';
  if (prev.kind === 'comment') return line;
  if (inline) return within(prev, t);
  if (depth === 0 && prev.text === '}' && t.text !== '}') return '\n\n';
  if (t.text === '}' || prev.text === '{') return line;
  const named = prev.text === ':' || prev.text === '...' || (prev.text === 'on' && before.text === '...');
  if (depth && (t.kind === 'name' || t.text === '...') && !named) return line;
  if (prev.text === '...') return t.kind === 'name' && t.text !== 'on' ? '' : ' ';
  if (t.text === '(') return /^(query|mutation|subscription)$/.test(prev.text) && !depth ? ' ' : '';
  return t.text === ':' ? '' : ' ';
}

/** What stands between two tokens in parentheses. */
function within(prev, t) {
  if (/^[([{]$/.test(prev.text) || /^[)\]}!:(]$/.test(t.text)) return '';
  const ended = /^(name|number|string|variable)$/.test(prev.kind) || /^[)\]}!]$/.test(prev.text);
  const begins = /^(name|number|string|variable)$/.test(t.kind) || /^[[{]$/.test(t.text);
  return ended && begins ? ', ' : ' ';
}

/** Lays out JSON that checkJSON found right; numbers stay as they are written. */
export function prettifyJSON(text) {
  let depth = 0;
  let prev;
  let out = '';
  for (const { text: t } of jsonTokens(text)) {
    const empty = /^[[{]$/.test(prev) && /^[\]}]$/.test(t);
    if (/^[\]}]$/.test(t)) depth--;
    if (!empty && (/^[[{,]$/.test(prev) || /^[\]}]$/.test(t))) out += `\n${'  '.repeat(depth)}`;
    else if (prev === ':') out += ' ';
    if (/^[[{]$/.test(t)) depth++;
    out += t;
    prev = t;
  }
  return out;
}
