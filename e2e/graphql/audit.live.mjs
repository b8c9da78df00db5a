// The audits of npm graphql-http against the handler alone and against the provider in a gateway.

import test from 'node:test';
import assert from 'node:assert/strict';
import { auditServer } from 'graphql-http';
import { start } from '../live.mjs';

// Audits of SHOULD and MAY that the answer fails on purpose, and why. One that passes must go from here.
const justified = {};

const { match, stop } = await start(process.env.GRAPHQL_SUBJECT, ['serve'], /^listening on (\S+) and (\S+)$/);
test.after(() => stop());

for (const [name, url] of [['alone', match[1]], ['in a gateway', match[2]]]) {
  test(`audits of graphql-http, the handler ${name}`, async () => {
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
