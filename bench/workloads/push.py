"""HTTP push: documents to a local web server that takes its time, their answers written back into a column."""
import json
import subprocess
import sys

import peers
import sync_job
from measure import size, workload
from server import HERE, SOCKET, Database, processor_seconds, start, stop
from sync_job import SyncJobDatabase

JOBS = size('PUSH_JOBS', 5_000, 20_000)
DELAY = size('PUSH_DELAY', 50)
IN_FLIGHT = size('PUSH_IN_FLIGHT', 64)


class Shop:
    """The web server of the tests, which keeps what it is sent."""

    def __enter__(self):
        self.process = start([sys.executable, f'{HERE}/../test/http/shop.py', '--delay', str(DELAY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return json.loads(self.process.stdout.readline())['port']

    def __exit__(self, *_):
        stop([self.process])


def fill(session):
    session.run('SELECT fill_source(%s)', [JOBS])
    session.run('ALTER TABLE source ADD COLUMN shop_id text')
    session.run('ANALYZE source')


def check(session):
    missing = session.value("SELECT count(*) FROM source WHERE shop_id IS DISTINCT FROM 'id-' || code")
    assert missing == 0, f'{missing} answers are missing'


def ours():
    with SyncJobDatabase() as session, Shop() as port:
        fill(session)
        session.run(f"CREATE SERVER shop FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'http://127.0.0.1:{port}', networks '127.0.0.0/8', in_flight '{IN_FLIGHT}')")
        session.run('''INSERT INTO sync_job_type (name, source_document_type, http) VALUES ('Push', 'source', '{"server": "shop", "method": "PUT",
            "path": "/products/{code}", "body": {"sku": "code", "name": "full_name", "version": {"value": 1}}, "answer": {"source": {"shop_id": "/id"}}}')''')
        sync_job.require_usable(session, 'Push')
        first, last = sync_job.enqueue_paused(session, sync_job.ENQUEUE_SOURCES, ['Push'])
        processor = processor_seconds()
        measured = sync_job.run_enqueued(session, first, last)
        measured['processor ms a job'] = 1000 * (processor_seconds() - processor) / JOBS
        check(session)
        return measured


def python():
    database = Database('peer_bench')
    with database as session, Shop() as port:
        session.file('documents.sql')
        fill(session)
        session.run('''CREATE TABLE push_job (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source int NOT NULL, status text NOT NULL DEFAULT 'queued', ended_at timestamptz)''')
        session.run("CREATE INDEX ON push_job (id) WHERE status = 'queued'")
        session.run('INSERT INTO push_job (source) SELECT id FROM source ORDER BY id')
        session.run('ANALYZE')
        session.run('CHECKPOINT')
        settings = {'dsn': f'host={SOCKET} user=postgres dbname=peer_bench', 'port': port, 'threads': IN_FLIGHT}
        worker = start([sys.executable, f'{HERE}/peers/http_worker.py', json.dumps(settings)], stdout=subprocess.PIPE)
        seconds = peers.run_until_done([worker], JOBS, lambda: session.value("SELECT count(*) FROM push_job WHERE status <> 'done'") == 0)
        check(session)
        return JOBS / seconds


@workload('push', 'HTTP push: a request for each document, its answer written back', 'jobs/s')
def push(w):
    w.about = f'{JOBS:,} documents, a server that takes {DELAY} ms, {IN_FLIGHT} at a time: at most {IN_FLIGHT * 1000 // DELAY:,} a second'
    w.contender('pg_sync_job, one worker', ours)
    w.contender(f'a worker in Python with a pool of {IN_FLIGHT} connections', python)
    w.ratio('pg_sync_job, one worker', f'a worker in Python with a pool of {IN_FLIGHT} connections')
