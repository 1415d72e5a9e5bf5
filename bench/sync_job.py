"""pg_sync_job as a contender: a fresh database with it, and draining a queue."""
import time

from measure import Skip
from server import Database, wait_until

ENQUEUE_NOOP = "SELECT count(enqueue_sync_job(%s)) FROM generate_series(1, %s)"
ENQUEUE_SOURCES = "SELECT enqueue_sync_jobs(%s, ARRAY(SELECT id::text FROM source ORDER BY id))"


class SyncJobDatabase(Database):
    """A new database with the extension, the documents and the job types."""

    def __init__(self, name='sync_job_bench'):
        super().__init__(name)

    def __enter__(self):
        session = super().__enter__()
        session.run('CREATE EXTENSION pg_sync_job')
        session.file('documents.sql')
        session.file('job_types.sql')
        return session


def require_usable(session, job_type):
    """Skips when the installed version cannot run the type."""
    problems = session.rows("SELECT message FROM validate_sync_job_type(%s) WHERE severity = 'error'", [job_type])
    if problems:
        raise Skip(problems[0][0])


def ended(session, job):
    """Whether a job has ended; one index look-up."""
    return session.rows("SELECT FROM sync_job WHERE id = %s AND status NOT IN ('Pending', 'Queued', 'Started')", [job])


def wait_for_all(session, last, queue, seconds=900):
    """Until no job of the queue is due. Asks for the last one first, which costs the server next to nothing."""
    wait_until(lambda: ended(session, last), seconds, what=f'job {last}')
    wait_until(lambda: not session.value("""
        SELECT EXISTS (SELECT FROM sync_job WHERE status IN ('Queued', 'Started') AND queue = %s
                       AND coalesce(scheduled_at, '-infinity') < now() + '1 hour')""", [queue]), seconds)


def enqueue_paused(session, enqueue, args, queue='default'):
    """Enqueues while the queue is paused. Returns how many, and the last one's id."""
    session.run('SELECT pause_sync_job_queue(%s)', [queue])
    before = session.value('SELECT last_value FROM sync_job_internal.sync_job_id_seq')
    jobs = session.value(enqueue, args)
    session.run('CHECKPOINT')
    return jobs, session.value('SELECT max(id) FROM sync_job WHERE queue = %s AND id > %s', [queue, before - 100])


def drain(session, enqueue, args, queue='default', expect='Finished', meanwhile=None):
    """Jobs a second, from resuming the queue until all have ended, start of the workers included.

    Beside it the same by the server's own clock: from the first start to the last end.
    """
    jobs, last = enqueue_paused(session, enqueue, args, queue)
    first = session.value('SELECT min(id) FROM sync_job WHERE status = %s AND queue = %s', ['Queued', queue])
    started = time.perf_counter()
    session.run('SELECT resume_sync_job_queue(%s)', [queue])
    if meanwhile:
        meanwhile()
    wait_for_all(session, last, queue)
    seconds = time.perf_counter() - started
    check_states(session, expect, jobs, first, queue)
    return {'jobs/s': jobs / seconds, 'by the server’s clock': jobs / server_seconds(session, first, queue)}


def check_states(session, expect, jobs, first, queue):
    found = session.rows("""SELECT status, count(*) FROM sync_job
        WHERE id >= %s AND queue = %s AND status NOT IN ('Pending', 'Queued') GROUP BY status""", [first, queue])
    if not isinstance(expect, dict):
        expect = {expect: jobs}
    if dict(found) != expect:
        why = session.rows("SELECT error_message FROM sync_job WHERE status = 'Failed' LIMIT 1")
        raise AssertionError(f'jobs ended as {dict(found)}, not {expect} {why}')


def server_seconds(session, first, queue):
    return session.value("""SELECT extract(epoch FROM max(ended_at) - min(started_at))::float8 FROM sync_job
        WHERE id >= %s AND queue = %s AND ended_at IS NOT NULL""", [first, queue]) or 1e-9
