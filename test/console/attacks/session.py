"""Attacks on sessions: cookies that are forged, fixed or stolen, and roles that are no longer what they were."""
import os
import subprocess
import threading
import time

from console import Client, Server, eventually, locked_queues, main, sql, test


def is_out(client):
    answer = client.get("/api/session")  # refused where the session ends with it
    return answer.status == 401 or (answer.status == 200 and answer.json["user"] is None)


@test
def a_session_needs_its_cookie_and_its_token():
    with Server() as server:
        one, other = server.log_in("viewer"), server.log_in("operator")
        assert len({one.cookie, other.cookie, one.token, other.token}) == 4
        name, _, value = one.cookie.partition("=")
        forged = ({"Cookie": one.cookie}, {"X-Sync-Job-Token": one.token}, {"Cookie": one.cookie, "X-Sync-Job-Token": other.token},
                  {"Cookie": one.cookie, "X-Sync-Job-Token": value}, {"Cookie": one.cookie, "X-Sync-Job-Token": one.token[:-1]},
                  {"Cookie": one.cookie, "X-Sync-Job-Token": ""}, {"Cookie": name + "=", "X-Sync-Job-Token": one.token},
                  {"Cookie": name + "=" + value[:-1] + "0" * (value[-1] != "0") + "1" * (value[-1] == "0"), "X-Sync-Job-Token": one.token},
                  {"Cookie": "x" + one.cookie, "X-Sync-Job-Token": one.token}, {"Cookie": name + "=" + "0" * 64, "X-Sync-Job-Token": "0" * 64})
        for headers in forged:
            assert server.request("GET", "/api/queues", headers=headers).status == 401, headers
            assert server.request("GET", "/api/session", headers=headers).json["user"] is None, headers
            assert server.request("GET", "/api/changes", headers=headers).status == 401, headers
            assert server.request("POST", "/api/logout", {}, headers=headers).status == 401, headers
        assert one.get("/api/session").json["user"] == "viewer"


@test
def the_cookie_is_out_of_reach_of_scripts_and_other_sites():
    with Server() as server:
        answer = server.try_log_in()
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/;" in cookie and "Domain" not in cookie
        assert cookie.startswith("sync_job_%d=" % server.port)
        assert cookie.split("=")[1].split(";")[0] not in answer.body


@test
def a_session_cannot_be_fixed():
    """A cookie from before the log-in is never taken over."""
    with Server() as server:
        planted = "sync_job_%d=%s" % (server.port, "a" * 64)
        answer = server.try_log_in(headers={"Cookie": planted})
        client = Client(server, answer)
        assert client.cookie != planted
        assert server.request("GET", "/api/queues", headers={"Cookie": planted, "X-Sync-Job-Token": client.token}).status == 401
        again = server.try_log_in(headers={"Cookie": client.cookie})
        assert Client(server, again).cookie != client.cookie


