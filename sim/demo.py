"""The live shop: real processes, a real broker, real time. `scripts/demo` ends up here."""

import asyncio
import contextlib
import random
import shutil
import signal
import sys
from pathlib import Path

import httpx
import msgspec
from rich.console import Console
from rich.live import Live

from cart_protocol.host.clock import HostClock
from cart_protocol.pricing.price_book import PriceBook
from sim.goods import Shelves
from sim.photographs import Photograph, PhotographShelves, photographs, write_catalogue
from sim.processes import ProcessFailedError, Processes, Program, free_port, run_once
from sim.scoreboard import Ledgers, live_rows, table, verdict
from sim.shoppers import Tally, Trip, characters
from sim.shop_files import ShopFiles, program, write_cart, write_edge
from sim.world import LiveWorld

_STAFF_PASSWORD = "demo-only"  # noqa: S105 - the demo store has its own staff, on loopback
_ITEMS = (3, 7)
"""Items a shopper means to buy."""
_SETTLE_S = 20.0
"""How long the last events may take to be acknowledged before the books are compared."""


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    trips: int | None
    carts: int
    seed: int
    photos: Path | None
    folder: Path
    fresh: bool


def open_shop(options: DemoOptions) -> int:
    """Run the shop until its trips are done or somebody closes it (Ctrl-C, SIGTERM); return the exit status."""

    async def until_closed() -> int:
        day = asyncio.create_task(run(options))
        for closing in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(closing, day.cancel)
        return await day

    return asyncio.run(until_closed())


async def run(options: DemoOptions) -> int:
    """Open the shop; return the exit status: 0 for a good day, 1 for one that was not, 2 where it could not open."""
    console = Console()
    began = asyncio.get_running_loop().time()
    if options.fresh and options.folder.exists():
        shutil.rmtree(options.folder)
    processes = Processes(options.folder / "logs")
    try:
        shop = _Shop(options, processes, console)
        await shop.open()
        console.print(f"The shop is open after {asyncio.get_running_loop().time() - began:.1f} s.")
        shop.print_addresses()
        good = await shop.trade()
    except ProcessFailedError as error:
        console.print(f"[red]The shop could not go on:[/red] {error}", markup=True, highlight=False)
        return 2
    finally:
        await processes.stop()
    return 0 if good else 1


