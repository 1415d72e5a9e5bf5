"""Work that meets trouble or company: bad documents, neighbours, long jobs ahead."""
import statistics

import sync_job
from measure import size, workload
from server import pgbench, run_sql
from sync_job import ENQUEUE_NOOP, ENQUEUE_SOURCES, SyncJobDatabase

JOBS = size('BAD_JOBS', 20_000, 100_000)
SECONDS = size('NEIGHBOUR_SECONDS', 4, 20)
NEIGHBOUR_JOBS = size('NEIGHBOUR_JOBS', 800_000, 3_000_000)
ROUNDS = size('ROUNDS', 15, 100)


# ---- one bad document in a thousand ----

def with_bad(job_type, one_in):
    with SyncJobDatabase() as session:
        sync_job.require_usable(session, job_type)
        session.run('ALTER TABLE target ADD CHECK (credit_limit >= 0)')
        session.run('UPDATE sync_job_type SET max_retries = 0')
        session.run('SELECT fill_source(%s)', [JOBS])
        bad = 0
        if one_in:
            session.run('UPDATE source SET credit_limit = -1 WHERE id %% %s = %s', [one_in, one_in // 2])
            bad = JOBS // one_in
        session.run('ANALYZE source')
        measured = sync_job.drain(session, ENQUEUE_SOURCES, [job_type], failed=bad)
        assert session.value('SELECT * FROM out_of_step') == bad
        return measured


@workload('bad', 'One document in a thousand breaks a constraint of the target', 'jobs/s')
def bad_documents(w):
    w.about = f'{JOBS:,} jobs; only the bad ones fail'
    for name, job_type in ('plpgsql', 'Row sync'), ('declared', 'Declared sync'):
        w.contender(f'{name}, none bad', lambda t=job_type: with_bad(t, 0))
        w.contender(f'{name}, one in a thousand', lambda t=job_type: with_bad(t, 1000))
        w.ratio(f'{name}, one in a thousand', f'{name}, none bad', '≥ 0.8; 0.95')


# ---- neighbours ----

SINGLE_UPDATES = '\\set id random(1, 10000)\nUPDATE neighbour SET n = n + 1 WHERE id = :id'


def flat_out(workers):
    """The same with workers that leave no room."""
    run_sql('ALTER SYSTEM SET sync_job.neighbour_share = 0')
    run_sql('SELECT pg_reload_conf()')
    try:
        return neighbours(workers)
    finally:
        run_sql('ALTER SYSTEM RESET sync_job.neighbour_share')
        run_sql('SELECT pg_reload_conf()')


def neighbours(workers):
    """Four clients' durable single-row updates, while so many workers drain no-op jobs."""
    with SyncJobDatabase() as session:
        session.run('CREATE TABLE neighbour (id int PRIMARY KEY, n int NOT NULL) WITH (fillfactor = 50);'
                    'INSERT INTO neighbour SELECT i, 0 FROM generate_series(1, 10000) AS i')
        session.run("UPDATE sync_job_queue SET max_workers = %s WHERE name = 'default'", [workers])
        if workers:
            sync_job.enqueue_paused(session, ENQUEUE_NOOP, ['No-op', NEIGHBOUR_JOBS])
        session.run('VACUUM ANALYZE neighbour')
        session.run('CHECKPOINT')
        if not workers:
            return {'updates/s': pgbench('sync_job_bench', SINGLE_UPDATES, 4, SECONDS)}
        session.run("SELECT resume_sync_job_queue('default')")
        updates = pgbench('sync_job_bench', SINGLE_UPDATES, 4, SECONDS)
        left = session.value("SELECT count(*) FROM sync_job WHERE status IN ('Queued', 'Started')")
        if not left:
            raise AssertionError('the jobs did not last: set NEIGHBOUR_JOBS higher')
        return {'updates/s': updates, 'jobs/s beside them': (NEIGHBOUR_JOBS - left) / SECONDS}


@workload('neighbours', 'Four clients’ durable single-row updates beside draining workers', 'updates/s')
def neighbours_workload(w):
    w.about = f'{SECONDS} s each'
    w.contender('alone', lambda: neighbours(0))
    w.contender('beside one worker', lambda: neighbours(1))
    w.contender('beside the queue’s default of two workers', lambda: neighbours(2))
    w.contender('beside two workers, flat out', lambda: flat_out(2))
    w.contender('beside four workers', lambda: neighbours(4))
    for case in list(w.contenders)[1:]:
        w.ratio(case, 'alone')


# ---- a short job behind long ones ----

def behind_long(batchable):
    """Two workers; one is busy for 60 ms, the other takes up jobs of 30 ms, and after them comes a short one.

    How long the short one waits, and how much of that is because it lay in a batch while the other worker was idle.
    """
    with SyncJobDatabase() as session:
        session.run("""CREATE SCHEMA slow;
            CREATE FUNCTION slow.execute(sync_job sync_job, source_doc jsonb, context jsonb) RETURNS jsonb LANGUAGE plpgsql
            AS $$ BEGIN PERFORM pg_sleep((context->>'seconds')::float8); RETURN NULL; END $$;
            INSERT INTO sync_job_type (name, module, batchable) VALUES ('Slow', 'slow', %s), ('Slow alone', 'slow', false)
        """, [batchable])
        sync_job.drain(session, ENQUEUE_NOOP, ['No-op', 1000])
        waits = []
        for _ in range(ROUNDS):
            session.run("SELECT pause_sync_job_queue('default')")
            first = session.value("SELECT enqueue_sync_job('Slow alone', context => '{\"seconds\": 0.06}')")
            session.run("SELECT enqueue_sync_job('Slow', context => '{\"seconds\": 0.03}') FROM generate_series(1, 4)")
            last = session.value("SELECT enqueue_sync_job('Slow', context => '{\"seconds\": 0}')")
            sync_job.run_enqueued(session, first, last)
            waits.append(session.value("""SELECT extract(epoch FROM
                max(started_at) FILTER (WHERE id = %s) - min(started_at))::float8 * 1000
                FROM sync_job WHERE id BETWEEN %s AND %s""", [last, first, last]))
        return {'ms p50': statistics.median(waits), 'max': max(waits)}


@workload('behind-long', 'A short job behind long ones: from the first start until it starts', 'ms p50')
def behind_long_workload(w):
    w.about = f'two workers; jobs of 60, 30, 30, 30, 30 and 0 ms in that order; {ROUNDS} times'
    w.contender('the jobs may share a transaction', lambda: behind_long(True))
    w.contender('each job by itself', lambda: behind_long(False))
    w.ratio('the jobs may share a transaction', 'each job by itself')
