// Package graphql against what others wrote: the audits of graphql-http, and graphql-js as a client and as
// the executor to compare with. GRAPHQL_PROGRAM and TESTGRAPHQL are examples/graphql and testgraphql, built.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { buildClientSchema, buildSchema, getIntrospectionQuery, printSchema } from "graphql";
import { serverAudits } from "graphql-http";

let url, service;

before(async () => {
  const port = await new Promise((resolve) => {
    const s = createServer().listen(0, "127.0.0.1", () => {
      const { port } = s.address();
      s.close(() => resolve(port));
    });
  });
  url = `http://127.0.0.1:${port}/graphql`;
  service = spawn(process.env.GRAPHQL_PROGRAM, ["-addr", `127.0.0.1:${port}`], { stdio: "ignore" });
  for (let i = 0; ; i++) {
    try {
      await fetch(`${url}?query={__typename}`);
      return;
    } catch (err) {
      if (i === 100) throw err;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
});

after(() => new Promise((resolve) => {
  service.on("exit", resolve);
  service.kill("SIGTERM");
}));

test("graphql: every audit of graphql-http passes, without a warning", async () => {
  const audits = serverAudits({ url, fetchFn: fetch });
  assert.equal(audits.length, 61);
  for (const audit of audits) {
    const result = await audit.fn();
    assert.equal(result.status, "ok", `${audit.id} ${audit.name}: ${result.reason}`);
  }
});

test("graphql: graphql-js prints the introspected schema as the SDL", async () => {
  const query = getIntrospectionQuery({
    descriptions: true, specifiedByUrl: true, directiveIsRepeatable: true, schemaDescription: true, inputValueDeprecation: true, oneOf: true,
  });
  const response = await fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ query }) });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined);
  const sdl = readFileSync(new URL("../examples/graphql/schema.graphql", import.meta.url), "utf8");
  assert.equal(printSchema(buildClientSchema(data)), printSchema(buildSchema(sdl)));
});

test("graphql: 2,000 generated operations give what graphql-js gives", () => {
  const seed = process.env.SEED ?? String(1 + Math.floor(Math.random() * 1e9));
  const run = spawnSync(process.execPath, ["graphqldiff.mjs", process.env.TESTGRAPHQL, "2000", seed], { encoding: "utf8", maxBuffer: 64 << 20 });
  console.log(`seed ${seed}: ${run.stdout.split("\n").slice(-3).join("\n")}`);
  assert.equal(run.status, 0, `seed ${seed}\n${run.stdout.slice(-8000)}${run.stderr}`);
});
