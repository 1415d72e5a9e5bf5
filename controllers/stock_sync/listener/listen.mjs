// Shows the progress of a stock sync, and its summary at the end.  node listen.mjs JOB
// Where the database is, and as whom, say PGHOST, PGPORT, PGUSER, PGDATABASE and PGPASSWORD, as for psql.
import pg from "pg";

const job = process.argv[2];
const client = new pg.Client();

client.on("notification", ({ channel, payload }) => {
  const message = JSON.parse(payload);
  if (channel === "sync_job_progress" && String(message.sync_job) === job) {
    const bars = Math.floor(message.percent / 5);
    console.log(`[${"#".repeat(bars)}${"-".repeat(20 - bars)}] ${message.percent} %`);
  } else if (message.event === "stock_sync_complete") {
    const { success, total, errors } = message.message;
    console.log(`Stock sync finished: ${success}/${total} outlets synced, ${errors} errors.`);
    client.end();
  }
});

await client.connect();
await client.query("LISTEN sync_job_progress");
await client.query("LISTEN sync_job");
console.log(`Listening for job ${job} …`);
