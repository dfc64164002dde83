"""A whole cart on a virtual clock whose screen is touched: the tiles it shows, and what of it outlasts a kill."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from cart_firmware.core.touch import Choose, Container, Help, Quantity, Remove
from cart_protocol.basket import AttentionChanged, ContainerAdded, LineAdded
from cart_protocol.mass import grams
from sim.virtual_time import VirtualTimeLoop
from tests.cart_firmware.cart_rig import Rig, on_virtual_time
from tests.cart_firmware.corner_shop import MILK, PASTA, TEA


def play(trip: Callable[[Rig], Awaitable[None]], folder: Path) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        rig = Rig(loop, folder)
        await rig.start()
        await rig.begin()
        await trip(rig)
        await rig.stop()

    on_virtual_time(story)


def test_the_screen_asks_with_a_tile_and_charges_what_is_tapped(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.scan(TEA)
        await rig.put(2 * 112)
        await asyncio.sleep(4)
        view = rig.cart.show_case.view()
        assert view.prompt.kind == "which"
        (tile,) = view.tiles
        assert tile.what == "2 \N{MULTIPLICATION SIGN} Tea"
        rig.cart.fuse.touch(Choose(key=tile.key))
        await asyncio.sleep(1)
        assert rig.names == ["Tea", "Tea"]
        assert rig.cart.show_case.view().tiles == ()
        assert len(rig.store.of(LineAdded)) == 2

    play(trip, tmp_path)


def test_the_screen_shows_how_many_and_what_is_about_to_leave(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        await rig.scan(PASTA)
        (scan,) = rig.cart.show_case.view().pending
        rig.cart.fuse.touch(Quantity(scan=scan.scan, pieces=3))
        await asyncio.sleep(1)
        assert [(one.name, one.pieces) for one in rig.cart.show_case.view().pending] == [("Pasta", 3)]
        await rig.put(3 * 506)
        await asyncio.sleep(1)
        assert rig.names == ["Pasta"] * 3
        line = rig.cart.show_case.view().lines[0]
        rig.cart.fuse.touch(Remove(lines=(line.line,)))
        await asyncio.sleep(1)
        assert [shown.leaving for shown in rig.cart.show_case.view().lines] == [True, False, False]
        assert rig.sentence.startswith("Please take Pasta out")
        await rig.put(-506)
        await asyncio.sleep(1)
        assert line.line not in rig.cart.fuse.basket.lines

    play(trip, tmp_path)


def test_an_own_bag_and_a_call_for_help_outlast_a_kill_and_reach_the_store(tmp_path: Path) -> None:
    async def trip(rig: Rig) -> None:
        rig.cart.fuse.touch(Container())
        await rig.put(85)
        await rig.buy(MILK, 1_032)
        rig.cart.fuse.touch(Help())
        await asyncio.sleep(1)
        assert rig.cart.show_case.view().helped
        await rig.kill()
        await rig.start()
        await asyncio.sleep(4)
        basket = rig.cart.fuse.basket
        assert (rig.names, basket.attention, basket.unexplained) == (["Milk"], "help", {})
        assert abs(basket.settled - grams(1_032)) <= grams(4)
        assert rig.store.of(AttentionChanged) == [AttentionChanged(reason="help")]
        (added,) = rig.store.of(ContainerAdded)
        assert abs(added.mass - grams(85)) <= grams(3)
        await rig.put(-85)
        await asyncio.sleep(4)
        assert rig.cart.fuse.basket.containers == {}
        assert abs(rig.cart.fuse.basket.settled - grams(1_032)) <= grams(5)

    play(trip, tmp_path)
