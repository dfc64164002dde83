"""Sees every durable step of a staged day from outside the programs, and says at once which promise it breaks.

The witness believes nobody: what carts recorded it takes from their outboxes, what the store committed from the
journal, money from the acquirer's ledger, gates and pads from their wires. The promises are those of the design
("Invariants, checked everywhere").
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from cart_protocol.basket import Basket, CartEvent, evolve
from cart_protocol.exchange import OutboxFullError
from cart_protocol.ids import CartId, OrderId, SessionId, ShopperId, TenderId, TokenId
from cart_protocol.link.outbox import SqliteOutbox
from cart_protocol.messages import CartTime, Recorded
from edge_agent.core import events as store
from edge_agent.core.events import Fact, encode
from edge_agent.ports import JournalFullError
from edge_agent.store.journal import SqlJournal
from sim.acquirer_ledger import ChargeRecord, Ledger
from sim.acquirer_notices import NoticeHabits
from sim.stage.trace import Trace

_SHOWN = 90
"""Characters of a fact in the trace."""


class Violation(AssertionError):  # noqa: N818 - the word for it
    """A promise was broken."""


class CartStory(msgspec.Struct):
    """One cart's stream as its outbox took it, and how far the store committed it."""

    epoch: int = 0
    recorded: list[bytes] = []
    """By seq, from 1."""
    doubtful: tuple[CartEvent, ...] = ()
    """Were being recorded when the program or its disk failed: they may be there after the next start, or not."""
    committed: int = 0
    basket: Basket = msgspec.field(default_factory=Basket)
    """The fold of what was recorded."""
    baskets: dict[int, bytes] = {}
    """The same by seq, of a cart whose disk was exchanged: the store needs a snapshot of it."""
    earlier: "dict[int, CartStory]" = {}
    """By epoch, what stood on the disks that were taken out; some of it may still be under way."""

    def add(self, recorded: Recorded) -> None:
        self.recorded.append(msgspec.json.encode(recorded))
        evolve(self.basket, recorded.event)
        if self.earlier:
            self.baskets[recorded.seq] = msgspec.json.encode(self.basket)

    @property
    def last(self) -> int:
        return len(self.recorded)


class OrderStory(msgspec.Struct):
    total_minor: int
    session: SessionId
    captured: dict[str, int] = {}
    """By idempotency key, as the acquirer booked it."""
    cancelled: bool = False
    left: bool = False
    """Its token was spent."""

    @property
    def paid_minor(self) -> int:
        return sum(self.captured.values())


