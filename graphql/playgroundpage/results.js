// The results: values that fold, one for each response.

import { $, el } from './dom.js';

const maxShown = 200; // responses
const maxOpen = 50; // members of what is open from the start, but for the uppermost

/** A value as a tree, filled where it is open. */
function tree(value, name, depth = 0) {
	const key = name && el('span', { className: 'key' }, `${name}: `);
	if (value === null || typeof value !== 'object') {
		return el('div', {}, key, el('span', { className: typeof value }, JSON.stringify(value)));
	}
	const entries = Object.entries(value);
	const node = el('details', {}, el('summary', {}, key, el('small', {}, Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`)));
	const fill = () => node.open && node.children.length === 1 && node.append(...entries.map(([k, v]) => tree(v, k, depth + 1)));
	node.ontoggle = fill;
	node.open = depth < 2 || entries.length <= maxOpen;
	fill();
	return node;
}

let shown = []; // the responses, for copying

export function clear() {
	shown = [];
	$('result').replaceChildren();
}

/** Adds a response; events have a title. */
export function add(body, title) {
	const box = $('result');
	const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 20;
	shown.push(body);
	box.append(el('article', {}, title && el('h3', {}, title), tree(body)));
	if (shown.length > maxShown) {
		shown.shift();
		box.firstChild.remove();
	}
	if (title && atEnd) box.scrollTop = box.scrollHeight;
}

$('copy').onclick = () => navigator.clipboard?.writeText(JSON.stringify(shown.length > 1 ? shown : shown[0], null, 2));
