"""A staged day: carts, store, acquirer, lanes and shoppers in one process on a virtual clock, all by one seed."""

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import structlog

from cart_protocol.ids import CartId
from cart_protocol.pricing.price_book import PriceBook
from edge_agent.devices.signature import Signer
from edge_agent.store.journal import SqlJournal
from edge_agent.store.price_book_file import read_price_book
from edge_agent.store.status import Status, read_status
from sim.disk import Disk
from sim.goods import Shelves
from sim.scoreboard import Check, Ledgers, verdict
from sim.shoppers import Tally, Trip, characters
from sim.stage.acquirer import StagedAcquirer
from sim.stage.cart import StagedCart
from sim.stage.machine import Machine
from sim.stage.scene import Scenery
from sim.stage.store import Beside, DirectPhone, StagedStore
from sim.virtual_time import VirtualTimeLoop
from sim.wires.air import Weather

_OPENING_S = 5.0
_FORGET_ME = 3
"""Every third shopper asks to be forgotten after the visit."""
_LONGEST_DAY_S = 4 * 3600.0
"""Virtual seconds after which a day that does not end is called a failure."""
_SETTLE_S = 900.0
"""How long, once everything works again, the last event and the last payment may take."""


class DayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be played. `whole` senses render pixels and clock chips; short ones begin behind them."""

    seed: int
    trips: int
    carts: int = 4
    lanes: int = 1
    whole: bool = False
    weather: Weather | None = None
    items: tuple[int, int] = (2, 5)


class StagedDay(msgspec.Struct, kw_only=True):
    """How a staged day went."""

    tally: Tally
    ledgers: Ledgers
    status: Status
    checks: list[Check]
    mirrors_agree: bool
    """Every cart's basket equals the store's mirror of it."""
    sentences: list[str]
    """What the lanes said aloud."""
    violation: str | None
    """The first promise that was broken (sim.stage.witness)."""
    promises_kept: int
    """How many times a promise was checked."""
    digest: str
    """Of the whole trace: the same for the same plan."""

    @property
    def good(self) -> bool:
        return all(check.holds for check in self.checks) and self.mirrors_agree and self.violation is None


def stage_day(plan: DayPlan, during: "Callable[[Stage], object] | None" = None) -> StagedDay:
    """Run a day on a virtual clock. `during` may plan mischief: it is called once when the shop is open."""
    with stage(plan) as staged:
        return staged.loop.run_until_complete(_day(staged, during))


@contextmanager
def stage(plan: DayPlan) -> "Iterator[Stage]":
    """Set the stage for one day; its disks and files are gone afterwards."""
    # What the programs log is for their operators; here the witness speaks.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    loop = VirtualTimeLoop()
    # Every sync is the simulated disk's affair: memory serves as well as any disk, and faster.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a file system in memory
    with tempfile.TemporaryDirectory(prefix="cartwright-stage-", dir=memory) as folder, Disk() as disk:
        try:
            yield Stage(loop, Path(folder), disk, plan)
        finally:
            _end_all(loop)
            loop.close()


def _end_all(loop: VirtualTimeLoop) -> None:
    """End what a day that failed has left running."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=_OPENING_S))
        for task in left:
            if task.done() and not task.cancelled():
                task.exception()  # retrieved: the day has its verdict already


async def _day(staged: "Stage", during: "Callable[[Stage], object] | None") -> StagedDay:
    async with asyncio.timeout(_LONGEST_DAY_S):
        await staged.open()
        if during:
            during(staged)
        await staged.trade()
        return await staged.close()


