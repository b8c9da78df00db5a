// Schemas and operations, right and wrong ones, for each rule of the specification. npm graphql says which
// are which; those in known are told otherwise, by the specification's text.

const node = 'interface Node { id: ID! name(short: Boolean = false): String } ';
const q = 'type Query { a: Int } ';

export const schemas = [
  // Roots.
  'type A { a: Int }', 'schema { query: A } type A { a: Int }', 'schema { query: Nope }', 'schema { query: A mutation: A } type A { a: Int }',
  `${q} schema { query: Query subscription: Query }`, 'schema { query: A query: A } type A { a: Int }', 'schema { query: A } schema { query: A } type A { a: Int }',
  'schema { query: I } input I { a: Int }', 'schema { mutation: A } type A { a: Int }', `${q} type Mutation { b: Int } type Subscription { c: Int }`,
  `${q} enum Mutation { A }`, `${q} extend schema { mutation: M } type M { a: Int }`, `schema { query: Query } extend schema { query: Query } ${q}`,
  // One-of.
  `type Query { a(c: C): Int } input C @oneOf { a: Int! b: Int }`, `type Query { a(c: C): Int } input C @oneOf { a: Int = 1 b: Int }`,
  `type Query { a(c: C): Int } input C @oneOf { a: Int b: [Int!] }`, `${q} type T @oneOf { a: Int }`, `${q} input C @oneOf { a: Int }  extend input C { b: Int! }`,
  'type Query { a(c: C = {a: 1}): Int } input C @oneOf { a: Int b: Int }', 'type Query { a(c: C = {a: 1, b: 2}): Int } input C @oneOf { a: Int b: Int }',
  'type Query { a(c: C = {a: null}): Int } input C @oneOf { a: Int b: Int }', 'type Query { a(c: C = {}): Int } input C @oneOf { a: Int b: Int }',
  // Defaults.
  ...['Int = "1"', 'Int = 1.0', 'Int = 3000000000', 'Int = null', 'Int! = null', 'Int! = 1', 'Float = 1', 'Float = "x"', 'String = 1', 'String = A', 'Boolean = 1', 'ID = 1', 'ID = 1.5', 'ID = "x"',
    'E = A', 'E = "A"', 'E = B', '[Int] = 1', '[Int] = [1, null]', '[Int!] = [null]', '[Int] = ["x"]', '[[Int]] = 1', '[[Int]] = [[1], null]', 'In = {r: 1}', 'In = {}', 'In = {r: 1, x: 1}', 'In = {r: 1, e: A, l: [{r: 2}]}',
    'In = {r: 1, e: "A"}', 'In = [1]', 'Any = {a: [1, A]}', 'Any = null', 'Float = 1e400', 'In = null', 'In! = {r: "x"}', 'Int = $v'].flatMap((arg) => [
    `type Query { a(x: ${arg}): Int } enum E { A } input In { r: Int! e: E l: [In] } scalar Any`,
    `type Query { a(x: X): Int } input X { x: ${arg} } enum E { A } input In { r: Int! e: E l: [In] } scalar Any`,
    `type Query { a: Int } directive @d(x: ${arg}) on FIELD enum E { A } input In { r: Int! e: E l: [In] } scalar Any`,
  ]),
  // Cycles of input objects, and of their defaults.
  'type Query { a(x: A): Int } input A { b: B! } input B { a: A! }', 'type Query { a(x: A): Int } input A { b: B! } input B { a: A }', 'type Query { a(x: A): Int } input A { a: A! }', 'type Query { a(x: A): Int } input A { a: [A!]! }',
  'type Query { a(x: A): Int } input A { a: A = {} }', 'type Query { a(x: A): Int } input A { a: A = {a: null} }', 'type Query { a(x: A): Int } input A { b: B = {} } input B { a: A = {} }', 'type Query { a(x: A): Int } input A { b: B = {} } input B { a: A = {b: {a: null}} }',
  'type Query { a(x: A): Int } input A { a: [A] = [{}] }', 'type Query { a(x: A): Int } input A { a: [A] = [{a: []}] }',
  // Deprecation.
  'type Query { a(x: Int! @deprecated): Int }', 'type Query { a(x: Int! = 1 @deprecated): Int }', 'type Query { a(x: Int @deprecated): Int }', 'type Query { a(x: I): Int } input I { r: Int! @deprecated }', 'type Query { a(x: I): Int } input I { r: Int! = 1 @deprecated o: Int @deprecated(reason: "r") }',
  'directive @d(x: Int! @deprecated) on FIELD type Query { a: Int }', 'type Query { a: Int @deprecated(reason: 1) }', 'type Query { a: Int @deprecated(reason: null) }', 'type Query @deprecated { a: Int }', 'type Query { a: Int @deprecated(why: "x") }', `${q} enum E { A @deprecated B }`,
  `${node} type Query implements Node { id: ID! @deprecated name(short: Boolean): String }`, 'interface I { a: Int @deprecated } type Query implements I { a: Int @deprecated }', 'interface I { a: Int @deprecated } type Query implements I { a: Int }',
  // Interfaces.
  `${node} type Query implements Node { id: ID! name(short: Boolean = true): String! }`, `${node} type Query implements Node { id: ID! }`, `${node} type Query implements Node { id: ID name(short: Boolean): String }`, `${node} type Query implements Node { id: ID! name: String }`,
  `${node} type Query implements Node { id: ID! name(short: Boolean!): String }`, `${node} type Query implements Node { id: ID! name(short: Int): String }`, `${node} type Query implements Node { id: ID! name(short: Boolean, more: Int): String }`, `${node} type Query implements Node { id: ID! name(short: Boolean, more: Int!): String }`,
  `${node} type Query implements Node { id: ID! name(short: Boolean, more: Int! = 1): String }`, `${node} type Query implements Node & Node { id: ID! name(short: Boolean): String }`, `${node} interface Sub implements Node { id: ID! name(short: Boolean): String } type Query implements Sub { id: ID! name(short: Boolean): String }`,
  `${node} interface Sub implements Node { id: ID! name(short: Boolean): String } type Query implements Sub & Node { id: ID! name(short: Boolean): String }`, 'interface A implements A { a: Int } type Query { a: A }', 'interface A implements B { a: Int } interface B implements A { a: Int } type Query { a: A }',
  'type T { a: Int } type Query implements T { a: Int }', 'type Query implements Nope { a: Int }', 'interface I { i: I } type Query implements I { i: Query }', 'interface I { i: [I] } type Query implements I { i: [Query!]! }', 'interface I { i: [I!] } type Query implements I { i: [Query] }', 'interface I { i: U } union U = Query type Query implements I { i: Query }',
  'interface I { i: Query } type Query implements I { i: I }', 'interface I { a(x: [Int!]!): Int } type Query implements I { a(x: [Int]!): Int }', 'interface I { a(x: Int!): Int } type Query implements I { a(x: Int): Int }', 'interface I { a: Int } extend type Query implements I type Query { a: Int }',
  // Unions, enums, names.
  `${q} union U = Query`, `${q} union U = Query | Query`, `${q} union U = I input I { a: Int }`, `${q} union U = V union V = Query`, `${q} union U = Nope`, `${q} union U`, `${q} union U extend union U = Query`, `${q} union U = | Query`, `${q} union U =`,
  `${q} enum E`, `${q} enum E { }`, `${q} enum E { A A }`, `${q} enum E { true }`, `${q} enum E { null }`, `${q} enum E { __A }`, `${q} enum E { A } extend enum E { B }`, `${q} enum E { A } extend enum E { A }`, `${q} enum __E { A }`,
  'type Query { __a: Int }', `${q} type __T { a: Int }`, `${q} input I { __a: Int }`, 'type Query { a(__x: Int): Int }', `${q} directive @__d on FIELD`, `${q} directive @d(__x: Int) on FIELD`, `${q} scalar __S`,
  'type Query', 'type Query { }', `${q} input I`, `${q} interface I`, `${q} type T`, `${q} type T extend type T { a: Int }`, `${q} type T @deprecated`,
  // Twice.
  `${q} ${q}`, `${q} scalar Query`, `${q} scalar String`, `${q} scalar ID`, `${q} type Int { a: Int }`, 'type Query { a: Int a: Int }', 'type Query { a: Int } extend type Query { a: Int }', 'type Query { a: Int } extend type Query { b: Int }', 'type Query { a(x: Int, x: Int): Int }', `${q} input I { a: Int a: Int }`,
  `${q} directive @d on FIELD directive @d on FIELD`, `${q} directive @d(x: Int, x: Int) on FIELD`, `${q} directive @d on FIELD | FIELD`, `${q} directive @skip(if: Boolean!) on FIELD`, `${q} directive @skip(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT`, `${q} directive @deprecated(reason: String! = "No longer supported") on FIELD_DEFINITION | ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION | ENUM_VALUE`, `${q} directive @specifiedBy(url: String!) on SCALAR`, `${q} directive @oneOf on INPUT_OBJECT input I @oneOf { a: Int }`,
  // Extensions.
  `${q} extend type Nope { a: Int }`, `${q} extend scalar Nope @d directive @d on SCALAR`, `${q} extend union Nope = Query`, `${q} extend enum Nope { A }`, `${q} extend input Nope { a: Int }`, `${q} extend interface Nope { a: Int }`, `${q} extend input Query { a: Int }`, `${q} scalar S extend type S { a: Int }`, `${q} extend type Query`, 'extend type Query { a: Int }',
  // Types where they may stand.
  'type Query { a: Nope }', 'type Query { a(x: Nope): Int }', 'type Query { a: I } input I { a: Int }', 'type Query { a(x: Query): Int }', `${q} input I { q: Query }`, `${q} interface N { a: Int } input I { n: N }`, `${q} directive @d(x: Query) on FIELD`, 'type Query { a(x: U): Int } union U = Query',
  // Directives in the SDL.
  `type Query @nope { a: Int }`, 'type Query { a: Int @nope }', 'directive @d on OBJECT type Query @d { a: Int @d }', 'directive @d on OBJECT type Query @d @d { a: Int }', 'directive @d repeatable on OBJECT type Query @d @d { a: Int }', 'directive @d on OBJECT type Query @d { a: Int } extend type Query @d', 'directive @d on OBJECT | FIELD_DEFINITION type Query @d { a: Int @d }',
  ...['@d', '@d(x: 1)', '@d(x: null)', '@d(x: "1")', '@d(x: 1, x: 2)', '@d(x: 1, y: 2)', '@d(x: 1, l: [1, "2"])', '@d(x: 1, l: 1)', '@d(x: 1, e: A)', '@d(x: 1, e: B)', '@d(x: 1, e: "A")', '@d(x: 1, i: {a: 1})', '@d(x: 1, i: {})', '@d(x: 1, i: {b: 1})', '@d(x: $v)'].flatMap((use) => {
    const is = 'directive @d(x: Int!, l: [Int], e: E, i: In) on OBJECT | FIELD_DEFINITION | ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION | ENUM_VALUE | SCALAR | UNION | INTERFACE | INPUT_OBJECT | ENUM | SCHEMA enum E { A } input In { a: Int! }';
    return [`${is} type Query { a: Int ${use} }`, `${is} type Query ${use} { a: Int }`, `${is} ${q} scalar S ${use}`, `${is} ${q} union U ${use} = Query`, `${is} ${q} enum F { A ${use} }`, `${is} ${q} input J { a: Int ${use} }`, `${is} type Query { a(x: Int ${use}): Int }`, `${is} ${q} interface I ${use} { a: Int }`, `${is} ${q} schema ${use} { query: Query }`, `${is} ${q} enum F ${use} { A }`, `${is} ${q} input J ${use} { a: Int }`, `${is} ${q} interface I { a(x: Int ${use}): Int }`];
  }),
  `${q} directive @d(x: Int @d) on ARGUMENT_DEFINITION`, `${q} directive @a(x: Int @b) on ARGUMENT_DEFINITION directive @b(x: Int @a) on ARGUMENT_DEFINITION`, `${q} directive @d on NOPE`, `${q} directive @d on`, `${q} scalar S @specifiedBy`, `${q} scalar S @specifiedBy(url: 1)`, `${q} scalar S @specifiedBy(url: "u")`, 'type Query @specifiedBy(url: "u") { a: Int }', 'type Query { a: Int @skip(if: true) }',
  // Grammar.
  '', '#', '{ a }', `${q} query { a }`, `${q} { a }`, `${q} {}`, 'type Query { a: Int', 'type Query { a Int }', 'type Query { a: }', 'type Query { a: Int! ! }', 'type Query { a: [Int }', 'type Query { a() : Int }', '"d" type Query { "d" a("d" x: Int): Int }', '"""d""" extend type Query { a: Int }', 'type Query implements { a: Int }', 'type Query implements & I { a: Int } interface I { a: Int }', 'interface I { a: Int } interface J { a: Int } type Query implements I, J { a: Int }', 'interface I { a: Int } interface J { a: Int } type Query implements I J { a: Int }',
  '"d" schema { query: Query } type Query { a: Int }', 'type Query { type: Int input: Int on: Int fragment: Int true: Int null: Int }', 'type Query { a(x: Int = 1a): Int }', 'type type { a: Int } type Query { t: type }',
];

