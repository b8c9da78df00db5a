// One reading of a document finds what is wrong with it, which operations it holds, and what can
// stand where the caret is. Without a schema only its syntax is known.

import { tokens } from './lexer.js';
import { isComposite, isInput, show } from './schema.js';

const words = ['name', 'variable', 'directive', 'number', 'string'];
const maxProblems = 50;

/** Gives {problems, operations, offers, from}; offers replace the text from there to the caret. */
export function analyse(text, schema, caret = -1) {
  const reader = new Reader(text, schema, caret);
  reader.document();
  const { problems, operations, offers, from } = reader;
  return { problems, operations, offers, from };
}

class Reader {
  at = 0;
  problems = [];
  operations = [];
  offers = [];
  broken = false; // after a syntax error nothing else is told
  variables = null; // of the operation that is read
  fragments = new Set();

  constructor(text, schema, caret) {
    const all = tokens(text);
    this.list = all.filter((t) => t.kind !== 'comment');
    this.list.push({ kind: 'end', text: '', start: text.length, end: text.length });
    this.schema = schema;
    this.caret = all.some((t) => t.kind === 'comment' && t.start < caret && caret <= t.end) ? -1 : caret;
    this.list.forEach((t, i) => t.text === 'fragment' && this.list[i + 1].kind === 'name' && this.fragments.add(this.list[i + 1].text));
  }

  get token() {
    return this.list[this.at];
  }

  // Reading.

  fail(message) {
    const { text, start, end, kind } = this.token;
    if (!this.broken) this.problems = [{ start, end: Math.max(end, start + 1), message: `${message}, found ${kind === 'end' ? 'the end' : text}.` }];
    this.broken = true;
  }

  report({ start, end }, message) {
    if (!this.broken && this.problems.length < maxProblems) this.problems.push({ start, end, message });
  }

  next() {
    const t = this.token;
    if (t.kind !== 'end') this.at++;
    return t;
  }

  skip(text) {
    return this.token.kind !== 'string' && this.token.text === text ? this.next() : null;
  }

  expect(text) {
    return this.skip(text) ?? this.fail(`Expected "${text}"`);
  }

  name(what) {
    return this.token.kind === 'name' ? this.next() : this.fail(`Expected ${what}`);
  }

  /** Reads items up to a bracket; one that reads nothing ends it. */
  many(end, item) {
    for (;;) {
      const before = this.at;
      item();
      if (this.at === before) break;
    }
    this.expect(end);
  }

  /** Offers what can stand here, if the caret is here. */
  offer(list) {
    const { start, end, kind } = this.token;
    const before = this.list[this.at - 1];
    const inWord = words.slice(0, 3).includes(kind) && start < this.caret && this.caret <= end;
    const free = this.caret <= start && this.caret >= (before?.end ?? 0) + (words.includes(before?.kind) ? 1 : 0);
    if (this.caret < 0 || !(inWord || free)) return;
    this.from = inWord ? start : this.caret;
    this.offers.push(...list());
  }

  // Documents.

  document() {
    const starts = ['query', 'mutation', 'subscription'].filter((kind) => !this.schema || this.schema.root(kind));
    for (;;) {
      const before = this.at;
      this.offer(() => [...starts, 'fragment'].map((text) => ({ text })));
      if (this.token.kind === 'end') return;
      if (this.token.text === '{' || /^(query|mutation|subscription)$/.test(this.token.text)) this.operation();
      else if (this.skip('fragment')) this.fragment();
      else this.fail('Expected an operation or a fragment');
      if (this.at === before) this.next();
    }
  }

  operation() {
    const { start } = this.token;
    const kind = this.token.text === '{' ? 'query' : this.next().text;
    const name = this.token.kind === 'name' ? this.next().text : null;
    const type = this.schema?.root(kind);
    if (this.schema && !type) this.report(this.list[this.at - 1], `The schema has no ${kind}.`);
    this.variables = new Map();
    if (this.skip('(')) this.many(')', () => this.definition());
    this.directives(kind.toUpperCase());
    this.selection(type);
    this.operations.push({ kind, name, start, end: this.list[this.at - 1].end, variables: this.variables });
    this.variables = null;
  }

  definition() {
    if (this.token.kind !== 'variable') return;
    const { text } = this.next();
    this.expect(':');
    const type = this.typeReference();
    this.variables.set(text, type);
    if (this.skip('=')) this.value(type);
    this.directives('VARIABLE_DEFINITION');
  }

  typeReference() {
    let type;
    if (this.skip('[')) {
      type = { kind: 'LIST', ofType: this.typeReference() };
      this.expect(']');
    } else {
      type = this.typeName(() => [...this.schema.types.values()].filter(isInput));
    }
    return this.skip('!') ? { kind: 'NON_NULL', ofType: type } : type;
  }

  typeName(allowed) {
    if (this.schema) this.offer(() => allowed().map((t) => ({ text: t.name, detail: t.kind.toLowerCase().replace('_', ' ') })));
    const name = this.name('a type');
    if (name && this.schema && !this.schema.types.has(name.text)) this.report(name, `There is no type ${name.text}.`);
    return { kind: 'NAMED', name: name?.text };
  }

  fragment() {
    this.name('a name');
    this.expect('on');
    const type = this.schema?.type(this.typeName(() => this.schema.fragmentTypes()));
    this.directives('FRAGMENT_DEFINITION');
    this.selection(type);
  }

  // Selections.

  selection(type) {
    if (!this.expect('{')) return;
    if (this.token.text === '}') this.fail('Expected a field');
    this.many('}', () => {
      this.offer(() => (type ? this.schema.fields(type).map(offerOf) : []));
      if (this.skip('...')) this.spread(type);
      else if (this.token.kind === 'name') this.field(type);
    });
  }

