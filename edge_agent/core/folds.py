"""The parts of the shop's state, each the fold of the facts it is named after. None of them decides."""

from collections import deque
from collections.abc import Iterator
from enum import StrEnum

import msgspec

from cart_protocol.basket import CartEvent, SessionEnded, WeightExplained
from cart_protocol.ids import (
    CartId,
    CommandId,
    IncidentId,
    LaneId,
    OrderId,
    OrderNumber,
    RecordId,
    SessionId,
    ShopperId,
    TenderId,
    TokenId,
)
from cart_protocol.messages import EndSession, ExplainWeight
from cart_protocol.money import Money, total, zero
from cart_protocol.pricing.price_book import Prices
from edge_agent.core import events as facts


class Stage(StrEnum):
    """Where a binding is in its life."""

    REQUESTED = "requested"
    BOUND = "bound"
    FAILED = "failed"
    ENDED = "ended"


class Binding(msgspec.Struct, kw_only=True):
    """One shopper with one cart. `touched_ms` is when either last did anything; `reason` why it failed or ended."""

    session: SessionId
    shopper: ShopperId
    cart: CartId
    code: str
    command: CommandId
    expires_ms: int
    touched_ms: int
    stage: Stage = Stage.REQUESTED
    reason: str = ""
    freezing: CommandId | None = None
    """The freeze the cart was asked for and has not answered."""
    freeze_asked_ms: int = 0
    freeze_problem: str = ""

    @property
    def live(self) -> bool:
        return self.stage in {Stage.REQUESTED, Stage.BOUND}


class Bindings:
    """Who has which cart. One-to-one both ways: `live` by cart and by shopper never hold more than one."""

    def __init__(self) -> None:
        self.by_session: dict[SessionId, Binding] = {}
        self.latest_of: dict[ShopperId, Binding] = {}
        self.latest_on: dict[CartId, Binding] = {}
        self._on_cart: dict[CartId, Binding] = {}

    def on_cart(self, cart: CartId) -> Binding | None:
        """Return the live binding of a cart."""
        return self._on_cart.get(cart)

    def of(self, shopper: ShopperId) -> Binding | None:
        """Return the live binding of a shopper."""
        latest = self.latest_of.get(shopper)
        return latest if latest is not None and latest.live else None

    def live(self) -> list[Binding]:
        return list(self._on_cart.values())

    def requested(self, event: facts.BindRequested, at_ms: int) -> None:
        binding = Binding(
            session=event.session,
            shopper=event.shopper,
            cart=event.cart,
            code=event.code,
            command=event.command,
            expires_ms=event.expires_ms,
            touched_ms=at_ms,
        )
        self.by_session[event.session] = self.latest_of[event.shopper] = binding
        self.latest_on[event.cart] = self._on_cart[event.cart] = binding

    def bound(self, event: facts.CartBound, at_ms: int) -> None:
        binding = self.by_session[event.session]
        binding.stage, binding.touched_ms = Stage.BOUND, at_ms

    def failed(self, event: facts.BindingFailed) -> None:
        self._part(event.session, Stage.FAILED, event.reason)

    def ended(self, event: facts.BindingEnded) -> None:
        self._part(event.session, Stage.ENDED, event.reason)

    def freezing(self, event: facts.FreezeRequested, at_ms: int) -> None:
        binding = self.by_session[event.session]
        binding.freezing, binding.freeze_asked_ms, binding.freeze_problem = event.command, at_ms, ""
        binding.touched_ms = at_ms

    def freeze_failed(self, event: facts.FreezeFailed) -> None:
        binding = self.by_session[event.session]
        binding.freezing, binding.freeze_problem = None, event.reason

    def closed(self, session: SessionId) -> None:
        """The freeze led to an order."""
        binding = self.by_session[session]
        binding.freezing, binding.freeze_problem = None, ""

    def all_of(self, shopper: ShopperId) -> list[Binding]:
        """Return every binding a shopper ever had."""
        return [binding for binding in self.by_session.values() if binding.shopper == shopper]

    def renamed(self, shopper: ShopperId, pseudonym: ShopperId) -> None:
        for binding in self.all_of(shopper):
            binding.shopper = pseudonym
        if (latest := self.latest_of.pop(shopper, None)) is not None:
            self.latest_of[pseudonym] = latest

    def touched(self, cart: CartId, at_ms: int) -> None:
        if (binding := self._on_cart.get(cart)) is not None:
            binding.touched_ms = at_ms

    def _part(self, session: SessionId, stage: Stage, reason: str) -> None:
        binding = self.by_session[session]
        binding.stage, binding.reason, binding.freezing = stage, reason, None
        if self._on_cart.get(binding.cart) is binding:
            del self._on_cart[binding.cart]


