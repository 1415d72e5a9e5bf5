// What is tried with each client in JavaScript, whatever its own way to say it. A client is an object with
//   run(text, params)       runs a statement with parameters $1, $2, …; gives the rows, as objects
//   transaction(work)       calls work(run) in a transaction
//   prepared(text)          gives a function of the parameters that runs the same prepared statement each time; optional
//   listen(channel, heard)  calls heard(payload) for each notification; optional
//   cause(error)            what the server said, in an error of the client's: { code, detail, hint, message }
//   end()
import assert from "node:assert/strict";

// Runs the checks, each by its name, and leaves with 1 after the first that fails.
export async function check(name, client) {
  for (const [what, part] of Object.entries(parts)) {
    try {
      if ((await part(client)) !== "not tried") console.log(`ok ${name}: ${what}`);
    } catch (error) {
      console.log(`not ok ${name}: ${what}`);
      console.log(error);
      process.exit(1);
    }
  }
  await client.end();
}

const enqueue = async (run, document, more = "") =>
  (await run(`SELECT enqueue_sync_job($1, $2${more}) AS id`, ["Mailing List", document]))[0].id;
const wait = (run, job) => run("CALL wait_for_sync_job($1, $2)", [job, "60 s"]);
const rowOf = async (run, job) => (await run("SELECT * FROM sync_job WHERE id = $1", [job]))[0];

// The work must fail, and the server have said this.
async function fails(client, work, expected) {
  const error = await work().then(() => assert.fail("no error"), (error) => client.cause(error));
  assert.deepEqual({ code: error.code, detail: error.detail ?? null, hint: error.hint ?? null }, { detail: null, hint: null, ...expected });
}

