// The data of a generated schema, as subject/data.go computes it too: each object has a number, and
// the value of a field follows from its parent's number, its name and its arguments alone.

import { isAbstractType, isEnumType, isListType, isNonNullType, isObjectType } from 'graphql';

/** MurmurHash3's finalizer. */
export function mix(h) {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** FNV-1a over UTF-8. */
export function hash(text) {
  let h = 0x811c9dc5;
  for (const c of Buffer.from(text)) h = Math.imul(h ^ c, 0x01000193);
  return mix(h >>> 0);
}

/** A number below n; salt tells the questions that are asked of one h apart. */
export const pick = (h, salt, n) => mix((h ^ Math.imul(salt, 0x9e3779b1)) >>> 0) % n;

/** What the enum values of arguments are inside of the schema: not their names. */
export class EnumValue {
  constructor(name) {
    this.name = name;
  }
}

const quote = (s) => `"${s.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;

/** Arguments in one form: keys sorted, so that equal ones are equal texts. */
export function canonical(v) {
  if (v === null) return 'null';
  if (v instanceof EnumValue) return `enum ${v.name}`;
  if (typeof v === 'string') return quote(v);
  if (Array.isArray(v)) return `[${v.map(canonical).join(',')}]`;
  if (typeof v === 'object') {
    const keys = Object.keys(v).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return `{${keys.map((k) => `${quote(k)}:${canonical(v[k])}`).join(',')}}`;
  }
  return Object.is(v, -0) ? '0' : String(v);
}

const scalars = {
  Int: (h, bad) => (bad ? [3000000000, 1.5, -2147483649][pick(h, 6, 3)] : [pick(h, 7, 1000), 2147483647, -2147483648, pick(h, 7, 50), true, 0][pick(h, 6, 6)]),
  Float: (h, bad) => (bad ? 'no number' : [pick(h, 7, 1000) / 8, 1e21, 1.5e-7, -0.25, 12, 123456789012][pick(h, 6, 6)]),
  String: (h, bad, given) => (bad ? ['list'] : [given, 'ä\u2028"\\\n\x01<&>😀', true, 12][pick(h, 6, 4)]),
  Boolean: (h, bad) => (bad ? 'true' : [true, false, 1, 0][pick(h, 6, 4)]),
  ID: (h, bad, given) => (bad ? 1.5 : [String(h), pick(h, 7, 1000), given][pick(h, 6, 3)]),
};
const custom = (h, given) => [{ a: [1, 'x', null], h: pick(h, 7, 1000) }, [], 'text', false, 1.25, given][pick(h, 6, 6)];

/** The resolvers of a schema. counts learns what was injected. lenient has a null be an error where it may not stand. */
export class Data {
  constructor(schema, rates, counts, lenient = false) {
    Object.assign(this, { schema, rates, counts, lenient });
  }

  /** The value of a field; throws its error. */
  field(parent, name, type, args) {
    const given = canonical(args);
    const h = hash(`${parent?.id ?? 1}.${name}${given}`);
    this.mayFail(h);
    return this.value(h, type, given);
  }

  mayFail(h, times = 1) {
    if (pick(h, 1, 100) >= times * this.rates.error) return;
    this.counts.injected++;
    throw new Error('injected');
  }

  value(h, type, given) {
    const nonNull = isNonNullType(type);
    if (pick(h, 2, 100) < (nonNull ? this.rates.wrong : this.rates.null)) return nonNull && this.lenient ? new Error('null') : null;
    const inner = nonNull ? type.ofType : type;
    if (!isListType(inner)) return this.named(h, inner, given);
    if (pick(h, 3, 300) < this.rates.mismatch) return 7; // no list
    return Array.from({ length: pick(h, 4, 4) }, (_, i) => this.value(mix((h + i + 1) >>> 0), inner.ofType, given));
  }

  named(h, type, given) {
    const bad = pick(h, 5, 100) < this.rates.mismatch;
    if (isObjectType(type)) return { __typename: type.name, id: h };
    if (isAbstractType(type)) {
      const possible = this.schema.getPossibleTypes(type);
      const name = bad ? ['', 'Nowhere', 'Query', type.name][pick(h, 6, 4)] : possible[pick(h, 6, possible.length)].name;
      return { __typename: name, id: h };
    }
    if (isEnumType(type)) {
      const values = type.getValues();
      return bad ? 'NO_SUCH_VALUE' : values[pick(h, 6, values.length)].value;
    }
    return scalars[type.name]?.(h, bad, given) ?? custom(h, given);
  }

  /** The source of a subscription: it fails, or has up to three events, of which some are errors. */
  source(name, args) {
    const given = canonical(args);
    const h = hash(`source.${name}${given}`);
    this.mayFail(h, 3); // sources are few
    const events = Array.from({ length: pick(h, 8, 4) }, (_, i) => mix((h + i + 1) >>> 0));
    return (async function* () {
      for (const h of events) yield { event: h, given };
    })();
  }

  /** The value of one event; throws its error. */
  event({ event, given }, type) {
    this.mayFail(event);
    return this.value(event, type, given);
  }
}
