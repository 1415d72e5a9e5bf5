"""Whole tables in step: full syncs beside the statements that one writes by hand for the same, and what a document costs."""
import time

import sync_job
from measure import size, workload
from server import Database, memory_of, processor_seconds, wait_until
from sync_job import ENQUEUE_NOOP, SyncJobDatabase
from workloads.resources import wal

ROWS = size('WHOLE_ROWS', 200_000, 1_000_000)
COST_ROWS = size('COST_ROWS', 20_000, 100_000)
WIDE_ROWS = size('WIDE_ROWS', 1_000, 3_000)
PROCESSOR = 'documents/s of processor time'
WORKERS = "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'sync job worker%%'"

SHOULD_BE = 'SELECT code, full_name, territory, credit_limit, NOT disabled FROM source'
IS = 'SELECT external_code, name, region, credit_limit, active FROM target'
EXCEPT_BOTH_WAYS = f'SELECT count(*) FROM (({SHOULD_BE} EXCEPT {IS}) UNION ALL ({IS} EXCEPT {SHOULD_BE})) AS different'
INSERT_ALL = f'INSERT INTO target (external_code, name, region, credit_limit, active) {SHOULD_BE}'


def fill(session, targets, change=''):
    session.run('SELECT fill_source(%s)', [ROWS])
    if targets:
        session.run('SELECT fill_target()')
    if change:
        session.run(change)
    session.run('VACUUM ANALYZE source, target')


def full_sync(targets, change=''):
    """From the call that enqueues it until the run has ended. A worker is there: its start is measured elsewhere."""
    with SyncJobDatabase() as session:
        fill(session, targets, change)
        sync_job.drain(session, ENQUEUE_NOOP, ['No-op', 1])
        session.run('CHECKPOINT')
        return result(session, lambda: run(session))


def run(session, arguments=''):
    job = session.value(f"SELECT enqueue_full_sync('Declared sync'{arguments})")
    wait_until(lambda: sync_job.ended(session, job), what='the full sync')
    status, error = session.rows('SELECT status, error_message FROM sync_job WHERE id = %s', [job])[0]
    assert status == 'Finished', error


def by_hand(targets, statement, change=''):
    with Database('plain_bench') as session:
        session.file('documents.sql')
        session.file('plain_sync.sql')
        fill(session, targets, change)
        session.run('CHECKPOINT')
        return result(session, lambda: session.run(statement))


def result(session, work):
    started, processor = time.perf_counter(), processor_seconds()
    work()
    seconds, processor = time.perf_counter() - started, processor_seconds() - processor
    assert session.value('SELECT * FROM out_of_step') == 0
    return {'documents/s': ROWS / seconds, 's in all': seconds, PROCESSOR: ROWS / processor}


@workload('full-in-step', 'A full sync where all is in step', 'documents/s')
def in_step(w):
    w.about = f'{ROWS:,} documents'
    w.contender('full sync', lambda: full_sync(True))
    w.contender('EXCEPT in both directions', lambda: by_hand(True, EXCEPT_BOTH_WAYS))
    w.ratio('full sync', 'EXCEPT in both directions', '≥ 0.8; 1.5')
    w.ratio('full sync', 'EXCEPT in both directions', measure=PROCESSOR)


@workload('full-different', 'A full sync where one document in a hundred differs', 'documents/s')
def different(w):
    w.about = f'{ROWS:,} documents'
    change = "UPDATE source SET territory = 'Moved', credit_limit = credit_limit + 1 WHERE id % 100 = 0"
    w.contender('full sync, diffs recorded', lambda: full_sync(True, change))
    w.contender('one upsert where anything is distinct', lambda: by_hand(True, 'SELECT sync_all()', change))
    w.ratio('full sync, diffs recorded', 'one upsert where anything is distinct', '≥ 0.6; 0.9')
    w.ratio('full sync, diffs recorded', 'one upsert where anything is distinct', measure=PROCESSOR)


@workload('full-load', 'A full sync into an empty table', 'documents/s')
def load(w):
    w.about = f'{ROWS:,} documents'
    w.contender('full sync, a row recorded for each', lambda: full_sync(False))
    w.contender('INSERT … SELECT', lambda: by_hand(False, INSERT_ALL))
    w.ratio('full sync, a row recorded for each', 'INSERT … SELECT', '≥ 0.3; 0.6')
    w.ratio('full sync, a row recorded for each', 'INSERT … SELECT', measure=PROCESSOR)


# ---- what a document costs ----

OUR_BYTES = """SELECT sum(pg_total_relation_size(c.oid))::float8 FROM pg_class AS c
    WHERE c.relkind = 'r' AND (c.relnamespace = 'sync_job_internal'::regnamespace OR c.relname = 'sync_job_document')"""


