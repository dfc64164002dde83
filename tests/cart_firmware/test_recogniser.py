"""Goods by sight: the shipped network and index, and what fusion may rely on."""

import hashlib
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from cart_firmware.perception.embedder import Embedder, Picture, about_the_middle
from cart_firmware.perception.knowledge import Calibration, Knowledge, WrongKnowledge, read, written
from cart_firmware.perception.product_index import ProductIndex, Space, bias_of, together, unit
from cart_firmware.perception.recogniser import SURE, Recogniser, nearer

FOLDER = Path(__file__).parents[2] / "models" / "produce"
NETWORK, KNOWLEDGE = ((FOLDER / name).read_bytes() for name in ("network.tflite", "knowledge.npz"))


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser(Embedder(NETWORK), read(KNOWLEDGE, NETWORK))


def painted(seed: int, colour: tuple[int, int, int] = (40, 200, 230)) -> Picture:
    dice = np.random.default_rng(seed)
    picture = dice.integers(60, 110, (240, 320, 3), dtype=np.uint8)
    for _ in range(5):
        cv2.circle(picture, dice.integers(40, 220, 2).tolist(), int(dice.integers(30, 60)), colour, -1)
    return picture


# ── the shipped model ────────────────────────────────────────────────────────────────────────────────────────────


def test_shipped_files_fit_a_cart() -> None:
    assert len(NETWORK) <= 4_500_000
    assert len(KNOWLEDGE) <= 4_500_000


def test_equal_crops_have_equal_sight(recogniser: Recogniser) -> None:
    first, again = (recogniser.recognise([painted(1)]) for _ in range(2))
    assert np.array_equal(first.probabilities, again.probabilities)
    fresh = Recogniser(Embedder(NETWORK), read(KNOWLEDGE, NETWORK)).recognise([painted(1)])
    assert np.array_equal(first.probabilities, fresh.probabilities)


def test_sight_names_every_product_and_adds_up(recogniser: Recogniser) -> None:
    sight = recogniser.recognise([painted(2)])
    assert sight.names == recogniser.knowledge.index.names
    assert sight.probabilities.sum() == pytest.approx(1)
    assert 0 <= sight.unknown <= 1
    best = sight.best(3)
    assert [share for _, share in best] == sorted((share for _, share in best), reverse=True)


def test_noise_is_no_product(recogniser: Recogniser) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    assert recogniser.recognise([noise]).unknown > 0.5


@pytest.mark.parametrize("shape", [(40, 30, 3), (1, 1, 3), (480, 640, 3)])
def test_crops_of_any_size_are_looked_at(recogniser: Recogniser, shape: tuple[int, int, int]) -> None:
    assert recogniser.vectors([np.full(shape, 90, np.uint8)]).shape == (
        1,
        recogniser.knowledge.index.prototypes.shape[1],
    )


