"""The journal's writer on PostgreSQL, by psycopg 3. A group of rows is one prepared statement over arrays.

COPY would take still less of our time, but a process that is frozen while it feeds a COPY holds its transaction, and
with it the lease, for as long as it stays frozen: no timeout of the server ends that (see `LIMITS`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql

from edge_agent.store.schema import METADATA
from edge_agent.store.writer import DatabaseError, How, Row, Statement, all_rows, some_rows, type_names

LIMITS = {
    "idle_in_transaction_session_timeout": "2s",
    "lock_timeout": "5s",
    "statement_timeout": "60s",
    "synchronous_commit": "on",
}
"""What the server holds a session of ours to. An agent that is frozen inside a transaction loses it after two seconds,
so that whoever takes its carts over does not wait for its locks (PostgreSQL manual, section 20.11)."""


REACH = {
    "connect_timeout": "5",
    "keepalives_idle": "2",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    "tcp_user_timeout": "4000",
}
"""How soon a server that fell silent is noticed (libpq, "Parameter Key Words"): a parted network must not look like a
slow disk. Of no effect on a unix socket."""


def settings() -> str:
    """Return LIMITS as the connection option 'options' takes them."""
    return " ".join(f"-c {name}={value}" for name, value in LIMITS.items())


class PostgresWriter:
    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        connection.autocommit = True  # BEGIN and COMMIT are ours to place
        self._connection = connection
        self._cursor = connection.cursor(binary=True)
        self._for_one: dict[Statement, sql.SQL] = {}
        self._for_all: dict[Statement, sql.SQL] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        try:
            self._cursor.execute("BEGIN")
            yield
            self._cursor.execute("COMMIT")
        except BaseException as error:
            with suppress(psycopg.Error):  # it may be gone
                self._connection.rollback()
            if isinstance(error, psycopg.Error):
                raise DatabaseError(str(error)) from error
            raise

    def write(self, statement: Statement, rows: Sequence[Row]) -> int:
        try:
            if statement.how is How.SET or len(rows) == 1:
                return self._one_by_one(statement, rows)
            return self._all_at_once(statement, rows)
        except psycopg.Error as error:
            raise DatabaseError(str(error)) from error

    def read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._cursor.execute(sql.SQL(query.replace("?", "%s")), values, prepare=True).fetchall()
        except psycopg.Error as error:
            raise DatabaseError(str(error)) from error

    def execute(self, query: str) -> None:
        try:
            self._cursor.execute(sql.SQL(query))
        except psycopg.Error as error:
            raise DatabaseError(str(error)) from error

    def close(self) -> None:
        self._connection.close()

    def _one_by_one(self, statement: Statement, rows: Sequence[Row]) -> int:
        one = self._for_one.get(statement)
        if one is None:
            one = self._for_one[statement] = sql.SQL(some_rows(statement, "%b", 1))
        return sum(self._cursor.execute(one, row, prepare=True).rowcount for row in rows)

    def _all_at_once(self, statement: Statement, rows: Sequence[Row]) -> int:
        every = self._for_all.get(statement)
        if every is None:
            types = type_names(METADATA.tables[statement.table], statement.columns)
            every = self._for_all[statement] = sql.SQL(all_rows(statement, "%b", types))
        columns = [list(column) for column in zip(*rows, strict=True)]
        return self._cursor.execute(every, columns, prepare=True).rowcount
