#!/usr/bin/python3
"""Plays scenarios of the public benchmark of job queues in PostgreSQL (hardbyte/postgresql-job-queue-benchmarking) against a server on this
machine: their scenarios and phases, by name, as its docs/method.md describes them, but with this driver, which needs no Docker, and on this
machine. The results are not comparable with those they publish.

    make bench-public SCENARIOS="crash_recovery"      only this one; bench/run starts it in its throw-away server
    RATE=800 WORKERS=4 MINUTE=10                      offered jobs per second, worker processes, seconds that a minute takes here

As there, the adapter pg_sync_job-bench is a process of its own. Its workers are processes of the server, so kill-worker is a SIGKILL of one
that runs jobs, followed by the server's crash restart. In the end all is drained and counted: each job whose enqueueing was acknowledged
exists and is Finished, and has had its effect once.
"""
import json
import os
import signal
import subprocess
import sys
import threading
import time

import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from server import BINDIR, SOCKET, WORK, Session, wait_until  # noqa: E402

RATE = int(os.environ.get('RATE') or 800)
WORKERS = int(os.environ.get('WORKERS') or 4)
MINUTE = float(os.environ.get('MINUTE') or 10)
DATA = os.environ['DATA']
DATABASE = 'pg_sync_job_bench'

# Minutes are scaled; durations given in seconds there are short enough to keep their proportion to a minute.
SCENARIOS = {
    'idle_in_tx_saturation': 'warmup=warmup:1 clean_1=clean:3 idle_1=idle-in-tx:3 recovery_1=recovery:2',
    'sustained_high_load': 'warmup=warmup:1 clean_1=clean:2 pressure_1=high-load:4 recovery_1=clean:2',
    'active_readers': 'warmup=warmup:1 clean_1=clean:2 readers_1=active-readers:3 recovery_1=clean:2',
    'crash_recovery': 'warmup=warmup:1 baseline=clean:1 kill=kill-worker(instance=0):1 restart=start-worker(instance=0):1',
    'crash_recovery_under_load': 'warmup=warmup:1 baseline=clean:1 pressure_1=high-load:2 kill=kill-worker(instance=0):1'
                                 ' restart=start-worker(instance=0):1 recovery_1=clean:2',
    'chaos_postgres_restart': 'warmup=warmup:1 baseline=clean:1 restart=postgres-restart:1 recovery=clean:1',
    'chaos_repeated_kills': 'warmup=warmup:1 baseline=clean:1 repeated=repeated-kill(instance=0,period=20):2 recovery=clean:1',
    'chaos_pg_backend_kill': 'warmup=warmup:1 baseline=clean:1 kills=pg-backend-kill(rate=2):1 recovery=clean:1',
    'chaos_pool_exhaustion': 'warmup=warmup:1 baseline=clean:1 exhaustion=pool-exhaustion(idle_conns=60):1 recovery=clean:1',
}


def alone(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=WORK)


def server(action, *options):
    alone(f'{BINDIR}/pg_ctl', '-D', DATA, '-l', f'{DATA}/log', '-s', '-w', *options, action)


def patiently(work, seconds=60):
    """Tries again while the server is down, or is starting."""
    result = []

    def tried():
        try:
            with Session(DATABASE) as session:
                result.append(work(session))
            return True
        except psycopg2.Error:
            return False
    wait_until(tried, seconds, 0.1, 'the server')
    return result[0]


def workers(session):
    return [pid for (pid,) in session.rows("SELECT pid FROM sync_job_activity WHERE state = 'running'")]


def kill_worker():
    """SIGKILL of a worker that runs a job; sessions are told meanwhile that the server restarts."""
    pids = []
    wait_until(lambda: pids.extend(patiently(workers)) or pids, 60, 0.05, 'waiting for a worker that runs a job')
    try:
        os.kill(pids[0], signal.SIGKILL)
    except ProcessLookupError:  # it has ended by itself
        kill_worker()


class Held:
    """Connections that do something, or nothing, until the phase ends."""

    def __init__(self, number, work):
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=[work], daemon=True) for _ in range(number)]
        for thread in self.threads:
            thread.start()

    def _run(self, work):
        while not self.over.is_set():
            try:
                with Session(DATABASE) as session:
                    work(session, self.over)
            except psycopg2.Error:
                self.over.wait(0.1)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def idle_in_tx(session, over):
    session.run('BEGIN; SELECT txid_current()')
    over.wait()


def reading(session, over):
    session.run('BEGIN ISOLATION LEVEL REPEATABLE READ')
    while not over.wait(0.1):
        session.run('SELECT count(*) FROM sync_job_internal.sync_job_live')


def terminating(rate):
    def work(session, over):
        while not over.wait(1 / rate):
            session.run("""SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND (backend_type = 'sync job worker' OR application_name = 'adapter') ORDER BY random() LIMIT 1""")
    return work


def killing(period):
    def work(_, over):
        while not over.wait(period):
            kill_worker()
    return work


def enter(kind, options, seconds):
    """Begins a phase; returns how to end it."""
    number = {name: float(value) for name, _, value in (one.partition('=') for one in options.split(',') if one)}
    if kind == 'idle-in-tx':
        return Held(1, idle_in_tx).end
    if kind == 'active-readers':
        return Held(4, reading).end
    if kind == 'pg-backend-kill':
        return Held(1, terminating(number['rate'])).end
    if kind == 'pool-exhaustion':
        return Held(int(number['idle_conns']), lambda session, over: over.wait()).end
    if kind == 'repeated-kill':
        return Held(1, killing(number['period'] * MINUTE / 60)).end
    if kind == 'kill-worker':
        kill_worker()
    elif kind == 'postgres-restart':
        server('stop', '-m', 'fast')
        time.sleep(seconds / 2)  # as long as the phase says that it is down
        server('start')
    elif kind not in ('warmup', 'clean', 'high-load', 'recovery', 'start-worker'):
        raise ValueError(f'there is no phase {kind}')
    return lambda: None


