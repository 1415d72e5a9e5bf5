"""The routes of the API: what they answer, to whom, and what they refuse."""
import json
import urllib.parse

from console import Server, eventually, main, sql, test

LARGE = 2**53 + 1  # what a number of JavaScript cannot hold
JOBS = 40

SETUP = """
CREATE ROLE api_app LOGIN PASSWORD 'secret';
CREATE ROLE api_owner LOGIN PASSWORD 'secret';
CREATE SCHEMA api AUTHORIZATION api_app;
GRANT USAGE ON SCHEMA api TO api_owner;
SET ROLE api_app;
CREATE TABLE api.source (id bigint PRIMARY KEY, name text, amount bigint);
CREATE TABLE api.target (id bigint PRIMARY KEY, name text CHECK (name <> 'refuse'), amount bigint);
INSERT INTO api.source SELECT n, 'name ' || n, n FROM generate_series(1, {jobs}) AS n;
INSERT INTO api.source VALUES ({large}, 'large', {large}), (1000, 'refuse', 1);
INSERT INTO api.target SELECT id, 'before', 0 FROM api.source WHERE id <= 10 OR id = {large};
RESET ROLE;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, run_as, max_retries)
VALUES ('Api Sync', 'api.source', 'api.target', '{{"id": "id"}}', '{{"name": "name", "amount": "amount"}}', 'api_app', 0),
       ('Other Sync', 'api.source', 'api.target', '{{"id": "id"}}', '{{"name": "name"}}', 'api_app', 0);
SELECT grant_sync_job_type('Other Sync', 'api_owner');
GRANT SELECT ON api.source, api.target TO api_owner;
SET ROLE api_app;
SELECT count(enqueue_sync_job('Api Sync', id::text, jsonb_build_object('tenant', id % 4, 'large', {large}), job_id => 'api', trigger_type => 'API'))
FROM api.source;
SET ROLE api_owner;
SELECT count(enqueue_sync_job('Other Sync', id::text)) FROM api.source WHERE id <= 5;
RESET ROLE;
"""


def call_wait():
    sql("CALL wait_for_sync_jobs((SELECT array_agg(id) FROM sync_job))".replace("(SELECT array_agg(id) FROM sync_job)",
        "'{" + sql("SELECT string_agg(id::text, ',') FROM sync_job WHERE sync_job_type IN ('Api Sync', 'Other Sync')") + "}', timeout => '60 s'"))


def prepare():
    if sql("SELECT count(*) FROM pg_roles WHERE rolname = 'api_app'") == "0":
        sql(SETUP.format(jobs=JOBS, large=LARGE))
        call_wait()


def query(**filters):
    return "?" + urllib.parse.urlencode({name.rstrip("_"): value for name, value in filters.items()})


def ok(answer):
    assert answer.status == 200, answer
    return answer.json


def rows(client, path="/api/jobs", **filters):
    return ok(client.get(path + query(**filters)))["rows"]


def job_of(document, of_type="Api Sync"):
    return sql("SELECT max(id) FROM sync_job WHERE source_document_name = '%s' AND sync_job_type = '%s'" % (document, of_type))


