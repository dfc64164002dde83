"""A cart that knows goods by sight: what a hand put in is named with the shipped network, weighed and charged."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from cart_firmware.core.decision import Way
from cart_firmware.core.touch import Choose
from cart_firmware.devices.segment_ring import read
from cart_firmware.perception.crops import Crop
from cart_firmware.perception.embedder import Picture
from cart_firmware.perception.hands import Passage
from cart_firmware.perception.reading import Picture as Luma
from cart_firmware.perception.remains import Remains
from cart_firmware.perception.taught import taught
from cart_firmware.services.replay import replay
from cart_firmware.services.sight import Sights
from cart_protocol.ids import ProductId
from sim.goods_looks import LOOSE
from sim.optics.goods_shots import shot
from sim.virtual_time import VirtualTimeLoop
from tests.cart_firmware.cart_rig import Rig, on_virtual_time
from tests.cart_firmware.corner_shop import APPLES, CHEESE, MILK
from tests.cart_firmware.test_sight import lessons, sights, signed

LOOKS = {APPLES: "plu:00041", CHEESE: "plu:00013"}
"""What this shop calls apples looks like the demo's Granny Smith, its cheese like bananas: nobody here can tell."""


def view(product: str, seed: int) -> Picture:
    good = LOOSE[LOOKS[product]]
    return shot(good.looks, seed, 160, most=1)


class Onlooker:
    """Says that something was put in and shows what lies there (cart_firmware.services.sense.HandWatch)."""

    def __init__(self) -> None:
        self._next: tuple[Way, Picture] | None = None

    def say(self, way: Way, picture: Picture) -> None:
        self._next = (way, picture)

    def see(self, at_us: int, luma: Luma, planes: Luma | None, /) -> Passage | None:
        del luma, planes
        said, self._next = self._next, None
        if said is None:
            return None
        way, picture = said
        split = cv2.cvtColor(picture, cv2.COLOR_BGR2YCrCb)
        half = cv2.resize(split, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        goods = Crop(at_us, 0, 0, split[:, :, 0].copy(), 1.0, np.stack([half[:, :, 2], half[:, :, 1]]))
        return Passage(
            from_us=at_us - 700_000, until_us=at_us, way=way, confidence=1.0, found=Remains(100), put=goods, taken=goods
        )


async def watched(loop: VirtualTimeLoop, folder: Path) -> tuple[Rig, Onlooker]:
    rig, onlooker = Rig(loop, folder), Onlooker()
    rig.hands = onlooker
    knowing: Callable[[], Sights] = lambda: sights(rig.folder)  # noqa: E731 - the rig asks at every start
    rig.sights = knowing
    await rig.start()
    known = rig.cart.sights
    assert known is not None
    shown = [taught(ProductId(each), known.vectors([view(each, seed) for seed in range(5)]), known.network)
             for each in LOOKS]  # fmt: skip
    assert known.take(signed(lessons(1, *shown)))
    await rig.begin()
    return rig, onlooker


def test_loose_goods_are_named_weighed_charged_and_the_record_of_it_is_replayed(tmp_path: Path) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        rig, onlooker = await watched(loop, tmp_path)
        onlooker.say(Way.IN, view(APPLES, 77))
        await rig.put(1_000)
        tile = rig.cart.show_case.view().tiles[0]
        assert (tile.what, tile.how) == ("Apples", "put in")
        assert not rig.cart.fuse.basket.lines, "sight alone charges nothing"
        rig.cart.fuse.touch(Choose(key=tile.key))
        await asyncio.sleep(1)
        (line,) = rig.cart.fuse.basket.lines.values()
        assert line.product == APPLES
        assert abs(line.price.total.minor - 299) <= 1
        await rig.stop()
        assert replay(read(rig.folder / "recording")).differences == []

    on_virtual_time(story)


def test_an_honest_scan_of_goods_that_nobody_taught_is_not_doubted(tmp_path: Path) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        rig, onlooker = await watched(loop, tmp_path)
        await rig.scan(MILK)
        onlooker.say(Way.IN, cv2.merge([np.full((160, 160), level, np.uint8) for level in (200, 90, 40)]))
        await rig.put(1_032)
        assert [line.name for line in rig.cart.fuse.basket.lines.values()] == ["Milk"]
        await rig.stop()

    on_virtual_time(story)


def test_what_both_ways_went_over_the_rim_is_not_looked_at(tmp_path: Path) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        rig, onlooker = await watched(loop, tmp_path)
        onlooker.say(Way.BOTH, view(APPLES, 77))
        await rig.put(1_000)
        assert rig.cart.fuse.decider.evidence.sights == ()
        await rig.stop()

    on_virtual_time(story)


def test_a_grey_camera_names_nothing(tmp_path: Path) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        rig, onlooker = await watched(loop, tmp_path)
        see = onlooker.see

        def grey(at_us: int, luma: Luma, planes: Luma | None, /) -> Passage | None:
            passage = see(at_us, luma, planes)
            assert passage is None or passage.put is not None
            if passage is None or passage.put is None:
                return None
            put = Crop(at_us, 0, 0, passage.put.luma, 1.0)
            return Passage(
                from_us=passage.from_us, until_us=at_us, way=Way.IN, confidence=1.0, found=Remains(1), put=put
            )

        onlooker.see = grey  # type: ignore[method-assign]
        onlooker.say(Way.IN, view(APPLES, 77))
        await rig.put(1_000)
        assert rig.cart.fuse.decider.evidence.sights == ()
        await rig.stop()

    on_virtual_time(story)
