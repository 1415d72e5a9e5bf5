# What is tried with each client in Python, whatever its own way to say it. A client has
#   run(text, params)      runs a statement with %s for parameters; gives the rows, as tuples
#   transaction(work)      calls work(run) in a transaction
#   json(value)            a value as the client passes JSON; parsed(value) is what it gives for jsonb, as an object
#   failures               what it raises; cause(error) is psycopg's error in it
#   prepares               whether it has statements prepared in the server by itself; optional
#   listen(channel)        listens; notifications() waits a while and gives the payloads that came; optional
import datetime
import json
import sys
import time
import traceback


def check(name, client, parts=None):
    """Runs the checks, each by its name, and leaves with 1 after the first that fails."""
    for what, part in (parts or common).items():
        try:
            if part(client) != "not tried":
                print(f"ok {name}: {what}", flush=True)
        except Exception:
            print(f"not ok {name}: {what}", flush=True)
            traceback.print_exc(file=sys.stdout)
            sys.exit(1)


def enqueue(run, document, more=""):
    return run(f"SELECT enqueue_sync_job(%s, %s{more})", ["Mailing List", document])[0][0]


def wait(run, *jobs):
    run("CALL wait_for_sync_jobs(%s, timeout => %s)", [list(jobs), datetime.timedelta(seconds=60)])


def same(found, expected):
    if found != expected:
        raise AssertionError(f"{found!r}, expected {expected!r}")


def fails(client, work, code, detail=None, hint=None):
    """The work must fail, and the server have said this."""
    try:
        work()
    except client.failures as error:
        cause = client.cause(error)
        same((cause.diag.sqlstate, cause.diag.message_detail, cause.diag.message_hint), (code, detail, hint))
        return
    raise AssertionError("no error")


def enqueueing(client):
    run = client.run
    context = {"note": 'it\'s "quoted"', "list": [1, None]}
    job = run("SELECT enqueue_sync_job(%s, %s, context => %s, trigger_type => %s, timeout => %s)",
              ["Mailing List", "CUST-1", client.json(context), "API", datetime.timedelta(minutes=10)])[0][0]
    same(type(job), int)
    run("CALL wait_for_sync_job(%s, %s)", [job, "60 s"])
    status, trigger_type, stored, timeout = run("SELECT status, trigger_type, context, timeout FROM sync_job WHERE id = %s", [job])[0]
    same((status, trigger_type, client.parsed(stored), timeout), ("Finished", "API", context, datetime.timedelta(minutes=10)))
    named = run("SELECT enqueue_sync_job(sync_job_type => %s, source_document_name => %s)", ["Mailing List", "CUST-2"])[0][0]
    whole = {"sync_job_type": "Mailing List", "source_document_name": "CUST-3", "timeout": 60}
    wait(run, named, run("SELECT enqueue_sync_job(CAST(%s AS jsonb))", [json.dumps(whole)])[0][0])
    same(run("SELECT customer, note FROM mailing_list ORDER BY customer", []),
         [("CUST-1", 'it\'s "quoted"'), ("CUST-2", None), ("CUST-3", None)])


def many(client):
    run = client.run
    same(run("SELECT enqueue_sync_jobs(%s, %s)", ["Mailing List", ["CUST-1", "CUST-2"]]), [(2,)])
    wait(run, *[job for (job,) in run("SELECT id FROM sync_job ORDER BY id DESC LIMIT 2", [])])


def numbers(client):
    run = client.run
    run("UPDATE customer SET points = points + %s WHERE name = 'CUST-1'", [2])
    job = enqueue(run, "CUST-1")
    wait(run, job)
    same(run("SELECT points FROM mailing_list WHERE customer = 'CUST-1'", []), [(9007199254740995,)])
    diff = client.parsed(run("SELECT diff_summary FROM sync_job WHERE id = %s", [job])[0][0])
    same(diff["points"], {"old": 9007199254740993, "new": 9007199254740995})


