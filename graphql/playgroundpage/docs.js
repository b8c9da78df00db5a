// The browser of the schema.

import { $, el } from './dom.js';
import { show } from './schema.js';

const maxFound = 100;
let schema = null;
let visited = []; // names of types; none is the overview

/** Shows a schema, or why there is none. */
export function browse(loaded, problem) {
  schema = loaded;
  visited = [];
  if (schema) page();
  else $('docs').replaceChildren(el('p', {}, problem));
}

function go(name) {
  visited.push(name);
  $('docs-search').value = '';
  page();
  $('docs').focus();
}

function page() {
  const type = schema?.types.get(visited.at(-1));
  $('docs-back').disabled = !visited.length;
  $('docs').scrollTop = 0;
  if (schema) $('docs').replaceChildren(...(type ? typePage(type) : overview()));
}

const link = (name, text = name) => el('button', { className: 'link', onclick: () => go(name) }, text);

/** A type's name as SDL writes it, as a link. */
function typeLink(type) {
  const text = show(type);
  const name = /\w+/.exec(text)[0];
  const [before, after] = text.split(name);
  return el('span', { className: 'type' }, before, link(name), after);
}

const paragraph = (text) => (text ? el('p', {}, text) : null);
const section = (title, list) => (list?.length ? [el('h3', {}, title), el('ul', {}, ...list.map((item) => el('li', {}, ...item)))] : []);
const title = (name) => el('h2', {}, name);

function overview() {
  const roots = Object.entries(schema.roots).filter(([, name]) => name).map(([kind, name]) => [`${kind}: `, link(name)]);
  const types = [...schema.types.values()].filter((t) => !t.name.startsWith('__')).map((t) => [link(t.name), ' ', el('small', {}, t.kind.toLowerCase())]);
  const directives = schema.directives.map((d) => [`@${d.name}`, ...args(d), paragraph(d.description)]);
  return [paragraph(schema.description), ...section('Operations', roots), ...section('Types', types), ...section('Directives', directives)];
}

function typePage(t) {
  const names = (list) => list?.map(({ name }) => [link(name)]);
  return [
    title(t.name), el('small', {}, `${t.kind.toLowerCase().replace('_', ' ')}${t.isOneOf ? ', exactly one field' : ''}`), paragraph(t.description), paragraph(t.specifiedByURL),
    ...section('Implements', names(t.interfaces)), ...section('Fields', (t.fields ?? t.inputFields)?.map(member)),
    ...section('Values', t.enumValues?.map(member)), ...section('Possible types', names(t.possibleTypes)),
  ];
}

/** A field, an argument or a value of an enum. */
function member(m) {
  return [
    el('b', {}, m.name), ...args(m), ...(m.type ? [': ', typeLink(m.type)] : []), m.defaultValue == null ? '' : ` = ${m.defaultValue}`,
    m.isDeprecated ? el('p', { className: 'deprecation' }, `Deprecated: ${m.deprecationReason}`) : null, paragraph(m.description),
  ];
}

const args = (m) => (m.args?.length ? [el('ul', { className: 'args' }, ...m.args.map((a) => el('li', {}, ...member(a))))] : []);

function search(text) {
  const found = [];
  for (const t of schema.types.values()) {
    if (t.name.toLowerCase().includes(text)) found.push([link(t.name)]);
    for (const f of [...(t.fields ?? []), ...(t.inputFields ?? []), ...(t.enumValues ?? [])]) {
      if (!t.name.startsWith('__') && f.name.toLowerCase().includes(text)) found.push([link(t.name, `${t.name}.${f.name}`)]);
    }
  }
  const list = section(`Found: ${found.length}`, found.slice(0, maxFound));
  $('docs').replaceChildren(...(list.length ? list : [el('p', {}, 'Nothing is called that.')]));
}

$('docs-back').onclick = () => {
  visited.pop();
  page();
};
$('docs-search').oninput = ({ target }) => {
  const text = target.value.trim().toLowerCase();
  if (text && schema) search(text);
  else page();
};
