"""pg_sync_job as a system under test of the public benchmark of job queues in PostgreSQL (hardbyte/postgresql-job-queue-benchmarking), by the
contract of its CONTRIBUTING_ADAPTERS.md: settings come from the environment, telemetry goes to standard output as JSON lines, the pace of the
producer comes as lines "ENQUEUE n" on standard input or is kept here.

The workers are processes of the server, so this program is only the producer, the set-up and the clock. Everything goes through documented
SQL. BENCH_EFFECTS=1, which is our addition, makes each job leave a row in the table effect, which ../phases.py counts.
"""
import collections
import datetime
import json
import os
import random
import select
import signal
import sys
import threading
import time
from urllib.parse import urlparse

import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM = 'pg_sync_job'
TYPE = 'Public Benchmark'


def number(name, default):
    return int(os.environ.get(name) or default)


URL = os.environ['DATABASE_URL']
SAMPLE_EVERY = number('SAMPLE_EVERY_S', 5)
WORKERS = min(number('WORKER_COUNT', 32), 64)
WORK_MS = number('JOB_WORK_MS', 1)
PAYLOAD = 'x' * number('JOB_PAYLOAD_BYTES', 256)
BATCH_MAX = number('PRODUCER_BATCH_MAX', 128)
BATCH_SECONDS = number('PRODUCER_BATCH_MS', 25) / 1000
OBSERVER = number('BENCH_INSTANCE_ID', 0) == 0
stop = threading.Event()


class State:
    """What the threads tell each other."""
    enqueued = 0
    depth = 0
    waits = collections.deque(maxlen=32768)  # (when it was seen, milliseconds until it began)
    look_up = collections.deque(maxlen=4096)  # ids of jobs whose start will be looked up


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='milliseconds').replace('+00:00', 'Z')


def tell(record):
    print(json.dumps(record), flush=True)


def connected(work):
    """Runs work(cursor) again and again, in sessions that may be lost."""
    while not stop.is_set():
        try:
            connection = psycopg2.connect(URL)
            connection.autocommit = True
            with connection.cursor() as cursor:
                while not stop.is_set():
                    work(cursor)
        except psycopg2.Error as error:
            print(f'{now()} {type(error).__name__}: {error}'.strip(), file=sys.stderr, flush=True)
            stop.wait(0.2)


def set_up():
    """Creates the job type, and sets as many workers as jobs are to run at a time; as a superuser, also the settings that only a superuser may change."""
    connection = psycopg2.connect(URL)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute('SELECT pg_advisory_lock(16)')
        cursor.execute('SELECT EXISTS (SELECT FROM sync_job_type WHERE name = %s)', [TYPE])
        if not cursor.fetchone()[0]:
            with open(f'{HERE}/set_up.sql', encoding='utf-8') as file:
                cursor.execute(file.read())
        cursor.execute("UPDATE sync_job_queue SET max_workers = %s WHERE name = 'default' AND max_workers <> %s", [WORKERS, WORKERS])
        cursor.execute("SELECT current_setting('sync_job.max_workers')::int < %s AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)", [WORKERS])
        if cursor.fetchone()[0]:
            cursor.execute(f'ALTER SYSTEM SET sync_job.max_workers = {WORKERS}')
            cursor.execute('SELECT pg_reload_conf()')
        cursor.execute("SELECT extversion FROM pg_extension WHERE extname = 'pg_sync_job'")
        version = cursor.fetchone()[0]
    connection.close()
    return version


