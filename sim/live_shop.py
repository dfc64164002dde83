"""A live shop: the product's programs as real processes around a real broker, opened in order, with everybody's books.

The demo trades in it; the process tests kill parts of it.
"""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import httpx
import msgspec

from cart_protocol.host.clock import HostClock
from cart_protocol.pricing.price_book import PriceBook, Product
from sim.goods import Shelves
from sim.optics.lying import write_shots
from sim.photographs import Photograph, PhotographShelves, photographs, write_catalogue
from sim.postgres_cluster import PostgresCluster
from sim.processes import Processes, Program, free_port, run_once
from sim.roads import Roads
from sim.scoreboard import Ledgers
from sim.shop_files import ShopFiles, program, write_cart, write_edge, write_portraits
from sim.world import LiveWorld

STAFF = ("manager", "demo-only")
"""Name and password of the shop's own staff; it is reached on loopback only."""
_PORTS, _SCREENS = (18883, 18443, 18790), 18080
"""Of broker, pages and acquirer, and of the first cart's screen."""
_SHOTS = 5
"""Of each product that carts are taught."""
_LISTENER = re.compile(r"^listener \d+ \S+", flags=re.MULTILINE)


class StoreBooks(msgspec.Struct):
    """What `edge-agent status --json` says, as far as the books go."""

    orders_minor: int = 0
    paid_minor: int = 0
    cart_events: int = 0
    duplicates: int = 0
    payments_unknown: int = 0
    carts: dict[str, tuple[int, int]] = {}


class CartBooks(msgspec.Struct):
    """What `cart-firmware status --json` says of the stream."""

    epoch: int
    recorded: int
    acknowledged: int


class AcquirerBooks(msgspec.Struct):
    charges: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0


