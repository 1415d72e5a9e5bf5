"""Sends documents to a web server as usual in Python: a table of jobs, claimed in batches; threads, each with a connection that is kept;
answers are written back in batches. No transaction is open while it waits.

    http_worker.py '{"dsn": …, "port": …, "threads": 64}'

It prints {"first": milliseconds} when it begins, and {"done": jobs} from time to time.
"""
import collections
import concurrent.futures
import http.client
import json
import sys
import threading
import time

import psycopg2
import psycopg2.extras

SETTINGS = json.loads(sys.argv[1])
AHEAD = SETTINGS['threads'] * 3 // 2
local = threading.local()


def send(job, document):
    if not hasattr(local, 'connection'):
        local.connection = http.client.HTTPConnection('127.0.0.1', SETTINGS['port'], timeout=30)
    local.connection.request('PUT', f'/products/{document["sku"]}', json.dumps(document),
                             {'Content-Type': 'application/json', 'Idempotency-Key': f'python-{job}-1'})
    answer = local.connection.getresponse()
    body = answer.read()
    return job, document['sku'], json.loads(body)['id'] if answer.status == 200 else None


def claim(cursor, count):
    cursor.execute('''UPDATE push_job AS j SET status = 'started' FROM source AS s
        WHERE j.id IN (SELECT id FROM push_job WHERE status = 'queued' ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED) AND s.id = j.source
        RETURNING j.id, jsonb_build_object('sku', s.code, 'name', s.full_name, 'version', 1)''', [count])
    return cursor.fetchall()


def record(cursor, ended):
    psycopg2.extras.execute_values(cursor, '''WITH answer (job, sku, shop_id) AS (VALUES %s),
        written AS (UPDATE source AS s SET shop_id = a.shop_id FROM answer AS a WHERE s.code = a.sku AND a.shop_id IS NOT NULL)
        UPDATE push_job AS j SET status = CASE WHEN a.shop_id IS NULL THEN 'failed' ELSE 'done' END, ended_at = clock_timestamp()
        FROM answer AS a WHERE j.id = a.job''', ended, page_size=1000)


def say(**message):
    print(json.dumps(message), flush=True)


def main():
    connection = psycopg2.connect(SETTINGS['dsn'])
    cursor = connection.cursor()
    under_way, done = collections.deque(), 0
    say(first=time.time() * 1000)
    with concurrent.futures.ThreadPoolExecutor(SETTINGS['threads']) as pool:
        while True:
            ended = []
            while under_way and under_way[0].done():
                ended.append(under_way.popleft().result())
            if ended:
                record(cursor, ended)
            if len(under_way) < AHEAD:
                for job, document in claim(cursor, AHEAD - len(under_way)):
                    under_way.append(pool.submit(send, job, document))
            connection.commit()
            if ended:
                done += len(ended)
                say(done=done)
            if under_way:
                concurrent.futures.wait([under_way[0]])
            else:
                time.sleep(0.05)


main()
