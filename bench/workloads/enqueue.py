"""Only enqueueing, with the queue paused, compared with plain INSERTs of rows of the same shape with the same indexes."""
import json
import statistics

import peers
from measure import size, workload
from server import Session, pgbench
from sync_job import ENQUEUE_SOURCES, SyncJobDatabase

ROWS = size('ENQUEUE_ROWS', 100_000)
SECONDS = size('ENQUEUE_SECONDS', 3, 10)
SESSIONS = size('ENQUEUE_SESSIONS', 100, 500)
UPDATE = "UPDATE source SET territory = 'Moved'"


class Paused(SyncJobDatabase):
    """The queue is paused; ROWS sources; a table `plain` like the one that waiting jobs are in."""

    def __enter__(self):
        session = super().__enter__()
        session.run("SELECT pause_sync_job_queue('default')")
        session.run('SELECT fill_source(%s)', [ROWS])
        session.run("SELECT enqueue_sync_job('Row sync', '1')")
        session.run('CREATE TABLE example AS SELECT * FROM sync_job_internal.sync_job_live')
        session.run('CREATE TABLE plain (LIKE sync_job_internal.sync_job_live INCLUDING ALL)')
        session.run('VACUUM ANALYZE source')
        session.run('CHECKPOINT')
        return session


def plain_insert(session, name, rows=''):
    """An INSERT of a job for each of the rows: a copy of the enqueued one, with an id and a name of its own."""
    own = {'id': "nextval('sync_job_internal.sync_job_id_seq')", 'source_document_name': name}
    columns = [column for (column,) in session.rows("""SELECT attname FROM pg_attribute
        WHERE attrelid = 'plain'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum""")]
    return f'INSERT INTO plain SELECT {", ".join(own.get(c, f"e.{c}") for c in columns)} FROM example AS e{rows}'


# ---- in bulk ----

def bulk(statement):
    with Paused() as session:
        sql = statement(session) if callable(statement) else statement
        return ROWS / session.timed(sql)


def bulk_graphile():
    with peers.peer_database('graphile') as session:
        return ROWS / session.timed(peers.ENQUEUE['graphile'], [ROWS])


@workload('enqueue-bulk', 'Enqueueing in bulk, one statement', 'jobs/s')
def enqueue_bulk(w):
    w.about = f'{ROWS:,} jobs'
    plain = 'INSERT … SELECT into a plain table like that of waiting jobs'
    w.contender('enqueue_sync_jobs(…)', lambda: bulk(ENQUEUE_SOURCES.replace('%s', "'Row sync'")))
    w.contender('SELECT enqueue_sync_job(…, row) FROM table',
                lambda: bulk("SELECT count(enqueue_sync_job('Row sync', s)) FROM source AS s"))
    w.contender('SELECT enqueue_sync_job(…, name) FROM table',
                lambda: bulk("SELECT count(enqueue_sync_job('Row sync', id::text)) FROM source"))
    w.contender(plain, lambda: bulk(lambda session: plain_insert(session, 's.id::text', ', source AS s')))
    w.contender('graphile-worker, add_jobs(…)', bulk_graphile)
    for ours in list(w.contenders)[:3]:
        w.ratio(ours, plain, '≥ 0.7; 0.9' if ours == 'enqueue_sync_jobs(…)' else '')


# ---- in a trigger ----

def in_trigger(prepare):
    """The time of the trigger alone, from EXPLAIN ANALYZE, and of the whole UPDATE."""
    with Paused() as session:
        session.run(prepare(session))
        plan = session.value(f'EXPLAIN (ANALYZE, FORMAT json) {UPDATE}')
        plan = (plan if isinstance(plan, list) else json.loads(plan))[0]
        in_triggers = sum(trigger['Time'] for trigger in plan['Triggers'])
        return {'jobs/s in the trigger': ROWS / in_triggers * 1000, 's for the whole UPDATE': plan['Execution Time'] / 1000}


def attached(level, deduplicate):
    return lambda _: f"SELECT attach_sync_job_triggers('Row sync', 'source', level => '{level}', deduplicate => {deduplicate})"


