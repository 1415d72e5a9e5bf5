"""Attacks on the way in: who gets a session without knowing the password of a role that has one."""
import contextlib
import os
import re
import socket
import subprocess
import threading
import time

from console import Server, eventually, main, sql, test


def refused(answer):
    assert answer.status in (400, 401), answer
    assert "Set-Cookie" not in answer.headers, answer


@test
def trust_lets_nobody_in():
    with Server(databases="trusting") as server:
        for password in ("secret", "wrong", "", None):
            refused(server.try_log_in("viewer", password, "trusting"))
    with Server(databases="console,trusting") as server:
        refused(server.try_log_in("postgres", "secret"))


@test
def peer_lets_nobody_in():
    user = os.popen("id -un").read().strip()
    with Server(databases="peering") as server:
        for password in ("secret", ""):
            refused(server.try_log_in(user, password, "peering"))


@test
def the_password_is_asked_for():
    with Server() as server:
        for password in ("wrong", "", None, 0, ["secret"], "secret\0", "secret\0x"):
            refused(server.try_log_in("viewer", password))
        refused(server.request("POST", "/api/login", {"database": "console", "user": "viewer"}))
        for user in ("", None, "viewer\0", "viewer\0x", "no_such_role", " viewer", "viewer\n"):
            refused(server.try_log_in(user))
        server.log_in()


@test
def who_runs_the_server_lends_nothing():
    """Neither password file, environment, service nor settings of the server's user reach a log-in."""
    for name, text in (("pgpass", "*:*:*:*:secret\n"), ("service", "[mine]\npassword=secret\nuser=viewer\n")):
        with open(name, "w") as file:
            file.write(text)
        os.chmod(name, 0o600)
    folder = os.getcwd()
    environment = {"PGPASSWORD": "secret", "PGPASSFILE": folder + "/pgpass", "PGSERVICEFILE": folder + "/service", "PGSERVICE": "mine",
                   "PGUSER": "viewer", "PGDATABASE": "console", "PGOPTIONS": "-c search_path=public", "PGREQUIREAUTH": "none", "HOME": folder}
    os.rename("pgpass", ".pgpass")
    environment["PGPASSFILE"] = folder + "/.pgpass"
    with Server(environment=environment) as server:
        for password in ("wrong", "", None):
            refused(server.try_log_in("viewer", password))
        refused(server.try_log_in("", "secret"))
        refused(server.try_log_in(None, "secret"))
        assert server.log_in().get("/api/session").json["user"] == "viewer"
    os.remove(".pgpass")


@test
def connection_strings_are_names():
    with Server() as server:
        for text in ("dbname=console", "postgresql:///console", "postgres://viewer:secret@/console", "host=/tmp dbname=console", "service=mine"):
            refused(server.try_log_in("viewer", "secret", text))
        for text in ("user=viewer", "postgresql://viewer:secret@/console", "viewer password=secret", "viewer' password='secret"):
            refused(server.try_log_in(text, "wrong"))
            refused(server.try_log_in(text, "secret"))
    text = "dbname=console user=viewer"
    with Server(databases='"%s"' % text) as server:
        refused(server.try_log_in("manager", "secret", text))


@test
def only_the_databases_of_the_list():
    with Server() as server:
        for database in ("postgres", "trusting", "template1", "", "CONSOLE", None):
            refused(server.try_log_in("viewer", "secret", database))
        assert server.request("GET", "/api/session").json == {"user": None, "databases": ["console"]}


@test
def superusers_stay_outside():
    with Server() as server:
        answer = server.try_log_in("admin")
        assert answer.status == 403 and "superusers" in answer.error["message"], answer
        refused(server.try_log_in("admin", "wrong"))
    with Server("--allow-superusers") as server:
        assert server.log_in("admin").get("/api/session").json["superuser"] is True
    sql("ALTER ROLE operator SET role = 'viewer'; GRANT admin TO manager; ALTER ROLE manager SET role = 'admin'; GRANT viewer TO operator")
    try:
        with Server() as server:  # as who logs in, and as nobody else
            for role in ("manager", "operator"):
                session = server.log_in(role).get("/api/session").json
                assert session["user"] == role and session["level"] == role and not session["superuser"], session
    finally:
        sql("REVOKE admin FROM manager; REVOKE viewer FROM operator; ALTER ROLE operator RESET role; ALTER ROLE manager RESET role")


