"""The flight recorder: all that a cart perceived and decided, in a ring of segments that bounds itself.

What happens is noted on the event loop, which costs an append, and written by a thread every second. Nothing that fails
here reaches the shopping trip: where the disk has no room or fails, recording stops, says so once, and begins anew with
a fresh segment. A segment tells of one session, or of the time between two, so forgetting a session deletes its files.
"""

import asyncio
import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from cart_firmware.core.acceptance import Symbol
from cart_firmware.core.recording import (
    FOR_EVER_MS,
    BookRef,
    BookRefused,
    Converted,
    Cropped,
    Decided,
    Entry,
    Failed,
    Header,
    Leaned,
    Looked,
    Reading,
    RecordingError,
    Ticked,
    WeigherSettings,
    kept_scanner,
    kept_weigher,
)
from cart_firmware.core.scanning import Scanner
from cart_firmware.core.weighing import Weigher
from cart_firmware.perception.thumbnail import thumbnail
from cart_firmware.ports import Recordings
from cart_firmware.services.decide import Decider, Decision, Matter
from cart_firmware.services.observations import Commanded
from cart_protocol.basket import CodeOffered, SessionBegan, SessionEnded
from cart_protocol.host.clock import Clock
from cart_protocol.ids import SessionId
from cart_protocol.messages import PriceBookIssue

_LOG = structlog.get_logger("recorder")
_FLUSH_S = 1.0
"""What a killed program may lose."""
_AGAIN_US = 10_000_000
"""After the disk failed."""
_MOST_WAITING = 20_000
"""Entries that wait for a disk which does not answer: minutes of them."""
_CROPS_WAITING = 64
_ANOTHER = SessionId("another")

_encoder = msgspec.msgpack.Encoder()


