"""Attacks by way of the database: what others have planted there, what they send, what the server of the console must not do."""
import json
import os
import subprocess
import threading
import time

from console import LIMIT, Events, Server, eventually, locked_queues, main, sql, stopped_backend, test

# Everything that a request may look at; each answers without an error, or that there is no such thing.
ROUTES = ("/api/session", "/api/overview", "/api/jobs", "/api/jobs?status=Failed&error=x&limit=5", "/api/jobs/count", "/api/jobs/ids", "/api/jobs/1",
          "/api/jobs/1/children", "/api/jobs/1/value?column=context", "/api/types", "/api/types/none", "/api/tables?like=a", "/api/queues", "/api/workers",
          "/api/schedules", "/api/alerts", "/api/freshness", "/api/runs", "/api/suggest?field=type&like=a")
WRITES = (("/api/queues/default/pause", {}), ("/api/jobs", {"sync_job_type": "x", "source_document_name": "1"}), ("/api/jobs/retry", {"ids": ["1"]}),
          ("/api/jobs/apply", {"ids": ["1"]}), ("/api/types", {"definition": {"name": "x"}}),
          ("/api/types/x/full-sync", {}), ("/api/types/x/compare", {}), ("/api/schedules/x/run", {}))

# What a role that may create objects lays out for others: it writes down who has run it.
PLANT = """
CREATE TABLE %(schema)s.caught (who text, what text);
GRANT INSERT ON %(schema)s.caught TO PUBLIC;
CREATE FUNCTION %(schema)s.catch_text(text, text) RETURNS boolean LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO %(schema)s.caught VALUES (session_user, 'text'); RETURN false; END$$;
CREATE FUNCTION %(schema)s.catch_any(anyelement, anyelement) RETURNS boolean LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO %(schema)s.caught VALUES (session_user, 'any'); RETURN false; END$$;
CREATE OPERATOR %(schema)s.= (FUNCTION = %(schema)s.catch_text, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR %(schema)s.= (FUNCTION = %(schema)s.catch_any, LEFTARG = anyelement, RIGHTARG = anyelement);
CREATE OPERATOR %(schema)s.<> (FUNCTION = %(schema)s.catch_text, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR %(schema)s.< (FUNCTION = %(schema)s.catch_any, LEFTARG = anyelement, RIGHTARG = anyelement);
CREATE OPERATOR %(schema)s.~~* (FUNCTION = %(schema)s.catch_text, LEFTARG = text, RIGHTARG = text);
CREATE FUNCTION %(schema)s.lower(text) RETURNS text LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO %(schema)s.caught VALUES (session_user, 'lower'); RETURN $1; END$$;
CREATE FUNCTION %(schema)s.count(anyelement) RETURNS bigint LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO %(schema)s.caught VALUES (session_user, 'count'); RETURN 1; END$$;
CREATE FUNCTION %(schema)s.now() RETURNS timestamptz LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO %(schema)s.caught VALUES (session_user, 'now'); RETURN pg_catalog.now(); END$$;
"""



@test
def planted_operators_and_functions_are_not_run():
    """In the schema of the extension as well, and with a search_path of the role and the database that leads there."""
    sql("CREATE ROLE planter; GRANT CREATE ON SCHEMA public TO planter; CREATE SCHEMA planted AUTHORIZATION planter;"
        "ALTER ROLE admin SET search_path = planted, public, pg_catalog; ALTER DATABASE console SET search_path = planted, public, pg_catalog")
    try:
        for schema in ("planted", "public"):
            sql("SET ROLE planter;" + PLANT % {"schema": schema})
        sql("GRANT USAGE ON SCHEMA planted TO PUBLIC")
        with Server("--allow-superusers") as server:
            for role in ("admin", "operator"):
                client = server.log_in(role)
                for route in ROUTES:
                    answer = client.get(route)
                    assert answer.status in (200, 404), (route, answer)
                client.stream().next()
        for schema in ("planted", "public"):
            assert sql("SELECT count(*) FROM %s.caught" % schema) == "0", sql("SELECT * FROM %s.caught" % schema)
        # It would be caught, if it were run.
        assert sql("SELECT 'a'::text = 'b'::text; SELECT count(*) FROM planted.caught", role="admin").splitlines()[-1] == "1"
    finally:
        sql("DROP OWNED BY planter CASCADE; ALTER ROLE admin RESET search_path; ALTER DATABASE console RESET search_path; DROP ROLE planter")


