# PgBouncer in transaction mode, with one connection to the server: all that works there, and what does not.
import os
import subprocess
import threading
import time

from psycopg2.extensions import make_dsn, parse_dsn

from checks import check, enqueue, same, wait
from with_psycopg2 import Client, Listener, connect

folder = os.getcwd()
server = parse_dsn(os.environ["DATABASE_URL"])
with open("pgbouncer.ini", "w") as file:
    file.write(f"""[databases]
jobs = host={server["host"]} port={server["port"]} dbname={server["dbname"]} user={server["user"]} password={server["password"]}
[pgbouncer]
pool_mode = transaction
default_pool_size = 1
auth_type = any
admin_users = app
listen_addr =
unix_socket_dir = {folder}
unix_socket_mode = 0700
listen_port = 6432
""")
pgbouncer = subprocess.Popen(["/usr/sbin/pgbouncer", "-q", "pgbouncer.ini"])


def through_the_pool(make, dbname="jobs"):
    return make(make_dsn(host=folder, port=6432, dbname=dbname, user="app"))


def until(what, condition):
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end or pgbouncer.poll() is not None:
            raise AssertionError(f"not within a minute: {what}")
        time.sleep(0.05)


def notifications(client):
    """LISTEN hears nothing, and is no error: the connection that listens is not the client's."""
    direct, pooled = Listener(os.environ["DATABASE_URL"]), through_the_pool(Listener)
    direct.listen("sync_job")
    pooled.listen("sync_job")
    job = enqueue(client.run, "CUST-1")
    wait(client.run, job)
    until("a notification", lambda: any(f'"sync_job": {job},' in payload for payload in direct.notifications()))
    same(pooled.notifications(), [])


def waiting(client):
    """A wait holds its connection to the server: here the only one."""
    direct = Client(os.environ["DATABASE_URL"])
    job = enqueue(direct.run, "CUST-1", ", scheduled_at => 'infinity'")
    answers = {}

    def ask(text, params):
        answers[text] = through_the_pool(Client).run(text, params)

    console = through_the_pool(connect, "pgbouncer").cursor()

    def clients(state):
        console.execute("SHOW POOLS")
        names = [column.name for column in console.description]
        return sum(row[names.index(state)] for row in console.fetchall() if row[0] == "jobs")

    threads = [threading.Thread(target=ask, args=("CALL wait_for_sync_job(%s)", [job])), threading.Thread(target=ask, args=("SELECT 1", []))]
    threads[0].start()
    until("the wait is in the server", lambda: direct.run("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL wait%%' AND state = 'active'", []) == [(1,)])
    threads[1].start()
    until("another waits for the connection", lambda: clients("cl_waiting") == 1)
    same(answers, {})
    direct.run("SELECT cancel_sync_job(%s)", [job])
    for thread in threads:
        thread.join()
    same(answers, {"CALL wait_for_sync_job(%s)": [], "SELECT 1": [(1,)]})


try:
    until("PgBouncer is up", lambda: os.path.exists(f"{folder}/.s.PGSQL.6432"))
    client = through_the_pool(Client)
    check("PgBouncer", client)
    check("PgBouncer", client, {"LISTEN hears nothing": notifications, "a wait holds a connection to the server": waiting})
finally:
    pgbouncer.terminate()
    pgbouncer.wait()