def plain_trigger(level):
    name, rows, referencing = ('NEW.id::text', '', '') if level == 'row' else (
        's.id::text', ', changed AS s', 'REFERENCING NEW TABLE AS changed')
    return lambda session: f"""
        CREATE FUNCTION enqueue_plain() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            {plain_insert(session, name, rows)};
            RETURN NULL;
        END $$;
        CREATE TRIGGER plain AFTER UPDATE ON source {referencing} FOR EACH {level} EXECUTE FUNCTION enqueue_plain()"""


def insert_select():
    return {'jobs/s in the trigger': bulk(lambda session: plain_insert(session, 's.id::text', ', source AS s'))}


@workload('enqueue-trigger', 'Enqueueing from a trigger', 'jobs/s in the trigger')
def enqueue_trigger(w):
    w.about = f'UPDATE of {ROWS:,} rows; time spent in the trigger, as EXPLAIN ANALYZE tells it'
    statement, plain = 'sync_job_trigger, statement level', 'INSERT … SELECT into a plain table, no trigger'
    row, plain_row = 'sync_job_trigger, row level', 'plpgsql, row level, one INSERT'
    w.contender(statement, lambda: in_trigger(attached('statement', 'false')))
    w.contender(statement + ', deduplicate', lambda: in_trigger(attached('statement', 'true')))
    w.contender('plpgsql, statement level, one INSERT … SELECT', lambda: in_trigger(plain_trigger('statement')))
    w.contender(plain, insert_select)
    w.contender(row, lambda: in_trigger(attached('row', 'false')))
    w.contender(row + ', deduplicate', lambda: in_trigger(attached('row', 'true')))
    w.contender(plain_row, lambda: in_trigger(plain_trigger('row')))
    for ours, other in (statement, plain), (row, plain_row):
        w.ratio(other, ours, 'well under 2' if ours == statement else '≤ 1 : 1.3; 1 : 2', f'time of {ours} : {other}')
        w.ratio(other, ours + ', deduplicate', '', f'time of {ours}, deduplicate : {other}')


# ---- one per transaction ----

def one_each(script, clients):
    with Paused() as session:
        return pgbench('sync_job_bench', script(session) if callable(script) else script, clients, SECONDS)


def one_each_graphile(clients):
    with peers.peer_database('graphile'):
        return pgbench('peer_bench', "SELECT graphile_worker.add_job('bench', '{\"id\": 1}')", clients, SECONDS)


@workload('enqueue-one', 'Enqueueing, one job a transaction', 'jobs/s')
def enqueue_one(w):
    w.about = f'pgbench, {SECONDS} s'
    pick = f'\\set id random(1, {ROWS})\n'
    for clients in 1, 8:
        suffix = f', {clients} connection{"s" if clients > 1 else ""}'
        w.contender('enqueue_sync_job' + suffix, lambda clients=clients: one_each(
            pick + "SELECT enqueue_sync_job('Row sync', (:id)::text)", clients))
        w.contender('a plain INSERT' + suffix, lambda clients=clients: one_each(
            lambda session: pick + plain_insert(session, '(:id)::text'), clients))
        w.contender('graphile-worker' + suffix, lambda clients=clients: one_each_graphile(clients))
        w.ratio('enqueue_sync_job' + suffix, 'a plain INSERT' + suffix)


# ---- first in a session ----

def first(statement):
    """The median time of the first statement of a new session, and of the second, without connecting."""
    times = []
    with Paused() as session:
        sql = statement(session) if callable(statement) else statement
        for _ in range(SESSIONS):
            with Session('sync_job_bench') as new:
                times.append([new.timed(sql) * 1000 for _ in range(2)])
    return {name: statistics.median(values) for name, values in zip(('ms', 'ms the second time'), zip(*times))}


@workload('enqueue-first', 'The first enqueue of a new session', 'ms')
def enqueue_first(w):
    w.about = f'{SESSIONS} sessions'
    ours, plain = 'enqueue_sync_job', 'a plain INSERT of such a row'
    w.contender(ours, lambda: first("SELECT enqueue_sync_job('Row sync', '1')"))
    w.contender(plain, lambda: first(lambda session: plain_insert(session, "'1'")))
    w.ratio(ours, plain, '≤ 2; 1.2')
