// drizzle-kit push: takes the extension's tables for its own where they lie in public, and leaves them alone in a schema of theirs.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import pg from "pg";

let pushes = 0;

async function push(schema, options = {}) {
  const database = `kit_${++pushes}`;
  const client = new pg.Client({ connectionString: process.env.ADMIN_URL });
  await client.connect();
  await client.query(`CREATE DATABASE ${database}`);
  await client.end();

  const url = new URL(process.env.ADMIN_URL);
  url.pathname = `/${database}`;
  const inside = new pg.Client({ connectionString: url.href });
  await inside.connect();
  await inside.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
  await inside.query(`CREATE EXTENSION pg_sync_job SCHEMA ${schema}`);
  await inside.query("CREATE TABLE customer (name text PRIMARY KEY, territory text)");
  await inside.end();

  writeFileSync("kit_schema.mjs", `import { pgTable, text } from "drizzle-orm/pg-core";
export const customer = pgTable("customer", { name: text().primaryKey(), territory: text() });`);
  writeFileSync("kit.config.json", JSON.stringify({ dialect: "postgresql", schema: "./kit_schema.mjs", dbCredentials: { url: url.href }, ...options }));
  const { stdout, stderr } = spawnSync("node_modules/.bin/drizzle-kit", ["push", "--strict", "--verbose", "--config", "kit.config.json"],
    { encoding: "utf8", timeout: 120_000 });
  return stdout + stderr;
}

assert.match(await push("jobs"), /No changes detected/);
console.log("ok drizzle-kit: push leaves an extension in a schema of its own alone");
const proposed = await push("public");
assert.doesNotMatch(proposed, /No changes detected/);
assert.match(proposed, /sync_job/);
console.log("ok drizzle-kit: push does not in public, as the page says");
const filtered = await push("public", { tablesFilter: ["!sync_job*"] });
assert.doesNotMatch(filtered, /DROP (TABLE|VIEW)/);
assert.match(filtered, /DROP SEQUENCE "public"."sync_job/);
console.log("ok drizzle-kit: nor with a filter, which forgets the sequences");