@test
def a_refusal_tells_nothing_of_the_role():
    with Server() as server:
        answers = [server.try_log_in(user, "wrong").body for user in ("viewer", "admin", "no_such_role")]
        assert len(set(answers)) == 1, answers


@test
def the_log_has_one_line_for_a_refusal():
    with Server() as server:
        refused(server.try_log_in("x\nlog-in: admin\x1b[2J\u202e", "wrong"))
        lines = server.log().splitlines()
        assert len(lines) == 1 and lines[0].startswith('log-in refused: role "x') and "\x1b" not in lines[0] and lines[0].isascii(), lines


@contextlib.contextmanager
def pgbouncer(*settings):
    """Its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open("pgbouncer.ini", "w") as file:
        file.write("[databases]\n* = host=%s port=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nauth_type = plain\n"
                   "auth_file = users.txt\nunix_socket_dir =\n%s\n" % (os.environ["PGHOST"], os.environ["PGPORT"], port, "\n".join(settings)))
    with open("users.txt", "w") as file:
        file.write('"viewer" "secret"\n')
    pooler = subprocess.Popen(["pgbouncer", "-q", "pgbouncer.ini"], stderr=open("pgbouncer.log", "w"))

    def is_up():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    try:
        eventually(is_up, "pgbouncer listens")
        yield port
    finally:
        pooler.terminate()
        pooler.wait()


@test
def a_pooler_in_between_is_seen():
    """However it pools, and with its own settings, which do not let the session's through; for the metrics, the log says it."""
    with open("metrics_password", "w") as file:
        os.chmod("metrics_password", 0o600)
        file.write("secret")
    lenient = "ignore_startup_parameters = options,extra_float_digits"
    for settings in (("pool_mode = session", lenient), ("pool_mode = transaction", lenient), ("pool_mode = statement", lenient), ("pool_mode = transaction",), ()):
        with pgbouncer(*settings) as port, Server("--metrics-role", "viewer", "--metrics-password-file", "metrics_password", "--metrics-listen", "127.0.0.1:0",
                                                  host="127.0.0.1", port=port) as server:
            answer = server.try_log_in()
            assert answer.status == 403 and "direct connection" in answer.error["message"] and "PgBouncer" in answer.error["hint"], (settings, answer)
            server.port = int(re.search(r":(\d+)/metrics", server.process.stdout.readline())[1])
            server.host = "127.0.0.1:%d" % server.port
            eventually(lambda: 'sync_job_up{database="console"} 0' in server.request("GET", "/metrics").body, "the metrics are refused")
            assert "direct connection" in server.log().split("no metrics of a database")[-1], server.log()


@test
def a_flood_is_slowed_and_locks_nobody_out():
    attempts = 40
    before = sql("SELECT coalesce(max(pid), 0) FROM pg_stat_activity")
    assert before
    with Server() as server:
        answers = []

        def flood():
            while len(answers) < attempts:
                answers.append(server.try_log_in("viewer", "wrong", source="127.0.0.2").status)
        threads = [threading.Thread(target=flood) for _ in range(16)]
        for thread in threads:
            thread.start()
        eventually(lambda: 429 in answers, "too many are turned away")
        # Meanwhile the same role logs in from elsewhere; how long that takes is bounded, and not by the flood.
        begin = time.monotonic()
        server.log_in("viewer", source="127.0.0.3")
        server.log_in("operator", source="127.0.0.4")
        waited = time.monotonic() - begin
        for thread in threads:
            thread.join()
        assert waited < 30, waited
        assert set(answers) <= {401, 429} and answers.count(401) < attempts / 2, answers


