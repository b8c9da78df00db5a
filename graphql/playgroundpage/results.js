// The results: values that fold, one for each response.

import { $, el } from './dom.js';

const maxShown = 200; // responses
const openDepth = 6;
const maxOpen = 50; // members of what is open from the start

/** A value as a tree; the inside of what is closed is made when it is opened. */
function tree(value, name, depth = 0) {
  const key = name === undefined ? '' : el('span', { className: 'key' }, `${name}: `);
  if (value === null || typeof value !== 'object') {
    const kind = value === null ? 'name' : typeof value;
    return el('div', {}, key, el('span', { className: kind === 'boolean' ? 'name' : kind }, depth || kind !== 'string' ? JSON.stringify(value) : value));
  }
  const entries = Object.entries(value);
  const list = Array.isArray(value);
  const label = `${list ? '[' : '{'}${entries.length}${list ? ']' : '}'}`;
  const node = el('details', {}, el('summary', {}, key, el('small', {}, label)));
  const fill = () => node.open && node.children.length === 1 && node.append(...entries.map(([k, v]) => tree(v, k, depth + 1)));
  node.ontoggle = fill;
  node.open = depth < openDepth && (depth < 2 || entries.length <= maxOpen);
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
  box.append(el('article', { className: body?.errors ? 'failed' : '' }, title ? el('h3', {}, title) : null, tree(body)));
  if (shown.length > maxShown) {
    shown.shift();
    box.firstChild.remove();
  }
  if (title && atEnd) box.scrollTop = box.scrollHeight;
}

$('copy').onclick = () => navigator.clipboard?.writeText(JSON.stringify(shown.length === 1 ? shown[0] : shown, null, 2));
$('fold').onclick = ({ target }) => {
  const fold = target.ariaPressed !== 'true';
  target.ariaPressed = String(fold);
  for (const node of $('result').querySelectorAll('details details')) node.open = !fold;
};