class Stage:
    """One shop with everything in it."""

    def __init__(self, loop: VirtualTimeLoop, folder: Path, disk: Disk, plan: DayPlan) -> None:
        self.loop = loop
        self.plan = plan
        self.tally = Tally()
        self.scenery = Scenery(loop, plan.seed, plan.weather)
        self.witness, self.trace, self.air = self.scenery.witness, self.scenery.trace, self.scenery.air
        self.beside: Beside | None = None
        """What others do at the moment of a shopper's wish."""
        book = _book(plan.whole)
        self._shelves = Shelves(book)
        signer = Signer.create(folder / "signing.key")
        rooms = {name: _room(folder, name) for name in ("store", "acquirer", *self._cart_names())}
        blank_journal(rooms["store"] / "store.db")
        platters = {name: disk.under(room) for name, room in rooms.items()}
        self.acquirer = StagedAcquirer(rooms["acquirer"], platters["acquirer"], self.scenery)
        self.store = StagedStore(
            rooms["store"], platters["store"], self.scenery, signer=signer, book=book, acquirer=self.acquirer,
            lanes=plan.lanes,
        )  # fmt: skip
        self.acquirer.merchant = self.store.take_notice
        self.carts = [
            StagedCart(number, rooms[f"c{number}"], platters[f"c{number}"], self.scenery, signer.verifier,
                       whole=plan.whole)
            for number in range(1, plan.carts + 1)
        ]  # fmt: skip
        self._mischief: list[asyncio.Task[None]] = []

    @property
    def machines(self) -> list[Machine]:
        return [self.acquirer, self.store, *self.carts]

    def _cart_names(self) -> list[str]:
        return [f"c{number}" for number in range(1, self.plan.carts + 1)]

    async def open(self) -> None:
        for machine in self.machines:
            machine.switch_on()
        await asyncio.sleep(_OPENING_S)

    def meanwhile(self, mischief: Coroutine[object, object, None]) -> None:
        """Let something else happen beside the trade; it is over when the shop closes."""
        self._mischief.append(asyncio.create_task(mischief))

    async def trade(self) -> None:
        """Let every shopper come and go, as long as no promise is broken and no program fails."""
        crowd = characters(self.plan.trips, self.scenery.dice("crowd"))

        async def one_cart(cart: StagedCart) -> None:
            while crowd:
                mine, character = len(crowd), crowd.pop()
                lane = self.scenery.dice(f"lane {mine}").choice(self.store.lanes)
                dice = self.scenery.dice(f"shopper {mine}")
                phone = DirectPhone(self.store, mine, self.beside, forget_me=mine % _FORGET_ME == 0)
                await Trip(
                    character=character, shelves=self._shelves, phone=phone,
                    cart=cart, lane=lane, tally=self.tally, dice=dice,
                    items=self.scenery.dice(f"list {mine}").randint(*self.plan.items),
                ).run()  # fmt: skip
                await asyncio.sleep(1)

        await self.unless_broken(asyncio.gather(*(one_cart(cart) for cart in self.carts)))

    async def unless_broken(self, work: "asyncio.Future[Any]") -> None:
        """Wait for some work, or until it is clear that the day has failed: then raise what made it fail."""
        broken = asyncio.create_task(self.witness.broken.wait())
        first: set[asyncio.Future[Any]] = {work, broken, *(machine.failed for machine in self.machines)}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        broken.cancel()
        if not work.done():
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        for machine in self.machines:
            if machine.failed.done():
                raise machine.failed.result()
        if self.witness.violation is None:
            work.result()

    async def settle(self) -> None:
        """Wait, with everything working again, until the last event and the last payment have arrived."""
        deadline = self.loop.time() + _SETTLE_S
        while (self._waiting() or self.loop.time() < _OPENING_S) and self.loop.time() < deadline:
            if self.witness.violation:
                return
            await asyncio.sleep(1)
        self.witness.require(not self._waiting(), f"{self._waiting()} although everything has worked for {_SETTLE_S} s")

    def _waiting(self) -> str:
        """Return what still waits, or ''."""
        dark = [machine.name for machine in self.machines if not (machine.life and machine.life.alive)]
        if dark:
            return f"{', '.join(dark)} did not come up"
        waiting = [f"{cart.name}: {cart.unacknowledged} events" for cart in self.carts if cart.unacknowledged]
        if self.store.in_doubt():
            waiting.append(f"{self.store.in_doubt()} payments without an answer")
        return "; ".join(waiting)

    async def close(self) -> StagedDay:
        """Wait until all is acknowledged, stop, and compare the books."""
        for mischief in self._mischief:
            mischief.cancel()
        await asyncio.gather(*self._mischief, return_exceptions=True)
        await self.settle()
        mirrors_agree = all(cart.basket() == self.store.mirror(CartId(cart.name)) for cart in self.carts)
        recorded, unacknowledged = sum(c.recorded for c in self.carts), sum(c.unacknowledged for c in self.carts)
        charged = self.acquirer.ledger.totals() if self.acquirer.ledger else None
        for machine in reversed(self.machines):
            await machine.switch_off()
        self.witness.no_trace_of_the_forgotten(self.store.files())
        status = read_status(self.store.database)
        ledgers = Ledgers(
            store_paid_minor=status.paid_minor, store_orders_minor=status.orders_minor, recorded=recorded,
            acquirer_minor=charged.captured_minor - charged.refunded_minor if charged else 0,
            committed=status.cart_events, unacknowledged=unacknowledged, repeated=self.store.repeated,
            duplicates=status.duplicates,
        )  # fmt: skip
        return StagedDay(
            tally=self.tally, ledgers=ledgers, status=status, checks=verdict(self.tally, ledgers, self.plan.trips),
            mirrors_agree=mirrors_agree, sentences=[said for lane in self.store.lanes for said in lane.speaker.said],
            violation=self.witness.violation, promises_kept=self.witness.checks, digest=self.trace.digest,
        )  # fmt: skip


def _room(folder: Path, name: str) -> Path:
    room = folder / name
    room.mkdir()
    return room


@cache
def _book(whole: bool) -> PriceBook:
    """Return the demo's price book, or as much of it as a short day sells: carts take it over at every start."""
    book = read_price_book(Path(str(files("edge_agent").joinpath("catalogue", "demo.toml"))))
    if whole:
        return book
    tagged = [product for product in book.products if product.tagged][:8]
    others = [product for product in book.products if not product.tagged][::7]
    return msgspec.structs.replace(book, products=(*tagged, *others))


@cache
def _blank() -> Path:
    """Return a journal with tables and nothing in them, made once per process: migrations are tested elsewhere."""
    path = Path(tempfile.mkdtemp(prefix="cartwright-blank-")) / "store.db"
    SqlJournal(f"sqlite:///{path}").close()
    return path


def blank_journal(path: Path) -> None:
    shutil.copyfile(_blank(), path)
