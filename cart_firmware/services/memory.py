"""The outbox for an event loop: one caller at a time, off the loop's thread."""

import asyncio
from collections.abc import Sequence

from cart_firmware.ports import Outbox
from cart_protocol.basket import Basket, CartEvent, Position
from cart_protocol.ids import CommandId
from cart_protocol.messages import CartTime, PriceBookIssue, Recorded


class Memory:
    """Every method is the outbox's own, awaited. What was begun is finished even if the caller is cancelled."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._turn = asyncio.Lock()

    @property
    def position(self) -> Position:
        return self._outbox.position

    @property
    def acknowledged(self) -> int:
        return self._outbox.acknowledged

    def basket(self) -> Basket:
        """Return the basket as stored. Reads the disk: for the start."""
        return self._outbox.basket()

    def price_book(self) -> PriceBookIssue | None:
        """Return the kept price book. Reads the disk: for the start."""
        return self._outbox.price_book()

    async def record(
        self, events: Sequence[CartEvent], at: CartTime, basket: Basket, *, urgent: bool
    ) -> list[Recorded]:
        """See ports.Outbox.record, OutboxFullError included."""
        async with self._turn:
            return await asyncio.to_thread(self._outbox.record, events, at, basket, urgent=urgent)

    async def load(self, after: int, limit: int) -> list[Recorded]:
        async with self._turn:
            return await asyncio.to_thread(self._outbox.load, after, limit)

    async def prune(self, through: int) -> None:
        """See ports.Outbox.prune, OutboxFullError included."""
        async with self._turn:
            await asyncio.to_thread(self._outbox.prune, through)

    def low_on(self) -> tuple[str, ...]:
        return self._outbox.low_on()

    def has_room(self) -> bool:
        return self._outbox.has_room()

    def spares(self, places: int) -> bool:
        return self._outbox.spares(places)

    async def keep_price_book(self, issue: PriceBookIssue) -> None:
        async with self._turn:
            await asyncio.to_thread(self._outbox.keep_price_book, issue)

    async def answered(self, command: CommandId) -> bool:
        async with self._turn:
            return await asyncio.to_thread(self._outbox.answer, command)
