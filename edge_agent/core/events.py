"""The store's own facts: everything that ever happened in the shop, as frozen types. State is the fold of these.

One fact is one row of the journal: `stream_of` says what it belongs to, `kind_of` names it, `encode` is its body.
A stored fact is never changed, but to forget a shopper (core.erasure); a new field needs a default, so that what was
written before still reads.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from cart_protocol.basket import Basket, Position
from cart_protocol.ids import (
    CartId,
    CommandId,
    Epoch,
    IncidentId,
    LaneId,
    LessonId,
    LineId,
    OrderId,
    OrderNumber,
    ProductId,
    RecordId,
    SessionId,
    ShopperId,
    StaffId,
    TenderId,
    TokenId,
)
from cart_protocol.mass import Mass, Variance
from cart_protocol.messages import LATEST_MS, Instruction, Recorded
from cart_protocol.money import Money
from cart_protocol.pricing.line import LinePrice
from cart_protocol.pricing.price_book import PriceBook
from cart_protocol.sight import Learned

NewId = Callable[[], str]
"""Where the shell's mint is handed to a decision: an id is made when, and only when, one is needed."""


class _Event(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    gc=False,
    tag_field="type",
    tag=lambda name: name,
):
    """Base of all facts; in the journal `type` is the class name."""


# ── carts ────────────────────────────────────────────────────────────────────────────────────────────────────────


class CartReported(_Event, frozen=True):
    """A cart's own event, next in its stream. Committing it is what the acknowledgement promises."""

    cart: CartId
    epoch: Epoch
    recorded: Recorded


class CartSnapshotAdopted(_Event, frozen=True):
    """The stream could not be continued; the cart's whole basket replaced our mirror of it."""

    cart: CartId
    position: Position
    basket: Basket


class CommandSent(_Event, frozen=True):
    """The store wants a cart to do something. Repeated on the wire until answered or past `expires_ms`."""

    command: CommandId
    cart: CartId
    instruction: Instruction
    expires_ms: int
    staff: StaffId | None = None
    """Who ordered it, where a person of the store did."""


class PriceBookAdopted(_Event, frozen=True):
    """A version of the price book came into force; kept whole, since orders are checked against the book they name."""

    book: PriceBook


# ── binding ──────────────────────────────────────────────────────────────────────────────────────────────────────


class BindRequested(_Event, frozen=True):
    """A shopper presented a free cart's code; the cart is asked, and nobody else can have it meanwhile."""

    session: SessionId
    shopper: ShopperId
    cart: CartId
    code: str
    command: CommandId
    expires_ms: int


class CartBound(_Event, frozen=True):
    """The cart answered: it serves this shopper."""

    session: SessionId


class BindingFailed(_Event, frozen=True):
    """The cart refused (its reason) or did not answer ('no-answer'); cart and shopper are free again."""

    session: SessionId
    reason: str


class BindingEnded(_Event, frozen=True):
    """Cart and shopper parted. `reason`: 'left', 'handed-back', 'timed-out', 'withdrawn' or 'cart-reset'."""

    session: SessionId
    reason: str


# ── order ────────────────────────────────────────────────────────────────────────────────────────────────────────


class FreezeRequested(_Event, frozen=True):
    """The shopper wants to pay; the cart is asked to freeze its basket."""

    session: SessionId
    command: CommandId


class FreezeFailed(_Event, frozen=True):
    """The cart did not freeze: its reason, or 'no-answer'. Shopping goes on."""

    session: SessionId
    command: CommandId
    reason: str


class OrderLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line as ordered. `mass` is what the cart's load cell saw; `nominal` and its variance are the catalogue's."""

    line: LineId
    product: ProductId
    name: str
    quantity: int
    mass: Mass
    nominal: Mass
    nominal_variance: Variance
    price: LinePrice
    tagged: bool


class OrderTax(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tax contained in the order at one rate."""

    name: str
    basis_points: int
    gross: Money
    tax: Money


class OrderPlaced(_Event, frozen=True):
    """The cart froze its basket: exactly these lines, at the position of the freeze, are what is sold."""

    order: OrderId
    number: OrderNumber
    sequence: int
    """Counts the store's orders from 1; `number` is made of it. Where agents share a store, see folds.Orders."""
    session: SessionId
    shopper: ShopperId
    cart: CartId
    frozen_at: Position
    lines: tuple[OrderLine, ...]
    total: Money
    taxes: tuple[OrderTax, ...]
    settled: Mass
    """Net load on the cart's platform, and its variance."""
    variance: Variance
    tags: int
    """How many lines carry an EAS tag, by quantity."""