@test
def lists_have_the_filters():
    prepare()
    with Server() as server:
        viewer = server.log_in("viewer")
        of_type = {"type": "Api Sync"}
        assert len(rows(viewer, limit=200, **of_type)) == JOBS + 2
        assert {row["status"] for row in rows(viewer, **of_type, status="Finished,Skipped")} == {"Finished"}
        [failed] = rows(viewer, **of_type, status="Failed")
        assert failed["source_document_name"] == "1000" and "violates check constraint" in failed["error"], failed
        assert failed["id"] == job_of("1000") and isinstance(failed["id"], str)
        expected = {
            "status": ("Failed", 1), "queue": ("default", JOBS + 2), "document": ("7", 1), "target": ("7", 1), "error": ("constraint CHECK", 1),
            "context": ('{"tenant": 1}', sum(n % 4 == 1 for n in [*range(1, JOBS + 1), LARGE, 1000])), "trigger": ("api", 0),
            "role": ("api_owner", 0), "group": ("nothing", 0), "kind": ("document", JOBS + 2), "parent": ("1", 0),
            "from": ("2020-01-01T00:00:00Z", JOBS + 2), "to": ("2020-01-01T00:00:00Z", 0), "before": ("1", 0), "id": (failed["id"], 1)}
        for name, (value, number) in expected.items():
            found = ok(viewer.get("/api/jobs" + query(**of_type, **{name: value}, limit=200)))
            assert len(found["rows"]) == number and found["next"] is None and found["searched"]["complete"], (name, found)
            count = ok(viewer.get("/api/jobs/count" + query(**of_type, **{name: value})))
            assert count == {"count": number, "more": False}, (name, count)
            ids = ok(viewer.get("/api/jobs/ids" + query(**of_type, **{name: value})))
            assert ids["ids"] == [row["id"] for row in found["rows"]] and not ids["more"], (name, ids)
            assert sum(ids["by_status"].values()) == number and ids["sample"] == found["rows"][:5], (name, ids)
        assert len(rows(viewer, **of_type, trigger="API", limit=200)) == JOBS + 2
        assert len(rows(viewer, type="Other Sync", role="api_owner")) == 5
        for wild in ("%", "violates_check", "violates%check", "\\"):
            assert not rows(viewer, **of_type, error=wild), wild


@test
def pages_follow_each_other():
    prepare()
    with Server() as server:
        viewer = server.log_in("viewer")
        seen, before = [], {}
        while True:
            page = ok(viewer.get("/api/jobs" + query(type="Api Sync", limit=7, **before)))
            seen += [int(row["id"]) for row in page["rows"]]
            if not page["next"]:
                break
            before = {"before": page["next"]}
        assert len(seen) == JOBS + 2 and seen == sorted(set(seen), reverse=True), seen
        for limit, number in ((0, 1), (-5, 1), (1000, JOBS + 2)):
            assert len(rows(viewer, type="Api Sync", limit=limit)) == number


@test
def times_are_found_among_ids():
    """Halving finds the ids of a time, also where a transaction was long: what the plain condition gives."""
    prepare()
    with Server() as server:
        viewer = server.log_in("viewer")
        for place in (0.2, 0.5, 0.9):
            at = sql("SELECT to_char(percentile_disc(%s) WITHIN GROUP (ORDER BY created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM sync_job" % place)
            for name, operator in (("from", ">="), ("to", "<")):
                expected = int(sql("SELECT count(*) FROM sync_job WHERE created_at %s '%s'" % (operator, at)))
                assert ok(viewer.get("/api/jobs/count" + query(**{name: at})))["count"] == expected, (name, at)


@test
def one_job_with_all_that_is_known():
    prepare()
    with Server() as server:
        viewer = server.log_in("viewer")
        answer = viewer.get("/api/jobs/" + job_of("1000"))
        whole = ok(answer)
        columns = sql("SELECT string_agg(attname, ',') FROM pg_attribute WHERE attrelid = 'sync_job'::regclass AND attnum > 0").split(",")
        assert set(columns) <= set(whole["job"]), set(columns) - set(whole["job"])
        assert [attempt["sqlstate"] for attempt in whole["attempts"]] == ["23514"]
        assert whole["type"]["kind"] == "declarative" and not any(whole["allowed"].values()), whole["allowed"]
        assert whole["cut"] == [] and whole["children"] == [] and whole["parent"] is None and whole["progress"] is None
        assert [row["sync_job_type"] for row in ok(viewer.get("/api/jobs/" + job_of("1")))["related"]] == ["Other Sync"]
        for path in ("/api/jobs/%d" % LARGE, "/api/jobs/%s/value?column=nothing" % job_of("1")):
            assert viewer.get(path).status == 404, path
        for path in ("/api/jobs/x", "/api/jobs?before=x", "/api/jobs?nothing=1", "/api/jobs?context=x", "/api/jobs?from=x", "/api/jobs?limit=x"):
            assert viewer.get(path).status == 400, path
        # What is too deep or too much for the server is an error of the request, too.
        answer = viewer.get("/api/jobs?context=" + "[" * 15000)
        assert answer.status == 400 and answer.error["code"] == "54001", answer


