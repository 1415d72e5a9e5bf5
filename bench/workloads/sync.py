"""The real sync: read the source row, find the target by its unique key, compare, write what differs, record the diff."""
import sync_job
from measure import size, workload
from sync_job import SyncJobDatabase

JOBS = size('SYNC_JOBS', 20_000, 100_000)


def drain_sync(job_type, jobs):
    with SyncJobDatabase() as session:
        sync_job.require_usable(session, job_type)
        session.run('SELECT fill_source(%s)', [jobs])
        session.run('ANALYZE source')
        measured = sync_job.drain(session, sync_job.ENQUEUE_SOURCES, [job_type])
        assert session.value('SELECT * FROM out_of_step') == 0
        return measured


@workload('sync', 'Real sync, row by row: new targets', 'jobs/s')
def sync(w):
    w.about = f'{JOBS:,} waiting jobs'
    w.contender('pg_sync_job, plpgsql', lambda: drain_sync('Row sync', JOBS))


@workload('declared', 'Real sync without code, set-based: new targets', 'jobs/s')
def declared(w):
    w.about = f'{JOBS:,} waiting jobs'
    w.contender('pg_sync_job, match and field_map', lambda: drain_sync('Declared sync', JOBS))
