"""A live shop on its worst day: real processes killed at random, roads cut, disks full, and the books compared after.

Every program is looked after as a service manager does: what ends is started again. Shoppers shop meanwhile; they may
give up, and lose patience, but never goods that were accepted, nor money. At the end everything is healed, each cart
gets one more shopper, and everybody's own books must agree.
"""

import asyncio
import contextlib
import html
import os
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from rich.console import Console

from sim.live_shop import CartBooks, LiveShop
from sim.postgres_cluster import PostgresCluster
from sim.processes import ProcessFailedError
from sim.roads import best_roads
from sim.scoreboard import Check, Ledgers, table
from sim.shoppers import Character, Tally, Trip
from sim.small_disk import SmallDisk
from sim.world import LiveCart

_FIRST_PORT = 20_000
"""Below the ports of outgoing connections (32768 and up); each run has a block of 20."""
_FRAMES_PER_SECOND = 8
"""Rendered frames are most of a small machine's work, and a label is held before the camera for a second."""
_ITEMS = (1, 3)
_WAVE = (4, 10)
"""Kills in one wave of faults; then the shop has a moment of calm, or nobody would ever get to pay."""
_PAUSE_S, _CALM_S = (0.1, 2.2), (5.0, 10.0)
_SEVERAL = 0.2
"""Share of moments at which more than one program is killed."""
_RESTART_S = (0.0, 1.2)
_PARTED_S, _FULL_S = (3.0, 14.0), (3.0, 8.0)
_NEXT_COMES_S = 3.0
"""Between two shoppers at one cart: what the last one left must be off the platform before the next session begins."""
_LAST_TRIES = 4
_TRIP_PATIENCE_S = 240.0
_HEALING_PATIENCE_S = 240.0
_PAYING_PATIENCE_S = 90.0
_TIMES_INSISTED = 4
_CART_DISK_MIB, _STORE_DISK_MIB = 64, 512
"""The store closes its door below 200 MiB of free disk (edge_agent.config.Limits), and is not to before a fault."""
_LINE = re.compile(r'data-line="[^"]+">(?:<img[^>]*>)?<p class="name">(.*?)<small>')


class FaultOptions(msgspec.Struct, frozen=True, kw_only=True):
    kills: int
    seed: int
    carts: int
    postgresql: bool
    longest_s: float
    folder: Path | None = None


def run_faults(options: FaultOptions) -> int:
    """Run the day and return the exit status: 0 when all books agree, 1 when not, 2 when it had to be given up."""

    async def until_stopped() -> int:
        day = asyncio.create_task(_whole(options))
        for stopping in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(stopping, day.cancel)
        try:
            return await day
        except asyncio.CancelledError:
            return 2

    return asyncio.run(until_stopped())


async def _whole(options: FaultOptions) -> int:
    console = Console(highlight=False, markup=False)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="faults-"))
    database = PostgresCluster() if options.postgresql else None
    try:
        day = FaultDay(options, folder, database, console)
        async with asyncio.timeout(options.longest_s):
            checks = await day.run()
    except TimeoutError:
        console.print(f"given up: not done after {options.longest_s:.0f} s; logs in {folder / 'logs'}")
        return 2
    except (ProcessFailedError, OSError) as error:
        console.print(f"given up: {error}")
        return 2
    finally:
        await day.close()
        if database:
            database.remove()
    good = all(check.holds for check in checks)
    if good and options.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    console.print("Nothing lost, nothing twice." if good else f"Not so: see ✗ above; logs in {folder / 'logs'}")
    return 0 if good else 1


