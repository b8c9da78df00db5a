// One reading of a document finds what is wrong with it, which operations it holds, and what can
// stand where the caret is. Without a schema only its syntax is known.

import { tokens } from './lexer.js';
import { isComposite, isInput, show } from './schema.js';

const maxProblems = 50;
const operationKinds = ['query', 'mutation', 'subscription'];

/** Gives problems, operations, and offers, which replace the text between from and the caret. */
export function analyse(text, schema, caret = -1) {
	const reader = new Reader(text, schema, caret);
	reader.document();
	return reader;
}

class Reader {
	at = 0;
	problems = [];
	operations = [];
	offers = [];
	broken = false; // after a syntax error nothing else is told
	variables = null; // of the operation that is read

	constructor(text, schema, caret) {
		const all = tokens(text);
		const list = all.filter((t) => t.kind !== 'comment');
		const commented = all.some((t) => t.kind === 'comment' && t.start < caret && caret <= t.end);
		Object.assign(this, { list, schema, caret: commented ? -1 : caret });
		this.fragments = list.filter((t, i) => list[i - 1]?.text === 'fragment').map((t) => t.text);
		list.push({ kind: 'end', text: 'the end', start: text.length, end: text.length + 1 });
	}

	get token() {
		return this.list[this.at];
	}

	fail(wanted) {
		const { text, start, end } = this.token;
		if (!this.broken) this.problems = [{ start, end, message: `Expected ${wanted}, found ${text}.` }];
		this.broken = true;
	}

	report({ start, end }, message) {
		if (this.schema && !this.broken && this.problems.length < maxProblems) this.problems.push({ start, end, message });
	}

	take(kind, wanted) {
		return this.token.kind === kind ? this.list[this.at++] : this.fail(wanted);
	}

	skip(text) {
		return this.token.text === text ? this.list[this.at++] : null;
	}

	expect(text) {
		return this.skip(text) ?? this.fail(text);
	}

	/** Reads items up to a bracket; one that reads nothing ends it. */
	many(end, item) {
		for (let before = -1; before !== this.at;) {
			before = this.at;
			item();
		}
		this.expect(end);
	}

	/** Offers what can stand here, if the caret is here. */
	offer(list) {
		const { start, end, kind } = this.token;
		const before = this.list[this.at - 1] ?? { end: 0 };
		const within = /name|variable|directive/.test(kind) && start < this.caret && this.caret <= end;
		const free = this.caret <= start && this.caret >= before.end + (before.kind && before.kind !== 'punct');
		if ((!within && !free) || this.offers.length) return;
		this.from = within ? start : this.caret;
		this.offers = list();
	}

	document() {
		for (;;) {
			const { text, kind } = this.token;
			this.offer(() => [...operationKinds.filter((k) => this.schema?.root(k)), 'fragment'].map((text) => ({ text })));
			if (kind === 'end') return;
			if (text === '{' || operationKinds.includes(text)) this.operation();
			else if (this.skip('fragment')) this.fragment();
			else if (!this.fail('an operation or a fragment')) this.at++;
		}
	}

	operation() {
		const first = this.token;
		const kind = first.text === '{' ? 'query' : this.list[this.at++].text;
		const name = this.token.kind === 'name' ? this.take('name').text : null;
		const type = this.schema?.root(kind);
		if (!type) this.report(first, `The schema has no ${kind}.`);
		const defined = new Map();
		if (this.skip('(')) this.many(')', () => this.token.kind === 'variable' && this.definition(defined));
		this.variables = defined;
		this.directives(kind.toUpperCase());
		this.selection(type);
		this.operations.push({ kind, name });
		this.variables = null;
	}

	definition(defined) {
		const { text } = this.take('variable');
		this.expect(':');
		const type = this.typeReference();
		defined.set(text, type);
		if (this.skip('=')) this.value(type);
		this.directives('VARIABLE_DEFINITION');
	}

	typeReference() {
		let type;
		if (this.skip('[')) {
			type = { kind: 'LIST', ofType: this.typeReference() };
			this.expect(']');
		} else {
			type = this.typeName(isInput);
		}
		return this.skip('!') ? { kind: 'NON_NULL', ofType: type } : type;
	}

	typeName(fits) {
		this.offer(() => [...this.schema?.types.values() ?? []].filter(fits).map((t) => ({ text: t.name, detail: t.kind.toLowerCase() })));
		const name = this.take('name', 'a type');
		if (name && !this.schema?.types.has(name.text)) this.report(name, `There is no type ${name.text}.`);
		return { name: name?.text };
	}

