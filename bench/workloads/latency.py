"""How soon a job starts on an idle machine."""
import json
import random
import statistics
import time

import peers
import psycopg2
from measure import size, workload
from server import SOCKET, stop, wait_until
from sync_job import SyncJobDatabase

JOBS = size('LATENCY_JOBS', 100, 1000)
WARM_UP = 5  # these first ones are not counted: processes start, plans are made


def spread(waits):
    waits = sorted(waits[WARM_UP:])
    return {'ms p50': statistics.median(waits), 'p99': waits[int(len(waits) * 0.99) - 1], 'max': waits[-1]}


def pause():
    time.sleep(random.uniform(0.02, 0.04))


def commit_one(connection, enqueue, args):
    """Enqueues in a transaction; the times (ms) at which COMMIT was sent (its flush to disk comes after that), and at which it
    had returned."""
    with connection.cursor() as cursor:
        cursor.execute(enqueue, args)
        sent = time.time() * 1000
        connection.commit()
        return sent, time.time() * 1000


def both_spreads(began, commits):
    """From the sending of COMMIT, and from its return."""
    spreads = spread([at - sent for at, (sent, _) in zip(began, commits)])
    after = spread([at - returned for at, (_, returned) in zip(began, commits)])
    return {**spreads, 'p50 from its return': after['ms p50'], 'p99 from its return': after['p99']}


def prepare_one(connection, enqueue, args):
    """The same for COMMIT PREPARED of a transaction that was prepared before, as at the end of a router's two-phase commit."""
    with connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute('BEGIN')
        cursor.execute(enqueue, args)
        cursor.execute("PREPARE TRANSACTION 'bench'")
        sent = time.time() * 1000
        cursor.execute("COMMIT PREPARED 'bench'")
        return sent, time.time() * 1000


def ours(commit=commit_one):
    with SyncJobDatabase() as session:
        session.run("""CREATE SCHEMA tell;
            CREATE FUNCTION tell.execute(sync_job sync_job, source_doc jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS
            $$ SELECT jsonb_build_object('diff', jsonb_build_object('at', extract(epoch FROM clock_timestamp()) * 1000)) $$;
            INSERT INTO sync_job_type (name, module, batchable) VALUES ('Tell', 'tell', true)""")
        connection = psycopg2.connect(host=SOCKET, user='postgres', dbname='sync_job_bench')
        sent = []
        for _ in range(JOBS + WARM_UP):
            sent.append(commit(connection, "SELECT enqueue_sync_job('Tell')", None))
            pause()
        connection.close()
        wait_until(lambda: session.value("SELECT count(*) FROM sync_job WHERE status = 'Finished'") == len(sent), 60)
        began = session.rows("SELECT (diff_summary->>'at')::float8 FROM sync_job ORDER BY id")
        return both_spreads([at for (at,) in began], sent)


def graphile():
    with peers.peer_database('graphile'):
        process = peers.node('graphile', {'task': 'latency', 'concurrency': 2})
        try:
            hear(process, 'ready')
            connection = psycopg2.connect(host=SOCKET, user='postgres', dbname='peer_bench')
            began, sent = [], []
            for number in range(JOBS + WARM_UP):
                sent.append(commit_one(connection, "SELECT graphile_worker.add_job('bench', json_build_object('id', %s))", [number]))
                began.append(hear(process, 'at'))
                pause()
            connection.close()
            return both_spreads(began, sent)
        finally:
            stop([process])


def by_client(script, **settings):
    """Where the client's own library enqueues: from the call on."""
    process = peers.node(script, {'task': 'latency', **settings}, stdin=peers.subprocess.PIPE)
    try:
        hear(process, 'ready')
        time.sleep(0.5)
        waits = []
        for number in range(JOBS + WARM_UP):
            process.stdin.write(f'{number}\n'.encode())
            process.stdin.flush()
            heard = {}
            while not {'added', 'at'} <= heard.keys():
                heard.update(json.loads(process.stdout.readline()))
            waits.append(heard['at'] - heard['added'])
            pause()
        return spread(waits)
    finally:
        process.stdin.close()
        stop([process])


def pg_boss():
    with peers.peer_database('pg_boss'):
        return by_client('pg_boss', batch=1, notify=True)


def bullmq():
    with peers.Redis(), peers.documents_database(1):
        return by_client('bullmq', concurrency=2)


def rq():
    with peers.Redis() as redis, peers.documents_database(1):
        from rq import Queue
        queue = Queue(connection=redis)
        running = peers.rq_workers(1, 'Worker')
        try:
            waits = []
            for number in range(JOBS + WARM_UP):
                sent = time.time() * 1000
                queue.enqueue('rq_tasks.tell_start', number, result_ttl=0)
                waits.append(float(redis.blpop('started', 60)[1].split()[1]) * 1000 - sent)
                pause()
            return spread(waits)
        finally:
            stop(running)


def hear(process, key):
    """The next message of the process that has the key."""
    while True:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(peers.tail_of_log())
        message = json.loads(line)
        if key in message:
            return message[key]


@workload('latency', 'From sending COMMIT until the job begins, idle machine', 'ms p50')
def latency(w):
    w.about = f'{JOBS} jobs, one at a time, 20 to 40 ms apart; the flush of the commit to disk is part of it'
    w.contender('pg_sync_job', ours)
    w.contender('graphile-worker', graphile)
    w.contender('pg-boss with NOTIFY', pg_boss)
    w.contender('BullMQ on Redis', bullmq)
    w.contender('RQ, forking worker', rq)
    for other in list(w.contenders)[1:]:
        w.ratio(other, 'pg_sync_job')


@workload('latency-prepared', 'From sending COMMIT PREPARED until the job begins, idle machine', 'ms p50')
def latency_prepared(w):
    w.about = f'{JOBS} jobs, one at a time, 20 to 40 ms apart'
    w.contender('COMMIT PREPARED', lambda: ours(prepare_one))
    w.contender('COMMIT', ours)
    w.ratio('COMMIT PREPARED', 'COMMIT')
