"""A queue must not become slower because of other things: ended jobs, other waiting jobs, somebody's old snapshot."""
import contextlib

import peers
import psycopg2
import sync_job
from measure import size, workload
from server import SOCKET
from sync_job import ENQUEUE_NOOP, ENQUEUE_SOURCES, SyncJobDatabase

JOBS = size('FLAT_JOBS', 50_000, 100_000)
FINISHED = size('FINISHED_JOBS', 1_000_000, 10_000_000)
WAITING = size('WAITING_JOBS', 250_000, 1_000_000)
SNAPSHOT_JOBS = size('SNAPSHOT_JOBS', 150_000, 300_000)
LOAD = size('LOAD_JOBS', 30_000, 100_000)
SCRAPES = size('SCRAPES', 20, 100)


def drain_beside(prepare=None, jobs=JOBS):
    with SyncJobDatabase() as session:
        if prepare:
            prepare(session)
        return sync_job.drain(session, ENQUEUE_NOOP, ['No-op', jobs])


def finished(session):
    """Copies of a job that has really run, as running them all would take too long; the table is then vacuumed and analyzed."""
    sync_job.drain(session, ENQUEUE_NOOP, ['No-op', 1])
    columns = [name for (name,) in session.rows("""SELECT attname FROM pg_attribute
        WHERE attrelid = 'sync_job_internal.sync_job_ended'::regclass AND attnum > 0 AND NOT attisdropped""")]
    values = ', '.join("nextval('sync_job_internal.sync_job_id_seq')" if name == 'id' else f'j.{name}' for name in columns)
    session.run(f"""INSERT INTO sync_job_internal.sync_job_ended ({', '.join(columns)})
        SELECT {values} FROM sync_job_internal.sync_job_ended AS j, generate_series(1, %s)""", [FINISHED])
    session.run('VACUUM ANALYZE sync_job_internal.sync_job_ended')


def waiting(arguments):
    def prepare(session):
        session.run("SELECT pause_sync_job_queue('default'); SELECT pause_sync_job_queue('long')")
        session.run(f"SELECT count(enqueue_sync_job('No-op alone', {arguments})) FROM generate_series(1, %s)", [WAITING])
        session.run('VACUUM ANALYZE sync_job_internal.sync_job_live')
    return prepare


@workload('flat', 'Draining no-op jobs beside other jobs', 'jobs/s')
def flat(w):
    w.about = f'{JOBS:,} jobs; {FINISHED:,} finished ones, {WAITING:,} waiting ones'
    quiet = 'empty and quiet'
    w.contender(quiet, drain_beside)
    w.contender('beside finished jobs', lambda: drain_beside(finished))
    w.contender('beside waiting jobs of another queue and type', lambda: drain_beside(waiting("queue => 'long'")))
    w.contender('beside jobs of the same queue, scheduled for tomorrow',
                lambda: drain_beside(waiting("scheduled_at => now() + interval '1 day'")))
    w.contender('beside due jobs of the same queue, of lower priority', lambda: drain_beside(waiting('priority => 10')))
    for case in list(w.contenders)[1:]:
        w.ratio(case, quiet, '≥ 0.95; 0.99' if 'finished' in case else '≥ 0.9; 0.99')


@contextlib.contextmanager
def old_snapshot(database):
    """Another session that has read something, and keeps its snapshot."""
    connection = psycopg2.connect(host=SOCKET, user='postgres', dbname=database)
    connection.set_session(isolation_level='REPEATABLE READ')
    connection.cursor().execute('SELECT count(*) FROM pg_class')
    try:
        yield
    finally:
        connection.close()


def drain_beside_snapshot():
    with SyncJobDatabase() as session, old_snapshot('sync_job_bench'):
        return sync_job.drain(session, ENQUEUE_NOOP, ['No-op', SNAPSHOT_JOBS])


def drain_graphile(held):
    settings = {'task': 'noop', 'concurrency': 24, 'tuned': True}
    return peers.drain('graphile', SNAPSHOT_JOBS, prepare=(lambda _: old_snapshot('peer_bench')) if held else None, **settings)