/** The schema of the operations. */
export const sdl = `
directive @onField(n: Int = 1) on FIELD
directive @onQuery on QUERY
directive @many(e: Color) repeatable on FIELD | FRAGMENT_DEFINITION | INLINE_FRAGMENT | FRAGMENT_SPREAD | VARIABLE_DEFINITION
directive @must(x: Int!) on FIELD
interface Being { name(surname: Boolean): String }
interface Pet implements Being { name(surname: Boolean): String }
interface Canine implements Being & Pet { name(surname: Boolean): String mother: Canine }
type Dog implements Being & Pet & Canine { name(surname: Boolean): String nickname: String barks: Boolean does(command: Command): Boolean at(x: Int, y: Int): Boolean mother: Dog father: Dog owner: Human volume: Int other: Int! list: [Int] kind: String }
type Cat implements Being & Pet { name(surname: Boolean): String nickname: String meows: Boolean volume: Int! other: String list: [Int!] kind: Color likes: [Cat] }
type Human implements Being { name(surname: Boolean): String pets: [Pet] relatives: [Human] id: ID }
union CatOrDog = Cat | Dog
union DogOrHuman = Dog | Human
enum Command { SIT HEEL DOWN }
enum Color { RED GREEN }
scalar Any
input Complex { required: Boolean! nonNull: Boolean! = false int: Int string: String list: [String] self: Complex color: Color }
input OneOf @oneOf { a: String b: Int c: Complex }
type Query {
  human(id: ID): Human dog: Dog cat: Cat pet: Pet being: Being catOrDog: CatOrDog dogOrHuman: DogOrHuman args: Args
  all(x: Int, y: Int!, z: Int! = 1): String
}
type Args {
  int(a: Int): String nonNullInt(a: Int!): String float(a: Float): String string(a: String): String boolean(a: Boolean): String id(a: ID): String enum(a: Color): String any(a: Any): String
  list(a: [String]): String nonNullList(a: [String!]!): String nested(a: [[Int]]): String complex(a: Complex): String nonNullComplex(a: Complex!): String oneOf(a: OneOf): String oneOfs(a: [OneOf!]): String
  two(a: Int!, b: Int!): String optional(a: Int = 0, b: Int! = 0): String
}
type Mutation { set(x: Int): Int }
type Subscription { tick(n: Int): Int tock: Dog }
`;

