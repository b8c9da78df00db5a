// What makes an operation invalid: one for nearly each rule of the specification's section 5.

const inside = (text) => (set) => set.replace(/\}$/, `${text} }`);

const flaws = [
  () => inside('noSuchField'),
  () => inside('__typename { x }'),
  () => inside('q0(noSuchArgument: 1)'),
  () => inside('grid'),
  () => inside('...NoSuchFragment'),
  () => inside('... on NoSuchType { __typename }'),
  () => inside('... on Color { RED }'),
  () => inside('... on In0 { f1 }'),
  () => inside('... on O0 { text }'),
  () => inside('x: __typename @noSuchDirective'),
  () => inside('x: __typename @skip(if: true) @skip(if: false)'),
  () => inside('x: __typename @skip'),
  () => inside('x: __typename @include(if: "yes")'),
  () => inside('x: __typename @deprecated'),
  () => inside('x: __typename @mark(sizes: [HUGE])'),
  () => inside('x: all(a0: $noSuchVariable)'),
  () => inside('x: all(a0: {noSuchField: 1})'),
  () => inside('x: all(a0: 1)'),
  () => inside('x: all(a0: [])'),
  () => inside('x: all a0: __typename x: grid { __typename }'),
  () => inside('x: __typename x: all'),
  () => inside('x: member(c: {a: 1}) { __typename } x: member(c: {a: 2}) { __typename }'),
  () => inside('x: member(c: {}) { __typename }'),
  () => inside('x: member(c: {a: 1, b: ["x"]}) { __typename }'),
  () => inside('x: member(c: {a: null}) { __typename }'),
  () => inside('x: member(c: {a: 1.5}) { __typename }'),
  () => inside('x: member(c: {b: [null]}) { __typename }'),
  () => inside('x: member(c: $c1, c: $c1) { __typename }'),
  () => inside('x: member { ...A } } fragment A on O0 { ...B } fragment B on O0 { ...A'),
  () => inside('x: __typename } fragment Unused on O0 { __typename'),
  () => inside('x: __typename } query Op { __typename'),
  () => inside('x: __typename } { __typename'),
  () => inside('x: __typename } type Late { a: Int'),
  (g) => variable(g, 'Int', 'x: __typename'),
  (g) => variable(g, 'O0', 'x: member(c: {a: $extra}) { __typename }'),
  (g) => variable(g, 'Int', 'x: member(c: {a: $extra}) { __typename }'),
  (g) => variable(g, 'Boolean', 'x: __typename @skip(if: $extra)'),
  (g) => variable(g, '[Int]', 'x: member(c: {a: $extra}) { __typename }'),
  (g) => variable(g, 'NoSuchType', 'x: member(c: {a: $extra}) { __typename }'),
  (g) => variable(g, 'Int! = null', 'x: member(c: {a: $extra}) { __typename }'),
  (g) => variable(g, 'Int! = "x"', 'x: member(c: {a: $extra}) { __typename }'),
  (g) => variable(g, '[String!]! = ["x", null]', 'x: member(c: {b: $extra}) { __typename }'),
  (g) => variable(g, 'Choice! = {a: 1, b: []}', 'x: member(c: $extra) { __typename }'),
  (g) => variable(g, 'Int!, $extra: Int!', 'x: member(c: {a: $extra}) { __typename }'),
];

/** A variable more, and where it is used. */
function variable(generator, type, text) {
  generator.variables.set('extra', { type, of: generator.schema.getType('Int') });
  return inside(text);
}

/** Gives what puts one flaw into the selection of a root. */
export function flaw(generator) {
  return generator.r.one(flaws)(generator);
}