class OrderCancelled(_Event, frozen=True):
    """An unpaid order is void. `reason`: 'kept-shopping' or why the binding ended."""

    order: OrderId
    reason: str


# ── payment: an append-only list per order, balances are sums over it ────────────────────────────────────────────


class TenderSubmitted(_Event, frozen=True):
    """The intent to take `amount`, committed before the acquirer is asked. `tender` is the idempotency key for life."""

    tender: TenderId
    order: OrderId
    amount: Money
    method: str
    """Kind of payment ('card', 'wallet'), never card data."""
    page_key: str
    """The page's own key: the same key again is the same payment."""


class TenderCaptured(_Event, frozen=True):
    """The acquirer took `amount`, which may be less than was asked."""

    tender: TenderId
    amount: Money
    reference: str


class TenderDeclined(_Event, frozen=True):
    tender: TenderId
    reason: str


class TenderUnknown(_Event, frozen=True):
    """No answer: money may have moved. Only the acquirer's answer to a query leads out of here."""

    tender: TenderId
    reason: str


class TenderRefunded(_Event, frozen=True):
    """`amount` of this tender went back."""

    tender: TenderId
    amount: Money
    reference: str


class TokenIssued(_Event, frozen=True):
    """A signed exit token for a paid order; issued again under the same id when the first has expired."""

    token: TokenId
    order: OrderId
    text: str
    issued_ms: int
    expires_ms: int


class TokenBurned(_Event, frozen=True):
    """The shopper passed the gate: the token is spent for ever."""

    token: TokenId
    order: OrderId
    lane: LaneId


# ── the exit lane (recorded by services.lane) ────────────────────────────────────────────────────────────────────


PASSED = "passed"


class LaneChecked(_Event, frozen=True):
    """A paid order was weighed at a lane. `verdict`: PASSED, or the cause of the alarm."""

    lane: LaneId
    token: TokenId | None
    order: OrderId | None
    verdict: str
    expected: Mass
    measured: Mass
    tolerance: Mass
    reasons: tuple[str, ...] = ()
    """The parts the tolerance is made of, for the console."""


class LaneReleased(_Event, frozen=True):
    """Staff ended a lane's alarm. `reason`: 'let-through' with the goods checked, or 'resolved'."""

    lane: LaneId
    staff: StaffId
    reason: str
    order: OrderId | None = None
    token: TokenId | None = None


# ── incidents ────────────────────────────────────────────────────────────────────────────────────────────────────


class IncidentRaised(_Event, frozen=True):
    """Something that staff should look at. `key` names the matter: while it is open, it is not raised again."""

    incident: IncidentId
    key: str
    where: str
    cause: str
    """A machine word, e.g. 'not-scanned', 'price-disagreement', 'unreadable-message'."""
    sentence: str
    evidence: tuple[str, ...] = ()
    cart: CartId | None = None
    lane: LaneId | None = None
    order: OrderId | None = None


class IncidentResolved(_Event, frozen=True):
    incident: IncidentId
    staff: StaffId
    let_through: bool = False
    """They checked the goods of a lane's weight alarm, and the shopper may leave with them."""


# ── records of carts' flight recorders ───────────────────────────────────────────────────────────────────────────


class RecordAsked(_Event, frozen=True):
    """Somebody of the staff wants what a cart recorded of a session, or of a span of its time: the audit entry."""

    record: RecordId
    cart: CartId
    staff: StaffId
    session: SessionId | None = None
    from_ms: int = 0
    until_ms: int = LATEST_MS


class RecordKept(_Event, frozen=True):
    """The whole record is here, in the same transaction: `size` bytes, the first `picture` of them a picture (PNG)."""

    record: RecordId
    cart: CartId
    size: int
    picture: int
    sha256: str
    sessions: tuple[SessionId, ...]
    """Of whom it tells: it goes when one of their shoppers is forgotten."""


class RecordFailed(_Event, frozen=True):
    """There will be no record: the cart's reason, or no-answer, too-old, offline, damaged, no-room, forgotten."""

    record: RecordId
    cart: CartId
    reason: str
    sentence: str