const dog = (set) => `{ dog { ${set} } }`;
const args = (field) => `{ args { ${field} } }`;
const values = ['1', '-1', '1.5', '1e3', '"s"', '"""b"""', 'true', 'null', 'RED', 'NOPE', '[]', '[1]', '["s"]', '[null]', '[[1], null]', '{}', '{required: true}', '{required: true, int: "x"}', '{required: null}', '{required: true, nonNull: null}', '{required: true, nope: 1}', '{required: true, self: {required: 1}}', '{a: "s"}', '{a: "s", b: 1}', '{a: null}', '{a: 1}', '{c: {}}', '[{a: "s"}, {b: 1}]', '3000000000', '-2147483649', '2147483648', '9223372036854775808', '123456789012345678901234567890', '1e400', '$v'];
const fields = ['int', 'nonNullInt', 'float', 'string', 'boolean', 'id', 'enum', 'any', 'list', 'nonNullList', 'nested', 'complex', 'nonNullComplex', 'oneOf', 'oneOfs'];
const types = ['Int', 'Int!', 'Float', 'String', 'String!', 'Boolean', 'ID', 'Color', 'Any', '[String]', '[String!]', '[String!]!', '[String]!', '[[Int]]', '[Int]', 'Complex', 'Complex!', 'OneOf', 'OneOf!', '[OneOf!]', 'Nope', 'Dog', 'CatOrDog', 'Int = 1', 'Int = null', 'Int! = 1', 'Int! = null', 'String = "s"', 'Complex = {required: true}', 'Complex = {}', '[String!] = ["s"]', 'OneOf = {a: "s"}', 'OneOf = {}', 'Boolean = true', 'Int = "x"', 'Int = $w'];

