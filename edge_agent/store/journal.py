"""The journal on a database: every fact once, in order, and the read tables with it, in one transaction.

SQLite in WAL mode with synchronous=FULL by default: what is committed survives a power cut (reference/messaging,
section 2.5). PostgreSQL where one box is outgrown: several agents write to it, each its own partitions.
"""

import heapq
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec

from cart_protocol.ids import CartId, RecordId, ShopperId
from edge_agent.core.events import (
    Fact,
    IncidentRaised,
    PriceBookAdopted,
    StoreEvent,
    decode,
    encode,
    kind_of,
    stream_of,
)
from edge_agent.core.partition import Routes, partition_of
from edge_agent.ports import JournalFullError
from edge_agent.store.cart_records import body_of, carry_out
from edge_agent.store.database import JournalError, open_writer, shown
from edge_agent.store.erasure import erase, make_certain, scrub
from edge_agent.store.projections import Changes
from edge_agent.store.schema import ENTRY
from edge_agent.store.writer import DatabaseError, How, SqliteWriter, Statement

__all__ = ["FencedError", "JournalError", "Share", "SqlJournal"]

_PAGE = 2_000
"""Entries that a replay reads at once."""
_ADD = Statement(
    how=How.ADD, table=ENTRY.name, columns=("partition", "number", "fence", "stream", "kind", "at_ms", "body")
)


