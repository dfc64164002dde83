"""What pages show: plain, frozen pictures of the shop at one moment. Made by services, rendered by web."""

from enum import StrEnum

import msgspec

from cart_protocol.ids import (
    CartId,
    IncidentId,
    LaneId,
    LessonId,
    OrderId,
    OrderNumber,
    ProductId,
    RecordId,
    SessionId,
    StaffId,
)
from cart_protocol.money import Money


class PhonePhase(StrEnum):
    """What the shopper can do next; the phone page has one screen for each."""

    UNBOUND = "unbound"
    """Scan or type a cart's code."""
    BINDING = "binding"
    """The store asked the cart; it has not answered yet."""
    SHOPPING = "shopping"
    CLOSING = "closing"
    """The shopper asked to pay; the cart has not frozen its basket yet."""
    TO_PAY = "to-pay"
    PAYING = "paying"
    """The acquirer was asked; no answer yet, or an unknown one being cleared."""
    PAID = "paid"
    """Show the exit code at the lane."""
    GOODBYE = "goodbye"
    """Through the gate."""


class LineView(msgspec.Struct, frozen=True, kw_only=True):
    line: str
    name: str
    quantity: int
    amount: str
    """'2 x' or '0.482 kg'."""
    unit: str
    """'€1.20 each' or '€2.49 / kg'."""
    total: Money
    origin: str = ""
    nutrition: str = ""
    allergens: str = ""


class PendingView(msgspec.Struct, frozen=True, kw_only=True):
    scan: str
    name: str


class TaxView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    gross: Money
    tax: Money


class PhoneView(msgspec.Struct, frozen=True, kw_only=True):
    """One shopper's phone.

    `revision` grows with every change; `observed_us` is the cart's monotonic time of the evidence behind the newest
    change to the basket (0 before any).
    """

    revision: int
    phase: PhonePhase
    store: str
    cart: CartId | None = None
    cart_online: bool = True
    lines: tuple[LineView, ...] = ()
    pending: tuple[PendingView, ...] = ()
    attention: str = ""
    """What the cart wants from the shopper, e.g. 'Something was put in without a scan: please take it out.'"""
    total: Money | None = None
    taxes: tuple[TaxView, ...] = ()
    order_number: OrderNumber | None = None
    order_id: OrderId | None = None
    paid: Money | None = None
    problem: str = ""
    """Why the last thing asked for did not happen, e.g. 'Your card was declined.'"""
    exit_token: str | None = None
    """Base45 text of the signed exit token, once paid."""
    exit_token_expires_ms: int = 0
    observed_us: int = 0


class RecordCard(msgspec.Struct, frozen=True, kw_only=True):
    """What staff can do about a cart's record from a cart or an alarm. Without `record` it was not asked for yet."""

    record: RecordId | None = None
    stage: str = ""
    """asked, kept or failed."""


class RecordView(msgspec.Struct, frozen=True, kw_only=True):
    """A cart's record: asked for, kept or failed (`stage`)."""

    revision: int
    record: RecordId
    cart: CartId
    stage: str
    session: SessionId | None
    from_ms: int
    until_ms: int
    """What was asked for: a session, or a span of the cart's time."""
    asked_by: StaffId
    asked_ms: int
    order_number: OrderNumber | None
    shopper_here: bool
    """The session goes on: a later record would tell more."""
    cart_online: bool
    parts_here: int
    parts: int
    """How many parts there are; 0 while the cart has not said."""
    file_size: int
    """Bytes of the file for `replay`."""
    has_picture: bool
    kept_ms: int
    kept_until_ms: int
    sentence: str
    """Why there is none."""


class CartCard(msgspec.Struct, frozen=True, kw_only=True):
    """A cart on the console. `state`: free, shopping, paying, paid, faulty, charging, withdrawn or offline."""

    cart: CartId
    state: str
    online: bool
    code: str
    items: int
    total: Money
    mass: str
    attention: str
    faults: tuple[str, ...]
    last_seen_ms: int
    epoch: int
    committed: int
    """Last committed seq."""
    record: RecordCard | None = None
    """Of its newest session; None while it had none."""


class LaneCard(msgspec.Struct, frozen=True, kw_only=True):
    """A lane on the console. `state` is a state of core.lane_sequence; `cause` why it alarms."""

    lane: LaneId
    state: str
    order_number: OrderNumber | None = None
    said: str = ""
    expected: str = ""
    measured: str = ""
    tolerance: str = ""
    tolerance_reasons: tuple[str, ...] = ()
    cause: str = ""
    deactivator_live: bool = False
    barrier_open: bool = False
    holds: IncidentId | None = None
    """The open weight alarm whose order waits here: staff may let it through."""
    codes_refused: int = 0
    """Codes shown here that opened nothing (forged, expired, used, unpaid, unknown), since the agent started."""