def enqueue(cursor, count):
    context = json.dumps({'padding': PAYLOAD, 'ms': WORK_MS, 'effect': bool(os.environ.get('BENCH_EFFECTS'))})
    cursor.execute('SELECT enqueue_sync_job(%s, context => %s) FROM generate_series(1, %s)', [TYPE, context, count])
    ids = [row[0] for row in cursor.fetchall()]
    State.enqueued += count
    if OBSERVER:
        State.look_up.extend(random.sample(ids, min(len(ids), 1 + len(ids) // 16)))


def by_tokens(cursor):
    """What the harness asks for. If nothing came, looks at the clock."""
    if select.select([sys.stdin], [], [], 0.2)[0]:
        line = sys.stdin.readline()
        if not line:
            stop.wait(0.2)
        elif line.startswith('ENQUEUE '):
            enqueue(cursor, int(line.split()[1]))


class OwnPace:
    """Credit by the time that has really passed, or what is missing to the requested depth."""
    credit, last = 0.0, time.monotonic()

    def __call__(self, cursor):
        stop.wait(BATCH_SECONDS)
        if os.environ.get('PRODUCER_MODE') == 'depth-target':
            missing = number('TARGET_DEPTH', 1000) - State.depth
        else:
            moment = time.monotonic()
            self.credit += number('PRODUCER_RATE', 800) * (moment - self.last)
            self.last = moment
            missing = int(self.credit)
        count = min(BATCH_MAX, missing)
        if count > 0:
            enqueue(cursor, count)
            self.credit -= count


class Observer:
    """Four times a second: how many jobs wait, and when some of them started; every SAMPLE_EVERY seconds a sample, by the wall clock."""

    def __init__(self):
        self.next = (int(time.time()) // SAMPLE_EVERY + 1) * SAMPLE_EVERY
        self.last = None

    def __call__(self, cursor):
        stop.wait(0.25)
        cursor.execute("SELECT coalesce(sum(value), 0) FROM sync_job_metrics(ARRAY['sync_job_waiting'])")
        State.depth = int(cursor.fetchone()[0])
        ids = [State.look_up.popleft() for _ in range(min(len(State.look_up), 1000))]
        cursor.execute('SELECT id, extract(epoch FROM started_at - created_at)::float8 * 1000 FROM sync_job WHERE id = ANY (%s)', [ids])
        for job, waited in cursor.fetchall():
            if waited is None:
                State.look_up.append(job)
            else:
                State.waits.append((time.monotonic(), waited))
        if time.time() >= self.next:
            self.next += SAMPLE_EVERY
            self.sample(cursor)

    def sample(self, cursor):
        cursor.execute("SELECT coalesce(sum(value), 0) FROM sync_job_metrics(ARRAY['sync_job_jobs_total']) WHERE labels ->> 'status' = 'Finished'")
        seen = (time.monotonic(), State.enqueued, float(cursor.fetchone()[0]))
        values = {'queue_depth': (State.depth, 0)}
        if self.last and seen[2] >= self.last[2]:  # else the server, and its counters, have restarted
            seconds = seen[0] - self.last[0]
            values['enqueue_rate'] = ((seen[1] - self.last[1]) / seconds, SAMPLE_EVERY)
            values['completion_rate'] = ((seen[2] - self.last[2]) / seconds, SAMPLE_EVERY)
        self.last = seen
        waits = sorted(wait for moment, wait in State.waits if moment > seen[0] - 30)
        for percent in (50, 95, 99):
            if waits:
                values[f'claim_p{percent}_ms'] = (waits[min(len(waits) - 1, len(waits) * percent // 100)], 30)
        for metric, (value, window) in values.items():
            tell({'t': now(), 'system': SYSTEM, 'kind': 'adapter', 'subject_kind': 'adapter', 'subject': '', 'metric': metric,
                  'value': value, 'window_s': window})


def main():
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    with open(f'{HERE}/adapter.json', encoding='utf-8') as file:
        manifest = json.load(file)
    version = set_up()
    tell({'kind': 'descriptor', 'system': SYSTEM, 'event_tables': manifest['event_tables'], 'extensions': manifest['extensions'], 'version': version,
          'schema_version': version, 'db_name': urlparse(URL).path.lstrip('/') or manifest['db_name'], 'started_at': now()})
    harness = os.environ.get('PRODUCER_PACING', 'harness') == 'harness' and os.environ.get('PRODUCER_MODE', 'fixed') == 'fixed'
    threads = [threading.Thread(target=connected, args=[by_tokens if harness else OwnPace()], daemon=True)]
    if OBSERVER:
        threads.append(threading.Thread(target=connected, args=[Observer()], daemon=True))
    for thread in threads:
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join(4)
    print(f'acknowledged {State.enqueued}', file=sys.stderr, flush=True)


if os.environ.get('SCENARIO', 'long_horizon') != 'long_horizon':
    sys.exit('only the scenario long_horizon is implemented')
main()