class Recorder:
    """Told what happens, in the order of the event loop. Without `recordings` it keeps nothing."""

    def __init__(
        self,
        recordings: Recordings | None,
        clock: Clock,
        *,
        cart: str = "",
        software: str = "",
        segment_bytes: int = 1 << 20,
    ) -> None:
        self._recordings, self._clock = recordings, clock
        self._cart, self._software, self._segment_bytes = cart, software, segment_bytes
        self._parts: tuple[WeigherSettings, Weigher, Scanner, Decider] | None = None
        self._issue: PriceBookIssue | None = None
        self._book: BookRef | None = None
        self._pending = list[_Note]()
        self._crops = 0
        self._empty = 0
        self._fresh = True
        self._resume_us = 0
        self._stopped = False
        self._turn = asyncio.Lock()
        self.lost = 0
        """Entries that were not kept: the disk was full, failed, or did not answer."""

    @property
    def on(self) -> bool:
        """Whether this cart records anything at all."""
        return self._recordings is not None

    def join(self, settings: WeigherSettings, weigher: Weigher, scanner: Scanner, decider: Decider) -> None:
        """Take the parts whose state begins each segment; nothing is noted before."""
        self._parts = (settings, weigher, scanner, decider)

    # ── what happens ──

    def converted(self, at_us: int, counts: int) -> None:
        """Note a conversion, before the weigher is fed with it; so with all that follow here."""
        self._note(Converted(at_us, counts))

    def leaned(self, at_us: int, x: int, y: int, z: int) -> None:
        self._note(Leaned(at_us, x, y, z))

    def failed(self, at_us: int, kind: str, *, interrupts: bool) -> None:
        self._note(Failed(at_us, kind, interrupts))

    def looked(self, at_us: int, symbols: Sequence[Symbol], likelihoods: Mapping[Symbol, float], day: dt.date) -> None:
        """Note a frame; one without a code is only counted."""
        if not symbols:
            self._empty += 1
            return
        found = tuple((symbology, payload, likelihoods.get((symbology, payload))) for symbology, payload in symbols)
        # A segment that begins here knows of the empty frames: they are in the scanner's state.
        self._begin_if_due()
        self._note(Looked(at_us, self._empty, day, found))
        self._empty = 0

    def crop(self, at_us: int, luma: NDArray[np.uint8]) -> None:
        """Keep a small picture of what moved: height x width, uint8. Made smaller and written off the event loop."""
        if self._recordings is None:
            return
        if self._crops >= _CROPS_WAITING or luma.ndim != 2 or luma.size == 0:
            self.lost += 1
            return
        self._crops += 1
        self._note(_Crop(at_us, luma.copy()))  # a camera may use its memory again

    def decided(self, decision: Decision, *, recorded: bool) -> None:
        """Note a decision, before it is settled."""
        begins = next((event.session for event in decision.events if isinstance(event, SessionBegan)), None)
        if begins is not None:
            self._fresh = True
        self._begin_if_due(begins)
        self._note(_Verdict(decision, self._masked(decision), recorded))
        if any(isinstance(event, SessionEnded) for event in decision.events):
            self._fresh = True

    def ticked(self, at_us: int) -> None:
        """Note that time passed and nothing was to be decided."""
        self._note(Ticked(at_us))

    def book_taken(self, issue: PriceBookIssue) -> None:
        """Begin a new segment with the price book that is used from now on."""
        self._issue, self._fresh = issue, True
        self._book = BookRef(version=issue.version, book=_digest(issue.book), learned=_digest(issue.learned))

    def book_refused(self, version: int, reason: str) -> None:
        self._note(BookRefused(version, reason))

    # ── writing ──

    async def run(self) -> None:
        """Write what was noted, every second, until cancelled."""
        while True:
            await asyncio.sleep(_FLUSH_S)
            await asyncio.shield(asyncio.ensure_future(self.flush()))

    async def flush(self) -> None:
        """Write all that was noted. A disk that fails stops the recording for a while, and raises nothing."""
        if self._recordings is None:
            return
        async with self._turn:
            notes, self._pending, self._crops = self._pending, [], 0
            if not notes:
                return
            try:
                size = await asyncio.to_thread(_write, self._recordings, notes)
            except Exception as error:  # noqa: BLE001 - the one of this loop
                # A full disk, or a number that no file holds: the shopping trip goes on.
                self._stop(len(notes), f"{type(error).__name__}: {error}")
            else:
                self._wrote(size)

    async def record_of(
        self, session: SessionId | None = None, *, from_ms: int = 0, until_ms: int = FOR_EVER_MS
    ) -> bytes:
        """Return what is recorded of a session, or in a span of wall time, as one file for `cart-firmware replay`.

        Raises:
            RecordingError: nothing is recorded of that, or not any more.
        """
        if self._recordings is None:
            raise RecordingError("this cart records nothing: recorder.size_mib is 0")
        await self.flush()
        async with self._turn:
            return await asyncio.to_thread(self._recordings.record_of, session, from_ms, until_ms)

    async def erase(self, session: SessionId) -> int:
        """Delete all that is recorded of a session that is over; return how many segments that were."""
        if self._recordings is None:
            return 0
        await self.flush()
        async with self._turn:
            self._drop()  # noted since, it would have lost its segment
            return await asyncio.to_thread(self._recordings.erase, session)

    def _wrote(self, size: int) -> None:
        if self._stopped:
            self._stopped = False
            _LOG.info("recording again", lost=self.lost)
        self._fresh = self._fresh or size >= self._segment_bytes

    def _stop(self, lost: int, reason: str) -> None:
        if not self._stopped:
            self._stopped = True
            _LOG.error("recording stopped", reason=reason, again_in_s=_AGAIN_US // 1_000_000)
        self.lost += lost
        self._drop()
        self._resume_us = self._clock.monotonic_us() + _AGAIN_US

    def _drop(self) -> None:
        """Give up what waits; the next note begins a new segment."""
        self.lost += len(self._pending)
        self._pending.clear()
        self._fresh = True

    # ── noting ──

    def _note(self, note: "_Note") -> None:
        self._begin_if_due()
        if self._fresh:
            self.lost += self._stopped
            return
        if len(self._pending) >= _MOST_WAITING:
            self._stop(0, "the disk does not answer")
            return
        self._pending.append(note)

    def _begin_if_due(self, session: SessionId | None = None) -> None:
        """Begin a new segment where the last one is full, over or lost."""
        if not self._fresh or self._parts is None or self._recordings is None:
            return
        if self._clock.monotonic_us() < self._resume_us:
            return
        try:
            header = self._header(session)
        except (TypeError, OverflowError) as error:  # weigher or scanner hold what no file can
            self._stop(0, str(error))
            return
        self._fresh, self._empty = False, 0
        self._pending.append(_Begun(header, _texts(self._issue, self._book)))

    def _header(self, session: SessionId | None) -> Header:
        if self._parts is None:
            raise AssertionError("a segment began before there was a cart")  # _begin_if_due asks
        settings, weigher, scanner, decider = self._parts
        clock = self._clock
        return Header(
            software=self._software, cart=self._cart, at_us=clock.monotonic_us(), wall_ms=clock.wall_ms(),
            synchronised=clock.synchronised(), session=session or decider.basket.session, weighing=settings,
            fusion=decider.settings, weigher=kept_weigher(weigher), scanner=kept_scanner(scanner),
            basket=decider.basket, evidence=decider.evidence, book=self._book,
            waiting=[
                (msgspec.Raw(_encoder.encode(waiting.observed)), waiting.until_us)
                for waiting in decider.waiting.values()
            ],
        )  # fmt: skip

    def _masked(self, decision: Decision) -> Matter:
        """Return the matter without the id of a session that is none of this cart's: its record would outlive it."""
        matter, basket = decision.matter, decision.draft.basket
        if not isinstance(matter, Commanded):
            return matter
        instruction = matter.command.instruction
        named = getattr(instruction, "session", None)
        own = {basket.session, self._session_before()}
        if named is None or named in own:
            return matter
        masked = msgspec.structs.replace(instruction, session=_ANOTHER)
        return msgspec.structs.replace(matter, command=msgspec.structs.replace(matter.command, instruction=masked))

    def _session_before(self) -> SessionId | None:
        return self._parts[3].basket.session if self._parts else None


class _Crop(msgspec.Struct, frozen=True):
    """A picture that is not small yet."""

    at_us: int
    luma: NDArray[np.uint8]


class _Verdict(msgspec.Struct, frozen=True):
    """A decision that is not encoded yet."""

    decision: Decision
    matter: Matter
    recorded: bool

    def entry(self) -> Decided:
        decision = self.decision
        offered = any(isinstance(event, CodeOffered) for event in decision.events)
        return Decided(
            at_us=decision.at_us,
            kind=type(self.matter).__name__,
            matter=msgspec.Raw(_encoder.encode(self.matter)),
            events=tuple(decision.events),
            minted=decision.minted,
            code=decision.code if offered else "",
            recorded=self.recorded,
        )


class _Begun(msgspec.Struct, frozen=True):
    """A new segment begins here."""

    header: Header
    texts: dict[str, str]


_Note = Entry | Reading | _Crop | _Verdict | _Begun


def _write(recordings: Recordings, notes: Sequence[_Note]) -> int:
    """Write notes in order; return how long the newest segment is."""
    size, chunk = 0, list[Entry | Reading]()
    for note in notes:
        match note:
            case _Begun(header, texts):
                if chunk:
                    recordings.append(chunk)
                chunk = []
                size = recordings.begin(header, texts)
            case _Crop(at_us, luma):
                chunk.append(Cropped(at_us, thumbnail(luma)))
            case _Verdict():
                chunk.append(note.entry())
            case _:
                chunk.append(note)
    return recordings.append(chunk) if chunk else size


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _texts(issue: PriceBookIssue | None, book: BookRef | None) -> dict[str, str]:
    return {book.book: issue.book, book.learned: issue.learned} if issue and book else {}