  field(parent) {
    let name = this.next();
    if (this.skip(':')) {
      this.offer(() => (parent ? this.schema.fields(parent).map(offerOf) : []));
      name = this.name('a field');
    }
    const field = parent && name && this.schema.field(parent, name.text);
    if (parent && name && !field) this.report(name, `${parent.name} has no field ${name.text}.`);
    this.arguments(field, name);
    this.directives('FIELD');
    const type = field && this.schema.type(field.type);
    if (this.token.text === '{') {
      if (field && !isComposite(type)) this.report(name, `${name.text} is of type ${show(field.type)}, which has no fields.`);
      this.selection(isComposite(type) ? type : null);
    } else if (isComposite(type)) {
      this.report(name, `Select fields of ${name.text}, which is of type ${show(field.type)}.`);
    }
  }

  spread(parent) {
    this.offer(() => [{ text: 'on' }, ...[...this.fragments].map((text) => ({ text, detail: 'fragment' }))]);
    if (this.skip('on')) {
      const type = this.schema?.type(this.typeName(() => this.schema.fragmentTypes(parent)));
      this.inline(type);
    } else if (this.token.kind === 'name') {
      const name = this.next();
      if (!this.fragments.has(name.text)) this.report(name, `There is no fragment ${name.text}.`);
      this.directives('FRAGMENT_SPREAD');
    } else {
      this.inline(parent);
    }
  }

  inline(type) {
    this.directives('INLINE_FRAGMENT');
    this.selection(type);
  }

  /** The arguments of a field or directive. */
  arguments(owner, where) {
    if (this.skip('(')) this.members(')', owner && owner.args, where, 'argument');
    else this.required(owner?.args, new Set(), where, 'argument');
  }

  /** Arguments, or the fields of an input object. */
  members(end, known, where, what) {
    const given = new Set();
    this.many(end, () => {
      this.offer(() => (known ?? []).filter((a) => !given.has(a.name)).map((a) => ({ ...offerOf(a), insert: `${a.name}: ` })));
      if (this.token.kind !== 'name') return;
      const name = this.next();
      const def = known?.find((a) => a.name === name.text);
      if (known && !def) this.report(name, `There is no ${what} ${name.text}.`);
      if (given.has(name.text)) this.report(name, `The ${what} ${name.text} is given twice.`);
      given.add(name.text);
      this.expect(':');
      this.value(def?.type);
    });
    this.required(known, given, where, what);
  }

  required(known, given, where, what) {
    for (const { name, type, defaultValue } of known ?? []) {
      if (type.kind === 'NON_NULL' && defaultValue == null && !given.has(name)) this.report(where, `The ${what} ${name} of type ${show(type)} is needed.`);
    }
  }

  directives(place) {
    for (;;) {
      const known = this.schema?.directives.filter((d) => d.locations.includes(place));
      if (this.token.kind !== 'directive') return;
      this.offer(() => (known ?? []).map((d) => ({ text: `@${d.name}`, info: d.description })));
      const name = this.next();
      const def = known?.find((d) => `@${d.name}` === name.text);
      if (known && !def) this.report(name, `There is no directive ${name.text} for this place.`);
      this.arguments(def, name);
    }
  }

  // Values.

  value(ref) {
    const nullable = ref?.kind === 'NON_NULL' ? ref.ofType : ref;
    const type = this.schema && nullable?.kind !== 'LIST' ? this.schema.type(ref) : null;
    this.offer(() => this.valueOffers(ref, type));
    const { kind, text } = this.token;
    if (kind === 'variable') this.variable();
    else if (kind === 'name') this.word(type, this.next());
    else if (kind === 'number' || kind === 'string') this.scalar(type, this.next());
    else if (this.skip('[')) this.many(']', () => this.token.text === ']' || this.value(nullable?.ofType));
    else if (text === '{') this.members('}', type?.inputFields, this.next(), 'field');
    else this.fail('Expected a value');
  }

  valueOffers(ref, type) {
    const list = [...(this.variables ?? [])].map(([text, of]) => ({ text, detail: show(of) }));
    if (type?.name === 'Boolean') list.unshift({ text: 'true' }, { text: 'false' });
    if (type?.enumValues) list.unshift(...type.enumValues.map(offerOf));
    return ref && ref.kind !== 'NON_NULL' ? [...list, { text: 'null' }] : list;
  }

  variable() {
    const name = this.next();
    if (this.variables && !this.variables.has(name.text)) this.report(name, `The operation defines no variable ${name.text}.`);
  }

  word(type, t) {
    if (!type || t.text === 'null') return;
    if (type.kind === 'ENUM' && !type.enumValues.some((v) => v.name === t.text)) this.report(t, `${type.name} has no value ${t.text}.`);
    if (type.name === 'Boolean' ? !/^(true|false)$/.test(t.text) : /^(String|ID|Int|Float)$/.test(type.name)) this.report(t, `${t.text} is no ${type.name}.`);
  }

  scalar(type, t) {
    const wrong = type && (type.kind !== 'SCALAR' || type.name === 'Boolean' || (type.name === 'String' && t.kind === 'number') ||
      (type.name === 'Float' && t.kind === 'string') || (type.name === 'Int' && !/^-?\d+$/.test(t.text)));
    if (wrong) this.report(t, `${t.text} is no ${type.name}.`);
  }
}

const offerOf = ({ name, type, description, deprecationReason, isDeprecated }) =>
  ({ text: name, detail: type ? show(type) : '', info: isDeprecated ? `Deprecated: ${deprecationReason}` : description, deprecated: isDeprecated });
