// Package graphql against npm graphql over generated operations with @defer and @stream. Both compute the same
// data. When each parts are put together they must have become the same: data, errors by path and locations,
// what the client was told to wait for, and what of it has failed. In which response something comes is free. Every
// third operation is answered in the older format too, by path and label.
//
//	SEED=1 OPERATIONS=5000 ./run.sh --test-name-pattern=incremental

import test from 'node:test';
import assert from 'node:assert/strict';
import { Random } from './random.mjs';
import { generateSchema } from './schemagen.mjs';
import { generateIncrementalRequest } from './docgen.mjs';
import { allErrorsAtOnce, answerInParts, makeIncrementalSchema, makeLenient } from './reference.mjs';
import { describe, startSubject } from './subject.mjs';
import { compare, nulled } from './compare.mjs';
import { assembled, assembledByPath, compareAssembled } from './parts.mjs';

const seed = Number(process.env.SEED ?? Date.now() % 0x7fffffff);
const operations = Number(process.env.OPERATIONS ?? 1500);
const perSchema = 30;
const mostDifferences = 10;

// How much goes wrong in a schema's data, of a hundred values.
const climates = [
  { null: 0, wrong: 0, error: 0, mismatch: 0 },
  { null: 5, wrong: 1, error: 2, mismatch: 0 },
  { null: 10, wrong: 4, error: 6, mismatch: 2 },
];

test('incremental: generated operations with @defer and @stream end as those of npm graphql', { timeout: 120_000 }, async (t) => {
  console.log(`SEED=${seed}`);
  const random = new Random(seed);
  const subject = startSubject(t);
  const counts = coverage();
  const differences = [];
  for (let n = 0; n < operations && differences.length < mostDifferences; ) {
    const rates = random.one(climates);
    const sdl = generateSchema(random);
    const schema = makeIncrementalSchema(sdl, rates, counts);
    assert.deepEqual(await subject.schema(sdl, describe(schema), rates, true), [], sdl);
    const lenient = makeLenient(sdl, rates);
    for (let i = 0; i < perSchema; i++, n++) {
      const generated = generateIncrementalRequest(schema, random);
      const want = await answerInParts(schema, generated.request);
      const got = await subject.execute(generated.request);
      let text = await difference(counts, lenient, generated, want, got, assembled);
      if (!text && i % 3 === 0 && want.stage === 'execute') {
        counts.byPath++;
        text = await difference(counts, lenient, generated, await answerInParts(schema, generated.request, true), await subject.executeByPath(generated.request), assembledByPath);
      }
      if (text) differences.push({ text, request: generated.request, sdl });
    }
  }
  console.log(`coverage: ${Object.entries(counts).map(([k, v]) => `${k} ${v}`).join(', ')}`);
  for (const d of differences) console.log(`${d.text}\n${d.request.query}\n${JSON.stringify(d.request.variables)} ${d.request.operationName ?? ''}\n${process.env.SHOW_SDL ? d.sdl : ''}\n`);
  assert.equal(differences.length, 0, `${differences.length} differences with SEED=${seed}`);
  assert.deepEqual(Object.keys(counts).filter((k) => counts[k] === 0), [], 'nothing generated was of this kind');
});

/** Says how two answers differ, or "". */
async function difference(counts, lenient, { request, uses, kind }, want, got, put) {
  if (put === assembled) {
    counts.operations++;
    counts[kind]++;
  }
  if (want.stage !== 'execute') {
    counts.refused++;
    return compare(request.query, want, { ...got, responses: got.responses.slice(0, 1) });
  }
  for (const [name, n] of Object.entries(uses)) if (name in counts) counts[name] += n > 0 ? 1 : 0;
  const both = [];
  for (const [who, { responses }] of [['npm graphql', want], ['package graphql', got]]) {
    try {
      both.push(put(responses));
    } catch (error) {
      return `${who}: ${error.message}\n${responses.map((r) => JSON.stringify(r)).join('\n')}`;
    }
  }
  count(counts, both[0], got.responses);
  const text = compareAssembled(request.query, ...both, await allErrorsAtOnce(lenient, want.document, request));
  const show = (list) => list.map((r) => JSON.stringify(r)).join('\n     ');
  return text && `${text}\nwant ${show(want.responses)}\ngot  ${show(got.responses)}`;
}

function coverage() {
  return {
    operations: 0, query: 0, mutation: 0, refused: 0, byPath: 0, injected: 0, inParts: 0, inManyParts: 0,
    defer: 0, stream: 0, label: 0, ifVariable: 0, ifLiteral: 0, initialCount: 0, spreadAgain: 0, fragments: 0,
    deferred: 0, streamed: 0, inLists: 0, toldLater: 0, subPaths: 0, failedFragments: 0, failedStreams: 0, errorsInParts: 0, nullsInParts: 0, wholeDataNull: 0,
  };
}

/** Counts what an operation has come to. */
function count(counts, all, responses) {
  if (responses.length > 1) counts.inParts++;
  if (responses.length > 2) counts.inManyParts++;
  if (all.data === null) counts.wholeDataNull++;
  counts.deferred += all.deferred;
  counts.streamed += all.streamed;
  counts.toldLater += responses.slice(1).some((r) => r.pending?.length > 0);
  counts.inLists += all.pending.some((p) => p.path.some(Number.isInteger));
  counts.subPaths += responses.some((r) => r.incremental?.some((i) => i.subPath));
  counts.failedFragments += all.failed.filter((f) => !f.stream).length;
  counts.failedStreams += all.failed.filter((f) => f.stream).length;
  counts.errorsInParts += all.partErrors.length;
  counts.nullsInParts += all.partErrors.filter((e) => nulled(all.data, e.path)).length;
}
