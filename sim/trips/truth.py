"""What people really did to a cart. Detectors never see it; whoever judges them does."""

import bisect
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    ADD = "add"
    REMOVE = "remove"
    TARE_IN = "tare in"
    """A bag or a container of the shopper's own."""
    TARE_OUT = "tare out"


class Situation(StrEnum):
    """What made an action easy or hard to weigh; the first that fits, in this order."""

    TWO_HANDS = "two hands"
    ROLLING = "rolling"
    JOINTS = "floor joints"
    LEANING = "leaning"
    HURRIED = "hurried"
    """Another action within two seconds."""
    SLOW = "slow placing"
    ROUND = "goods that roll"
    HANGING = "hanging bag"
    SLOPE = "slope"
    STANDING = "standing"


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """The load changed by `mass_mg`; from `at_s` on no hand is on it."""

    began_s: float
    at_s: float
    mass_mg: int
    kind: Kind
    situation: Situation
    product: int
    """Which of the assortment it really was."""
    deed: int | None = None
    """Its place in `Truth.deeds`, if it belongs to one."""


class How(StrEnum):
    """How a shopper tells the cart of a product."""

    SHOWN = "shown to the camera"
    STRUCK = "struck off the list on the screen"
    OWN = "announced on the screen as a bag or container of one's own"


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """A cart is told of a product, and what the catalogue says it weighs (one standard deviation, `sigma_mg`)."""

    at_s: float
    product: int
    nominal_mg: int
    sigma_mg: int
    how: How = How.SHOWN


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """A known fraud, or the honest act that looks like it."""

    name: str
    number: int
    """In the project's list of known frauds."""
    honest: bool
    from_s: float
    until_s: float


class Truth(msgspec.Struct, frozen=True):
    actions: list[Action]
    """In the order of `at_s`."""
    deeds: list[Deed]

    def total_mg(self, at_s: float) -> int:
        """Return what lies on the platform at `at_s`: what is still being put down counts as not there."""
        known = bisect.bisect_right(self.actions, at_s, key=lambda action: action.at_s)
        return sum(action.mass_mg for action in self.actions[:known])