def document_cost(set_size, change, status):
    """Of a document, to enqueue and to run; without what a plain UPDATE of the target would write."""
    with SyncJobDatabase() as session:
        session.run('UPDATE sync_job_type SET set_size = %s WHERE name = %s', [set_size, 'Declared sync'])
        session.run('SELECT fill_source(%s); SELECT fill_target()', [COST_ROWS])
        session.run(change)
        session.run('VACUUM ANALYZE source, target')
        session.run('CHECKPOINT')
        session.run("SELECT pause_sync_job_queue('default')")
        before, position = session.value(OUR_BYTES), wal(session)
        session.run(sync_job.ENQUEUE_SOURCES, ['Declared sync'])
        first, last = session.rows('SELECT min(id), max(id) FROM sync_job')[0]
        session.run("SELECT resume_sync_job_queue('default')")
        sync_job.wait_for_jobs(session, first, last)
        written, stored = wal(session) - position, session.value(OUR_BYTES) - before
        done = session.value("""SELECT coalesce(sum((result ->> %s)::int), 0) FROM sync_job""", [status]) if set_size > 1 \
            else session.value('SELECT count(*) FROM sync_job WHERE status = %s',
                               ['Finished' if status == 'updated' else 'Skipped'])
        assert done == COST_ROWS, done
    plain = target_wal(change) if status == 'updated' else 0
    return {'WAL bytes': (written - plain) / COST_ROWS, 'bytes of table and index': stored / COST_ROWS}


def target_wal(change):
    with Database('plain_bench') as session:
        session.file('documents.sql')
        session.run('SELECT fill_source(%s); SELECT fill_target()', [COST_ROWS])
        session.run(change)
        session.run('VACUUM ANALYZE source, target')
        session.run('CHECKPOINT')
        position = wal(session)
        session.run("""UPDATE target AS t SET name = s.full_name, region = s.territory, credit_limit = s.credit_limit,
            active = NOT s.disabled FROM source AS s WHERE s.code = t.external_code""")
        return wal(session) - position


@workload('set-cost', 'What a document costs in a set of 1,000, beside a job of its own', 'WAL bytes')
def cost(w):
    w.about = f'{COST_ROWS:,} documents; the bytes of a document, without those of the target'
    change = "UPDATE source SET territory = 'Moved', credit_limit = credit_limit + 1"
    for what, statement, status, aim in ('changed', change, 'updated', '≤ 0.5; 0.33'), ('skipped', 'SELECT', 'skipped', '≤ 0.2; 0.05'):
        names = [f'{what}, in a set', f'{what}, a job of its own']
        for name, set_size in zip(names, (1000, 1)):
            w.contender(name, lambda n=set_size, s=statement, t=status: document_cost(n, s, t))
        w.ratio(*names, aim)
        w.ratio(*names, aim, measure='bytes of table and index')


# ---- memory ----

def memory(chunk, wide):
    """The most that the worker has for itself during a full sync; all targets are there, and differ."""
    with SyncJobDatabase() as session:
        session.run('SELECT fill_source(%s); SELECT fill_target()', [WIDE_ROWS if wide else COST_ROWS])
        if wide:
            session.run("""ALTER TABLE source ALTER full_name SET STORAGE external;
                ALTER TABLE target ALTER name SET STORAGE external;
                UPDATE source SET full_name = repeat('x', 100000) || id, territory = 'Moved';
                UPDATE target SET name = repeat('y', 100000) || id""")
        else:
            session.run("UPDATE source SET territory = 'Moved', full_name = 'Somebody'")
        session.run('VACUUM ANALYZE source, target')
        sync_job.drain(session, ENQUEUE_NOOP, ['No-op', 1])
        session.run('CHECKPOINT')
        most = 0
        job = session.value("""SELECT enqueue_full_sync('Declared sync', max_change_percent => 100, chunk_size => %s)""", [chunk])
        while not sync_job.ended(session, job):
            for (pid,) in session.rows(WORKERS):
                try:
                    most = max(most, memory_of(pid))
                except FileNotFoundError:
                    pass
        assert session.value('SELECT * FROM out_of_step') == 0
        return {'MiB of the worker': most}


@workload('full-memory', 'Memory of a worker in a full sync in which all documents change', 'MiB of the worker')
def full_memory(w):
    w.about = f'{COST_ROWS:,} documents, and {WIDE_ROWS:,} with values of 100 kB; the most at any moment'
    for rows, wide in ('small rows', False), ('rows of 100 kB', True):
        for chunk in 10, 1000:
            w.contender(f'{rows}, chunks of {chunk:,}', lambda c=chunk, s=wide: memory(c, s))
