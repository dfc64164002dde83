"""Sends the store what the flight recorder holds of a dispute: one part at a time, each only when it is asked for.

So there is never more than one part on its way, behind which an event might have to wait. Nothing is kept over a
restart: the record is made anew, and the store finds out by its SHA-256 whether it is the same.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from cart_firmware.core.recording import RecordingError, read_bundle, sessions_of
from cart_firmware.ports import StoreLink
from cart_firmware.services.recorder import Recorder
from cart_protocol.messages import RecordUnavailable, RecordWanted
from cart_protocol.parcel import Parcel

_LOG = structlog.get_logger("record")
_KEPT_S = 600.0
"""How long a record stays in memory without anybody asking for its next part."""
_SENTENCES = {
    "off": "This cart's flight recorder is switched off: nothing was recorded.",
    "nothing": "This cart has no record of that, or not any more: the oldest is overwritten after some hours of use.",
    "too-large": "The record is larger than the store takes. Save it on the cart itself (docs/FLIGHT_RECORDER.md).",
    "failed": "The cart could not read its record. Please have the cart looked at: its log says what happened.",
}

Draw = Callable[[bytes], Awaitable[bytes]]
"""Returns a picture (PNG) of a record, nothing where none can be drawn. Must leave the event loop to the shopper."""


class SendRecord:
    """Holds one record at a time; the newest question is the one that is answered."""

    def __init__(self, link: StoreLink, recorder: Recorder, draw: Draw) -> None:
        self._link, self._recorder, self._draw = link, recorder, draw
        self._wanted: RecordWanted | None = None
        self._asked = asyncio.Event()
        self._parcel: Parcel | None = None

    def wanted(self, message: RecordWanted) -> None:
        """Have this part sent; a question that was not answered yet is forgotten."""
        self._wanted = message
        self._asked.set()

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_KEPT_S if self._parcel else None):
                    await self._asked.wait()
            except TimeoutError:
                self._parcel = None
                continue
            self._asked.clear()
            if (wanted := self._wanted) is not None:
                await self._answer(wanted)

    async def _answer(self, wanted: RecordWanted) -> None:
        try:
            if self._parcel is None or self._parcel.record != wanted.record:
                self._parcel = None  # before the next one is made: there is one in memory
                self._parcel = await self._packed(wanted)
        except _UnavailableError as error:
            self._refuse(wanted, error.reason, error.seen)
        except Exception as error:  # noqa: BLE001 - the one of this loop: shopping goes on
            self._refuse(wanted, "failed", f"{type(error).__name__}: {error}")
        else:
            self._link.send(self._parcel.part(wanted.part))

    async def _packed(self, wanted: RecordWanted) -> Parcel:
        """Return the record with its picture.

        Raises:
            _UnavailableError: there is none that could be sent.
        """
        if not self._recorder.on:
            raise _UnavailableError("off", "recorder.size_mib is 0")
        try:
            file = await self._recorder.record_of(wanted.session, from_ms=wanted.from_ms, until_ms=wanted.until_ms)
        except RecordingError as error:
            raise _UnavailableError("nothing", str(error)) from error
        if len(file) > wanted.most:
            raise _UnavailableError("too-large", f"{len(file)} bytes, the store takes {wanted.most}")
        sessions = await asyncio.to_thread(lambda: sessions_of(read_bundle(file, "the record")))
        picture = await self._draw(file)
        if len(picture) + len(file) > wanted.most:
            picture = b""
        _LOG.info("record is sent", record=wanted.record, size=len(file), picture=len(picture))
        return Parcel(wanted.record, picture, file, sessions)

    def _refuse(self, wanted: RecordWanted, reason: str, seen: str) -> None:
        _LOG.warning("record cannot be sent", record=wanted.record, reason=reason, seen=seen)
        self._link.send(RecordUnavailable(record=wanted.record, reason=reason, sentence=_SENTENCES[reason]))


class _UnavailableError(Exception):
    """`reason` is a key of _SENTENCES, `seen` is for the log."""

    def __init__(self, reason: str, seen: str) -> None:
        super().__init__(f"{reason}: {seen}")
        self.reason, self.seen = reason, seen


async def undrawn(_record: bytes) -> bytes:
    """Draw nothing."""
    return b""
