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
	else fill(el('p', {}, problem));
}

const fill = (...parts) => $('docs').replaceChildren(...parts.filter(Boolean));

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
	if (schema) fill(...(type ? typePage(type) : overview()));
}

const link = (name, text = name) => el('button', { className: 'link', onclick: () => go(name) }, text);
const text = (words) => words && el('p', {}, words);
const section = (title, list) => (list?.length ? [el('h3', {}, title), el('ul', {}, ...list.map((item) => el('li', {}, ...item)))] : []);
const args = ({ args }) => args?.length && el('ul', { className: 'args' }, ...args.map((a) => el('li', {}, ...member(a))));

/** A type as SDL writes it, its name a link. */
function typeLinks(type) {
	const [, before, name, after] = /(\W*)(\w+)(\W*)/.exec(show(type));
	return [': ', before, link(name), after];
}

function overview() {
	const roots = Object.entries(schema.roots).filter(([, name]) => name).map(([kind, name]) => [`${kind}: `, link(name)]);
	const types = [...schema.types.values()].filter((t) => !t.name.startsWith('__')).map((t) => [link(t.name), ' ', el('small', {}, t.kind.toLowerCase())]);
	const directives = schema.directives.map((d) => [`@${d.name}`, args(d), text(d.description)]);
	return [text(schema.description), ...section('Operations', roots), ...section('Types', types), ...section('Directives', directives)];
}

function typePage(t) {
	const links = (list) => list?.map(({ name }) => [link(name)]);
	return [
		el('h2', {}, t.name), el('small', {}, t.kind.toLowerCase(), t.isOneOf ? ', exactly one field' : ''), text(t.description),
		...section('Implements', links(t.interfaces)), ...section('Fields', (t.fields ?? t.inputFields)?.map(member)),
		...section('Values', t.enumValues?.map(member)), ...section('Possible types', links(t.possibleTypes)),
	];
}

/** A field, an argument or a value of an enum. */
function member(m) {
	return [
		el('b', {}, m.name), ...(m.type ? typeLinks(m.type) : []), m.defaultValue && ` = ${m.defaultValue}`,
		m.isDeprecated ? el('p', { className: 'bad' }, `Deprecated: ${m.deprecationReason}`) : '', text(m.description), args(m),
	];
}

function search(words) {
	const is = ({ name }) => name.toLowerCase().includes(words);
	const found = [...schema.types.values()].filter((t) => !t.name.startsWith('__')).flatMap((t) => [
		...(is(t) ? [[link(t.name)]] : []),
		...[t.fields, t.inputFields, t.enumValues].flatMap((list) => list ?? []).filter(is).map((f) => [link(t.name, `${t.name}.${f.name}`)]),
	]);
	fill(...section(`Found: ${found.length}`, found.slice(0, maxFound)));
}

$('docs-back').onclick = () => page(visited.pop());
$('docs-search').oninput = ({ target }) => {
	const words = target.value.trim().toLowerCase();
	if (words && schema) search(words);
	else page();
};
