// Compares comm/graphql with graphql-js over generated schemas, data, operations and variables.
//
//   node graphqldiff.mjs PROGRAM [COUNT] [SEED]     PROGRAM is testgraphql, built
//
// Data must be equal. Each position that an error has made null must be the same on both sides, and so must
// the error's path and locations. Only where a null has gone up from several errors does the specification
// leave open which is told, since each may end what is under way beside it: one in fifty such may be another.
// Ends with 1 on a difference, or if something was never met.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { isDeepStrictEqual } from "node:util";
import { buildSchema, execute, parse, validate } from "graphql";

const [program, count = "2000", seed0 = "1"] = process.argv.slice(2);
let seed = Number(seed0);
const random = () => {
  seed = (seed * 1664525 + 1013904223) >>> 0;
  return seed / 2 ** 32;
};
const int = (n) => Math.floor(random() * n);
const chance = (p) => random() < p;
const pick = (list) => list[int(list.length)];
const seen = { abstract: 0, "nested lists": 0, oneOf: 0, directives: 0, fragments: 0, "null propagation": 0, "injected errors": 0, variables: 0, mutations: 0, refused: 0, executed: 0 };

let others = 0; // nulls that have gone up from another of several errors

// A type reference is {name}, {list} or {nonNull}.
const print = (t) => (t.nonNull ? print(t.nonNull) + "!" : t.list ? `[${print(t.list)}]` : t.name);
const base = (t) => t.name ?? base(t.nonNull ?? t.list);
const wrap = (name) => {
  let t = { name };
  if (chance(0.35)) t = { nonNull: t };
  for (let depth = 0; depth < 2 && chance(0.35); depth++) {
    t = { list: t };
    if (depth === 1) seen["nested lists"]++;
    if (chance(0.3)) t = { nonNull: t };
  }
  return t;
};

const leaves = ["Int", "Float", "String", "Boolean", "ID", "Color"];
const inputs = "input In { a: Int b: String = \"d\" c: [Int!] d: In e: Color = RED f: Float! = 1 } input One @oneOf { a: Int b: [String] }\n";
const argTypes = ["Int", "Int!", "String", "[Int]", "[Int!]!", "Color", "In", "One", "Float", "Boolean", "ID"];

function makeSchema() {
  const objects = Array.from({ length: 2 + int(3) }, (_, i) => ({ name: `T${i}`, fields: {} }));
  const iface = { name: "Node", fields: { id: { name: "Int" }, nextR: wrap("Node") } };
  const composites = [...objects.map((o) => o.name), "Node", "Either"];
  const field = () => wrap(chance(0.45) ? pick(composites) : pick(leaves));
  const members = objects.filter(() => chance(0.7));
  if (members.length === 0) members.push(objects[0]);
  for (const o of objects) {
    for (const suffix of ["", "R", "B", "x", "y", "yR"]) o.fields[`f${suffix}`] = field();
    if (members.includes(o)) Object.assign(o.fields, iface.fields);
  }
  const query = { name: "Query", fields: {} };
  for (const suffix of ["", "R", "B", "x", "xR"]) query.fields[`q${suffix}`] = wrap(pick(composites));
  const args = Object.fromEntries(Array.from({ length: 3 }, (_, i) => [`a${i}`, { type: pick(argTypes), dflt: undefined }]));
  for (const a of Object.values(args)) if (a.type === "Int" && chance(0.5)) a.dflt = "7";
  const printArgs = Object.entries(args).map(([n, a]) => `${n}: ${a.type}${a.dflt ? ` = ${a.dflt}` : ""}`).join(", ");
  const body = (o) => Object.entries(o.fields).map(([n, t]) => `${n}: ${print(t)}`).join(" ");
  const sdl = [
    `type Query { ${body(query)} echoA(${printArgs}): String }`,
    `type Mutation { m1R: ${print(query.fields.qR)} m2R: Int m3R: Int! }`,
    `interface Node { ${body(iface)} }`,
    ...objects.map((o) => `type ${o.name}${members.includes(o) ? " implements Node" : ""} { ${body(o)} echoA(${printArgs}): String }`),
    `union Either = ${members.map((o) => o.name).join(" | ")}`,
    "enum Color { RED GREEN }", inputs,
  ].join("\n");
  return { sdl, objects, members, iface, query, args, byName: new Map([...objects, iface, query].map((o) => [o.name, o])) };
}

