"""A cart that watches hands: what they did reaches the step to which it belongs."""

import asyncio
from pathlib import Path

import numpy as np

from cart_firmware.core.decision import Way
from cart_firmware.core.fusion import clues_about
from cart_firmware.core.recording import Cropped, read_segment
from cart_firmware.devices.segment_ring import read
from cart_firmware.perception.crops import Crop
from cart_firmware.perception.hands import Passage
from cart_firmware.perception.reading import Picture
from cart_firmware.perception.remains import Remains
from sim.virtual_time import VirtualTimeLoop
from tests.cart_firmware.cart_rig import Rig, on_virtual_time
from tests.cart_firmware.corner_shop import PASTA

BLACK = np.zeros((8, 8), np.uint8)


class Onlooker:
    """Says of hands what the test says, with the next frame (cart_firmware.services.sense.HandWatch)."""

    def __init__(self) -> None:
        self._next: Way | None = None

    def say(self, way: Way) -> None:
        self._next = way

    def see(self, at_us: int, luma: Picture, planes: Picture | None, /) -> Passage | None:
        del luma, planes
        way, self._next = self._next, None
        if way is None:
            return None
        crops = tuple(Crop(at_us, 0, 0, BLACK, 1.0) for _ in range(3))
        return Passage(
            from_us=at_us - 700_000, until_us=at_us, way=way, confidence=1.0, found=Remains(0), crops=crops
        )  # fmt: skip


async def watched(loop: VirtualTimeLoop, folder: Path) -> tuple[Rig, Onlooker]:
    rig, onlooker = Rig(loop, folder), Onlooker()
    rig.hands = onlooker
    await rig.start()
    await rig.begin()
    return rig, onlooker


def hand(rig: Rig) -> Way:
    """Return which way hands went for the newest change that nothing explains."""
    evidence = rig.cart.fuse.decider.evidence
    if evidence.held:
        return clues_about(evidence, evidence.held[-1]).hand
    return evidence.asked[max(evidence.asked)].clues.hand


def test_a_hand_speaks_for_its_own_step_and_is_stale_for_the_next(tmp_path: Path) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        rig, onlooker = await watched(loop, tmp_path)
        onlooker.say(Way.IN)
        await rig.put(2_345)  # nothing explains it, so it is held and asked about
        assert hand(rig) is Way.IN
        await rig.put(3_456)
        assert hand(rig) is Way.UNSEEN
        await rig.stop()

    on_virtual_time(story)


def test_a_hand_that_is_seen_gone_after_the_load_has_settled_still_speaks_for_what_is_held(tmp_path: Path) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        rig, onlooker = await watched(loop, tmp_path)
        await rig.put(2_345)
        assert hand(rig) is Way.UNSEEN
        onlooker.say(Way.IN)
        await rig.put(0)
        assert hand(rig) is Way.IN
        await rig.stop()

    on_virtual_time(story)


def test_goods_whose_hand_was_seen_going_out_leave_without_waiting(tmp_path: Path) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        rig, onlooker = await watched(loop, tmp_path)
        for way, rests in ((Way.UNSEEN, True), (Way.OUT, False)):
            await rig.buy(PASTA, 505)
            if way is Way.OUT:
                onlooker.say(way)
            rig.platform.grams -= 505
            await asyncio.sleep(1.0)  # the weigher has seen it, and it has not rested
            assert bool(rig.cart.fuse.basket.lines) is rests
            await asyncio.sleep(1.5)
            assert not rig.cart.fuse.basket.lines
        await rig.stop()

    on_virtual_time(story)


def test_crops_of_what_passed_are_recorded(tmp_path: Path) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        rig, onlooker = await watched(loop, tmp_path)
        onlooker.say(Way.UNSEEN)
        await rig.put(0)
        await rig.stop()
        found = read(rig.folder / "recording")
        entries = [entry for data in found.segments.values() for entry in read_segment(data, "").entries]
        assert sum(isinstance(entry, Cropped) for entry in entries) == 3

    on_virtual_time(story)
