"""A copy of the journal taken while the agent runs, and its way back.

A backup is a folder: `journal.sqlite`, a whole journal of this very kind, and `manifest.json`, which says what is in
it. It is an SQLite file whatever the store's database is: one format to check, readable without a server and by any
later version of PostgreSQL, and the way from one database to the other.
"""

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
from sqlalchemy import make_url

from cart_protocol.host.clock import Clock
from edge_agent.store.database import JournalError, look, open_engine, open_writer, shown
from edge_agent.store.schema import CART, CART_RECORD, ENTRY, HEAD, READ_TABLES
from edge_agent.store.verify import verify
from edge_agent.store.writer import DatabaseError, How, Statement, Writer, quoted

JOURNAL = "journal.sqlite"
MANIFEST = "manifest.json"
_FORMAT = 1
_ROWS = 2_000
_TABLES = (ENTRY, *READ_TABLES, CART_RECORD)


class BackupError(Exception):
    """A backup cannot be made, or cannot be used; the text says why and what to do."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup holds. `ends` is the last number of each partition; `sha256` that of the journal's file."""

    format: int = _FORMAT
    revision: str
    source: str
    taken_ms: int
    entries: int
    ends: dict[int, int]
    sha256: str


def backup(address: str, target: Path, clock: Clock) -> Manifest:
    """Copy the journal as it is at one moment into the new folder `target`; may run beside the agent.

    The folder appears whole or not at all.

    Raises:
        BackupError: the folder is there already, or cannot be written.
        JournalError: the journal cannot be read.
    """
    if target.exists():
        raise BackupError(f"{target}: is there already; name a folder that is not")
    draft = target.with_name(target.name + ".part")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True, mode=0o700)
        _copy(address, draft / JOURNAL)
        manifest = _describe(draft / JOURNAL, address, clock)
        (draft / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        for file in (draft / JOURNAL, draft / MANIFEST, draft):
            _settle(file)
        draft.rename(target)
        _settle(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"{target}: the backup cannot be written: {error}; is there room?") from error
    return manifest


def restore(source: Path, address: str, clock: Clock, *, replace: bool = False) -> Manifest:
    """Put the backup `source` where the agent looks for its journal. Stop the agent first.

    The backup is brought up to this program's tables in a copy and verified before anything else is touched. Into a
    journal that has entries it goes only with `replace`, which sets the old one aside and says nothing of it is lost.

    Raises:
        BackupError: the backup is damaged, the journal has entries, or it is in use. The journal is as it was.
        JournalError: the database cannot be written.
    """
    manifest = read_manifest(source)
    fresh = _checked(source, manifest)
    try:
        if make_url(address).get_backend_name() == "sqlite":
            _into_file(fresh, Path(make_url(address).database or ""), clock, replace=replace)
        else:
            _into_server(fresh, address, clock, replace=replace)
    finally:
        shutil.rmtree(fresh.parent, ignore_errors=True)
    found = verify(address)
    if not found.good or found.ends != manifest.ends:
        raise BackupError(f"{source}: restored to {shown(address)}, which does not verify: {found.findings[:3]}")
    return manifest


def read_manifest(source: Path) -> Manifest:
    """Return what a backup says of itself.

    Raises:
        BackupError: it is none, or of a newer program.
    """
    try:
        manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise BackupError(f"{source}: is no backup: {MANIFEST} cannot be read ({error.strerror})") from error
    except msgspec.MsgspecError as error:
        raise BackupError(f"{source}: {MANIFEST} cannot be used: {error}; was it made by a newer program?") from error
    if manifest.format != _FORMAT or manifest.revision > HEAD:
        raise BackupError(
            f"{source}: made by a newer program (format {manifest.format}, tables {manifest.revision}; this one knows "
            f"{_FORMAT} and {HEAD}); restore it with that"
        )
    return manifest


def _copy(address: str, file: Path) -> None:
    """Copy every table but the leases, in one look at the database."""
    if make_url(address).get_backend_name() == "sqlite":
        # All pages in one step: in WAL mode that holds up no writer, and what they write meanwhile is not in it. In
        # several steps it would begin anew with every commit of the agent (sqlite.org, "Online Backup API").
        with look(address), sqlite3.connect(make_url(address).database or "") as source:
            copy = sqlite3.connect(file)
            source.backup(copy)
            copy.execute("DELETE FROM lease")
            copy.commit()
            copy.close()
        source.close()
    else:
        made = open_writer(f"sqlite:///{file}")
        with look(address) as seen, made.transaction():
            _transfer(seen.writer, made)
        made.close()
    whole = sqlite3.connect(file)
    whole.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
    whole.close()


def _transfer(source: Writer, target: Writer) -> None:
    """Copy all rows from one journal to an empty one, in order of their keys."""
    for table in _TABLES:
        names = tuple(column.name for column in table.columns)
        add = Statement(how=How.ADD, table=table.name, columns=names)
        for rows in _pages(source, table.name, names, tuple(column.name for column in table.primary_key.columns)):
            target.write(add, rows)


def _pages(
    source: Writer, table: str, names: tuple[str, ...], key: tuple[str, ...]
) -> Iterator[list[tuple[object, ...]]]:
    at: tuple[object, ...] | None = None
    places = [names.index(name) for name in key]
    while True:
        after = f"WHERE ({quoted(key)}) > ({', '.join('?' for _ in key)})" if at else ""
        rows = source.read(
            f'SELECT {quoted(names)} FROM "{table}" {after} ORDER BY {quoted(key)} LIMIT {_ROWS}',  # noqa: S608 - the schema's
            at or (),
        )
        if rows:
            yield rows if table != CART.name else [_with_booleans(names, row) for row in rows]
        if len(rows) < _ROWS:
            return
        at = tuple(rows[-1][place] for place in places)


def _with_booleans(names: tuple[str, ...], row: tuple[object, ...]) -> tuple[object, ...]:
    """SQLite keeps truth as a number, PostgreSQL does not."""
    return tuple(bool(value) if name == "withdrawn" else value for name, value in zip(names, row, strict=True))


def _describe(file: Path, address: str, clock: Clock) -> Manifest:
    with look(f"sqlite:///{file}") as seen:
        rows = seen.writer.read('SELECT "partition", count(*), max("number") FROM "entry" GROUP BY "partition"')
    return Manifest(
        revision=HEAD, source=shown(address), taken_ms=clock.wall_ms(), entries=sum(row[1] for row in rows),
        ends={row[0]: row[2] for row in rows}, sha256=_checksum(file),
    )  # fmt: skip


def _checked(source: Path, manifest: Manifest) -> Path:
    """Return a copy of the backup's journal, beside it, at this program's tables and verified."""
    if _checksum(source / JOURNAL) != manifest.sha256:
        raise BackupError(f"{source}: {JOURNAL} is not what {MANIFEST} says (SHA-256 differs); use another backup")
    folder = source.with_name(source.name + ".restoring")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    copy = folder / JOURNAL
    shutil.copyfile(source / JOURNAL, copy)
    open_writer(f"sqlite:///{copy}").close()
    found = verify(f"sqlite:///{copy}")
    if found.good and (found.ends, found.entries) == (manifest.ends, manifest.entries):
        return copy
    shutil.rmtree(folder, ignore_errors=True)
    said = "; ".join(found.findings[:3]) or f"it ends at {found.ends}, not {manifest.ends}"
    raise BackupError(f"{source}: does not verify: {said}; use another backup")


def _into_file(fresh: Path, place: Path, clock: Clock, *, replace: bool) -> None:
    try:
        if place.exists() and _used(place) and not replace:
            raise BackupError(f"{place}: has entries; --replace sets it aside and restores")
        draft = place.with_name(place.name + ".restoring")
        shutil.copyfile(fresh, draft)
        _settle(draft)
        if place.exists():
            place.rename(place.with_name(f"{place.name}.replaced-{clock.wall_ms()}"))
        draft.rename(place)
        _settle(place.parent)
    except OSError as error:
        raise BackupError(f"{place}: cannot be written: {error.strerror}") from error


def _used(place: Path) -> bool:
    """Return whether the journal in a file has entries. Afterwards it is that one file, without a log beside it."""
    connection = sqlite3.connect(place, timeout=1)
    try:
        # Leaving WAL needs the file to oneself: an agent that runs, even one that is idle, makes it fail.
        connection.execute("PRAGMA journal_mode=DELETE")
        return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM entry)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        if "no such table" in str(error):
            return False
        raise BackupError(f"{place}: {error}; stop the agent first, or move what is no journal away") from error
    finally:
        connection.close()


