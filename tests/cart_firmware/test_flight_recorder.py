"""What a cart recorded is replayed to the same decisions, whatever became of the cart or the end of the file."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from cart_firmware.core.touch import Container, Help, Quantity, Remove
from cart_firmware.devices.segment_ring import read
from cart_firmware.ports import SilentError
from cart_firmware.services.replay import replay
from cart_protocol.messages import EndSession, Freeze
from sim.virtual_time import VirtualTimeLoop
from tests.cart_firmware.cart_rig import Rig, on_virtual_time
from tests.cart_firmware.corner_shop import CHEESE_LABEL, GUM, MILK, PASTA, SESSION, TEA


def play(folder: Path, story: Callable[[Rig], Awaitable[None]]) -> Path:
    """Tell a story on a rig that records; return the recording's folder."""

    async def told(loop: VirtualTimeLoop) -> Path:
        state = folder / "state"
        state.mkdir()
        rig = Rig(loop, state)
        await story(rig)
        await rig.stop()
        return rig.folder / "recording"

    return on_virtual_time(told)


async def a_trip(rig: Rig) -> None:
    """Everything that a cart decides about, once."""
    await rig.start()
    await rig.begin()
    await rig.buy(MILK, 1_033)
    await rig.buy(PASTA, 505)
    await rig.scan("4006381333931")  # not this shop's
    await rig.buy(CHEESE_LABEL, 483)
    await rig.scan(GUM)
    await asyncio.sleep(22)  # never put in
    await rig.put(250)  # nobody scanned it
    await asyncio.sleep(5)
    await rig.put(-250)
    rig.platform.error = SilentError("unplugged")
    await asyncio.sleep(3)
    rig.platform.error = None
    await asyncio.sleep(3)
    await rig.scan(TEA)
    (scan,) = rig.cart.fuse.basket.pending
    rig.cart.fuse.touch(Quantity(scan=scan, pieces=2))
    await rig.put(113)
    await rig.put(111)
    rig.cart.fuse.touch(Remove(lines=(next(iter(rig.cart.fuse.basket.lines)),)))
    await rig.put(-1_033)
    rig.cart.fuse.touch(Container())
    await rig.put(60)
    rig.cart.fuse.touch(Help())
    await asyncio.sleep(1)
    rig.cart.fuse.touch(Help(wanted=False))
    await asyncio.sleep(2)
    rig.store.order("freeze", Freeze(session=SESSION))
    rig.platform.grams += 640  # it must wait for the load, and then for a question
    await asyncio.sleep(6)
    rig.store.order("end", EndSession(session=SESSION, reason="left"))
    await asyncio.sleep(2)
    rig.platform.grams = 0
    await asyncio.sleep(3)


def test_a_trip_is_replayed_to_the_same_decisions(tmp_path: Path) -> None:
    recording = play(tmp_path, a_trip)
    found = replay(read(recording))
    assert found.differences == []
    assert found.decisions > 60
    assert found.torn == []