class Adapter:
    """The process under test, and its pace: tokens on its standard input, by the time that has really passed."""

    def __init__(self):
        environment = {**os.environ, 'DATABASE_URL': f'postgresql://postgres@/{DATABASE}?host={SOCKET}&application_name=adapter', 'SCENARIO': 'long_horizon',
                       'PRODUCER_MODE': 'fixed', 'PRODUCER_PACING': 'harness', 'WORKER_COUNT': str(WORKERS), 'JOB_WORK_MS': '1', 'JOB_PAYLOAD_BYTES': '256',
                       'SAMPLE_EVERY_S': '1', 'BENCH_EFFECTS': '1'}
        with open(f'{WORK}/adapter.log', 'w', encoding='utf-8') as log:
            self.process = subprocess.Popen([sys.executable, f'{HERE}/pg_sync_job-bench/main.py'], env=environment, text=True, stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log)
        self.rate, self.samples, self.over = RATE, [], threading.Event()
        self.threads = [threading.Thread(target=self._pace, daemon=True), threading.Thread(target=self._read, daemon=True)]
        for thread in self.threads:
            thread.start()

    def _pace(self):
        credit, last = 0.0, time.monotonic()
        while not self.over.wait(0.025):
            moment = time.monotonic()
            credit += self.rate * (moment - last)
            last = moment
            while credit >= 1:
                count = min(128, int(credit))
                credit -= count
                self.process.stdin.write(f'ENQUEUE {count}\n')
                self.process.stdin.flush()

    def _read(self):
        for line in self.process.stdout:
            record = json.loads(line)
            if record['kind'] == 'adapter':
                self.samples.append((time.monotonic(), record['metric'], record['value']))

    def mean(self, metric, since):
        values = [value for at, name, value in self.samples if name == metric and at >= since]
        return sum(values) / len(values) if values else float('nan')

    def end(self):
        """How many jobs it knows to be committed."""
        self.over.set()
        self.threads[0].join()
        self.process.terminate()
        self.process.wait(15)
        with open(f'{WORK}/adapter.log', encoding='utf-8') as log:
            return int(log.read().rpartition('acknowledged ')[2])


def play(name):
    """All phases of a scenario; a row for each, and whether everything was done exactly once."""
    with Session('postgres') as session:
        session.run(f'DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)')
        session.run(f'CREATE DATABASE {DATABASE}')
    with Session(DATABASE) as session:
        session.run('CREATE EXTENSION pg_sync_job')
    adapter, rows = Adapter(), []
    for phase in SCENARIOS[name].split():
        label, _, rest = phase.partition('=')
        kind, _, minutes = rest.rpartition(':')
        kind, _, options = kind.rstrip(')').partition('(')
        seconds = float(minutes) * MINUTE
        adapter.rate = RATE * 1.5 if kind == 'high-load' else RATE
        since = time.monotonic()
        leave = enter(kind, options, seconds)
        time.sleep(max(0, since + seconds - time.monotonic()))  # a phase is as long as it says
        dead = patiently(lambda session: session.value("SELECT sum(n_dead_tup) FROM pg_stat_user_tables WHERE relname LIKE 'sync_job_%'"))
        leave()
        rows.append((label, kind, *(adapter.mean(metric, since + 1) for metric in
                                    ('enqueue_rate', 'completion_rate', 'claim_p50_ms', 'claim_p99_ms', 'queue_depth')), float(dead)))
    acknowledged = adapter.end()
    waiting = "SELECT count(*) FROM sync_job WHERE status IN ('Queued', 'Started') OR status = 'Failed' AND retry_after IS NOT NULL"
    wait_until(lambda: patiently(lambda session: session.value(waiting)) == 0, 600, 0.2, 'draining')
    there, finished, effects, different = patiently(lambda session: session.rows("""
        SELECT count(*), count(*) FILTER (WHERE status = 'Finished'), (SELECT count(*) FROM effect), (SELECT count(DISTINCT job) FROM effect) FROM sync_job""")[0])
    sound = there >= acknowledged and finished == there == effects == different
    return rows, f'{acknowledged:,} acknowledged, {there:,} there, {finished:,} finished, {effects:,} effects of {different:,} jobs: ' + \
        ('none lost, none doubled' if sound else 'WRONG'), sound


def main():
    names = sys.argv[1:] or list(SCENARIOS)
    sound = True
    with open(f'{WORK}/public.md', 'w', encoding='utf-8') as report:
        for name in names:
            rows, outcome, held = play(name)
            sound = sound and held
            lines = [f'\n{name}: {outcome}\n', '| phase | type | enqueued/s | done/s | ms p50 | ms p99 | depth | dead rows |', '|---|---|---|---|---|---|---|---|']
            lines += [f'| {label} | {kind} | ' + ' | '.join(f'{value:,.0f}' if abs(value) >= 10 else f'{value:.2g}' for value in values) + ' |'
                      for label, kind, *values in rows]
            print('\n'.join(lines), flush=True)
            report.write('\n'.join(lines) + '\n')
    sys.exit(0 if sound else 1)


main()