class LiveShop:
    """One shop in one folder. What is there from an earlier day stays; the books count from this opening on.

    Args:
        folder: for everything the shop writes. Short: the street's socket has at most 107 characters.
        carts: how many.
        seed: decides what the goods weigh.
        photos: show the cameras the photographs of this folder.
        by_sight: carts know loose goods by sight, all but `new_product`, which staff show a cart while the shop runs.
        first_port: use the ports from here on, those of them that are free; left out: where people look first.
        frames_per_second: of the cameras; fewer spare the machine.
        database: a PostgreSQL for the store's journal, made already; left out, it is a file.
        roads: between carts and broker, where somebody means to cut them.
        say: told of each step.
    """

    def __init__(self, folder: Path, carts: int, seed: int, *, photos: Path | None = None,
                 by_sight: bool = False, first_port: int | None = None, frames_per_second: int | None = None,
                 database: PostgresCluster | None = None, roads: Roads | None = None,
                 say: Callable[[str], None] = lambda _: None) -> None:  # fmt: skip
        usual = [*_PORTS, *range(_SCREENS, _SCREENS + carts)]
        ports = [free_port(port) for port in (range(first_port, first_port + len(usual)) if first_port else usual)]
        self.files = ShopFiles(
            folder=folder.resolve(), broker_port=ports[0], web_port=ports[1], acquirer_port=ports[2],
            screen_ports=ports[3:], broker_host=roads.address if roads else "127.0.0.1",
        )  # fmt: skip
        self.processes = Processes(self.files.folder / "logs")
        self.dice = Random(seed)
        self.clock = HostClock()
        self.screen_us: list[int] = []
        self._carts = range(1, carts + 1)
        self._frames_per_second, self._database, self._roads = frames_per_second, database, roads
        self._say, self._by_sight = say, by_sight and photos is None
        self._photographs: list[Photograph] = photographs(photos.resolve()) if photos else []
        self._before = StoreBooks()
        self._acquirer_before = AcquirerBooks()
        self._prepared = False

    # ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """Make certificates and configuration where there are none, then start every program in order.

        Raises:
            ProcessFailedError: a program did not come up; the text shows its last words.
        """
        await self.prepare()
        book = msgspec.json.decode(await run_once(self._edge("price-book")), type=PriceBook)
        self.shelves = PhotographShelves(book, self._photographs) if self._photographs else Shelves(book)
        teaches = self._by_sight and not self.files.shown.exists()
        if teaches:
            self._paint_shots()
        self.world = LiveWorld(self.files, len(self._carts), self.dice, self.clock, self.screen_us, staff=STAFF)
        await self.world.start()
        if self._database is not None:
            self._say("starting PostgreSQL")
            await self.processes.start(self._database.program())
            await self._database.ready()
        for part in self._backstage():
            self._say(f"starting {part.name}")
            await self.processes.start(part)
        if teaches:
            self._say("staff show a cart what has no label")
            await self._show_goods()
        self._say(f"starting {len(self._carts)} carts")
        await asyncio.gather(*(self.processes.start(part) for part in self._cart_programs()))
        self._before = await self._store_books()
        self._acquirer_before = await self.acquirer_books()
        await self.world.connect()
        if teaches:
            taught = await self.world.attendant.teach_all(len(self.shelves.loose) - 1)
            self._say(f"all carts are taught {taught} products by sight")

    async def _show_goods(self) -> None:
        """Have the first cart learn loose goods from pictures, before it runs: the store hears of it when it does."""
        await self._painted
        await run_once([*self._cart("enrol-all", 1), str(self.files.shown)])

    def _paint_shots(self) -> None:
        """Take pictures of all loose goods but the new ones, beside whatever else is made meanwhile."""
        shown = [product.id for product in self.shelves.loose if product.id != self.new_product.id]
        self._painted = asyncio.ensure_future(
            asyncio.to_thread(write_shots, self.files.shown, self.shelves, shown, _SHOTS, 1)
        )

    @property
    def new_product(self) -> Product:
        """Loose goods that came this morning: no cart knows them yet."""
        return self.shelves.by_sight[-1]

    async def close(self) -> None:
        """Leave the world and stop every program. May be called on a shop that did not open."""
        await self.processes.stop()
        if hasattr(self, "world"):
            await self.world.stop()
        if self._roads is not None:
            await self._roads.close()

    async def prepare(self) -> None:
        """Make certificates and configuration where there are none, and the roads. `open` does it; twice is once.

        Raises:
            ProcessFailedError: something could not be made.
        """
        if not self._prepared:
            self._prepared = True
            if self._roads is not None:
                await self._roads.open(len(self._carts), self.files.broker_port, self.files.screen_ports)
            await self._prepare()

    async def _prepare(self) -> None:
        files, made = self.files, self.files.store / "edge.toml"
        if not made.exists():
            self._say("making certificates, keys and configuration")
            await run_once([
                program("edge-agent"), "init", str(files.store), "--store", "demo", "--name", "Corner Market",
                "--state", str(files.store / "state"), "--broker-port", str(files.broker_port),
                "--broker-host", files.broker_host,
            ])  # fmt: skip
            self._say("painting what the shop sells")
            await asyncio.to_thread(write_portraits, files.store / "price_book.toml")
            name, password = STAFF
            hired = run_once([
                program("edge-agent"), "staff", "add", name, "--role", "manager", "--password", password,
                "--config", str(made),
            ])  # fmt: skip
            await asyncio.gather(hired, self._issue_carts(made))
        else:
            await self._issue_carts(made)
        for number in self._carts:
            write_cart(
                files, number, photos=bool(self._photographs), by_sight=self._by_sight,
                frames_per_second=self._frames_per_second,
                broker=self._roads.broker(number) if self._roads else None,
            )  # fmt: skip
        catalogue = files.store / "price_book.toml"
        if self._photographs:
            self._say(f"{len(self._photographs)} photographs of codes that a shop could sell")
            catalogue = files.store / "price_book.photographs.json"
            write_catalogue(catalogue, self._photographs)
        write_edge(files, catalogue=catalogue, database=self._database.address if self._database else None)
        # The port that was free when the store was made may be taken today.
        broker = (files.store / "broker" / "mosquitto.conf").read_text()
        files.broker_config.write_text(_LISTENER.sub(f"listener {files.broker_port} {files.broker_host}", broker))

    async def _issue_carts(self, made: Path) -> None:
        """Make the certificates that are missing, one by one: an authority numbers what it signs."""
        for number in self._carts:
            folder = self.files.cart(number)
            if not (folder / "cart.toml").exists():
                await run_once([
                    program("edge-agent"), "issue-cart", f"c{number}", "--config", str(made), "--output", str(folder),
                ])  # fmt: skip

    def _backstage(self) -> list[Program]:
        files = self.files
        acquirer = [
            program("cart-sim"), "acquirer", "--port", str(files.acquirer_port),
            "--database", str(files.folder / "acquirer.db"), "--api-key-file", str(files.api_key),
            "--notify", f"http://127.0.0.1:{files.web_port}/acquirer/notice",
            "--notice-secret-file", str(files.notice_secret),
        ]  # fmt: skip
        return [
            Program(
                name="broker",
                command=[program("mosquitto"), "-c", str(files.broker_config)],
                host=files.broker_host,
                port=files.broker_port,
            ),
            Program(name="acquirer", command=acquirer, port=files.acquirer_port),
            Program(name="store", command=self._edge("run"), port=files.web_port),
        ]

    def _cart_programs(self) -> list[Program]:
        roads = self._roads
        return [
            Program(
                name=f"cart-{number}",
                command=roads.command(number, self._cart("run", number)) if roads else self._cart("run", number),
                port=self.files.screen_ports[number - 1],
            )
            for number in self._carts
        ]

    def _edge(self, *command: str) -> list[str]:
        return [program("edge-agent"), *command, "--config", str(self.files.edge_config)]

    def _cart(self, command: str, number: int) -> list[str]:
        return [program("cart-firmware"), command, "--config", str(self.files.cart_config(number))]

    # ── books ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def ledgers(self) -> Ledgers:
        """Ask everybody for their own books, since this opening."""
        store, acquirer, before = await self._store_books(), await self.acquirer_books(), self._before
        recorded = unacknowledged = 0
        for number in self._carts:
            cart = await self.cart_books(number)
            epoch, seq = before.carts.get(f"c{number}", (cart.epoch, 0))
            recorded += cart.recorded - (seq if epoch == cart.epoch else 0)
            unacknowledged += cart.recorded - cart.acknowledged
        return Ledgers(
            store_paid_minor=store.paid_minor - before.paid_minor,
            store_orders_minor=store.orders_minor - before.orders_minor,
            acquirer_minor=_balance(acquirer) - _balance(self._acquirer_before),
            recorded=recorded, committed=store.cart_events - before.cart_events, unacknowledged=unacknowledged,
            repeated=(await self.world.counters())["events_repeated"], duplicates=store.duplicates,
            in_doubt=store.payments_unknown,
        )  # fmt: skip

    async def cart_books(self, number: int) -> CartBooks:
        return msgspec.json.decode(await run_once([*self._cart("status", number), "--json"]), type=CartBooks)

    async def verify_journal(self) -> None:
        """Let the agent check its journal against itself.

        Raises:
            ProcessFailedError: it found something; the text says what.
        """
        await run_once(self._edge("verify"))

    async def _store_books(self) -> StoreBooks:
        return msgspec.json.decode(await run_once([*self._edge("status"), "--json"]), type=StoreBooks)

    async def acquirer_books(self) -> AcquirerBooks:
        async with httpx.AsyncClient(headers={"X-Api-Key": self.files.api_key.read_text().strip()}) as http:
            answer = await http.get(f"http://127.0.0.1:{self.files.acquirer_port}/totals")
        return msgspec.json.decode(answer.content, type=AcquirerBooks)


def _balance(books: AcquirerBooks) -> int:
    return books.captured_minor - books.refunded_minor
