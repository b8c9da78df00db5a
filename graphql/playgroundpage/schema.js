// The schema, as introspection tells it.

const ref = `kind name ${'ofType { kind name '.repeat(8)}${'}'.repeat(8)}`;
const input = `name description defaultValue isDeprecated deprecationReason type { ${ref} }`;
const inputs = `(includeDeprecated: true) { ${input} }`;

/** Asks for everything that the page shows. */
export const introspection = `query Introspection { __schema {
	description queryType { name } mutationType { name } subscriptionType { name }
	types {
		kind name description isOneOf interfaces { name } possibleTypes { name } inputFields${inputs}
		fields(includeDeprecated: true) { name description isDeprecated deprecationReason type { ${ref} } args${inputs} }
		enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
	}
	directives { name description locations args${inputs} }
} }`;

/** A type as SDL writes it. */
export function show(type) {
	if (type.kind === 'NON_NULL') return `${show(type.ofType)}!`;
	return type.kind === 'LIST' ? `[${show(type.ofType)}]` : type.name;
}

const typename = { name: '__typename', args: [], type: { name: 'String' } };

export class Schema {
	constructor({ __schema: s }) {
		const { description, directives } = s;
		Object.assign(this, { description, directives, types: new Map(s.types.map((t) => [t.name, t])) });
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

	fields(type) {
		return [...type.fields ?? [], typename];
	}

	field(type, name) {
		return this.fields(type).find((f) => f.name === name);
	}
}

export const isComposite = (type) => /^(OBJECT|INTERFACE|UNION)$/.test(type?.kind);
export const isInput = (type) => /^(SCALAR|ENUM|INPUT_OBJECT)$/.test(type.kind);
