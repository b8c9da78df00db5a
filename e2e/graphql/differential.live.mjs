// Package graphql against npm graphql over generated schemas, operations and variables. Both compute the
// same data. Responses must be equal: data to the order of its keys, errors by path and locations.
//
//	SEED=1 TRIPLES=5000 ./run.sh --test-name-pattern=differential

import test from 'node:test';
import assert from 'node:assert/strict';
import { isAbstractType, isListType } from 'graphql';
import { Random } from './random.mjs';
import { generateSchema } from './schemagen.mjs';
import { generateRequest, named } from './docgen.mjs';
import { allErrors, answer, makeLenient, makeSchema } from './reference.mjs';
import { describe, startSubject } from './subject.mjs';
import { compare, nulled } from './compare.mjs';

const seed = Number(process.env.SEED ?? Date.now() % 0x7fffffff);
const triples = Number(process.env.TRIPLES ?? 3000);
const perSchema = 40;
const mostDifferences = 10;

// How much goes wrong in a schema's data, of a hundred values.
const climates = [
  { null: 0, wrong: 0, error: 0, mismatch: 0 },
  { null: 10, wrong: 1, error: 3, mismatch: 1 },
  { null: 20, wrong: 5, error: 10, mismatch: 4 },
  { null: 10, wrong: 0, error: 5, mismatch: 0 },
];

test('differential: generated operations are answered as npm graphql answers them', { timeout: 280_000 }, async (t) => {
  console.log(`SEED=${seed}`);
  const random = new Random(seed);
  const subject = startSubject(t);
  const counts = coverage();
  const differences = [];
  for (let n = 0; n < triples && differences.length < mostDifferences; ) {
    const rates = random.one(climates);
    const sdl = generateSchema(random);
    const schema = makeSchema(sdl, rates, counts);
    assert.deepEqual(await subject.schema(sdl, describe(schema), rates), [], sdl);
    let lenient;
    for (let i = 0; i < perSchema; i++, n++) {
      const generated = generateRequest(schema, random);
      const want = await answer(schema, generated.request);
      const got = await subject.execute(generated.request);
      count(counts, schema, generated, want);
      const propagated = want.responses.some(({ data, errors }) => errors?.some((e) => nulled(data, e.path)));
      if (want.stage === 'execute' && propagated) want.all = await allErrors((lenient ??= makeLenient(sdl, rates)), generated.request);
      const text = compare(generated.request.query, want, got);
      if (text) differences.push({ text, request: generated.request, sdl });
    }
  }
  console.log(`coverage: ${Object.entries(counts).map(([k, v]) => `${k} ${v}`).join(', ')}`);
  for (const d of differences) console.log(`${d.text}\n${d.request.query}\n${JSON.stringify(d.request.variables)} ${d.request.operationName ?? ''}\n${process.env.SHOW_SDL ? d.sdl : ''}\n`);
  assert.equal(differences.length, 0, `${differences.length} differences with SEED=${seed}`);
  assert.deepEqual(Object.keys(counts).filter((k) => counts[k] === 0), [], 'nothing generated was of this kind');
});

function coverage() {
  return {
    triples: 0, query: 0, mutation: 0, subscription: 0, events: 0,
    parse: 0, validate: 0, variables: 0, source: 0, execute: 0,
    abstractTypes: 0, nestedLists: 0, oneOf: 0, directives: 0, fragments: 0, aliases: 0, introspection: 0, nullPropagation: 0, wholeDataNull: 0, injected: 0,
    variableAbsent: 0, variableNull: 0, variableGiven: 0,
  };
}

/** Counts what an executed operation had in it. */
function count(counts, schema, { request, uses, kind }, want) {
  counts.triples++;
  counts[kind]++;
  counts[want.stage]++;
  if (want.stage !== 'execute') return;
  for (const [name, n] of Object.entries(uses)) counts[name] += n > 0 ? 1 : 0;
  for (const v of want.operation.variableDefinitions ?? []) {
    const value = request.variables?.[v.variable.name.value];
    counts[value === undefined ? 'variableAbsent' : value === null ? 'variableNull' : 'variableGiven']++;
  }
  for (const { data, errors } of want.responses) {
    if (want.source) counts.events++;
    if (data === null) counts.wholeDataNull++;
    if (errors?.some((e) => nulled(data, e.path))) counts.nullPropagation++;
    const seen = reached(schema, data);
    if (seen.abstract) counts.abstractTypes++;
    if (seen.nested) counts.nestedLists++;
  }
  function reached(schema, data) {
    const seen = { abstract: false, nested: false };
    walk(want.operation.selectionSet, schema.getRootType(kind), data);
    return seen;

    function walk(set, type, value) {
      if (value === null || value === undefined) return;
      for (const s of set.selections) {
        if (s.kind !== 'Field' || !type.getFields) continue;
        const f = type.getFields()[s.name.value];
        const below = value[s.alias?.value ?? s.name.value];
        if (!f || below === null || below === undefined) continue;
        if (isAbstractType(named(f.type))) seen.abstract = true;
        if (Array.isArray(below) && below.some(Array.isArray) && isListType(f.type.ofType?.ofType ?? f.type.ofType)) seen.nested = true;
        const first = [below].flat(9)[0];
        if (s.selectionSet && first) walk(s.selectionSet, named(f.type), first);
      }
    }
  }
}
