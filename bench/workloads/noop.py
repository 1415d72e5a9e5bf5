"""Jobs that do nothing: what the machinery itself costs."""
import peers
import sync_job
from measure import size, workload
from sync_job import SyncJobDatabase

JOBS = size('JOBS', 50_000, 200_000)
ALONE = size('JOBS_ALONE', 4_000, 20_000)
RQ_JOBS = size('RQ_JOBS', 400, 2_000)  # RQ is so much slower that fewer jobs tell as much
TUNED = {'task': 'noop', 'concurrency': 24, 'tuned': True}
WORKERS = 2  # max_workers of the queue


def drain_noop(job_type, jobs):
    with SyncJobDatabase() as session:
        return sync_job.drain(session, sync_job.ENQUEUE_NOOP, [job_type, jobs])


def drain_background():
    with SyncJobDatabase() as session:
        return sync_job.drain(session, "SELECT count(enqueue_background_job('public.nothing')) FROM generate_series(1, %s)", [ALONE])


@workload('noop', 'No-op jobs that may share a transaction', 'jobs/s')
def noop(w):
    w.about = f'{JOBS:,} waiting jobs; {WORKERS} workers here'
    w.contender('pg_sync_job', lambda: drain_noop('No-op', JOBS))
    w.contender('graphile-worker, tuned', lambda: peers.drain('graphile', JOBS, **TUNED))
    w.contender('graphile-worker, tuned, 2 processes', lambda: peers.drain('graphile', JOBS, processes=2, **TUNED))
    w.contender('pg-boss, batch 1,000', lambda: peers.drain('pg_boss', JOBS, task='noop', batch=1000))
    w.contender('BullMQ on Redis, concurrency 100', lambda: peers.drain_bullmq(JOBS // 2, 'noop'))
    w.ratio('pg_sync_job', 'graphile-worker, tuned', '≥ 1.2; 2')
    w.ratio('pg_sync_job', 'graphile-worker, tuned, 2 processes', '≥ 1.2; 2')
    w.ratio('pg_sync_job', 'pg-boss, batch 1,000')


@workload('noop-alone', 'No-op jobs, each committed as Started before it begins', 'jobs/s')
def noop_alone(w):
    w.about = f'{ALONE:,} waiting jobs ({RQ_JOBS:,} for RQ); {WORKERS} workers here, as many at once for graphile-worker'
    w.contender('pg_sync_job', lambda: drain_noop('No-op alone', ALONE))
    w.contender('pg_sync_job, background jobs', drain_background)
    w.contender('graphile-worker, defaults', lambda: peers.drain('graphile', ALONE, task='noop', concurrency=WORKERS))
    w.contender('RQ, forking worker × 2', lambda: peers.drain_rq(RQ_JOBS, 'noop', WORKERS, 'Worker'))
    w.contender('RQ, SimpleWorker × 2', lambda: peers.drain_rq(RQ_JOBS * 2, 'noop', WORKERS, 'SimpleWorker'))
    w.ratio('pg_sync_job', 'graphile-worker, defaults', '≥ 1.5; 3')
    w.ratio('pg_sync_job', 'RQ, forking worker × 2', '≥ 10')
    w.ratio('pg_sync_job', 'RQ, SimpleWorker × 2')
