"""The cart's memory on disk: events not yet acknowledged, the basket they led to, and which commands were answered.

SQLite in WAL mode with synchronous=FULL: what was committed survives a power cut (reference/messaging, section 2.5).
The file belongs to one cart for its life. Restoring an old copy of it would number new events like old ones: a cart
whose disk is restored starts without it, which begins a new epoch.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cart_protocol.basket import (
    Basket,
    BasketFrozen,
    BasketThawed,
    CartEvent,
    CommandRefused,
    Position,
    SessionBegan,
    SessionEnded,
    Withdrawn,
)
from cart_protocol.codec import MalformedError, convert_tolerantly
from cart_protocol.exchange import LocalProtocolError, OutboxFullError
from cart_protocol.host.disk_reserve import DiskReserve
from cart_protocol.ids import CommandId, Epoch, Seq
from cart_protocol.messages import CartTime, PriceBookIssue, Recorded

RESERVE = 64
"""Places above the bound for urgent events: the end of a session, faults, removals."""
LOW_ON_PLACES = 0.8
"""Part of the places that may be taken before staff should hear of it."""
LOW_ON_DISK = 64 << 20
"""Bytes of free disk below which staff should hear of it."""
_ROOM = 256 << 10
"""Bytes of free disk that an event surely fits into: a few pages of the log and of the file."""
_ANSWERS_KEPT = 4_096
"""Commands expire within minutes; these are weeks of them."""
_BUSY_S = 2.0
_SCHEMA_VERSION = 1
_SCHEMA = (
    "CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, acknowledged INTEGER)",
    "CREATE TABLE event (seq INTEGER PRIMARY KEY, at BLOB NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE basket (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE price_book (one INTEGER PRIMARY KEY CHECK (one = 1), body BLOB NOT NULL)",
    "CREATE TABLE answered (number INTEGER PRIMARY KEY, command TEXT NOT NULL UNIQUE)",
)
_TIME: "msgspec.json.Decoder[CartTime]" = msgspec.json.Decoder(CartTime)
_EVENT: "msgspec.json.Decoder[CartEvent]" = msgspec.json.Decoder(CartEvent)
_BASKET: "msgspec.json.Decoder[Basket]" = msgspec.json.Decoder(Basket)
_PRICE_BOOK: "msgspec.json.Decoder[PriceBookIssue]" = msgspec.json.Decoder(PriceBookIssue)
_Kept = TypeVar("_Kept")


class OutboxError(Exception):
    """An outbox that cannot be opened; the text says what was found and what to do."""


class OutboxInUseError(OutboxError):
    """Another program has the file open."""


class SqliteOutbox:
    """The outbox in `path`, made with `epoch_source` as its epoch where there is none.

    A damaged file is renamed and kept as evidence: `replaced` says where; a new outbox and a new epoch begin, and the
    store asks for a snapshot. Calls may come from any thread; one at a time is served.

    Args:
        path: The database; its folder must exist.
        capacity: Unacknowledged events kept; urgent ones may use RESERVE more.
        epoch_source: 1 to 2**53 - 1, different for each new outbox of a cart: random bits, or the wall clock.
        disk_reserve: Bytes laid by beside the file, for urgent events when the disk is full.

    Raises:
        OutboxError: another program has the file open, a newer version of this one wrote it, or the disk fails.
    """

    def __init__(self, path: Path, capacity: int, epoch_source: int, disk_reserve: int = 0) -> None:
        if not 1 <= epoch_source < 2**53:
            raise LocalProtocolError(f"an epoch is 1 to 2**53 - 1, not {epoch_source}")
        self.replaced: Path | None = None
        self._path, self._capacity = path, capacity
        self._reserve = DiskReserve(path.with_name(f"{path.name}.reserve"), disk_reserve)
        self._lock = threading.Lock()
        self._database = self._opened(epoch_source)
        epoch, acknowledged = self._row("SELECT epoch, acknowledged FROM meta")
        (seq,) = self._row("SELECT seq FROM basket")
        self._position, self._acknowledged = Position(epoch=Epoch(epoch), seq=Seq(seq)), int(acknowledged)
        self._reserve.lay_by()

    def _opened(self, epoch_source: int) -> sqlite3.Connection:
        try:
            return _open(self._path, epoch_source)
        except _DamagedError:
            self.replaced = _set_aside(self._path)
        except _NoRoomError:
            # The log that a killed program left makes the file grow when it is brought in; then the log gives its room.
            if not self._reserve.give_back():
                raise
        return _open(self._path, epoch_source)

    @property
    def position(self) -> Position:
        """The last event recorded."""
        return self._position

    @property
    def acknowledged(self) -> int:
        """The last event that was pruned."""
        return self._acknowledged

    def basket(self) -> Basket:
        """Return the basket after the last recorded event; a fresh copy each time."""
        (body,) = self._row("SELECT body FROM basket")
        return _decode(body, _BASKET)

    def record(
        self, events: Sequence[CartEvent], at: CartTime, basket: Basket, *, urgent: bool = False
    ) -> list[Recorded]:
        """Store the events, the basket after them and the commands they answer: all of it durably, or nothing.

        Raises:
            OutboxFullError: no room below the bound, or none on the disk; nothing was stored.
        """
        if not events:
            return []
        first = self._position.seq + 1
        recorded = [Recorded(seq=Seq(seq), at=at, event=event) for seq, event in enumerate(events, start=first)]
        last = recorded[-1].seq
        bound, waiting = self._capacity + (RESERVE if urgent else 0), last - self._acknowledged
        if waiting > bound:
            raise OutboxFullError(f"{waiting} events would wait for the store; there is room for {bound}")
        when = msgspec.json.encode(at)
        rows = [(row.seq, when, msgspec.json.encode(row.event)) for row in recorded]
        answered = [(command,) for event in events if (command := _answered(event))]

        def change(database: sqlite3.Connection) -> None:
            database.executemany("INSERT INTO event VALUES (?, ?, ?)", rows)
            database.execute("UPDATE basket SET seq = ?, body = ?", (last, msgspec.json.encode(basket)))
            if answered:
                database.executemany("INSERT OR IGNORE INTO answered (command) VALUES (?)", answered)
                database.execute(
                    "DELETE FROM answered WHERE number <= (SELECT max(number) FROM answered) - ?", (_ANSWERS_KEPT,)
                )

        self._store(change, urgent=urgent)
        self._position = Position(epoch=self._position.epoch, seq=last)
        return recorded

    def load(self, after: int, limit: int) -> list[Recorded]:
        """Return up to `limit` unacknowledged events that follow `after`, oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT seq, at, body FROM event WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
            ).fetchall()
        return [_recorded(*row) for row in rows]

    def prune(self, through: int) -> None:
        """Forget what the store has committed; what was already forgotten is no error.

        Raises:
            LocalProtocolError: `through` was never recorded.
            OutboxFullError: the disk is full to the last page; nothing was forgotten, and it may be tried again.
        """
        if through > self._position.seq:
            raise LocalProtocolError(f"prune through {through}; recorded is {self._position.seq}")
        if through <= self._acknowledged:
            return
        with self._transaction() as database:
            database.execute("DELETE FROM event WHERE seq <= ?", (through,))
            database.execute("UPDATE meta SET acknowledged = ?", (through,))
        self._acknowledged = through

    def low_on(self) -> tuple[str, ...]:
        """Return what is running out, 'outbox' or 'disk': the time to tell staff."""
        places = ("outbox",) if self._waiting >= self._capacity * LOW_ON_PLACES else ()
        return (*places, "disk") if self._free() < LOW_ON_DISK else places

    def has_room(self) -> bool:
        """Return whether an ordinary event could be recorded now, as far as one can know without trying."""
        return self._waiting < self._capacity and self._reserve.lay_by() and self._free() >= _ROOM

    def spares(self, places: int) -> bool:
        """Return whether urgent events could be recorded and leave so many places of the reserve."""
        return self._waiting < self._capacity + RESERVE - places

    def price_book(self) -> PriceBookIssue | None:
        row = self._row("SELECT body FROM price_book")
        return _decode(row[0], _PRICE_BOOK) if row else None

    def keep_price_book(self, issue: PriceBookIssue) -> None:
        """Replace the price book. Raises OutboxFullError if the disk is full; the old one stays."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO price_book VALUES (1, ?)", (msgspec.json.encode(issue),))

    def answer(self, command: str) -> bool:
        """Return whether this command was already carried out or refused."""
        return bool(self._row("SELECT 1 FROM answered WHERE command = ?", command))

    def close(self) -> None:
        with self._lock:
            self._database.close()

    @property
    def _waiting(self) -> int:
        """Events that the store has not committed yet."""
        return self._position.seq - self._acknowledged

    def _free(self) -> int:
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize

    def _store(self, change: Callable[[sqlite3.Connection], None], *, urgent: bool) -> None:
        """Carry out a change in one transaction; an urgent one that finds no room gets the disk's reserve.

        What was given back is for urgent ones only: others wait until it can be laid by again.
        """
        if not urgent and not self._reserve.lay_by():
            raise OutboxFullError(f"{self._path}: the disk is full; nothing was stored")
        try:
            with self._transaction() as database:
                change(database)
        except OutboxFullError:
            if not urgent or not self._reserve.give_back():
                raise
            with self._transaction() as database:
                change(database)

    def _row(self, query: str, *values: str) -> tuple[Any, ...]:
        """Return the one row, or () where there is none."""
        with self._lock:
            return tuple(self._database.execute(query, values).fetchone() or ())

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                yield self._database
                self._database.execute("COMMIT")
            except sqlite3.DatabaseError as error:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                if _code(error) == sqlite3.SQLITE_FULL:
                    raise OutboxFullError(f"{self._path}: the disk is full; nothing was stored") from error
                raise


def _answered(event: CartEvent) -> CommandId | None:
    match event:
        case SessionBegan() | SessionEnded() | CommandRefused() | BasketFrozen() | BasketThawed() | Withdrawn():
            return event.command
    return None


def _recorded(seq: int, at: bytes, body: bytes) -> Recorded:
    return Recorded(seq=Seq(seq), at=_decode(at, _TIME), event=_decode(body, _EVENT))


def _decode(body: bytes, decoder: "msgspec.json.Decoder[_Kept]") -> _Kept:
    """Return what an older or newer version of this program stored; fields it does not know are left out."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as first:
        kept: _Kept = convert_tolerantly(msgspec.json.decode(body), decoder.type, first)[0]
        return kept


# ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _DamagedError(Exception):
    """The file is no outbox that anybody can read."""


class _NoRoomError(OutboxError):
    """The disk is too full to open it."""


def _open(path: Path, epoch: int) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False, isolation_level=None)
        try:
            # Two programs on one outbox would number events twice: the lock is for life, and the system's to release.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            _prepare(path, database, epoch)
            # What a killed program wrote and had not synced is found here, and is no safer than it was: until this
            # checkpoint has synced it, a power cut would take back what the store may hear of in the next moment.
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            _examine(path, database)
        except BaseException:
            database.close()
            raise
    except sqlite3.DatabaseError as error:
        if _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise _DamagedError from error
        if _code(error) == sqlite3.SQLITE_FULL:
            raise _NoRoomError(f"{path}: {error}; make room on that disk") from error
        if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise OutboxInUseError(f"{path}: {error}; another program has it open: stop that one") from error
        raise OutboxError(f"{path}: {error}; check the folder, its owner and the disk") from error
    return database


def _prepare(path: Path, database: sqlite3.Connection, epoch: int) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > _SCHEMA_VERSION:
        raise OutboxError(f"{path}: schema {version} of a newer program; this one knows {_SCHEMA_VERSION}: update it")
    if version == 0:
        database.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            database.execute(statement)
        database.execute("INSERT INTO meta VALUES (1, ?, 0)", (epoch,))
        database.execute("INSERT INTO basket VALUES (1, 0, ?)", (msgspec.json.encode(Basket()),))
        database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        database.execute("COMMIT")


def _examine(path: Path, database: sqlite3.Connection) -> None:
    """Make sure that all of it can be read and belongs together: now, and not in the middle of a trip."""
    if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise _DamagedError
    meta = database.execute("SELECT acknowledged FROM meta").fetchone()
    basket = database.execute("SELECT seq, body FROM basket").fetchone()
    if meta is None or basket is None:
        raise _DamagedError
    rows = database.execute("SELECT seq, at, body FROM event ORDER BY seq").fetchall()
    if [row[0] for row in rows] != list(range(meta[0] + 1, basket[0] + 1)):
        raise _DamagedError
    try:
        _decode(basket[1], _BASKET)
        for row in rows:
            _recorded(*row)
    except MalformedError as error:
        # Sound JSON that we do not understand: another version of this program wrote it, and it is not lost.
        raise OutboxError(f"{path}: {error}; written by another version of this program: install that one") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _DamagedError from error


def _code(error: sqlite3.DatabaseError) -> int:
    """Return SQLite's primary result code (sqlite.org/rescode.html); 0 where the Python module itself complains."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _set_aside(path: Path) -> Path:
    """Rename the database and what belongs to it; return its new name."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside
