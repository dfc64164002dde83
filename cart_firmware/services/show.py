"""What the cart's screen shows, as one value that pages wait on. The page itself is cart_firmware.screen."""

import asyncio
from typing import Protocol

import msgspec

from cart_firmware.core.prompts import Prompt, Tone
from cart_firmware.core.tiles import Tile
from cart_firmware.core.touch import Touch
from cart_protocol.basket import Phase
from cart_protocol.ids import LineId, ScanId
from cart_protocol.money import Money, zero
from cart_protocol.pricing.price_book import Product


class ScreenLine(msgspec.Struct, frozen=True, kw_only=True):
    """One product as a shopper reads it. `amount` counts pieces or is a mass such as '≈ 0.482 kg'."""

    line: LineId
    name: str
    amount: str
    total: Money
    picture: str = ""
    """Name of the product's picture (cart_protocol.product_picture)."""
    leaving: bool = False
    """The shopper said that it goes; it is charged until it does."""


class ScreenScan(msgspec.Struct, frozen=True, kw_only=True):
    """A product that is to be put in: `pieces` of it. `countable` says whether the number may be changed."""

    scan: ScanId
    name: str
    picture: str = ""
    pieces: int = 1
    countable: bool = False


class ScreenView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the screen renders.

    `code` and `code_url` are empty unless the cart is free; `code_url` is what the QR says. `pending` are the products
    scanned and not yet weighed, `tiles` the answers to what the prompt asks. `observed_us` is the monotonic time of the
    evidence behind the last change of the basket. `revision` grows by one with every change of any field.
    """

    revision: int
    phase: Phase
    cart: str
    code: str = ""
    code_url: str = ""
    lines: tuple[ScreenLine, ...] = ()
    pending: tuple[ScreenScan, ...] = ()
    tiles: tuple[Tile, ...] = ()
    helped: bool = False
    """The shopper has called for staff."""
    announced: bool = False
    """Something was announced that can be taken back: scans, lines that leave, an own container."""
    prompt: Prompt = Prompt(kind="starting", tone=Tone.CALM, sentence="One moment, please.")
    total: Money = zero("EUR")
    tax: Money = zero("EUR")
    offline: bool = True
    book_version: int = 0
    observed_us: int = 0


class ScreenSource(Protocol):
    """What a page needs of the cart: the present view, and a way to wait for the next one."""

    def view(self) -> ScreenView: ...
    async def wait_for_change(self, revision: int) -> int:
        """Return the present revision as soon as it differs from `revision`."""


class Desk(Protocol):
    """Who takes what a shopper does on a page."""

    def touch(self, touch: Touch) -> None: ...
    def search(self, text: str) -> tuple[Product, ...]:
        """Return products to choose from by name or number."""


class ShowCase:
    """Holds the present view and wakes every page that waits for another."""

    def __init__(self, cart: str) -> None:
        self._view = ScreenView(revision=0, phase=Phase.IDLE, cart=cart)
        self._changed = asyncio.Event()

    def view(self) -> ScreenView:
        return self._view

    async def wait_for_change(self, revision: int) -> int:
        """Return the present revision as soon as it differs from `revision`; any number may wait."""
        while self._view.revision == revision:
            await self._changed.wait()
        return self._view.revision

    def show(self, view: ScreenView) -> None:
        """Put up `view`; its revision is given here. A view that says the same as the present one wakes nobody."""
        if msgspec.structs.replace(view, revision=self._view.revision) == self._view:
            return
        self._view = msgspec.structs.replace(view, revision=self._view.revision + 1)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
