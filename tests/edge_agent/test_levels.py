"""What fills up in a store: an alarm before the limit, a defined behaviour at it, and nothing lost beyond it."""

import gc
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import structlog

from cart_protocol.ids import CartId, IncidentId, SessionId, ShopperId, StaffId
from edge_agent.config import Limits
from edge_agent.core import level
from edge_agent.core.events import Fact, IncidentRaised
from edge_agent.core.incident import ITSELF
from edge_agent.core.level import Gauge, Level
from edge_agent.core.refusals import BindRefusedError, NoRoomError
from edge_agent.core.shop import Shop
from edge_agent.ports import JournalFullError
from edge_agent.services import levels
from edge_agent.services.record import FULL_AGAIN_S
from edge_agent.store.journal import SqlJournal
from edge_agent.store.room import JournalRoom
from edge_agent.store.status import read_status
from tests.edge_agent.shop_floor import ALICE, BOB, MILK, ShopFloor, play
from tests.small_disk import SmallDisk, small_disk

MB = 1_000_000
TANK = Gauge(name="tank", unit="l", warn=80, limit=100, warning="Filling.", limited="Full.")
WELL = Gauge(name="well", unit="l", warn=20, limit=10, warning="Sinking.", limited="Dry.", falling=True)


def read(gauge: Gauge, *values: float | None) -> list[str]:
    """Return the tides of readings one after the other."""
    now, tides = Level(gauge=gauge), []
    for value in values:
        now = level.read(now, value)
        tides.append(now.tide.value)
    return tides


def test_a_level_rises_at_once_and_falls_when_it_is_well_back() -> None:
    assert read(TANK, 79, 81, 79, 73, 71, 81) == ["good", "warning", "warning", "warning", "good", "warning"]
    assert read(TANK, 101, 95, 89, 71) == ["limit", "limit", "warning", "good"]
    assert read(WELL, 21, 19, 21, 23) == ["good", "warning", "warning", "good"]
    assert read(WELL, 9, 10.5, 12, 23) == ["limit", "limit", "warning", "good"]


def test_a_level_that_cannot_be_read_is_no_alarm() -> None:
    assert read(TANK, 101, None) == ["limit", "good"]
    assert level.cards([Level(gauge=TANK)]) == ()


def alarms(floor: ShopFloor) -> list[tuple[str, str]]:
    """Return (cause, who resolved it) of all alarms, oldest first."""
    found = floor.agent.recorder.shop.incidents.by_id.values()
    return [(incident.raised.cause, incident.resolved_by) for incident in found]


def with_tank(story: Callable[[ShopFloor, list[float]], Awaitable[None]]) -> Callable[[ShopFloor], Awaitable[None]]:
    """A shop with one more gauge, which reads the last of the list."""

    async def told(floor: ShopFloor) -> None:
        water = [0.0]
        floor.agent.levels.watch(TANK, lambda: water[-1])
        await story(floor, water)

    return told


async def look(floor: ShopFloor) -> None:
    await floor.quiet(levels.LOOK_S + 0.1)


def test_an_alarm_is_raised_once_replaced_by_a_worse_one_and_ends_by_itself(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, water: list[float]) -> None:
        water.append(90)
        await look(floor)
        await look(floor)
        assert alarms(floor) == [("tank", "")]
        water.append(110)
        await look(floor)
        assert alarms(floor) == [("tank", ITSELF), ("tank", "")]
        assert floor.agent.counter.console().incidents[0].sentence == "Full."
        water.append(10)
        await look(floor)
        assert alarms(floor) == [("tank", ITSELF), ("tank", ITSELF)]

    play(tmp_path, with_tank(story))


def test_an_alarm_that_staff_closed_stays_closed_until_the_level_rises_again(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, water: list[float]) -> None:
        water.append(90)
        await look(floor)
        (card,) = floor.agent.counter.console().incidents
        await floor.agent.counter.resolve(card.incident, StaffId("eve"))
        await look(floor)
        assert alarms(floor) == [("tank", "eve")]
        water.append(110)
        await look(floor)
        assert alarms(floor) == [("tank", "eve"), ("tank", "")]

    play(tmp_path, with_tank(story))


def test_a_restart_neither_repeats_an_alarm_nor_forgets_it(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, water: list[float]) -> None:
        water.append(110)
        await look(floor)
        await floor.restart()
        floor.agent.levels.watch(TANK, lambda: water[-1])
        await look(floor)
        assert alarms(floor) == [("tank", "")]
        water.append(1)
        await look(floor)
        assert alarms(floor) == [("tank", ITSELF)]

    play(tmp_path, with_tank(story))


def test_the_highest_level_comes_first_on_the_console(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, water: list[float]) -> None:
        water.append(110)
        await look(floor)
        first = floor.agent.counter.console().levels[0]
        assert (first.name, first.tide, first.value, first.sentence) == ("tank", "limit", "110", "Full.")
        assert first.thresholds == "alarm above 80, limit 100 l"

    play(tmp_path, with_tank(story))


