"""A whole cart on a virtual clock, through kills, cuts and a full outbox: nothing accepted is lost, nothing twice."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cart_firmware.ports import FrameError, SilentError
from cart_protocol.basket import (
    BasketFrozen,
    CommandRefused,
    Fault,
    LineAdded,
    Phase,
    ScanRefused,
    SessionBegan,
    WeightUnexplained,
)
from cart_protocol.gs1.gtin import gtin_of
from cart_protocol.ids import ProductId
from cart_protocol.mass import Mass, Variance, grams
from cart_protocol.messages import BeginSession, EndSession, Freeze
from cart_protocol.pricing.learned_mass import LearnedMass, LearnedMasses
from cart_protocol.pricing.price_book import Recall
from sim.virtual_time import VirtualTimeLoop
from tests.cart_firmware.cart_rig import Rig, issue, on_virtual_time
from tests.cart_firmware.corner_shop import BOOK, JAM, MILK, PASTA, SESSION, TEA
from tests.small_disk import small_disk


def play(
    story: Callable[[Rig], Awaitable[None]], folder: Path, *, capacity: int = 1_000, disk_reserve: int = 0
) -> None:
    """Tell a story on a rig; whatever happens, the mirror in the store ends as the cart's own basket."""

    async def told(loop: VirtualTimeLoop) -> None:
        state = folder / "state"
        state.mkdir()
        rig = Rig(loop, state, capacity, disk_reserve)
        await story(rig)
        if not rig.wire.up:
            rig.wire.plug_in()
        await asyncio.sleep(35)  # longer than the longest wait for an answer
        assert rig.store.basket == rig.cart.fuse.basket
        assert [recorded.seq for recorded in rig.store.events] == list(range(1, len(rig.store.events) + 1))
        await rig.stop()

    on_virtual_time(told)


