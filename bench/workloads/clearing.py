"""The scheduler, or a call by hand, clears old jobs while others work, and somebody reads the history."""
import threading
import time

import psycopg2
import sync_job
from measure import size, workload
from server import SOCKET, Session, processor_seconds
from sync_job import ENQUEUE_NOOP, SyncJobDatabase
from workloads.resources import wal

OLD = size('OLD_JOBS', 200_000, 10_000_000)
LONGEST = size('CLEARING_SECONDS', 600)  # for so long the reader's snapshot is open
IN_SET = 1000


def old_jobs(session):
    """Copies of a job that has really run, 40 days old: every tenth with an error, every thousandth a set with its documents."""
    sync_job.drain(session, ENQUEUE_NOOP, ['No-op', 1])
    special = {'id': "nextval('sync_job_internal.sync_job_id_seq')", 'ended_at': "j.ended_at - interval '40 days' + n * interval '1 ms'",
               'documents': f'CASE WHEN n %% {IN_SET} = 0 THEN {IN_SET} END'}
    columns = [name for (name,) in session.rows("""SELECT attname FROM pg_attribute
        WHERE attrelid = 'sync_job_internal.sync_job_ended'::regclass AND attnum > 0 AND NOT attisdropped""")]
    session.run(f"""INSERT INTO sync_job_internal.sync_job_ended ({', '.join(columns)})
        SELECT {', '.join(special.get(name, f'j.{name}') for name in columns)}
        FROM sync_job_internal.sync_job_ended AS j, generate_series(1, %s) AS n""", [OLD])
    session.run("""INSERT INTO sync_job_error (sync_job, attempt, occurred_at, sqlstate, message, counted)
        SELECT id, 1, ended_at, '23514', 'an error', true FROM sync_job_internal.sync_job_ended WHERE id % 10 = 0""")
    session.run("""INSERT INTO sync_job_document (sync_job, source_document_name, operation, status, diff_summary)
        SELECT id, n::text, 'Update', 'Finished', '{"name": {"old": "a", "new": "b"}}'
        FROM sync_job_internal.sync_job_ended, generate_series(1, documents) AS n ORDER BY id""")
    session.run('VACUUM ANALYZE sync_job_internal.sync_job_ended, sync_job_error, sync_job_document')
    return session.value('SELECT max(id) FROM sync_job')  # which goes last


def by_scheduler(session):
    session.run('ALTER DATABASE sync_job_bench SET sync_job.log_retention_days = 1')


def by_hand(_):
    def call():
        with Session('sync_job_bench') as own:
            own.run('CALL clear_sync_job_logs(1)')
    threading.Thread(target=call, daemon=True).start()


def work_beside(clear=None):
    """What sessions do, each step timed, until the old jobs are gone or the reader has read for long enough (or for ten seconds)."""
    with SyncJobDatabase() as session, Session('sync_job_bench') as watch:
        session.run('ALTER DATABASE sync_job_bench SET sync_job.log_retention_days = -1')
        last = old_jobs(session)
        reader = psycopg2.connect(host=SOCKET, user='postgres', dbname='sync_job_bench')
        reader.set_session(isolation_level='REPEATABLE READ')
        history = reader.cursor('history')
        history.execute('SELECT id, status FROM sync_job')
        session.run('CHECKPOINT')
        position, processor = wal(session), processor_seconds()
        if clear:
            clear(session)
        started, longest, locked, number = time.perf_counter(), {}, 0.0, 0
        while time.perf_counter() - started < (LONGEST if clear else 10) and \
                (not clear or session.value('SELECT EXISTS (SELECT FROM sync_job_internal.sync_job_ended WHERE id = %s)', [last])):
            number += 1
            steps = {'enqueue': ("SELECT enqueue_sync_job('No-op')", None),
                     'look up': ('SELECT status FROM sync_job WHERE id = %s', [last - number]),
                     'read on': None}
            for step, statement in steps.items():
                began = time.perf_counter()
                session.run(*statement) if statement else history.fetchmany(100)
                longest[step] = max(longest.get(step, 0), time.perf_counter() - began)
            locked = max(locked, watch.value("""SELECT coalesce(extract(epoch FROM max(clock_timestamp() - state_change)), 0)::float8
                FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"""))
        seconds, processor, written = time.perf_counter() - started, processor_seconds() - processor, wal(session) - position
        reader.close()
        cleared = OLD - session.value('SELECT count(*) FROM sync_job_internal.sync_job_ended WHERE id < %s', [last])
        waits = session.value("""SELECT extract(epoch FROM max(started_at - created_at))::float8 FROM sync_job
            WHERE id > %s AND started_at IS NOT NULL""", [last])
        return {'ms longest': 1000 * max(*longest.values(), locked), **{f'ms {step}': 1000 * value for step, value in longest.items()},
                'ms until a job starts': 1000 * waits, 'rounds of steps/s': number / seconds, 's of processor time': processor,
                'jobs cleared': cleared, 'jobs cleared/s': cleared / seconds, 'WAL bytes a cleared job': written / max(cleared, 1) if clear else 0}


@workload('clearing', 'Sessions beside the clearing of old jobs: the longest wait', 'ms longest')
def clearing(w):
    w.about = f'{OLD:,} old jobs, {OLD // 10:,} errors, {OLD // IN_SET * IN_SET:,} documents of sets; the history being read meanwhile; at most 100 ms'
    w.contender('nothing is cleared', work_beside)
    w.contender('old jobs are cleared', lambda: work_beside(by_scheduler))
    w.contender('old jobs are cleared by hand', lambda: work_beside(by_hand))
