"""Rows into tables at the driver's own speed: a few prepared statements per group, none of them per row.

SQLAlchemy describes the tables and moves them on; it is not on this path, where its work per row would cost several
times what the database takes (docs/PERFORMANCE.md). Both writers speak the same statements: SQLite runs one with many
rows, PostgreSQL takes the rows as arrays in one message.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from enum import StrEnum
from itertools import chain
from typing import Any, Protocol

import msgspec
from sqlalchemy import BigInteger, Boolean, Integer, LargeBinary, Table

Row = Sequence[Any]
_TOGETHER = 50
"""Rows that SQLite takes in one statement. With one row each, Python's driver lets go of the interpreter's lock for
every row and has to get it back from a busy loop; 50 of our widest rows stay below 999 values, SQLite's old limit."""


class DatabaseError(Exception):
    """What a database said, whichever it is."""

    @property
    def no_room(self) -> bool:
        """Whether its disk is full: SQLITE_FULL (sqlite.org/rescode.html), or PostgreSQL's disk_full."""
        said = self.__cause__
        return getattr(said, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL or getattr(said, "sqlstate", "") == "53100"


class How(StrEnum):
    ADD = "add"
    """A new row; one that is there already is an error."""
    PUT = "put"
    """The row as given, or, where it is there already, these columns of it."""
    SET = "set"
    """These columns of a row that is there."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with rows of a table. Rows hold the values of `columns`, in that order; for SET, `changes` then `key`.

    `changes` are the columns that PUT and SET change; `adds` those of them that are added to; `unset`, where given,
    names a column that must still be empty.
    """

    how: How
    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    unset: str = ""


class Writer(Protocol):
    """A database connection that writes groups of rows."""

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context: committed durably when left in peace, undone when left by an error.

        Raises:
            DatabaseError: the database refused; nothing of the transaction stays.
        """

    def write(self, statement: Statement, rows: Sequence[Row]) -> int:
        """Carry out and return how many rows were there or were made. Only within a transaction."""

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a query finds; each ? stands for a value.

        Raises:
            DatabaseError: the database refused.
        """

    def execute(self, sql: str) -> None:
        """Carry out a statement of any kind.

        Raises:
            DatabaseError: the database refused.
        """

    def close(self) -> None: ...


class SqliteWriter:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._sql: dict[tuple[Statement, int], str] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        try:
            # Immediate: a second writer waits here, before it has read what it is about to build on.
            self._cursor.execute("BEGIN IMMEDIATE")
            yield
            self._cursor.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):  # it may be closed
                self._connection.rollback()
            if isinstance(error, sqlite3.Error):
                raise DatabaseError(str(error)) from error
            raise

    def write(self, statement: Statement, rows: Sequence[Row]) -> int:
        written = 0
        try:
            if statement.how is not How.SET:
                together = len(rows) - len(rows) % _TOGETHER
                sql = self._of(statement, _TOGETHER)
                for first in range(0, together, _TOGETHER):
                    values = list(chain.from_iterable(rows[first : first + _TOGETHER]))
                    written += self._cursor.execute(sql, values).rowcount
                rows = rows[together:]
            if rows:
                written += self._cursor.executemany(self._of(statement, 1), rows).rowcount
        except sqlite3.Error as error:
            raise DatabaseError(str(error)) from error
        return written

    def _of(self, statement: Statement, rows: int) -> str:
        sql = self._sql.get((statement, rows))
        if sql is None:
            sql = self._sql[statement, rows] = some_rows(statement, "?", rows)
        return sql

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._cursor.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise DatabaseError(str(error)) from error

    def execute(self, sql: str) -> None:
        try:
            self._cursor.execute(sql)
        except sqlite3.Error as error:
            raise DatabaseError(str(error)) from error

    def close(self) -> None:
        self._connection.close()


def some_rows(statement: Statement, mark: str, rows: int) -> str:
    """Return the SQL that takes so many rows (one, for SET), `mark` standing for each value."""
    if statement.how is How.SET:
        return _update(statement, mark)
    values = f"({', '.join(mark for _ in statement.columns)})"
    return f"{_insert(statement)} VALUES {', '.join([values] * rows)}{_on_conflict(statement)}"


def all_rows(statement: Statement, mark: str, types: Sequence[str]) -> str:
    """Return the SQL that takes all rows at once, as one array per column of these PostgreSQL types."""
    arrays = ", ".join(f"{mark}::{kind}[]" for kind in types)
    return f"{_insert(statement)} SELECT * FROM unnest({arrays}){_on_conflict(statement)}"  # noqa: S608 - likewise


def type_names(table: Table, columns: Sequence[str]) -> tuple[str, ...]:
    """Return PostgreSQL's names of some columns' types."""
    return tuple(_type_name(table.c[name].type) for name in columns)


def quoted(names: Sequence[str]) -> str:
    """Return column names as SQL has them; `position` is a word of PostgreSQL's own."""
    return ", ".join(f'"{name}"' for name in names)


def _type_name(kind: object) -> str:
    for known, name in ((BigInteger, "bigint"), (Integer, "integer"), (Boolean, "boolean"), (LargeBinary, "bytea")):
        if isinstance(kind, known):
            return name
    return "text"


def _insert(statement: Statement) -> str:
    return f'INSERT INTO "{statement.table}" ({quoted(statement.columns)})'


def _on_conflict(statement: Statement) -> str:
    if statement.how is How.ADD:
        return ""
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in statement.changes)
    still = f' WHERE "{statement.table}"."{statement.unset}" IS NULL' if statement.unset else ""
    return f" ON CONFLICT ({quoted(statement.key)}) DO UPDATE SET {changes}{still}"


def _update(statement: Statement, mark: str) -> str:
    changes = ", ".join(
        f'"{name}" = "{name}" + {mark}' if name in statement.adds else f'"{name}" = {mark}'
        for name in statement.changes
    )
    condition = " AND ".join(f'"{name}" = {mark}' for name in statement.key)
    still = f' AND "{statement.unset}" IS NULL' if statement.unset else ""
    return f'UPDATE "{statement.table}" SET {changes} WHERE {condition}{still}'  # noqa: S608 - names are the schema's