def test_a_trip_from_the_code_to_the_order(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        view = rig.cart.show_case.view()
        assert view.code_url == f"https://shop.example/phone?code=c1-{view.code}"
        assert not view.offline
        await rig.begin()
        await rig.buy(MILK, 1_033)
        await rig.buy(PASTA, 505)
        view = rig.cart.show_case.view()
        assert [(line.name, str(line.total)) for line in view.lines] == [("Milk", "€1.29"), ("Pasta", "€0.99")]
        assert str(view.total) == "€2.28"
        rig.store.order("freeze", Freeze(session=SESSION))
        await asyncio.sleep(1)
        (frozen,) = rig.store.of(BasketFrozen)
        assert abs(frozen.settled - grams(1_538)) <= grams(3)

    play(trip, tmp_path)


def test_the_evidence_is_dated_by_the_reading_that_completed_it(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        await rig.scan(MILK)
        put_us = rig.clock.monotonic_us()
        await rig.put(1_032)
        (added,) = [recorded for recorded in rig.store.events if isinstance(recorded.event, LineAdded)]
        assert put_us < added.at.monotonic_us <= put_us + 700_000
        assert rig.cart.show_case.view().observed_us == added.at.monotonic_us

    play(trip, tmp_path)


def test_a_cart_killed_in_the_middle_of_a_trip_has_its_basket_and_its_prices_again(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        await rig.buy(MILK, 1_032)
        await rig.scan(JAM)
        await rig.kill()
        await rig.start(online=False)
        assert rig.names == ["Milk"]
        assert [waiting.name for waiting in rig.cart.fuse.basket.pending.values()] == ["Jam"]
        await rig.put(641)
        assert rig.names == ["Milk", "Jam"]
        assert rig.cart.show_case.view().offline
        rig.wire.plug_in()
        await asyncio.sleep(2)
        assert [line.name for line in rig.store.of(LineAdded)] == ["Milk", "Jam"]
        assert len(rig.store.of(SessionBegan)) == 1

    play(trip, tmp_path)


def test_what_was_put_in_while_the_cart_was_dead_is_found_on_the_scale(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        await rig.buy(MILK, 1_032)
        await rig.kill()
        rig.platform.grams += 640
        await rig.start()
        await asyncio.sleep(4)
        (asked,) = rig.store.of(WeightUnexplained)
        assert abs(asked.step - grams(640)) <= grams(3)
        await rig.scan(JAM)
        await asyncio.sleep(1)
        assert rig.names == ["Milk", "Jam"]

    play(trip, tmp_path)


def test_a_step_that_was_not_decided_when_the_cart_died_is_decided_after(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        await rig.put(506)  # held: nobody scanned it yet
        await rig.kill()
        await rig.start()
        await rig.scan(PASTA)
        await asyncio.sleep(1)
        assert rig.names == ["Pasta"]
        assert rig.store.of(WeightUnexplained) == []

    play(trip, tmp_path)


@pytest.mark.parametrize("moment_ms", range(0, 2_600, 200))
def test_killed_at_any_moment_of_a_purchase_nothing_is_lost_and_nothing_is_twice(
    tmp_path: Path, moment_ms: int
) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        buying = asyncio.create_task(rig.buy(TEA, 112))
        await asyncio.sleep(moment_ms / 1_000)
        await rig.kill()
        await rig.start()
        await buying
        await asyncio.sleep(4)
        if not rig.names:  # killed before the scan counted: the weight is asked about, a scan settles it
            await rig.scan(TEA)
            await asyncio.sleep(1)
        assert rig.names == ["Tea"]
        assert not rig.cart.fuse.basket.unexplained
        assert len(rig.store.of(LineAdded)) == 1

    play(trip, tmp_path)


def test_a_command_that_comes_again_after_a_kill_is_carried_out_once(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        code = rig.cart.fuse.basket.code
        await rig.begin()
        await rig.kill()
        await rig.start()
        rig.store.order("begin", BeginSession(session=SESSION, code=code))
        await asyncio.sleep(1)
        assert len(rig.store.of(SessionBegan)) == 1
        assert rig.store.of(CommandRefused) == []

    play(trip, tmp_path)


def test_an_expired_command_does_nothing(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        rig.store.order("late", BeginSession(session=SESSION, code=rig.cart.fuse.basket.code), life_ms=-1)
        await asyncio.sleep(1)
        assert [refused.reason for refused in rig.store.of(CommandRefused)] == ["expired"]
        assert rig.cart.fuse.basket.phase is Phase.IDLE

    play(trip, tmp_path)


def test_an_order_asked_for_while_a_product_still_swings_is_made_when_it_rests(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        await rig.scan(MILK)
        rig.platform.grams += 1_032
        await asyncio.sleep(0.1)
        await rig.put(-1_032)
        rig.platform.grams += 1_032
        await asyncio.sleep(0.8)
        for _ in range(10):
            rig.platform.grams += 60
            await asyncio.sleep(0.1)
            rig.platform.grams -= 60
            await asyncio.sleep(0.1)
            if _ == 1:
                rig.store.order("freeze", Freeze(session=SESSION))
        assert rig.store.of(BasketFrozen) == []
        await asyncio.sleep(1)
        assert len(rig.store.of(BasketFrozen)) == 1

    play(trip, tmp_path)


def test_offline_the_cart_goes_on_and_the_store_learns_all_of_it_later(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        rig.wire.cut()
        await rig.buy(MILK, 1_032)
        await rig.buy(TEA, 112)
        await asyncio.sleep(3)
        view = rig.cart.show_case.view()
        assert view.offline
        assert str(view.total) == "€3.48"
        assert rig.store.of(LineAdded) == []
        rig.wire.plug_in()
        await asyncio.sleep(2)
        assert [line.name for line in rig.store.of(LineAdded)] == ["Milk", "Tea"]
        assert not rig.cart.show_case.view().offline

    play(trip, tmp_path)


def test_a_full_outbox_refuses_scans_loses_nothing_and_recovers(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        rig.wire.cut()
        for code, mass in ((MILK, 1_032), (TEA, 112), (JAM, 640)):
            await rig.buy(code, mass)
        bought = rig.names
        assert bought == ["Milk", "Tea"]
        assert Fault.OUTBOX_FULL in rig.cart.fuse.basket.faults
        assert "cannot take more products" in rig.sentence
        rig.wire.plug_in()
        await asyncio.sleep(5)
        assert Fault.OUTBOX_FULL not in rig.cart.fuse.basket.faults
        (asked,) = rig.store.of(WeightUnexplained)  # the jam's weight was not forgotten
        assert abs(asked.step - grams(640)) <= grams(3)
        await rig.scan(JAM)
        await asyncio.sleep(1)
        assert rig.names == [*bought, "Jam"]

    play(trip, tmp_path, capacity=6)


def test_a_session_can_end_though_the_outbox_is_full(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        rig.wire.cut()
        await rig.buy(MILK, 1_032)
        await rig.buy(TEA, 112)
        rig.wire.up = True  # one message comes through, and no acknowledgement goes back
        rig.store.order("end", EndSession(session=SESSION, reason="handed-back"))
        rig.wire.up = False
        await asyncio.sleep(1)
        assert rig.cart.fuse.basket.phase is Phase.IDLE

    play(trip, tmp_path, capacity=5)


def test_what_is_taken_out_of_a_cart_with_a_full_outbox_leaves_the_bill(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        rig.wire.cut()
        await rig.buy(MILK, 1_032)
        await rig.buy(TEA, 112)
        await rig.scan(JAM)
        assert Fault.OUTBOX_FULL in rig.cart.fuse.basket.faults
        await rig.put(-112)
        await asyncio.sleep(1)
        assert rig.names == ["Milk"]
        assert str(rig.cart.show_case.view().total) == "€1.29"

    play(trip, tmp_path, capacity=6)


def test_staff_hear_of_an_outbox_that_fills_up_while_the_store_does_not_answer(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        assert rig.store.low_on == [()]
        rig.store.deaf = True
        for code, mass in ((MILK, 1_032), (TEA, 112), (JAM, 640)):
            await rig.buy(code, mass)
        assert rig.names == ["Milk", "Tea", "Jam"]
        assert rig.store.low_on[-1] == ("outbox",)
        rig.store.deaf = False
        await asyncio.sleep(35)
        assert rig.store.low_on[-1] == ()

    play(trip, tmp_path, capacity=10)


def test_a_cart_whose_disk_is_full_takes_no_scans_still_ends_sessions_and_recovers_by_itself(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:

        async def trip(rig: Rig) -> None:
            await rig.start()
            assert rig.store.low_on == [("disk",)]
            await rig.begin()
            await rig.buy(MILK, 1_032)
            disk.fill()
            for _ in range(400):  # SQLite first uses up what room its log still has
                await rig.scan(TEA)
                await asyncio.sleep(21)  # abandoned: room for the next scan
                if Fault.OUTBOX_FULL in rig.cart.fuse.basket.faults:
                    break
            assert "its memory is full" in rig.sentence
            assert rig.names == ["Milk"]
            rig.store.order("end", EndSession(session=SESSION, reason="handed-back"))
            await asyncio.sleep(1)
            assert rig.store.basket.phase is Phase.IDLE, "told out of the reserve"
            assert Fault.OUTBOX_FULL in rig.store.basket.faults
            disk.empty()
            await asyncio.sleep(3)
            assert rig.store.basket.faults == ()
            assert rig.cart.show_case.view().code

        play(trip, disk.folder, disk_reserve=1 << 20)


def test_an_unplugged_load_cell_is_a_fault_on_screen_and_in_store_and_heals(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        rig.platform.error = SilentError("no conversion in 125 ms")
        await asyncio.sleep(3)
        assert rig.store.basket.faults == (Fault.LOAD_CELL_SILENT,)
        assert rig.cart.show_case.view().code == ""
        rig.platform.error = None
        await asyncio.sleep(2)
        assert rig.store.basket.faults == ()
        assert rig.cart.show_case.view().code == rig.cart.fuse.basket.code != ""

    play(trip, tmp_path)


def test_a_garbled_reading_and_a_garbled_frame_are_counted_and_survived(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        rig.platform.error = FrameError("27th bit low")
        rig.camera.garbled = True
        rig.wire.garble()
        await asyncio.sleep(0.1)
        rig.platform.error, rig.camera.garbled = None, False
        await rig.buy(MILK, 1_032)
        assert rig.names == ["Milk"]
        assert rig.cart.scale.failures["FrameError"] > 0
        assert rig.cart.eye.frames_failed > 0
        assert rig.cart.sync.unreadable == 1

    play(trip, tmp_path)


def test_an_unknown_code_is_said_and_reported(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        await rig.scan("4006381333931")
        assert [refused.reason for refused in rig.store.of(ScanRefused)] == ["unknown-product"]
        assert "We do not know the code 4006381333931" in rig.sentence

    play(trip, tmp_path)


def test_a_recall_that_comes_with_the_price_book_holds_at_once_and_after_a_kill(tmp_path: Path) -> None:
    recalled = Recall(product=ProductId(gtin_of(MILK)), reason="glass", lots=("L7",))

    async def trip(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        await rig.buy(MILK, 1_032)
        rig.store.say(issue(msgspec.structs.replace(BOOK, version=4, recalls=(recalled,))))
        await asyncio.sleep(1)
        await rig.kill()
        await rig.start(online=False)
        await rig.scan(MILK)  # its bar code does not say of which lot it is
        assert rig.sentence == "Please hand this to a member of staff: Milk has been recalled and is not sold."
        assert rig.cart.status().codes_refused == {"recalled": 1}
        await rig.put(1_032)
        await asyncio.sleep(4)
        assert rig.names == ["Milk"], "the second pack is not added by its weight"
        assert len(rig.cart.fuse.basket.unexplained) == 1

    play(trip, tmp_path)


def test_a_link_on_a_pack_names_its_product_and_its_date(tmp_path: Path) -> None:
    link = f"https://example.com/01/{gtin_of(MILK)}/10/L7"

    async def trip(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        await rig.buy(f"{link}?17=300101", 1_032)
        assert rig.names == ["Milk"]
        await rig.scan(f"{link}?17=200101")
        assert rig.sentence == "Please hand this to a member of staff: Milk is past its use-by date and is not sold."
        (refused,) = rig.store.of(ScanRefused)
        assert (refused.reason, refused.name) == ("expired", "Milk")

    play(trip, tmp_path)


def test_price_books_are_taken_only_signed_and_newer(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.start(book=False)
        assert rig.cart.fuse.basket.faults == (Fault.NO_PRICE_BOOK,)
        stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
        rig.store.say(issue(BOOK, key=stranger))
        await asyncio.sleep(1)
        assert rig.cart.show_case.view().book_version == 0
        rig.store.say(issue(BOOK))
        await asyncio.sleep(1)
        assert rig.cart.show_case.view().book_version == 3
        rig.store.say(issue(msgspec.structs.replace(BOOK, version=2)))
        rig.store.say(msgspec.structs.replace(issue(BOOK), version=9))
        rig.store.say(msgspec.structs.replace(issue(BOOK), version=9, signature="no base64!"))
        await asyncio.sleep(1)
        assert rig.cart.show_case.view().book_version == 3
        assert rig.cart.fuse.refused_books == 4
        rig.store.say(issue(msgspec.structs.replace(BOOK, version=4)))
        await asyncio.sleep(1)
        await rig.kill()
        await rig.start(online=False)
        assert rig.cart.show_case.view().book_version == 4

    play(trip, tmp_path)


def test_learned_masses_come_with_the_book_signed_and_newer_and_outlast_a_kill(tmp_path: Path) -> None:
    tea = ProductId(gtin_of(TEA))

    def learned(grams_of_tea: float, number: int) -> LearnedMasses:
        mass = LearnedMass(product=tea, mass=grams(grams_of_tea), variance=Variance(4_000_000), weighings=number)
        return LearnedMasses(issue=number, masses=(mass,))

    async def trip(rig: Rig) -> None:
        await rig.start()

        def weighs() -> Mass:
            prices = rig.cart.fuse.prices
            assert prices is not None
            return prices[tea].mass

        rig.store.say(issue(BOOK, learned=learned(115, 30)))
        await asyncio.sleep(1)
        assert weighs() == grams(115)
        forged = msgspec.structs.replace(issue(BOOK, learned=learned(900, 99)), learned_signature="AAAA")
        rig.store.say(forged)
        rig.store.say(issue(BOOK, learned=learned(90, 29)))
        rig.store.say(issue(BOOK))
        await asyncio.sleep(1)
        assert weighs() == grams(115)
        await rig.kill()
        await rig.start(online=False)
        assert weighs() == grams(115)

    play(trip, tmp_path)