@workload('snapshot', 'Draining no-op jobs while another session holds an old snapshot', 'jobs/s')
def snapshot(w):
    w.about = f'{SNAPSHOT_JOBS:,} jobs'
    w.contender('pg_sync_job, quiet', lambda: drain_beside(jobs=SNAPSHOT_JOBS))
    w.contender('pg_sync_job, snapshot held', drain_beside_snapshot)
    w.contender('graphile-worker, tuned, quiet', lambda: drain_graphile(False))
    w.contender('graphile-worker, tuned, snapshot held', lambda: drain_graphile(True))
    for system in 'pg_sync_job', 'graphile-worker, tuned':
        w.ratio(f'{system}, snapshot held', f'{system}, quiet', '≥ 0.9; 0.99' if system == 'pg_sync_job' else '')


def load(job_type, filled):
    """New targets into a table that was analyzed while it was empty, or that has as many rows from before."""
    with SyncJobDatabase() as session:
        sync_job.require_usable(session, job_type)
        if filled:
            session.run('SELECT fill_source(%s, 1000000000); SELECT fill_target(); TRUNCATE source', [LOAD])
        session.run('SELECT fill_source(%s)', [LOAD])
        session.run('ANALYZE')
        measured = sync_job.drain(session, ENQUEUE_SOURCES, [job_type])
        assert session.value('SELECT * FROM out_of_step') == 0
        return measured


@workload('first-load', 'A first load into an empty target that was analyzed', 'jobs/s')
def first_load(w):
    w.about = f'{LOAD:,} new targets'
    for name, job_type in ('plpgsql', 'Row sync'), ('declared', 'Declared sync'):
        w.contender(f'{name}, into a filled table', lambda t=job_type: load(t, True))
        w.contender(f'{name}, into an empty one', lambda t=job_type: load(t, False))
        w.ratio(f'{name}, into an empty one', f'{name}, into a filled table', '≥ 0.9; 1')


def processor_milliseconds(pid):
    with open(f'/proc/{pid}/schedstat', encoding='ascii') as file:
        return int(file.read().split()[0]) / 1e6


def scrape(prepare=None):
    """The time of sync_job_metrics(), and of one metric that is only counted, in a session that has called it before: processor time, as a
    scrape is too short to be told by a clock from the noise of other work."""
    with SyncJobDatabase() as session:
        if prepare:
            prepare(session)
        pid = session.value('SELECT pg_backend_pid()')

        def measured(sql):
            session.value(sql)
            before = processor_milliseconds(pid)
            for _ in range(SCRAPES):
                session.value(sql)
            return (processor_milliseconds(pid) - before) / SCRAPES
        return {'ms': measured('SELECT count(*) FROM sync_job_metrics()'),
                'ms for jobs_total': measured("SELECT count(*) FROM sync_job_metrics(ARRAY['sync_job_jobs_total'])")}


def many_types(session):
    """As many types as are shown, each of which has run a job."""
    session.run("""INSERT INTO sync_job_type (name, module, batchable) SELECT 'No-op ' || i, 'noop', true FROM generate_series(1, 198) AS i;
        SELECT count(enqueue_sync_job(name)) FROM sync_job_type WHERE module = 'noop'; CALL run_sync_jobs()""")


@workload('scrape', 'Processor time of a scrape: sync_job_metrics()', 'ms')
def scrapes(w):
    w.about = f'{SCRAPES} calls; {FINISHED:,} finished jobs, {WAITING:,} waiting ones'
    quiet = 'one finished job'
    w.contender(quiet, lambda: scrape(lambda session: sync_job.drain(session, ENQUEUE_NOOP, ['No-op', 1])))
    w.contender('finished jobs', lambda: scrape(finished))
    w.contender('waiting jobs', lambda: scrape(waiting("queue => 'default'")))
    w.contender('200 types', lambda: scrape(many_types))
    w.ratio('finished jobs', quiet, '≤ 1.2; 1')
