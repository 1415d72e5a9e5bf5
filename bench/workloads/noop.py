"""Jobs that do nothing: what the machinery itself costs."""
import sync_job
from measure import size, workload
from sync_job import SyncJobDatabase

JOBS = size('JOBS', 50_000, 200_000)
ALONE = size('JOBS_ALONE', 4_000, 20_000)


def drain_noop(job_type, jobs):
    with SyncJobDatabase() as session:
        return sync_job.drain(session, sync_job.ENQUEUE_NOOP, [job_type, jobs])


@workload('noop', 'No-op jobs that may share a transaction', 'jobs/s')
def noop(w):
    w.about = f'{JOBS:,} waiting jobs'
    w.contender('pg_sync_job', lambda: drain_noop('No-op', JOBS))


@workload('noop-alone', 'No-op jobs, each committed as Started before it begins', 'jobs/s')
def noop_alone(w):
    w.about = f'{ALONE:,} waiting jobs'
    w.contender('pg_sync_job', lambda: drain_noop('No-op alone', ALONE))