export const operations = [
  // What the parser's package takes otherwise than npm graphql.
  'subscription { a: tick b: tick }', 'subscription { tick(n: 1) t2: tick(n: 2) }', 'subscription { tick @skip(if: true) }', 'subscription { tick @include(if: true) }', 'subscription($v: Boolean!) { tick @include(if: $v) }', 'subscription { ...@skip(if: false) { tick } }',
  'subscription { ...F @include(if: true) } fragment F on Subscription { tick }', 'subscription { ...F } fragment F on Subscription { tick @skip(if: true) }', 'subscription { tick }', 'subscription { a: tick a: tick }', 'subscription { tick tock { name } }', 'subscription { __typename }', 'subscription { tick __typename }', 'subscription { a: __typename }',
  'subscription { tock { name @skip(if: true) } }', 'subscription { ...F } fragment F on Subscription { tick tock { name } }', 'subscription { ...F tock { name } } fragment F on Subscription { tick }', 'subscription A { tick } subscription B { tock { name } }', 'subscription { ...F ...F } fragment F on Subscription { tick }',
  '', ' ', '#', ',', '{}', 'query {}', args('string(a: "\\uD83D")'), args('string(a: "\\uDE00\\uD83D")'), args('string(a: "\\uD83D\\uDE00")'), args('string(a: "\\u{1F600}")'), args('string(a: "\\u{110000}")'), args('string(a: "\\u{D83D}")'), args('string(a: "\\u{}")'), args('string(a: "\\x")'), args('string(a: "\\u12")'), args('string(a: "a\nb")'), args('string(a: """a\nb""")'),
  '{ ... @defer { dog { name } } }', '{ dog { ...F @defer } } fragment F on Dog { name }', '{ human { pets @stream { name } } }', '{ dog { likes: name @stream(initialCount: 1) } }',
  // Each kind of value for each type.
  ...fields.flatMap((f) => values.map((v) => (v === '$v' ? `query($v: Int) { args { ${f}(a: ${v}) } }` : args(`${f}(a: ${v})`)))),
  // Each kind of variable for each type, inside of lists and objects too.
  ...types.flatMap((t) => [...fields.map((f) => `query($v: ${t}) { args { ${f}(a: $v) } }`), ...['optional(a: $v)', 'optional(b: $v)', 'two(a: $v, b: 1)', 'list(a: [$v])', 'nonNullList(a: [$v])', 'nested(a: [[$v]])', 'complex(a: {required: true, int: $v})', 'complex(a: {required: $v})', 'complex(a: {required: true, nonNull: $v})', 'complex(a: {required: true, list: $v})', 'complex(a: {required: true, list: [$v]})', 'oneOf(a: {a: $v})', 'oneOf(a: {b: $v})', 'oneOf(a: {c: $v})', 'any(a: {k: [$v]})', 'oneOfs(a: [$v])'].map((f) => `query($v: ${t}) { args { ${f} } }`), `query($v: ${t}) { dog @skip(if: $v) { name } }`, `query($v: ${t}) { dog { name @onField(n: $v) } }`]),
  // Operations and fragments.
  '{ dog { name } } { cat { name } }', 'query A { dog { name } } { cat { name } }', 'query A { dog { name } } query A { cat { name } }', 'query A { dog { name } } mutation A { set }', 'query A { dog { name } } query B { dog { name } }', 'fragment F on Dog { name }', '{ ...F } fragment F on Query { dog { name } } fragment F on Query { cat { name } }',
  dog('...F'), `${dog('...F')} fragment F on Dog { name }`, `${dog('name')} fragment F on Dog { name }`, `${dog('...F')} fragment F on Nope { name }`, `${dog('...F')} fragment F on Command { name }`, `${dog('...F')} fragment F on Complex { name }`, `${dog('...F')} fragment F on Dog { ...F }`, `${dog('...F')} fragment F on Dog { ...G } fragment G on Dog { ...F }`, `${dog('...F')} fragment F on Dog { mother { ...F } }`,
  `${dog('...F')} fragment F on Dog { ...G ...H } fragment G on Dog { ...H } fragment H on Dog { name }`, dog('... on Nope { name }'), dog('... on Dog { name }'), dog('... on Cat { name }'), dog('... on Pet { name }'), dog('... on CatOrDog { ... on Dog { name } }'), dog('... on DogOrHuman { __typename }'), dog('... on Human { name }'), dog('... on Command { name }'), dog('... { name }'), dog('... @skip(if: true) { name }'), dog('... on String { name }'),
  '{ pet { ... on Human { name } } }', '{ pet { ... on Canine { name } } }', '{ catOrDog { ... on Being { name } } }', '{ catOrDog { ... on Human { name } } }', '{ catOrDog { ... on DogOrHuman { ... on Dog { name } } } }', '{ catOrDog { name } }', '{ catOrDog { __typename } }', '{ being { barks } }', '{ pet { nickname } }', '{ human { ... on Pet { name } } }', '{ dog { ...F } } fragment F on Cat { meows }', '{ pet { ...F } } fragment F on Cat { meows }',
  'mutation { set }', 'mutation { dog { name } }', 'mutation { set set }', 'query { set }', 'fragment on on Dog { name } { dog { ...on } }', 'fragment F on Dog { name } type T { a: Int } { dog { ...F } }', 'schema { query: Query } { dog { name } }', 'extend type Dog { x: Int } { dog { name } }',
  // Fields, leaves, arguments.
  dog('nope'), dog('nope { deeper }'), dog('name { x }'), dog('mother'), dog('mother { }'), dog('mother { name }'), '{ dog }', '{ human }', '{ __schema { types { name } } }', '{ __schema }', '{ __type { name } }', '{ __type(name: 1) { name } }', '{ __type(name: "Dog") { name } }', dog('__schema { types { name } }'), dog('__type(name: "x") { name }'), dog('__typename'), dog('__nope'), 'mutation { __schema { types { name } } }', 'mutation { __typename }',
  dog('does(command: SIT)'), dog('does(command: NOPE)'), dog('does(command: "SIT")'), dog('does(unknown: true)'), dog('does(command: SIT, command: SIT)'), dog('does(command: SIT, command: HEEL)'), dog('does'), '{ all(y: 1) }', '{ all }', '{ all(x: 1) }', '{ all(y: null) }', '{ all(y: 1, z: null) }', '{ all(y: "1") }', dog('name(surname: true)'), dog('name(surname: 1)'), args('two(a: 1)'), args('two'), args('optional'), args('optional(b: null)'), args('int()'),
  args('complex(a: {required: true, required: false})'), args('complex(a: {required: true, int: 1, int: 1})'), args('any(a: {k: 1, k: 2})'), args('any(a: {k: {l: 1, l: 2}})'),
  // Directives.
  ...['@skip(if: true)', '@skip', '@skip(if: null)', '@skip(if: 1)', '@skip(if: true, x: 1)', '@skip(if: true) @skip(if: true)', '@skip(if: true) @include(if: true)', '@nope', '@onField', '@onField @onField', '@onField(n: "x")', '@onField(n: null)', '@onField(m: 1)', '@onQuery', '@many @many', '@many(e: RED) @many(e: NOPE)', '@must', '@must(x: 1)', '@must(x: null)', '@deprecated', '@oneOf', '@specifiedBy(url: "x")', '@must(x: $v)', '@many(e: $v)'].flatMap((d) => [dog(`name ${d}`), dog(`... ${d} { name }`), `${dog(`...F ${d}`)} fragment F on Dog { name }`, `${dog('...F')} fragment F on Dog ${d} { name }`, `query ${d} ${dog('name')}`, `query($x: Int ${d}) { all(y: 1, x: $x) }`, `mutation ${d} { set }`]),
  // Variables.
  'query($v: Int, $v: Int) { all(y: 1, x: $v) }', 'query($v: Int) { all(y: 1) }', 'query { all(y: $v) }', '{ all(y: $v) }', 'query A($v: Int!) { ...F } query B { ...F } fragment F on Query { all(y: $v) }', 'query A($v: Int!) { ...F } query B($v: Int!) { ...F } fragment F on Query { all(y: $v) }', 'query A($v: Int!) { ...F } query B($v: Int) { ...F } fragment F on Query { all(y: $v) }', 'query($v: Int) { ...F } fragment F on Query { ...G } fragment G on Query { all(y: 1, x: $v) }',
  'query($v: [Int!]!) { all(y: 1, x: $v) }', 'query($a: Boolean = true) { dog { name @skip(if: $a) } }', 'query($a: Boolean) { dog { name @skip(if: $a) } }', 'query($a: Int = 1) { all(y: $a) }', 'query($a: Int = null) { all(y: $a) }', 'query($a: Int) { all(y: 1, z: $a) }', 'query($v: Int = 1 @many) { all(y: 1, x: $v) }', 'query($v: Int @many(e: $w), $w: Color) { all(y: 1, x: $v) }', 'query($on: Int) { all(y: 1, x: $on) }', 'query($v: Int!,) { all(y: $v) }', 'query($v) { all(y: $v) }', 'query() { dog { name } }', '"d" query { dog { name } }', 'query("d" $v: Int) { all(y: 1, x: $v) }',
  // Fields that are merged.
  ...['name name', 'n: name n: name', 'n: name n: nickname', 'name: nickname name', 'does(command: SIT) does(command: SIT)', 'does(command: SIT) does(command: HEEL)', 'does does(command: SIT)', 'at(x: 1, y: 2) at(y: 2, x: 1)', 'name @skip(if: true) name', 'x: mother { name } x: mother { nickname }', 'x: mother { n: name } x: mother { n: nickname }', 'x: mother { name } x: father { name }', 'name(surname: true) name(surname: false)', 'x: does(command: SIT) ...G'].map((s) => dog(s) + (s.includes('...G') ? ' fragment G on Dog { x: does(command: DOWN) }' : '')),
  ...['volume', 'other', 'list', 'kind'].map((f) => `{ pet { ... on Dog { ${f} } ... on Cat { ${f} } } }`), '{ pet { ... on Dog { x: name } ... on Cat { x: nickname } } }', '{ pet { ... on Dog { x: barks } ... on Cat { x: nickname } } }', '{ pet { ... on Dog { x: mother { name } } ... on Cat { x: name } } }', '{ catOrDog { ... on Dog { x: mother { y: barks } } ... on Cat { x: likes { y: meows } } } }', '{ being { ... on Dog { x: owner { y: id } } ... on Cat { x: likes { y: name } } } }',
  '{ being { ... on Human { x: pets { y: name } } ... on Cat { x: likes { y: name } } } }', '{ being { ... on Human { x: pets { y: name } } ... on Cat { x: likes { y: meows } } } }', '{ pet { ... on Pet { x: name } ... on Cat { x: nickname } } }', '{ pet { ... on Dog { x: name(surname: true) } ... on Cat { x: name(surname: false) } } }', 'query($a: Command, $b: Command) { dog { does(command: $a) does(command: $b) } }', 'query($a: Command) { dog { does(command: $a) does(command: $a) } }', '{ args { x: complex(a: {required: true, int: 1}) x: complex(a: {int: 1, required: true}) } }', '{ args { x: list(a: ["s"]) x: list(a: "s") } }', '{ args { x: string(a: "s") x: string(a: """s""") } }', '{ args { x: float(a: 1) x: float(a: 1.0) } }',
  '{ a: dog { name } ...F } fragment F on Query { a: cat { name } }', '{ ...F ...G } fragment F on Query { dog { x: name } } fragment G on Query { dog { x: nickname } }', '{ dog { ...F } dog { ...G } } fragment F on Dog { mother { x: name } } fragment G on Dog { mother { x: nickname } }',
  // Lexical.
  args('int(a: 1a)'), args('int(a: 01)'), args('int(a: -)'), args('int(a: +1)'), args('float(a: 1.)'), args('float(a: .5)'), args('float(a: 1e)'), args('float(a: 1.5.2)'), args('float(a: 1.5e3x)'), args('int(a: 0x1F)'), args('float(a: -0)'), args('list(a: ["a""b"])'), args('list(a: ["""a""""b"])'), args('string(a: """a"""")'), args('string(a: "a" "b")'), args("string(a: 'a')"), args('string(a: "unterminated)'), args('string(a: """unterminated)'), '{ dog { name } }}', '{{ dog { name } }', '{ dog { name }', 'query Q query { dog { name } }', '{ dog: { name } }', '{ :dog { name } }', '{ a: b: dog { name } }', '{ dog() { name } }', '{ dog { ...on } }', '{ dog { ... on { name } } }', '{ dog { name }, , , }', '\ufeff{ dog { name } }', '{ dog { n\u00e4me } }', '{ dog { name } } \u00a0', '? { dog { name } }', '{ dog { name } } # end', '{ dog { name(surname: $) } }', 'query ($: Int) { dog { name } }', '{ dog { name(surname: true false) } }', '{ dog { ..name } }', '{ dog { . . . on Dog { name } } }', 'subscription', 'query Name', 'nope { dog { name } }', 'true { dog { name } }', 'fragment F { name }', 'fragment F on Dog', '{ dog { @skip(if: true) name } }', '@skip(if: true) { dog { name } }', 'query @onQuery { dog { name } }', 'query Q @onQuery($v: Int) { dog { name } }', args('any(a: {a: 1 b: 2, c: [1 2]})'), args('any(a: {a 1})'), args('any(a: [1, ])'), args('enum(a: true)'), args('enum(a: null)'), args('enum(a: $v)'),
];