def test_carts_that_never_report_are_not_listened_to_beyond_a_number(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        known = await floor.bound("c1")
        for number in range(20):
            await floor.cart(f"stranger-{number}", offer=False)
        assert floor.agent.ingest.never_reported == 5
        assert floor.agent.ingest.strangers.not_heard > 0
        assert len(floor.agent.presence.online) <= 1 + 5
        await look(floor)
        assert ("carts-that-never-reported", "") in alarms(floor)
        known.put_in(MILK)
        await floor.quiet()
        assert len(floor.agent.recorder.shop.carts[CartId("c1")].basket.lines) == 1

    play(tmp_path, story, limits=Limits(strangers=5))


def test_an_order_that_left_a_day_ago_keeps_its_head_only_and_its_code_opens_nothing(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.paid("c1", ALICE)
        shop = floor.agent.recorder.shop
        (order,) = shop.orders.by_id.values()
        await floor.leave(ALICE)
        await floor.quiet(25 * 3_600)
        assert order.placed.lines
        await floor.agent.counter.bind(BOB, cart.code)
        cart.put_in(MILK)
        await floor.quiet()
        await floor.agent.counter.freeze(BOB)
        await floor.agent.counter.pay(BOB, "card", "k2")
        await floor.leave(BOB)
        for kept in (shop, await restarted(floor)):
            old, new = kept.orders.by_id.values()
            assert (old.placed.lines, len(new.placed.lines)) == ((), 1)
            assert kept.tokens.of_order(old.id).burned_at
            assert kept.tenders.is_paid(old.id, old.placed.total)

    play(tmp_path, story)


def test_a_trip_of_long_ago_costs_little_memory(tmp_path: Path) -> None:
    trips = 20

    async def shopping(floor: ShopFloor, first: int, count: int) -> None:
        cart = floor.wire.carts.get(CartId("c1")) or await floor.cart("c1")
        for number in range(first, first + count):
            shopper = ShopperId(f"shopper-{number:024}")
            await floor.agent.counter.bind(shopper, cart.code)
            for _ in range(20):
                cart.put_in(MILK)
            await floor.quiet()
            await floor.agent.counter.freeze(shopper)
            await floor.agent.counter.pay(shopper, "card", f"key-{number}")
            await floor.leave(shopper)
            await floor.quiet(1)

    async def story(floor: ShopFloor) -> None:
        await shopping(floor, 0, 1)
        nothing = cost_of(floor)
        await shopping(floor, 1, trips)
        on_the_day = (cost_of(floor) - nothing) / trips
        await floor.quiet(25 * 3_600)
        await shopping(floor, trips + 1, 1)
        long_ago = (cost_of(floor) - nothing - on_the_day) / trips
        structlog.get_logger().info("bytes-per-finished-trip", on_its_day=round(on_the_day), afterwards=round(long_ago))
        assert long_ago < on_the_day / 3

    play(tmp_path, story)


def cost_of(floor: ShopFloor) -> int:
    """Return the bytes that the shop's whole state takes."""
    tracemalloc.start()
    assert floor._journal is not None
    shop = Shop()
    for fact in floor._journal.replay():
        shop.evolve(fact)
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert shop.counts.exits
    return size


async def restarted(floor: ShopFloor) -> Shop:
    await floor.restart()
    return floor.agent.recorder.shop


# ── a disk that is full ──────────────────────────────────────────────────────────────────────────────────────────

SMALL = Limits(disk_warn_mb=10, disk_floor_mb=6, disk_reserve_mb=2)


def test_a_journal_without_room_says_so_and_takes_the_same_append_later(tmp_path: Path) -> None:
    with SqlJournal(f"sqlite:///{tmp_path / 'store.db'}") as journal:
        ((pages,),) = journal._writer.read("PRAGMA page_count")
        journal._writer.read(f"PRAGMA max_page_count = {pages}")
        large = IncidentRaised(incident=IncidentId("i"), key="k", where="here", cause="test", sentence="x" * 100_000)
        with pytest.raises(JournalFullError, match="make room on its disk"):
            journal.append([Fact(1, large)], {})
        assert list(journal.replay()) == []
        journal._writer.read(f"PRAGMA max_page_count = {pages + 1_000}")
        journal.append([Fact(1, large)], {})
        assert [fact.event for fact in journal.replay()] == [large]


def test_an_agent_can_start_on_a_disk_that_is_full_to_the_last_byte(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        address = f"sqlite:///{disk.folder / 'store.db'}"
        SqlJournal(address).close()
        room = JournalRoom(address, 2 * MB)
        assert room.lay_by()
        disk.fill()
        room.prepare()
        with SqlJournal(address) as journal:
            raised = IncidentRaised(incident=IncidentId("i"), key="k", where="here", cause="test", sentence="Look.")
            journal.append([Fact(1, raised)], {})
            assert not room.lay_by(), "there is no room for it"
        found = read_status(address)
        assert found.disk_free_mb is not None
        assert found.disk_free_mb < 3


def on_small_disk(tmp_path: Path, story: Callable[[ShopFloor, SmallDisk], Awaitable[None]]) -> None:
    """Tell a story in a shop whose journal has a disk of 20 MB."""
    with small_disk(tmp_path / "disk", 20) as disk:
        room = JournalRoom(f"sqlite:///{disk.folder / 'store.db'}", 2 * MB)

        async def told(floor: ShopFloor) -> None:
            await look(floor)
            await story(floor, disk)

        play(disk.folder, told, room=room, limits=SMALL)


def sentences(floor: ShopFloor) -> list[str]:
    return [card.sentence for card in floor.agent.counter.console().incidents if not card.resolved_by]


def test_a_disk_that_fills_up_is_an_alarm_and_then_closes_the_door_for_new_shoppers_only(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, disk: SmallDisk) -> None:
        await floor.frozen("c1", ALICE)
        cart = await floor.cart("c2")
        disk.fill(leave=9 * MB)
        await look(floor)
        assert "is filling up" in sentences(floor)[0]
        disk.fill(leave=5 * MB)
        await look(floor)
        assert "no new shopper can start" in sentences(floor)[0]
        with pytest.raises(BindRefusedError, match="cannot take new shoppers"):
            await floor.agent.counter.bind(BOB, cart.code)
        await floor.agent.counter.pay(ALICE, "card", "k")
        await floor.leave(ALICE)
        disk.empty()
        await look(floor)
        assert sentences(floor) == []
        await floor.agent.counter.bind(BOB, cart.code)

    on_small_disk(tmp_path, story)


def test_running_trips_are_finished_and_paid_out_of_the_reserve(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, disk: SmallDisk) -> None:
        await floor.frozen("c1", ALICE)
        assert (disk.folder / "store.db.reserve").exists()
        disk.fill()
        await shop_until(floor, lambda: not (disk.folder / "store.db.reserve").exists())
        assert not floor.agent.recorder.full
        await floor.agent.counter.pay(ALICE, "card", "k")
        await floor.leave(ALICE)
        assert floor.agent.recorder.shop.counts.exits == 1
        disk.empty()
        await look(floor)
        assert (disk.folder / "store.db.reserve").exists(), "laid by again"

    on_small_disk(tmp_path, story)


def test_with_nothing_left_the_agent_stays_up_acknowledges_nothing_and_loses_nothing(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, disk: SmallDisk) -> None:
        cart = await floor.frozen("c1", ALICE)
        agent = floor.agent
        disk.fill()
        await shop_until(floor, lambda: agent.recorder.full, disk)
        busy = floor.wire.carts[CartId("busy")]
        await look(floor)
        standing, first = busy.acknowledged, agent.counter.console().levels[0]
        assert standing < len(busy.outbox)
        assert (first.name, first.tide) == ("journal-full", "limit")
        with pytest.raises(NoRoomError, match="cannot record anything right now"):
            await agent.counter.pay(ALICE, "card", "k")
        with pytest.raises(BindRefusedError):
            await agent.counter.bind(BOB, cart.code)
        for _ in range(400):
            busy.put_in(MILK)
        await floor.quiet(60)
        accepted = agent.ingest._exchanges[CartId("busy")].accepted.seq
        assert accepted - standing <= 2 * 256, "what piles up in memory is bounded by the exchange's window"
        assert busy.acknowledged == standing, "nothing is acknowledged that is not on the disk"
        assert floor.bank.charges == []
        disk.empty()
        await floor.quiet(FULL_AGAIN_S + 60)
        assert not agent.recorder.full
        assert busy.acknowledged == len(busy.outbox)
        await agent.counter.pay(ALICE, "card", "k")
        await look(floor)
        assert [kept for kept in alarms(floor) if kept[1] != ITSELF] == []
        await floor.restart()
        shop = floor.agent.recorder.shop
        assert shop.carts[CartId("busy")].basket == busy.basket
        assert shop.counts.orders_paid == 1

    on_small_disk(tmp_path, story)


def test_a_wish_that_waits_when_the_room_ends_is_told_so_and_may_be_repeated(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, disk: SmallDisk) -> None:
        await floor.frozen("c1", ALICE)
        (disk.folder / "store.db.reserve").unlink()
        disk.fill()
        counter = floor.agent.counter
        refused = 0
        for number in range(4_000):
            try:
                await counter.thaw(ALICE) if number % 2 else await counter.freeze(ALICE)
            except NoRoomError:
                refused += 1
                break
        assert refused == 1
        disk.empty()
        await floor.quiet(60)
        if floor.agent.recorder.shop.orders.of_session(session_of(floor)) is None:
            await counter.freeze(ALICE)
        await counter.pay(ALICE, "card", "k")
        assert len(floor.bank.charges) == 1

    on_small_disk(tmp_path, story)


def session_of(floor: ShopFloor) -> SessionId:
    return floor.agent.recorder.shop.bindings.latest_of[ALICE].session


async def shop_until(floor: ShopFloor, done: Callable[[], bool], disk: SmallDisk | None = None) -> None:
    """Have a cart report until it is so; SQLite first uses what room its log still has."""
    busy = floor.wire.carts.get(CartId("busy")) or await floor.cart("busy")
    for _ in range(6_000):
        if done():
            return
        if disk is not None:
            disk.fill()
        for _ in range(5):
            busy.put_in(MILK)
        await floor.quiet()
    raise AssertionError("the disk did not get full")
