"""The demo: a live shop with shoppers in it, a scoreboard and a verdict. `scripts/demo` ends up here."""

import asyncio
import contextlib
import random
import shutil
import signal
import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.live import Live

from cart_protocol.pricing.price_book import Product
from sim.live_shop import STAFF, LiveShop
from sim.processes import ProcessFailedError
from sim.scoreboard import Ledgers, live_rows, table, verdict
from sim.shoppers import Character, Tally, Trip, characters

_ITEMS = (3, 7)
"""Items a shopper means to buy."""
_LOOK_S = 0.5
_LOOKS_PER_LINE = 20
"""Without a terminal the scoreboard is a line every ten seconds."""
_SHOTS, _MOST_SHOWN = 3, 8
"""Of what staff show a cart while the shop runs: so many are enough, so often it is laid into the cart."""
_APART_S, _LIES_S = 2.5, 4.0
_SETTLE_S = 20.0
"""How long the last events may take to be acknowledged before the books are compared."""


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    trips: int | None
    carts: int
    seed: int
    photos: Path | None
    folder: Path
    fresh: bool


def run_demo(options: DemoOptions) -> int:
    """Run the shop until its trips are done or somebody closes it (Ctrl-C, SIGTERM).

    Returns the exit status: 0 for a good day, 1 for one that was not, 2 where the shop could not open or go on.
    """

    async def until_closed() -> int:
        day = asyncio.create_task(_Demo(options).run())
        for closing in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(closing, day.cancel)
        try:
            return await day
        except asyncio.CancelledError:  # closed before it was open
            return 0

    return asyncio.run(until_closed())


