"""The log checked against itself, and the read tables against the log: both made anew from it and compared row by row.

It all happens in one look at the database that the running agent does not disturb, and that does not disturb it. The
tables made anew are temporary ones of the same names, which hide the real ones from the very statements that the
journal itself writes with: there is one projection, not two.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Table
from sqlalchemy.schema import CreateTable

from edge_agent.core.events import (
    CartReported,
    CartSnapshotAdopted,
    Fact,
    RecordDropped,
    RecordKept,
    StoreEvent,
    UnreadableFactError,
    decode,
    kind_of,
    stream_of,
)
from edge_agent.store import cart_records
from edge_agent.store.database import JournalError, Look, look, shown
from edge_agent.store.projections import Changes, ProjectionError
from edge_agent.store.schema import READ_TABLES
from edge_agent.store.writer import DatabaseError, Row, Writer, quoted

_PAGE = 2_000
MOST_SHOWN = 20
"""Differences listed per table; the rest are counted."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `ends` is the last number of each partition; `findings` is empty when all is well."""

    entries: int
    ends: Mapping[int, int]
    findings: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not self.findings


def verify(address: str) -> Report:
    """Check the journal at `address`; may run beside the agent. Changes nothing.

    Raises:
        JournalError: there is no journal, it cannot be read, or its tables are of another version.
    """
    with look(address) as seen:
        log = _Log()
        _make_temporary(seen)
        whole = _fold(seen.writer, log)
        findings = log.findings
        if whole:
            for table in READ_TABLES:
                findings += _differences(seen, table)
            findings += cart_records.differences(seen.writer, log.records)
        else:
            findings.append("the read tables were not compared, since the log cannot be followed to its end")
        return Report(entries=log.entries, ends=log.ends, findings=tuple(findings))


def rebuild(address: str) -> int:
    """Make every read table anew from the log, in one transaction; return how many entries there are.

    Raises:
        JournalError: the log itself is damaged (see `verify`), or the journal cannot be written. Nothing was changed.
    """
    log = _Log()
    with look(address, change=True) as seen:
        for table in READ_TABLES:
            seen.writer.execute(f'DELETE FROM "{table.name}"')  # noqa: S608 - names are the schema's
        if not _fold(seen.writer, log) or log.findings:
            raise JournalError(
                f"journal {shown(address)}: the log itself is damaged ({log.findings[0]}); nothing was changed, "
                "restore a backup"
            )
    return log.entries


class _Log:
    """Follows the log and notes what cannot be."""

    def __init__(self) -> None:
        self.entries = 0
        self.ends: dict[int, int] = {}
        self.findings: list[str] = []
        self.records: dict[str, RecordKept] = {}
        """Carts' records that must be there."""
        self._fence = 0
        self._streams: dict[str, tuple[int, int]] = {}

    def entry(self, row: Row) -> StoreEvent | None:
        """Check one entry, its time left out, and return its event; None where it cannot be read."""
        partition, number, fence, stream, kind, body = row
        self.entries += 1
        last = self.ends.get(partition, 0)
        name = f"entry {number}" + (f" of partition {partition}" if partition else "")
        if number != last + 1:
            missing = f"{last + 1}" if number == last + 2 else f"{last + 1} to {number - 1}"
            self.findings.append(f"{name}: {missing} before it is missing")
        self._fence = fence if partition not in self.ends else self._fence
        if fence < self._fence:
            self.findings.append(f"{name}: written under fence {fence} after fence {self._fence}")
        self._fence = fence
        self.ends[partition] = number
        try:
            event = decode(body)
        except UnreadableFactError as error:
            self.findings.append(f"{name}: {error}")
            return None
        if (kind_of(event), stream_of(event)) != (kind, stream):
            self.findings.append(f"{name}: says {kind} of {stream}, is {kind_of(event)} of {stream_of(event)}")
        self._follow(name, event)
        return event

    def _follow(self, name: str, event: object) -> None:
        match event:
            case CartReported(cart=cart, epoch=epoch, recorded=recorded):
                known = self._streams.get(cart)
                if (epoch, recorded.seq) != ((known[0], known[1] + 1) if known else (epoch, 1)):
                    before = f"after {known[0]}/{known[1]}" if known else "as its first"
                    self.findings.append(f"{name}: cart {cart} reports {epoch}/{recorded.seq} {before}")
                self._streams[cart] = (epoch, recorded.seq)
            case CartSnapshotAdopted(cart=cart, position=position):
                self._streams[cart] = (position.epoch, position.seq)
            case RecordKept(record=record):
                self.records[record] = event
            case RecordDropped(record=record):
                self.records.pop(record, None)


def _fold(writer: Writer, log: _Log) -> bool:
    """Project the whole log into the tables of those names; return whether it could be followed to its end."""
    at = (-1, 0)
    while True:
        page = writer.read(
            'SELECT "at_ms", "partition", "number", "fence", "stream", "kind", "body" FROM "entry" '
            'WHERE ("partition", "number") > (?, ?) ORDER BY "partition", "number" LIMIT ?',
            (*at, _PAGE),
        )
        changes = Changes()
        try:
            for at_ms, *row in page:
                at = (row[0], row[1])
                event = log.entry(row)
                if event is None:
                    return False
                changes.project(Fact(at_ms, event))
                _move(changes, event)
            changes.write(writer)
        except (ProjectionError, DatabaseError) as error:
            log.findings.append(f"entries up to {at[1]} contradict themselves: {error}")
            return False
        if len(page) < _PAGE:
            return True


def _move(changes: Changes, event: object) -> None:
    match event:
        case CartReported(cart=cart, epoch=epoch, recorded=recorded):
            changes.position(cart, epoch, recorded.seq)
        case CartSnapshotAdopted(cart=cart, position=position):
            changes.position(cart, position.epoch, position.seq)


def _make_temporary(seen: Look) -> None:
    for table in READ_TABLES:
        made = str(CreateTable(table).compile(dialect=seen.dialect))
        seen.writer.execute(made.replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1))


def _differences(seen: Look, table: Table) -> list[str]:
    names = [column.name for column in table.columns]
    key = [column.name for column in table.primary_key.columns]
    stored = _only_in(seen, table.name, names, seen.stored, seen.temporary)
    said = _only_in(seen, table.name, names, seen.temporary, seen.stored)
    by_key = {tuple(row[name] for name in key): row for row in said}
    found = []
    for row in stored:
        values = tuple(row[name] for name in key)
        named = f"{table.name} {'/'.join(map(str, values))}"
        other = by_key.pop(values, None)
        if other is None:
            found.append(f"{named}: is there, and the log knows nothing of it")
        else:
            parts = [
                f"{name} is {row[name]!r}, the log says {other[name]!r}" for name in names if row[name] != other[name]
            ]
            found.append(f"{named}: {'; '.join(parts)}")
    found += [f"{table.name} {'/'.join(map(str, values))}: is missing" for values in by_key]
    if len(found) > MOST_SHOWN:
        return [*found[:MOST_SHOWN], f"{table.name}: and {len(found) - MOST_SHOWN} differences more"]
    return found


def _only_in(seen: Look, table: str, names: list[str], here: str, there: str) -> list[dict[str, Any]]:
    columns = quoted(names)
    rows = seen.writer.read(
        f'SELECT {columns} FROM {here}."{table}" EXCEPT SELECT {columns} FROM {there}."{table}"'  # noqa: S608 - likewise
    )
    return [dict(zip(names, row, strict=True)) for row in sorted(rows, key=repr)]
