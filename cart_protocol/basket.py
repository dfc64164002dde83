"""The basket: one fold of cart events, the same on the cart (truth) and in the store (mirror).

`evolve` applies what was decided and never decides. Deciding is the cart's business (cart_firmware.core).
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from cart_protocol.ids import CommandId, Epoch, LineId, ProductId, ScanId, Seq, SessionId
from cart_protocol.mass import ZERO, Mass, Variance
from cart_protocol.money import Money
from cart_protocol.pricing.line import LinePrice

STORABLE = msgspec.Meta(ge=0, le=(1 << 63) - 1)
"""A number that a database's integer can hold; a peer that says more is refused before anything is done with it."""


class Phase(StrEnum):
    """Where a cart is in its day."""

    IDLE = "idle"
    """Nobody's: shows its code and waits."""
    SHOPPING = "shopping"
    FROZEN = "frozen"
    """An order was made of it; goods must stay as they are."""


class Fault(StrEnum):
    """What a cart can lack; shown to staff, and a faulty cart is not handed out."""

    LOAD_CELL_SILENT = "load-cell-silent"
    LOAD_CELL_SATURATED = "load-cell-saturated"
    LOAD_CELL_STUCK = "load-cell-stuck"
    LOAD_CELL_WRONG_GAIN = "load-cell-wrong-gain"
    LOAD_CELL_WRONG_RATE = "load-cell-wrong-rate"
    LOAD_CELLS_DISAGREE = "load-cells-disagree"
    LOAD_CELL_SLOW_CLOCK = "load-cell-slow-clock"
    LOAD_CELL_LOST_FRAMES = "load-cell-lost-frames"
    LOAD_CELL_UNRELIABLE = "load-cell-unreliable"
    """Readings fail in several of these ways."""
    LOAD_CELL_DRIFTS = "load-cell-drifts"
    """Its zero moves as no sound cell's does: suspect the cell before the shopper."""
    CAMERA_SILENT = "camera-silent"
    OUTBOX_FULL = "outbox-full"
    NO_PRICE_BOOK = "no-price-book"
    CHARGING = "charging"


class _Event(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    gc=False,
    tag_field="type",
    tag=lambda name: name,
):
    """Base of all cart events; on the wire `type` is the class name.

    `gc=False`, here and on what else a shop holds by the hundred thousand: nothing frozen refers back to what holds it,
    so there is no cycle to be found, and looking for one took a fifth of the store's time (docs/PERFORMANCE.md).
    """


class CodeOffered(_Event, frozen=True):
    """The cart is free and shows this code; any earlier code is void."""

    code: str


class SessionBegan(_Event, frozen=True):
    session: SessionId
    command: CommandId


class SessionEnded(_Event, frozen=True):
    """The cart forgot the shopper. `reason`: 'left', 'handed-back', 'timed-out' or 'withdrawn'."""

    session: SessionId
    reason: str
    command: CommandId | None = None


class CommandRefused(_Event, frozen=True):
    """The store asked for something the cart could not do."""

    command: CommandId
    reason: str


class ItemScanned(_Event, frozen=True):
    """A code was read and accepted; the goods are expected on the scale. `text` is what was read."""

    scan: ScanId
    product: ProductId
    name: str
    text: str
    symbology: str
    marked: Money | None = None
    """Price printed on an in-store label."""
    marked_mass: Mass | None = None
    """Net mass printed on an in-store label."""


class ScanRefused(_Event, frozen=True):
    """A readable code that is not accepted.

    `reason`: 'unknown-product', 'check-digit', 'not-a-product', 'coupon' or 'basket-closed'; of a pack that must not be
    sold 'expired', 'past-best-before' or 'recalled', with the product's `name`.
    """

    text: str
    symbology: str
    reason: str
    name: str = ""


class ScanAbandoned(_Event, frozen=True):
    """What was scanned never arrived on the scale and is not charged."""

    scan: ScanId


class LineAdded(_Event, frozen=True):
    """A weight step was explained by a scan: the product is in the cart. `mass` is what the load cell saw.

    Goods put back a moment after they were taken out come with a `scan` of their own that was never pending, and say
    themselves what is `marked` on them.
    """

    line: LineId
    scan: ScanId
    product: ProductId
    name: str
    quantity: int
    mass: Mass
    price: LinePrice
    tagged: bool
    marked: Money | None = None
    marked_mass: Mass | None = None


