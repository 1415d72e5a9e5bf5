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


def unfinished(session, first, last):
    return session.value("""SELECT count(*) FROM sync_job
        WHERE id BETWEEN %s AND %s AND status IN ('Queued', 'Started')""", [first, last])


def wait_for_jobs(session, first, last, seconds=900):
    """Waits until those jobs have ended. Checks the last one first, which costs the server next to nothing."""
    wait_until(lambda: ended(session, last), seconds, what=f'job {last}')
    wait_until(lambda: unfinished(session, first, last) == 0, seconds, what=f'jobs {first} to {last}')


def enqueue_paused(session, enqueue, args, queue='default'):
    """Enqueues while the queue is paused. Returns the first and the last id."""
    session.run('SELECT pause_sync_job_queue(%s)', [queue])
    before = session.value('SELECT coalesce(max(id), 0) FROM sync_job')
    session.run(enqueue, args)
    session.run('CHECKPOINT')
    return session.rows('SELECT min(id), max(id) FROM sync_job WHERE id > %s', [before])[0]


def drain(session, enqueue, args, queue='default', failed=0):
    """Jobs per second, from resuming the queue until all have ended, including the start of the workers.

    Also the same by the server's own clock: from the first start to the last end.
    """
    first, last = enqueue_paused(session, enqueue, args, queue)
    return run_enqueued(session, first, last, queue, failed)


def run_enqueued(session, first, last, queue='default', failed=0):
    started = time.perf_counter()
    session.run('SELECT resume_sync_job_queue(%s)', [queue])
    wait_for_jobs(session, first, last)
    seconds = time.perf_counter() - started
    jobs = check_states(session, first, last, failed)
    by_server = session.value("""SELECT extract(epoch FROM max(ended_at) - min(started_at))::float8
        FROM sync_job WHERE id BETWEEN %s AND %s""", [first, last])
    return {'jobs/s': jobs / seconds, 'by the server’s clock': jobs / max(by_server, 1e-6)}


def check_states(session, first, last, failed):
    """All must be Finished, except as many as must fail. Returns how many there are."""
    found = dict(session.rows('SELECT status, count(*) FROM sync_job WHERE id BETWEEN %s AND %s GROUP BY status',
                              [first, last]))
    jobs = sum(found.values())
    if found.get('Finished', 0) != jobs - failed or found.get('Failed', 0) != failed:
        why = session.rows("SELECT error_message FROM sync_job WHERE status = 'Failed' LIMIT 1")
        raise AssertionError(f'jobs ended as {found}, {failed} shall fail; an error: {why}')
    return jobs
