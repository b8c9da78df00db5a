// Lays out documents: a line for each selection, arguments in one line.

import { tokens } from './lexer.js';

export function prettify(text) {
	const list = tokens(text);
	const open = []; // brackets
	let out = '';
	list.forEach((t, i) => {
		const prev = list[i - 1];
		const inline = open.includes('(');
		if (/^[)\]}]$/.test(t.text)) open.pop();
		if (prev) out += gap(list[i - 2], prev, t, inline, open.length, text.slice(prev.end, t.start).includes('\n'));
		out += t.text;
		if (/^[([{]$/.test(t.text)) open.push(t.text);
	});
	return `${out}\n`;
}

/** What stands before a token: at a depth, in parentheses or not, and where it was on a line of its own or not. */
function gap(before, prev, t, inline, depth, own) {
	const line = `\n${'  '.repeat(depth)}`;
	if (t.kind === 'comment' && !own) return ' ';
	if (prev.kind === 'comment') return line;
	if (inline) return within(prev, t);
	if (!depth && prev.text === '}' && t.text !== '}') return '\n\n';
	if (t.text === '}' || prev.text === '{' || t.kind === 'comment') return line;
	const begun = prev.text === ':' || prev.text === '...' || (prev.text === 'on' && before.text === '...');
	if (depth && (t.kind === 'name' || t.text === '...') && !begun) return line;
	if (prev.text === '...') return t.kind === 'name' && t.text !== 'on' ? '' : ' ';
	return t.text === ':' || t.text === '(' ? '' : ' ';
}

function within(prev, t) {
	if (/^[([{]$/.test(prev.text) || /^[)\]}!:(]$/.test(t.text)) return '';
	const ended = /name|number|string|variable/.test(prev.kind) || /^[)\]}!]$/.test(prev.text);
	const begins = /name|number|string|variable/.test(t.kind) || /^[[{]$/.test(t.text);
	return ended && begins ? ', ' : ' ';
}
