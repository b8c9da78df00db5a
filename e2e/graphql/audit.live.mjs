// The audits of npm graphql-http against the handler alone, against the provider in a gateway, and against
// examples/graphql.

import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { buildClientSchema, buildSchema, getIntrospectionQuery, printSchema } from 'graphql';
import { auditServer } from 'graphql-http';
import { freePort, start, until } from '../live.mjs';

// Audits of SHOULD and MAY that the answer fails on purpose, and why. One that passes must go from here.
const justified = {};

const { match, stop } = await start(process.env.GRAPHQL_SUBJECT, ['serve'], /^listening on (\S+) and (\S+)$/);
test.after(() => stop());

const example = await startExample();
test.after(example.stop);

/** Starts examples/graphql at a free port. */
async function startExample() {
  const port = await freePort();
  const child = spawn(process.env.GRAPHQL_EXAMPLE, ['-addr', `127.0.0.1:${port}`], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  const url = `http://127.0.0.1:${port}/graphql`;
  await until('examples/graphql serves', () => fetch(`${url}?query={__typename}`).then((r) => r.ok, () => false));
  return { url, stop: () => child.kill() && ended };
}

test('introspection of examples/graphql over HTTP is its SDL', async () => {
  const body = JSON.stringify({ query: getIntrospectionQuery({ specifiedByUrl: true, inputValueDeprecation: true, oneOf: true }) });
  const response = await fetch(example.url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined);
  const sdl = await readFile(new URL('../../examples/graphql/schema.graphql', import.meta.url), 'utf8');
  assert.equal(printSchema(buildClientSchema(data)), printSchema(buildSchema(sdl)));
});

for (const [name, url] of [['the handler alone', match[1]], ['the provider in a gateway', match[2]], ['examples/graphql', example.url]]) {
  test(`audits of graphql-http, ${name}`, async () => {
    const results = await auditServer({ url });
    const count = (level) => results.filter((r) => r.name.startsWith(level)).length;
    console.log(`${results.length} audits: ${count('MUST')} MUST, ${count('SHOULD')} SHOULD, ${count('MAY')} MAY`);
    assert.ok(results.length >= 61, 'audits are missing');
    assert.ok(count('MUST') > 0 && count('SHOULD') > 0 && count('MAY') > 0);
    const failed = results.filter((r) => r.status !== 'ok');
    const unexpected = failed.filter((r) => r.status === 'error' || !(r.id in justified));
    assert.deepEqual(unexpected.map((r) => `${r.status} ${r.id} ${r.name}: ${r.reason}`), []);
    const passing = Object.keys(justified).filter((id) => !failed.some((r) => r.id === id));
    assert.deepEqual(passing, [], 'these pass and need no justification');
  });
}
