// Runs the session of the README, "First light", as it stands there: every command, and every line of
// output, where … stands for what differs from run to run.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import test from 'node:test';

const gateway = new URL(process.env.GATEWAY_URL);

/** The steps of the README's blocks: [{command, output: [line]}]. A line that begins with $ is a command. */
async function session() {
  const text = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const blocks = [...text.matchAll(/```console first-light\n([^]*?)```/g)].map((m) => m[1]);
  assert.ok(blocks.length >= 3, 'the README has its session');
  return blocks.map((block) => {
    const [first, ...output] = block.trimEnd().split('\n');
    assert.match(first, /^\$ /);
    return { command: first.slice(2).replaceAll('127.0.0.1:8080', gateway.host), output };
  });
}

const matcher = (line) =>
  new RegExp(`^${line.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('…', '.*').replaceAll('127\\.0\\.0\\.1:8080', gateway.host)}$`);

/** Runs a command; has(lines) waits until its output is exactly what the README shows. */
function run(command) {
  const child = spawn('/bin/sh', ['-c', `exec ${command}`], { cwd: new URL('.', import.meta.url), stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (s) => (out += s));
  return {
    stop: () => child.kill(),
    async shows(lines) {
      for (let i = 0; i < 600; i++) {
        const got = out.split('\n').filter((line) => line !== '');
        if (got.length >= lines.length) {
          lines.forEach((line, n) => assert.match(got[n], matcher(line), `line ${n + 1} of: ${command}`));
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      assert.fail(`${command}\nshowed only:\n${out}`);
    },
  };
}

test('the README: first light', async (t) => {
  const steps = await session();
  const running = [];
  t.after(() => running.forEach((r) => r.stop()));
  for (const { command, output } of steps) {
    const r = run(command);
    running.push(r);
    // The clients wait for the message that the last command sends: until then only their first lines can be there.
    r.expected = output.filter((line) => line !== '');
    const message = r.expected.findIndex((line) => line.includes('chat.message'));
    const before = r.expected.slice(0, message).filter((line, i) => i < message - 1 || !line.startsWith('id:')); // which comes with the message
    await r.shows(message < 0 ? [] : before);
  }
  for (const r of running) await r.shows(r.expected);
});