class _Demo:
    """One day of trade."""

    def __init__(self, options: DemoOptions) -> None:
        if options.fresh and options.folder.exists():
            shutil.rmtree(options.folder)
        self._options = options
        self._console = Console()
        self._began = asyncio.get_event_loop().time()
        self._by_sight = options.photos is None
        self._shop = LiveShop(
            options.folder, options.carts, options.seed, photos=options.photos, by_sight=self._by_sight, say=self._say
        )
        self._tally = Tally()
        self._phone_us: list[int] = []
        self._first_item_s = 0.0
        self._taught = False
        self._wishes = list[Product]()
        """What the next shopper comes for."""

    async def run(self) -> int:
        try:
            await self._shop.open()
            self._say("the shop is open")
            self._print_addresses()
            await self._trade()
            return 0 if await self._compare_books() else 1
        except ProcessFailedError as error:
            self._console.print(f"The shop could not go on: {error}", style="red", markup=False, highlight=False)
            return 2
        finally:
            await self._shop.close()

    def _print_addresses(self) -> None:
        files, (name, password) = self._shop.files, STAFF
        web = f"http://127.0.0.1:{files.web_port}"
        rows = [("phone", f"{web}/"), ("console", f"{web}/console   (sign in: {name} / {password})")]
        rows += [(f"cart c{n}", f"http://127.0.0.1:{port}/") for n, port in enumerate(files.screen_ports, start=1)]
        self._console.print(table("Pages", [*rows, ("logs", self._options.folder / "logs")]))

    # ── trading ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _trade(self) -> None:
        """Let shoppers come until the trips are done, or until somebody closes the shop."""
        shoppers = asyncio.create_task(self._let_in())
        watch = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({shoppers, watch}, return_when=asyncio.FIRST_COMPLETED)
            for task in (watch, shoppers):
                if task.done():
                    task.result()  # raises what stopped the shop
        except asyncio.CancelledError:
            self._say("closing: shoppers leave, then the books are compared")
        finally:
            for task in (shoppers, watch):
                task.cancel()
            await asyncio.gather(shoppers, watch, return_exceptions=True)

    async def _let_in(self) -> None:
        options, dice = self._options, self._shop.dice
        crowd = characters(options.trips, dice, by_sight=self._by_sight) if options.trips else []
        arrivals = iter(range(1, options.trips + 1)) if options.trips else iter(range(1, sys.maxsize))

        async def one_cart(cart: int) -> None:
            for number in arrivals:
                character = crowd[number - 1] if crowd else dice.choice([*Character, *[Character.HONEST] * 12])
                await self._visit(cart, number, character)
                if self._by_sight and not self._taught and cart == 0:
                    self._taught = True
                    await self._teach_new()
                await asyncio.sleep(dice.uniform(0.3, 1.0))

        await asyncio.gather(*(one_cart(cart) for cart in range(options.carts)))

    async def _visit(self, cart: int, number: int, character: Character) -> None:
        shop = self._shop
        await Trip(
            character=character, shelves=shop.shelves, phone=shop.world.phone(number, self._phone_us),
            cart=shop.world.carts[cart], lane=shop.world.lane, tally=self._tally,
            dice=random.Random(f"{self._options.seed}/{number}"),
            items=random.Random(f"{self._options.seed}/{number}/list").randint(*_ITEMS),
            by_sight=self._by_sight, wishes=self._wishes,
        ).run()  # fmt: skip

    async def _teach_new(self) -> None:
        """Between two shoppers staff show the first cart what came this morning; the next one who comes buys some."""
        shop, cart, product = self._shop, self._shop.world.carts[0], self._shop.new_product
        self._say(f"staff show {cart.name} {product.name}")
        if not await shop.world.attendant.teach(product.id, cart.name, _SHOTS):
            self._say("the store would not have it shown")
            return
        dice = random.Random(f"{self._options.seed}/new product")
        for _ in range(_MOST_SHOWN):
            await asyncio.sleep(_APART_S)
            unit = shop.shelves.take_loose(product, dice)
            cart.put(unit)
            await asyncio.sleep(_LIES_S)
            cart.take(unit)
            if await shop.world.attendant.use_lessons():
                self._say(f"carts were taught {product.name} while the shop runs")
                self._wishes.append(product)
                await asyncio.sleep(_APART_S)
                return
        self._say(f"{product.name}: the cart did not learn it; see the console")

    async def _watch(self) -> None:
        """Keep the scoreboard up to date, and stop the shop when a program dies."""
        with contextlib.ExitStack() as stack:
            terminal = sys.stdout.isatty()
            live = stack.enter_context(Live(console=self._console, refresh_per_second=2)) if terminal else None
            looks = 0
            while True:
                self._shop.processes.check()
                self._notice_first_item()
                rows = live_rows(self._tally, self._options.trips, self._phone_us, self._shop.screen_us)
                if live:
                    live.update(table("Scoreboard", rows))
                elif looks % _LOOKS_PER_LINE == 0:
                    self._say("; ".join(f"{name} {value}" for name, value in rows[:6]))
                looks += 1
                await asyncio.sleep(_LOOK_S)

    def _notice_first_item(self) -> None:
        if not self._first_item_s and self._tally.scanned:
            self._first_item_s = asyncio.get_running_loop().time() - self._began
            self._say(f"first item scanned {self._first_item_s:.1f} s after the start")

    # ── closing ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _compare_books(self) -> bool:
        ledgers = await self._shop.ledgers()
        deadline = asyncio.get_running_loop().time() + _SETTLE_S
        while ledgers.unacknowledged and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.5)
            ledgers = await self._shop.ledgers()
        self._print_scoreboard(ledgers)
        checks = verdict(self._tally, ledgers, self._options.trips, photographs=self._options.photos is not None)
        rows = [
            (f"{'✓' if check.holds else '✗'} {check.name}", f"{check.seen} (wanted: {check.wanted})")
            for check in checks
        ]
        self._console.print(table("Verdict", rows))
        good = all(check.holds for check in checks)
        self._console.print("A good day." if good else "Not a good day: see ✗ above.", style="green" if good else "red")
        return good

    def _print_scoreboard(self, ledgers: Ledgers) -> None:
        waits = sorted(self._tally.waits_s)
        rows = live_rows(self._tally, self._options.trips, self._phone_us, self._shop.screen_us)
        rows += [
            ("paid total", f"{ledgers.store_paid_minor / 100:.2f} EUR"),
            ("events sent / committed", f"{ledgers.recorded} / {ledgers.committed} ({ledgers.repeated} arrived again)"),
            ("at the exit lane", f"median {waits[len(waits) // 2]:.1f} s" if waits else "nobody"),
            ("first item scanned", f"{self._first_item_s:.1f} s after the start"),
        ]
        if self._options.photos:
            rows.append(("photographs read", f"{self._tally.scanned} of {self._tally.shown} shown"))
        self._console.print(table("Scoreboard", rows))
        for note in self._tally.notes:
            self._console.print(f"  note: {note}", highlight=False, markup=False)

    def _say(self, text: str) -> None:
        passed = asyncio.get_event_loop().time() - self._began
        self._console.print(f"{passed:6.1f} s  {text}", highlight=False, markup=False)