@test
def large_numbers_stay_whole():
    prepare()
    with Server() as server:
        viewer = server.log_in("viewer")
        job = ok(viewer.get("/api/jobs/" + job_of(str(LARGE))))["job"]
        assert json.loads(job["diff_summary"])["amount"]["new"] == LARGE and str(LARGE) in job["diff_summary"], job
        assert isinstance(job["context"], str) and str(LARGE) in job["context"] and job["source_document_name"] == str(LARGE)
        value = ok(viewer.get("/api/jobs/%s/value?column=diff_summary" % job["id"]))["value"]
        assert value == job["diff_summary"]
        [row] = rows(viewer, document=str(LARGE), type="Api Sync")
        assert row["id"] == job["id"] and isinstance(row["id"], str)
        app = server.log_in("api_app")
        new = ok(app.post("/api/jobs", '{"sync_job_type": "Api Sync", "source_document_name": "1", "dry_run": true, "context": {"n": %d}}' % LARGE))["id"]
        assert sql("SELECT context ->> 'n' || ' ' || dry_run FROM sync_job WHERE id = %s" % new) == "%d true" % LARGE


@test
def long_values_are_cut():
    prepare()
    long = "x" * 5000
    with Server() as server:
        app = server.log_in("api_app")
        new = ok(app.post("/api/jobs", {"sync_job_type": "Api Sync", "source_document_name": "2", "queue_on_insert": False, "context": {"long": long}}))["id"]
        job = ok(app.get("/api/jobs/" + new))
        assert job["cut"] == ["context"] and len(job["job"]["context"]) == 2000, job["cut"]
        assert json.loads(ok(app.get("/api/jobs/%s/value?column=context" % new))["value"])["long"] == long
        # In the answer for one value, too, where it is very long; by bytes, as a character may have several.
        for text, kept in (("x" * 4194303, None), ("\u20ac" * 1398101, None), ("x" * 4194305, 1048576), ("\U0001f600" * 1048577, 1048576)):
            sql("UPDATE sync_job SET messages = repeat('%s', %d) WHERE id = %s" % (text[0], len(text), new))
            value = ok(app.get("/api/jobs/%s/value?column=messages" % new))
            assert value["value"] == text[:kept] and value["cut"] == (kept is not None), (len(value["value"]), value["cut"])
        assert ok(app.get("/api/jobs/%s/value?column=result" % new)) == {"value": None, "cut": False}
        assert ok(app.post("/api/jobs/cancel", {"ids": [new], "reason": "was a test"}))["done"] == 1


@test
def diffs_of_the_documents_of_a_set_are_whole():
    prepare()
    sql("UPDATE sync_job_type SET set_size = 10 WHERE name = 'Api Sync'; UPDATE api.source SET name = repeat('x', 3000) || id WHERE id IN (11, 12)")
    sql("SET ROLE api_app; SELECT enqueue_sync_jobs('Api Sync', ARRAY(SELECT n::text FROM generate_series(11, 20) AS n))")
    job = sql("SELECT max(id) FROM sync_job WHERE documents IS NOT NULL")
    sql("UPDATE sync_job_type SET set_size = 1 WHERE name = 'Api Sync'; CALL wait_for_sync_job(%s, '60 s')" % job)
    with Server() as server:
        viewer = server.log_in("viewer")
        path = "/api/jobs/%s/documents" % job
        long = rows(viewer, path)
        assert [(row["source_document_name"], row["cut"], len(row["diff_summary"])) for row in long] == [("11", True, 2000), ("12", True, 2000)], long
        for row in long:
            of_row = {"key": row["key"], "name": row["source_document_name"], "column": "diff_summary"}
            answer = ok(viewer.get(path + "/value" + query(**of_row)))
            assert json.loads(answer["value"])["name"]["new"] == "x" * 3000 + row["source_document_name"] and not answer["cut"], answer
            for wrong in ({"name": "13"}, {"name": ""}, {"key": "(0,0)"}, {"column": "fingerprint"}):
                assert viewer.get(path + "/value" + query(**{**of_row, **wrong})).status == 404, wrong
            assert viewer.get(path.replace(job, job_of("1")) + "/value" + query(**of_row)).status == 404
            assert server.log_in("nobody_else").get(path + "/value" + query(**of_row)).status == 404
        assert viewer.get(path + "/value?key=x&name=11&column=diff_summary").status == 400
    sql("UPDATE api.source SET name = 'name ' || id WHERE id IN (11, 12)")


