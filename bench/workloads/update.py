"""From the UPDATE of the sources until their targets are in step, beside plain SQL that does the same at once."""
import time

import sync_job
from measure import size, workload
from server import Database
from sync_job import SyncJobDatabase

ROWS = size('UPDATE_ROWS', 100_000)
UPDATE = "UPDATE source SET territory = 'Moved', credit_limit = credit_limit + 1, disabled = NOT disabled"


def with_sync_job(job_type):
    with SyncJobDatabase() as session:
        sync_job.require_usable(session, job_type)
        fill(session)
        session.run("SELECT attach_sync_job_triggers(%s, 'source', level => 'statement')", [job_type])
        started = time.perf_counter()
        session.run(UPDATE)
        updated = time.perf_counter() - started
        first, last = session.rows('SELECT min(id), max(id) FROM sync_job')[0]
        sync_job.wait_for_jobs(session, first, last)
        seconds = time.perf_counter() - started
        assert sync_job.check_states(session, first, last, 0) == ROWS
        return result(session, seconds, updated)


def with_plain_sql(prepare, after=None):
    with Database('plain_bench') as session:
        session.file('documents.sql')
        session.file('plain_sync.sql')
        fill(session)
        session.run(prepare)
        started = time.perf_counter()
        session.run(UPDATE)
        updated = time.perf_counter() - started
        if after:
            session.run(after)
        return result(session, time.perf_counter() - started, updated)


def fill(session):
    session.run('SELECT fill_source(%s); SELECT fill_target()', [ROWS])
    session.run('VACUUM ANALYZE source, target')
    session.run('CHECKPOINT')


def result(session, seconds, updated):
    assert session.value('SELECT * FROM out_of_step') == 0
    return {'rows/s': ROWS / seconds, 's in all': seconds, 's for the UPDATE': updated}


@workload('update', 'From the UPDATE of the sources until the last target is in step', 'rows/s')
def update(w):
    w.about = f'{ROWS:,} rows, one statement'
    ours = 'pg_sync_job, declared, statement-level trigger'
    trigger = 'AFTER UPDATE ON source'
    w.contender(ours, lambda: with_sync_job('Declared sync'))
    w.contender('pg_sync_job, plpgsql, statement-level trigger', lambda: with_sync_job('Row sync'))
    by_row = 'AFTER ROW plpgsql trigger, upsert'
    w.contender(by_row, lambda: with_plain_sql(
        f'CREATE TRIGGER sync {trigger} FOR EACH ROW EXECUTE FUNCTION sync_row()'))
    w.contender('AFTER STATEMENT plpgsql trigger, one upsert', lambda: with_plain_sql(
        f'CREATE TRIGGER sync {trigger} REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION sync_statement()'))
    w.contender('by hand, one upsert', lambda: with_plain_sql('SELECT', 'SELECT sync_all()'))
    w.contender('by hand, plpgsql loop, a subtransaction a row', lambda: with_plain_sql('SELECT', 'SELECT sync_loop()'))
    for above in ours, 'pg_sync_job, plpgsql, statement-level trigger':
        for below in w.contenders:
            if not below.startswith('pg_sync_job'):
                w.ratio(above, below, '≥ 0.6; 1' if (above, below) == (ours, by_row) else '')
