"""Painted goods: what a person would call an apple, and what a picture must never give away or mix up."""

import colorsys
import random
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from cart_protocol.pricing.price_book import PriceBook, SoldBy
from cart_protocol.product_picture import MOST_BYTES, media_type
from edge_agent.store.price_book_file import read_catalogue, read_price_book
from sim.goods import Shelves
from sim.goods_looks import LOOSE, looks_of
from sim.optics.goods_paint import Sprite, laid, piece
from sim.optics.goods_shots import Handling, heap, portrait, shot
from sim.optics.looks import Looks
from sim.shop_files import write_portraits

SIDE = 96
CATALOGUE = Path(__file__).parents[2] / "edge_agent" / "catalogue" / "demo.toml"


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return read_price_book(CATALOGUE)


def looks(plu: str) -> Looks:
    return LOOSE[f"plu:{plu}"].looks


def hue_deg(sprite: Sprite) -> float:
    """The middle hue of what is covered and not in shadow."""
    inside = sprite[sprite[..., 3] > 200][:, :3].astype(float)
    lit = inside[inside.max(axis=1) > 60]
    blue, green, red = np.median(lit, axis=0) / 255
    return 360 * colorsys.rgb_to_hsv(red, green, blue)[0]


# ── pieces ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("product", LOOSE)
def test_a_piece_fills_its_picture_and_leaves_the_corners_free(product: str) -> None:
    for seed in range(3):
        cover = piece(LOOSE[product].looks, seed, SIDE)[..., 3] > 128
        rows, columns = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
        longest = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
        assert longest > 0.6 * SIDE, "a slim good may lie across; nothing is a dot"
        assert 0.06 < cover.mean() < 0.95
        assert not cover[:2, :2].any()
        assert not cover[-2:, -2:].any()


@pytest.mark.parametrize(
    ("plu", "name", "least", "most"),
    [
        ("00025", "red pepper", -20, 15), ("00048", "yellow pepper", 35, 58), ("00049", "green pepper", 90, 150),
        ("00041", "Granny Smith", 65, 105), ("00013", "bananas", 38, 58), ("00014", "orange", 18, 40),
        ("00015", "lemon", 42, 60), ("00022", "carrot", 12, 30), ("00051", "cucumber", 85, 130),
        ("00021", "tomatoes", -15, 15), ("00056", "radishes", -45, 5),
    ],
)  # fmt: skip
def test_goods_have_the_colour_that_people_name(plu: str, name: str, least: float, most: float) -> None:
    hues = [(hue_deg(piece(looks(plu), seed, SIDE)) + 180) % 360 - 180 for seed in range(5)]
    assert least < np.median(hues) < most, name


