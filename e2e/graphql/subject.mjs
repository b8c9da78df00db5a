// Package graphql, as the program subject.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { isAbstractType, isEnumType, isObjectType } from 'graphql';

const program = process.env.GRAPHQL_SUBJECT;

/** What the resolvers of subject need to know of a schema. */
export function describe(schema) {
  return Object.values(schema.getTypeMap())
    .filter((t) => !t.name.startsWith('__'))
    .map((t) => ({
      name: t.name,
      kind: isObjectType(t) ? 'OBJECT' : isAbstractType(t) ? 'INTERFACE' : isEnumType(t) ? 'ENUM' : 'OTHER',
      fields: isObjectType(t) ? Object.values(t.getFields()).map((f) => ({ name: f.name, type: String(f.type), args: f.args.length })) : [],
      possible: isAbstractType(t) ? schema.getPossibleTypes(t).map((p) => p.name) : [],
      values: isEnumType(t) ? t.getValues().map((v) => v.name) : [],
    }));
}

/** Starts subject; it is stopped when the test ends. */
export function startSubject(t) {
  const child = spawn(program, ['answer'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const waiting = [];
  createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.resolve(JSON.parse(line)));
  ended.then(([code]) => waiting.splice(0).forEach((w) => w.reject(new Error(`subject ended with ${code}`))));
  const say = (line) => new Promise((resolve, reject) => {
    waiting.push({ resolve, reject });
    child.stdin.write(`${JSON.stringify(line)}\n`);
  });
  t.after(async () => {
    child.stdin.end();
    await ended;
  });
  return {
    /** Makes a schema; gives its problems. types are of describe. */
    schema: async (sdl, types = [], rates = {}) => (await say({ schema: { sdl, types, rates } })).problems ?? [],
    /** Executes a request; gives its responses, and whether a subscription's source was made. */
    execute: async (request) => ({ responses: [], ...(await say({ request })) }),
  };
}
