# psycopg2, in autocommit as CALL wait_for_sync_job() asks for.
import os
import select

import psycopg2
from psycopg2.extras import Json

from checks import check


def connect(address):
    connection = psycopg2.connect(address)
    connection.autocommit = True
    return connection


class Client:
    failures = psycopg2.Error
    json = staticmethod(Json)

    def __init__(self, address):
        self.connection = connect(address)

    def run(self, text, params):
        with self.connection.cursor() as cursor:
            cursor.execute(text, params)
            return cursor.fetchall() if cursor.description else []

    def transaction(self, work):
        self.connection.autocommit = False
        try:
            with self.connection:
                work(self.run)
        finally:
            self.connection.autocommit = True

    def parsed(self, value):
        return value

    def cause(self, error):
        return error


class Listener(Client):
    """That one, and a connection that listens."""

    def __init__(self, address):
        super().__init__(address)
        self.listener = connect(address)

    def listen(self, channel):
        self.listener.cursor().execute(f"LISTEN {channel}")

    def notifications(self):
        select.select([self.listener], [], [], 1)
        self.listener.poll()
        payloads = [notification.payload for notification in self.listener.notifies]
        self.listener.notifies.clear()
        return payloads


if __name__ == "__main__":
    check("psycopg2", Listener(os.environ["DATABASE_URL"]))