const parts = {
  async "enqueue by position and by name, with a jsonb context, and wait"({ run }) {
    const [{ id }] = await run("SELECT enqueue_sync_job($1, $2, context => $3, trigger_type => $4, timeout => $5) AS id",
      ["Mailing List", "CUST-1", { note: 'it\'s "quoted"', list: [1, null] }, "API", "10 minutes"]);
    await wait(run, id);
    const job = await rowOf(run, id);
    assert.equal(job.status, "Finished");
    assert.equal(job.trigger_type, "API");
    assert.deepEqual(job.context, { note: 'it\'s "quoted"', list: [1, null] });
    const [named] = await run("SELECT enqueue_sync_job(sync_job_type => $1, source_document_name => $2) AS id", ["Mailing List", "CUST-2"]);
    const [object] = await run("SELECT enqueue_sync_job($1::jsonb) AS id", [{ sync_job_type: "Mailing List", source_document_name: "CUST-3", timeout: 60 }]);
    await run("CALL wait_for_sync_jobs($1)", [[named.id, object.id]]);
    const targets = await run("SELECT customer, note FROM mailing_list ORDER BY customer", []);
    assert.deepEqual(targets.map((t) => ({ ...t })), [{ customer: "CUST-1", note: 'it\'s "quoted"' }, { customer: "CUST-2", note: null }, { customer: "CUST-3", note: null }]);
  },

  async "many at once"({ run }) {
    const [{ n }] = await run("SELECT enqueue_sync_jobs($1, $2) AS n", ["Mailing List", ["CUST-1", "CUST-2"]]);
    assert.equal(Number(n), 2);
    const [{ ids }] = await run("SELECT array_agg(id ORDER BY id DESC) AS ids FROM sync_job", []);
    await run("CALL wait_for_sync_jobs($1)", [ids.slice(0, 2)]);
  },

  async "numbers that JavaScript's do not hold"({ run }) {
    await run("UPDATE customer SET points = points + $1 WHERE name = 'CUST-1'", ["2"]);
    const id = await enqueue(run, "CUST-1");
    await wait(run, id);
    const [target] = await run("SELECT points::text FROM mailing_list WHERE customer = 'CUST-1'", []);
    assert.equal(target.points, "9007199254740995");
    const [job] = await run("SELECT diff_summary #>> '{points,old}' AS old, diff_summary #>> '{points,new}' AS new FROM sync_job WHERE id = $1", [id]);
    assert.deepEqual({ ...job }, { old: "9007199254740993", new: "9007199254740995" });
  },

  async "a job's id goes back as it came, to every function"({ run }) {
    const id = await enqueue(run, "CUST-1");
    await wait(run, id);
    assert.equal((await run("SELECT status FROM get_sync_job_status($1)", [id]))[0].status, "Skipped");
    const [again] = await run("SELECT rerun_sync_job($1) AS id", [id]);
    await wait(run, again.id);
    const pending = await enqueue(run, "CUST-2", ", queue_on_insert => false");
    assert.equal((await run("SELECT status FROM cancel_sync_job($1, $2)", [pending, "not needed"]))[0].status, "Canceled");
    const others = [await enqueue(run, "CUST-2", ", queue_on_insert => false"), await enqueue(run, "CUST-3", ", queue_on_insert => false")];
    assert.equal((await run("SELECT id FROM start_sync_jobs($1)", [[others[0]]])).length, 1);
    assert.equal((await run("SELECT status FROM start_sync_job($1)", [others[1]]))[0].status, "Queued");
    await run("CALL wait_for_sync_jobs($1, timeout => $2)", [others, "60 s"]);
    const failed = await enqueue(run, "CUST-4");
    await wait(run, failed);
    assert.equal((await run("SELECT status FROM retry_sync_job($1)", [failed]))[0].status, "Queued");
    await wait(run, failed);
    await run("UPDATE customer SET territory = 'West' WHERE name = 'CUST-2'", []);
    const [here] = await run("SELECT (execute_sync_job($1)).status", [await enqueue(run, "CUST-2", ", scheduled_at => 'infinity'")]);
    assert.equal(here.status, "Finished");
  },

  async "an enqueued job is part of the transaction"({ run, transaction }) {
    let id;
    await assert.rejects(transaction(async (run) => {
      id = await enqueue(run, "CUST-1");
      throw new Error("no");
    }));
    assert.equal(await rowOf(run, id), undefined);
    await transaction(async (run) => { id = await enqueue(run, "CUST-1"); });
    await wait(run, id);
  },

  async "errors have SQLSTATE, detail and hint"(client) {
    const { run, transaction } = client;
    await fails(client, () => run("SELECT enqueue_sync_job($1, $2)", ["Nope", "CUST-1"]),
      { code: "42704", hint: "Job types are the rows of table sync_job_type; their names are case-sensitive." });
    const id = await enqueue(run, "CUST-1");
    await wait(run, id);
    await fails(client, () => run("SELECT retry_sync_job($1)", [id]), { code: "55000", detail: "The job must be Failed." });
    await fails(client, () => transaction(async (run) => wait(run, await enqueue(run, "CUST-1"))),
      { code: "55000", hint: "COMMIT first, then wait; or use execute_sync_job()." });
    const failed = await enqueue(run, "CUST-4");
    await wait(run, failed);
    const [error] = await run("SELECT sqlstate, message, detail FROM sync_job_error WHERE sync_job = $1", [failed]);
    assert.equal(error.sqlstate, "23514");
    assert.match(error.detail, /Failing row contains \(CUST-4, Nowhere/);
  },

  async "jobs of a table"(client) {
    const { run } = client;
    const [{ n }] = await run("SELECT count(*) AS n FROM sync_job", []);
    for (const [condition, params] of [["'customer'::regclass", []], ["$1::regclass", ["customer"]], ["$1::regclass", ["public.customer"]]]) {
      const [found] = await run(`SELECT count(*) AS n FROM sync_job WHERE source_document_type = ${condition}`, params);
      assert.equal(found.n, n);
    }
    await fails(client, () => run("SELECT * FROM sync_job WHERE source_document_type = $1", ["customer"]), { code: "22P02" });
  },

  async "prepared statements go on when definitions change"({ run, prepared }) {
    if (!prepared) return "not tried";
    const byName = prepared("SELECT enqueue_sync_job($1, $2) AS id");
    const byRow = prepared("SELECT enqueue_sync_job($1, c) AS id FROM customer AS c WHERE name = $2");
    const status = prepared("SELECT status FROM sync_job WHERE id = $1");
    for (const change of ["SELECT 1", "ALTER TABLE customer ADD COLUMN phone text", "ALTER TABLE customer ALTER COLUMN territory TYPE varchar(50)",
      "ALTER TABLE mailing_list DROP COLUMN note", `UPDATE sync_job_type SET field_map = '{"region": "territory", "points": "points"}'`]) {
      await run(change, []);
      if (change.includes("DROP")) continue; // the type is broken until the next
      for (let i = 0; i < 8; i++) {
        await run("UPDATE customer SET points = points + 1 WHERE name = 'CUST-3'", []);
        const [{ id }] = await (i % 2 ? byRow : byName)(["Mailing List", "CUST-3"]);
        await wait(run, id);
        assert.equal((await status([id]))[0].status, "Finished");
      }
    }
  },

  async "LISTEN hears of the end of a job"({ run, listen }) {
    if (!listen) return "not tried";
    let heard;
    const ended = new Promise((resolve) => { heard = resolve; });
    let id;
    const early = [];
    const look = (event) => event.event === "sync_job_ended" && String(event.sync_job) === String(id) && heard(event);
    await listen("sync_job", (payload) => { const event = JSON.parse(payload); early.push(event); look(event); });
    id = await enqueue(run, "CUST-1");
    early.forEach(look);
    const limit = setTimeout(() => heard({}), 60_000);
    const event = await ended;
    clearTimeout(limit);
    assert.deepEqual([event.sync_job_type, event.status], ["Mailing List", "Skipped"]);
  },
};