	fragment() {
		this.take('name', 'a name');
		this.expect('on');
		this.selectionOn('FRAGMENT_DEFINITION', this.typeName(isComposite));
	}

	selectionOn(place, type) {
		this.directives(place);
		this.selection(this.schema?.type(type));
	}

	selection(type) {
		if (!this.expect('{')) return;
		if (this.token.text === '}') this.fail('a field');
		this.many('}', () => {
			this.offer(() => (type ? this.schema.fields(type) : []).map(offerOf));
			if (this.skip('...')) this.spread(type);
			else if (this.token.kind === 'name') this.field(type);
		});
	}

	field(parent) {
		let name = this.take('name');
		if (this.skip(':')) {
			this.offer(() => (parent ? this.schema.fields(parent) : []).map(offerOf));
			name = this.take('name', 'a field') ?? name;
		}
		const field = parent && this.schema.field(parent, name.text);
		if (parent && !field && !/^__(schema|type)$/.test(name.text)) this.report(name, `${parent.name} has no field ${name.text}.`);
		this.arguments(field, name);
		this.directives('FIELD');
		const type = field && this.schema.type(field.type);
		if (this.token.text === '{') this.selection(isComposite(type) ? type : null);
	}

	spread(parent) {
		this.offer(() => ['on', ...this.fragments].map((text) => ({ text })));
		if (this.skip('on')) return this.selectionOn('INLINE_FRAGMENT', this.typeName(isComposite));
		if (this.token.kind !== 'name') return this.selectionOn('INLINE_FRAGMENT', parent);
		const name = this.take('name');
		if (!this.fragments.includes(name.text)) this.report(name, `There is no fragment ${name.text}.`);
		this.directives('FRAGMENT_SPREAD');
	}

	directives(place) {
		while (this.token.kind === 'directive') {
			const known = this.schema?.directives.filter((d) => d.locations.includes(place)) ?? [];
			this.offer(() => known.map((d) => ({ text: `@${d.name}`, info: d.description })));
			const name = this.take('directive');
			const def = known.find((d) => `@${d.name}` === name.text);
			if (!def) this.report(name, `There is no directive ${name.text} for this place.`);
			this.arguments(def, name);
		}
	}

	/** The arguments of a field or directive. */
	arguments(owner, where) {
		if (this.skip('(')) this.members(')', owner?.args, where);
	}

	/** Arguments, or the fields of an input object. */
	members(end, known, where) {
		const given = [];
		this.many(end, () => {
			this.offer(() => (known ?? []).filter((a) => !given.includes(a.name)).map((a) => ({ ...offerOf(a), insert: `${a.name}: ` })));
			if (this.token.kind !== 'name') return;
			const name = this.take('name');
			const def = known?.find((a) => a.name === name.text);
			if (known && !def) this.report(name, `${where.text} takes no ${name.text}.`);
			given.push(name.text);
			this.expect(':');
			this.value(def?.type);
		});
	}

	value(ref) {
		const inner = ref?.kind === 'NON_NULL' ? ref.ofType : ref;
		const type = inner?.kind === 'LIST' ? null : this.schema?.type(inner);
		this.offer(() => this.values(type));
		const t = this.token;
		if (t.text === ']') return;
		if (this.skip('[')) return this.many(']', () => this.value(inner?.ofType));
		if (this.skip('{')) return this.members('}', type?.inputFields, { ...t, text: type?.name });
		if (!/name|variable|number|string/.test(t.kind)) return this.fail('a value');
		this.at++;
		if (t.kind === 'variable') {
			if (this.variables && !this.variables.has(t.text)) this.report(t, `There is no variable ${t.text}.`);
		} else if (t.text !== 'null' && (type?.inputFields || (type?.enumValues && !type.enumValues.some((v) => v.name === t.text)))) {
			this.report(t, `${t.text} is no ${type.name}.`);
		}
	}

	values(type) {
		const plain = type?.name === 'Boolean' ? ['true', 'false'] : [];
		const variables = [...this.variables ?? []].map(([text, of]) => ({ text, detail: show(of) }));
		return [...(type?.enumValues ?? []).map(offerOf), ...plain.map((text) => ({ text })), ...variables];
	}
}

const offerOf = ({ name, type, description, deprecationReason, isDeprecated }) =>
	({ text: name, detail: type ? show(type) : '', info: deprecationReason ?? description, deprecated: isDeprecated });
