"""The throw-away server: sessions, fresh databases, processes, clocks."""
import os
import re
import subprocess
import time

import psycopg2

WORK = os.environ['WORK']
SOCKET = os.environ.get('SOCKET') or f'{WORK}/socket'
BINDIR = os.environ['BINDIR']
HERE = os.path.dirname(os.path.abspath(__file__))


class Session:
    """A connection in autocommit mode, through the server's Unix socket."""

    def __init__(self, database):
        self.connection = psycopg2.connect(host=SOCKET, dbname=database, user='postgres')
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()

    def run(self, sql, args=None):
        self.cursor.execute(sql, args)

    def rows(self, sql, args=None):
        self.cursor.execute(sql, args)
        return self.cursor.fetchall()

    def value(self, sql, args=None):
        return self.rows(sql, args)[0][0]

    def timed(self, sql, args=None):
        """Seconds that a statement took."""
        started = time.perf_counter()
        self.cursor.execute(sql, args)
        return time.perf_counter() - started

    def file(self, name):
        with open(f'{HERE}/sql/{name}', encoding='utf-8') as file:
            self.cursor.execute(file.read())

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def run_sql(sql):
    with Session('postgres') as session:
        session.run(sql)


class Database:
    """A new database, with a session in it; dropped at the end. All start equally: after a checkpoint."""

    def __init__(self, name, template='template1'):
        self.name = name
        run_sql(f'DROP DATABASE IF EXISTS {name} WITH (FORCE)')
        run_sql(f'CREATE DATABASE {name} TEMPLATE {template}')

    def __enter__(self):
        self.session = Session(self.name)
        return self.session

    def __exit__(self, *_):
        self.session.close()
        run_sql(f'DROP DATABASE {self.name} WITH (FORCE)')


def wait_until(condition, seconds=600, pause=0.005, what='the work'):
    """Polls; raises if it takes too long."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError(f'{what} did not end within {seconds} s')
        time.sleep(pause)


def start(command, **options):
    """A client process. Its log goes to the folder of the run. Unbuffered, so that select() sees what has not been read."""
    with open(f'{WORK}/clients.log', 'ab') as log:
        return subprocess.Popen(command, stderr=log, bufsize=0, **options)


def stop(processes):
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def pgbench(database, script, clients, seconds):
    """Transactions per second of a script that each client repeats."""
    path = f'{WORK}/pgbench.sql'
    with open(path, 'w', encoding='utf-8') as file:
        file.write(script + '\n')
    ended = subprocess.run([f'{BINDIR}/pgbench', '-n', '-M', 'prepared', '-h', SOCKET, '-U', 'postgres', '-c', str(clients),
                             '-j', str(min(clients, 2)), '-T', str(seconds), '-f', path, database],
                            capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f'pgbench: {ended.stderr[:500]}')
    return float(re.search(r'tps = ([0-9.]+)', ended.stdout).group(1))


def memory_of(pid):
    """Private memory of a process in MiB."""
    with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
        return sum(int(line.split()[1]) for line in file if line.startswith('Private_')) / 1024


def processor_seconds():
    """Processor time that all processes of the server have used so far, including those that have ended. On a busy machine it says more than a
    clock."""
    with open(f'{WORK}/data/postmaster.pid', encoding='utf-8') as file:
        postmaster = file.readline().strip()
    ticks = 0
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as file:
                fields = file.read().rpartition(')')[2].split()
        except OSError:  # it has ended; the postmaster counts it in a moment
            continue
        if pid == postmaster:
            ticks += sum(int(field) for field in fields[11:15])
        elif fields[1] == postmaster:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf('SC_CLK_TCK')