/**
 * Where npm graphql says otherwise than the specification: what is refused here alone, by its message, and
 * what is accepted here alone, by its text.
 */
export const known = [
  {
    why: '3.11, the table of input coercion: [1, 2, 3] is an error for [[Int]]; only a whole value becomes a list of one item',
    refused: /in a list of lists, every item is one\.$/,
  },
  {
    why: '3.5.2: an input that is no finite IEEE 754 value is an error for Float; npm graphql makes it Infinity',
    refused: /Float cannot represent a value beyond double precision/,
  },
  {
    why: '3.5: built-in scalars are omitted from SDL; npm graphql lets them be replaced',
    refused: /^Cannot redeclare type (Int|Float|String|Boolean|ID)\./,
  },
  {
    why: '3.13: what a directive of the specification takes and where it stands is said there',
    refused: /^The directive @\w+ is one of the specification/,
  },
  {
    why: '3.13 and 5.6.1: the arguments of a directive are of their types, in SDL too; npm graphql looks at those of its own directives only',
    refused: /^@d\(\w+:\): |^Argument x for directive d cannot be null/,
  },
  {
    why: '3.13: a directive does not refer to itself',
    refused: /^Directive d cannot refer to itself/,
  },
  {
    why: '3.1: a type system document has no operations',
    refused: /^Unexpected (Name "query"|\{$)/,
  },
  {
    why: '5.3.2: the sets of arguments are identical, for a block string is the string that it stands for',
    accepted: ['{ args { x: string(a: "s") x: string(a: """s""") } }'],
  },
];