@test
def nobody_sees_what_he_may_not():
    prepare()
    with Server() as server:
        stranger, owner = server.log_in("nobody_else"), server.log_in("api_owner")
        for path in ("/api/jobs", "/api/runs", "/api/types", "/api/alerts", "/api/freshness", "/api/schedules"):
            assert rows(stranger, path) == [], path
        assert ok(stranger.get("/api/jobs/count"))["count"] == 0 and ok(stranger.get("/api/jobs/ids"))["ids"] == []
        overview = ok(stranger.get("/api/overview"))
        assert not any(state["count"] for state in overview["counts"]) and overview["types"] == [] and overview["throughput"] == [], overview
        for part in ("", "/children", "/documents", "/value?column=context"):
            answer = stranger.get("/api/jobs/" + job_of("1") + part)
            assert answer.status == 404 or answer.json["rows"] == [], (part, answer)
        assert stranger.get("/api/types/Api%20Sync").status == 404
        assert rows(stranger, "/api/tables", like="api.") == []
        assert [row["name"] for row in rows(owner, "/api/tables", like="api.")] == ["api.source", "api.target"]
        own = rows(owner)
        assert len(own) == 5 and {row["sync_job_type"] for row in own} == {"Other Sync"}, own
        assert rows(owner, type="Api Sync") == [] and owner.get("/api/jobs/" + job_of("1")).status == 404
        # What the owner may not read any more is gone for him.
        sql("REVOKE SELECT ON api.target FROM api_owner")
        assert rows(owner) == []
        sql("GRANT SELECT ON api.target TO api_owner")


@test
def who_may_not_act_is_refused():
    prepare()
    failed = job_of("1000")
    with Server() as server:
        viewer, operator, manager, app = (server.log_in(name) for name in ("viewer", "operator", "manager", "api_app"))
        for action in ("retry", "cancel", "start", "rerun", "delete", "pause"):
            answer = ok(viewer.post("/api/jobs/" + action, {"ids": [failed]}))
            assert answer["done"] == 0 and answer["outcomes"][0]["error"]["code"] == "42501", (action, answer)
        for path, body in (("/api/jobs", {"sync_job_type": "Api Sync", "source_document_name": "1"}), ("/api/jobs/revert", {"ids": [job_of("1")]}),
                           ("/api/types", {"definition": {"name": "Mine"}}), ("/api/types/Api%20Sync", {"definition": {"description": "mine"}}),
                           ("/api/types/Api%20Sync/pause", {}), ("/api/types/Api%20Sync/compare", {}), ("/api/types/Api%20Sync/full-sync", {}),
                           ("/api/types/validate", {"definition": {"name": "Mine"}}), ("/api/queues/default/pause", {}), ("/api/queues/default", {"max_workers": 0})):
            answer = viewer.post(path, body)
            assert answer.status == 403 and answer.error["code"] == "42501", (path, answer)
        # SQL of one's own runs only as a role that one may become.
        for client in (operator, manager):
            answer = client.post("/api/types/Api%20Sync/compare", {"condition": "true"})
            assert answer.status == 403, answer
        answer = ok(operator.post("/api/jobs/retry", {"ids": [failed], "context": {"other": 1}}))
        assert answer["outcomes"][0]["error"]["code"] == "42501", answer
        offered = {name: {key for key, value in ok(client.get("/api/jobs/" + failed))["allowed"].items() if value}
                   for name, client in (("viewer", viewer), ("operator", operator), ("app", app))}
        assert offered["viewer"] == set() and offered["operator"] == {"retry", "cancel", "dry_run"}, offered
        assert offered["app"] == {"retry", "context", "cancel", "rerun", "enqueue", "dry_run"}, offered


