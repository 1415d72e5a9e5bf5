"""From the UPDATE of the sources until their targets are in step, beside plain SQL that does the same at once."""
import time

import sync_job
from measure import size, workload
from server import Database, processor_seconds
from sync_job import SyncJobDatabase
from . import sync

ROWS = size('UPDATE_ROWS', 100_000)
PROCESSOR = 'rows/s of processor time'
UPDATE = "UPDATE source SET territory = 'Moved', credit_limit = credit_limit + 1, disabled = NOT disabled"


def with_sync_job(job_type, set_size=1):
    with SyncJobDatabase() as session:
        sync_job.require_usable(session, job_type)
        session.run('UPDATE sync_job_type SET set_size = %s WHERE name = %s', [set_size, job_type])
        fill(session)
        session.run("SELECT attach_sync_job_triggers(%s, 'source', level => 'statement')", [job_type])
        started, processor = time.perf_counter(), processor_seconds()
        session.run(UPDATE)
        updated = time.perf_counter() - started
        first, last = session.rows('SELECT min(id), max(id) FROM sync_job')[0]
        sync_job.wait_for_jobs(session, first, last)
        seconds, processor = time.perf_counter() - started, processor_seconds() - processor
        assert sync_job.check_states(session, first, last, 0) == -(-ROWS // set_size)
        return result(session, seconds, updated, processor)


def with_plain_sql(prepare, after=None):
    with Database('plain_bench') as session:
        session.file('documents.sql')
        session.file('plain_sync.sql')
        fill(session)
        session.run(prepare)
        started, processor = time.perf_counter(), processor_seconds()
        session.run(UPDATE)
        updated = time.perf_counter() - started
        if after:
            session.run(after)
        return result(session, time.perf_counter() - started, updated, processor_seconds() - processor)


def fill(session):
    session.run('SELECT fill_source(%s); SELECT fill_target()', [ROWS])
    session.run('VACUUM ANALYZE source, target')
    session.run('CHECKPOINT')


def result(session, seconds, updated, processor):
    assert session.value('SELECT * FROM out_of_step') == 0
    return {'rows/s': ROWS / seconds, 's in all': seconds, 's for the UPDATE': updated, PROCESSOR: ROWS / processor}


@workload('update', 'From the UPDATE of the sources until the last target is in step', 'rows/s')
def update(w):
    w.about = f'{ROWS:,} rows, one statement'
    ours = 'pg_sync_job, declared, statement-level trigger'
    trigger = 'AFTER UPDATE ON source'
    w.contender(ours, lambda: with_sync_job('Declared sync'))
    by_code = 'pg_sync_job, plpgsql, statement-level trigger'
    w.contender(by_code, lambda: with_sync_job('Row sync'))
    in_sets, code_in_sets = (f'{name}, sets of 1,000' for name in (ours, by_code))
    w.contender(in_sets, lambda: with_sync_job('Declared sync', 1000))
    w.contender(code_in_sets, lambda: with_sync_job('Row sync', 1000))
    by_row, by_statement = 'AFTER ROW plpgsql trigger, upsert', 'AFTER STATEMENT plpgsql trigger, one upsert'
    w.contender(by_row, lambda: with_plain_sql(
        f'CREATE TRIGGER sync {trigger} FOR EACH ROW EXECUTE FUNCTION sync_row()'))
    w.contender(by_statement, lambda: with_plain_sql(
        f'CREATE TRIGGER sync {trigger} REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION sync_statement()'))
    w.contender('by hand, one upsert', lambda: with_plain_sql('SELECT', 'SELECT sync_all()'))
    w.contender('by hand, plpgsql loop, a subtransaction a row', lambda: with_plain_sql('SELECT', 'SELECT sync_loop()'))
    aims = {(ours, by_row): '≥ 0.6; 1', (in_sets, by_row): '≥ 1; 1.4', (in_sets, by_statement): '≥ 0.75; 1',
            (code_in_sets, by_row): '≥ 0.45; 0.7'}
    for above in ours, by_code, in_sets, code_in_sets:
        for below in w.contenders:
            if not below.startswith('pg_sync_job'):
                w.ratio(above, below, aims.get((above, below), ''))
            if (above, below) in aims:
                w.ratio(above, below, measure=PROCESSOR)


@workload('native', 'In C++, beside the same declared and in PL/pgSQL: from the UPDATE until the last target is in step', PROCESSOR)
def native(w):
    w.about = f'{ROWS:,} rows, one statement, statement-level trigger; and new targets, {sync.JOBS:,} waiting jobs'
    types = {'declared': 'Declared sync', 'native, update_many': 'Native sync', 'plpgsql': 'Row sync', 'native, row by row': 'Native row sync',
             'native, row by row without match': 'Native sync without match'}
    ways = {'': lambda name: with_sync_job(name), ', sets of 1,000': lambda name: with_sync_job(name, 1000),
            ', new targets': lambda name: sync.drain_sync(name, sync.JOBS)}
    for way, run in ways.items():
        for what, name in types.items():
            w.contender(what + way, lambda run=run, name=name: by_processor(run(name)))
        w.ratio('native, update_many' + way, 'declared' + way, '≥ 0.9; 1')
        w.ratio('native, row by row' + way, 'plpgsql' + way, '≥ 1.5; 2')
        w.ratio('native, row by row without match' + way, 'plpgsql' + way)


# First the measure that counts if the machine does other work as well.
def by_processor(measured):
    name = next(name for name in measured if name.endswith('of processor time'))
    return {PROCESSOR: measured.pop(name), **measured}
