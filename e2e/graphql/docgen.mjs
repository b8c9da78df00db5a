// Random operations on a schema, with variables: mostly valid, with values that are now and then wrong.

import {
  doTypesOverlap, isCompositeType, isEnumType, isInputObjectType, isListType, isNonNullType, isRequiredArgument, isRequiredInputField,
} from 'graphql';
import { flaw } from './flaws.mjs';

const strings = ['', 'x', 'two words', 'ä😀', 'quote " and \\', 'line\nbreak'];

/** Makes one request: query, operationName and variables. uses tells what is in it. */
export function generateRequest(schema, random) {
  return new Generator(schema, random).request(['query', 'query', 'query', 'query', 'mutation', 'subscription']);
}

/** Makes one request with @defer and @stream. */
export function generateIncrementalRequest(schema, random) {
  return new Generator(schema, random, true).request(['query', 'query', 'query', 'mutation']);
}

class Generator {
  constructor(schema, random, incremental = false) {
    this.schema = schema;
    this.r = random;
    this.incremental = incremental;
    this.variables = new Map(); // name to { type, dflt }
    this.fragments = []; // { name, on, text }, complete ones
    this.keys = new Map(); // the response keys that are no alias, and what stands behind each
    this.count = 0;
    this.budget = 12 + random.below(30);
    this.uses = { directives: 0, fragments: 0, oneOf: 0, introspection: 0, aliases: 0 };
    if (incremental) Object.assign(this.uses, { defer: 0, stream: 0, label: 0, ifVariable: 0, ifLiteral: 0, initialCount: 0, spreadAgain: 0 });
  }

  request(kinds) {
    const kind = this.r.one(kinds);
    const root = { query: this.schema.getQueryType(), mutation: this.schema.getMutationType(), subscription: this.schema.getSubscriptionType() }[kind];
    let set = kind === 'subscription' ? `{ ${this.field(root, 4, true)} }` : this.selection(root, 5, kind === 'query');
    const wrong = this.r.chance(this.incremental ? 3 : 12) && flaw(this);
    if (wrong) set = wrong(set);
    const named = this.variables.size > 0 || this.fragments.length > 0 || this.r.chance(50);
    let query = (named ? `${kind} Op${this.definitions()} ${this.marks()}` : kind === 'query' ? '' : kind) + set;
    const request = { variables: this.values() };
    if (named && this.r.chance(30)) request.operationName = 'Op';
    if (request.operationName && this.r.chance(50)) query = `query Other { __typename }\n${query}`;
    query = [query, ...this.fragments.map((f) => `fragment ${f.name} on ${f.on} ${f.text}`)].join('\n');
    if (this.r.chance(2)) query = this.cut(query);
    if (this.r.chance(1)) request.operationName = 'Missing';
    if (Object.keys(request.variables).length === 0 && this.r.chance(50)) request.variables = null;
    return { request: { ...request, query }, uses: this.uses, kind };
  }

  /** Takes one byte out, which mostly ends in a syntax error. */
  cut(query) {
    const at = this.r.below(query.length);
    return (query.slice(0, at) + query.slice(at + 1)).replace(/[\ud800-\udfff]/g, '');
  }

  // Selections.

  selection(type, depth, introspect = false) {
    const parts = [];
    for (let n = 1 + this.r.below(4); n > 0 && (this.budget > 0 || parts.length === 0); n--) parts.push(this.part(type, depth));
    if (introspect && this.r.chance(8)) parts.push(this.introspection());
    return `{ ${parts.join(this.r.one([' ', ', ', '\n  ']))} }`;
  }

  part(type, depth) {
    this.budget--;
    const x = this.r.below(100);
    if (x < 8) return this.typename();
    if (x < 24 && depth > 1) return this.inline(type, depth);
    if (x < 34 && depth > 1) return this.spread(type, depth);
    return this.field(type, depth);
  }

  typename() {
    return this.r.chance(50) ? '__typename' : `t${this.count++}: __typename`;
  }

  overlapping(type) {
    return Object.values(this.schema.getTypeMap()).filter((t) => isCompositeType(t) && !t.name.startsWith('__') && doTypesOverlap(this.schema, type, t));
  }

  inline(type, depth) {
    this.uses.fragments++;
    const on = this.r.chance(20) ? type : this.r.one(this.overlapping(type));
    const condition = on === type && this.r.chance(50) ? '' : ` on ${on.name}`;
    return `...${condition}${this.directives('INLINE_FRAGMENT')}${this.defer(type)} ${this.selection(on, depth - 1)}`;
  }

