"""The functions that RQ's workers call."""
import os
import time

import psycopg2
import redis

_connection = None


def noop(_id):
    pass


def sync_row(source_id):
    """The real sync in its obvious form: read, look up, compare, write. A forked worker connects again for each job."""
    global _connection
    if _connection is None:
        _connection = psycopg2.connect(os.environ['BENCH_DSN'])
    with _connection, _connection.cursor() as cursor:
        cursor.execute('SELECT code, full_name, territory, credit_limit, disabled FROM source WHERE id = %s', [source_id])
        code, *fields, disabled = cursor.fetchone()
        fields.append(not disabled)
        cursor.execute('SELECT id, name, region, credit_limit, active FROM target WHERE external_code = %s', [code])
        target = cursor.fetchone()
        if target is None:
            cursor.execute('INSERT INTO target (external_code, name, region, credit_limit, active) '
                           'VALUES (%s, %s, %s, %s, %s)', [code, *fields])
        elif list(target[1:]) != fields:
            cursor.execute('UPDATE target SET name = %s, region = %s, credit_limit = %s, active = %s WHERE id = %s',
                           [*fields, target[0]])


def tell_start(number):
    """Tells the process that waits for it when the job began."""
    at = time.time()
    redis.Redis(unix_socket_path=os.environ['BENCH_REDIS']).rpush('started', f'{number} {at!r}')
