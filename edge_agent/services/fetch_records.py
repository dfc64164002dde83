"""Fetches what staff asked carts for: part by part, asking again for what does not come, until all is on the disk.

What is asked for is a fact, so it is asked again after a restart, of the cart or of the store, from the part that is
missing. Parts on their way are in memory only, `record_mb` for each of a few records.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NoReturn

import msgspec
import structlog

from cart_protocol.host.clock import Clock
from cart_protocol.ids import CartId, RecordId
from cart_protocol.messages import RecordPart, RecordUnavailable, RecordWanted
from cart_protocol.parcel import Arrival, Assembly
from edge_agent.config import Limits
from edge_agent.core import cart_record
from edge_agent.core.events import Fact, RecordAsked
from edge_agent.core.folds import RecordStage
from edge_agent.core.refusals import NoRoomError
from edge_agent.ports import CartLink
from edge_agent.services.presence import Presence
from edge_agent.services.record import Recorder

_LOG = structlog.get_logger("records")
_LOOK_S = 1.0
_AT_ONCE = 4
_AGAIN_US, _SELDOM_US = 5_000_000, 60_000_000
"""A part that does not come is asked for again, ever slower: a cart may have to draw the picture first."""
_SILENCE_US = 900_000_000
_TOLD_US = 10_000_000
"""How long after it came online a cart may take to say what its software can do."""
_MOST_DAMAGED = 3
_LONGEST_SENTENCE = 300
_TIDY_US = 60_000_000
_NO_ROOM = "The store's disk has no room for the record. Please make room, and ask again."
_TOO_OLD = "The cart's software is too old to send its record. Please have it updated, or save the record on the cart."
_NO_ANSWER = "The cart is connected and does not answer. Ask again; if that does not help, save the record on the cart."
_DAMAGED = "What the cart sent was damaged three times. Please have the cart looked at."


class _Transfer(msgspec.Struct):
    """One record on its way."""

    asked: RecordAsked
    assembly: Assembly
    online_us: int = 0
    """Since when its cart is connected without interruption; 0 while it is not."""
    news_us: int = 0
    """When it last got further, at the earliest when the cart came online."""
    next_us: int = 0
    patience_us: int = _AGAIN_US
    damaged: int = 0
    over: bool = False
    """It failed, which is being recorded."""


class FetchRecords:
    """One question to one cart at a time, each for one part.

    Args:
        has_room: whether the store's disk may be given anything but running trips.
    """

    def __init__(
        self, link: CartLink, recorder: Recorder, presence: Presence, clock: Clock, *, limits: Limits,
        has_room: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._link, self._recorder, self._presence, self._clock = link, recorder, presence, clock
        self._most, self._most_kept = limits.record_mb * 1_000_000, limits.records_mb * 1_000_000
        self.days, self._has_room = limits.records_days, has_room
        """How long a record is kept."""
        self._transfers: dict[RecordId, _Transfer] = {}
        self._look_now = asyncio.Event()
        self._tidied_us = 0
        recorder.listen(self._committed)

    def parts(self, record: RecordId) -> tuple[int, int]:
        """Return how many parts of a record on its way are here, and how many there are; 0 while nobody knows."""
        transfer = self._transfers.get(record)
        return (transfer.assembly.there, transfer.assembly.parts) if transfer else (0, 0)

    def heard(self, cart: CartId, message: RecordPart | RecordUnavailable) -> None:
        """Take in what a cart answered. What nobody asked this cart for is left."""
        transfer = self._transfers.get(message.record)
        if transfer is None or transfer.asked.cart != cart or transfer.over:
            _LOG.info("record that nobody waits for", cart=cart, record=message.record)
        elif isinstance(message, RecordUnavailable):
            self._fail(transfer, message.reason[:_LONGEST_SENTENCE], message.sentence[:_LONGEST_SENTENCE])
        else:
            self._arrived(transfer, message)

    async def run(self) -> NoReturn:
        while True:
            self._look_now.clear()
            self._tidy()
            self._choose()
            for transfer in list(self._transfers.values()):
                await self._see_to(transfer)
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._look_now.wait()
            except TimeoutError:
                pass

    def _committed(self, facts: Sequence[Fact]) -> None:
        if any(isinstance(fact.event, RecordAsked) for fact in facts):
            self._look_now.set()

    def _arrived(self, transfer: _Transfer, part: RecordPart) -> None:
        match transfer.assembly.take(part):
            case Arrival.NEXT | Arrival.ANEW:
                transfer.news_us, transfer.patience_us = self._clock.monotonic_us(), _AGAIN_US
                self._ask(transfer)
                self._recorder.changes.bump([transfer.asked.cart])
            case Arrival.WHOLE:
                self._look_now.set()
            case Arrival.DAMAGED | Arrival.NONSENSE:
                transfer.damaged += 1
                _LOG.warning("record damaged", record=part.record, cart=transfer.asked.cart, times=transfer.damaged)
                if transfer.damaged >= _MOST_DAMAGED:
                    self._fail(transfer, "damaged", _DAMAGED)
            case Arrival.NOTHING:
                pass

    def _choose(self) -> None:
        """Take up what is asked for, the oldest first, one of each cart; leave what nobody waits for any more.

        What came from a cart that is away is kept for its return, as long as no other needs the place.
        """
        asked = {each.asked.record: each.asked for each in self._recorder.shop.records.of_stage(RecordStage.ASKED)}
        for record in [record for record in self._transfers if record not in asked]:
            del self._transfers[record]
        busy = {transfer.asked.cart for transfer in self._transfers.values()}
        away = [record for record in self._transfers if asked[record].cart not in self._presence.online]
        for record, wanted in asked.items():
            if wanted.cart in busy or wanted.cart not in self._presence.online:
                continue
            if len(self._transfers) >= _AT_ONCE:
                if not away:
                    return
                del self._transfers[away.pop()]
            busy.add(wanted.cart)
            self._transfers[record] = _Transfer(wanted, Assembly(self._most))

    async def _see_to(self, transfer: _Transfer) -> None:
        now_us = self._clock.monotonic_us()
        if transfer.over:
            return
        if not self._has_room():
            self._fail(transfer, "no-room", _NO_ROOM)
        elif whole := transfer.assembly.whole:
            await self._keep(transfer, *whole)
        elif transfer.asked.cart not in self._presence.online:
            transfer.online_us = transfer.next_us = 0
        else:
            if not transfer.online_us:
                transfer.online_us = transfer.news_us = now_us
            self._see_to_question(transfer, now_us)

    def _see_to_question(self, transfer: _Transfer, now_us: int) -> None:
        if transfer.asked.cart not in self._presence.sends_records:
            if now_us - transfer.online_us >= _TOLD_US:
                self._fail(transfer, "too-old", _TOO_OLD)
        elif now_us - transfer.news_us >= _SILENCE_US:
            self._fail(transfer, "no-answer", _NO_ANSWER)
        elif now_us >= transfer.next_us:
            self._ask(transfer)
            transfer.patience_us = min(2 * transfer.patience_us, _SELDOM_US)

    def _ask(self, transfer: _Transfer) -> None:
        asked = transfer.asked
        transfer.next_us = self._clock.monotonic_us() + transfer.patience_us
        self._link.send(
            RecordWanted(
                record=asked.record, part=transfer.assembly.there, session=asked.session, from_ms=asked.from_ms,
                until_ms=asked.until_ms, most=self._most,
            ),
            asked.cart,
        )  # fmt: skip

    async def _keep(self, transfer: _Transfer, first: RecordPart, parts: Sequence[bytes]) -> None:
        record = transfer.asked.record
        try:
            await self._recorder.keep(
                lambda shop, _: cart_record.keep(shop, record, first, most=self._most_kept), parts
            )
        except NoRoomError:
            self._fail(transfer, "no-room", _NO_ROOM)

    def _fail(self, transfer: _Transfer, reason: str, sentence: str) -> None:
        record, transfer.over = transfer.asked.record, True
        _LOG.warning("no record", record=record, cart=transfer.asked.cart, reason=reason)
        self._recorder.post(lambda shop, _: cart_record.fail(shop, record, reason, sentence))

    def _tidy(self) -> None:
        now_us = self._clock.monotonic_us()
        if now_us >= self._tidied_us:
            self._tidied_us = now_us + _TIDY_US
            self._recorder.post(lambda shop, now_ms: cart_record.expired(shop, days=self.days, now_ms=now_ms))