class Witness:
    """`violation` is the first broken promise; `broken` is set with it."""

    def __init__(self, trace: Trace) -> None:
        self.violation: str | None = None
        self.broken = asyncio.Event()
        self.checks = 0
        self.carts: dict[CartId, CartStory] = {}
        self.orders: dict[OrderId, OrderStory] = {}
        self.commits = 0
        self._trace = trace
        self._entries: list[bytes] = []
        self._doubtful_entries: list[bytes] | None = None
        self._forgetting: tuple[ShopperId, ShopperId, Sequence[Fact]] | None = None
        """Was being written when the program or its disk failed: it happened wholly, or not at all."""
        self.forgotten: dict[ShopperId, ShopperId] = {}
        """Shoppers who asked to be forgotten and were, and the pseudonym that stands for each."""
        self._tenders: dict[TenderId, tuple[OrderId, int]] = {}
        self._tokens: dict[TokenId, OrderId] = {}
        self._texts: dict[str, OrderId] = {}
        self._session_of_cart: dict[CartId, SessionId] = {}
        self._session_of_shopper: dict[ShopperId, SessionId] = {}
        self._bindings: dict[SessionId, tuple[ShopperId, CartId]] = {}
        self._order_of_session: dict[SessionId, OrderId] = {}
        self._cleared: dict[str, OrderId] = {}
        """By lane: whose goods were weighed and found good, or let through by staff."""
        self._presented: dict[str, set[str]] = {}
        self._walked: dict[str, set[OrderId]] = {}

    def require(self, holds: bool, promise: str) -> None:
        """Note the first promise that does not hold; the day ends with it."""
        self.checks += 1
        if not holds and self.violation is None:
            self.violation = promise
            self._trace.note("witness", f"BROKEN: {promise}")
            self._trace.closed = True
            self.broken.set()

    # ── carts ────────────────────────────────────────────────────────────────────────────────────────────────────

    def outbox_opened(self, cart: CartId, outbox: SqliteOutbox) -> None:
        """A cart's program starts: what it once recorded is there, and nothing that it never decided."""
        self.require(outbox.replaced is None, f"{cart}: the outbox was found damaged and set aside")
        story = self.carts.setdefault(cart, CartStory())
        epoch, seq = outbox.position.epoch, int(outbox.position.seq)
        if story.epoch == 0:
            story.epoch = epoch
        self.require(epoch == story.epoch, f"{cart}: epoch {epoch} where {story.epoch} was")
        self.require(seq >= story.last, f"{cart}: events {seq + 1} to {story.last} were recorded and are lost")
        stored = outbox.load(outbox.acknowledged, 1 << 30)
        for recorded in stored[: max(0, story.last - outbox.acknowledged)]:
            same = msgspec.json.encode(recorded) == story.recorded[recorded.seq - 1]
            self.require(same, f"{cart}: event {recorded.seq} is not what was recorded")
        new = stored[story.last - outbox.acknowledged :] if seq > story.last else []
        expected = story.doubtful[: len(new)]
        self.require(
            tuple(recorded.event for recorded in new) == expected and len(new) in (0, len(story.doubtful)),
            f"{cart}: after event {story.last} stand {len(new)} events that are not the ones begun when it died",
        )
        for recorded in new:
            story.add(recorded)
        story.doubtful = ()

    def recording(self, cart: CartId, events: Sequence[CartEvent]) -> None:
        self.carts[cart].doubtful = tuple(events)

    def not_recorded(self, cart: CartId) -> None:
        self.carts[cart].doubtful = ()

    def recorded(self, cart: CartId, recorded: Sequence[Recorded]) -> None:
        story = self.carts[cart]
        story.doubtful = ()
        for each in recorded:
            self.require(each.seq == story.last + 1, f"{cart}: event {each.seq} recorded after event {story.last}")
            story.add(each)
            self._trace.note(cart, f"#{each.seq} {type(each.event).__name__}")

    def pruning(self, cart: CartId, through: int) -> None:
        story = self.carts[cart]
        self.require(
            through <= story.committed,
            f"{cart}: forgets event {through} while the store has committed only up to {story.committed}",
        )

    def disk_exchanged(self, cart: CartId) -> None:
        """What the cart had not yet sent is lost with its disk; nothing of it may come to light again."""
        old = self.carts[cart]
        self.carts[cart] = CartStory(
            earlier={**old.earlier, old.epoch: old}, baskets={0: msgspec.json.encode(Basket())}
        )  # fmt: skip

    # ── the store's journal ──────────────────────────────────────────────────────────────────────────────────────

    def journal_replayed(self, entries: Sequence[Fact]) -> None:
        """The store's program starts: the journal holds every commit, and the last one begun wholly or not at all."""
        bodies = [encode(fact.event) for fact in entries]
        if self._forgetting is not None:
            shopper, pseudonym, told = self._forgetting
            self._forgetting = None
            if any(_quoted(pseudonym) in body for body in bodies):
                self.shopper_forgotten(shopper, pseudonym, told)
        known = len(self._entries)
        if self.forgotten:
            # A page's key is the shopper's too, and goes with the id.
            self._entries = [_without_page_key(body) for body in self._entries]
            bodies = [_without_page_key(body) for body in bodies]
        self.require(bodies[:known] == self._entries, f"store: of {known} committed facts {len(bodies)} came back")
        new, doubtful = bodies[known:], [_without_page_key(body) for body in self._doubtful_entries or []]
        new = [_without_page_key(body) for body in new]
        self.require(new in ([], doubtful), f"store: {len(new)} facts of an unfinished commit of {len(doubtful)}")
        self._doubtful_entries = None
        if new:
            self.journal_committed(entries[known:])

    def journal_appending(self, batch: Sequence[Fact]) -> None:
        self._doubtful_entries = [encode(fact.event) for fact in batch]

    def journal_full(self) -> None:
        self._doubtful_entries = self._forgetting = None

    def forgetting(self, shopper: ShopperId, pseudonym: ShopperId, told: Sequence[Fact]) -> None:
        self._forgetting = (shopper, pseudonym, told)

    def shopper_forgotten(self, shopper: ShopperId, pseudonym: ShopperId, told: Sequence[Fact]) -> None:
        """The log names somebody else from now on; everything else in it is as it was."""
        self._forgetting = None
        self.forgotten[shopper] = pseudonym
        self._entries = [body.replace(_quoted(shopper), _quoted(pseudonym)) for body in self._entries]
        self.journal_committed(told)

    def no_trace_of_the_forgotten(self, files: Iterable[Path]) -> None:
        """Require that no byte of a forgotten shopper's id is left in these files."""
        for file in files:
            content = file.read_bytes()
            for shopper in self.forgotten:
                found = re.search(re.escape(shopper.encode()) + rb"(?!\d)", content)
                self.require(found is None, f"{file.name}: shopper {shopper} was forgotten and is still there")

    def journal_committed(self, batch: Sequence[Fact]) -> None:
        self._doubtful_entries = None
        self.commits += 1
        for fact in batch:
            self._entries.append(encode(fact.event))
            self._trace.note("store", repr(fact.event)[:_SHOWN])
            judge = _JUDGES.get(type(fact.event))
            if judge is not None:
                judge(self, fact.event)

    def _cart_reported(self, event: store.CartReported) -> None:
        newest = self.carts.get(event.cart)
        story = newest if newest is None or newest.epoch == event.epoch else newest.earlier.get(event.epoch)
        seq = int(event.recorded.seq)
        if story is None:
            self.require(False, f"store: {event.cart} reported event {seq} of an unknown epoch {event.epoch}")
            return
        self.require(
            seq == story.committed + 1, f"store: {event.cart}'s event {seq} is committed after event {story.committed}"
        )
        known = seq <= story.last and story.recorded[seq - 1] == msgspec.json.encode(event.recorded)
        doubtful = seq > story.last and event.recorded.event in story.doubtful
        self.require(known or doubtful, f"store: {event.cart}'s event {seq} is not what the cart recorded")
        story.committed = seq

    def _snapshot(self, event: store.CartSnapshotAdopted) -> None:
        story = self.carts.get(event.cart)
        if story is None or not story.earlier:
            self.require(False, f"store: a snapshot of {event.cart} was needed, although its disk is the old one")
            return
        seq = int(event.position.seq)
        same = event.position.epoch == story.epoch and story.baskets.get(seq) == msgspec.json.encode(event.basket)
        self.require(same, f"store: the snapshot of {event.cart} at {seq} is not the cart's basket then")
        story.committed = seq

    def _bind_requested(self, event: store.BindRequested) -> None:
        other = self._session_of_cart.get(event.cart)
        self.require(other is None, f"cart {event.cart} is given to a second shopper while session {other} lasts")
        other = self._session_of_shopper.get(event.shopper)
        self.require(other is None, f"shopper {event.shopper} gets a second cart while session {other} lasts")
        self._session_of_cart[event.cart] = self._session_of_shopper[event.shopper] = event.session
        self._bindings[event.session] = (event.shopper, event.cart)

    def _parted(self, event: store.BindingEnded | store.BindingFailed) -> None:
        shopper, cart = self._bindings[event.session]
        if self._session_of_cart.get(cart) == event.session:
            del self._session_of_cart[cart]
        if self._session_of_shopper.get(shopper) == event.session:
            del self._session_of_shopper[shopper]

    def _placed(self, event: store.OrderPlaced) -> None:
        self.require(
            event.total.minor == sum(line.price.total.minor for line in event.lines),
            f"order {event.number}: the total {event.total} is not the sum of its lines",
        )
        earlier = self._order_of_session.get(event.session)
        self.require(
            earlier is None or self.orders[earlier].cancelled, f"session {event.session} has two standing orders"
        )
        self._order_of_session[event.session] = event.order
        self.orders[event.order] = OrderStory(total_minor=event.total.minor, session=event.session)

    def _cancelled(self, event: store.OrderCancelled) -> None:
        order = self.orders[event.order]
        self.require(order.paid_minor == 0, f"order {event.order} is void although {order.paid_minor} was taken")
        order.cancelled = True

    def _submitted(self, event: store.TenderSubmitted) -> None:
        self._tenders[event.tender] = (event.order, event.amount.minor)

    def _captured(self, event: store.TenderCaptured) -> None:
        order, _ = self._tenders[event.tender]
        booked = self.orders[order].captured.get(event.tender, 0)
        self.require(
            booked == event.amount.minor,
            f"store: books {event.amount} for tender {event.tender}, the acquirer took {booked}",
        )

    def _declined(self, event: store.TenderDeclined) -> None:
        order, _ = self._tenders[event.tender]
        booked = self.orders[order].captured.get(event.tender, 0)
        self.require(booked == 0, f"store: tender {event.tender} counts as declined, the acquirer took {booked}")

    def _issued(self, event: store.TokenIssued) -> None:
        order = self.orders[event.order]
        self.require(
            order.paid_minor >= order.total_minor and not order.cancelled,
            f"an exit token for order {event.order}, of which {order.paid_minor} of {order.total_minor} is paid",
        )
        self._tokens[event.token] = event.order
        self._texts[event.text] = event.order

    def _burned(self, event: store.TokenBurned) -> None:
        order = self.orders[event.order]
        self.require(not order.left, f"the token of order {event.order} is spent twice")
        self.require(
            event.order in self._walked.get(event.lane, ()),
            f"the token of order {event.order} is spent at lane {event.lane}, where its goods did not go through",
        )
        order.left = True

    def _lane_checked(self, event: store.LaneChecked) -> None:
        if event.verdict == "passed" and event.order is not None:
            self._cleared[event.lane] = event.order

    def _lane_released(self, event: store.LaneReleased) -> None:
        if event.reason == "let-through" and event.order is not None:
            self._cleared[event.lane] = event.order

    # ── money ────────────────────────────────────────────────────────────────────────────────────────────────────

    def charge_asked(self, key: str, minor: int) -> None:
        intent = self._tenders.get(TenderId(key))
        if intent is None and not self._is_doubtful_tender(key):
            self.require(False, f"acquirer: asked for {minor} under key {key}, of which no intent is committed")
        if intent is not None:
            self.require(intent[1] == minor, f"acquirer: asked for {minor} under {key}, the intent says {intent[1]}")

    def charge_finished(self, record: ChargeRecord) -> None:
        if not record.captured:
            return
        self._trace.note("acquirer", f"took {record.captured} under {record.key}")
        intent = self._tenders.get(TenderId(record.key))
        if intent is None:
            return
        order = self.orders[intent[0]]
        before = order.captured.get(record.key)
        self.require(
            before in (None, record.captured), f"acquirer: key {record.key} charged {before}, then {record.captured}"
        )
        order.captured[record.key] = record.captured
        self.require(
            order.paid_minor <= order.total_minor,
            f"double charge: {order.paid_minor} taken for order {intent[0]} of {order.total_minor}",
        )

    def _is_doubtful_tender(self, key: str) -> bool:
        return any(key.encode() in body for body in self._doubtful_entries or ())

    # ── gates ────────────────────────────────────────────────────────────────────────────────────────────────────

    def presented(self, lane: str, text: str) -> None:
        self._presented.setdefault(lane, set()).add(text)

    def pad_live(self, lane: str) -> None:
        self.require(
            lane in self._cleared, f"lane {lane}: the deactivator is live although no goods were found to be in order"
        )

    def gate_opened(self, lane: str) -> None:
        cleared = self._cleared.get(lane)
        if cleared is None:
            self.require(False, f"lane {lane}: the gate opens for nobody whose goods were found in order")
            return
        order = self.orders[cleared]
        self.require(
            order.paid_minor >= order.total_minor,
            f"lane {lane}: the gate opens for order {cleared}: paid {order.paid_minor} of {order.total_minor}",
        )
        self.require(not order.left, f"lane {lane}: the gate opens again for order {cleared}, which has left")
        self.require(
            any(self._texts.get(text) == cleared for text in self._presented.get(lane, ())),
            f"lane {lane}: the gate opens for order {cleared}, whose code nobody showed here",
        )

    def gate_closed(self, lane: str) -> None:
        self._cleared.pop(lane, None)

    def walked_through(self, lane: str) -> None:
        cleared = self._cleared.get(lane)
        if cleared is not None:
            self._walked.setdefault(lane, set()).add(cleared)


