"""What the cart needs from outside: sensors, a wire to the store, a safe place for its state. No bodies here."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.core.recording import Entry, Header, Reading
from cart_protocol.basket import Basket, CartEvent, Position
from cart_protocol.ids import LessonId, SessionId
from cart_protocol.messages import (
    CartMessage,
    CartTime,
    LessonLearned,
    PriceBookIssue,
    Recorded,
    SightIssue,
    StoreMessage,
)


class LoadCellError(Exception):
    """A reading that must not be used; the sub-class is the reason and the text says what was seen.

    LoadCellError
    ├── FrameError         lost or added clock edges, or a line that is held
    ├── SlowClockError     a clock pulse so long that the chip may have powered down
    ├── WrongGainError     the converter restarted or switched its input by itself
    ├── RateError          strapped for another number of conversions per second
    ├── SaturatedError     at the end of its range
    ├── SilentError        no conversion comes
    ├── StuckError         the same counts over and over
    └── DisagreementError  one cell of a platform contradicts the others
    """

    cell: str = ""
    """Which of several cells it was; empty where there is one."""


class FrameError(LoadCellError):
    """The converter's frame failed its check: clock edges were lost or added, or a wire is held; the chip was reset."""


class SlowClockError(LoadCellError):
    """A clock pulse took longer than the chip allows, so that it may have powered down in mid-frame; it was reset."""


class WrongGainError(LoadCellError):
    """The converter restarted or switched by itself (a brown-out, a glitch): its gain is not the one we calibrated."""


class RateError(LoadCellError):
    """Conversions come at another rate than the configuration says."""


class SaturatedError(LoadCellError):
    """The ADC is at its end: overload, or a broken bridge wire."""


class SilentError(LoadCellError):
    """No conversion came in ten conversion times: unplugged or without power."""


class StuckError(LoadCellError):
    """The counts do not change by even one: a live converter has noise."""


class DisagreementError(LoadCellError):
    """One cell of several says what a rigid platform cannot: it drifts, jams or lies loose."""


class Quality(StrEnum):
    """How far the counts of a sample may be trusted; what may not be trusted at all is a LoadCellError."""

    GOOD = "good"
    """Checked on the wire, and confirmed by the conversion after it."""
    NEAR_END = "near-end"
    """As good, but within two per cent of the converter's end: the next few kilograms will saturate it."""


class Sample(msgspec.Struct, frozen=True):
    """One conversion: signed counts of the ADC, when it was read (monotonic, microseconds), and how good it is."""

    at_us: int
    counts: int
    quality: Quality = Quality.GOOD
    parts: tuple[int, ...] = ()
    """Each cell's counts, where several make the sum; in their order around the platform."""


class LoadCell(Protocol):
    """An analogue-to-digital converter behind the platform, or several that are one platform."""

    rate_hz: float
    """Conversions per second that the part is strapped for."""

    def poll(self, now_us: int) -> Sample | None:
        """Return a new conversion, or None when there is none yet. Never blocks longer than a transfer (about 1 ms).

        A conversion may be handed over when the next one confirms it: `Sample.at_us` says when it was read.

        Raises:
            LoadCellError: the conversion failed its check; the next call starts afresh.
        """

    def close(self) -> None: ...


class Acceleration(msgspec.Struct, frozen=True):
    """What an accelerometer feels, in micro-g along the axes printed on the part; at rest it is gravity."""

    at_us: int
    x: int
    y: int
    z: int


class ImuError(Exception):
    """The accelerometer gave no reading that can be used; the text says what was seen and what to do."""


class Imu(Protocol):
    """An accelerometer on the cart's frame: how far it leans."""

    def read(self, now_us: int) -> Acceleration:
        """Return the newest reading; sets the part up first where that is needed.

        Raises:
            ImuError: it does not answer, is another part, or forgot its settings; the next call sets it up afresh.
        """

    def close(self) -> None: ...


class Colour(msgspec.Struct, frozen=True):
    """The colours of a picture (ITU-R BT.601): Cb and Cr, 2 x half its height x half its width, uint8."""

    planes: NDArray[np.uint8]
    limited: bool
    """Black is 16 and white is 235 in the luminance beside it, as video has it; otherwise 0 and 255."""


class Frame(msgspec.Struct, frozen=True):
    """One picture: luminance, height x width, uint8; `at_us` is when it was complete (monotonic)."""

    at_us: int
    luma: NDArray[np.uint8]
    colour: Colour | None = None
    """None of a camera that sees no colours."""


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


class Recordings(Protocol):
    """The flight recorder's bounded place on a disk. Calls block, and may come from any thread.

    Raises:
        OSError: from `begin` and `append`, where the disk fails or has no room; the segment ends at its last whole
            chunk, and the next thing to do is to begin another.
    """

    def begin(self, header: Header, texts: Mapping[str, str]) -> int:
        """End the open segment and begin another; return its bytes. `texts` are those its book refers to, by digest."""

    def append(self, entries: Sequence[Entry | Reading]) -> int:
        """Write to the open segment; return its bytes."""

    def record_of(self, session: SessionId | None, from_ms: int, until_ms: int) -> bytes:
        """Return the segments of a session (None: of all), written in a span of wall time, as one file.

        It is made by cart_firmware.core.recording.bundled.

        Raises:
            RecordingError: nothing is recorded of it, or not any more.
        """

    def erase(self, session: SessionId) -> int:
        """End the open segment and delete all that tell of a session; return how many."""


class PictureShelf(Protocol):
    """Where pictures of products are kept, by their names (cart_protocol.product_picture). Calls block."""

    def __contains__(self, name: object, /) -> bool: ...
    def content(self, name: str) -> bytes | None:
        """Return a picture, or None of one that is not there or was damaged; the latter is not there any more."""

    def put(self, content: bytes) -> None:
        """Keep a picture under its name. Raises OSError where the disk has no room to spare, or fails."""

    def keep_only(self, names: Collection[str]) -> None:
        """Delete all others."""


class SightFiles(Protocol):
    """A safe place for what the store taught of goods by sight, and for what was shown to this cart. Calls block.

    Raises:
        OSError: from what keeps or deletes, where the disk fails or has no room; what was there stays.
    """

    def issue(self) -> SightIssue | None:
        """Return the issue that was kept last, None where there is none that can be read."""

    def keep_issue(self, issue: SightIssue) -> None: ...
    def lessons(self) -> list[LessonLearned]:
        """Return what came of lessons and the store does not have yet, as far as it can be read."""

    def keep_lesson(self, learned: LessonLearned) -> None: ...
    def drop_lesson(self, lesson: LessonId) -> None:
        """Forget what came of a lesson; what is not there (any more) is no error."""