@test
def a_browser_has_one_session():
    """Its new cookie takes the place of the old one: that session could neither go on nor be logged out of. One that fails ends none."""
    with Server() as server:
        first, other = server.log_in("viewer"), server.log_in("viewer")
        events = first.stream()
        events.next()
        assert server.try_log_in("operator", "wrong", headers={"Cookie": first.cookie}).status == 401
        assert first.get("/api/session").json["user"] == "viewer"
        second = Client(server, server.try_log_in("operator", headers={"Cookie": "x=y; %s; sync_job_1=%s" % (first.cookie, other.cookie.split("=")[1])}))
        assert is_out(first) and "logged in again" in events.wait_for("end")[1]["reason"]
        assert second.get("/api/session").json["user"] == "operator" and other.get("/api/session").json["user"] == "viewer"
        eventually(lambda: sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sync-job serve'") == "2", "its connection is gone")


@test
def cookies_of_other_ports_do_no_harm():
    """A browser sends the cookies of all ports of a host to each."""
    with Server() as server, Server() as neighbour:
        client, other = server.log_in(), neighbour.log_in()
        both = other.cookie + "; " + client.cookie + "; session=x"
        assert server.request("GET", "/api/session", headers={"Cookie": both, "X-Sync-Job-Token": client.token}).json["user"] == "viewer"
        assert server.request("GET", "/api/queues", headers={"Cookie": both, "X-Sync-Job-Token": other.token}).status == 401
        renamed = other.cookie.replace(str(neighbour.port), str(server.port))
        assert server.request("GET", "/api/queues", headers={"Cookie": renamed, "X-Sync-Job-Token": other.token}).status == 401
        planted = "sync_job_%d=%s; " % (server.port, "a" * 64) + client.cookie  # does not shut anybody out either
        assert server.request("GET", "/api/queues", headers={"Cookie": planted, "X-Sync-Job-Token": client.token}).status == 200


@test
def after_the_log_out_nothing_is_left():
    with Server() as server:
        client = server.log_in()
        events = client.stream()
        answer = client.post("/api/logout", {})
        assert answer.status == 200 and "Max-Age=0" in answer.headers["Set-Cookie"]
        assert is_out(client) and client.get("/api/queues").status == 401
        assert events.wait_for("end") is not None and events.next() is None
        eventually(lambda: sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sync-job serve'") == "0", "its connection is gone")


@test
def who_does_nothing_is_logged_out():
    with Server("--idle-minutes", "0.05") as server:
        client = server.log_in()
        events = client.stream()
        # What a page asks by itself does not count, nor does its stream.
        eventually(lambda: client.get("/api/queues", {"X-Sync-Job-Refresh": "1"}).status == 401, "logged out")
        assert "nothing was done" in events.wait_for("end")[1]["reason"]


def ends_session(*statements, undo, role="leaver"):
    sql("CREATE ROLE leaver LOGIN PASSWORD 'secret'")
    try:
        with Server() as server:
            client = server.log_in(role)
            events = client.stream()
            assert client.get("/api/queues").status == 200
            for statement in statements:
                sql(statement)
            eventually(lambda: client.get("/api/queues").status == 401, statements)
            assert is_out(client)
            assert events.wait_for("end") is not None, "the stream goes on"
            assert server.try_log_in(role).status in (401, 403)
    finally:
        sql(undo + "; DROP ROLE IF EXISTS leaver")


@test
def a_role_that_is_dropped_is_out():
    ends_session("DROP ROLE leaver", undo="SELECT")


@test
def a_role_that_may_not_log_in_is_out():
    ends_session("ALTER ROLE leaver NOLOGIN", undo="SELECT")


@test
def a_role_whose_password_is_past_is_out():
    ends_session("ALTER ROLE leaver VALID UNTIL '2001-01-01'", undo="SELECT")


@test
def a_role_that_may_not_connect_is_out():
    ends_session("REVOKE CONNECT ON DATABASE console FROM PUBLIC", undo="GRANT CONNECT ON DATABASE console TO PUBLIC")


@test
def a_role_that_becomes_a_superuser_is_out():
    ends_session("ALTER ROLE leaver SUPERUSER", undo="SELECT")


@test
def a_stream_alone_does_not_keep_a_role_in():
    """Nothing but the stream is open when the role goes."""
    sql("CREATE ROLE leaver LOGIN PASSWORD 'secret'")
    with Server() as server:
        events = server.log_in("leaver").stream()
        events.next()
        sql("DROP ROLE leaver")
        assert events.wait_for("end") is not None


@test
def a_terminated_backend_ends_the_session():
    with Server() as server:
        client = server.log_in()
        events = client.stream()
        sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sync-job serve'")
        assert events.wait_for("end") is not None
        assert is_out(client)
        server.log_in()


@test
def a_changed_password_is_not_seen_but_bounded():
    """The role itself cannot see it, and the console keeps no password: docs/console.md says what to do."""
    sql("CREATE ROLE leaver LOGIN PASSWORD 'secret'")
    try:
        with Server() as server:
            client = server.log_in("leaver")
            sql("ALTER ROLE leaver PASSWORD NULL")
            assert server.try_log_in("leaver").status == 401
            assert client.get("/api/session").json["user"] == "leaver"
            sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'leaver'")
            eventually(lambda: is_out(client), "logged out")
    finally:
        sql("DROP ROLE leaver")


def copies_in_memory(process, text):
    """How often the text is in what the process can write to."""
    memory = b""
    with open("/proc/%d/maps" % process.pid) as maps, open("/proc/%d/mem" % process.pid, "rb") as contents:
        for line in maps:
            area, rights = line.split()[:2]
            if rights.startswith("rw"):
                start, end = (int(number, 16) for number in area.split("-"))
                contents.seek(start)
                memory += contents.read(end - start)
    return memory.count(text.encode())


@test
def the_password_is_not_kept():
    if "asan" in subprocess.run(["ldd", os.environ["COMMAND"]], capture_output=True, text=True).stdout:
        return  # which keeps what was freed
    password, wrong = "Kf83-remember-me-not", "Xq17-not-this-one-either"
    sql("CREATE ROLE keeper LOGIN PASSWORD '%s'" % password)
    try:
        with Server() as server:
            client = server.log_in("keeper", password)
            server.try_log_in("keeper", wrong)
            assert copies_in_memory(server.process, "keeper") > 0
            # libpq keeps what SCRAM was given as long as there is the connection.
            copies = copies_in_memory(server.process, password)
            assert copies <= 1, "%d copies in the memory of the server" % copies
            assert copies_in_memory(server.process, wrong) == 0
            assert client.post("/api/logout", {}).status == 200
            assert copies_in_memory(server.process, password) == 0
    finally:
        sql("DROP ROLE keeper")


@test
def a_newer_request_replaces_the_older():
    with Server() as server:
        client = server.log_in()
        with locked_queues():
            answers = []
            threads = []
            for i in range(4):
                threads.append(threading.Thread(target=lambda i=i: answers.append((i, client.get("/api/queues", {"X-Sync-Job-Slot": "list"})))))
                threads[i].start()
                time.sleep(0.05)
            for thread in threads:
                thread.join()
        codes = [answer.error["code"] for _, answer in answers]
        assert codes == ["57014"] * 4, answers
        replaced = [answer for _, answer in answers if "user request" in answer.error["message"] or "replaced" in answer.error["message"]]
        assert len(replaced) >= 1, answers
        assert client.get("/api/queues").status == 200


main()