def _into_server(fresh: Path, address: str, clock: Clock, *, replace: bool) -> None:
    engine = open_engine(address, limits=False)
    with engine.begin() as connection:
        sessions = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = '{}'"
        )
        if connection.exec_driver_sql(sessions.format("edge-agent")).scalar_one():
            raise BackupError(f"{shown(address)}: is in use; stop the agents first")
        there = connection.exec_driver_sql("SELECT to_regclass('public.entry') IS NOT NULL").scalar_one()
        used = there and connection.exec_driver_sql("SELECT EXISTS (SELECT 1 FROM public.entry)").scalar_one()
        if used and not replace:
            raise BackupError(f"{shown(address)}: has entries; --replace sets them aside and restores")
        if there:
            connection.exec_driver_sql(f"ALTER SCHEMA public RENAME TO replaced_{clock.wall_ms()}")
            connection.exec_driver_sql("CREATE SCHEMA public")
    try:
        target = open_writer(address)
        with look(f"sqlite:///{fresh}") as seen, target.transaction():
            _transfer(seen.writer, target)
        target.close()
    except DatabaseError as error:
        raise JournalError(f"journal {shown(address)}: cannot be written: {error}") from error


def _checksum(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BackupError(f"{file}: cannot be read: {error.strerror}") from error


def _settle(path: Path) -> None:
    """Have a file or folder on the disk, not only on its way there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