class LineRemoved(_Event, frozen=True):
    """The product left the cart. `mass` is what the load cell saw, as a positive number."""

    line: LineId
    mass: Mass


class WeightUnexplained(_Event, frozen=True):
    """The load changed and nothing explains it; the cart asks. `step` is signed; `number` counts within the cart."""

    number: int
    step: Mass


class WeightExplained(_Event, frozen=True):
    """An unexplained step found its reason. `by`: 'scan', 'returned', 'taken-out' or 'staff' (on their `command`)."""

    number: int
    by: str
    command: CommandId | None = None


class ContainerAdded(_Event, frozen=True):
    """A bag or container of the shopper's own, announced on the screen, was put in: its `mass` is no goods' mass."""

    number: int
    """Counts with the unexplained steps."""
    mass: Mass


class ContainerRemoved(_Event, frozen=True):
    """It was taken out, and its mass with it: what is put in its place is goods."""

    number: int


class AttentionChanged(_Event, frozen=True):
    """The cart wants somebody of the staff, or does not any more (`reason` empty).

    `reason`: 'help' (the shopper asks for it), 'unexplained' (a question that stays open) or 'container' (what was
    announced as an own container is too heavy for one).
    """

    reason: str
    command: CommandId | None = None


class BasketFrozen(_Event, frozen=True):
    """The shopper asked to pay: these lines and this settled load are the order."""

    command: CommandId
    settled: Mass
    """Net load on the platform."""
    variance: Variance


class BasketThawed(_Event, frozen=True):
    command: CommandId


class LoadSettled(_Event, frozen=True):
    """The load was quiet; remembered so that a cart that was dead can tell what happened meanwhile."""

    settled: Mass
    variance: Variance


class FaultsChanged(_Event, frozen=True):
    faults: tuple[Fault, ...]


class Withdrawn(_Event, frozen=True):
    """Staff took the cart out of service, or put it back (`withdrawn` false)."""

    command: CommandId
    withdrawn: bool


CartEvent = (
    CodeOffered
    | SessionBegan
    | SessionEnded
    | CommandRefused
    | ItemScanned
    | ScanRefused
    | ScanAbandoned
    | LineAdded
    | LineRemoved
    | WeightUnexplained
    | WeightExplained
    | ContainerAdded
    | ContainerRemoved
    | AttentionChanged
    | BasketFrozen
    | BasketThawed
    | LoadSettled
    | FaultsChanged
    | Withdrawn
)


class PendingScan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Scanned and not yet weighed."""

    scan: ScanId
    product: ProductId
    name: str
    marked: Money | None
    marked_mass: Mass | None


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One product in the cart."""

    line: LineId
    product: ProductId
    name: str
    quantity: int
    mass: Mass
    price: LinePrice
    tagged: bool
    marked: Money | None = None
    """Price printed on the pack, as its scan said."""
    marked_mass: Mass | None = None
    """Net mass printed on the pack, as its scan said."""


class UnexplainedStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    number: int
    step: Mass


