// postgres.js: prepares each statement, and keeps it for its connection.
import postgres from "postgres";
import { check } from "./checks.mjs";

const sql = postgres(process.env.DATABASE_URL, { max: 1, onnotice: () => {} });
const runner = (sql) => async (text, params) => [...(await sql.unsafe(text, params, { prepare: true }))];

await check("postgres.js", {
  run: runner(sql),
  transaction: (work) => sql.begin((sql) => work(runner(sql))),
  prepared: (text) => (params) => runner(sql)(text, params),
  listen: (channel, heard) => sql.listen(channel, heard),
  cause: (error) => error,
  end: () => sql.end(),
});
