"""A shopper in a live shop who acts step by step, and learns only what screens and steel show."""

import asyncio
import contextlib
import html
import itertools
import random
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from cart_firmware.services import report
from edge_agent.core.views import ConsoleView, LaneCard
from sim.exit_lane import BARRIER, LANE
from sim.goods import Unit
from sim.live_shop import LiveShop
from sim.phone import PhoneState, RefusedError
from sim.scoreboard import Ledgers

PATIENCE_S = 90.0
"""For whatever must come about; on a machine that is not starved it takes a second or two."""
_LOOK_S = 0.1
_LOOKS = 8
"""How often a label is held before the camera."""
_READING_S = 1.0
"""What frames may be behind."""
_EMPTY_MG = 20_000
_NUMBERS = itertools.count(1)

_Seen = TypeVar("_Seen")


async def eventually(
    look: Callable[[], Awaitable[_Seen]], holds: Callable[[_Seen], object], patience_s: float = PATIENCE_S
) -> _Seen:
    """Look again and again; return the first thing seen that `holds`, or fail with the last one."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while not holds(seen := await look()):
        assert asyncio.get_running_loop().time() < deadline, f"still not so after {patience_s:.0f} s: {seen}"
        await asyncio.sleep(_LOOK_S)
    return seen


class CartScreen(msgspec.Struct, frozen=True):
    """What a person reads on a cart's screen."""

    lines: frozenset[str]
    pending: frozenset[str]
    prompt: str
    offline: bool


def read_screen(page: str) -> CartScreen:
    text = html.unescape(page)
    prompt = re.search(r'<div class="prompt [^"]*" data-kind="([^"]*)"', text)
    return CartScreen(
        lines=frozenset(re.findall(r'data-line="[^"]+">(?:<img[^>]*>)?<p class="name">(.*?)<small>', text)),
        pending=frozenset(re.findall(r'class="line pending">.*?<p class="name">(.*?)<small>', text, re.DOTALL)),
        prompt=prompt[1] if prompt else "",
        offline="<b>Offline" in text,
    )