def handles(client):
    run = client.run
    job = enqueue(run, "CUST-1")
    wait(run, job)
    same(run("SELECT status FROM get_sync_job_status(%s)", [job]), [("Skipped",)])
    same(run("SELECT status FROM get_sync_job_status(%s)", [str(job)]), [("Skipped",)])
    wait(run, run("SELECT rerun_sync_job(%s)", [job])[0][0])
    pending = [enqueue(run, f"CUST-{i}", ", queue_on_insert => false") for i in (1, 2, 3)]
    same(run("SELECT status FROM cancel_sync_job(%s, %s)", [pending[0], "not needed"]), [("Canceled",)])
    same(run("SELECT status FROM start_sync_job(%s)", [pending[1]]), [("Queued",)])
    same(run("SELECT status FROM start_sync_jobs(%s)", [pending]), [("Queued",)])
    wait(run, *pending[1:])
    failed = enqueue(run, "CUST-4")
    wait(run, failed)
    same(run("SELECT status FROM retry_sync_job(%s)", [failed]), [("Queued",)])
    wait(run, failed)
    run("UPDATE customer SET territory = 'West' WHERE name = 'CUST-2'", [])
    same(run("SELECT (execute_sync_job(%s)).status", [enqueue(run, "CUST-2", ", scheduled_at => 'infinity'")]), [("Finished",)])


class Changed(Exception):
    pass


def transactions(client):
    jobs = []

    def enqueue_and_raise(run):
        jobs.append(enqueue(run, "CUST-1"))
        raise Changed

    try:
        client.transaction(enqueue_and_raise)
    except Changed:
        pass
    same(client.run("SELECT id FROM sync_job WHERE id = %s", jobs), [])
    client.transaction(lambda run: jobs.append(enqueue(run, "CUST-1")))
    wait(client.run, jobs[1])


def errors(client):
    run = client.run
    fails(client, lambda: run("SELECT enqueue_sync_job(%s, %s)", ["Nope", "CUST-1"]), "42704",
          hint="Job types are the rows of table sync_job_type; their names are case-sensitive.")
    job = enqueue(run, "CUST-1")
    wait(run, job)
    fails(client, lambda: run("SELECT retry_sync_job(%s)", [job]), "55000", detail="The job must be Failed.")
    fails(client, lambda: client.transaction(lambda run: wait(run, enqueue(run, "CUST-1"))), "55000",
          hint="COMMIT first, then wait; or use execute_sync_job().")
    fails(client, lambda: run("SELECT enqueue_sync_jobs(%s, %s)", ["Mailing List", [1, 2]]), "42883",
          hint="No function matches the given name and argument types. You might need to add explicit type casts.")
    failed = enqueue(run, "CUST-4")
    wait(run, failed)
    sqlstate, detail = run("SELECT sqlstate, detail FROM sync_job_error WHERE sync_job = %s", [failed])[0]
    same((sqlstate, detail[:39]), ("23514", "Failing row contains (CUST-4, Nowhere, "))


def jobs_of_a_table(client):
    run = client.run
    everything = run("SELECT count(*) FROM sync_job", [])
    for condition, params in (("CAST('customer' AS regclass)", []), ("CAST(%s AS regclass)", ["public.customer"])):
        same(run(f"SELECT count(*) FROM sync_job WHERE source_document_type = {condition}", params), everything)
    fails(client, lambda: run("SELECT id FROM sync_job WHERE source_document_type = %s", ["customer"]), "22P02")


def changed_definitions(client):
    run = client.run
    by_row = "SELECT enqueue_sync_job('Mailing List', c) FROM customer AS c WHERE name = %s"
    if not getattr(client, "prepares", False):
        run("PREPARE by_row(text) AS " + by_row.replace("%s", "$1"), [])
        by_row = "EXECUTE by_row(%s)"
    for change in ("SELECT 1", "ALTER TABLE customer ADD COLUMN phone text", "ALTER TABLE customer ALTER COLUMN territory TYPE varchar(50)"):
        run(change, [])
        for _ in range(8):
            run("UPDATE customer SET points = points + 1 WHERE name = 'CUST-3'", [])
            job = run(by_row, ["CUST-3"])[0][0]
            wait(run, job)
            same(run("SELECT status FROM sync_job WHERE id = %s", [job]), [("Finished",)])
    run("DEALLOCATE ALL", [])


def listening(client):
    if not hasattr(client, "listen"):
        return "not tried"
    client.listen("sync_job")
    job = enqueue(client.run, "CUST-1")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for event in map(json.loads, client.notifications()):
            if event["event"] == "sync_job_ended" and event["sync_job"] == job:
                return same((event["sync_job_type"], event["status"]), ("Mailing List", "Skipped"))
    raise AssertionError("no notification")


common = {
    "enqueue by position and by name, with a jsonb context, and wait": enqueueing,
    "many at once": many,
    "large numbers": numbers,
    "a job's id goes back as it came, to every function": handles,
    "an enqueued job is part of the transaction": transactions,
    "errors have SQLSTATE, detail and hint": errors,
    "jobs of a table": jobs_of_a_table,
    "prepared statements go on when definitions change": changed_definitions,
    "LISTEN hears of the end of a job": listening,
}
