"""A product is taught while the shop runs: shown to one real cart, decided by staff, recognised by the next one."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import msgspec
import pytest

from cart_firmware.devices.sight_files import SightFolder
from cart_firmware.perception.reader import Reader
from cart_firmware.services.cart import Cart
from cart_firmware.services.sight import Sights
from cart_firmware.services.store_link import MqttStoreLink, will
from cart_protocol.basket import Phase
from cart_protocol.host.clock import IdMint
from cart_protocol.host.signature import Verifier
from cart_protocol.ids import CartId, LessonId, ShopperId, StaffId, StoreId
from cart_protocol.link.outbox import SqliteOutbox
from cart_protocol.messages import SightIssue
from cart_protocol.topics import subscriptions_of_cart, subscriptions_of_store
from edge_agent.core.views import LessonCard
from edge_agent.services.agent import Agent
from edge_agent.services.cart_link import MqttCartLink
from edge_agent.store.journal import SqlJournal
from sim.virtual_time import SeededDice, VirtualTimeLoop
from sim.wires.air import Air, Weather
from tests.cart_firmware.cart_rig import KEY, Rig, on_virtual_time, settings
from tests.cart_firmware.corner_shop import BOOK, MILK
from tests.cart_firmware.test_lesson import fruit, table
from tests.cart_firmware.test_sight import EMBEDDER, SHIPPED
from tests.edge_agent.shop_floor import Bank

STORE, MINA, MIA = StoreId("s1"), StaffId("mina"), ShopperId("p5f0c2d9e8b7a6f5e4d3c2b1a0f9e8d7")
BAD = Weather(lost=0.15, repeated=0.2, late=0.2, late_s=4.0)
FIG = BOOK.products[4].id


class Seeing(Rig):
    """One of the carts: it knows goods by sight, and its store is reached through the air."""

    def __init__(self, loop: VirtualTimeLoop, folder: Path, air: Air, name: str) -> None:
        folder.mkdir()
        super().__init__(loop, folder)
        self.air, self.name = air, CartId(name)
        self.camera.paint(table())

    async def start(self, *, online: bool = True, book: bool = True) -> None:
        del online, book
        self._lives += 1
        self.outbox = SqliteOutbox(self.folder / "outbox", self.capacity, 42, self.disk_reserve)
        self.station = self.air.station(subscriptions_of_cart(STORE, self.name), will(STORE, self.name))
        plain = settings(self.folder)
        identity = msgspec.structs.replace(plain.identity, cart=self.name)
        verify = Verifier(KEY.public_key()).verify
        self.cart = Cart(
            msgspec.structs.replace(plain, identity=identity), self.clock,
            IdMint(self.clock, SeededDice(f"{self.name}-{self._lives}")),
            load_cell=self.platform, frames=self.camera, reader=Reader(),
            link=MqttStoreLink(self.station, STORE, self.name), outbox=self.outbox, verify=verify,
            sights=Sights(EMBEDDER, SHIPPED, verify, SightFolder(self.folder)),
        )  # fmt: skip
        self._running = asyncio.create_task(self.cart.run())
        await asyncio.sleep(3)

    async def kill_cart(self) -> None:
        self.station.vanish()
        self.wire = self.station  # type: ignore[assignment]  # what Rig.kill cuts off
        await self.kill()

    def names(self) -> str:  # type: ignore[override]
        """Return what it takes the fruit on its counter for."""
        assert self.cart.sights is not None
        return self.cart.sights.recognise([fruit(77)[55:185, 95:225]]).best(1)[0][0]


class School:
    """Two carts and their store, with the air between them."""

    def __init__(self, loop: VirtualTimeLoop, folder: Path) -> None:
        self.air = Air(Random("air"), Weather())
        self.first, self.second = (Seeing(loop, folder / name, self.air, name) for name in ("c1", "c2"))
        self._database = f"sqlite:///{folder / 'store.db'}"
        self._mint = IdMint(self.first.clock, SeededDice("store"))

    async def open(self) -> None:
        self._journal = SqlJournal(self._database)
        self._station = self.air.station(subscriptions_of_store(STORE))
        self.agent = Agent(
            store=STORE, name="Corner shop", journal=self._journal, link=MqttCartLink(self._station, STORE),
            acquirer=Bank(), book=BOOK, clock=self.first.clock, new_id=self._mint.uuid, sign=KEY.sign,
            verify=Verifier(KEY.public_key()).verify,
        )  # fmt: skip
        self._serving = asyncio.create_task(self.agent.run())
        await asyncio.sleep(1)

    async def kill_store(self) -> None:
        self._serving.cancel()
        with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
            await self._serving
        self._station.vanish()
        self._journal.close()

    def lesson(self) -> LessonCard:
        """The newest on the console."""
        return self.agent.counter.sight.view().lessons[0]

    async def begin(self, shots: int = 4) -> None:
        await self.agent.counter.sight.teach(self.first.name, FIG, shots, MINA)
        await asyncio.sleep(8)

    async def show(self, turns: range) -> None:
        """Put the fruit down and turn it, each time until the console says that it was seen."""
        for turn in turns:
            self.first.camera.paint(fruit(turn))
            await asyncio.sleep(3)

    async def until(self, holds: Callable[[], bool], patience_s: float = 200) -> None:
        for _ in range(round(2 * patience_s)):
            if holds():
                return
            await asyncio.sleep(0.5)
        pytest.fail("it did not come about")

    async def learned(self) -> LessonId:
        await self.until(lambda: self.lesson().stage == "taken")
        return self.lesson().lesson

    async def taught(self) -> None:
        """All of it, as on a good day."""
        await self.begin()
        await self.show(range(4))
        await self.agent.counter.sight.use(await self.learned(), MINA)
        await self.until(lambda: all(cart.version == 1 for cart in self.agent.counter.sight.view().carts))


def tell(folder: Path, story: Callable[[School], Awaitable[None]]) -> None:
    async def told(loop: VirtualTimeLoop) -> None:
        school = School(loop, folder)
        await school.open()
        for cart in (school.first, school.second):
            await cart.start()
        await story(school)
        for cart in (school.first, school.second):
            await cart.stop()
        await school.kill_store()

    on_virtual_time(told)


def test_a_product_shown_on_the_console_is_recognised_by_the_next_cart_while_somebody_shops(tmp_path: Path) -> None:
    async def story(school: School) -> None:
        second = school.second
        assert second.names() != FIG
        await school.agent.counter.bind(MIA, f"c2-{second.cart.fuse.basket.code}")
        await second.buy(MILK, 1_033)
        await school.taught()
        assert second.cart.fuse.basket.phase is Phase.SHOPPING, "her trip goes on"
        assert second.names() == FIG
        assert len(second.cart.fuse.basket.lines) == 1

    tell(tmp_path, story)


def test_bad_air_changes_nothing_but_the_time(tmp_path: Path) -> None:
    async def story(school: School) -> None:
        school.air.weather = BAD
        await school.taught()
        assert min(school.air.lost, school.air.repeated, school.air.late) > 0
        assert school.second.names() == FIG
        assert school.agent.counter.sight.view().version == 1

    tell(tmp_path, story)


def test_a_cart_that_was_off_has_it_when_it_comes_back_and_keeps_it_without_a_store(tmp_path: Path) -> None:
    async def story(school: School) -> None:
        await school.second.kill_cart()
        await school.taught()
        await school.second.start()
        await school.until(lambda: school.second.names() == FIG)
        await school.second.kill_cart()
        await school.kill_store()
        school.air.stop_broker(remembers=False)
        await school.second.start()
        assert school.second.names() == FIG
        school.air.start_broker()
        await school.open()

    tell(tmp_path, story)


@pytest.mark.parametrize("whom", ["cart", "store", "both"])
def test_kill_9_between_the_steps_loses_nothing_that_was_accepted(tmp_path: Path, whom: str) -> None:
    async def story(school: School) -> None:
        async def strike() -> None:
            if whom in ("store", "both"):
                await school.kill_store()
            if whom in ("cart", "both"):
                await school.first.kill_cart()
                school.first.camera.paint(table())
                await school.first.start()
            if whom in ("store", "both"):
                await school.open()
            await asyncio.sleep(6)

        await school.begin()
        await school.show(range(2))
        await strike()
        await school.show(range(10, 15))
        name = await school.learned()
        await strike()
        assert (school.lesson().lesson, school.lesson().stage) == (name, "taken")
        await school.agent.counter.sight.use(name, MINA)
        await strike()
        assert school.agent.counter.sight.view().version == 1
        await school.until(lambda: school.first.names() == school.second.names() == FIG)

    tell(tmp_path, story)


def test_going_back_takes_it_from_every_cart(tmp_path: Path) -> None:
    async def story(school: School) -> None:
        await school.taught()
        await school.agent.counter.sight.roll_back(0, MINA)
        await school.until(lambda: all(cart.version == 2 for cart in school.agent.counter.sight.view().carts))
        assert FIG not in (school.first.names(), school.second.names())
        await school.agent.counter.sight.roll_back(1, MINA)
        await school.until(lambda: school.second.names() == FIG)

    tell(tmp_path, story)


def test_what_looks_like_something_taught_before_needs_a_tap_on_every_cart(tmp_path: Path) -> None:
    async def story(school: School) -> None:
        await school.taught()
        school.first.camera.paint(table())
        await school.agent.counter.sight.teach(school.first.name, BOOK.products[1].id, 4, MINA)
        await asyncio.sleep(8)
        await school.show(range(40, 44))  # the same kind of fruit under another name
        name = await school.learned()
        assert school.lesson().verdict == "tap"
        assert BOOK.products[4].name in school.lesson().alike
        await school.agent.counter.sight.use(name, MINA)
        await school.until(lambda: school.agent.counter.sight.view().carts[1].version == 2)
        sights, prices = school.second.cart.sights, school.second.cart.fuse.prices
        assert sights is not None
        assert prices is not None
        assert sights.look_alikes(FIG, prices) == {BOOK.products[1].id}, "it is asked both ways"

    tell(tmp_path, story)


def test_a_forged_issue_on_the_air_is_refused_by_every_cart(tmp_path: Path) -> None:
    async def story(school: School) -> None:
        await school.taught()
        station = school.air.station(())
        forged = SightIssue(version=9, goods='{"version": 9, "taught": [], "out_of_season": []}', signature="AAAA")
        MqttCartLink(station, STORE).send(forged)
        await asyncio.sleep(5)
        for cart in (school.first, school.second):
            assert cart.cart.status().sight_version == 1
            assert cart.cart.status().sights_refused == 1
            assert cart.names() == FIG

    tell(tmp_path, story)
