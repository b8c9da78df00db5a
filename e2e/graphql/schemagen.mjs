// Random schemas: interfaces that implement interfaces, unions, lists in lists, input objects with
// defaults and one-of, enums, scalars, directives, subscriptions.

const wrap = (type, how) => how.replace('T', type);
const outputs = ['T', 'T', 'T!', '[T]', '[T!]', '[T]!', '[T!]!', '[[T]]', '[[T!]!]', '[[T]!]!', '[[[T]]]'];
const inputs = ['T', 'T', 'T', 'T!', '[T]', '[T!]', '[T!]!', '[[T]]', '[[T!]]!'];
const builtins = ['Int', 'Float', 'String', 'Boolean', 'ID'];

/** Makes one schema; gives its SDL. */
export function generateSchema(random) {
  return new Generator(random).sdl();
}

class Generator {
  constructor(random) {
    this.r = random;
    this.enums = new Map([['Color', ['RED', 'GREEN', 'BLUE']], ['Size', ['S', 'M', 'L', 'XL']]]);
    this.objects = this.names('O', 3 + random.below(4));
    this.interfaces = this.names('I', 1 + random.below(3));
    this.unions = this.names('U', 1 + random.below(2));
    this.inputs = this.names('In', 2 + random.below(3));
    this.composite = [...this.objects, ...this.interfaces, ...this.unions];
    this.leaves = [...builtins, ...this.enums.keys(), 'Json'];
    this.inputDefs = new Map();
    this.text = [];
  }

  names(prefix, n) {
    return Array.from({ length: n }, (_, i) => `${prefix}${i}`);
  }

  sdl() {
    this.text.push(
      'directive @mark(by: String = "x", sizes: [Size!], in: In0) repeatable on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT | QUERY | MUTATION | SUBSCRIPTION | FRAGMENT_DEFINITION | VARIABLE_DEFINITION',
      '"anything" scalar Json @specifiedBy(url: "https://example.com/json")',
    );
    for (const [name, values] of this.enums) this.text.push(`enum ${name} { ${values.map((v) => (this.r.chance(15) ? `${v} @deprecated` : v)).join(' ')} }`);
    this.inputs.forEach((name, i) => this.input(name, i));
    this.oneOf();
    this.interfacesAndObjects();
    for (const u of this.unions) this.text.push(`union ${u} = ${this.r.some(this.objects, 1).join(' | ')}`);
    for (const root of ['Query', 'Mutation', 'Subscription']) this.root(root);
    return this.text.join('\n');
  }

  input(name, i) {
    const fields = new Map();
    for (let n = 2 + this.r.below(4); n > 0; n--) {
      const deeper = this.inputs.slice(0, i); // only to earlier ones, so that no default contains itself
      const base = deeper.length > 0 && this.r.chance(30) ? this.r.one(deeper) : this.r.one(this.leaves);
      fields.set(`f${n}`, this.argument(wrap(base, this.r.one(inputs))));
    }
    if (this.r.chance(50)) fields.set('self', { type: name });
    this.inputDefs.set(name, { fields });
    this.text.push(`input ${name} { ${[...fields].map(([n, f]) => `${n}: ${f.text ?? f.type}`).join(' ')} }`);
  }

  /** An argument's type with, at times, a default. */
  argument(type) {
    const dflt = this.r.chance(35) ? this.literal(type, 2) : null;
    return { type, dflt, text: type + (dflt === null ? '' : ` = ${dflt}`) + (!type.endsWith('!') && this.r.chance(8) ? ' @deprecated(reason: "old")' : '') };
  }

  oneOf() {
    const fields = new Map([['a', { type: 'Int' }], ['b', { type: '[String!]' }], ['c', { type: 'In0' }], ['d', { type: 'Choice' }]]);
    this.inputDefs.set('Choice', { oneOf: true, fields });
    this.text.push(`input Choice @oneOf { ${[...fields].map(([n, f]) => `${n}: ${f.type}`).join(' ')} }`);
  }

  fields(prefix, n) {
    const fields = new Map();
    for (let i = 0; i < n; i++) {
      const base = this.r.chance(45) ? this.r.one(this.composite) : this.r.one(this.leaves);
      fields.set(`${prefix}${i}`, { type: wrap(base, this.r.one(outputs)), args: this.args() });
    }
    return fields;
  }

  args() {
    if (this.r.chance(50)) return [];
    return Array.from({ length: 1 + this.r.below(2) }, (_, i) => {
      const base = this.r.chance(35) ? this.r.one([...this.inputs, 'Choice']) : this.r.one(this.leaves);
      return { name: `x${i}`, ...this.argument(wrap(base, this.r.one(inputs))) };
    });
  }

