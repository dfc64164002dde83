"""The price book from the shop's file into the journal and, signed, to every cart."""

import base64
from collections.abc import Callable

import msgspec
import structlog

from cart_protocol.messages import PriceBookIssue
from cart_protocol.pricing.price_book import PriceBook
from edge_agent.core.events import PriceBookAdopted, StoreEvent
from edge_agent.core.refusals import RefusedError
from edge_agent.core.shop import Shop
from edge_agent.ports import CartLink
from edge_agent.services.record import Recorder

Sign = Callable[[bytes], bytes]


class PriceBookRefusedError(RefusedError):
    """The file's version does not follow the one in force: prices would differ under one number."""


class PublishPrices:
    """Adopts the book given at the start and publishes, retained, the one in force whenever the broker accepts us."""

    def __init__(self, link: CartLink, recorder: Recorder, sign: Sign) -> None:
        self._link = link
        self._recorder = recorder
        self._sign = sign
        self._issue: PriceBookIssue | None = None
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

    def announce(self) -> None:
        """Publish the book in force; harmless without a broker."""
        prices = self._recorder.shop.books.latest
        if prices is None:
            return
        if self._issue is None or self._issue.version != prices.version:
            text = msgspec.json.encode(prices.book)
            signature = base64.b64encode(self._sign(text)).decode()
            self._issue = PriceBookIssue(version=prices.version, book=text.decode(), signature=signature)
        self._link.send(self._issue)


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