@test
def a_function_beside_one_of_the_extension_keeps_people_out():
    sql("CREATE ROLE planter; GRANT CREATE ON SCHEMA public TO planter")
    try:
        with Server("--allow-superusers") as server:
            client = server.log_in("operator")
            sql("SET ROLE planter; CREATE FUNCTION public.pause_sync_job_queue(varchar) RETURNS void LANGUAGE sql AS 'SELECT'")
            for role in ("admin", "viewer"):
                answer = server.try_log_in(role)
                assert answer.status == 403 and "pause_sync_job_queue(character varying)" in answer.error["message"], answer
            eventually(lambda: client.get("/api/queues").status == 401, "who is in is out")
            sql("DROP FUNCTION public.pause_sync_job_queue(varchar)")
            server.log_in("admin")
    finally:
        sql("DROP OWNED BY planter; DROP ROLE planter")


@test
def the_name_of_the_schema_is_no_sql():
    """CREATE EXTENSION refuses these characters; ALTER SCHEMA does not. Other names that need quotes are good."""
    name = "public"
    with Server("--allow-superusers") as server:
        client = server.log_in("viewer")
        for hostile in ("a'||(SELECT 1/0)||'", 'a"b', "$a$", "a\\b", "@extschema@"):
            try:
                sql('ALTER SCHEMA "%s" RENAME TO "%s"' % (name, hostile.replace('"', '""')))
                name = hostile.replace('"', '""')
                answer = server.try_log_in("admin")
                assert answer.status == 400 and answer.error["code"] == "42602" and "schema" in answer.error["message"], answer
                eventually(lambda: client.get("/api/queues").status == 401, "who is in is out")
                told = subprocess.run([os.environ["COMMAND"], "status", "-d", "console"], capture_output=True, text=True, timeout=LIMIT)
                assert told.returncode and "the schema of the extension has a name" in told.stderr, told
                sql('ALTER SCHEMA "%s" RENAME TO "A select; --"' % name)
                name = "A select; --"
                queues = server.log_in("admin").get("/api/queues")
                assert queues.status == 200 and all(row["allowed"]["change"] for row in queues.json["rows"]), queues
            finally:
                sql('ALTER SCHEMA "%s" RENAME TO public' % name)
                name = "public"


@test
def a_notification_is_only_a_hint():
    """Anybody may send one: of what it says only names come through that this role may see anyway."""
    with Server() as server:
        client = server.log_in()
        events = client.stream()
        first = events.wait_for("listen", "poll")
        sql("LISTEN sync_job_changed")
        for payload in ("", "x", "[]", "1", '{"types": 1}', '{"types": ["a\\u0000b"], "queues": []}', "[" * 4000,
                        json.dumps({"types": ["<script>alert(1)</script>", "default"], "queues": ["default", "\r\nevent: end\r\ndata: {}\r\n\r\n"], "more": "x"})):
            sql("SET SESSION AUTHORIZATION nobody_else; NOTIFY sync_job_changed, '%s'" % payload.replace("'", "''"))
        if first[0] == "poll":
            return
        seen = []
        while not seen or "default" not in seen[-1]["queues"]:
            name, data = events.wait_for("changed", "end")
            assert name == "changed" and set(data) == {"types", "queues", "all"} and data["types"] == [], data
            assert set(data["queues"]) <= {"default"}, data
            seen.append(data)
        sql("DO $$BEGIN FOR i IN 1 .. 5000 LOOP PERFORM pg_notify('sync_job_changed', i::text); COMMIT; END LOOP; END$$")
        assert client.get("/api/queues").status == 200
        got = [events.wait_for("changed")]
        end = time.monotonic() + 3
        while time.monotonic() < end:
            try:
                got.append(events.next(1))
            except TimeoutError:
                break
        assert len(got) < 20, len(got)


@test
def read_only_means_it():
    with Server("--read-only", "--allow-superusers") as server:
        for role in ("operator", "admin"):
            client = server.log_in(role)
            assert client.get("/api/session").json["read_only"] is True
            answer = client.post("/api/queues/default/pause", {})
            assert answer.status == 403 and answer.error["code"] == "25006", answer
        assert sql("SELECT setting FROM pg_settings WHERE name = 'transaction_read_only'") == "off"
    assert sql("SELECT paused FROM sync_job_queue WHERE name = 'default'") == "f"