@test
def each_of_many_has_its_outcome():
    prepare()
    with Server() as server:
        app = server.log_in("api_app")
        new = [ok(app.post("/api/jobs", {"sync_job_type": "Api Sync", "source_document_name": str(n), "queue_on_insert": False}))["id"] for n in (1, 2, 3)]
        answer = ok(app.post("/api/jobs/cancel", {"ids": [new[0], job_of("4"), str(LARGE), new[1]], "reason": "not now"}))
        assert answer["done"] == 2, answer
        assert [outcome["error"] and outcome["error"]["code"] for outcome in answer["outcomes"]] == [None, "55000", "42704", None], answer
        assert [outcome["id"] for outcome in answer["outcomes"]] == [new[0], job_of("4"), str(LARGE), new[1]]
        answer = ok(app.post("/api/jobs/rerun", {"ids": [new[0]], "context": {"n": 1}}))
        again = answer["outcomes"][0]["job"]
        assert sql("SELECT parent_sync_job FROM sync_job WHERE id = %s" % again) == new[0]
        assert ok(app.post("/api/jobs/start", {"ids": [new[2]]}))["outcomes"][0]["status"] == "Queued"
        assert app.post("/api/jobs/start", {"ids": [new[2]] * 501}).status == 400
        for body in ({"ids": "x"}, {"ids": [1.5]}, {"ids": {"a": 1}}):
            assert app.post("/api/jobs/start", body).status == 400, body
        call_wait()


@test
def a_worker_applies_and_reverts():
    prepare()
    with Server() as server:
        operator = server.log_in("operator")  # may not become api_app
        sql("UPDATE api.source SET name = 'changed' WHERE id = 9")
        wanted = {"sync_job_type": "Api Sync", "source_document_name": "9", "dry_run": True}
        for refused in ({**wanted, "dry_run": False}, {**wanted, "context": {"large": 1}}, {**wanted, "operation": "Delete"}):
            assert operator.post("/api/jobs", refused).status == 403, refused
        dry = ok(operator.post("/api/jobs", wanted))["id"]
        assert ok(operator.get("/api/types/Api%20Sync"))["allowed"]["compare"]
        assert ok(operator.post("/api/types/Api%20Sync/compare", {}))["id"]
        assert operator.post("/api/types/Api%20Sync/compare", {"condition": "source.id = 9"}).status == 403

        def ended(job):
            return eventually(lambda: sql("SELECT status FROM sync_job WHERE id = %s AND status NOT IN ('Queued', 'Started')" % job), "job %s ends" % job)
        assert ended(dry) == "Finished" and sql("SELECT name FROM api.target WHERE id = 9") == "name 9"
        assert ok(operator.get("/api/jobs/" + dry))["allowed"]["apply"]
        job = ok(operator.post("/api/jobs/apply", {"ids": [dry]}))["job"]
        assert ended(job) == "Finished" and sql("SELECT name FROM api.target WHERE id = 9") == "changed"
        applied = sql("SELECT max(id) FROM sync_job WHERE operation = 'Apply'")
        job = ok(operator.post("/api/jobs/revert", {"ids": [applied], "conflicts": "skip"}))["job"]
        assert ended(job) == "Finished" and sql("SELECT name FROM api.target WHERE id = 9") == "name 9"
        assert {"Apply", "Revert"} <= {row["operation"] for row in rows(operator, "/api/runs")}
        sql("UPDATE api.source SET name = 'name 9' WHERE id = 9")


