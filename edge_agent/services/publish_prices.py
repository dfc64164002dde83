"""The price book from the shop's file into the journal and, signed, with the masses learned since, to every cart."""

import asyncio
import base64
from collections.abc import Callable
from typing import NoReturn

import msgspec
import structlog

from cart_protocol.messages import PriceBookIssue
from cart_protocol.pricing.price_book import PriceBook, Prices
from edge_agent.core.events import PriceBookAdopted, StoreEvent
from edge_agent.core.refusals import RefusedError
from edge_agent.core.shop import Shop
from edge_agent.ports import CartLink
from edge_agent.services.record import Recorder

Sign = Callable[[bytes], bytes]
_LEARNED_EVERY_S = 900.0
_WORTH_TELLING = 20
"""Confirmed weighings: a table goes to every cart."""


class PriceBookRefusedError(RefusedError):
    """The file's version does not follow the one in force: prices would differ under one number."""


class PublishPrices:
    """Adopts the book given at the start and publishes, retained, the one in force whenever the broker accepts us."""

    def __init__(self, link: CartLink, recorder: Recorder, sign: Sign) -> None:
        self._link = link
        self._recorder = recorder
        self._sign = sign
        self._issue: PriceBookIssue | None = None
        self._learned = 0
        """How many confirmed weighings the issue knows."""
        self._log = structlog.get_logger("prices")

    async def adopt(self, book: PriceBook) -> None:
        """Bring `book` into force and publish it. The book in force again changes nothing.

        Raises:
            PriceBookRefusedError: an older version, or another content under the same version.
        """
        adopted = await self._recorder.submit(lambda shop, _: adopt(shop, book))
        if adopted:
            self._log.info("price-book", version=book.version, products=len(book.products))
        self.announce()

    async def carry_over(self) -> None:
        """Record the book in force once more: a partition just taken over may not have it."""
        await self._recorder.submit(
            lambda shop, _: [PriceBookAdopted(book=shop.books.latest.book)] if shop.books.latest else []
        )
        self.announce()

    async def run(self) -> NoReturn:
        """Tell carts of masses now and then, for ever: every quarter of an hour at most, and only when worth it."""
        while True:
            await asyncio.sleep(_LEARNED_EVERY_S)
            if self._recorder.shop.masses.confirmed - self._learned >= _WORTH_TELLING:
                self.announce()

    def announce(self) -> None:
        """Publish the book in force, with what was learned; harmless without a broker."""
        prices = self._recorder.shop.books.latest
        if prices is None:
            return
        news = self._recorder.shop.masses.confirmed - self._learned
        if self._issue is None or self._issue.version != prices.version or news >= _WORTH_TELLING:
            self._issue = self._issued(prices)
        self._link.send(self._issue)

    def _issued(self, prices: Prices) -> PriceBookIssue:
        learned = self._recorder.shop.masses.all(prices.book.products)
        self._learned = learned.issue
        book, masses = msgspec.json.encode(prices.book), msgspec.json.encode(learned)
        issue = PriceBookIssue(version=prices.version, book=book.decode(), signature=self._signed(book))
        if not learned.masses:
            return issue
        return msgspec.structs.replace(issue, learned=masses.decode(), learned_signature=self._signed(masses))

    def _signed(self, text: bytes) -> str:
        return base64.b64encode(self._sign(text)).decode()


def adopt(shop: Shop, book: PriceBook) -> list[StoreEvent]:
    """Decide whether a book comes into force."""
    latest = shop.books.latest
    if latest is None or book.version > latest.version:
        return [PriceBookAdopted(book=book)]
    if book == latest.book:
        return []
    raise PriceBookRefusedError(
        "price-book-version",
        f"The price book says version {book.version}; version {latest.version} is in force with other content. "
        f"Give the file a version above {latest.version}.",
    )
