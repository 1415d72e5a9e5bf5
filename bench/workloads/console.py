"""The console, over HTTP: how long its pages take with a long history, for a user who sees everything and for one who sees twenty jobs."""
import functools
import http.client
import json
import os
import re
import select
import statistics
import subprocess
import threading
import time
import urllib.parse

from measure import Skip, say, size, workload
from server import SOCKET, Session, run_sql, start, stop

JOBS = size('CONSOLE_JOBS', 200_000, 10_000_000)
ASKS = size('CONSOLE_ASKS', 3, 5)
STREAMS, SLOW = 200, 50
DATABASE = 'sync_job_console'  # bench/run lets its roles log in with a password
COMMAND = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../build/cli/sync-job')


class Client:
    """A logged-in user, on a connection that stays open."""

    def __init__(self, server, role):
        self.server = server
        self.connection = http.client.HTTPConnection('127.0.0.1', server.port)
        body = json.dumps({'database': DATABASE, 'user': role, 'password': 'secret'})
        answer, text = self.ask('POST', '/api/login', body, {'Content-Type': 'application/json', 'Origin': f'http://127.0.0.1:{server.port}'})
        self.headers = {'Cookie': answer.getheader('Set-Cookie').split(';')[0], 'X-Sync-Job-Token': json.loads(text)['token']}

    def ask(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body, headers or self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200 and b'"57014"' not in text and b'"P0002"' not in text:  # stopped after its one second; not visible to the role
            raise RuntimeError(f'{method} {path}: {answer.status} {text[:300]}')
        return answer, text

    def get(self, path, **filters):
        query = urllib.parse.urlencode({name.rstrip('_'): value for name, value in filters.items()})
        return json.loads(self.ask('GET', f'/api/{path}{"?" if query else ""}{query}')[1])

    def stream(self):
        """A connection of its own, for the stream of changes."""
        connection = http.client.HTTPConnection('127.0.0.1', self.server.port)
        connection.request('GET', '/api/changes', headers=self.headers)
        answer = connection.getresponse()
        if not answer.readline().startswith(b'event: '):
            raise RuntimeError('the stream does not begin')
        return connection, answer


class Console:
    """sync-job serve, as long as the block lasts."""

    def __enter__(self):
        self.process = start([COMMAND, 'serve', '--host', SOCKET, '--databases', DATABASE, '--listen', '127.0.0.1:0', '--sessions', '100'], stdout=subprocess.PIPE)
        self.port = int(re.search(rb':(\d+)/', self.process.stdout.readline())[1])
        return self

    def __exit__(self, *_):
        stop([self.process])


@functools.cache
def fill():
    """Once for all passes."""
    if not os.path.exists(COMMAND):
        raise Skip('there is no command sync-job')
    run_sql(f'CREATE DATABASE {DATABASE}')
    with Session(DATABASE) as session:
        session.run('CREATE EXTENSION pg_sync_job')
        session.file('console.sql')
        session.run('CALL fill_console(%s)', [JOBS])
        session.run('VACUUM ANALYZE')
        session.run('CHECKPOINT')


def pages():
    """Each page with its requests, the main one first: (route, filters), …"""
    with Session(DATABASE) as session:
        own, own_document = session.rows("SELECT id, source_document_name FROM sync_job_internal.sync_job_ended WHERE sync_job_type = 'Own Sync' ORDER BY id DESC LIMIT 1")[0]
        some, some_document = session.rows('SELECT id, source_document_name FROM sync_job_internal.sync_job_failed ORDER BY id DESC LIMIT 1')[0]
        day = [session.value(f"SELECT to_char((now() - interval '{back}') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')") for back in ('10 days', '9 days', '9 days 23:55')]
    lists = [{}, *({'status': status} for status in ('Failed', 'Queued', 'Canceled', 'Relayed', 'Finished', 'Failed,Canceled')),
             *({'type': name} for name in ('Customer Sync 01', 'Customer Sync 40', 'Rare Sync', 'Uncommon Sync', 'Seldom Sync', 'Former Sync', 'Own Sync', 'None')),
             {'type': 'Customer Sync 01', 'status': 'Canceled'}, {'type': 'Seldom Sync', 'status': 'Skipped'}, {'queue': 'long'}, {'queue': 'short'},
             {'document': own_document}, {'document': some_document, 'type': 'Customer Sync 03'}, {'document': 'none'},
             {'target': some_document}, {'from_': day[0], 'to': day[1]}, {'from_': day[0], 'to': day[2], 'type': 'Rare Sync'}, {'to': day[0]},
             {'from_': day[0], 'to': day[1], 'status': 'Canceled'}, {'error': 'duplicate key'}, {'error': 'nosuchword'}, {'error': 'target_source_id_key 77', 'status': 'Failed'},
             {'context': '{"tenant": 7}'}, {'context': '{"tenant": 77777}'}, {'type': 'Uncommon Sync', 'context': '{"tenant": 18}'}, {'trigger': 'Manual'},
             {'role': 'console_twenty'}, {'parent': '77'}, {'group': 'x'}, {'id': own}, {'kind': 'set'}, {'kind': 'full-sync'}, {'kind': 'dry-run'},
             {'before': str(JOBS // 2)}, {'before': '100'}, {'before': str(JOBS // 2), 'error': 'x'}]
    found = {'jobs ' + json.dumps(filters): [('jobs', filters), ('jobs/count', {name: value for name, value in filters.items() if name != 'before'})] for filters in lists}
    found |= {'all that match ' + json.dumps(filters): [('jobs/ids', filters)] for filters in lists[:8] + lists[27:33]}
    for name in ('overview', 'types', 'queues', 'workers', 'runs', 'schedules', 'alerts', 'freshness'):
        found[name] = [(name, {})]
    found['a job'] = [(f'jobs/{own}', {})]
    found['a failed job, if it is seen'] = [(f'jobs/{some}', {})]
    found['a type'] = [('types/Own%20Sync', {}), ('types/Own%20Sync/findings', {}), ('runs', {'type': 'Own Sync', 'limit': 10})]
    found['the form'] = [('tables', {'like': 'tw'}), ('suggest', {'field': 'type', 'like': 's'})]
    return found


def processor_milliseconds(role):
    with Session(DATABASE) as session:
        pid = session.value("SELECT pid FROM pg_stat_activity WHERE usename = %s AND application_name = 'sync-job serve' ORDER BY backend_start DESC LIMIT 1", [role])

    def read():
        with open(f'/proc/{pid}/schedstat', encoding='ascii') as file:
            return int(file.read().split()[0]) / 1e6
    return read


def open_pages(console, role):
    """Each page several times: until its main request is answered, and until all are (a count, say). By the clock: the median of each, and the longest of all
    answers; by processor time: the least."""
    client = Client(console, role)
    processor = processor_milliseconds(role)
    first, whole, longest, by_processor = {}, {}, {}, {}
    for page, questions in pages().items():
        times = []
        for _ in range(ASKS):
            times.append([])
            for path, filters in questions:
                before, began = processor(), time.perf_counter()
                client.get(path, **filters)
                times[-1].append(1000 * (time.perf_counter() - began))
                answer, used = f'{path} of {page}', processor() - before
                longest[answer] = max(times[-1][-1], longest.get(answer, 0))
                by_processor[answer] = min(used, by_processor.get(answer, used))
        if page.startswith('all that match'):  # not a page: the request before an action on up to 100,000 jobs
            continue
        first[page], whole[page] = statistics.median(one[0] for one in times), statistics.median(map(sum, times))
    measured = {}
    for what, values in ('page', first), ('page with all', whole), ('answer', longest), ('answer, by the processor', by_processor):
        slowest = sorted(values, key=values.get, reverse=True)
        say(f'    the slowest {what}: ' + '; '.join(f'{name} {values[name]:.0f}' for name in slowest[:4]))
        measured |= {f'ms {what}, p50': statistics.median(values.values()), f'{what}, slowest': values[slowest[0]]}
    return measured


def alone(role):
    fill()
    with Console() as console:
        return open_pages(console, role)


def in_company(role):
    """With 200 open streams, which are read, 50 clients that no longer send or read anything, and ten new jobs per second, announced on the streams."""
    fill()
    over = threading.Event()
    with Console() as console:
        people = [Client(console, 'console_viewer') for _ in range(STREAMS // 10)]
        streams = [one.stream() for one in people for _ in range(10)]
        slow = [http.client.HTTPConnection('127.0.0.1', console.port) for _ in range(SLOW)]
        for i, connection in enumerate(slow):
            connection.connect()
            connection.sock.sendall(b'GET / HTTP/1.1\r\nHost: ' if i % 2 else f'GET / HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\n\r\n'.encode() * 400)
        told = [0]

        def read():
            sockets = {answer.fp.fileno(): answer for _, answer in streams}
            while not over.is_set():
                for one in select.select(list(sockets), [], [], 0.1)[0]:
                    told[0] += os.read(one, 65536).count(b'event: changed')

        def enqueue():
            with Session(DATABASE) as session:
                while not over.wait(0.1):
                    session.run("SELECT enqueue_sync_job('Customer Sync 01', '1')")
        threads = [threading.Thread(target=read), threading.Thread(target=enqueue)]
        for thread in threads:
            thread.start()
        try:
            measured = open_pages(console, role)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        if not told[0]:
            raise AssertionError('no stream was told of any change')
        return measured | {'told on streams': told[0]}


@workload('console', 'Pages of the console', 'ms page, p50')
def console_pages(w):
    w.about = f'{JOBS:,} finished jobs; each page with all that it asks for, {ASKS} times'
    for name, role in ('a viewer', 'console_viewer'), ('a role that owns twenty of them', 'console_twenty'):
        w.contender(name, lambda role=role: alone(role))
        w.contender(f'{name}, beside {STREAMS} streams and {SLOW} slow clients', lambda role=role: in_company(role))
        w.ratio(f'{name}, beside {STREAMS} streams and {SLOW} slow clients', name, '≤ 1.2')