  spread(type, depth) {
    this.uses.fragments++;
    const fitting = this.fragments.filter((f) => doTypesOverlap(this.schema, type, this.schema.getType(f.on)));
    let fragment = this.r.chance(50) && this.r.one(fitting.length > 0 ? fitting : [null]);
    if (!fragment) {
      const on = this.r.one(this.overlapping(type));
      fragment = { name: `F${this.count++}`, on: on.name, text: this.selection(on, depth - 1) };
      this.fragments.push(fragment);
    }
    else if (this.incremental) this.uses.spreadAgain++;
    return `...${fragment.name}${this.directives('FRAGMENT_SPREAD')}${this.defer(type, true)}`;
  }

  // What is put off.

  /**
   * @defer on a fragment of a type: not, but for a few that are refused, at the root of a mutation. Never there on a
   * spread: npm graphql does not look at one of a fragment that was spread before.
   */
  defer(type, spread = false) {
    if (!this.incremental || !this.r.chance(45) || (type === this.schema.getMutationType() && (spread || !this.r.chance(3)))) return '';
    this.uses.defer++;
    return ` @defer${this.delay([])}`;
  }

  /** @stream on a field: not, but for a few that are refused, where it is no list, or where the key may come again. */
  stream(type, f, head) {
    if (!this.incremental || type === this.schema.getMutationType()) return '';
    const fits = isListType(isNonNullType(f.type) ? f.type.ofType : f.type) && /^k\d+:/.test(head);
    if (!this.r.chance(fits ? 60 : 1)) return '';
    this.uses.stream++;
    if (!this.r.chance(40)) return ` @stream${this.delay([])}`;
    this.uses.initialCount++;
    if (this.r.chance(70)) return ` @stream${this.delay([`initialCount: ${this.r.below(4)}`])}`;
    // Without a condition: npm graphql has a variable that is null be an error of a stream that is switched off, too.
    return ` @stream(initialCount: ${this.variable(this.schema.getDirective('stream').args.find((a) => a.name === 'initialCount').type, {})})`;
  }

  /** The arguments that both directives have. */
  delay(args) {
    if (this.r.chance(60)) {
      this.uses.label++;
      args.push(`label: "L${this.r.chance(1) ? 0 : this.count++}"`);
    }
    if (this.r.chance(30)) {
      const literal = this.r.chance(40);
      this.uses[literal ? 'ifLiteral' : 'ifVariable']++;
      args.push(`if: ${literal ? String(this.r.chance(70)) : this.variable(this.schema.getDirective('defer').args.find((a) => a.name === 'if').type, {})}`);
    }
    return args.length > 0 ? `(${args.join(', ')})` : '';
  }

  /** A field of a type; a union has only __typename. only keeps conditions away, for a subscription's root. */
  field(type, depth, only = false) {
    const all = type.getFields ? Object.values(type.getFields()) : [];
    const fitting = depth > 1 ? all : all.filter((f) => !isCompositeType(named(f.type)));
    if (fitting.length === 0) return this.typename();
    const f = this.r.one(fitting);
    const head = this.head(f);
    const below = isCompositeType(named(f.type)) ? ` ${this.selection(named(f.type), depth - 1)}` : '';
    return `${head}${only ? this.marks() : this.directives('FIELD')}${this.stream(type, f, head)}${below}`;
  }

  /** Key, name and arguments. A key without an alias is one field with one set of arguments in the whole document. */
  head(f) {
    const is = `${f.type} ${f.args.map((a) => `${a.name}:${a.type}`)}`;
    const known = this.keys.get(f.name);
    if (known?.is === is) return `${f.name}${known.args}`;
    if (!known && this.r.chance(this.incremental ? 30 : 60)) {
      this.keys.set(f.name, { is, args: '' });
      const args = this.args(f);
      this.keys.set(f.name, { is, args });
      return `${f.name}${args}`;
    }
    this.uses.aliases++;
    return `k${this.count++}: ${f.name}${this.args(f)}`;
  }

  args(f) {
    const given = f.args.filter((a) => isRequiredArgument(a) || this.r.chance(65));
    return given.length === 0 ? '' : `(${given.map((a) => `${a.name}: ${this.literal(a.type, 3, { dflt: a.default ?? a.defaultValue })}`).join(this.r.one([', ', ' ']))})`;
  }

