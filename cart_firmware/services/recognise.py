"""Has the goods of each passage named by their looks, off the event loop, and tells the owner of the basket."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NoReturn

import structlog

from cart_firmware.core.decision import Way
from cart_firmware.core.sighting import sighted
from cart_firmware.perception.colour import bgr
from cart_firmware.perception.embedder import Picture
from cart_firmware.services.sense import Crop, Passage, Submit
from cart_firmware.services.sight import Sights
from cart_protocol.pricing.price_book import Prices

_LOG = structlog.get_logger("recognise")
_MOST_WAITING = 4
"""Passages. With more the cart is a quarter of a second behind; what is dropped is asked about without a picture."""


class Recognise:
    """One passage at a time, the oldest first.

    Args:
        sights: what the cart knows by sight.
        submit: takes what was seen.
        prices: returns the prices that say what is sold here.
    """

    def __init__(self, sights: Sights, submit: Submit, prices: Callable[[], Prices | None]) -> None:
        self._sights, self._submit, self._prices = sights, submit, prices
        self._waiting = asyncio.Queue[tuple[Passage, list[Picture]]](_MOST_WAITING)
        self.dropped = 0
        """Passages that were not looked at, for want of time."""

    def passed(self, passage: Passage, *, limited: bool) -> None:
        """Have the goods of a passage looked at, if it shows any.

        Args:
            passage: what went over the rim.
            limited: how its pictures have their brightness (ports.Colour).
        """
        pictures = [
            bgr(crop.luma, crop.planes, limited=limited) for crop in goods_of(passage) if crop.planes is not None
        ]
        if not pictures:
            return
        if self._waiting.full():
            self._waiting.get_nowait()
            self.dropped += 1
        self._waiting.put_nowait((passage, pictures))

    async def run(self) -> NoReturn:
        """Look until cancelled."""
        while True:
            passage, pictures = await self._waiting.get()
            prices = self._prices()
            if prices is None:
                continue
            sight = await asyncio.to_thread(self._sights.recognise, pictures)
            products = self._sights.products_of(sight, prices)
            self._submit(
                sighted(passage.from_us, passage.until_us, products, names=len(sight.names), unknown=sight.unknown)
            )
            _LOG.debug(
                "sighted",
                best=products[:3],
                unknown=round(sight.unknown, 3),
                looks=sight.looks,
                until_us=passage.until_us,
            )


def goods_of(passage: Passage) -> Sequence[Crop]:
    """Return the pictures of a passage that show what went in, or came out; none where both may have.

    What lies there, with no hand before it, is a better picture than any of it on its way.
    """
    crop = passage.taken if passage.way is Way.OUT else passage.put
    return () if crop is None or passage.way is Way.BOTH else (crop,)
