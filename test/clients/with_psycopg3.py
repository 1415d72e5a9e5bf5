# psycopg 3: binds in the server, numbers with their type and text without, and prepares what it runs a fifth time.
import os

import psycopg
from psycopg.types.json import Jsonb

from checks import check


class Client:
    failures = psycopg.Error
    json = staticmethod(Jsonb)
    prepares = True

    def __init__(self, address):
        self.connection = psycopg.connect(address, autocommit=True)
        self.listener = psycopg.connect(address, autocommit=True)

    def run(self, text, params):
        cursor = self.connection.execute(text, params)
        return cursor.fetchall() if cursor.description else []

    def transaction(self, work):
        with self.connection.transaction():
            work(self.run)

    def parsed(self, value):
        return value

    def cause(self, error):
        return error

    def listen(self, channel):
        self.listener.execute(f"LISTEN {channel}")
        self.heard = self.listener.notifies()

    def notifications(self):
        return [next(self.heard).payload]


check("psycopg 3", Client(os.environ["DATABASE_URL"]))