class Order(msgspec.Struct, kw_only=True):
    """An order and whether it still stands. Whether it is paid is asked of the tenders, never stored as truth."""

    placed: facts.OrderPlaced
    at_ms: int
    cancelled: str = ""
    counted: bool = False
    """Was counted as paid once."""

    @property
    def id(self) -> OrderId:
        return self.placed.order

    @property
    def stands(self) -> bool:
        return not self.cancelled


LINES_KEPT_MS = 24 * 3_600_000
"""How long an order's lines stay in memory after its goods went through the gate: longer than a phone shows them."""


class Orders:
    """Orders by all their names. Each partition has its own numbers: of two, 0 has the even ones and 1 the odd ones.

    Of an order that left long ago only the head stays in memory: its lines are in the journal.
    """

    def __init__(self, partitions: int = 1) -> None:
        self.by_id: dict[OrderId, Order] = {}
        self.by_number: dict[OrderNumber, Order] = {}
        """Numbers begin again after a million orders: the newest order that bears one."""
        self._of_session: dict[SessionId, Order] = {}
        self._left: deque[tuple[int, OrderId]] = deque()
        self._partitions = partitions
        self._last_sequence: dict[int, int] = {}

    def placed(self, event: facts.OrderPlaced, at_ms: int) -> None:
        order = Order(placed=event, at_ms=at_ms)
        self.by_id[event.order] = self.by_number[event.number] = self._of_session[event.session] = order
        partition = event.sequence % self._partitions
        self._last_sequence[partition] = max(self._last_sequence.get(partition, 0), event.sequence)

    def next_sequence(self, partition: int = 0) -> int:
        """Return the number of the partition's next order; no other partition ever has the same."""
        last = self._last_sequence.get(partition, 0)
        return last + self._partitions if last else partition or self._partitions

    def cancelled(self, event: facts.OrderCancelled) -> None:
        self.by_id[event.order].cancelled = event.reason

    def left(self, order_id: OrderId, at_ms: int) -> None:
        """The goods went through the gate; what left a day ago is cut down to its head."""
        self._left.append((at_ms, order_id))
        while self._left[0][0] + LINES_KEPT_MS <= at_ms:
            order = self.by_id[self._left.popleft()[1]]
            order.placed = msgspec.structs.replace(order.placed, lines=(), taxes=())

    def of_shopper(self, shopper: ShopperId) -> list[Order]:
        """Return every order of a shopper, void ones too."""
        return [order for order in self.by_id.values() if order.placed.shopper == shopper]

    def of_session(self, session: SessionId) -> Order | None:
        """Return the session's standing order."""
        order = self._of_session.get(session)
        return order if order is not None and order.stands else None


class TenderState(StrEnum):
    SUBMITTED = "submitted"
    CAPTURED = "captured"
    DECLINED = "declined"
    UNKNOWN = "unknown"


class Tender(msgspec.Struct, kw_only=True):
    """One payment towards an order. `captured` and `refunded` are what really moved."""

    tender: TenderId
    order: OrderId
    amount: Money
    method: str
    page_key: str
    at_ms: int
    captured: Money
    refunded: Money
    state: TenderState = TenderState.SUBMITTED
    reason: str = ""
    reference: str = ""

    @property
    def in_doubt(self) -> bool:
        """Money may be moving: asked and not answered."""
        return self.state in {TenderState.SUBMITTED, TenderState.UNKNOWN}


def blotted(page_key: str) -> str:
    """Return a page's key made unreadable, and as long as it was: it was made from the phone's session."""
    return "-" * len(page_key)