class Basket(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """All that a cart knows about itself; travels whole in a snapshot. Dicts keep the order of arrival."""

    phase: Phase = Phase.IDLE
    code: str = ""
    session: SessionId | None = None
    lines: dict[LineId, Line] = msgspec.field(default_factory=dict)
    pending: dict[ScanId, PendingScan] = msgspec.field(default_factory=dict)
    unexplained: dict[int, UnexplainedStep] = msgspec.field(default_factory=dict)
    steps: int = 0
    """How many unexplained steps and containers were ever numbered."""
    containers: dict[int, Mass] = msgspec.field(default_factory=dict)
    """The shopper's own, by number. Their mass is in `tare`."""
    attention: str = ""
    """Why somebody of the staff should come; empty when nobody needs to (see AttentionChanged)."""
    settled: Mass = ZERO
    """Load on the platform above `tare` that these events account for."""
    variance: Variance = Variance(0)
    tare: Mass = ZERO
    """Load on the platform when the session began, above the calibrated zero, and own containers since."""
    faults: tuple[Fault, ...] = ()
    withdrawn: bool = False

    def line_prices(self) -> list[LinePrice]:
        return [line.price for line in self.lines.values()]


class Position(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """How far a stream was recorded or committed."""

    epoch: Annotated[Epoch, STORABLE]
    seq: Annotated[Seq, STORABLE]


def evolve(basket: Basket, event: CartEvent) -> None:
    """Apply one event in place. Total: any event applies to any basket, and applying decides nothing."""
    _APPLY[type(event)](basket, event)


def _session_began(basket: Basket, event: SessionBegan) -> None:
    basket.phase, basket.session, basket.code = Phase.SHOPPING, event.session, ""
    # What already lies there (a bag, the drift of a week) is nobody's purchase.
    basket.tare, basket.settled = Mass(basket.tare + basket.settled), ZERO
    _empty(basket)


def _session_ended(basket: Basket, _event: SessionEnded) -> None:
    basket.phase, basket.session = Phase.IDLE, None
    _empty(basket)


def _item_scanned(basket: Basket, event: ItemScanned) -> None:
    basket.pending[event.scan] = PendingScan(
        scan=event.scan, product=event.product, name=event.name, marked=event.marked, marked_mass=event.marked_mass
    )


def _line_added(basket: Basket, event: LineAdded) -> None:
    expected = basket.pending.pop(event.scan, None) or event
    basket.lines[event.line] = Line(
        line=event.line, product=event.product, name=event.name, quantity=event.quantity, mass=event.mass,
        price=event.price, tagged=event.tagged, marked=expected.marked, marked_mass=expected.marked_mass,
    )  # fmt: skip


def _weight_unexplained(basket: Basket, event: WeightUnexplained) -> None:
    basket.steps = max(basket.steps, event.number)
    basket.unexplained[event.number] = UnexplainedStep(number=event.number, step=event.step)


def _container_added(basket: Basket, event: ContainerAdded) -> None:
    basket.steps = max(basket.steps, event.number)
    basket.containers[event.number] = event.mass
    basket.tare = Mass(basket.tare + event.mass)


def _container_removed(basket: Basket, event: ContainerRemoved) -> None:
    basket.tare = Mass(basket.tare - basket.containers.pop(event.number, ZERO))


def _frozen(basket: Basket, event: BasketFrozen) -> None:
    basket.phase, basket.settled, basket.variance = Phase.FROZEN, event.settled, event.variance
    basket.pending.clear()


def _settled(basket: Basket, event: LoadSettled) -> None:
    basket.settled, basket.variance = event.settled, event.variance


def _empty(basket: Basket) -> None:
    basket.lines.clear()
    basket.pending.clear()
    basket.unexplained.clear()
    basket.containers.clear()
    basket.attention = ""


def _nothing(_basket: Basket, _event: CartEvent) -> None:
    """Counted and shown, but the basket stays as it was."""


_APPLY: dict[type[CartEvent], Callable[[Basket, Any], object]] = {
    CodeOffered: lambda basket, event: setattr(basket, "code", event.code),
    SessionBegan: _session_began,
    SessionEnded: _session_ended,
    CommandRefused: _nothing,
    ItemScanned: _item_scanned,
    ScanRefused: _nothing,
    ScanAbandoned: lambda basket, event: basket.pending.pop(event.scan, None),
    LineAdded: _line_added,
    LineRemoved: lambda basket, event: basket.lines.pop(event.line, None),
    WeightUnexplained: _weight_unexplained,
    WeightExplained: lambda basket, event: basket.unexplained.pop(event.number, None),
    ContainerAdded: _container_added,
    ContainerRemoved: _container_removed,
    AttentionChanged: lambda basket, event: setattr(basket, "attention", event.reason),
    BasketFrozen: _frozen,
    BasketThawed: lambda basket, _: setattr(basket, "phase", Phase.SHOPPING),
    LoadSettled: _settled,
    FaultsChanged: lambda basket, event: setattr(basket, "faults", event.faults),
    Withdrawn: lambda basket, event: setattr(basket, "withdrawn", event.withdrawn),
}
"""What each event does. A test holds it against CartEvent, so that no type is missing."""