class _Shop:
    """One day of one small shop."""

    def __init__(self, options: DemoOptions, processes: Processes, console: Console) -> None:
        self._options = options
        self._processes = processes
        self._console = console
        self._dice = random.Random(options.seed)
        self._files = ShopFiles(
            folder=options.folder.resolve(),
            broker_port=free_port(18883),
            web_port=free_port(18443),
            acquirer_port=free_port(18790),
            screen_ports=[free_port(18080 + n) for n in range(options.carts)],
        )
        self._tally = Tally()
        self._phone_us: list[int] = []
        self._screen_us: list[int] = []
        self._clock = HostClock()
        self._began = asyncio.get_running_loop().time()
        self._first_item_s = 0.0
        self._photographs: list[Photograph] = []
        self._repeated = 0

    async def open(self) -> None:
        """Make certificates and configuration on the first run, then start every program in order."""
        files = self._files
        if not files.edge_config.exists():
            self._say("making certificates, keys and configuration")
            await run_once(
                [
                    program("edge-agent"),
                    "init",
                    str(files.store),
                    "--store",
                    "demo",
                    "--name",
                    "Corner Market",
                    "--state",
                    str(files.store / "state"),
                    "--broker-port",
                    str(files.broker_port),
                ]
            )
            for number in range(1, self._options.carts + 1):
                await run_once(
                    [
                        program("edge-agent"),
                        "issue-cart",
                        f"c{number}",
                        "--config",
                        str(files.store / "edge.toml"),
                        "--output",
                        str(files.cart(number)),
                    ]
                )
            await run_once(
                [
                    program("edge-agent"),
                    "staff",
                    "add",
                    "manager",
                    "--role",
                    "manager",
                    "--password",
                    _STAFF_PASSWORD,
                    "--config",
                    str(files.store / "edge.toml"),
                ]
            )
        write_edge(files, catalogue=self._catalogue())
        for number in range(1, self._options.carts + 1):
            write_cart(files, number, photos=self._options.photos is not None)
        book = msgspec.json.decode(
            await run_once([program("edge-agent"), "price-book", "--config", str(files.edge_config)]), type=PriceBook
        )
        self._shelves = (
            PhotographShelves(book, self._dice, self._photographs) if self._photographs else Shelves(book, self._dice)
        )
        self._world = LiveWorld(
            files, self._options.carts, self._dice, self._clock, self._screen_us, staff=("manager", _STAFF_PASSWORD)
        )
        await self._world.start()
        for part in self._programs():
            self._say(f"starting {part.name}")
            await self._processes.start(part)
        await self._world.connect()

    def _catalogue(self) -> Path:
        if not self._options.photos:
            return self._files.store / "price_book.toml"
        self._photographs = photographs(self._options.photos.resolve())
        self._say(f"{len(self._photographs)} photographs of codes that a shop could sell")
        catalogue = self._files.store / "price_book.photographs.json"
        write_catalogue(catalogue, self._photographs)
        return catalogue

    def _programs(self) -> list[Program]:
        files = self._files
        carts = [
            Program(
                name=f"cart-{number}",
                command=[program("cart-firmware"), "run", "--config", str(files.cart_config(number))],
                port=files.screen_ports[number - 1],
            )
            for number in range(1, self._options.carts + 1)
        ]
        return [
            Program(
                name="broker",
                command=[program("mosquitto"), "-c", str(files.store / "broker" / "mosquitto.conf")],
                port=files.broker_port,
            ),
            Program(
                name="acquirer",
                command=[
                    program("cart-sim"),
                    "acquirer",
                    "--port",
                    str(files.acquirer_port),
                    "--database",
                    str(files.folder / "acquirer.db"),
                    "--api-key-file",
                    str(files.api_key),
                ],
                port=files.acquirer_port,
            ),
            Program(
                name="store",
                command=[program("edge-agent"), "run", "--config", str(files.edge_config)],
                port=files.web_port,
            ),
            *carts,
        ]

    def print_addresses(self) -> None:
        web = f"http://127.0.0.1:{self._files.web_port}"
        rows = [("phone", f"{web}/"), ("console", f"{web}/console   (sign in: manager / {_STAFF_PASSWORD})")]
        rows += [
            (f"cart c{n}", f"http://127.0.0.1:{port}/") for n, port in enumerate(self._files.screen_ports, start=1)
        ]
        self._console.print(table("Pages", [*rows, ("logs", self._options.folder / "logs")]))

    # ── trading ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def trade(self) -> bool:
        """Let shoppers come until the trips are done, or until somebody closes the shop; return the verdict."""
        shoppers = asyncio.create_task(self._let_in())
        watch = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({shoppers, watch}, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                await watch  # raises what stopped the shop
            await shoppers
        except asyncio.CancelledError:
            self._console.print("closing: shoppers leave, books are compared")
        finally:
            for task in (shoppers, watch):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, ProcessFailedError):
                    await task
            self._repeated = (await self._world.counters())["events_repeated"]
            await self._world.stop()
        return await self._close()

    async def _let_in(self) -> None:
        trips = self._options.trips
        crowd = characters(trips, self._dice) if trips else []
        number = 0

        async def one_cart(cart: int) -> None:
            nonlocal number
            while trips is None or number < trips:
                number += 1
                mine = number
                character = crowd[mine - 1] if trips else self._dice.choice(characters(5, self._dice))
                await Trip(
                    character=character,
                    shelves=self._shelves,
                    phone=self._world.phone(mine, self._phone_us),
                    cart=self._world.carts[cart],
                    lane=self._world.lane,
                    tally=self._tally,
                    dice=random.Random(f"{self._options.seed}/{mine}"),
                    items=self._dice.randint(*_ITEMS),
                ).run()
                await asyncio.sleep(self._dice.uniform(0.3, 1.0))

        await asyncio.gather(*(one_cart(cart) for cart in range(self._options.carts)))

    async def _watch(self) -> None:
        """Keep the scoreboard up to date, and stop the shop when a program dies."""
        shown = ""
        with contextlib.ExitStack() as stack:
            live = (
                stack.enter_context(Live(console=self._console, refresh_per_second=2)) if sys.stdout.isatty() else None
            )
            while True:
                self._processes.check()
                if not self._first_item_s and self._tally.scanned:
                    self._first_item_s = asyncio.get_running_loop().time() - self._began
                    self._say(f"first item scanned {self._first_item_s:.1f} s after the start")
                rows = live_rows(self._tally, self._options.trips, self._phone_us, self._screen_us)
                if live:
                    live.update(table("Scoreboard", rows))
                elif (line := "; ".join(f"{name} {value}" for name, value in rows[:6])) != shown:
                    shown = line
                    self._say(line)
                await asyncio.sleep(1 if live else 5)

    # ── closing ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _close(self) -> bool:
        ledgers = await self._ledgers()
        deadline = asyncio.get_running_loop().time() + _SETTLE_S
        while ledgers.unacknowledged and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.5)
            ledgers = await self._ledgers()
        checks = verdict(self._tally, ledgers, self._options.trips, photographs=bool(self._photographs))
        waits = sorted(self._tally.waits_s)
        rows = live_rows(self._tally, self._options.trips, self._phone_us, self._screen_us)
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
        self._console.print(
            table(
                "Verdict", [(f"{'✓' if c.holds else '✗'} {c.name}", f"{c.seen} (wanted: {c.wanted})") for c in checks]
            )
        )
        good = all(check.holds for check in checks)
        self._console.print("[green]A good day.[/green]" if good else "[red]Not a good day: see ✗ above.[/red]")
        return good

    async def _ledgers(self) -> Ledgers:
        """Ask everybody for their own books."""
        status = msgspec.json.decode(
            await run_once([program("edge-agent"), "status", "--config", str(self._files.edge_config), "--json"])
        )
        async with httpx.AsyncClient(headers={"X-Api-Key": self._files.api_key.read_text().strip()}) as http:
            acquirer = (await http.get(f"http://127.0.0.1:{self._files.acquirer_port}/totals")).json()
        recorded = unacknowledged = 0
        for number in range(1, self._options.carts + 1):
            outbox = msgspec.json.decode(
                await run_once(
                    [program("cart-firmware"), "status", "--config", str(self._files.cart_config(number)), "--json"]
                )
            )
            recorded += outbox["recorded"]
            unacknowledged += outbox["recorded"] - outbox["acknowledged"]
        return Ledgers(
            store_paid_minor=status["paid_minor"],
            store_orders_minor=status["orders_minor"],
            acquirer_minor=acquirer["captured_minor"] - acquirer["refunded_minor"],
            recorded=recorded,
            committed=status["cart_events"],
            unacknowledged=unacknowledged,
            duplicates=status["duplicates"],
            repeated=self._repeated,
        )

    def _say(self, text: str) -> None:
        self._console.print(
            f"[dim]{asyncio.get_running_loop().time() - self._began:6.1f} s[/dim]  {text}", highlight=False
        )
