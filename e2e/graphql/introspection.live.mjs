// The schema that clients read: the full introspection query's answer goes through npm graphql and comes out
// as the SDL that was given in, and is what npm graphql itself answers.

import test from 'node:test';
import assert from 'node:assert/strict';
import { buildClientSchema, buildSchema, getIntrospectionQuery, introspectionFromSchema, printSchema } from 'graphql';
import { literal } from './compare.mjs';
import { Random } from './random.mjs';
import { generateSchema } from './schemagen.mjs';
import * as subjects from './subject.mjs';

const everything = `
"""
The schema.

  It has all there is.
"""
schema { query: Root mutation: Change subscription: Feed }

"Marks \\"anything\\"."
directive @mark(
  "By whom."
  by: String! = "x"
  old: Int @deprecated(reason: "gone")
  filter: Filter = {name: "n", tags: ["a", "b"], deep: [[1], [], null], nested: {name: "m"}}
) repeatable on SCHEMA | SCALAR | OBJECT | FIELD_DEFINITION | ARGUMENT_DEFINITION | INTERFACE | UNION | ENUM | ENUM_VALUE | INPUT_OBJECT | INPUT_FIELD_DEFINITION | QUERY | MUTATION | SUBSCRIPTION | FIELD | FRAGMENT_DEFINITION | FRAGMENT_SPREAD | INLINE_FRAGMENT | VARIABLE_DEFINITION
directive @once on FIELD

"A time."
scalar Time @specifiedBy(url: "https://example.com/time?a=1&b=\\"2\\"")
scalar Any

"Has an id."
interface Node { "Of the object." id: ID! }
interface Named implements Node { id: ID! name(short: Boolean = false): String @deprecated }
type User implements Node & Named @mark @mark(by: "y") {
  id: ID!
  name(short: Boolean = false, "How long." most: Int = 10 @deprecated(reason: "unused")): String @deprecated(reason: "use \\"fullName\\"\\nor nothing")
  "Of whom, in lists of lists."
  friends(first: Int! = 10, after: ID = "x", where: Filter = {name: null}): [[User!]!]!
  role: Role!
  created: Time
  plain: Float @deprecated(reason: "")
}
type Post implements Node { id: ID! body: String tags: [String!] any: Any }
"One or the other."
union Item = User | Post
enum Role {
  "Everything."
  ADMIN
  USER @deprecated
  GUEST @deprecated(reason: "no guests")
}
"What is wanted."
input Filter {
  name: String = "quote \\" backslash \\\\ unicode \\u00e4 \\u{1F600} control \\u0001 newline \\n tab \\t"
  role: Role = USER
  roles: [Role!] = [ADMIN, GUEST]
  tags: [String!]! = []
  deep: [[Int]] = [[1, -2], null, [null]]
  nested: Filter
  number: Float = -1.50
  big: Float = 1e100
  whole: Float = 3
  count: Int = -2147483648
  on: Boolean = true
  id: ID = "17"
  number_id: ID = 18
  nothing: Int = null
  any: Any = {a: [1, "x", ENUM, null, {b: 2.5}], c: true}
  old: Int @deprecated
  older: String = "x" @deprecated(reason: "so")
}
"Exactly one."
input By @oneOf { id: ID name: String filter: Filter node: [By!] }
type Root {
  user(by: By = {id: "1"}): User
  items(filters: [Filter!] = [{tags: ["t"], roles: ADMIN}, {tags: []}]): [Item!]! @mark(by: "z")
  node: Node
  named: Named
}
type Change { add(name: String!): User! }
type Feed { added: User }
`;

const options = {
  descriptions: true, specifiedByUrl: true, directiveIsRepeatable: true, schemaDescription: true, inputValueDeprecation: true, experimentalDirectiveDeprecation: false, oneOf: true, typeDepth: 9,
};
const query = getIntrospectionQuery(options);

async function introspect(subject, sdl) {
  assert.deepEqual(await subject.schema(sdl, subjects.describe(buildSchema(sdl)), subjects.silent), []);
  const { responses: [response] } = await subject.execute({ query });
  assert.equal(response.errors, undefined);
  return response.data;
}

/** One order of everything that has none, without what only the specification's own types say. */
function normal(data) {
  const byName = (list) => list?.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const text = JSON.stringify(data, (key, v) => {
    if (key === 'types' || key === 'directives' || key === 'possibleTypes') return byName(v);
    if (key === 'defaultValue' && typeof v === 'string') return literal(v);
    return v;
  });
  return JSON.parse(text).__schema;
}

// What npm graphql has of the specification after September 2025: directives that are deprecated, fragments with arguments.
const newer = ['__Schema', '__Directive', '__DirectiveLocation'];

const builtin = /^(__\w+|Int|Float|String|Boolean|ID|skip|include|deprecated|specifiedBy|oneOf)$/;

/** Compares type by type, so that a difference is short. */
function compareSchemas(got, want, where) {
  for (const list of ['types', 'directives']) {
    assert.deepEqual(got[list].map((t) => t.name), want[list].map((t) => t.name), `${where}: the names of ${list}`);
    for (const [i, w] of want[list].entries()) {
      if (newer.includes(w.name)) continue;
      const parts = [got[list][i], w].map((t) => (builtin.test(t.name) ? undescribed(t) : t));
      assert.deepEqual(parts[0], parts[1], `${where}: ${w.name}`);
    }
  }
  for (const key of ['description', 'queryType', 'mutationType', 'subscriptionType']) assert.deepEqual(got[key], want[key], `${where}: ${key}`);
}

/** How the specification's own types are described is everybody's choice. */
const undescribed = (t) => JSON.parse(JSON.stringify(t, (key, v) => (key === 'description' ? null : v)));

test('introspection: a schema with everything goes through npm graphql and comes out the same', async (t) => {
  const data = await introspect(subjects.startSubject(t), everything);
  assert.equal(printSchema(buildClientSchema(data)), printSchema(buildSchema(everything)));
  compareSchemas(normal(data), normal(introspectionFromSchema(buildSchema(everything), options)), 'everything');
});

test('introspection: generated schemas are what npm graphql says they are', async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 0x7fffffff);
  const random = new Random(seed);
  const subject = subjects.startSubject(t);
  for (let i = 0; i < 50; i++) {
    const sdl = generateSchema(random);
    const data = await introspect(subject, sdl);
    compareSchemas(normal(data), normal(introspectionFromSchema(buildSchema(sdl), options)), `SEED=${seed}`);
  }
});
