"""Hands over the rim, on film of the simulated basket: what went which way, and what is no hand."""

from collections.abc import Iterable
from pathlib import Path
from random import Random

import numpy as np
import pytest

from cart_firmware.core.decision import Way
from cart_firmware.perception.colour import bgr
from cart_firmware.perception.crops import MOST, Crop
from cart_firmware.perception.hands import Hands, Passage
from cart_firmware.perception.reading import Picture
from cart_firmware.perception.rim import Rim
from edge_agent.store.price_book_file import read_price_book
from sim.goods import Shelves, Unit
from sim.optics.contents import Contents
from sim.optics.passages import DISTURBANCES, PASSAGES, Clip
from sim.optics.scene import Scene, render, render_colours, seen_at
from tests.cart_firmware.corner_shop import BOOK

SEEDS = range(6)
DEMO = Path(__file__).resolve().parents[2] / "edge_agent" / "catalogue" / "demo.toml"


def passages(frames: Iterable[tuple[int, Picture]], rim: Rim | None = None) -> list[Passage]:
    hands = Hands(rim or Rim())
    return [passage for at_us, luma in frames if (passage := hands.see(at_us, luma)) is not None]


def clip(situation: str, seed: int) -> Clip:
    return (PASSAGES | DISTURBANCES)[situation](Random(f"{situation}/test/{seed}"))


@pytest.mark.parametrize(("situation", "way"), [("put in", Way.IN), ("take out", Way.OUT), ("exchange", Way.BOTH)])
def test_what_goes_over_the_rim_is_told_and_never_the_other_way_round(situation: str, way: Way) -> None:
    said = [passage.way for seed in SEEDS for passage in passages(clip(situation, seed).frames())]
    assert said.count(way) >= 4
    assert set(said) <= {way, Way.UNSEEN}


@pytest.mark.parametrize("situation", ["empty hand", "shown, not put in"])
def test_a_hand_that_leaves_everything_as_it_was_says_nothing(situation: str) -> None:
    said = [passage.way for seed in SEEDS for passage in passages(clip(situation, seed).frames())]
    assert set(said) == {Way.UNSEEN}


@pytest.mark.parametrize("disturbance", ["flickering lamps", "exposure, lamps off", "rolling cart", "goods roll"])
def test_light_floor_and_goods_that_roll_are_no_hands(disturbance: str) -> None:
    assert not passages(clip(disturbance, 1).frames())


def test_a_camera_that_is_pushed_aside_says_nothing_of_goods() -> None:
    frames = [(at_us, luma) for at_us, luma in clip("goods roll", 3).frames()][:60]
    later = frames[-1][0] + 33_000
    pushed = [(later + at_us, np.roll(luma[::-1], 90, axis=1)) for at_us, luma in frames]
    assert {passage.way for passage in passages(frames + pushed)} <= {Way.UNSEEN}


def test_a_passage_lasts_as_long_as_the_hand_is_inside_and_is_known_at_once() -> None:
    film = clip("put in", 2)
    truth = film.truth[0]
    (passage,) = passages(film.frames())
    assert truth.from_s <= passage.from_us / 1e6 < passage.until_us / 1e6 <= truth.until_s + 0.2


def test_crops_are_few_sharp_copies_of_what_moved_in_full_resolution() -> None:
    frames = list(clip("put in", 2).frames())
    (passage,) = passages(frames)
    assert 3 <= len(passage.crops) <= MOST
    by_time = dict(frames)
    for crop in passage.crops:
        frame = by_time[crop.at_us]
        height, width = crop.luma.shape
        assert (crop.luma == frame[crop.top : crop.top + height, crop.left : crop.left + width]).all()
        assert crop.luma.base is None
        assert passage.from_us <= crop.at_us <= passage.until_us + 200_000
    assert all(
        later.at_us - earlier.at_us >= 100_000 for earlier, later in zip(passage.crops, passage.crops[1:], strict=False)
    )


def test_a_rim_anywhere_in_the_picture_tells_the_same() -> None:
    """A camera that is mounted the other way round sees the same film upside down."""
    turned = ((at_us, np.ascontiguousarray(luma[::-1, ::-1])) for at_us, luma in clip("put in", 2).frames())
    assert [passage.way for passage in passages(turned, Rim(1.0, 0.31, 0.0, 0.31))] == [Way.IN]


