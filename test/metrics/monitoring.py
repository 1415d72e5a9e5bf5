"""What the tests of monitoring share: the metrics of the database as sync_job_metrics() gives them, as text for Prometheus, and
the files of monitoring/."""
import json
import os
import re
import subprocess
import time
import urllib.parse
import urllib.request

FOLDER = os.path.join(os.environ["CHECKOUT"], "monitoring")
DOCUMENT = os.path.join(os.environ["CHECKOUT"], "docs", "monitoring.md")
RUNBOOK = os.path.join(os.environ["CHECKOUT"], "docs", "runbook.md")
BOARDS = ["grafana_prometheus.json", "grafana_postgres.json"]
RULES = os.path.join(FOLDER, "prometheus_rules.yaml")


def psql(sql, user="monitoring"):
    return subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", user, "-c", sql], check=True, text=True, capture_output=True).stdout


def samples():
    """All rows of sync_job_metrics(), in their order."""
    return [json.loads(line) for line in psql("SELECT row_to_json(m) FROM sync_job_metrics() AS m").splitlines()]


def family(sample):
    return re.sub("_(bucket|sum|count)$", "", sample["name"]) if sample["type"] == "histogram" else sample["name"]


def key(name, labels):
    return name, tuple(sorted(labels.items()))


def exposition(rows):
    """As Prometheus reads it. Whoever serves metrics does it like this."""
    lines, last = [], None
    for row in rows:
        if family(row) != last:
            last = family(row)
            lines += [f"# HELP {last} {row['help']}", f"# TYPE {last} {row['type']}"]
        labels = ",".join(f'{name}="{escaped(text)}"' for name, text in row["labels"].items())
        lines.append(f"{row['name']}{{{labels}}} {row['value']}")
    return "\n".join(lines) + "\n"


def escaped(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def unescaped(text):
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], text)


def parsed(text):
    """What a server of metrics answered: values by name and labels."""
    values = {}
    for line in text.splitlines():
        match = re.fullmatch(r'(\w+)(?:\{(.*)\})? (\S+)', line)
        if match and not line.startswith("#"):
            labels = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or "")
            values[key(match[1], {name: unescaped(text) for name, text in labels if name != "server"})] = float(match[3])
    return values


def board(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return json.load(file)


def targets(name):
    for panel in board(name)["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


def wait_for(what, condition, seconds=120):
    until = time.monotonic() + seconds
    while True:
        try:
            found = condition()
        except OSError:
            found = None
        if found:
            return found
        if time.monotonic() > until:
            raise SystemExit(f"FAILED: waited {seconds} s for {what}")
        time.sleep(0.2)


class Checks:
    def __init__(self):
        self.count, self.failed = 0, 0

    def __call__(self, holds, what):
        self.count += 1
        if not holds:
            self.failed += 1
            print("FAILED:", what)
        return holds

    def end(self):
        print(f"{self.count} checks")
        raise SystemExit(1 if self.failed or self.count == 0 else 0)


def quote(text):
    return urllib.parse.quote(text)