  directives(where) {
    let text = '';
    for (const name of ['skip', 'include']) {
      if (!this.r.chance(7)) continue;
      this.uses.directives++;
      const on = name === 'include' ? 80 : 20;
      text += ` @${name}(if: ${this.r.chance(50) ? String(this.r.chance(on)) : this.variable(this.schema.getDirective(name).args[0].type, {})})`;
    }
    return text + (where ? this.marks() : '');
  }

  /** @mark may stand anywhere and repeat. */
  marks() {
    let text = '';
    while (this.r.chance(5)) {
      this.uses.directives++;
      text += ' @mark' + this.r.one(['', '(by: "a")', '(by: null, sizes: [S, null])', '(sizes: L)'].slice(0, 2).concat('(by: null)', '(sizes: L)'));
    }
    return text;
  }

  introspection() {
    this.uses.introspection++;
    const name = this.r.one(Object.keys(this.schema.getTypeMap()).filter((n) => !n.startsWith('__')));
    const old = this.r.one(['', '(includeDeprecated: true)', '(includeDeprecated: false)']);
    const key = `n${this.count++}`;
    return this.r.one([
      `${key}: __type(name: "${name}") { kind name specifiedByURL isOneOf interfaces { name } possibleTypes { name } }`,
      `${key}: __type(name: "${name}") { fields${old} { name args${old} { name defaultValue isDeprecated type { kind name ofType { kind name } } } isDeprecated deprecationReason } }`,
      `${key}: __type(name: "${name}") { enumValues${old} { name isDeprecated deprecationReason } inputFields${old} { name defaultValue deprecationReason type { name kind __typename } } }`,
      `${key}: __type(name: "Nowhere") { name }`,
      `${key}: __schema { __typename queryType { name } mutationType { name fields { name } } subscriptionType { kind } }`,
    ]);
  }

  // Values in documents.

  /** A literal or a variable; place says what stands around it. */
  literal(type, depth, place = {}) {
    if (!place.constant && this.r.chance(depth === 3 ? 35 : 12)) return this.variable(type, place);
    if (isNonNullType(type)) return this.given(type.ofType, depth, place);
    return this.r.chance(10) && !place.oneOf ? 'null' : this.given(type, depth, place);
  }

  given(type, depth, place) {
    const inside = { constant: place.constant };
    if (isListType(type)) {
      if (this.r.chance(12)) return this.alone(type) ?? this.given(named(type), depth, inside);
      return `[${Array.from({ length: this.r.below(4) }, () => this.item(type.ofType, depth, inside)).join(' ')}]`;
    }
    if (isInputObjectType(type)) return this.object(type, depth, inside);
    return this.leaf(type);
  }

  /** What becomes a list by itself; of a type that takes anything, only what is no list. */
  alone(type) {
    return named(type).name === 'Json' ? '"text"' : null;
  }

  /** An item; in a list of lists it is a list, see the table of specification 3.11. */
  item(type, depth, inside) {
    const inner = isNonNullType(type) ? type.ofType : type;
    if (!isListType(inner)) return this.literal(type, depth - 1, inside);
    return `[${Array.from({ length: this.r.below(3) }, () => this.item(inner.ofType, depth - 1, inside)).join(', ')}]`;
  }

  object(type, depth, inside) {
    const fields = Object.values(type.getFields());
    if (type.isOneOf) {
      this.uses.oneOf++;
      const f = this.r.one(depth > 0 ? fields : fields.slice(0, 2));
      return `{${f.name}: ${this.literal(f.type, depth - 1, { ...inside, oneOf: true })}}`;
    }
    const given = fields.filter((f) => isRequiredInputField(f) || (depth > 0 && this.r.chance(50)));
    return `{${given.map((f) => `${f.name}: ${this.literal(f.type, depth - 1, { ...inside, dflt: f.default ?? f.defaultValue })}`).join(', ')}}`;
  }

  leaf(type) {
    const r = this.r;
    if (isEnumType(type)) return r.one(type.getValues()).name;
    switch (type.name) {
      case 'Int': return r.one(['0', '-3', '2147483647', '-2147483648', String(r.below(1000))]);
      case 'Float': return r.one(['0', '-0.0', '1.5', '6.02e23', '1E-3', '9007199254740993', '3000000000', String(r.below(1000))]);
      case 'String': return r.chance(20) ? '"""\n  block "quoted"\n    text\n"""' : r.chance(5) ? '"raw \u0001\u001f"' : r.chance(20) ? '"\\u00e4\\n\\uD83D\\uDE00\\u{1F600}\\/"' : JSON.stringify(r.one(strings));
      case 'Boolean': return r.one(['true', 'false']);
      case 'ID': return r.one(['"id"', '17', '-4', '"18"']);
    }
    return r.one(['"text"', '1', '-2.5', 'true', 'ENUM', 'null', '[1, [2], {a: null}]', '{a: {b: "c"}, d: [E]}']);
  }

