"""The files of monitoring/ and the page about them, against what the database has: each metric that they name exists and the other
way round, each SQL panel runs as a viewer, each runbook is there, promtool finds nothing."""
import re
import subprocess

from monitoring import BOARDS, DOCUMENT, FOLDER, RULES, RUNBOOK, Checks, board, exposition, family, psql, samples, targets

check = Checks()
rows = samples()
names = {row["name"] for row in rows}
families = {family(row) for row in rows}
check(len(families) > 20, "there are metrics")

# ---- promtool ----

found = subprocess.run(["promtool", "check", "metrics"], input=exposition(rows), text=True, capture_output=True)
check(found.returncode == 0 and not found.stderr and not found.stdout, f"promtool check metrics: {found.stdout}{found.stderr}")
found = subprocess.run(["promtool", "check", "rules", RULES], text=True, capture_output=True)
check(found.returncode == 0, f"promtool check rules: {found.stdout}{found.stderr}")

# ---- Names ----

with open(RULES, encoding="utf-8") as file:
    rules = file.read()
with open(DOCUMENT, encoding="utf-8") as file:
    page = file.read()
with open(FOLDER + "/postgres_exporter.yaml", encoding="utf-8") as file:
    exporter = file.read()
expressions = [target["expr"] for _, target in targets("grafana_prometheus.json")] + re.findall(r"(?s)expr: (.*?)\n +(?:for|labels):", rules)
variables = [one["definition"] for one in board("grafana_prometheus.json")["templating"]["list"] if "definition" in one]
check(len(expressions) > 30 and len(variables) == 3, "there are expressions")
for expression in expressions + variables:
    for name in re.findall(r"\bsync_job_\w+", expression):
        check(name in names, f"there is a metric {name}, in {expression}")
for name in re.findall(r"'(sync_job_\w+)'", exporter):
    check(name in names | families, f"there is a metric {name}, for the exporter")
listed = re.findall(r"^\| `(sync_job_\w+)` \| (\w+) \| ([\w, ]*) ?\|", page, re.M)
check({name for name, _, _ in listed} == families, f"the page lists the metrics: {families ^ {name for name, _, _ in listed}}")
kinds = {family(row): row["type"] for row in rows}
labels = {family(row): set(row["labels"]) - {"database", "le"} for row in rows}
for name, kind, of in listed:
    check(kinds.get(name) == kind, f"{name} is a {kinds.get(name)}, not a {kind}")
    check(labels.get(name) == set(re.findall(r"\w+", of)), f"{name} has the labels {labels.get(name)}, not {of}")

# ---- Runbooks, whose statements the suite of the documentation runs ----

with open(RUNBOOK, encoding="utf-8") as file:
    headings = re.findall(r"^#+ (.*)$", file.read(), re.M)
anchors = {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in headings}
addresses = re.findall(r'runbook_url: "(.*)"', rules)
check(len(addresses) == rules.count("- alert:"), "each alert has a runbook")
for address in addresses:
    check(address.startswith("docs/runbook.md#") and address.split("#")[1] in anchors, f"there is a runbook {address}")

# ---- Boards ----

for name in BOARDS:
    whole = board(name)
    check(whole["schemaVersion"] >= 39 and whole["uid"] and whole["title"], f"{name} is a board")
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in whole["panels"]]
    check(len(set(places)) == len(places) and len({panel["id"] for panel in whole["panels"]}) == len(places), f"{name} has its panels side by side")


def as_postgres(sql):
    """What Grafana makes of a query."""
    sql = re.sub(r"\$__timeGroupAlias\((\w+), '(\w+)'(?:, 0)?\)", r"date_trunc('minute', \1) AS time", sql)
    sql = re.sub(r"\$__timeFilter\(([\w.]+)\)", r"\1 BETWEEN now() - interval '6 hours' AND now()", sql)
    sql = sql.replace("$__timeFrom()", "now() - interval '6 hours'")
    return sql.replace("${type:sqlstring}", "'Probe','Broken'").replace("${queue:sqlstring}", "'default','long'")


answered = 0
for title, target in targets("grafana_postgres.json"):
    sql = as_postgres(target["rawSql"])
    check("$" not in sql, f"all of {title} is known: {sql}")
    try:
        answered += bool(psql(sql).strip())
    except subprocess.CalledProcessError as error:
        check(False, f"panel {title}: {error.stderr}")
for one in board("grafana_postgres.json")["templating"]["list"]:
    if one["type"] == "query":
        check(psql(one["query"]).strip(), f"variable {one['name']} has values")
check(answered >= 14, f"the panels show something: {answered}")
check.end()