class RecordDropped(_Event, frozen=True):
    """A record is deleted, its bytes in the same transaction: forgotten, expired, room (was needed) or replaced."""

    record: RecordId
    cart: CartId
    reason: str


# ── goods by sight ───────────────────────────────────────────────────────────────────────────────────────────────


class LessonAsked(_Event, frozen=True):
    """Somebody of the staff wants to show a cart a product."""

    lesson: LessonId
    cart: CartId
    product: ProductId
    staff: StaffId
    shots: int


class LessonTaken(_Event, frozen=True):
    """What a cart learned of a product is here; nobody uses it yet. It may have been shown without being asked for."""

    lesson: LessonId
    cart: CartId
    learned: Learned


class LessonFailed(_Event, frozen=True):
    """Nothing came of a lesson: the cart's reason, or stopped, offline, no-answer, not-ours."""

    lesson: LessonId
    cart: CartId
    reason: str
    sentence: str


class LessonSetAside(_Event, frozen=True):
    """Staff do not want what was learned."""

    lesson: LessonId
    cart: CartId
    staff: StaffId


class SightChanged(_Event, frozen=True):
    """A new version of what carts know by sight beside what they were shipped with.

    `doing`: taught (by `lesson`), forgotten, retired, brought-back (`product`), or rolled-back (`to` an older version).
    """

    version: int
    staff: StaffId
    doing: str
    product: ProductId | None = None
    lesson: LessonId | None = None
    to: int | None = None


# ── shoppers ─────────────────────────────────────────────────────────────────────────────────────────────────────


class ShopperForgotten(_Event, frozen=True):
    """A shopper asked to be forgotten and was. `shopper` is the pseudonym that earlier facts carry since."""

    shopper: ShopperId


StoreEvent = (
    CartReported
    | CartSnapshotAdopted
    | CommandSent
    | PriceBookAdopted
    | BindRequested
    | CartBound
    | BindingFailed
    | BindingEnded
    | FreezeRequested
    | FreezeFailed
    | OrderPlaced
    | OrderCancelled
    | TenderSubmitted
    | TenderCaptured
    | TenderDeclined
    | TenderUnknown
    | TenderRefunded
    | TokenIssued
    | TokenBurned
    | LaneChecked
    | LaneReleased
    | IncidentRaised
    | IncidentResolved
    | RecordAsked
    | RecordKept
    | RecordFailed
    | RecordDropped
    | LessonAsked
    | LessonTaken
    | LessonFailed
    | LessonSetAside
    | SightChanged
    | ShopperForgotten
)


class Fact(msgspec.Struct, frozen=True, gc=False):
    """A store event and when the store recorded it (its own wall clock, never running backwards)."""

    at_ms: int
    event: StoreEvent


class UnreadableFactError(ValueError):
    """A journal entry that this program cannot read: written by a newer one, or damaged."""


_encoder = msgspec.json.Encoder()
_decoder: "msgspec.json.Decoder[StoreEvent]" = msgspec.json.Decoder(StoreEvent)
_STREAMS = (
    ("order", "order"),
    ("tender", "tender"),
    ("session", "session"),
    ("incident", "incident"),
    ("cart", "cart"),
    ("lane", "lane"),
)
"""Which field names the stream, first that is there and set."""


def encode(event: StoreEvent) -> bytes:
    return _encoder.encode(event)


def decode(body: bytes) -> StoreEvent:
    """Return the event in a journal entry's body, or raise UnreadableFactError."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableFactError(
            f"journal entry cannot be read: {error}; a newer version may have written it"
        ) from error


def kind_of(event: StoreEvent) -> str:
    return type(event).__name__


def stream_of(event: StoreEvent) -> str:
    """Return what the event belongs to: 'cart/c1', 'order/…', 'tender/…', 'session/…', or 'store'."""
    for field, stream in _streams_of(type(event)):
        value: Any = getattr(event, field)
        if value is not None:
            return f"{stream}/{value}"
    return "store"


@cache
def _streams_of(kind: type[StoreEvent]) -> tuple[tuple[str, str], ...]:
    """Return those of _STREAMS that facts of a kind have at all."""
    return tuple((field, stream) for field, stream in _STREAMS if field in kind.__struct_fields__)