def test_the_same_seed_paints_the_same_piece_and_another_seed_another() -> None:
    first, again, other = (piece(looks("00011"), seed, SIDE).astype(int) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert np.abs(first - other).mean() > 5


def test_light_comes_from_where_the_lamp_is() -> None:
    lemon = piece(looks("00042"), 2, SIDE, posed=True)[..., :3].mean(axis=2)
    middle = SIDE // 2
    above, below = lemon[middle - 25, middle - 15], lemon[middle + 30, middle + 15]
    assert above > 1.3 * below, "the lamp of a portrait hangs to the left and above"


def test_what_is_laid_beyond_the_edge_is_cut_off() -> None:
    below, above = np.zeros((20, 20, 4), np.uint8), np.full((10, 10, 4), 255, np.uint8)
    laid(below, above, 15, -5)
    assert below[:5, 15:].all()
    assert below.sum() == 5 * 5 * 4 * 255
    laid(below, above, 40, 0)
    assert below.sum() == 5 * 5 * 4 * 255


# ── shots and portraits ──────────────────────────────────────────────────────────────────────────────────────────────


def test_three_apples_are_more_than_one() -> None:
    """In a heap of three each is smaller, and there is ground between them."""
    one, three = (heap(looks("00041"), 1, SIDE, Handling(pieces=pieces))[..., 3] > 128 for pieces in (1, 3))
    edges = [cv2.findContours(each.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0] for each in (one, three)]
    lengths = [sum(len(edge) for edge in each) for each in edges]
    assert lengths[1] > 1.05 * lengths[0]


def test_a_clear_bag_hides_no_colour() -> None:
    bare, bagged = (heap(looks("00025"), 4, SIDE, Handling(pieces=4, bag=bag)) for bag in (False, True))
    assert bagged[..., 3].mean() > bare[..., 3].mean()
    inside = bare[..., 3] > 200
    assert abs(bagged[inside].astype(float)[:, 2].mean() - bare[inside].astype(float)[:, 2].mean()) < 60


def test_shots_of_one_good_differ_in_ground_pose_and_light() -> None:
    shots = [shot(looks("00041"), seed, SIDE) for seed in range(8)]
    assert all(one.shape == (SIDE, SIDE, 3) and one.dtype == np.uint8 for one in shots)
    assert np.array_equal(shots[3], shot(looks("00041"), 3, SIDE))
    assert len({one.tobytes() for one in shots}) == 8
    assert np.std([one.mean() for one in shots]) > 3


def test_a_portrait_stands_on_a_transparent_ground_and_is_small_enough_for_a_price_book() -> None:
    webp = portrait(looks("00011"))
    drawn = cv2.imdecode(np.frombuffer(webp, np.uint8), cv2.IMREAD_UNCHANGED)
    assert drawn is not None
    assert drawn.shape == (192, 192, 4)
    assert drawn[0, 0, 3] == 0
    assert drawn[96, 96, 3] == 255
    assert media_type(webp) == "image/webp"


def test_every_portrait_may_go_into_a_price_book(book: PriceBook) -> None:
    sizes = {product.name: len(portrait(looks_of(product))) for product in book.products}
    assert max(sizes.values()) <= MOST_BYTES, max(sizes, key=lambda name: sizes[name])
    assert sum(sizes.values()) < 2_000_000


# ── the demo's goods ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_everything_painted_loose_is_in_the_catalogue(book: PriceBook) -> None:
    products = {product.id: product for product in book.products}
    assert set(LOOSE) <= set(products)
    for product_id, good in LOOSE.items():
        product = products[product_id]
        assert product.department == "Fruit and vegetables"
        if product.sold_by is SoldBy.PIECE:
            assert product.mass == pytest.approx(1_000 * good.piece.grams, rel=0.02)
            assert product.mass_variance**0.5 == pytest.approx(1_000 * good.piece.spread, rel=0.02)


def test_no_two_packs_look_the_same(book: PriceBook) -> None:
    """A label switched from one pack to another must show in the picture."""

    packs = [product for product in book.products if product.id not in LOOSE]
    drawn = np.stack([piece(looks_of(product), 1, 48, posed=True).astype(np.float64) for product in packs])
    cover = drawn[..., 3] / 255
    faces = drawn[..., :3] * cover[..., None]
    for at, (face, covered) in enumerate(zip(faces, cover, strict=True)):
        apart = np.abs(faces[at + 1 :] - face).sum(axis=(1, 2, 3)) / (3 * covered.sum())
        assert not apart.size or apart.min() > 6, (packs[at].name, packs[at + 1 + int(apart.argmin())].name)


def test_the_demo_s_price_book_gets_a_picture_of_everything(tmp_path: Path) -> None:
    copy = tmp_path / "price_book.toml"
    shutil.copyfile(CATALOGUE, copy)
    write_portraits(copy)
    catalogue = read_catalogue(copy)
    assert all(product.picture in catalogue.pictures for product in catalogue.book.products)
    assert len(catalogue.pictures) == len(catalogue.book.products), "no two have the same"


def test_trips_that_scan_everything_meet_no_goods_without_a_label(book: PriceBook) -> None:
    shelves = Shelves(book)
    by_sight = {product.id for product in shelves.loose if LOOSE[product.id].by_sight}
    assert len(by_sight) == 16
    assert by_sight.isdisjoint(product.id for product in shelves.products)


def test_loose_goods_weigh_what_their_pieces_weigh_and_bear_no_label(book: PriceBook) -> None:
    shelves, dice = Shelves(book), random.Random(1)
    for product in shelves.loose:
        unit = shelves.take_loose(product, dice, 4)
        piece_g = LOOSE[product.id].piece
        assert not unit.code
        assert unit.pieces == 4
        assert abs(unit.mass_mg / 1_000 - 4 * piece_g.grams) < 5 * 2 * piece_g.spread
    kiwi = next(product for product in shelves.loose if product.name.startswith("Kiwi"))
    assert {shelves.take_loose(kiwi, dice).pieces for _ in range(20)} == {1}, "a line's unit is one piece"
    with pytest.raises(KeyError):
        shelves.take_loose(book.products[0], dice)