@test
def types_are_made_and_changed():
    prepare()
    sql("SELECT grant_sync_job_access('api_app', 'manager')")
    definition = {"name": "Form Sync", "source_document_type": "api.source", "target_document_type": "api.target", "match": {"id": "id"},
                  "field_map": {"nme": "name"}, "timeout": "1 minute", "priority": None}
    with Server() as server:
        app, viewer = server.log_in("api_app"), server.log_in("viewer")
        [finding] = [f for f in ok(app.post("/api/types/validate", {"definition": definition}))["findings"] if f["severity"] == "error"]
        assert finding["field"] == "field_map.nme", finding
        definition["field_map"] = {"name": "name"}
        assert ok(app.post("/api/types", {"definition": definition})) == {"name": "Form Sync"}
        assert app.post("/api/types", {"definition": definition}).status == 400  # it is there
        ok(app.post("/api/types/Form%20Sync", {"definition": {"description": "by a form", "timeout": None}}))
        whole = ok(app.get("/api/types/Form%20Sync"))
        assert whole["type"]["description"] == "by a form" and whole["type"]["timeout"] is None and whole["kind"] == "declarative"
        assert json.loads(whole["type"]["field_map"]) == {"name": "name"} and "Form Sync" in whole["export"]
        assert [change["operation"] for change in whole["changes"]] == ["Update", "Insert"], whole["changes"]
        assert all(whole["allowed"].values()), whole["allowed"]
        assert not any(ok(viewer.get("/api/types/Form%20Sync"))["allowed"].values())
        assert "findings" in ok(viewer.get("/api/types/Form%20Sync/findings"))
        ok(app.post("/api/types/Form%20Sync/pause", {}))
        assert [row["paused"] for row in rows(viewer, "/api/types") if row["name"] == "Form Sync"] == [True]
        assert "Form Sync" in [kind["name"] for kind in ok(viewer.get("/api/overview"))["types"]]
        ok(app.post("/api/types/Form%20Sync/resume", {}))
        job = ok(app.post("/api/types/Form%20Sync/compare", {"condition": "source.id < 5"}))["id"]
        eventually(lambda: sql("SELECT status FROM sync_job WHERE id = %s AND status = 'Finished'" % job), "the comparison ends")
        [run] = rows(viewer, "/api/runs", type="Form Sync")
        assert run["id"] == job and run["operation"] == "Compare" and isinstance(run["result"], str), run
        assert ok(app.post("/api/types/Form%20Sync/delete", {})) == {"name": "Form Sync"}
        assert app.get("/api/types/Form%20Sync").status == 404
        for unknown in ({"definition": {"nothing": 1}}, {"definition": {}}):
            assert app.post("/api/types/Api%20Sync", unknown).status == 400, unknown


@test
def the_other_lists_have_their_shapes():
    prepare()
    sql("INSERT INTO sync_job_alert (name, measure, threshold) VALUES ('api failures', 'failed', '0') ON CONFLICT DO NOTHING")
    with Server() as server:
        viewer, operator = server.log_in("viewer"), server.log_in("operator")
        overview = ok(viewer.get("/api/overview"))
        assert {"now", "counts", "notes", "types", "queues", "alerts", "freshness", "throughput", "workers"} == set(overview), overview.keys()
        counts = {row["status"]: row["count"] for row in overview["counts"]}
        assert len(counts) == 9 and counts["Failed"] >= 1 and counts["Finished"] >= JOBS, counts
        [api] = [kind for kind in overview["types"] if kind["name"] == "Api Sync"]
        assert api["failed"] >= 1 and api["problems"], api
        assert sum(minute["ended"] for minute in overview["throughput"]) >= JOBS
        queues = {row["queue"]: row for row in rows(viewer, "/api/queues")}
        assert {"short", "default", "long"} <= set(queues) and queues["default"]["failed"] >= 1 and queues["default"]["timeout"] == "00:05:00"
        assert queues["default"]["allowed"] == {"pause": False, "change": False}
        ok(operator.post("/api/queues/short/pause", {}))
        assert [row["paused"] for row in rows(operator, "/api/queues") if row["queue"] == "short"] == [True]
        ok(operator.post("/api/queues/short/resume", {}))
        assert operator.post("/api/queues/nothing/pause", {}).status == 404
        assert any(row["name"] == "api failures" for row in rows(viewer, "/api/alerts"))
        assert any(row["sync_job_type"] == "Api Sync" for row in rows(viewer, "/api/freshness"))
        for path in ("/api/workers", "/api/schedules", "/api/runs"):
            assert isinstance(rows(viewer, path), list), path
        assert rows(viewer, "/api/suggest", field="type", like="api s") == ["Api Sync"]
        assert "api_app" in rows(viewer, "/api/suggest", field="role", like="api_")
        assert rows(viewer, "/api/suggest", field="pg_authid", like="") == []


if __name__ == "__main__":
    main()
