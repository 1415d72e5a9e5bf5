# SQLAlchemy: text() with named parameters, on a connection in autocommit.
import os
import re

import sqlalchemy
from sqlalchemy.dialects.postgresql import JSONB

from checks import check


class Value:
    """A parameter that SQLAlchemy has to be told the type of."""

    def __init__(self, value):
        self.value = value


class Client:
    failures = sqlalchemy.exc.DBAPIError
    json = Value

    def __init__(self):
        self.engine = sqlalchemy.create_engine(os.environ["DATABASE_URL"])
        self.connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def run(self, text, params, connection=None):
        numbers = iter(range(len(params)))
        statement = sqlalchemy.text(re.sub("%s", lambda _: f":p{next(numbers)}", text).replace("\\", "\\\\"))
        for i, value in enumerate(params):
            json = isinstance(value, Value)
            statement = statement.bindparams(sqlalchemy.bindparam(f"p{i}", value.value if json else value, type_=JSONB if json else None))
        result = (connection or self.connection).execute(statement)
        return [tuple(row) for row in result] if result.returns_rows else []

    def transaction(self, work):
        with self.engine.begin() as connection:
            work(lambda text, params: self.run(text, params, connection))

    def parsed(self, value):
        return value

    def cause(self, error):
        return error.orig


check("SQLAlchemy", Client())
