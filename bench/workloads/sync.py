"""The real sync: read the source row, find the target by its unique key, compare, write what differs, record the diff."""
import peers
import sync_job
from measure import size, workload
from server import processor_seconds
from sync_job import SyncJobDatabase

JOBS = size('SYNC_JOBS', 20_000, 100_000)
PEER_JOBS = size('PEER_SYNC_JOBS', 5_000, 20_000)
RQ_JOBS = size('RQ_JOBS', 400, 2_000)
PROCESSOR = 'jobs/s of processor time'


def drain_sync(job_type, jobs):
    with SyncJobDatabase() as session:
        sync_job.require_usable(session, job_type)
        session.run('SELECT fill_source(%s)', [jobs])
        session.run('ANALYZE source')
        first, last = sync_job.enqueue_paused(session, sync_job.ENQUEUE_SOURCES, [job_type])
        processor = processor_seconds()
        measured = sync_job.run_enqueued(session, first, last)
        measured[PROCESSOR] = jobs / (processor_seconds() - processor)
        assert session.value('SELECT * FROM out_of_step') == 0
        return measured


@workload('sync', 'Real sync, row by row: new targets', 'jobs/s')
def sync(w):
    w.about = f'{JOBS:,} waiting jobs here, {PEER_JOBS:,} for the others, {RQ_JOBS:,} for RQ'
    ours = 'pg_sync_job, plpgsql, diff recorded'
    w.contender(ours, lambda: drain_sync('Row sync', JOBS))
    by_sql = 'pg_sync_job, the target found in LANGUAGE sql'
    w.contender(by_sql, lambda: drain_sync('SQL sync', JOBS))
    w.ratio(by_sql, ours, '≥ 1; 1.2')
    w.contender('graphile-worker, tuned, one statement',
                lambda: peers.drain('graphile', PEER_JOBS, task='statement', concurrency=24, tuned=True))
    w.contender('graphile-worker, tuned, row handler',
                lambda: peers.drain('graphile', PEER_JOBS, task='row', concurrency=24, tuned=True))
    for how, task in ('row handler', 'row'), ('one statement', 'statement'), ('one statement, savepoint a job', 'savepoint'):
        w.contender(f'pg-boss, batch 1,000, {how}',
                    lambda task=task: peers.drain('pg_boss', PEER_JOBS, task=task, batch=1000))
    w.contender('BullMQ on Redis, row handler, concurrency 24',
                lambda: peers.drain_bullmq(PEER_JOBS, 'row', concurrency=24))
    w.contender('RQ, forking worker × 2', lambda: peers.drain_rq(RQ_JOBS, 'sync_row', 2, 'Worker'))
    w.contender('RQ, SimpleWorker × 2', lambda: peers.drain_rq(RQ_JOBS * 2, 'sync_row', 2, 'SimpleWorker'))
    aims = {'graphile-worker, tuned, one statement': '≥ 3; 6', 'graphile-worker, tuned, row handler': '≥ 5; 10'}
    for other in w.contenders:
        if other not in (ours, by_sql):
            w.ratio(ours, other, aims.get(other, ''))


@workload('declared', 'Real sync without code, set-based: new targets', 'jobs/s')
def declared(w):
    w.about = f'{JOBS:,} waiting jobs'
    ours, theirs = 'pg_sync_job, match and field_map, diff recorded', 'pg-boss, set-based handler, batch 1,000'
    w.contender(ours, lambda: drain_sync('Declared sync', JOBS))
    w.contender(theirs, lambda: peers.drain('pg_boss', JOBS, task='set', batch=1000))
    w.ratio(ours, theirs, '≥ 1.2; 2')