class FaultDay:
    """One day of faults in a shop of its own."""

    def __init__(self, options: FaultOptions, folder: Path, database: PostgresCluster | None, console: Console) -> None:
        self._options, self._folder, self._database, self._console = options, folder, database, console
        self._dice = Random(options.seed)
        self._carts = range(1, options.carts + 1)
        self._tally = Tally()
        self._kills: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._struck: Counter[str] = Counter()
        self._closed = False
        self._visits = 0
        self._disks: dict[str, SmallDisk] = {}
        self._last_fault_s = 0.0
        self._recovered_s = 0.0
        self._mirrors: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> list[Check]:
        """Open, let faults happen, heal, compare.

        Raises:
            ProcessFailedError: the shop did not open.
        """
        self._began = asyncio.get_running_loop().time()
        self._roads = await best_roads()
        if self._database:
            await self._database.create()
        self._shop = LiveShop(
            self._folder, self._options.carts, self._options.seed, first_port=_FIRST_PORT + os.getpid() % 600 * 20,
            frames_per_second=_FRAMES_PER_SECOND, database=self._database, roads=self._roads, say=self._say,
        )  # fmt: skip
        await self._mount()
        await self._shop.open()
        self._epochs = {cart: (await self._cart_books(cart)).epoch for cart in self._carts}
        self._say(f"open; roads are cut by {self._roads.kind}; small disks under {', '.join(self._disks) or 'nothing'}")
        self._keeper = asyncio.create_task(self._shop.processes.keep(self._restart_after, self._noted_end))
        shoppers = [asyncio.create_task(self._shoppers(cart)) for cart in self._carts]
        self._tasks += [*shoppers, asyncio.create_task(self._progress())]
        await self._faults()
        self._closed = True
        await self._heal()
        await asyncio.gather(*shoppers)
        return await self._last_visits()

    async def close(self) -> None:
        """End everything. May be called at any time."""
        for task in (*self._tasks, *([self._keeper] if hasattr(self, "_keeper") else [])):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if hasattr(self, "_keeper"):
            await asyncio.gather(self._keeper, return_exceptions=True)
        for disk in self._disks.values():
            with contextlib.suppress(OSError):
                disk.free()
        if hasattr(self, "_shop"):
            await self._shop.close()
        for disk in self._disks.values():
            await disk.unmount()

    # ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _faults(self) -> None:
        while self._kills.total() < self._options.kills:
            others = [asyncio.create_task(self._part()), asyncio.create_task(self._fill())]
            wave = min(self._dice.randint(*_WAVE), self._options.kills - self._kills.total())
            goal = self._kills.total() + wave
            while self._kills.total() < goal:
                await asyncio.sleep(self._dice.uniform(*_PAUSE_S))
                self._kill(goal - self._kills.total())
            await asyncio.gather(*others)
            if self._kills.total() < self._options.kills:
                await asyncio.sleep(self._dice.uniform(*_CALM_S))

    def _kill(self, most: int) -> None:
        names = list(self._shop.processes.names)
        several = self._dice.randint(2, len(names)) if self._dice.random() < _SEVERAL else 1
        for name in self._dice.sample(names, min(several, most, len(names))):
            if self._shop.processes.crash(name):
                self._kills[name] += 1
        self._fault_now()

    async def _part(self) -> None:
        """Perhaps cut a cart's road for a while."""
        if self._dice.random() < 0.6:
            cart = self._dice.randint(1, self._options.carts)
            await asyncio.sleep(self._dice.uniform(0, 3))
            await self._roads.cut(cart)
            self._struck[f"road of cart-{cart} cut"] += 1
            await asyncio.sleep(self._dice.uniform(*_PARTED_S))
            await self._roads.mend(cart)
            self._fault_now()

    async def _fill(self) -> None:
        """Perhaps let a disk be full for a while."""
        if self._disks and self._dice.random() < 0.5:
            name = self._dice.choice(sorted(self._disks))
            await asyncio.sleep(self._dice.uniform(0, 3))
            self._disks[name].fill()
            self._struck[f"disk of {name} full"] += 1
            await asyncio.sleep(self._dice.uniform(*_FULL_S))
            self._disks[name].free()
            self._fault_now()

    async def _mount(self) -> None:
        """Give one cart, and a store with its own file, a small disk."""
        places = {"cart-1": (self._shop.files.cart(1) / "state", _CART_DISK_MIB)}
        if not self._database:
            places["store"] = (self._shop.files.store / "state", _STORE_DISK_MIB)
        if not SmallDisk.possible():
            self._say("no disk is filled: mounting one needs root")
            return
        await self._shop.prepare()
        for name, (folder, mebibytes) in places.items():
            disk = SmallDisk(folder, mebibytes)
            if await disk.mount():
                self._disks[name] = disk

    def _restart_after(self) -> float:
        return self._dice.uniform(*_RESTART_S)

    def _noted_end(self, name: str, status: int) -> None:
        """A killed program has status -9; another ended by itself, as the store does without its database."""
        if status != -9:
            self._ended[f"{name} ({status})"] += 1

    def _fault_now(self) -> None:
        self._last_fault_s = self._now_s()

    # ── shoppers ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _shoppers(self, cart: int) -> None:
        while not self._closed:
            trip = self._trip(cart, self._tally)
            trip.go_on()
            await self._visit(trip)
            await asyncio.sleep(0.5)

    async def _visit(self, trip: Trip) -> None:
        try:
            async with asyncio.timeout(_TRIP_PATIENCE_S):
                await trip.run()
        except TimeoutError:
            self._tally.notes.append(f"a visit took longer than {_TRIP_PATIENCE_S:.0f} s")
        except (OSError, ValueError, KeyError) as error:  # an attendant, too, finds no console now and then
            self._tally.notes.append(f"a visit ended in {error!r}")

    def _trip(self, cart: int, tally: Tally) -> "_Lingering":
        self._visits += 1
        shop, seed = self._shop, f"{self._options.seed}/{self._visits}"
        return _Lingering(
            character=Character.HONEST, shelves=shop.shelves, phone=shop.world.phone(self._visits, []),
            cart=shop.world.carts[cart - 1], lane=shop.world.lane, tally=tally, dice=Random(seed),
            items=Random(f"{seed}/list").randint(*_ITEMS),
        )  # fmt: skip

    async def _progress(self) -> None:
        while True:
            await asyncio.sleep(10)
            tally = self._tally
            self._say(
                f"{self._kills.total()} of {self._options.kills} kills, {sum(self._struck.values())} other faults; "
                f"{tally.finished} visits, {tally.orders} paid, {tally.gave_up} gave up"
            )

    # ── healing and comparing ────────────────────────────────────────────────────────────────────────────────────

    async def _heal(self) -> None:
        """Mend everything and wait until the store has acknowledged every event; shoppers shop on."""
        for cart in self._carts:
            await self._roads.mend(cart)
        for disk in self._disks.values():
            disk.free()
        self._say("healed; waiting until all that the carts hold is acknowledged")
        recorded = {cart: (await self._cart_books(cart)).recorded for cart in self._carts}
        deadline = self._now_s() + _HEALING_PATIENCE_S
        while self._now_s() < deadline:
            books = [await self._cart_books(cart) for cart in self._carts]
            if all(book.acknowledged >= recorded[cart] for cart, book in zip(self._carts, books, strict=True)):
                break
        self._recovered_s = self._now_s() - self._last_fault_s

    async def _settled(self) -> Ledgers:
        """Return the books once nothing is under way in them, or the last ones when patience ends."""
        deadline = self._now_s() + _HEALING_PATIENCE_S
        while True:
            try:
                ledgers = await self._shop.ledgers()
            except (ProcessFailedError, OSError) as error:
                if self._now_s() > deadline:
                    raise
                self._say(f"the books cannot be read yet: {str(error).splitlines()[-1][:100]}")
            else:
                still = ledgers.unacknowledged or ledgers.recorded != ledgers.committed or ledgers.in_doubt
                if not still or self._now_s() > deadline:
                    return ledgers
            await asyncio.sleep(0.5)

    async def _cart_books(self, cart: int) -> CartBooks:
        deadline = self._now_s() + _HEALING_PATIENCE_S
        while True:
            try:
                return await self._shop.cart_books(cart)
            except ProcessFailedError:
                if self._now_s() > deadline:
                    raise
                await asyncio.sleep(0.2)

    async def _last_visits(self) -> list[Check]:
        """Let one more shopper be served at each cart, compare mirrors meanwhile, and then the books of the day."""
        self._say("one more shopper for each cart, without faults")
        waiting = set(self._carts)
        for _ in range(_LAST_TRIES):
            waiting -= await self._serve(sorted(waiting))
        ledgers = await self._settled()
        new = [cart for cart in self._carts if (await self._cart_books(cart)).epoch != self._epochs[cart]]
        checks = self._verdict(ledgers, new, waiting, await self._double_charges(), await self._verify())
        self._print(ledgers, checks)
        return checks

    async def _serve(self, carts: Sequence[int]) -> set[int]:
        """Let a shopper come to each of these; look at mirrors while goods are in the carts; return where one paid."""
        paid: set[int] = set()

        async def visit(cart: int) -> None:
            await asyncio.sleep(_NEXT_COMES_S)
            tally = Tally()
            trip = self._trip(cart, tally)
            going = asyncio.create_task(self._visit(trip))
            standing = asyncio.create_task(trip.stands())
            self._tasks += [going, standing]
            await asyncio.wait({standing, going}, return_when=asyncio.FIRST_COMPLETED)
            if standing.done():
                self._mirrors += await trip.compare(self._shop.world.carts[cart - 1])
            trip.go_on()
            await going
            standing.cancel()
            self._tally.notes += tally.notes
            if tally.orders:
                paid.add(cart)

        await asyncio.gather(*map(visit, carts))
        return paid

    async def _double_charges(self) -> list[str]:
        """Return every order for which the acquirer's own ledger holds more than its total."""
        taken = await self._acquirer_ledger()
        sql = "SELECT t.tender, t.order_id, o.total_minor FROM tender t JOIN shop_order o ON o.order_id = t.order_id"
        charged: Counter[str] = Counter()
        totals: dict[str, int] = {}
        for tender, order, total in await self._store_rows(sql):
            charged[order] += taken.pop(tender, 0)
            totals[order] = int(total)
        double = [
            f"order {order}: {charged[order]} for {total}" for order, total in totals.items() if charged[order] > total
        ]
        return double + [f"charge {key}: {minor} for no order" for key, minor in taken.items() if minor]

    async def _acquirer_ledger(self) -> dict[str, int]:
        with closing(sqlite3.connect(self._shop.files.folder / "acquirer.db")) as ledger:
            return dict(ledger.execute("SELECT key, captured - refunded FROM charge").fetchall())

    async def _store_rows(self, sql: str) -> Sequence[Sequence[str]]:
        if self._database:
            return await self._database.query(sql)
        with closing(sqlite3.connect(self._shop.files.journal)) as journal:
            return journal.execute(sql).fetchall()

    async def _verify(self) -> str:
        """Return what `edge-agent verify` finds wrong with the journal; '' for nothing."""
        try:
            await self._shop.verify_journal()
        except ProcessFailedError as error:
            return str(error)
        return ""

    def _verdict(
        self, ledgers: Ledgers, new: Collection[int], unserved: Collection[int], double: Sequence[str], damage: str
    ) -> list[Check]:
        same = ledgers.store_paid_minor == ledgers.acquirer_minor == ledgers.store_orders_minor
        money = (
            f"orders {ledgers.store_orders_minor}, paid {ledgers.store_paid_minor}, acquirer {ledgers.acquirer_minor}"
        )
        listed = "; ".join(double) or "0"
        wrong = "; ".join(self._mirrors) or "the same"
        return [
            _check("kill -9", str(self._kills.total()), f"{self._options.kills}",
                   holds=self._kills.total() >= self._options.kills),
            _check("events lost", f"{ledgers.recorded - ledgers.committed} of {ledgers.recorded}", "0",
                   holds=ledgers.recorded == ledgers.committed),
            _check("events applied twice", str(ledgers.duplicates), "0", holds=ledgers.duplicates == 0),
            _check("events not acknowledged", str(ledgers.unacknowledged), "0", holds=ledgers.unacknowledged == 0),
            _check("carts that lost their memory", str(len(new)), "0", holds=not new),
            _check("double charges", listed, "0", holds=not double),
            _check("payments in doubt", str(ledgers.in_doubt), "0", holds=ledgers.in_doubt == 0),
            _check("money agrees (minor units)", money, "all the same", holds=same),
            _check("mirrors and baskets", wrong, "the same", holds=not self._mirrors),
            _check("journal by itself (edge-agent verify)", damage[-200:] or "good", "good", holds=not damage),
            _check("carts that serve nobody any more", str(len(unserved)), "0", holds=not unserved),
        ]  # fmt: skip

    def _print(self, ledgers: Ledgers, checks: Sequence[Check]) -> None:
        tally = self._tally
        rows = [
            ("kill -9", f"{self._kills.total()}: " + _counted(self._kills)),
            ("ended by themselves, started again", _counted(self._ended) or "none"),
            ("other faults", _counted(self._struck) or "none"),
            ("visits", f"{tally.finished}: {tally.orders} orders paid, {tally.gave_up} gave up"),
            ("events", f"{ledgers.recorded} recorded, {ledgers.repeated} arrived again since the store's last start"),
            ("recovery after the last fault", f"{self._recovered_s:.1f} s until all was acknowledged"),
            ("whole day", f"{self._now_s():.0f} s"),
        ]
        self._console.print(table("Faults", rows))
        self._console.print(table("Verdict", [
            (f"{'✓' if check.holds else '✗'} {check.name}", f"{check.seen} (wanted: {check.wanted})")
            for check in checks
        ]))  # fmt: skip
        for note in tally.notes[-12:]:
            self._console.print(f"  note: {note}")

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    def _say(self, text: str) -> None:
        self._console.print(f"{self._now_s():6.1f} s  {text}")
        sys.stdout.flush()