def _quoted(shopper: ShopperId) -> bytes:
    return b'"' + shopper.encode() + b'"'


def _without_page_key(body: bytes) -> bytes:
    return re.sub(rb'"page_key":"[^"]*"', b'"page_key":""', body)


_JUDGES: dict[type, Callable[[Witness, Any], None]] = {
    store.CartReported: Witness._cart_reported,  # noqa: SLF001 - its own table
    store.CartSnapshotAdopted: Witness._snapshot,  # noqa: SLF001
    store.BindRequested: Witness._bind_requested,  # noqa: SLF001
    store.BindingEnded: Witness._parted,  # noqa: SLF001
    store.BindingFailed: Witness._parted,  # noqa: SLF001
    store.OrderPlaced: Witness._placed,  # noqa: SLF001
    store.OrderCancelled: Witness._cancelled,  # noqa: SLF001
    store.TenderSubmitted: Witness._submitted,  # noqa: SLF001
    store.TenderCaptured: Witness._captured,  # noqa: SLF001
    store.TenderDeclined: Witness._declined,  # noqa: SLF001
    store.TokenIssued: Witness._issued,  # noqa: SLF001
    store.TokenBurned: Witness._burned,  # noqa: SLF001
    store.LaneChecked: Witness._lane_checked,  # noqa: SLF001
    store.LaneReleased: Witness._lane_released,  # noqa: SLF001
}


