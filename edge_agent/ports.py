"""What the store needs from outside: carts, lane hardware, an acquirer, a journal. No bodies here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from cart_protocol.ids import CartId, LaneId, RecordId, ShopperId
from cart_protocol.mass import Mass
from cart_protocol.messages import CartMessage, StoreMessage
from cart_protocol.money import Money
from edge_agent.core.events import Fact

# ── carts ────────────────────────────────────────────────────────────────────────────────────────────────────────


class LinkUp(msgspec.Struct, frozen=True):
    """The broker accepted us; subscriptions stand."""


class LinkDown(msgspec.Struct, frozen=True):
    reason: str


class Heard(msgspec.Struct, frozen=True, gc=False):
    """A message of one cart; the topic it came on, which the broker guards, says which."""

    cart: CartId
    message: CartMessage
    unknown_fields: tuple[str, ...] = ()


class Unreadable(msgspec.Struct, frozen=True):
    """Something arrived that is no message of ours; `cart` where the topic named one."""

    cart: CartId | None
    topic: str
    reason: str


class CartLink(Protocol):
    """The wire to all carts. Sending never blocks and never promises arrival."""

    def send(self, message: StoreMessage, cart: CartId | None = None) -> None: ...
    async def receive(self) -> LinkUp | LinkDown | Heard | Unreadable: ...
    def drain(self) -> Iterable[LinkUp | LinkDown | Heard | Unreadable]:
        """Return what else is at hand, in order, without waiting; a link may always return nothing."""

    async def close(self) -> None: ...


# ── the exit lane (names after UnifiedPOS where it has one) ──────────────────────────────────────────────────────


class DeviceError(Exception):
    """A lane device did not answer as it must; the text says which, what was seen, and what to do."""


class Weight(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a scale. `mass` is None while it has no valid weight; the flags say why."""

    mass: Mass | None
    in_motion: bool = False
    over_capacity: bool = False
    under_zero: bool = False
    net: bool = False


class Scale(Protocol):
    """UnifiedPOS Scale."""

    division: Mass
    """Verification scale interval e."""

    async def weigh(self) -> Weight:
        """Ask once. Raises DeviceError when the scale is silent, unplugged or talks nonsense."""

    async def close(self) -> None: ...


class CodeScanner(Protocol):
    """UnifiedPOS Scanner: the order scanner at the lane's head."""

    async def read(self) -> str:
        """Wait for the next code, without its terminator. Raises DeviceError when unplugged."""

    async def close(self) -> None: ...


class Deactivator(Protocol):
    """EAS tag deactivation pad: live only while enabled. Both calls may be repeated."""

    def enable(self) -> None: ...
    def disable(self) -> None: ...


class EasSignal(StrEnum):
    TAG_ALARM = "tag-alarm"
    """A live tag is between the pedestals."""
    PASSED = "passed"
    """Somebody went through."""


class EasGate(Protocol):
    """EAS pedestals with a barrier and a people counter. The pedestals' own alarm is not ours to silence."""

    def open(self) -> None: ...
    def close_barrier(self) -> None: ...
    async def signal(self) -> EasSignal: ...


class LampColour(StrEnum):
    OFF = "off"
    GREEN = "green"
    AMBER = "amber"
    RED = "red"


class Lights(Protocol):
    """UnifiedPOS Lights: the lane's stack lamp."""

    def show(self, colour: LampColour) -> None: ...


class ToneIndicator(Protocol):
    """UnifiedPOS ToneIndicator: the lane's sounder."""

    def sound(self, on: bool) -> None: ...


class Speaker(Protocol):
    async def say(self, sentence: str) -> None:
        """Speak and return when done. A speaker that fails is reported, never fatal: the lamp and sounder stand."""


class LaneDevices(msgspec.Struct, frozen=True, kw_only=True):
    """One lane's hardware, made by __main__ (or the stage)."""

    lane: LaneId
    scale: Scale
    scanner: CodeScanner
    deactivator: Deactivator
    gate: EasGate
    lights: Lights
    tone: ToneIndicator
    speaker: Speaker


