"""What the tests of `sync-job serve` have in common: a server to attack, and requests down to the bytes.

The suite has started a cluster and says by the environment where it is (PGHOST, PGPORT); COMMAND is the program.
"""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time

from cases import LIMIT, eventually, main, test


def sql(statement, database="console", role="postgres"):
    """What psql prints, as a superuser unless another role is named."""
    run = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-U", role, "-c", statement],
                         capture_output=True, text=True, env={**os.environ, "PGPASSWORD": "secret"})
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@contextlib.contextmanager
def locked_queues():
    """Whoever reads the queues waits meanwhile."""
    blocker = subprocess.Popen(["psql", "-X", "-q", "-d", "console", "-U", "postgres"], stdin=subprocess.PIPE, text=True)
    try:
        blocker.stdin.write("BEGIN; LOCK TABLE sync_job_queue IN ACCESS EXCLUSIVE MODE;\n")
        blocker.stdin.flush()
        eventually(lambda: sql("SELECT count(*) FROM pg_locks WHERE relation = 'sync_job_queue'::regclass AND granted"
                               " AND mode = 'AccessExclusiveLock'") == "1", "locked")
        yield
    finally:
        blocker.stdin.close()
        blocker.wait()


@contextlib.contextmanager
def stopped_backend(role):
    """The server's process of that role does nothing meanwhile, and does not even end its statements."""
    pid = int(sql("SELECT pid FROM pg_stat_activity WHERE usename = '%s' AND application_name = 'sync-job serve'"
                  " ORDER BY backend_start DESC LIMIT 1" % role))
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]

    def __repr__(self):
        return "%d %s" % (self.status, self.body[:300])


class Server:
    """sync-job serve, with these options; ends with the block."""

    def __init__(self, *options, databases="console", environment=None, host=None, port=None, listen="127.0.0.1:0"):
        command = [os.environ["COMMAND"], "serve", "--host", host or os.environ["PGHOST"], "--port", str(port or os.environ["PGPORT"]),
                   "--databases", databases, "--listen", listen, *options]
        self.log_name = "serve.%d.log" % time.monotonic_ns()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=open(self.log_name, "w"), text=True,
                                        env={**os.environ, **(environment or {})})
        line = self.process.stdout.readline()
        found = re.match(r"The console is at (https?)://(.*):(\d+)/", line)
        if not found:
            self.process.wait()
            raise AssertionError("it does not start: %s%s" % (line, self.log()))
        self.scheme, self.address, self.port = found[1], found[2].strip("[]"), int(found[3])
        self.host = found[2] + ":" + found[3]
        self.origin = "%s://%s" % (self.scheme, self.host)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        code = self.process.wait(timeout=LIMIT)
        reports = re.findall(r"ERROR: .*Sanitizer.*|runtime error: .*|SUMMARY: .*", self.log())
        assert code == 0 and not reports, "it ended with %d: %s %s" % (code, reports, self.log()[-2000:])

    def log(self):
        with open(self.log_name) as log:
            return log.read()

    def connect(self, source=None):
        connection = socket.create_connection((self.address, self.port), timeout=LIMIT, source_address=source and (source, 0))
        if self.scheme == "https":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = context.wrap_socket(connection)
        return connection

    def raw(self, data, source=None, method=None):
        """Sends these bytes; all that comes until the server closes, or has sent one answer."""
        connection = self.connect(source)
        try:
            connection.sendall(data)
        except OSError:  # it has answered and closed, maybe
            pass
        return read_answer(connection, method)

    def request(self, method, path, body=None, headers=None, source=None, origin=True):
        """As a browser sends it; headers that are None are left out."""
        all_headers = {"Host": self.host}
        if method == "POST":
            all_headers["Content-Type"] = "application/json"
            if origin:
                all_headers["Origin"] = self.origin
        all_headers.update(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        if body is not None:
            all_headers.setdefault("Content-Length", str(len(body)))
        lines = ["%s %s HTTP/1.1" % (method, path)] + ["%s: %s" % pair for pair in all_headers.items() if pair[1] is not None]
        return self.raw(("\r\n".join(lines) + "\r\nConnection: close\r\n\r\n").encode() + (body or b""), source, method)

    def try_log_in(self, user="viewer", password="secret", database="console", **options):
        return self.request("POST", "/api/login", {"database": database, "user": user, "password": password}, **options)

    def log_in(self, *arguments, **options):
        answer = self.try_log_in(*arguments, **options)
        assert answer.status == 200, answer
        return Client(self, answer)


def certificate(name, key):
    """Makes these files."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", name, "-days", "2",
                    "-subj", "/CN=localhost"], check=True, capture_output=True)


def does_not_start(*options, prepare=lambda: None):
    """What it says instead."""
    prepare()
    try:
        server = Server(*options)
    except AssertionError as error:
        return str(error)
    server.process.kill()
    raise AssertionError("it starts with " + str(options))


def read_answer(connection, method=None):
    reader = http.client.HTTPResponse(connection, method=method)
    try:
        reader.begin()
        body = reader.read().decode()
    except (http.client.HTTPException, ConnectionError) as error:
        return Answer(0, {}, repr(error))
    finally:
        connection.close()
    return Answer(reader.status, reader.headers, body)


class Client:
    """Somebody who is logged in, with the cookie and the token that a page has."""

    def __init__(self, server, answer):
        self.server = server
        self.cookie = answer.headers["Set-Cookie"].split(";")[0]
        self.token = answer.json["token"]

    def headers(self, more=None):
        return {"Cookie": self.cookie, "X-Sync-Job-Token": self.token, **(more or {})}

    def get(self, path, headers=None, **options):
        return self.server.request("GET", path, headers=self.headers(headers), **options)

    def post(self, path, body, headers=None, **options):
        return self.server.request("POST", path, body, headers=self.headers(headers), **options)

    def stream(self):
        return Events(self)


class Events:
    """GET /api/changes, as it comes."""

    def __init__(self, client):
        self.connection = client.server.connect()
        lines = ["GET /api/changes HTTP/1.1", "Host: " + client.server.host] + ["%s: %s" % pair for pair in client.headers().items()]
        self.connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.answer = http.client.HTTPResponse(self.connection)
        self.answer.begin()

    def next(self, limit=LIMIT):
        """(name, data) of the next event; None at the end of the stream."""
        self.connection.settimeout(limit)
        name = data = None
        while True:
            line = self.answer.readline().decode()
            if not line:
                return None
            line = line.rstrip("\n")
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data = json.loads(line[6:])
            elif not line and name:
                return name, data

    def wait_for(self, *names, limit=LIMIT):
        end = time.monotonic() + limit
        while time.monotonic() < end:
            event = self.next(limit)
            if event is None or event[0] in names:
                return event
        raise AssertionError("no event %s" % (names,))

    def close(self):
        self.connection.close()