class _Lingering(Trip):
    """A shopper who stands with the goods in the cart until told to go on to pay."""

    def __init__(self, **of_a_trip: Any) -> None:  # noqa: ANN401 - as Trip's own
        super().__init__(**of_a_trip)
        self._standing, self._on = asyncio.Event(), asyncio.Event()

    async def stands(self) -> None:
        """Wait until all goods are in the cart."""
        await self._standing.wait()

    def go_on(self) -> None:
        self._on.set()

    async def compare(self, cart: LiveCart) -> list[str]:
        """Return where the cart's screen and the phone, which shows the store's mirror, list different goods."""
        for _ in range(20):
            shown = sorted(_LINE.findall(html.unescape(await cart.screen())))
            state = await self._phone.until(lambda _: True, 10)
            mirrored = sorted(line.name for line in state.lines) if state else []
            if shown == mirrored:
                return []
            await asyncio.sleep(0.5)
        return [f"{cart.name} shows {shown}, the phone {mirrored}"]

    async def _leave(self) -> None:
        self._standing.set()
        await self._on.wait()
        try:
            await super()._leave()
        finally:
            await self._insist()

    async def _insist(self) -> None:
        """Whoever has paid does not go without the goods, however long it takes the shop to say so."""
        for _ in range(_TIMES_INSISTED):
            state = await self._phone.until(lambda state: state.phase != "paying", _PAYING_PATIENCE_S)
            if state is None or not state.exit_token or state.phase != "paid":
                return
            async with self._lane.turn():
                await self._pass_lane(state.exit_token)


def _check(name: str, seen: str, wanted: str, *, holds: bool) -> Check:
    return Check(name=name, seen=seen, wanted=wanted, holds=holds)


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))
