// Drizzle, over node-postgres. Its errors wrap the driver's.
import { drizzle } from "drizzle-orm/node-postgres";
import { sql } from "drizzle-orm";
import { check } from "./checks.mjs";

const db = drizzle(process.env.DATABASE_URL);

// $1, $2, … as the pieces of Drizzle's own template. An array is one parameter, not a list of them.
function statement(text, params) {
  const pieces = text.split(/\$(\d)/).map((piece, i) => (i % 2 ? sql`${sql.param(params[piece - 1])}` : sql.raw(piece)));
  return sql.join(pieces);
}

const runner = (db) => async (text, params) => (await db.execute(statement(text, params))).rows;
await check("Drizzle", {
  run: runner(db),
  transaction: (work) => db.transaction((tx) => work(runner(tx))),
  cause: (error) => error.cause,
  end: () => db.$client.end(),
});
