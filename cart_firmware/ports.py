"""What the cart needs from outside: sensors, a wire to the store, a safe place for its state. No bodies here."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_protocol.basket import Basket, CartEvent, Position
from cart_protocol.messages import CartMessage, CartTime, PriceBookIssue, Recorded, StoreMessage


class LoadCellError(Exception):
    """A reading that must not be used; the sub-class is the reason and the text says what was seen."""


class FrameError(LoadCellError):
    """The ADC's frame failed its check: lost clock edge, wrong gain or desynchronised; the chip was reset."""


class SaturatedError(LoadCellError):
    """The ADC is at its end: overload, or a broken bridge wire."""


class SilentError(LoadCellError):
    """No conversion came in ten conversion times: unplugged or without power."""


class Sample(msgspec.Struct, frozen=True):
    """One conversion: signed counts of the ADC and when it was read (monotonic, microseconds)."""

    at_us: int
    counts: int


class LoadCell(Protocol):
    """An analogue-to-digital converter behind the platform."""

    rate_hz: float
    """Conversions per second that the part is strapped for."""

    def poll(self, now_us: int) -> Sample | None:
        """Return a new conversion, or None when there is none yet. Never blocks longer than one transfer (60 us).

        Raises:
            LoadCellError: the conversion failed its check; the next call starts afresh.
        """

    def close(self) -> None: ...


class Frame(msgspec.Struct, frozen=True):
    """One picture: luminance, height x width, uint8; `at_us` is when it was complete (monotonic)."""

    at_us: int
    luma: NDArray[np.uint8]


class FrameSource(Protocol):
    """A camera. Frames that nobody took in time are dropped, oldest first."""

    @property
    def unmet(self) -> tuple[str, ...]:
        """Settings that it does not honour: what was asked and what it does. Complete once it showed some pictures."""

    @property
    def complaint(self) -> str:
        """What it, or the program or library behind it, said last about showing nothing; empty where it never did."""

    def frames(self) -> AsyncIterator[Frame]: ...
    async def close(self) -> None: ...


class LinkUp(msgspec.Struct, frozen=True):
    """The broker accepted us; subscriptions stand."""


class LinkDown(msgspec.Struct, frozen=True):
    reason: str


class Heard(msgspec.Struct, frozen=True):
    """A message from the store; `unknown_fields` are paths a newer store added."""

    message: StoreMessage
    unknown_fields: tuple[str, ...] = ()


class Unreadable(msgspec.Struct, frozen=True):
    """Something arrived that is no message of ours."""

    topic: str
    reason: str


class StoreLink(Protocol):
    """The wire to the store. Sending never blocks and never promises arrival."""

    def send(self, message: CartMessage) -> None: ...
    async def receive(self) -> LinkUp | LinkDown | Heard | Unreadable: ...
    async def close(self) -> None: ...


class Outbox(Protocol):
    """The cart's memory: events not yet acknowledged, and the basket they led to, in one transaction."""

    @property
    def position(self) -> Position: ...
    @property
    def acknowledged(self) -> int: ...
    def basket(self) -> Basket: ...
    def record(
        self, events: Sequence[CartEvent], at: CartTime, basket: Basket, *, urgent: bool = False
    ) -> list[Recorded]:
        """Store the events and the basket after them, durably, and return them with their seq.

        `urgent` events (faults, removals, the end of a session) may use the reserves above the bound and on the disk.

        Raises:
            OutboxFullError: there is no room; nothing was stored.
        """

    def load(self, after: int, limit: int) -> list[Recorded]: ...
    def prune(self, through: int) -> None:
        """Forget what the store has committed. Raises OutboxFullError where the disk has no room even for that."""

    def low_on(self) -> tuple[str, ...]:
        """Return what is running out, 'outbox' or 'disk': the time to tell staff."""

    def has_room(self) -> bool:
        """Return whether an ordinary event could be recorded now, as far as one can know without trying."""

    def spares(self, places: int) -> bool:
        """Return whether urgent events could be recorded and leave so many places of the reserve."""

    def price_book(self) -> PriceBookIssue | None: ...
    def keep_price_book(self, issue: PriceBookIssue) -> None: ...
    def answer(self, command: str) -> bool:
        """Return whether this command was already carried out or refused."""