@test
def the_database_refuses_what_a_level_may_not():
    with Server() as server:
        viewer, operator = server.log_in("viewer"), server.log_in("operator")
        answer = viewer.post("/api/queues/default/pause", {})
        assert answer.status == 403 and answer.error["code"] == "42501", answer
        assert operator.post("/api/queues/default/pause", {}).status == 200
        assert sql("SELECT paused FROM sync_job_queue WHERE name = 'default'") == "t"
        assert operator.post("/api/queues/default/resume", {}).status == 200


@test
def a_statement_ends_after_a_second():
    with Server() as server:
        client, other = server.log_in("viewer"), server.log_in("operator")
        with locked_queues():
            answer = client.get("/api/queues")
            assert answer.status == 503 and answer.error["code"] == "57014" and "timeout" in answer.error["message"], answer
            assert other.get("/api/session").status == 200
        assert client.get("/api/queues").status == 200


@test
def a_server_that_does_not_answer_is_given_up():
    """With a small request and one that does not fit into the socket; of the session all end, of others none."""
    with Server() as server:
        other = server.log_in("operator")
        for method, path, body in (("GET", "/api/queues", None), ("POST", "/api/types/validate", {"definition": {"name": "x" * 900000}})):
            client = server.log_in("viewer")
            answers = []
            with stopped_backend("viewer"):
                threads = [threading.Thread(target=lambda: answers.append(server.request(method, path, body, headers=client.headers()))) for _ in range(3)]
                for thread in threads:
                    thread.start()
                assert other.get("/api/queues").status == 200
                for thread in threads:
                    thread.join()
                # The one that waited for the server gets 503, unless it had to ask first whether the role may still be here.
                assert len(answers) == 3 and all(answer.status in (401, 503) and "does not answer" in answer.error["message"] for answer in answers), answers
                server.log_in("viewer").post("/api/logout", {})
        assert other.get("/api/queues").status == 200


@test
def on_a_standby_it_only_reads():
    port = int(os.environ["PGPORT"]) + 1
    subprocess.run(["pg_basebackup", "-D", "standby", "-R", "-c", "fast", "-U", "postgres", "--no-sync"], check=True, capture_output=True)
    with open("standby/postgresql.auto.conf", "a") as settings:
        settings.write("port = %d\nlisten_addresses = ''\n" % port)
    subprocess.run(["pg_ctl", "-D", "standby", "-l", "standby.log", "-w", "-s", "start"], check=True)
    try:
        for name, text in (("standby_token", "a-token-of-sixteen-or-more"), ("standby_password", "secret")):
            with open(name, "w") as file:
                os.chmod(name, 0o600)
                file.write(text)
        with Server("--metrics-role", "viewer", "--metrics-password-file", "standby_password", "--metrics-token-file", "standby_token", port=port) as server:
            client = server.log_in("operator")
            session = client.get("/api/session").json
            assert session["standby"] and session["read_only"], session
            for route in ROUTES:
                assert client.get(route).status in (200, 404), route
            for path, body in WRITES:
                answer = client.post(path, body)
                assert answer.status == 403 and answer.error["code"] == "25006" and "standby" in answer.error["message"], (path, answer)
            assert any("standby" in note for note in client.get("/api/overview").json["notes"])
            token = {"Authorization": "Bearer a-token-of-sixteen-or-more"}
            eventually(lambda: 'sync_job_up{database="console"} 1' in server.request("GET", "/metrics", headers=token).body, "its metrics")
            events = client.stream()
            assert events.next()[0] == "poll"
            subprocess.run(["pg_ctl", "-D", "standby", "-w", "-s", "promote"], check=True)
            eventually(lambda: not client.get("/api/session").json.get("read_only", True), "it can be written to once it is promoted")
    finally:
        subprocess.run(["pg_ctl", "-D", "standby", "-m", "immediate", "-w", "-s", "stop"])


@test
def without_the_extension_there_is_no_console():
    with Server(databases="postgres") as server:
        answer = server.try_log_in("viewer", "secret", "postgres")
        assert answer.status == 404 and "pg_sync_job" in answer.error["message"], answer


@test
def a_server_that_is_down_is_said():
    with Server(host="/nonexistent") as server:
        answer = server.try_log_in()
        assert answer.status == 503 and answer.error["code"] == "08001" and "nonexistent" not in answer.body, answer


main()