  interfacesAndObjects() {
    const own = this.interfaces.map((name, i) => ({ name, above: i > 0 && this.r.chance(60) ? [this.interfaces[0]] : [], fields: this.fields(`i${i}_`, 1 + this.r.below(3)) }));
    const above = (i) => [...new Set(i.above.flatMap((n) => own.find((o) => o.name === n)))];
    for (const i of own) {
      const fields = new Map([...above(i).flatMap((a) => [...a.fields]), ...i.fields]);
      i.all = fields;
      this.composed('interface', i.name, i.above, fields);
    }
    this.objects.forEach((name, n) => {
      // The first object is everything, so that no interface is without a member.
      const direct = n === 0 ? own : this.r.some(own);
      const all = [...new Set(direct.flatMap((i) => [i, ...above(i)]))];
      const fields = new Map([...all.flatMap((i) => [...i.all]), ...this.fields('f', 2 + this.r.below(4))].map(([k, f]) => [k, this.narrowed(f)]));
      fields.set('text', { type: 'String', args: [{ name: 'x', ...this.argument('In0') }] });
      this.composed('type', name, all.map((i) => i.name), fields);
    });
  }

  /** A field of an object may promise more than the interface's. */
  narrowed(f) {
    const args = this.r.chance(10) && !f.args.some((a) => a.name === 'more') ? [...f.args, { name: 'more', ...this.argument('Int') }] : f.args;
    return { type: !f.type.endsWith('!') && this.r.chance(15) ? `${f.type}!` : f.type, args };
  }

  composed(keyword, name, above, fields) {
    this.text.push(`${keyword} ${name}${above.length > 0 ? ` implements ${above.join(' & ')}` : ''} {\n${this.fieldLines(fields)}\n}`);
  }

  fieldLines(fields) {
    return [...fields].map(([n, f]) => `  ${n}${f.args.length > 0 ? `(${f.args.map((a) => `${a.name}: ${a.text}`).join(', ')})` : ''}: ${f.type}`).join('\n');
  }

  root(name) {
    const fields = this.fields('q', name === 'Query' ? 5 + this.r.below(4) : 3);
    // Always there: an argument of each kind, a nested list of an abstract type, a union.
    fields.set('all', { type: 'String', args: [...this.inputs, 'Choice', ...this.leaves].map((t, i) => ({ name: `a${i}`, ...this.argument(t) })) });
    fields.set('grid', { type: `[[${this.interfaces[0]}]]`, args: [] });
    fields.set('member', { type: this.unions[0], args: [{ name: 'c', type: 'Choice', text: 'Choice' }] });
    this.composed('type', name, [], fields);
  }

  /** A literal of a type, for defaults. */
  literal(type, depth) {
    if (type.endsWith('!')) return this.value(type.slice(0, -1), depth);
    return this.r.chance(8) ? 'null' : this.value(type, depth);
  }

  value(type, depth) {
    if (type.startsWith('[')) {
      const inner = type.slice(1, -1);
      return `[${Array.from({ length: this.r.below(3) }, () => this.literal(inner, depth)).join(', ')}]`;
    }
    if (this.inputDefs.has(type)) return this.inputLiteral(this.inputDefs.get(type), depth - 1);
    return this.leaf(type);
  }

  inputLiteral({ fields, oneOf }, depth) {
    if (oneOf) {
      const [n, f] = this.r.one([...fields].slice(0, 3));
      return `{${n}: ${this.value(f.type, depth)}}`;
    }
    const given = [...fields].filter(([n, f]) => n !== 'self' && ((f.type.endsWith('!') && !f.dflt) || (depth > 0 && this.r.chance(50))));
    return `{${given.map(([n, f]) => `${n}: ${this.literal(f.type, depth)}`).join(', ')}}`;
  }

  leaf(type) {
    const r = this.r;
    switch (type) {
      case 'Int': return r.one(['0', '-7', '2147483647', String(r.below(100))]);
      case 'Float': return r.one(['1', '-0.5', '1e3', '2.50', String(r.below(100))]);
      case 'String': return r.one(['""', '"dflt"', '"a\\"b\\\\ \\u00e9 \\n"', '"""block\n  text"""']);
      case 'Boolean': return r.one(['true', 'false']);
      case 'ID': return r.one(['"id"', '42']);
      case 'Json': return r.one(['{k: [1, "two", E, null], m: {n: 1.5}}', '[]', '"s"', '3']);
    }
    return r.one(this.enums.get(type));
  }
}