class Visit:
    """One shopper with the shop's first cart, from its code to the way out."""

    def __init__(self, shop: LiveShop) -> None:
        self.shop = shop
        self.cart = shop.world.carts[0]
        self.lane = shop.world.lane
        self.phone = shop.world.phone(next(_NUMBERS), [])
        self.in_cart: list[Unit] = []

    # ── in the shop ──────────────────────────────────────────────────────────────────────────────────────────────

    def fetch(self, name: str) -> Unit:
        """Return a pack of the product whose name contains `name`."""
        product = next(product for product in self.shop.shelves.products if name in product.name)
        return self.shop.shelves.take(product, random.Random(name))

    async def begin(self, *names: str) -> list[Unit]:
        """Take the cart and put packs of these products in."""
        code = await eventually(self.cart.read_code, bool)
        assert code is not None

        async def bind() -> str:
            try:
                await self.phone.bind(code)
            except RefusedError as refusal:
                return refusal.reason
            return ""

        # The code is on the screen before the store has heard that the cart is back.
        await eventually(bind, lambda refused: refused not in {"offline", "no-answer", "busy", "unknown-code"})
        await self.phone_shows(lambda state: state.phase == "shopping")
        units = [self.fetch(name) for name in names]
        for unit in units:
            await self.buy(unit)
        return units

    async def buy(self, unit: Unit) -> None:
        """Show a pack and put it in, by what the cart's own screen says, which needs no store."""
        await self.show(unit)
        self.put(unit)
        await self.screen_shows(lambda screen: unit.name in screen.lines)

    async def show(self, unit: Unit) -> None:
        """Hold the label before the camera, longer each time, until the cart waits for the pack or has its line."""
        loop = asyncio.get_running_loop()
        for look in range(_LOOKS):
            seconds = 1.0 + 0.5 * look
            holding = asyncio.create_task(self.cart.present(unit, seconds))
            until = loop.time() + seconds + _READING_S
            while loop.time() < until:
                screen = await self.screen()
                if unit.name in screen.pending | screen.lines:
                    holding.cancel()
                    return
                await asyncio.sleep(_LOOK_S)
        raise AssertionError(f"the label of {unit.name} was not read: {await self.screen()}")

    def put(self, unit: Unit) -> None:
        self.cart.put(unit)
        self.in_cart.append(unit)

    def take(self, unit: Unit) -> None:
        self.cart.take(unit)
        self.in_cart.remove(unit)

    async def screen(self) -> CartScreen:
        return read_screen(await self.cart.screen())

    async def screen_shows(self, holds: Callable[[CartScreen], object]) -> CartScreen:
        return await eventually(self.screen, holds)

    async def phone_shows(self, holds: Callable[[PhoneState], bool]) -> PhoneState:
        state = await self.phone.until(holds, PATIENCE_S)
        assert state is not None, f"the phone still shows {await self.phone.until(lambda _: True, 1)}"
        return state

    async def phone_lists(self, *units: Unit) -> PhoneState:
        """Wait until the phone lists exactly these."""
        names = sorted(unit.name for unit in units)
        return await self.phone_shows(lambda state: sorted(line.name for line in state.lines) == names)

    # ── paying and leaving ───────────────────────────────────────────────────────────────────────────────────────

    async def check_out(self) -> PhoneState:
        await self.phone.checkout()
        return await self.phone_shows(lambda state: state.phase == "to-pay")

    async def pay(self, method: str = "test_ok") -> str:
        """Pay, and return the exit token."""
        await self.phone.pay(method)
        paid = await self.phone_shows(lambda state: bool(state.exit_token))
        return paid.exit_token or ""

    async def leave(self, token: str) -> None:
        """Go out by the lane with all that is in the cart."""
        await self.weigh_out(token)
        assert await self.lane.walk_through(self.in_cart), "a tag was still live"
        self.lane.clear()
        self.in_cart.clear()
        await self.phone_shows(lambda state: state.phase == "goodbye")

    async def weigh_out(self, token: str) -> None:
        """Put everything on the exit scale, scan, and wait for the barrier."""
        self.cart.empty()
        self.lane.place(self.in_cart)
        self.lane.scan(token)
        await eventually(lambda: lane_card(self.shop), lambda lane: lane.barrier_open)
        assert lane_pin(self.shop, BARRIER)

    async def end(self) -> None:
        """Leave the cart as the next shopper wants to find it: empty and, unless paid, handed back."""
        self.cart.empty()
        self.lane.clear()
        with contextlib.suppress(RefusedError):
            await self.phone.hand_back()
        await self.phone.put_away()
        folder = self.shop.files.cart(1) / "state"
        await eventually(lambda: report.ask(folder), lambda status: status and abs(status.load_mg) < _EMPTY_MG)


# ── the shop, by those who look after it ─────────────────────────────────────────────────────────────────────────


async def console(shop: LiveShop) -> ConsoleView:
    return msgspec.json.decode(await shop.world.console(), type=ConsoleView)


async def lane_card(shop: LiveShop) -> LaneCard:
    return (await console(shop)).lanes[0]


def lane_pin(shop: LiveShop, pin: int) -> bool:
    """Return the level of one of the lane's outputs: BARRIER, RED and the like of sim.exit_lane."""
    return shop.world.street.lane_pins(LANE).level(pin)


async def agreed_books(shop: LiveShop) -> Ledgers:
    """Return everybody's books once they agree that nothing is lost, doubled or underway; fail if they never do."""

    def agree(books: Ledgers) -> bool:
        return (
            books.recorded == books.committed
            and books.unacknowledged == books.duplicates == 0
            and books.store_paid_minor == books.acquirer_minor == books.store_orders_minor
        )

    return await eventually(shop.ledgers, agree)
