# Django: its connection, which is in autocommit outside atomic(), and its way to call a function.
import json
import os
from urllib.parse import urlparse

import django
from django.conf import settings
from django.db import connection, transaction, utils
from psycopg2.extras import Json

from checks import check, same

url = urlparse(os.environ["DATABASE_URL"])
settings.configure(USE_TZ=True, DATABASES={"default": {
    "ENGINE": "django.db.backends.postgresql", "HOST": url.hostname, "PORT": url.port, "NAME": url.path[1:],
    "USER": url.username, "PASSWORD": url.password}})
django.setup()


class Client:
    failures = utils.Error
    json = staticmethod(Json)

    def run(self, text, params):
        with connection.cursor() as cursor:
            cursor.execute(text, params)
            return cursor.fetchall() if cursor.description else []

    def transaction(self, work):
        with transaction.atomic():
            work(self.run)

    def parsed(self, value):  # outside of its models, Django gives jsonb as text
        return json.loads(value)

    def cause(self, error):
        return error.__cause__


with connection.cursor() as cursor:
    cursor.callproc("enqueue_sync_job", ["Mailing List", "CUST-2"])
    job = cursor.fetchone()[0]
    cursor.callproc("get_sync_job_status", [job])
    same(cursor.fetchone()[0] in ("Queued", "Started", "Finished"), True)
    cursor.execute("CALL wait_for_sync_job(%s)", [job])
check("Django", Client())