class Tenders:
    """The payment ledger: every balance is a sum over tenders, taken when it is asked for."""

    def __init__(self) -> None:
        self.by_id: dict[TenderId, Tender] = {}
        self._of_order: dict[OrderId, list[Tender]] = {}
        self._in_doubt: dict[TenderId, Tender] = {}

    def of_order(self, order: OrderId) -> list[Tender]:
        return self._of_order.get(order, [])

    def in_doubt(self, order: OrderId) -> Tender | None:
        """Return the tender of an order that has no answer yet; there is at most one."""
        return next((tender for tender in self.of_order(order) if tender.in_doubt), None)

    def all_in_doubt(self) -> list[Tender]:
        return list(self._in_doubt.values())

    def paid(self, order: OrderId, currency: str) -> Money:
        """Return captured less refunded over all tenders of the order."""
        tenders = self.of_order(order)
        return total([t.captured for t in tenders], currency) - total([t.refunded for t in tenders], currency)

    def is_paid(self, order: OrderId, due: Money) -> bool:
        """Paid means: the sums cover what is due, and no tender is without an answer."""
        return self.paid(order, due.currency) >= due and self.in_doubt(order) is None

    def submitted(self, event: facts.TenderSubmitted, at_ms: int) -> None:
        nothing = zero(event.amount.currency)
        tender = Tender(
            tender=event.tender,
            order=event.order,
            amount=event.amount,
            method=event.method,
            page_key=event.page_key,
            at_ms=at_ms,
            captured=nothing,
            refunded=nothing,
        )
        self.by_id[event.tender] = self._in_doubt[event.tender] = tender
        self._of_order.setdefault(event.order, []).append(tender)

    def captured(self, event: facts.TenderCaptured) -> None:
        tender = self._move(event.tender, TenderState.CAPTURED)
        tender.captured, tender.reference, tender.reason = event.amount, event.reference, ""

    def declined(self, event: facts.TenderDeclined) -> None:
        self._move(event.tender, TenderState.DECLINED).reason = event.reason

    def unknown(self, event: facts.TenderUnknown) -> None:
        self._move(event.tender, TenderState.UNKNOWN).reason = event.reason

    def refunded(self, event: facts.TenderRefunded) -> None:
        tender = self.by_id[event.tender]
        tender.refunded = tender.refunded + event.amount

    def _move(self, tender_id: TenderId, state: TenderState) -> Tender:
        tender = self.by_id[tender_id]
        tender.state = state
        if tender.in_doubt:
            self._in_doubt[tender_id] = tender
        else:
            self._in_doubt.pop(tender_id, None)
        return tender


class Token(msgspec.Struct, kw_only=True):
    """An exit token. `text` and times are of its newest issue."""

    token: TokenId
    order: OrderId
    text: str
    issued_ms: int
    expires_ms: int
    burned_at: LaneId | None = None
    burned_ms: int = 0


class Tokens:
    def __init__(self) -> None:
        self.by_id: dict[TokenId, Token] = {}
        self._of_order: dict[OrderId, Token] = {}
        self._unburned: dict[TokenId, Token] = {}

    def of_order(self, order: OrderId) -> Token | None:
        return self._of_order.get(order)

    def unburned(self) -> list[Token]:
        return list(self._unburned.values())

    def issued(self, event: facts.TokenIssued) -> None:
        token = Token(
            token=event.token,
            order=event.order,
            text=event.text,
            issued_ms=event.issued_ms,
            expires_ms=event.expires_ms,
        )
        self.by_id[event.token] = self._of_order[event.order] = self._unburned[event.token] = token

    def burned(self, event: facts.TokenBurned, at_ms: int) -> None:
        token = self.by_id[event.token]
        token.burned_at, token.burned_ms = event.lane, at_ms
        self._unburned.pop(event.token, None)


class Incident(msgspec.Struct, kw_only=True):
    raised: facts.IncidentRaised
    at_ms: int
    resolved_by: str = ""
    let_through: bool = False
    """It was resolved by letting the shopper through."""


class Incidents:
    """Alarms, in the order they were raised."""

    def __init__(self) -> None:
        self.by_id: dict[IncidentId, Incident] = {}
        self._open: dict[str, IncidentId] = {}

    def is_open(self, key: str) -> bool:
        return key in self._open

    def open_about(self, key: str) -> IncidentId | None:
        return self._open.get(key)

    def newest_first(self) -> Iterator[Incident]:
        return reversed(self.by_id.values())

    def raised(self, event: facts.IncidentRaised, at_ms: int) -> None:
        self.by_id[event.incident] = Incident(raised=event, at_ms=at_ms)
        self._open[event.key] = event.incident

    def resolved(self, event: facts.IncidentResolved) -> None:
        incident = self.by_id[event.incident]
        incident.resolved_by, incident.let_through = event.staff, event.let_through
        self._open.pop(incident.raised.key, None)


class RecordStage(StrEnum):
    """Where a cart's record is on its way to the store."""

    ASKED = "asked"
    KEPT = "kept"
    FAILED = "failed"