class FencedError(JournalError):
    """Somebody else holds our partition by now. Nothing was written, and the process must end."""


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What of a store one writer has: all of it, unless agents share.

    `fences` are the leases held, by partition; without an `owner` there are no leases to prove.
    """

    partitions: int = 1
    owner: str = ""
    fences: Mapping[int, int] = msgspec.field(default_factory=lambda: {0: 0})


class SqlJournal:
    """One writer's journal; `append` may run on any thread, one call at a time.

    Args:
        address: SQLAlchemy address, e.g. sqlite:////var/lib/cartwright/store.db or
            postgresql+psycopg://cartwright@db.shop.example/store
        share: the partitions to write, and under which leases.

    Raises:
        JournalError: the database cannot be opened or brought up to this program's tables.
    """

    def __init__(self, address: str, share: Share | None = None) -> None:
        self._address, self._reached_at = shown(address), address
        self._share = share or Share()
        self._fences = dict(self._share.fences)
        self._routes = Routes(self._share.partitions) if self._share.partitions > 1 else None
        self._writer = open_writer(address)
        try:
            if isinstance(self._writer, SqliteWriter):
                make_certain(self._writer)
            self._require_share()
            self._ends = {partition: self._end(partition) for partition in sorted(self._fences)}
        except (DatabaseError, JournalError) as error:
            self._writer.close()
            if isinstance(error, JournalError):
                raise
            raise JournalError(f"journal {self._address}: cannot be read: {error}; check its rights") from error
        self._home = tuple(self._ends)[:1]

    def append(self, facts: Sequence[Fact], positions: Mapping[CartId, tuple[int, int]]) -> int:
        """Commit all or nothing, durably, with the carts' new (epoch, seq); return the last entry's number.

        Raises:
            JournalFullError: the disk is full; nothing was committed, and the same may be appended later.
            FencedError: one of our partitions has another owner; the caller must not go on.
            JournalError: nothing was committed, or a second writer was here; the caller must not go on.
            ProjectionError: a fact does not fit the read tables; nothing was committed.
        """
        return self._commit(facts, positions)

    def forget(
        self, shopper: ShopperId, pseudonym: ShopperId, streams: Sequence[str], facts: Sequence[Fact]
    ) -> bool:  # fmt: skip
        """Write what these streams say of a shopper anew and append `facts`, all or nothing (edge_agent/store/erasure).

        Raises:
            JournalError: as `append`; nothing was changed.
        """
        self._commit(facts, {}, first=lambda: erase(self._writer, shopper, pseudonym, streams))
        return not isinstance(self._writer, SqliteWriter) or scrub(self._writer, shopper)

    def keep(self, facts: Sequence[Fact], parts: Sequence[bytes]) -> None:
        """Append `facts` together with the bytes of the cart's record that one of them keeps, all or nothing.

        Raises:
            JournalError: as `append`; nothing was changed.
        """
        self._commit(facts, {}, parts=parts)

    def record(self, record: RecordId) -> bytes:
        """Return the bytes of a cart's record, none where there is no such; from any thread, beside everything else.

        Raises:
            JournalError: the journal cannot be read.
        """
        return body_of(self._reached_at, record)

    def _commit(
        self,
        facts: Sequence[Fact],
        positions: Mapping[CartId, tuple[int, int]],
        *,
        first: Callable[[], None] | None = None,
        parts: Sequence[bytes] = (),
    ) -> int:
        ends = dict(self._ends)
        rows = self._rows(facts, ends)
        changes = Changes()
        for fact in facts:
            changes.project(fact)
        for cart, (epoch, seq) in positions.items():
            changes.position(cart, epoch, seq)
        try:
            with self._writer.transaction():
                self._prove({row[0] for row in rows} if first is None else set(ends))
                if first is not None:
                    first()
                if rows:
                    self._writer.write(_ADD, rows)
                changes.write(self._writer)
                carry_out(self._writer, facts, parts)
        except DatabaseError as error:
            if error.no_room:
                raise JournalFullError(f"journal {self._address}: {error}; make room on its disk") from error
            raise JournalError(
                f"journal {self._address}: nothing was written: {error}; is the file shared, or damaged?"
            ) from error
        self._ends = ends
        number: int = rows[-1][1] if rows else max(ends.values())
        return number

    def replay(self) -> Iterator[Fact]:
        """Yield every fact of our partitions, oldest first, a page at a time: a long log is never in memory as a whole.

        Raises:
            UnreadableFactError: a newer program wrote an entry, or it is damaged.
        """
        if len(self._ends) == 1:
            yield from self._partition(next(iter(self._ends)))
        else:
            yield from heapq.merge(*map(self._partition, self._ends), key=lambda fact: fact.at_ms)

    def positions(self) -> dict[CartId, tuple[int, int]]:
        """Return how far each of our carts' streams is committed."""
        found = self._writer.read('SELECT "cart", "epoch", "seq" FROM "position"')
        return {CartId(cart): (epoch, seq) for cart, epoch, seq in found if self._is_ours(cart)}

    def take(self, partition: int, fence: int) -> tuple[list[Fact], dict[CartId, tuple[int, int]]]:
        """Write a further partition from now on; return its facts, oldest first, and its carts' positions.

        Call it between two appends.
        """
        self._fences[partition] = fence
        self._ends[partition] = self._end(partition)
        facts = list(self._partition(partition))
        found = self.positions()
        return facts, {
            cart: at for cart, at in found.items() if partition_of(cart, self._share.partitions) == partition
        }

    def close(self) -> None:
        """Give the database back; may be called twice."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rows(self, facts: Sequence[Fact], ends: dict[int, int]) -> list[tuple[Any, ...]]:
        """Return the entries of facts, numbered on from `ends`, which is moved."""
        rows: list[tuple[Any, ...]] = []
        for fact in facts:
            event = fact.event
            stream, kind, body = stream_of(event), kind_of(event), encode(event)
            for partition in self._places(event):
                ends[partition] = number = ends[partition] + 1
                rows.append((partition, number, self._fences[partition], stream, kind, fact.at_ms, body))
        return rows

    def _places(self, event: StoreEvent) -> Collection[int]:
        """Return the partitions in which a fact is kept: one, except for the price book, which all of them need."""
        if self._routes is None:
            return self._home
        if isinstance(event, PriceBookAdopted):
            return self._ends
        found = self._routes.place(event, home := min(self._ends))
        if found in self._ends:
            return (found,)
        if isinstance(event, IncidentRaised):
            return (home,)
        raise JournalError(
            f"journal {self._address}: {kind_of(event)} of {stream_of(event)} belongs to partition {found}, ours are "
            f"{sorted(self._ends)}; this is a fault of ours"
        )

    def _prove(self, partitions: set[int]) -> None:
        """Hold the leases of these partitions still while we write. Whoever wants them waits for our commit."""
        if not self._share.owner:
            return
        for partition in sorted(partitions):
            held = self._writer.read(
                'SELECT "fence" FROM "lease" WHERE "partition" = ? AND "owner" = ? AND "fence" = ? FOR SHARE',
                (partition, self._share.owner, self._fences[partition]),
            )
            if not held:
                raise FencedError(
                    f"journal {self._address}: partition {partition} has another owner than {self._share.owner} with "
                    f"fence {self._fences[partition]}; this agent was too slow and ends"
                )

    def _partition(self, partition: int) -> Iterator[Fact]:
        number = 0
        while True:
            page = self._writer.read(
                'SELECT "number", "at_ms", "body" FROM "entry" WHERE "partition" = ? AND "number" > ? '
                'ORDER BY "number" LIMIT ?',
                (partition, number, _PAGE),
            )
            for number, at_ms, body in page:  # noqa: B007 - the next page begins behind the last number
                event = decode(body)
                if self._routes is not None:
                    self._routes.learn(event, partition)
                yield Fact(at_ms, event)
            if len(page) < _PAGE:
                return

    def _require_share(self) -> None:
        """Refuse to have alone what several agents write or wrote: part of it would be overlooked."""
        if self._share.owner:
            return
        ((partition,),) = self._writer.read('SELECT coalesce(max("partition"), 0) FROM "entry"')
        if partition or self._writer.read('SELECT 1 FROM "lease" LIMIT 1'):
            raise JournalError(
                f"journal {self._address}: is shared by several agents; set cluster.shared and cluster.partitions "
                "here too (a backup of it goes back to a PostgreSQL)"
            )

    def _end(self, partition: int) -> int:
        ((number,),) = self._writer.read(
            'SELECT coalesce(max("number"), 0) FROM "entry" WHERE "partition" = ?', (partition,)
        )
        end: int = number
        return end

    def _is_ours(self, cart: str) -> bool:
        return self._routes is None or partition_of(CartId(cart), self._share.partitions) in self._ends
