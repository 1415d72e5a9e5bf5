"""What a job costs the server beside time: WAL, tuple writes, memory."""
import time

import sync_job
from measure import size, workload
from server import memory_of
from sync_job import ENQUEUE_NOOP, ENQUEUE_SOURCES, SyncJobDatabase

JOBS = size('RESOURCE_JOBS', 50_000)
WAITING = size('MEMORY_JOBS', 1_000_000)
WRITES = """SELECT sum(n_tup_ins)::float8, sum(n_tup_upd)::float8, sum(n_tup_hot_upd)::float8, sum(n_tup_del)::float8
    FROM pg_stat_all_tables WHERE schemaname = 'sync_job_internal' OR relname LIKE 'sync\\_job%%'"""
WORKERS = "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'sync job worker%%' ORDER BY pid"
OURS = "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'sync job%%'"


def cost_of_a_job(job_type, enqueue, args):
    with SyncJobDatabase() as session:
        session.run('SELECT fill_source(%s)', [JOBS])
        session.run("SELECT pause_sync_job_queue('default')")
        position = wal(session)
        session.run(enqueue, [job_type, *args])
        enqueued = wal(session) - position
        first, last = session.rows('SELECT min(id), max(id) FROM sync_job')[0]
        before = settled_writes(session)
        position = wal(session)
        sync_job.run_enqueued(session, first, last)
        ran = wal(session) - position
        inserted, updated, hot, deleted = (b - a for a, b in zip(before, settled_writes(session)))
        return {'WAL bytes to run': ran / JOBS, 'WAL bytes to enqueue': enqueued / JOBS,
                'inserts': inserted / JOBS, 'updates': updated / JOBS, 'of them HOT': hot / JOBS, 'deletes': deleted / JOBS,
                'MiB a worker': max(memory_of(pid) for (pid,) in session.rows(WORKERS))}


def wal(session):
    return float(session.value("SELECT pg_current_wal_lsn() - '0/0'"))


def settled_writes(session):
    """The counters of the job tables, once they move no more: processes report them when they become idle."""
    seen = None
    while True:
        now = session.rows(WRITES)[0]
        if now == seen:
            return now
        seen = now
        time.sleep(1.5)


@workload('cost', 'What a job writes, and the memory of a worker', 'WAL bytes to run')
def cost(w):
    w.about = f'{JOBS:,} jobs; writes to the job tables, a job; memory a worker has for itself after them'
    w.contender('no-op', lambda: cost_of_a_job('No-op', ENQUEUE_NOOP, [JOBS]))
    w.contender('real sync, plpgsql', lambda: cost_of_a_job('Row sync', ENQUEUE_SOURCES, []))


def memory_with(waiting):
    with SyncJobDatabase() as session:
        session.run("SELECT pause_sync_job_queue('long')")
        if waiting:
            session.run("SELECT count(enqueue_sync_job('No-op', queue => 'long')) FROM generate_series(1, %s)", [waiting])
        sync_job.drain(session, ENQUEUE_NOOP, ['No-op', 5000])  # so that launcher, scheduler and workers know them
        return {'MiB of all our processes': sum(memory_of(pid) for (pid,) in session.rows(OURS)),
                'MiB a worker': max(memory_of(pid) for (pid,) in session.rows(WORKERS))}


@workload('memory', 'Memory with jobs waiting', 'MiB of all our processes')
def memory(w):
    w.about = f'launcher, scheduler and workers, what each has for itself; none and {WAITING:,} jobs waiting'
    w.contender('no job waiting', lambda: memory_with(0))
    w.contender(f'{WAITING:,} jobs waiting', lambda: memory_with(WAITING))
