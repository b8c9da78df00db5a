// The schema, as introspection tells it.

const ref = `kind name ${'ofType { kind name '.repeat(8)}${'}'.repeat(8)}`;
const input = `name description defaultValue isDeprecated deprecationReason type { ${ref} }`;

/** Asks for everything that the page shows. */
export const introspection = `query Introspection { __schema {
  description queryType { name } mutationType { name } subscriptionType { name }
  types {
    kind name description specifiedByURL isOneOf
    fields(includeDeprecated: true) {
      name description isDeprecated deprecationReason type { ${ref} } args(includeDeprecated: true) { ${input} }
    }
    inputFields(includeDeprecated: true) { ${input} }
    enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
    interfaces { name } possibleTypes { name }
  }
  directives { name description locations args(includeDeprecated: true) { ${input} } }
} }`;

/** A type as SDL writes it. */
export function show(type) {
  if (type.kind === 'NON_NULL') return `${show(type.ofType)}!`;
  return type.kind === 'LIST' ? `[${show(type.ofType)}]` : type.name;
}

const typename = { name: '__typename', description: 'The name of the object’s type.', type: { kind: 'SCALAR', name: 'String' }, args: [] };
const named = (kind, name) => ({ kind, name });

export class Schema {
  constructor({ __schema: s }) {
    this.description = s.description;
    this.types = new Map(s.types.map((t) => [t.name, t]));
    this.directives = s.directives;
    this.roots = { query: s.queryType?.name, mutation: s.mutationType?.name, subscription: s.subscriptionType?.name };
  }

  /** The type that a reference ends at. */
  type(type) {
    while (type?.ofType) type = type.ofType;
    return this.types.get(type?.name);
  }

  root(operation) {
    return this.types.get(this.roots[operation]);
  }

  /** The fields that can be selected on a type, for those who can see them. */
  fields(type) {
    return isComposite(type) ? [...(type.fields ?? []), typename] : [];
  }

  field(type, name) {
    if (type.name === this.roots.query && name === '__schema') return { name, args: [], type: named('OBJECT', name) };
    if (type.name === this.roots.query && name === '__type') {
      return { name, args: [{ name: 'name', type: { kind: 'NON_NULL', ofType: named('SCALAR', 'String') } }], type: named('OBJECT', name) };
    }
    return this.fields(type).find((f) => f.name === name);
  }

  /** The types that a fragment within a type can be on. */
  fragmentTypes(type) {
    const all = [...this.types.values()].filter((t) => isComposite(t) && !t.name.startsWith('__'));
    const members = (t) => t.possibleTypes?.map((p) => p.name) ?? [t.name];
    return type ? all.filter((t) => members(t).some((name) => members(type).includes(name))) : all;
  }
}

export const isComposite = (type) => ['OBJECT', 'INTERFACE', 'UNION'].includes(type?.kind);
export const isInput = (type) => ['SCALAR', 'ENUM', 'INPUT_OBJECT'].includes(type.kind);