def test_a_simulated_shopper_s_hands_are_seen_and_hardly_ever_the_wrong_way_round() -> None:
    """What the stage and the demo show a cart, in twelve frames a second: painted goods, of which less is said."""
    said = list[tuple[Way, list[Way]]]()
    for seed in range(4):
        contents, dice, hands = Contents(Random(seed)), np.random.default_rng(seed), Hands(Rim())
        units = [
            Unit(product=product, mass_mg=500_000, symbology="EAN13", code=product.id[1:13], tag_live=False)
            for product in BOOK.products[:4]
        ]
        acts = [(contents.put, unit, Way.IN) for unit in units] + [(contents.take, unit, Way.OUT) for unit in units]
        for number, (act, unit, way) in enumerate(acts):
            view, _ = act(unit, 3.0 * number)
            times = [3.0 * number + frame / 12 for frame in range(36)]
            film = [(round(time_s * 1e6), render(seen_at(view, time_s), 640, 480, dice)) for time_s in times]
            said.append((way, [passage.way for at_us, luma in film if (passage := hands.see(at_us, luma))]))
    assert sum(told == [way] for way, told in said) >= len(said) / 2
    assert sum(told not in ([way], [Way.UNSEEN]) for way, told in said) <= 1


def test_a_frame_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"a frame of uint8 \(2, 2, 2\); expected uint8 of \(height, width\)"):
        Hands(Rim()).see(0, np.zeros((2, 2, 2), np.uint8))


def test_a_rim_of_one_point_is_refused() -> None:
    with pytest.raises(ValueError, match="name two points of the line"):
        Rim(0.5, 0.5, 0.5, 0.5).depth(160, 120)


def test_inside_is_on_the_left_of_whoever_walks_along_the_rim() -> None:
    depth = Rim(0.0, 0.5, 1.0, 0.5).depth(160, 120)
    assert depth[0, 80] == pytest.approx(59.5)
    assert depth[119, 80] == pytest.approx(-59.5)
    assert Rim(0.5, 1.0, 0.5, 0.0).depth(160, 120)[60, 0] > 0


# ── what lies there ──


@pytest.mark.parametrize("seed", range(4))
def test_goods_that_were_put_in_and_taken_out_again_are_cut_out_without_the_hand(seed: int) -> None:
    """The red pepper, as it lies there: mostly red, which no skin, steel or sleeve here is."""
    contents, hands, dice = Contents(Random(seed)), Hands(Rim()), np.random.default_rng(seed)
    shelves = Shelves(read_price_book(DEMO))
    pepper = shelves.take_loose(next(each for each in shelves.loose if each.name == "Bell peppers, red"), Random(seed))
    found, at_s = list[Passage](), 0.0
    for view in (
        lambda _: Scene(inside=contents.inside),
        lambda now_s: contents.put(pepper, now_s)[0],
        lambda now_s: contents.take(pepper, now_s)[0],
    ):
        scenes = view(at_s)
        for _ in range(48):
            scene = seen_at(scenes, at_s)
            passage = hands.see(round(at_s * 1e6), render(scene, 640, 480, dice), render_colours(scene, 640, 480))
            found += [passage] if passage else []
            at_s += 1 / 15
    put, out = found
    assert put.put is not None
    assert out.taken is not None
    for crop in (put.put, out.taken):
        assert crop.luma.shape[0] == crop.luma.shape[1]
        assert _red_share(crop) > 0.2
    assert put.taken is not None
    assert _red_share(put.taken) < 0.02, "before, nothing lay there"


def _red_share(crop: Crop) -> float:
    assert crop.planes is not None
    pixels = bgr(crop.luma, crop.planes).astype(int)
    return float(np.mean((pixels[..., 2] > 90) & (pixels[..., 2] > 2 * pixels[..., 1])))


def test_a_grey_camera_cuts_out_grey_pictures() -> None:
    (passage,) = passages(clip("put in", 2).frames())
    assert passage.put is not None
    assert passage.put.planes is None
