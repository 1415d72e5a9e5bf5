// node-postgres: named statements are its prepared ones.
import pg from "pg";
import { check } from "./checks.mjs";

const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
const listener = new pg.Client({ connectionString: process.env.DATABASE_URL });
await client.connect();
await listener.connect();
let statements = 0;

const run = async (text, params) => (await client.query(text, params)).rows;
await check("node-postgres", {
  run,
  async transaction(work) {
    await client.query("BEGIN");
    try {
      await work(run);
      await client.query("COMMIT");
    } catch (error) {
      await client.query("ROLLBACK");
      throw error;
    }
  },
  prepared(text) {
    const name = `statement_${++statements}`;
    return async (values) => (await client.query({ name, text, values })).rows;
  },
  async listen(channel, heard) {
    listener.on("notification", (message) => heard(message.payload));
    await listener.query(`LISTEN ${channel}`);
  },
  cause: (error) => error,
  end: () => Promise.all([client.end(), listener.end()]),
});