# ── payment ──────────────────────────────────────────────────────────────────────────────────────────────────────


class ChargeStatus(StrEnum):
    CAPTURED = "captured"
    DECLINED = "declined"
    UNKNOWN = "unknown"
    """No answer: the money may or may not have moved; only `query` may tell."""
    NOT_FOUND = "not-found"
    """The acquirer never saw this key."""
    REFUSED = "refused"
    """This request was turned away unread, e.g. for a wrong API key; what an earlier one did is not said."""


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    status: ChargeStatus
    amount: Money
    """What was really captured: trust this, never the status alone."""
    reference: str = ""
    """The acquirer's own."""
    reason: str = ""


class Acquirer(Protocol):
    """Who moves card money. `key` is the idempotency key of one tender for life."""

    async def charge(self, key: str, amount: Money, method: str) -> Charge: ...
    async def query(self, key: str, amount: Money) -> Charge: ...


class NoticeRefusedError(Exception):
    """A notice that cannot be the acquirer's, or not one of now. `reason`: 'forged', 'stale' or 'unreadable'."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class NoticeReader(Protocol):
    """Reads what the acquirer sends unasked when it concluded something."""

    def key_of(self, signature: str, body: bytes, now_ms: int) -> str:
        """Return the key that the notice is about. Raises NoticeRefusedError."""


# ── the journal ──────────────────────────────────────────────────────────────────────────────────────────────────


class Journal(Protocol):
    """The append-only event log with the read tables projected from it, committed together."""

    def append(self, facts: Sequence[Fact], positions: Mapping[CartId, tuple[int, int]]) -> int:
        """Commit all or nothing, durably, with the carts' new (epoch, seq); return the last entry's number."""

    def replay(self) -> Iterator[Fact]:
        """Yield every fact, oldest first; what is appended meanwhile may or may not be among them."""

    def positions(self) -> dict[CartId, tuple[int, int]]: ...

    def forget(self, shopper: ShopperId, pseudonym: ShopperId, streams: Sequence[str], facts: Sequence[Fact]) -> bool:
        """Write anew what `streams` and the read tables say of `shopper`, and append `facts`: all or nothing.

        Return False where somebody who reads keeps the database from letting go of an old page now. May be repeated.
        """

    def keep(self, facts: Sequence[Fact], parts: Sequence[bytes]) -> None:
        """Append `facts` together with the bytes of the cart's record that one of them keeps: all or nothing."""

    def record(self, record: RecordId) -> bytes:
        """Return the bytes of a cart's record, none where there is no such; from any thread, at any time."""

    def close(self) -> None: ...


class JournalFullError(Exception):
    """The journal has no room: nothing was committed, and the same append may be tried again when there is some."""


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes on the journal's disk: `free` for us, taken by the `journal`, and by its write-ahead `log`."""

    free: int
    journal: int
    log: int
    reserve_held: bool


class StoreRoom(Protocol):
    """The disk under the journal, and a reserve on it. May be called from any thread."""

    def measure(self) -> Room | None:
        """Return the sizes now; None where the journal's disk is not ours to see."""

    def lay_by(self) -> bool:
        """Hold the reserve; return whether it is held. Repeating is free of harm."""

    def give_back(self) -> bool:
        """Give the reserve to the journal; return whether there was any."""


class LeaseBook(Protocol):
    """Which partitions of a shared journal are ours to write. Calls block, and may be made from any thread, in turn."""

    held: dict[int, int]
    """Our partitions, and the fence of each."""

    def claim(self, wanted: Iterable[int], grace_s: float = 0.0) -> dict[int, int]:
        """Take those of `wanted` that nobody holds, nor held during the last `grace_s`; return their fences."""

    def renew(self) -> None:
        """Prolong what we hold. Raises an error that ends the process where somebody took it over."""

    def addresses(self) -> Mapping[int, str]:
        """Return where the owner of each partition is reached."""

    def release(self) -> None:
        """Give up what we hold, so that nobody has to wait for its end; after the last append."""
