"""The other systems as contenders: graphile-worker, pg-boss, BullMQ, RQ.

Their jobs are enqueued before any of their processes runs, and the clock starts with the first job that begins: starting
Node or Python does not count. (For pg_sync_job the start of the workers counts.)
"""
import json
import os
import select
import subprocess
import time

from measure import Skip
from server import HERE, SOCKET, WORK, Database, Session, run_sql, start, stop, wait_until

FOLDER = os.environ.get('PEERS_FOLDER', '')
NODE = os.environ.get('NODE', '')
REDIS = f'{WORK}/redis.socket'

# In bulk, with each system's own function or a plain INSERT into its table.
ENQUEUE = {
    'graphile': '''SELECT count(*) FROM graphile_worker.add_jobs((
        SELECT array_agg(json_populate_record(NULL::graphile_worker.job_spec,
            json_build_object('identifier', 'bench', 'payload', json_build_object('id', i))))
        FROM generate_series(1, %s) AS i))''',
    'pg_boss': "INSERT INTO pgboss.job (name, data) SELECT 'bench', jsonb_build_object('id', i) FROM generate_series(1, %s) AS i",
}
WAITING = {
    'graphile': 'SELECT count(*) FROM graphile_worker._private_jobs',
    'pg_boss': "SELECT count(*) FROM pgboss.job WHERE name = 'bench' AND state < 'completed'",
}


def require():
    if not NODE:
        raise Skip('without other systems (PEERS=no)')


# ---- systems in Node, in the database ----

def node(script, settings, **options):
    settings = {'connection': {'host': SOCKET, 'user': 'postgres', 'database': 'peer_bench'}, 'redis': REDIS, **settings}
    return start([NODE, f'{FOLDER}/{script}.mjs', json.dumps(settings)], cwd=FOLDER, stdout=subprocess.PIPE, **options)


_templates = set()


def peer_database(system):
    """A new database with the documents and the system's tables."""
    require()
    template = f'peer_template_{system}'
    if system not in _templates:
        run_sql(f'DROP DATABASE IF EXISTS {template}')
        run_sql(f'CREATE DATABASE {template}')
        with Session(template) as session:
            session.file('documents.sql')
        process = node(system, {'connection': {'host': SOCKET, 'user': 'postgres', 'database': template},
                                'migrateOnly': True, 'concurrency': 1})
        process.communicate(timeout=60)
        if process.returncode:
            raise RuntimeError(f'{system} could not make its tables, see clients.log')
        _templates.add(system)
    return Database('peer_bench', template)


def drain(system, jobs, processes=1, check=None, prepare=None, **settings):
    """Jobs per second, from the start of the first until the table says that all have ended."""
    with peer_database(system) as session:
        if settings['task'] != 'noop':
            session.run('SELECT fill_source(%s)', [jobs])
            session.run('ANALYZE source')
        session.run(ENQUEUE[system], [jobs])
        session.run('ANALYZE')  # as autovacuum would have, for their plans
        session.run('CHECKPOINT')
        with prepare(session) if prepare else Nothing():
            seconds = run_until_done([node(system, settings) for _ in range(processes)], jobs,
                                     lambda: session.value(WAITING[system]) == 0)
        if settings['task'] != 'noop' and session.value('SELECT * FROM out_of_step'):
            raise AssertionError('not all targets are in step')
        return jobs / seconds


class Nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def run_until_done(processes, jobs, finished, limit=900):
    """Listens to the processes' reports of what they have done, so that the server is queried only at the end."""
    done, first = {}, None
    until = time.monotonic() + limit
    try:
        while sum(done.values()) < jobs:
            if time.monotonic() > until:
                raise TimeoutError(f'{sum(done.values())} of {jobs} jobs in {limit} s')
            for process, message in messages(processes):
                if 'first' in message:
                    first = min(first or message['first'], message['first'])
                done[process.pid] = message.get('done', done.get(process.pid, 0))
        wait_until(finished, 60)
        return time.time() - first / 1000
    finally:
        stop(processes)


