"""What reaches the one owner of the basket, in the order in which it happened."""

import msgspec

from cart_firmware.core.decision import Passed, Sighted
from cart_firmware.core.scanning import Refused, Shown
from cart_firmware.core.touch import Touch
from cart_firmware.core.weighing import Step
from cart_protocol.mass import Mass, Variance
from cart_protocol.messages import Command, PriceBookIssue


class Stepped(msgspec.Struct, frozen=True):
    step: Step


class Loaded(msgspec.Struct, frozen=True):
    """The load between steps, above the calibrated zero."""

    at_us: int
    level: Mass
    variance: Variance
    quiet: bool


class Seen(msgspec.Struct, frozen=True):
    seen: Shown | Refused


class Commanded(msgspec.Struct, frozen=True):
    """The store wants something; `until_us` (monotonic) is when it gives up on it, None is never."""

    command: Command
    until_us: int | None = None


class BookIssued(msgspec.Struct, frozen=True):
    issue: PriceBookIssue


class Touched(msgspec.Struct, frozen=True):
    """The shopper did something on the cart's screen."""

    at_us: int
    touch: Touch


Observation = Stepped | Loaded | Seen | Passed | Sighted | Commanded | BookIssued | Touched
