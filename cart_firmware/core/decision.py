"""What every decision of the cart works on: a draft of the next basket, and the evidence that decides nothing yet.

A draft is thrown away when its events cannot be recorded; the basket is then as it was, and the evidence waits.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from cart_protocol.basket import Basket, CartEvent, Line, LoadSettled, WeightUnexplained, evolve
from cart_protocol.ids import LineId, ProductId, ScanId
from cart_protocol.mass import ZERO, Mass, Variance
from cart_protocol.pricing.price_book import Prices

UNKNOWN_US = -(1 << 62)
"""When something happened that happened before this program was started."""


class HeldStep(msgspec.Struct, frozen=True):
    """A step that nothing explains yet and that was not yet asked about."""

    at_us: int
    mass: Mass
    variance: Variance
    undoes_us: int | None = None
    """`at_us` of the step that it takes back, as the weigher found."""
    from_us: int = UNKNOWN_US
    """When the load was last quiet before it."""


class Taken(msgspec.Struct, frozen=True):
    """A line that left a moment ago and may come back."""

    at_us: int
    line: Line


class Way(StrEnum):
    """Which way a hand went over the rim."""

    UNSEEN = "unseen"
    IN = "in"
    OUT = "out"
    BOTH = "both"
    """With something in it both ways: an exchange."""


class Passed(msgspec.Struct, frozen=True):
    """Something went over the rim between these times (monotonic); `way` is UNSEEN where it is not certain."""

    from_us: int
    until_us: int
    way: Way


class Sighted(msgspec.Struct, frozen=True):
    """What a recogniser says of the pictures of one passage: how much better they fit a product than goods at large.

    Logarithms of likelihood ratios (core.sighting); `products` are those that it knows, `others` is that of any other.
    """

    from_us: int
    until_us: int
    products: tuple[tuple[ProductId, float], ...]
    others: float = 0.0

    def of(self, product: ProductId) -> float:
        return next((ratio for named, ratio in self.products if named == product), self.others)


class Clues(msgspec.Struct, frozen=True, kw_only=True):
    """What other eyes say of one change, where a cart has any: empty says nothing, and changes nothing."""

    sight: Sighted | None = None
    """Of what the hand carried."""
    hand: Way = Way.UNSEEN

    def of(self, product: ProductId) -> float:
        """Return how much better the pictures fit this product than goods at large, as a logarithm."""
        return self.sight.of(product) if self.sight else 0.0

    def knows(self, product: ProductId) -> bool:
        """Return whether the recogniser knows this product, so that a picture can contradict it."""
        return self.sight is not None and any(named == product for named, _ in self.sight.products)

    @property
    def named(self) -> tuple[ProductId, ...]:
        """Products that the pictures fit better than goods at large, the likeliest first."""
        ratios = self.sight.products if self.sight else ()
        return tuple(product for product, ratio in sorted(ratios, key=lambda each: -each[1]) if ratio > 0)

    @property
    def of_others(self) -> float:
        """The same of something that is no product of ours."""
        return self.sight.others if self.sight else 0.0


class Asked(msgspec.Struct, frozen=True):
    """What is known beside its event of a step that was asked about: when it happened, and what was seen of it."""

    at_us: int
    from_us: int = UNKNOWN_US
    """As of the step that was held."""
    clues: Clues = Clues()


class Evidence(msgspec.Struct, kw_only=True):
    """What was seen and is not in any event. Lost with the program: what matters of it is weighed again."""

    level: Mass = ZERO
    """The load above the calibrated zero as last reported, with all steps up to now and none that is to come."""
    variance: Variance = Variance(0)
    quiet: bool = False
    held: tuple[HeldStep, ...] = ()
    taken: tuple[Taken, ...] = ()
    scanned_us: dict[ScanId, int] = {}
    """When each pending scan was made; one that is missing was made before the start."""
    asked: dict[int, Asked] = {}
    """Of each unexplained step, likewise."""
    leaving_us: dict[LineId, int] = {}
    """When the shopper said of a line that it goes. It stays on the bill until it does."""
    container_us: int | None = None
    """When the shopper said that a container of their own comes next."""
    passages: tuple[Passed, ...] = ()
    """Of hands over the rim, the latest."""
    sights: tuple[Sighted, ...] = ()
    """Of what they carried, likewise."""
    weighed: dict[LineId, Variance] = {}
    """How sure the scale was of each line's mass; one that is missing came before the start, or with others."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What decisions depend on beside the basket and the evidence."""

    prices: Prices | None
    mint: Callable[[], str]
    """Gives a new id with every call."""
    now_us: int
    """When the evidence that is decided upon was complete."""
    code: str = ""
    """The code to show when this decision sets the cart free."""
    scan_patience_us: int = 20_000_000
    drift_mg: int = 6_000
    """A settled load is recorded anew when it crept this far."""
    heaviest_container_mg: int = 400_000
    """Of an own container that nobody of the staff looks at: a bag, a box for eggs, a jar."""


class Draft:
    """The basket and the evidence as they will be, and the events that lead there."""

    def __init__(self, basket: Basket, evidence: Evidence) -> None:
        self.basket = msgspec.structs.replace(
            basket,
            lines=dict(basket.lines),
            pending=dict(basket.pending),
            unexplained=dict(basket.unexplained),
            containers=dict(basket.containers),
        )
        self.evidence = msgspec.structs.replace(
            evidence,
            scanned_us=dict(evidence.scanned_us),
            asked=dict(evidence.asked),
            leaving_us=dict(evidence.leaving_us),
            weighed=dict(evidence.weighed),
        )
        self.events: list[CartEvent] = []

    def add(self, event: CartEvent) -> None:
        evolve(self.basket, event)
        self.events.append(event)

    def is_held(self, step: HeldStep) -> bool:
        """Return whether this very step is still undecided: another one may look the same."""
        return any(held is step for held in self.evidence.held)

    def ask(self, step: HeldStep, clues: Clues) -> None:
        """Stop waiting for an explanation of a held step, of which other eyes say this: say that there is none."""
        self.evidence.held = tuple(held for held in self.evidence.held if held is not step)
        number = self.basket.steps + 1
        self.evidence.asked[number] = Asked(step.at_us, step.from_us, clues)
        self.add(WeightUnexplained(number=number, step=step.mass))

    def settle(self, *, at_least: int = 1) -> None:
        """Record the load that the events account for, if it is another by at least so many milligrams."""
        settled = settled_load(self.basket, self.evidence)
        if abs(settled - self.basket.settled) >= at_least:
            self.add(LoadSettled(settled=settled, variance=self.evidence.variance))


def settled_load(basket: Basket, evidence: Evidence) -> Mass:
    """Return the load above the session's tare without the steps that are not decided yet."""
    return Mass(evidence.level - basket.tare - sum(step.mass for step in evidence.held))
