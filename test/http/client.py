"""What the tests of the HTTP client have in common: the driver, which does with the library what it is told; the web server.

DRIVER and LIBRARY say by the environment where the two built things are.
"""
import contextlib
import json
import os
import subprocess
import sys
import threading
import time

from cases import LIMIT, eventually, main, test

HERE = os.path.dirname(os.path.abspath(__file__))

# As in transport.h.
(OK, INVALID, INTERNAL, NAME_NOT_FOUND, NAME_FAILED, ADDRESS_REFUSED, CONNECT_FAILED, TLS_FAILED, TIMEOUT, BROKEN, NOT_HTTP, HEAD_TOO_LARGE, ANSWER_TOO_LARGE,
 REDIRECT_REFUSED, CANCELLED) = range(15)

LOOPBACK = ["127.0.0.1/32"]


def same(got, expected, what=""):
    assert got == expected, "%s is %r, not %r" % (what or "it", got, expected)


class Answer(dict):
    def __getattr__(self, name):
        return self[name]

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name), None)

    @property
    def json(self):
        return json.loads(self.body)


class Driver:
    """One process with the library; ends with the block."""

    def __init__(self, environment=None, **settings):
        self.errors = open("driver.%d.log" % time.monotonic_ns(), "w+")
        self.process = subprocess.Popen([os.environ["DRIVER"], os.environ["LIBRARY"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        env={**os.environ, **(environment or {})})
        self.changed, self.replies, self.answers, self.last_id, self.ended = threading.Condition(), [], {}, 0, False
        threading.Thread(target=self.read, daemon=True).start()
        self.before = self.do("process")
        same(self.do("open", **settings)["error"], OK)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        code = self.process.wait(timeout=LIMIT)
        self.errors.seek(0)
        said = self.errors.read()
        assert code == 0 and not said, "the driver ended with %d: %s" % (code, said[-3000:])

    def read(self):
        for line in self.process.stdout:
            what = json.loads(line)
            with self.changed:
                if "reply" in what:
                    self.replies.append(what["reply"])
                else:
                    self.answers.setdefault(what["answer"]["id"], []).append(Answer(what["answer"]))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait_for(self, condition, what, limit=LIMIT):
        with self.changed:
            done = self.changed.wait_for(lambda: condition() or self.ended, limit)
            assert done and condition(), "not within %d s: %s" % (limit, what)

    def do(self, what, **arguments):
        self.process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self.process.stdin.flush()
        self.wait_for(lambda: self.replies, what)
        return self.replies.pop(0)

    def endpoint(self, server=None, name="shop", **options):
        options = {"scheme": "http", "host": "127.0.0.1", "networks": LOOPBACK, "port": server.port if server else 80, "name": name, **options}
        reply = self.do("endpoint", **options)
        same(reply["error"], OK, reply["error_text"])

    def try_send(self, target, endpoint="shop", method="GET", **request):
        self.last_id += 1
        return self.do("send", id=self.last_id, endpoint=endpoint, method=method, target=target, **request)

    def send(self, target, *arguments, **request):
        reply = self.try_send(target, *arguments, **request)
        same(reply["error"], OK, reply["error_text"])
        return self.last_id

    def answer(self, number, limit=LIMIT):
        self.wait_for(lambda: number in self.answers, "an answer", limit)
        same(len(self.answers[number]), 1, "the number of answers")
        return self.answers[number][0]

    def ask(self, target, *arguments, **request):
        return self.answer(self.send(target, *arguments, **request))

    def state(self, endpoint="shop"):
        return self.do("state", endpoint=endpoint)


class Server:
    """server.py, with these options; ends with the block."""

    def __init__(self, *options):
        self.log_name = "server.%d.log" % time.monotonic_ns()
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "server.py"), "--log", self.log_name, *options], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        ports = json.loads(self.process.stdout.readline())
        self.port, self.tls_port = ports["port"], ports.get("tls_port")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def log(self):
        with open(self.log_name) as log:
            return [Answer(json.loads(line)) for line in log if line.endswith("\n")]


@contextlib.contextmanager
def served(*options, endpoint=None, **settings):
    """A driver with an endpoint "shop", and the server that it leads to."""
    with Server(*options) as server, Driver(**settings) as driver:
        driver.endpoint(server, **(endpoint or {}))
        yield driver, server
