"""Attacks on /metrics, and what it shows."""
import contextlib
import os
import re
import subprocess
import threading
import time

from console import Server, does_not_start, eventually, locked_queues, main, sql, stopped_backend, test

TOKEN = "a-token-of-the-metrics-0123456789"


def write(name, text, mode=0o600):
    with contextlib.suppress(FileNotFoundError):
        os.remove(name)
    with open(name, "w") as file:
        os.chmod(name, mode)
        file.write(text)


def setup():
    sql("CREATE ROLE metrics LOGIN PASSWORD 'secret'; SELECT grant_sync_job_access('metrics', 'viewer')")
    write("token", TOKEN + "\n")
    write("password", "secret\n")


OPTIONS = ("--metrics-role", "metrics", "--metrics-password-file", "password", "--metrics-token-file", "token")


def scrape(server, token=TOKEN, **headers):
    """The first one has to connect, which on a slow machine takes longer than its second."""
    return server.request("GET", "/metrics", headers={"Authorization": token and "Bearer " + token, **headers})


@test
def they_are_off_unless_asked_for():
    with Server() as server:
        assert server.request("GET", "/metrics").body == server.request("GET", "/").body
        assert "sync_job_" not in scrape(server).body
    for options in (("--metrics-listen", "127.0.0.1:0"), ("--metrics-role", "metrics"), ("--metrics-token-file", "token")):
        does_not_start(*options)


@test
def files_that_others_can_read_are_refused():
    for mode in (0o604, 0o602, 0o640, 0o620, 0o644, 0o666, 0o777):
        for name, text in (("password", "secret"), ("token", TOKEN)):
            said = does_not_start(*OPTIONS, prepare=lambda: write(name, text, mode))
            assert 'others may read or write "%s"' % name in said and "0600" in said, said
            write(name, text)
    said = does_not_start(*OPTIONS[:4], "--metrics-token-file", "none")
    assert 'could not open "none"' in said, said
    with Server(*OPTIONS) as server:
        eventually(lambda: 'sync_job_up{database="console"} 1' in scrape(server).body, "they are there")
        # Each new connection reads the password again.
        write("password", "secret", 0o644)
        sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'metrics'")
        eventually(lambda: scrape(server) and 'others may read or write "password"' in server.log(), "it takes no such file")
        eventually(lambda: 'sync_job_up{database="console"} 0' in scrape(server).body, "it has no password")
        write("password", "secret", 0o400)
        eventually(lambda: 'sync_job_up{database="console"} 1' in scrape(server).body, "it takes it again")
        write("password", "secret")


@test
def they_need_their_token():
    with Server(*OPTIONS) as server:
        eventually(lambda: scrape(server).status == 200, "they are there")
        for token in (None, "", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper()):
            assert scrape(server, token).status == 401, token
        client = server.log_in("viewer")
        assert client.get("/metrics").status == 401  # a session is no token, and the token no session
        assert server.request("GET", "/api/queues", headers={"Authorization": "Bearer " + TOKEN}).status == 401
        assert scrape(server, Host="evil.example").status == 421


@test
def an_address_of_their_own_has_nothing_else():
    with Server("--metrics-role", "metrics", "--metrics-listen", "127.0.0.1:0", environment={"SYNC_JOB_METRICS_PASSWORD": "secret"}) as server:
        line = server.process.stdout.readline()
        client = server.log_in("viewer")
        console_port, server.port = server.port, int(re.search(r":(\d+)/metrics", line)[1])
        server.host = "127.0.0.1:%d" % server.port
        eventually(lambda: "sync_job_up" in server.request("GET", "/metrics").body, "they are there")
        for path in ("/", "/api/session", "/api/queues", "/healthz", "/metrics/", "/index.html"):
            assert server.request("GET", path, headers=client.headers()).status == 404, path
        assert server.request("POST", "/metrics", {}, origin=False).status == 405
        assert server.request("GET", "/metrics", headers={"Host": "evil.example"}).status == 421
        server.port, server.host = console_port, "127.0.0.1:%d" % console_port
        assert "sync_job_up" not in server.request("GET", "/metrics").body


@test
def no_superuser_asks_for_them():
    with Server("--metrics-role", "admin", "--allow-superusers", *OPTIONS[2:]) as server:
        eventually(lambda: 'sync_job_up{database="console"} 0' in scrape(server).body, "they are not")


@test
def both_formats_are_well_formed():
    with Server(*OPTIONS) as server:
        for accept, ending in ((None, "\n"), ("application/openmetrics-text; version=1.0.0", "# EOF\n")):
            eventually(lambda: scrape(server).status == 200, "they are there")
            answer = scrape(server, Accept=accept)
            assert answer.status == 200 and answer.body.endswith(ending) and 'sync_job_up{database="console"} 1' in answer.body, answer
            families = re.findall(r"^# TYPE (\S+)", answer.body, re.M)
            assert len(families) == len(set(families)), families
            for line in answer.body.splitlines():
                assert re.fullmatch(r'# (HELP|TYPE|EOF).*|[a-z_]+(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? (\+Inf|-Inf|NaN|[-+0-9.e]+)', line), line


@test
def a_scrape_waits_for_a_second_at_most():
    with Server(*OPTIONS) as server:
        eventually(lambda: scrape(server).status == 200, "they are there")
        if sql("SELECT to_regproc('sync_job_metrics') IS NULL") == "t":
            return
        with locked_queues():
            answers = []
            threads = [threading.Thread(target=lambda: answers.append(scrape(server))) for _ in range(10)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert all(answer.status == 503 or "sync_job_up{database=\"console\"} 0" in answer.body for answer in answers), answers
        eventually(lambda: 'sync_job_up{database="console"} 1' in scrape(server).body, "they are back")


@test
def a_database_that_does_not_answer_is_down_until_it_is_back():
    with Server(*OPTIONS) as server:
        eventually(lambda: 'sync_job_up{database="console"} 1' in scrape(server).body, "they are there")
        with stopped_backend("metrics"):
            assert scrape(server).status == 503
            eventually(lambda: 'sync_job_up{database="console"} 1' in scrape(server).body, "with a new connection they are back")


setup()
main()