  // Variables.

  /** A variable that may stand at a place of a type: a new one, or one that fits. */
  variable(type, { dflt, oneOf }) {
    const must = isNonNullType(type) || oneOf;
    for (const [name, v] of this.variables) if (v.type === String(type) && (!oneOf || isNonNullType(type)) && this.r.chance(50)) return `$${name}`;
    const inner = isNonNullType(type) ? type.ofType : type;
    if (isInputObjectType(inner) && inner.isOneOf) this.uses.oneOf++;
    const loose = must && !oneOf && (dflt !== undefined || this.r.chance(40)); // nullable, with a default somewhere
    const v = { type: must && !loose ? `${inner}!` : this.r.chance(15) ? `${inner}!` : String(inner), of: inner };
    if ((loose && dflt === undefined) || this.r.chance(25)) v.dflt = this.given(inner, 2, { constant: true });
    const name = `v${this.count++}`;
    this.variables.set(name, v);
    return `$${name}`;
  }

  definitions() {
    if (this.variables.size === 0) return '';
    return `(${[...this.variables].map(([n, v]) => `$${n}: ${v.type}${v.dflt === undefined ? '' : ` = ${v.dflt}`}`).join(', ')})`;
  }

  /** The values of all variables: given, null, absent or wrong. */
  values() {
    const values = {};
    for (const [name, v] of this.variables) {
      const optional = !v.type.endsWith('!');
      if ((optional || v.dflt !== undefined || this.r.chance(4)) && this.r.chance(35)) continue;
      if ((optional || this.r.chance(4)) && this.r.chance(20)) values[name] = null;
      else values[name] = optional || !this.incremental ? this.json(v.of, 3) : this.jsonOf(v.of, 3);
    }
    if (this.r.chance(5)) values.unknown = 1;
    return values;
  }

  json(type, depth) {
    if (this.r.chance(2)) return this.r.one(['wrong', 1.5, 3e9, true, [], {}, { nope: 1 }, [null], 'RED', '7', [[]], { a: 1, b: 'x' }, { a: null }]);
    if (isNonNullType(type)) return this.r.chance(2) ? null : this.jsonOf(type.ofType, depth);
    return this.r.chance(10) ? null : this.jsonOf(type, depth);
  }

  jsonOf(type, depth) {
    if (isListType(type)) {
      const item = isNonNullType(type.ofType) ? type.ofType.ofType : type.ofType;
      if (this.r.chance(10)) return this.alone(type) === null ? this.jsonOf(named(type), depth) : 'text';
      return Array.from({ length: this.r.below(4) }, () => (isListType(item) ? this.jsonList(item, depth - 1) : this.json(type.ofType, depth - 1)));
    }
    if (!isInputObjectType(type)) return this.jsonLeaf(type);
    const fields = Object.values(type.getFields());
    if (type.isOneOf) {
      const f = this.r.one(depth > 0 ? fields : fields.slice(0, 2));
      return { [f.name]: this.jsonOf(f.type, depth - 1) };
    }
    return Object.fromEntries(fields.filter((f) => isRequiredInputField(f) || (depth > 0 && this.r.chance(50))).map((f) => [f.name, this.json(f.type, depth - 1)]));
  }

  jsonList(type, depth) {
    return Array.from({ length: this.r.below(3) }, () => {
      const item = isNonNullType(type.ofType) ? type.ofType.ofType : type.ofType;
      return isListType(item) ? this.jsonList(item, depth - 1) : this.json(type.ofType, depth - 1);
    });
  }

  jsonLeaf(type) {
    const r = this.r;
    if (isEnumType(type)) return r.one(type.getValues()).name;
    switch (type.name) {
      case 'Int': return r.one([0, -3, 2147483647, -2147483648, r.below(1000)]);
      case 'Float': return r.one([0, 1.5, -0.25, 6.02e23, 1e-3, 9007199254740992, 3000000000]);
      case 'String': return r.one(strings);
      case 'Boolean': return r.one([true, false]);
      case 'ID': return r.one(['id', 17, '18']);
    }
    return r.one(['text', 1, -2.5, true, [1, [2], { a: null }], { a: { b: 'c' }, d: ['E'] }]);
  }
}

/** The type below lists and non-null. */
export function named(type) {
  while (isListType(type) || isNonNullType(type)) type = type.ofType;
  return type;
}

