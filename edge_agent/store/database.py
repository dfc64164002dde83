"""The journal's database opened: which one, how safely it writes, and its tables brought up to this program."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import URL, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from edge_agent.store.schema import HEAD, READ_TABLES
from edge_agent.store.upgrade import bring_up_to_date, revision_of
from edge_agent.store.writer import DatabaseError, SqliteWriter, Writer

_BUSY_MS = 5_000
"""How long SQLite waits for a reader's lock (a backup, a person with SQL) before an append fails."""
_KEPT_LOG = 64 << 20
"""Bytes to which SQLite cuts its write-ahead log after it grew: a long reader keeps it from being used again."""
_POSTGRESQL = "postgresql"
AGENT_SESSION = "edge-agent"
"""What PostgreSQL's list of sessions calls those of an agent."""
_STORED = {"sqlite": "main", _POSTGRESQL: "public"}
_TEMPORARY = {"sqlite": "temp", _POSTGRESQL: "pg_temp"}


class JournalError(Exception):
    """The journal cannot be opened, read or written; the text says which and what to do."""


def open_writer(address: str) -> Writer:
    """Return the writer on a database, whose tables are made or brought up to date first.

    Raises:
        JournalError: it cannot be opened.
    """
    try:
        engine = open_engine(address)
        with engine.begin() as connection:
            bring_up_to_date(connection)
        return _writer_on(engine)
    except SQLAlchemyError as error:
        raise JournalError(
            f"journal {shown(address)}: cannot be opened: {said(error)}; check the address and its rights"
        ) from error


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """The database as it is at one moment: `stored` and `temporary` are the schemas of real and temporary tables."""

    writer: Writer
    dialect: Dialect
    stored: str
    temporary: str


@contextmanager
def look(address: str, *, change: bool = False) -> Iterator[Look]:
    """Open the journal at `address` in one transaction, which sees nothing of what the agent does meanwhile.

    What was done in it is undone at the end; with `change` it is committed, and everybody else waits until then.

    Raises:
        JournalError: there is no journal, its tables are of another version, or the database said no.
    """
    url = make_url(address)
    if url.get_backend_name() == "sqlite" and not (url.database and Path(url.database).is_file()):
        raise JournalError(f"journal {shown(address)}: is not there; has the agent ever run?")
    try:
        engine = open_engine(address, limits=False)
        with engine.connect() as connection:
            found = revision_of(connection)
        if found != HEAD:
            raise JournalError(
                f"journal {shown(address)}: its tables are at revision {found}, this program is at {HEAD}; start the "
                "agent once, which brings them up to date"
            )
        writer = _writer_on(engine)
        try:
            with _snapshot(writer, engine, change=change):
                yield Look(
                    writer=writer, dialect=engine.dialect, stored=_STORED[engine.dialect.name],
                    temporary=_TEMPORARY[engine.dialect.name],
                )  # fmt: skip
        finally:
            writer.close()
    except SQLAlchemyError as error:
        raise JournalError(f"journal {shown(address)}: cannot be read: {said(error)}") from error
    except DatabaseError as error:
        raise JournalError(f"journal {shown(address)}: cannot be read: {error}") from error


@contextmanager
def _snapshot(writer: Writer, engine: Engine, *, change: bool) -> Iterator[None]:
    if engine.dialect.name == _POSTGRESQL:
        writer.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        if change:
            for table in ("entry", *(table.name for table in READ_TABLES)):
                writer.execute(f'LOCK TABLE "{table}" IN EXCLUSIVE MODE')
    else:
        writer.execute("BEGIN IMMEDIATE" if change else "BEGIN")
    try:
        yield
    except BaseException:
        with suppress(DatabaseError):
            writer.execute("ROLLBACK")
        raise
    writer.execute("COMMIT" if change else "ROLLBACK")


def open_engine(address: str, *, limits: bool = True) -> Engine:
    """Return an engine whose every connection writes safely. Opens nothing yet.

    Without `limits` PostgreSQL lets a session of ours take its time: for looking, not for the agent.

    Raises:
        JournalError: the address is none, or of a database that we do not write to.
    """
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise JournalError(f"journal {address!r}: is no address: {error}") from error
    if url.get_backend_name() == _POSTGRESQL:
        return create_engine(_with_limits(url) if limits else url, poolclass=NullPool)
    if url.get_backend_name() != "sqlite":
        raise JournalError(f"journal {shown(address)}: is neither sqlite:///FILE nor postgresql+psycopg://…")
    # Appends run on worker threads, one at a time; SQLite's own check would forbid even that.
    engine = create_engine(url, connect_args={"check_same_thread": False}, poolclass=NullPool)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def shown(address: str) -> str:
    """Return an address without its password."""
    try:
        return make_url(address).render_as_string(hide_password=True)
    except ArgumentError:
        return repr(address)


def said(error: SQLAlchemyError) -> str:
    """Return what the database itself said, without the statement around it."""
    return str(error.orig) if isinstance(error, DBAPIError) else str(error)


def driver_on(engine: Engine) -> Any:  # noqa: ANN401 - a connection of sqlite3 or psycopg
    """Return a driver's own connection; the caller closes it."""
    raw = engine.raw_connection()
    driver = raw.driver_connection
    raw.detach()  # ours from now on: no pool takes it back
    return driver


def _writer_on(engine: Engine) -> Writer:
    driver = driver_on(engine)
    if engine.dialect.name == _POSTGRESQL:
        from edge_agent.store.postgresql import PostgresWriter  # noqa: PLC0415 - and psycopg with it

        return PostgresWriter(driver)
    return SqliteWriter(driver)


def _with_limits(url: URL) -> URL:
    from edge_agent.store.postgresql import REACH, settings  # noqa: PLC0415 - and psycopg with it

    given = url.query.get("options", "")
    options = f"{settings()} {given if isinstance(given, str) else ' '.join(given)}".strip()
    return url.update_query_dict({**REACH, "options": options, "application_name": AGENT_SESSION})


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Make commits durable: WAL + FULL lost nothing in 5,370 simulated power cuts, NORMAL did."""
    # Python's own BEGIN leaves out changes of tables: a migration that fails half way would stay half way.
    connection.isolation_level = None
    cursor = connection.cursor()
    # secure_delete zeroes what is replaced: see edge_agent/store/erasure.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_BUSY_MS}", "foreign_keys=ON",
                   "secure_delete=ON"):  # fmt: skip
        cursor.execute(f"PRAGMA {pragma}")
    cursor.execute(f"PRAGMA journal_size_limit={_KEPT_LOG}")
    cursor.close()