class IncidentCard(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm, newest first on the console. `evidence` are short lines: weights, tolerances, lines, tokens."""

    incident: IncidentId
    at_ms: int
    where: str
    cause: str
    sentence: str
    evidence: tuple[str, ...]
    resolved_by: str = ""
    let_through: bool = False
    """Resolved by letting the shopper through."""
    may_let_through: bool = False
    """The order still waits at its lane, so staff may check the goods and let it through."""
    record: RecordCard | None = None
    """Of the cart that it is about; None where it is about none."""


class LevelCard(msgspec.Struct, frozen=True, kw_only=True):
    """Something that fills up, the highest first on the console. `tide`: good, warning or limit (core.level)."""

    name: str
    tide: str
    value: str
    unit: str
    thresholds: str
    """'alarm below 1,000, limit 200 MB'."""
    sentence: str = ""
    """What staff should know and do; '' while all is well."""


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """What the store has counted since it began, for the console's footer and the scoreboard."""

    events_committed: int = 0
    events_repeated: int = 0
    """Arrived again and were ignored."""
    gaps_refused: int = 0
    unreadable: int = 0
    unknown_fields: int = 0
    orders_paid: int = 0
    paid: Money | None = None
    exits: int = 0
    incidents: int = 0
    payments_unknown: int = 0


class ConsoleView(msgspec.Struct, frozen=True, kw_only=True):
    revision: int
    store: str
    now_ms: int
    broker_online: bool
    carts: tuple[CartCard, ...]
    lanes: tuple[LaneCard, ...]
    incidents: tuple[IncidentCard, ...]
    counters: Counters
    levels: tuple[LevelCard, ...] = ()


class SightCart(msgspec.Struct, frozen=True, kw_only=True):
    """What a connected cart says that it knows by sight."""

    cart: CartId
    network: str
    """SHA-256 of its network."""
    version: int
    """Of what it was taught."""
    takes_lessons: bool


class KnownCard(msgspec.Struct, frozen=True, kw_only=True):
    """A product that carts know by sight. Without `shots` they know it only as they were shipped."""

    product: ProductId
    name: str
    listed: bool
    """Whether the price book has it."""
    shipped: str
    """How it is called in what carts were shipped with."""
    in_season: bool
    alike: tuple[str, ...]
    """Names of what looks like it: there the shopper is asked."""
    shots: int = 0
    verdict: str = ""
    right: int = 0
    together: int = 0
    other_network: bool = False
    """No connected cart has the network for which it was taught: it is to be shown again."""


class LessonCard(msgspec.Struct, frozen=True, kw_only=True):
    """A product being shown (`stage` asked), learned (taken), or of which nothing came (failed)."""

    lesson: LessonId
    stage: str
    at_ms: int
    cart: CartId
    product: ProductId
    name: str
    listed: bool
    asked_by: StaffId | None
    """None where it was shown at the cart without being asked for."""
    shots: int
    wanted: int
    seen: str
    verdict: str
    right: int
    together: int
    resembles: tuple[tuple[str, int], ...]
    """Name and cosine in per cent."""
    alike: tuple[str, ...]
    sentence: str
    known: bool
    """Carts were taught it before: this would replace that."""


class VersionCard(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    at_ms: int
    staff: StaffId | None
    doing: str
    name: str
    to: int | None
    taught: int
    out_of_season: int
    same: bool
    """Its content is what carts know now."""


class TeachableCard(msgspec.Struct, frozen=True, kw_only=True):
    product: ProductId
    name: str


class SightView(msgspec.Struct, frozen=True, kw_only=True):
    """Goods by sight: what carts know, what they are being shown, and the versions of it."""

    revision: int
    now_ms: int
    version: int
    known: tuple[KnownCard, ...]
    lessons: tuple[LessonCard, ...]
    """The newest first."""
    versions: tuple[VersionCard, ...]
    """The newest first."""
    carts: tuple[SightCart, ...]
    """Connected carts that know goods by sight, or could."""
    able: tuple[CartId, ...]
    """Those to which something can be shown now."""
    teachable: tuple[TeachableCard, ...]
    several_boxes: bool
