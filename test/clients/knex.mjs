// Knex: raw statements, with ? for a parameter.
import knex from "knex";
import { check } from "./checks.mjs";

const db = knex({ client: "pg", connection: process.env.DATABASE_URL });

function runner(db) {
  return async (text, params) => {
    const bindings = [];
    const raw = text.replace(/\$(\d)/g, (_, n) => (bindings.push(params[n - 1]), "?"));
    return (await db.raw(raw, bindings)).rows;
  };
}

await check("Knex", {
  run: runner(db),
  transaction: (work) => db.transaction((trx) => work(runner(trx))),
  cause: (error) => error,
  end: () => db.destroy(),
});
