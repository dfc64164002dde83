"""Fetches the pictures that the price book names, a few at a time, and keeps them: the screen shows what is there."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NoReturn

import structlog

from cart_firmware.ports import PictureShelf, StoreLink
from cart_protocol.host.clock import Clock
from cart_protocol.messages import PicturesWanted, ProductPicture
from cart_protocol.pricing.price_book import Prices
from cart_protocol.product_picture import MOST_AT_ONCE, MOST_BYTES, name_of

_LOG = structlog.get_logger("pictures")
_LOOK_S = 1.0
"""So often at most the store is asked: a cart of a shop with 5,000 pictures has all of them after ten minutes."""
_PATIENCE_US, _LONGEST_US = 2_000_000, 300_000_000
"""How long an answer may take before it is asked for again, ever longer: an older store, or one without the files."""


class FetchPictures:
    """Asks while the store answers. Nothing waits for a picture, and nothing is lost with one.

    Args:
        shelf: where they are kept.
        prices: returns the prices that name them.
        offline: returns whether the store cannot be asked now.
    """

    def __init__(
        self,
        link: StoreLink,
        shelf: PictureShelf,
        clock: Clock,
        *,
        prices: Callable[[], Prices | None],
        offline: Callable[[], bool],
    ) -> None:
        self._link, self._shelf, self._clock = link, shelf, clock
        self._prices, self._is_offline = prices, offline
        self._arrived = deque[bytes](maxlen=MOST_AT_ONCE)
        self._version = 0
        self._wanted: tuple[str, ...] = ()
        self._asked: tuple[str, ...] = ()
        self._again_us = 0
        self._patience_us = _PATIENCE_US
        self._told = False

    def heard(self, message: ProductPicture) -> None:
        """Take a picture; one that nobody asked for, or is too large, is left."""
        if len(message.data) <= MOST_BYTES:
            self._arrived.append(message.data)

    async def run(self) -> NoReturn:
        """Ask and keep until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await self._turn()
            except OSError as error:
                self._arrived.clear()
                self._again_us = self._clock.monotonic_us() + _LONGEST_US
                if not self._told:
                    _LOG.warning("pictures cannot be kept", error=str(error))
                self._told = True

    async def _turn(self) -> None:
        prices = self._prices()
        if prices is not None and prices.version != self._version:
            named = tuple({each.picture: None for each in prices.book.products if each.picture})
            await asyncio.to_thread(self._shelf.keep_only, named)
            self._version, self._wanted, self._asked, self._again_us = prices.version, named, (), 0
        await self._keep()
        now_us = self._clock.monotonic_us()
        if self._is_offline() or now_us < self._again_us:
            return
        if late := [name for name in self._asked if name not in self._shelf]:
            # What does not come stands back: it must not keep the others away.
            self._patience_us = min(2 * self._patience_us, _LONGEST_US)
            self._wanted = (*(name for name in self._wanted if name not in late), *late)
        self._asked = tuple(name for name in self._wanted if name not in self._shelf)[:MOST_AT_ONCE]
        if self._asked:
            self._again_us = now_us + self._patience_us
            self._link.send(PicturesWanted(pictures=self._asked))

    async def _keep(self) -> None:
        while self._arrived:
            content = self._arrived.popleft()
            if name_of(content) not in self._asked:
                continue
            await asyncio.to_thread(self._shelf.put, content)
            self._patience_us, self._told = _PATIENCE_US, False
        if self._asked and all(name in self._shelf for name in self._asked):
            self._again_us = 0
