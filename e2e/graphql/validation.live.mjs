// What package graphql refuses against what npm graphql refuses: for each rule a table, and then texts with
// a few tokens changed.
//
//	SEED=1 MUTATIONS=20000 ./run.sh --test-name-pattern=validation

import test from 'node:test';
import assert from 'node:assert/strict';
import { buildSchema } from 'graphql';
import { known, operations, schemas, sdl } from './cases.mjs';
import { generateRequest } from './docgen.mjs';
import { mutate } from './mutate.mjs';
import { Random } from './random.mjs';
import { refusal, schemaProblems } from './reference.mjs';
import { generateSchema } from './schemagen.mjs';
import * as subjects from './subject.mjs';

const seed = Number(process.env.SEED ?? Date.now() % 0x7fffffff);
const mutations = Number(process.env.MUTATIONS ?? 4000);
const perSchema = 20;

/** Compares verdicts, and collects what differs. */
class Verdicts {
  constructor() {
    Object.assign(this, { valid: 0, invalid: 0, differences: [], known: new Map() });
  }

  add(text, wanted, got) {
    this[wanted.length > 0 ? 'invalid' : 'valid']++;
    if (wanted.length > 0 === got.length > 0) return;
    const why = known.find((k) => (wanted.length > 0 ? k.accepted?.includes(text) : k.refused && got.every((message) => k.refused.test(message))))?.why;
    if (why) this.known.set(why, (this.known.get(why) ?? 0) + 1);
    else this.differences.push(`${text}\n  npm graphql: ${wanted[0] ?? 'valid'}\n  here: ${got[0] ?? 'valid'}`);
  }

  check(what) {
    console.log(`${what}: ${this.valid} valid, ${this.invalid} not`);
    for (const why of this.known.keys()) met.add(why);
    for (const [why, n] of this.known) console.log(`  ${n} known differences: ${why}`);
    for (const d of this.differences.slice(0, 20)) console.log(d);
    assert.equal(this.differences.length, 0, `${what}: ${this.differences.length} verdicts differ, SEED=${seed}`);
    assert.ok(this.valid > 0 && this.invalid > 0, 'all verdicts are one');
  }
}

const met = new Set(); // what is known and was seen in the tables

const messages = (errors = []) => errors.map((e) => e.message);

async function addSchema(verdicts, subject, text) {
  const { schema, problems } = schemaProblems(text);
  const got = await subject.schemaProblems(text, problems.length > 0 ? [] : subjects.describe(schema));
  verdicts.add(text, messages(problems), got.map((p) => p.Text));
}

async function addOperation(verdicts, subject, schema, request) {
  const { errors } = refusal(schema, request.query);
  verdicts.add(request.query, messages(errors), messages(subjects.refusal(await subject.execute(request))));
}

test('validation: the table of schemas', async (t) => {
  const subject = subjects.startSubject(t);
  const verdicts = new Verdicts();
  for (const text of schemas) await addSchema(verdicts, subject, text);
  verdicts.check('schemas');
});

test('validation: the table of operations', async (t) => {
  const subject = subjects.startSubject(t);
  const schema = buildSchema(sdl);
  assert.deepEqual(await subject.schema(sdl, subjects.describe(schema), subjects.silent), []);
  const verdicts = new Verdicts();
  for (const query of operations) await addOperation(verdicts, subject, schema, { query });
  verdicts.check('operations');
});

test('validation: every known difference is still one', () => {
  assert.deepEqual(known.map((k) => k.why).filter((why) => !met.has(why)), []);
});

const operationTokens = ['{', '}', '(', ')', '[', ']', ':', '=', '!', '|', '$x', '@', '@skip', '@include(if: true)', '...', 'on', 'fragment', 'query', 'subscription', 'null', 'true', 'RED', '1', '1.5', '"s"', '"""b"""', '3000000000', '1e400', '$', 'Int', 'Int!', '[Int]', '__typename', 'x: __typename', 'O0', 'I0', '{a: 1}', '{}', '[]', '...F0', '... on I0', 'type', '@mark', '@deprecated', '-', '.5', '1.', '#', '"'];
const schemaTokens = ['{', '}', '(', ')', '[', ']', ':', '=', '!', '|', '&', '@deprecated', '@oneOf', '@mark', '@skip(if: true)', '@specifiedBy(url: "x")', 'type', 'input', 'enum', 'interface', 'union', 'scalar', 'directive', 'extend', 'schema', 'implements', 'repeatable', 'on', 'null', '1', '"s"', '"""d"""', 'Int', 'Int!', '[Int]', 'O0', 'I0', 'I1', 'U0', 'In0', 'Choice', 'Color', 'Json', 'Query', 'FIELD', 'RED', 'true', '__x', '{}', '[]', '= 1', '= null', 'f1', 'query', 'Nope'];

test('validation: operations with changed tokens', { timeout: 120_000 }, async (t) => {
  const subject = subjects.startSubject(t);
  const random = new Random(seed);
  const verdicts = new Verdicts();
  for (let n = 0; n < mutations; n += perSchema) {
    const text = generateSchema(random);
    const schema = buildSchema(text);
    assert.deepEqual(await subject.schema(text, subjects.describe(schema), subjects.silent), []);
    for (let i = 0; i < perSchema; i++) {
      const { request } = generateRequest(schema, random);
      await addOperation(verdicts, subject, schema, { ...request, query: mutate(request.query, random, operationTokens) });
    }
  }
  verdicts.check(`operations, SEED=${seed}`);
});

test('validation: schemas with changed tokens', { timeout: 120_000 }, async (t) => {
  const subject = subjects.startSubject(t);
  const random = new Random(seed);
  const verdicts = new Verdicts();
  for (let n = 0; n < mutations; n += perSchema) {
    const text = generateSchema(random);
    for (let i = 0; i < perSchema; i++) await addSchema(verdicts, subject, mutate(text, random, schemaTokens));
  }
  verdicts.check(`schemas, SEED=${seed}`);
});
