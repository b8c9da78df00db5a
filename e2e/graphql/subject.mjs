// Package graphql, as the program in subject/.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { isAbstractType, isEnumType, isObjectType } from 'graphql';

const program = process.env.GRAPHQL_SUBJECT;

/** What the program's resolvers need to know of a schema. */
export function describe(schema) {
  return Object.values(schema.getTypeMap())
    .filter((t) => !t.name.startsWith('__'))
    .map((t) => ({
      name: t.name,
      kind: t === schema.getSubscriptionType() ? 'SUBSCRIPTION' : isObjectType(t) ? 'OBJECT' : isAbstractType(t) ? 'INTERFACE' : isEnumType(t) ? 'ENUM' : 'OTHER',
      fields: isObjectType(t) ? Object.values(t.getFields()).map((f) => ({ name: f.name, type: String(f.type), args: f.args.length })) : [],
      possible: isAbstractType(t) ? schema.getPossibleTypes(t).map((p) => p.name) : [],
      values: isEnumType(t) ? t.getValues().map((v) => v.name) : [],
    }));
}

// Fields that yield nothing.
export const silent = { null: 100, wrong: 0, error: 0, mismatch: 0 };

// What is said of a schema without resolvers, once there is nothing else to say.
const ofResolvers = /has no resolver|has no Go type/;

// What is said of a valid operation that is not executed: of its variables, and of its name.
const ofRequest = /^Variable "\$\w+" (of required type "[^"]*" was not provided|of non-null type|got invalid value|has an invalid default)|^Unknown operation named|^Must provide (an )?operation/;

/** The errors by which a document itself is refused. */
export function refusal({ responses }) {
  const [first] = responses;
  if (!first || 'data' in first || first.errors[0].path || ofRequest.test(first.errors[0].message)) return [];
  return first.errors;
}

/** Starts the program; it is stopped when the test ends. */
export function startSubject(t) {
  const child = spawn(program, ['answer'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const waiting = [];
  createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.resolve(JSON.parse(line)));
  ended.then(([code]) => waiting.splice(0).forEach((w) => w.reject(new Error(`the subject ended with ${code}`))));
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
    schema: async (sdl, types = [], rates = {}, incremental = false) => (await say({ schema: { sdl, types, rates, incremental } })).problems ?? [],
    /** Says what is wrong with an SDL, whatever resolvers it has. */
    schemaProblems: async (sdl, types) => ((await say({ schema: { sdl, types, rates: silent } })).problems ?? []).filter((p) => types.length > 0 || !ofResolvers.test(p.Text)),
    /** Executes a request; gives its responses, and whether a subscription's source was made. */
    execute: async (request) => ({ responses: [], ...(await say({ request })) }),
    /** Executes a request over HTTP, for a client that reads parts as deferSpec=20220824 has them. */
    executeByPath: async (request) => ({ responses: [], ...(await say({ request, byPath: true })) }),
  };
}