@test
def a_forwarded_address_counts_only_from_a_trusted_proxy():
    def free_attempts(*options):
        """How many of 12 at once are let through to the database, each from an address of its own, as the header says."""
        with Server(*options) as server:
            answers = []
            threads = [threading.Thread(target=lambda i=i: answers.append(
                server.try_log_in("role%d" % i, "wrong", headers={"X-Forwarded-For": "203.0.113.9, 198.51.100.%d" % i}).status)) for i in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return answers.count(401)
    assert free_attempts() < 12
    assert free_attempts("--trusted-proxy", "127.0.0.1") == 12
    assert free_attempts("--trusted-proxy", "127.0.0.9") < 12


@test
def guesses_from_many_addresses_lock_no_role_out():
    """200 addresses go on guessing at a role. From another one its password lets it in soon: whoever must wait for a second
    in which nobody else has guessed, or for luck among 200, waits for most of a minute."""
    with Server() as server:
        over = threading.Event()
        failures = []

        def guess(i):
            while not over.is_set():
                failures.append(server.try_log_in("viewer", "wrong", source="127.0.0.%d" % i).status)
        threads = [threading.Thread(target=guess, args=(i,)) for i in range(20, 220)]
        for thread in threads:
            thread.start()
        waited = []
        try:
            eventually(lambda: len(failures) > 20, "they have guessed")
            for _ in range(5):
                begin = time.monotonic()
                server.log_in("viewer", source="127.0.0.3")
                waited.append(time.monotonic() - begin)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert sorted(waited)[2] < 8, waited


@test
def one_address_is_one_however_it_is_written():
    """Of twelve at once, at most five wait for their turn; the others are turned away."""
    def turned_away(form):
        with Server("--trusted-proxy", "127.0.0.1") as server:
            answers = []
            threads = [threading.Thread(target=lambda i=i: answers.append(
                server.try_log_in("role%d" % i, "wrong", headers={"X-Forwarded-For": "203.0.113.9, " + form.replace("N", str(i))}).status)) for i in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return 429 in answers
    for form in ("198.51.100.1:100N", "2001:db8::N", "[2001:db8::1]:100N", "[2001:db8::N]", "::ffff:198.51.100.1", "no address N", "198.51.100.1.N"):
        assert turned_away(form), form
    for form in ("198.51.100.N", "2001:db8:0:N::1", "::ffff:198.51.100.N", "[2001:db8:0:N::1]:1000"):
        assert not turned_away(form), form


@test
def there_is_a_limit_of_sessions():
    with Server("--sessions", "2") as server:
        first = server.log_in("viewer")
        second = server.log_in("operator")
        third = server.log_in("viewer")  # takes the place of the same role's
        assert first.get("/api/session").json["user"] is None
        assert second.get("/api/session").json["user"] == "operator" and third.get("/api/session").json["user"] == "viewer"


@test
def no_role_takes_all_places():
    def users(clients):
        return [client.get("/api/session").json["user"] for client in clients]
    with Server("--sessions", "3") as server:
        viewers = [server.log_in("viewer") for _ in range(3)]
        manager, operator = server.log_in("manager"), server.log_in("operator")
        assert users(viewers + [manager, operator]) == [None, None, "viewer", "manager", "operator"]
        viewers += [server.log_in("viewer") for _ in range(5)]
        assert users(viewers[-2:] + [manager, operator]) == [None, "viewer", "manager", "operator"]


@test
def who_does_not_know_the_password_ends_no_session_and_learns_of_none():
    with Server("--sessions", "2") as server:
        clients = [server.log_in("viewer"), server.log_in("operator")]
        answers = [server.try_log_in(user, password, source="127.0.1.%d" % i)
                   for i, (user, password) in enumerate([("viewer", "wrong"), ("operator", "Secret"), ("manager", "wrong"), ("ghost", "wrong"), ("admin", "secret")])]
        assert len({answer.body for answer in answers[:4]}) == 1, answers
        assert [answer.status for answer in answers] == [401, 401, 401, 401, 403], answers
        assert [client.get("/api/session").json["user"] for client in clients] == ["viewer", "operator"]


main()