@pytest.mark.parametrize("places", [1, 5, 6, 7])
def test_what_lies_in_the_middle_counts_most_and_all_places_count(places: int) -> None:
    weights = about_the_middle(places)
    assert weights.sum() == pytest.approx(1)
    assert weights[places // 2, places // 2] == weights.max()
    assert places == 1 or weights.max() > 2 * weights[0, 0]
    assert weights.min() > 0.2 * weights.max() > 0
    assert weights == pytest.approx(weights[::-1, ::-1])
    assert weights == pytest.approx(weights.T)


@pytest.mark.parametrize("shape", [(40, 30), (40, 30, 4), (0, 30, 3)])
def test_what_is_no_picture_is_refused_with_its_shape(recogniser: Recogniser, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="height x width x 3"):
        recogniser.recognise([np.zeros(shape, np.uint8)])


# ── how ordinary a picture is ────────────────────────────────────────────────────────────────────────────────────────


def test_a_picture_that_excites_little_or_lies_far_out_has_a_shorter_vector_of_the_same_direction() -> None:
    features = np.random.default_rng(5).uniform(0.1, 1.0, (50, 6)).astype(np.float32)
    centre = np.full(6, 6**-0.5, np.float32)
    space = Space(centre, np.eye(6, dtype=np.float32)).ordinary(features)
    placed = space.place(features)
    assert np.median(np.linalg.norm(placed, axis=1)) == pytest.approx(1, abs=0.1)
    dim = space.place(features * 0.5)
    assert unit(dim) == pytest.approx(unit(placed), abs=1e-5)
    assert (np.linalg.norm(dim, axis=1) < np.linalg.norm(placed, axis=1)).all()
    near, far = (
        space.place(((centre + step * np.array([1, -1, 0, 0, 0, 0], np.float32)) ** 2)[None]) for step in (0.1, 0.3)
    )
    assert np.linalg.norm(far) < np.linalg.norm(near)
    assert np.isfinite(space.place(np.zeros((1, 6), np.float32))).all(), "a picture of nothing at all"


def test_frames_that_show_several_sides_are_together_as_ordinary_as_each() -> None:
    sides = np.array([[0.8, 0.0], [0.0, 0.4]], np.float32)
    both = together(sides)
    assert np.linalg.norm(both) == pytest.approx(0.6)
    assert both[0] == pytest.approx(2 * both[1])
    assert together(np.stack([sides, sides])) == pytest.approx(np.stack([both, both]))


# ── a new product ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_product_enrolled_from_three_shots_is_named_by_the_next_cart(recogniser: Recogniser) -> None:
    knowledge = recogniser.knowledge
    index = knowledge.index.with_product("dragon fruit", recogniser.vectors([painted(seed) for seed in (4, 5, 6)]))
    cart = Recogniser(Embedder(NETWORK), read(written(_knowing(knowledge, index)), NETWORK))
    sight = cart.recognise([painted(7)])
    assert sight.best(1)[0][0] == "dragon fruit"
    odds, others = sight.log_odds("dragon fruit"), sight.log_odds(knowledge.index.names[0])
    assert odds is not None
    assert others is not None
    assert odds > others
    assert cart.recognise([painted(8)]).log_odds("soap") is None


def test_a_shot_is_learned_as_its_mirror_image_and_upside_down(recogniser: Recogniser) -> None:
    crop = painted(9)
    sides = [crop, np.ascontiguousarray(crop[:, ::-1]), np.ascontiguousarray(crop[::-1, ::-1])]
    shot, mirrored, turned = recogniser.shots(sides)
    assert shot == pytest.approx(mirrored, abs=1e-5)
    assert shot == pytest.approx(turned, abs=1e-5)
    seen = recogniser.vectors(sides)
    assert (seen @ seen.T).min() < 0.99, "looked at once, they differ"
    assert (seen @ shot).min() > (seen @ seen.T).min(), "what is learned is nearer to all than they are to each other"


def test_frames_of_one_event_count_together(recogniser: Recogniser) -> None:
    index = recogniser.knowledge.index.with_product("dragon fruit", recogniser.vectors([painted(4), painted(5)]))
    cart = Recogniser(Embedder(NETWORK), _knowing(recogniser.knowledge, index))
    black = np.zeros((64, 64, 3), np.uint8)
    assert cart.recognise([painted(6), painted(7), black]).best(1)[0][0] == "dragon fruit"


def test_a_picture_that_leaves_doubt_is_looked_at_again_nearer(recogniser: Recogniser) -> None:
    index = recogniser.knowledge.index.with_product("dragon fruit", recogniser.vectors([painted(4)]))
    cart = Recogniser(Embedder(NETWORK), _knowing(recogniser.knowledge, index))
    clear = cart.recognise([painted(4)])
    assert (clear.looks, clear.best(1)[0][0]) == (1, "dragon fruit")
    assert clear.best(1)[0][1] * (1 - clear.unknown) >= SURE
    noise = np.random.default_rng(3).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    doubtful = cart.recognise([noise])
    both = cart.judge(cart.vectors([noise, nearer(noise)]))
    assert doubtful.looks == 2
    assert np.array_equal(doubtful.probabilities, both.probabilities)
    assert nearer(noise).shape == (90, 90, 3)
    assert np.array_equal(nearer(noise), noise[15:105, 35:125])


def test_a_retired_product_is_not_named_any_more(recogniser: Recogniser) -> None:
    index = recogniser.knowledge.index
    gone = index.names[0]
    rest = index.without(gone)
    assert gone not in rest
    assert len(rest) == len(index) - 1
    assert len(index) == len(rest.with_product(gone, index.prototypes[:1]))


def test_a_product_shown_again_takes_the_place_of_its_old_self() -> None:
    index = ProductIndex([], np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    shots = unit(np.eye(4, dtype=np.float32))
    again = index.with_product("leek", shots[:1]).with_product("kale", shots[1:2]).with_product("leek", shots[2:3])
    assert again.names == ("kale", "leek")
    assert again.likeness(shots[2]).argmax() == again.place("leek")


def test_a_prototype_of_few_shots_is_helped_more() -> None:
    assert [bias_of(shots) for shots in (1, 5, 30)] == sorted((bias_of(shots) for shots in (1, 5, 30)), reverse=True)
    assert bias_of(1) > 0


def test_ten_thousand_products_take_ten_megabytes() -> None:
    width = read(KNOWLEDGE, NETWORK).index.prototypes.shape[1]
    vectors = unit(np.random.default_rng(1).normal(size=(10_000, width)).astype(np.float32))
    index = ProductIndex([f"product {each}" for each in range(10_000)], vectors, np.zeros(10_000, np.float32))
    assert index.nbytes <= 10_000_000
    assert index.likeness(vectors[4321]).argmax() == 4321
    exact = vectors[:3] @ vectors.T
    assert np.abs(index.likeness(vectors[:3]) - exact).max() < 3e-3
    assert index.likeness(0.5 * vectors[7]) == pytest.approx(0.5 * index.likeness(vectors[7]), abs=1e-3)
    assert np.array_equal(index.without("product 0").prototypes, index.prototypes[1:]), "nothing is rounded again"


def test_an_empty_index_knows_nothing(recogniser: Recogniser) -> None:
    knowledge = recogniser.knowledge
    empty = Recogniser(Embedder(NETWORK), _knowing(knowledge, knowledge.index.without(*knowledge.index.names)))
    sight = empty.recognise([painted(1)])
    assert (sight.best(3), sight.unknown) == ([], 1.0)


def test_a_poor_picture_does_not_prove_a_switched_label() -> None:
    calibration = Calibration(90.0, 0.6, 0.1, 15.0)
    clear, poor = np.array([0.9, 0.7, 0.5], np.float32), np.array([0.5, 0.3, 0.1], np.float32)
    assert calibration.unknown(clear) < 0.1
    assert calibration.unknown(poor) > 0.7
    certain, doubting = calibration.shares(clear), calibration.shares(poor)
    assert certain.sum() == pytest.approx(1)
    assert doubting.sum() == pytest.approx(1)
    assert list(np.argsort(-certain)) == list(np.argsort(-doubting)) == [0, 1, 2]
    # As far from the nearest as before, and ten times as likely what the label says.
    assert doubting[1] > 10 * certain[1]
    assert doubting[1] > 5 * doubting[2]


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_knowledge_gives_the_same_bytes() -> None:
    knowledge = _small()
    assert written(knowledge) == written(knowledge)
    assert read(written(knowledge), b"network").index.names == ("leek", "kale")


def test_a_damaged_file_is_refused() -> None:
    content = bytearray(written(_small()))
    for place in range(0, len(content), 97):
        content[place] ^= 1
        with pytest.raises(WrongKnowledge):
            read(bytes(content), b"network")
        content[place] ^= 1
    with pytest.raises(WrongKnowledge):
        read(b"", b"network")


def test_knowledge_of_another_network_is_refused() -> None:
    with pytest.raises(WrongKnowledge, match="files of one training"):
        read(written(_small()), b"another network")


def _small() -> Knowledge:
    return Knowledge(
        network_sha256=hashlib.sha256(b"network").hexdigest(),
        space=Space(np.zeros(4, np.float32), np.eye(4, dtype=np.float32)),
        index=ProductIndex(["leek", "kale"], unit(np.eye(4, dtype=np.float32)[:2]), np.zeros(2, np.float32)),
        groups={"leek": "onions"},
        calibration=Calibration(20.0, 0.5, 0.05, 10.0),
        record={"parts": "train"},
    )


def _knowing(knowledge: Knowledge, index: ProductIndex) -> Knowledge:
    return msgspec.structs.replace(knowledge, index=index)