// Values of a type, sometimes null, wrong, or an error where the field can have one.
function makeValue(s, t, depth, mayFail, nonNull = false) {
  if (t.nonNull) return makeValue(s, t.nonNull, depth, mayFail, !chance(0.04));
  if (mayFail && chance(0.05)) {
    seen["injected errors"]++;
    return { __error: `e${int(100)}` };
  }
  if (!nonNull && chance(0.12)) return null;
  if (t.list) return Array.from({ length: int(3) }, () => makeValue(s, t.list, depth, false));
  switch (t.name) {
    case "Int": return chance(0.04) ? pick([2 ** 40, 1.5, "x"]) : int(100);
    case "Float": return chance(0.3) ? int(100) : pick([0.5, -1.25, 1e21, 1e-7, 123456.789]);
    case "String": return pick(["", "a", "é\"\\\n", "\u2028<&>"]);
    case "Boolean": return chance(0.5);
    case "ID": return pick(["x", "1"]);
    case "Color": return chance(0.05) ? "BLUE" : pick(["RED", "GREEN"]);
  }
  const o = t.name === "Node" || t.name === "Either" ? pick(s.members) : s.byName.get(t.name);
  const v = { __typename: o.name };
  if (t.name !== o.name) {
    seen.abstract++;
    if (chance(0.03)) v.__typename = "Nope";
  }
  if (depth <= 0) return nonNull || chance(0.5) ? fill(s, o, v, -1) : null;
  return fill(s, o, v, depth);
}

function fill(s, o, v, depth) {
  for (const [name, t] of Object.entries(o.fields)) {
    const composite = !leaves.includes(base(t));
    if (composite && depth < 0) continue;
    v[name] = makeValue(s, t, depth - 1, /[RB]$/.test(name));
  }
  return v;
}