# ── the product's own stores, watched ────────────────────────────────────────────────────────────────────────────


class WitnessedOutbox(SqliteOutbox):
    """The cart's outbox; the witness hears of every call before and after it."""

    def __init__(self, path: Path, capacity: int, epoch_source: int, witness: Witness, cart: CartId) -> None:
        super().__init__(path, capacity, epoch_source)
        self._witness, self._of = witness, cart
        witness.outbox_opened(cart, self)

    def record(
        self, events: Sequence[CartEvent], at: CartTime, basket: Basket, *, urgent: bool = False
    ) -> list[Recorded]:
        self._witness.recording(self._of, events)
        try:
            recorded = super().record(events, at, basket, urgent=urgent)
        except OutboxFullError:
            self._witness.not_recorded(self._of)
            raise
        self._witness.recorded(self._of, recorded)
        return recorded

    def prune(self, through: int) -> None:
        self._witness.pruning(self._of, through)
        super().prune(through)


class WitnessedJournal(SqlJournal):
    """The store's journal, watched."""

    def __init__(self, address: str, witness: Witness) -> None:
        super().__init__(address)
        self._witness = witness

    def append(self, facts: Sequence[Fact], positions: Mapping[CartId, tuple[int, int]]) -> int:
        self._witness.journal_appending(facts)
        try:
            last = super().append(facts, positions)
        except JournalFullError:
            self._witness.journal_full()
            raise
        self._witness.journal_committed(facts)
        return last

    def forget(self, shopper: ShopperId, pseudonym: ShopperId, streams: Sequence[str], facts: Sequence[Fact]) -> bool:
        self._witness.forgetting(shopper, pseudonym, facts)
        try:
            clean = super().forget(shopper, pseudonym, streams, facts)
        except JournalFullError:
            self._witness.journal_full()
            raise
        self._witness.shopper_forgotten(shopper, pseudonym, facts)
        return clean

    def replay(self) -> Iterator[Fact]:
        found = list(super().replay())
        self._witness.journal_replayed(found)
        return iter(found)


class WitnessedLedger(Ledger):
    """The acquirer's books, watched."""

    def __init__(self, database: Path | str, now_ms: Callable[[], int], witness: Witness, habits: NoticeHabits) -> None:
        super().__init__(database, now_ms, habits=habits)
        self._witness = witness
        for record in self.settlement():
            witness.charge_finished(record)

    def begin(self, key: str, minor: int, currency: str, method: str) -> ChargeRecord:
        self._witness.charge_asked(key, minor)
        return super().begin(key, minor, currency, method)

    def finish(self, key: str) -> ChargeRecord:
        record = super().finish(key)
        self._witness.charge_finished(record)
        return record