def messages(processes, timeout=1):
    """What the processes have reported; waits for it."""
    by_output = {process.stdout: process for process in processes}
    for output in select.select(list(by_output), [], [], timeout)[0]:
        line = output.readline()
        if not line:
            raise RuntimeError(f'a client ended early, see {WORK}/clients.log: {tail_of_log()}')
        yield by_output[output], json.loads(line)


def tail_of_log():
    with open(f'{WORK}/clients.log', encoding='utf-8', errors='replace') as file:
        return file.read()[-500:]


# ---- systems on Redis ----

class Redis:
    """A Redis of our own on a socket, empty, without persistence: its fastest mode."""

    def __enter__(self):
        require()
        import redis
        self.process = start(['redis-server', '--port', '0', '--unixsocket', REDIS, '--save', '', '--appendonly', 'no'],
                             stdout=subprocess.DEVNULL)
        with open(f'{WORK}/redis.pid', 'w', encoding='ascii') as file:
            file.write(str(self.process.pid))
        self.client = redis.Redis(unix_socket_path=REDIS)
        wait_until(self.answers, 20)
        return self.client

    def answers(self):
        import redis
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False

    def __exit__(self, *_):
        self.client.close()
        stop([self.process])
        os.remove(f'{WORK}/redis.pid')


def documents_database(jobs):
    database = Database('peer_bench')
    with Session('peer_bench') as session:
        session.file('documents.sql')
        session.run('SELECT fill_source(%s)', [jobs])
        session.run('ANALYZE source')
        session.run('CHECKPOINT')
    return database


def drain_bullmq(jobs, task, processes=1, concurrency=100):
    with Redis() as redis, documents_database(jobs if task == 'row' else 1) as session:
        filling = node('bullmq', {'jobs': jobs})
        filling.communicate(timeout=300)
        if filling.returncode:
            raise RuntimeError(f'BullMQ could not enqueue: {tail_of_log()}')
        workers = [node('bullmq', {'task': task, 'concurrency': concurrency}) for _ in range(processes)]
        seconds = run_until_done(workers, jobs, lambda: redis.llen('bull:bench:active') == 0)
        if task == 'row' and session.value('SELECT * FROM out_of_step'):
            raise AssertionError('not all targets are in step')
        return jobs / seconds


def rq_environment():
    return {**os.environ, 'PYTHONPATH': f'{HERE}/peers', 'BENCH_DSN': f'host={SOCKET} user=postgres dbname=peer_bench',
            'BENCH_REDIS': REDIS}


def rq_workers(count, kind, *options):
    return [start(['rq', 'worker', '--url', f'unix://{REDIS}', '--worker-class', f'rq.{kind}', '--quiet', *options],
                  env=rq_environment(), stdout=subprocess.DEVNULL) for _ in range(count)]


def drain_rq(jobs, task, workers=2, kind='Worker'):
    with Redis() as redis, documents_database(jobs) as session:
        from rq import Queue
        queue = Queue(connection=redis)
        queue.enqueue_many([queue.prepare_data(f'rq_tasks.{task}', args=(i + 1,), result_ttl=0) for i in range(jobs)])
        running = rq_workers(workers, kind)
        try:
            wait_until(lambda: redis.llen(queue.key) < jobs, 60, pause=0.001)
            started = time.perf_counter()
            wait_until(lambda: redis.llen(queue.key) == 0 and redis.zcard('rq:wip:default') == 0, 900)
            seconds = time.perf_counter() - started
        finally:
            stop(running)
        if redis.zcard('rq:failed:default'):
            raise AssertionError('RQ jobs have failed')
        if task == 'sync_row' and session.value('SELECT * FROM out_of_step'):
            raise AssertionError('not all targets are in step')
        return jobs / seconds