// Operations that are valid, or nearly.
function makeOperation(s) {
  const vars = new Map();
  let echoes = 0;
  const fragments = [];
  const variable = (type, value, dflt) => {
    const name = `v${vars.size}`;
    vars.set(name, { type, value, dflt });
    seen.variables++;
    return `$${name}`;
  };
  const condition = () => {
    if (!chance(0.12)) return "";
    seen.directives++;
    const on = chance(0.6);
    const arg = chance(0.5) ? variable("Boolean!", on) : on;
    return ` @${chance(0.5) ? "include" : "skip"}(if: ${arg})`;
  };
  const literal = (type) => {
    if (!type.endsWith("!") && chance(0.15)) return "null";
    switch (type.replace(/!$/, "")) {
      case "Int": return String(int(50));
      case "Float": return pick(["1", "2.5", "1e3"]);
      case "String": return pick(['"a"', '"é\\n"', '"""b"""']);
      case "Boolean": return pick(["true", "false"]);
      case "ID": return pick(["4", '"x"']);
      case "Color": return pick(["RED", "GREEN"]);
      case "[Int]": return pick(["3", "[1, null]", "[]"]);
      case "[Int!]": return pick(["3", "[1, 2]"]);
      case "In": return `{${chance(0.5) ? ` a: ${chance(0.5) ? variable("Int", pick([1, null, undefined])) : 1}` : ""}${chance(0.3) ? " b: null" : ""}${chance(0.3) ? " c: 4" : ""}${chance(0.3) ? " d: {a: 2}" : ""} }`;
      case "One": seen.oneOf++; return chance(0.3) ? `{a: ${variable("Int!", 3)}}` : pick(["{a: 1}", '{b: ["x"]}', '{b: "x"}']);
    }
  };
  const json = (type) => {
    if (chance(0.85)) {
      const right = { Int: 3, Float: 2.5, String: "a", Boolean: true, ID: pick(["x", 4]), Color: "RED", "[Int]": pick([3, [1, null]]), "[Int!]": pick([3, [1]]), In: pick([{}, { a: null, c: 1 }, { d: { b: "x" } }]), One: pick([{ a: 1 }, { b: "x" }]) };
      if (type.startsWith("One")) seen.oneOf++;
      return right[type.replace(/!$/, "")];
    }
    switch (type.replace(/!$/, "")) {
      case "Int": return pick([1, 2 ** 40, "1", null, undefined, -5]);
      case "Float": return pick([1, 2.5, "x", null]);
      case "String": return pick(["a", 1, null, undefined]);
      case "Boolean": return pick([true, "true", null]);
      case "ID": return pick(["x", 4, 4.5, null]);
      case "Color": return pick(["RED", "red", null]);
      case "[Int]": return pick([[1, null], 3, null, ["x"]]);
      case "[Int!]": return pick([[1], 3, [null]]);
      case "In": return pick([{}, { a: null }, { c: 1 }, { d: { b: "x" } }, { nope: 1 }, { f: null }, null]);
      case "One": seen.oneOf++; return pick([{ a: 1 }, { b: "x" }, {}, { a: 1, b: null }, { a: null }]);
    }
  };
  const args = () => {
    const list = [];
    for (const [name, a] of Object.entries(s.args)) {
      if (!a.type.endsWith("!") && chance(0.3)) continue;
      list.push(`${name}: ${chance(0.4) ? variable(a.type, json(a.type), a.type === "Int" && chance(0.3) ? "5" : undefined) : literal(a.type)}`);
    }
    return list.length ? `(${list.join(", ")})` : "";
  };
  const selections = (typeName, depth) => {
    const list = [];
    const o = s.byName.get(typeName);
    const fields = o ? Object.entries(o.fields) : [];
    for (let n = 1 + int(4); n > 0; n--) {
      const kind = random();
      if (kind < 0.1) list.push(`${chance(0.5) ? "t: " : ""}__typename`);
      else if (kind < 0.3 && depth > 0) {
        const on = o && o.name !== "Node" ? o.name : pick(s.members).name;
        const conditional = typeName === "Query" ? "Query" : on;
        list.push(chance(0.3) && o ? `...${condition()} { ${selections(typeName, depth - 1)} }` : `... on ${conditional}${condition()} { ${selections(conditional, depth - 1)} }`);
      } else if (kind < 0.4 && depth > 0) {
        seen.fragments++;
        const on = typeName === "Query" ? "Query" : o && o.name !== "Node" ? o.name : pick(s.members).name;
        const name = `F${fragments.length}`;
        fragments.push("");
        fragments[Number(name.slice(1))] = `fragment ${name} on ${on} { ${selections(on, depth - 1)} }`;
        list.push(`...${name}${condition()}`, ...(chance(0.3) ? [`...${name}`] : []));
      } else if (kind < 0.47 && o && o.name !== "Node") list.push(`${chance(0.97) ? `e${echoes++}: ` : ""}echoA${args()}${condition()}`);
      else if (fields.length) {
        const [name, t] = pick(fields);
        const inner = base(t);
        if (!leaves.includes(inner) && depth <= 0) continue;
        list.push(`${chance(0.1) ? "" : `${typeName}_${name}: `}${name}${condition()}${leaves.includes(inner) ? "" : ` { ${selections(inner, depth - 1)} }`}`);
      }
    }
    return list.length ? list.join("\n") : "__typename";
  };
  let text;
  if (chance(0.08)) {
    seen.mutations++;
    text = `{ m2R ${chance(0.5) ? "m3R" : ""} m1R { ${selections(base(s.query.fields.qR), 2)} } again: m2R }`;
  } else text = `{ ${selections("Query", 5)} }`;
  const defs = [...vars].map(([n, v]) => `$${n}: ${v.type}${v.dflt ? ` = ${v.dflt}` : ""}`).join(", ");
  const variables = {};
  for (const [n, v] of vars) if (v.value !== undefined) variables[n] = v.value;
  const kind = text.startsWith("{ m2R") ? "mutation" : "query";
  return { query: `${kind} Q${defs ? `(${defs})` : ""} ${text}\n${fragments.join("\n")}`, variables };
}

