// TypeORM: what its query() gives, and that its schema builder leaves the extension's tables alone.
import assert from "node:assert/strict";
import { DataSource } from "typeorm";
import { check } from "./checks.mjs";

const source = new DataSource({ type: "postgres", url: process.env.DATABASE_URL, entities: [] });
await source.initialize();
const runner = (queries) => (text, params) => queries.query(text, params);

const builder = await source.driver.createSchemaBuilder().log();
assert.deepEqual(builder.upQueries, []);

await check("TypeORM", {
  run: runner(source),
  transaction: (work) => source.transaction((manager) => work(runner(manager))),
  cause: (error) => error.driverError,
  end: () => source.destroy(),
});
