"""A real postgres_exporter reads the database with our queries, a real Prometheus scrapes it: the same numbers under the same names
arrive, each expression of the board runs and finds something, and an alert fires."""
import json
import os
import socket
import subprocess

from monitoring import FOLDER, RULES, Checks, exposition, get, key, parsed, psql, quote, samples, targets, wait_for

check = Checks()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


started = []


def start(command, log, **environment):
    with open(log, "w", encoding="utf-8") as file:
        started.append(subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | environment))


def run():
    exporter, prometheus = free_port(), free_port()
    start(["prometheus-postgres-exporter", f"--web.listen-address=127.0.0.1:{exporter}", f"--extend.query-path={FOLDER}/postgres_exporter.yaml"],
          "exporter.log", DATA_SOURCE_NAME=f"host={os.environ['PGHOST']} port={os.environ['PGPORT']} user=monitoring dbname={os.environ['PGDATABASE']} sslmode=disable")
    url = f"http://127.0.0.1:{exporter}/metrics"
    answer = wait_for("the exporter", lambda: get(url) if "sync_job_library_info" in get(url) else None)

    # ---- The exporter tells the same ----

    rows = samples()
    theirs = {name: value for name, value in parsed(get(url)).items() if name[0].startswith("sync_job_")}
    ours = {key(row["name"], row["labels"]): float(row["value"]) for row in rows}
    changing = ("sync_job_oldest_change_seconds", "sync_job_workers")
    for name, value in ours.items():
        if check(name in theirs, f"the exporter has {name}") and name[0] not in changing:
            check(abs(theirs[name] - value) < 1e-6 * max(1, abs(value)), f"{name} is {value}, not {theirs[name]}")
    for name, value in theirs.items():
        check(name in ours or value == 0, f"the exporter makes up {name}")
    kinds = {line.split()[2]: line.split()[3] for line in answer.splitlines() if line.startswith("# TYPE sync_job_")}
    check(kinds == {line.split()[2]: line.split()[3] for line in exposition(rows).splitlines() if line.startswith("# TYPE")}, "of the same types")

    # ---- Prometheus ----

    with open("prometheus.yaml", "w", encoding="utf-8") as file:
        json.dump({"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [RULES],
                   "scrape_configs": [{"job_name": "sync_jobs", "static_configs": [{"targets": [f"127.0.0.1:{exporter}"]}]}]}, file)
    start(["prometheus", "--config.file=prometheus.yaml", "--storage.tsdb.path=prometheus.data", f"--web.listen-address=127.0.0.1:{prometheus}"], "prometheus.log")
    api = f"http://127.0.0.1:{prometheus}/api/v1"

    def query(expression):
        return json.loads(get(f"{api}/query?query={quote(expression)}"))["data"]["result"]

    wait_for("two scrapes", lambda: query("count_over_time(sync_job_library_info[1m]) > 2"))
    for job in range(300, 320):
        psql(f"SELECT enqueue_sync_job('Probe', '{job}')", "postgres")
    wait_for("a rate", lambda: query("sum(rate(sync_job_jobs_total[1m])) > 0"))
    found = 0
    for title, target in targets("grafana_prometheus.json"):
        expression = target["expr"].replace("$__rate_interval", "1m")
        for variable in ("database", "queue", "type"):
            expression = expression.replace("$" + variable, ".*")
        try:
            found += bool(query(expression))
        except OSError as error:
            check(False, f"panel {title}: {expression}: {error}")
    check(found >= 25, f"the panels show something: {found}")

    def firing():
        return {one["labels"]["alertname"] for one in json.loads(get(f"{api}/alerts"))["data"]["alerts"] if one["state"] == "firing"}

    check(wait_for("an alert", lambda: "SyncJobAlertFiring" in firing() and firing()), "an alert of the database fires in Prometheus")
    check("SyncJobMetricsMissing" not in firing(), "and none that should not")
    states = {one["name"]: one["health"] for group in json.loads(get(f"{api}/rules"))["data"]["groups"] for one in group["rules"]}
    check(len(states) == 14 and set(states.values()) == {"ok"}, f"all rules can be evaluated: {states}")


try:
    run()
finally:
    for one in started:
        one.terminate()
        one.wait(30)
check.end()