const fieldResolver = (source, args, _, info) => {
  if (info.fieldName === "echoA") return JSON.stringify(sorted(args));
  const v = source?.[info.fieldName];
  if (v?.__error !== undefined) throw new Error(v.__error);
  return v;
};
const sorted = (v) => {
  if (Array.isArray(v)) return v.map(sorted);
  if (v && typeof v === "object") return Object.fromEntries(Object.keys(v).sort().map((k) => [k, sorted(v[k])]));
  return v;
};

function reference(s, data, op) {
  const schema = buildSchema(s.sdl);
  const document = parse(op.query);
  const errors = validate(schema, document);
  if (errors.length) return { errors };
  return JSON.parse(JSON.stringify(execute({ schema, document, rootValue: data, variableValues: op.variables, fieldResolver, typeResolver: (v) => v.__typename })));
}

// nulled groups errors by the position that they have made null.
function nulled(result) {
  const groups = new Map();
  for (const e of result.errors ?? []) {
    let at = result.data;
    const where = [];
    for (const step of e.path ?? []) {
      if (at === null || at === undefined) break;
      where.push(step);
      at = at[step];
    }
    if (where.length < (e.path?.length ?? 0)) seen["null propagation"]++;
    const key = JSON.stringify(where);
    groups.set(key, [...(groups.get(key) ?? []), JSON.stringify([e.path, e.locations])]);
  }
  return groups;
}

function difference(want, got) {
  if (got.refused) return `the schema is refused: ${got.refused}`;
  if (!("data" in want)) {
    seen.refused++;
    if (process.env.VERBOSE) console.log(want.errors.map((e) => e.message).join("; ").slice(0, 300));
    return "data" in got ? "executed what graphql-js refuses" : "";
  }
  seen.executed++;
  if (!("data" in got)) return "refused what graphql-js executes";
  if (!isDeepStrictEqual(want.data, got.data)) return "data differ";
  if (JSON.stringify(want.data) !== JSON.stringify(got.data)) return "the order of keys differs";
  const a = nulled(want), b = nulled(got);
  for (const [at, errors] of a) {
    const ours = b.get(at);
    if (!ours) return `no error for the null at ${at}`;
    if (ours.length === errors.length && ours.every((e) => errors.includes(e))) continue;
    const up = (list) => list.every((e) => JSON.parse(e)[0].length > JSON.parse(at).length);
    if (!up(errors) || !up(ours)) return `other errors for the null at ${at}`;
    others++;
  }
  for (const at of b.keys()) if (!a.has(at)) return `an error too many, for the null at ${at}`;
  return "";
}

const child = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
let failed = 0;
let s, data;
for (let n = 0; n < Number(count) && failed < 5; n++) {
  if (n % 10 === 0) {
    s = makeSchema();
    data = fill(s, s.query, {}, 5);
    Object.assign(data, { m1R: data.qR, m2R: 1, m3R: chance(0.3) ? { __error: "m" } : 2 });
  }
  const op = makeOperation(s);
  child.stdin.write(JSON.stringify({ sdl: s.sdl, data, ...op }) + "\n");
  const got = JSON.parse((await lines.next()).value);
  const want = reference(s, data, op);
  const why = difference(want, got);
  if (why) {
    failed++;
    console.log(`--- ${n}: ${why}\n${s.sdl}\n${op.query}\n${JSON.stringify(op.variables)}\nwant ${JSON.stringify(want).slice(0, 3000)}\ngot  ${JSON.stringify(got).slice(0, 3000)}`);
  }
}
child.stdin.end();
console.log(`${count} operations compared, ${failed} differ;`, Object.entries(seen).map(([k, v]) => `${k} ${v}`).join(", "));
const missing = Object.entries(seen).filter(([, v]) => v === 0).map(([k]) => k);
if (missing.length) console.log("never met:", missing.join(", "));
const tooMany = others * 50 > Math.max(50, seen["null propagation"]);
console.log(`${others} nulls have another of several errors${tooMany ? ", which are too many" : ""}`);
process.exitCode = failed || missing.length || tooMany ? 1 : 0;