class CartRecord(msgspec.Struct, kw_only=True):
    """What a cart was asked of its flight recorder, and what became of it. `at_ms`: when it was kept, or failed."""

    asked: facts.RecordAsked
    asked_ms: int
    stage: RecordStage = RecordStage.ASKED
    at_ms: int = 0
    kept: facts.RecordKept | None = None
    sentence: str = ""
    """Why it failed."""

    @property
    def about(self) -> "About":
        return self.asked.cart, self.asked.session, self.asked.from_ms, self.asked.until_ms

    @property
    def sessions(self) -> tuple[SessionId, ...]:
        """Of whom it is known to tell."""
        named = (self.asked.session,) if self.asked.session else ()
        return named + (self.kept.sessions if self.kept else ())


About = tuple[CartId, SessionId | None, int, int]
"""What of which cart a record is wanted of: a session, or a span of time."""


class Records:
    """Records that are asked for, kept or failed; deleted ones are in the journal only."""

    def __init__(self) -> None:
        self.by_id: dict[RecordId, CartRecord] = {}
        self._newest: dict[About, RecordId] = {}

    def about(self, about: About) -> CartRecord | None:
        """Return the newest of these."""
        found = self._newest.get(about)
        return self.by_id[found] if found else None

    def of_stage(self, stage: RecordStage) -> list[CartRecord]:
        """Return them, the oldest first."""
        return [record for record in self.by_id.values() if record.stage is stage]

    def was_asked(self, event: facts.RecordAsked, at_ms: int) -> None:
        record = self.by_id[event.record] = CartRecord(asked=event, asked_ms=at_ms)
        self._newest[record.about] = event.record

    def was_kept(self, event: facts.RecordKept, at_ms: int) -> None:
        record = self.by_id[event.record]
        record.stage, record.kept, record.at_ms = RecordStage.KEPT, event, at_ms

    def has_failed(self, event: facts.RecordFailed, at_ms: int) -> None:
        record = self.by_id[event.record]
        record.stage, record.sentence, record.at_ms = RecordStage.FAILED, event.sentence, at_ms

    def was_dropped(self, event: facts.RecordDropped) -> None:
        record = self.by_id.pop(event.record)
        if self._newest.get(record.about) == event.record:
            del self._newest[record.about]


class Commands:
    """What carts were asked and have not answered. Expired ones go when the next command comes."""

    def __init__(self) -> None:
        self._open: dict[CommandId, facts.CommandSent] = {}
        self.unanswered = 0
        """How many ran out without an answer."""

    def open(self, now_ms: int) -> list[facts.CommandSent]:
        return [sent for sent in self._open.values() if sent.expires_ms > now_ms]

    def is_open(self, cart: CartId, kind: type, now_ms: int) -> bool:
        """Return whether this cart still has such an instruction to answer."""
        return any(sent.cart == cart and isinstance(sent.instruction, kind) for sent in self.open(now_ms))

    def sent(self, event: facts.CommandSent, at_ms: int) -> None:
        for command in [known for known, sent in self._open.items() if sent.expires_ms <= at_ms]:
            del self._open[command]
            self.unanswered += 1
        self._open[event.command] = event

    def answered(self, cart: CartId, event: CartEvent) -> None:
        command: CommandId | None = getattr(event, "command", None)
        if command is not None:
            self._open.pop(command, None)
        match event:
            case SessionEnded():
                self._drop(cart, EndSession)
            case WeightExplained(by="staff"):
                self._drop(cart, ExplainWeight)

    def _drop(self, cart: CartId, kind: type) -> None:
        for sent in [sent for sent in self._open.values() if sent.cart == cart and isinstance(sent.instruction, kind)]:
            del self._open[sent.command]


class Books:
    """Every version of the price book that came into force, opened."""

    def __init__(self) -> None:
        self._by_version: dict[int, Prices] = {}
        self.latest: Prices | None = None

    def version(self, version: int) -> Prices | None:
        return self._by_version.get(version)

    def adopted(self, event: facts.PriceBookAdopted) -> None:
        prices = self._by_version[event.book.version] = Prices(event.book)
        if self.latest is None or prices.version > self.latest.version:
            self.latest = prices


class Counts:
    """What the store counted since it began."""

    def __init__(self) -> None:
        self.events_committed = 0
        self.snapshots = 0
        self.orders_paid = 0
        self.sum_paid: Money | None = None
        self.exits = 0

    def paid(self, amount: Money) -> None:
        self.orders_paid += 1
        self.sum_paid = amount if self.sum_paid is None else self.sum_paid + amount
