import numpy as np
import pytest

from cart_firmware.perception.knowledge import Calibration
from cart_firmware.perception.product_index import ProductIndex, unit
from measure import novel_products
from measure import produce_figures as figures
from measure.looks import Looks, judged_by
from measure.novel_products import Asked, Shots

SAID = np.array([
    [0.7, 0.2, 0.1],
    [0.5, 0.4, 0.1],
    [0.2, 0.3, 0.5],
    [0.1, 0.6, 0.3],
])  # fmt: skip
RIGHT = np.array([0, 1, 2, 1])
GROUP = np.array([0, 0, 1])
CALIBRATION = Calibration(80.0, 0.16, 0.13, 17.0)


def test_the_right_product_among_the_likeliest() -> None:
    assert figures.top(SAID, RIGHT, 1) == 75
    assert figures.top(SAID, RIGHT, 2) == 100


def test_a_mistake_within_the_group_is_right_by_group() -> None:
    assert figures.top_group(SAID, GROUP, GROUP[RIGHT]) == 100


def test_calibration_error_of_one_who_is_always_sure_and_half_the_time_wrong() -> None:
    said = np.tile([1.0, 0.0], (10, 1))
    assert figures.calibration_error(said, np.array([0, 1] * 5)) == pytest.approx(0.5)
    assert figures.calibration_error(np.tile([0.5, 0.5], (10, 1)), np.array([0, 1] * 5)) == pytest.approx(0)


def test_right_probabilities_show_an_error_by_chance_the_less_the_more_photographs_there_are() -> None:
    dice = np.random.default_rng(4)
    many = dice.dirichlet(np.full(5, 0.3), 4_000)
    errors = [
        figures.calibration_error_by_chance(many[:count], np.random.default_rng(5), 20) for count in (40, 400, 4_000)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.05
    assert errors[-1] < 0.02


def test_the_surer_of_what_is_there_the_less_surprised() -> None:
    assert figures.surprise(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([1, 0])) == pytest.approx(
        np.log(2) / 2, abs=1e-4
    )


def test_coverage_ends_where_mistakes_begin_to_count() -> None:
    # Surest first: right, right, wrong, right.
    assert figures.coverage(SAID, RIGHT, 0.99) == 50
    assert figures.coverage(SAID, RIGHT, 0.75) == 100


def test_a_label_of_another_product_is_caught_when_its_probability_is_below_all_right_ones() -> None:
    sure = np.array([[0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.0, 0.1, 0.9]])
    assert figures.swaps_caught(sure, np.array([0, 1, 2]), GROUP) == {"any": 100, "group": 100}
    # One right label is believed less than a wrong one of the same group: only that wrong one passes.
    unsure = np.array([[0.3, 0.7, 0.0], [0.1, 0.9, 0.0], [0.0, 0.1, 0.9]])
    assert figures.swaps_caught(unsure, np.array([0, 1, 2]), GROUP) == {"any": pytest.approx(83.33), "group": 50}


def test_strangers_are_told_apart_by_rank() -> None:
    assert figures.auroc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1
    assert figures.auroc(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.5
    assert figures.taken_for_known(np.arange(100.0), np.array([-1.0, 50.0])) == 0.5


def shots(names: list[str], each: int, seed: int) -> Shots:
    middles = {name: np.random.default_rng(place).normal(size=32) for place, name in enumerate(sorted(names))}
    dice = np.random.default_rng(seed)
    products = [name for name in names for _ in range(each)]
    return Shots(products, unit(np.stack([middles[name] + dice.normal(size=32) * 0.5 for name in products])))


def test_doubt_alone_is_looked_at_again() -> None:
    once = np.array([[0.9, 0.1, 0.0], [0.3, 0.28, 0.0]], np.float32)
    both = np.array([[0.0, 0.1, 0.9], [0.2, 0.5, 0.0]], np.float32)
    assert np.array_equal(judged_by(CALIBRATION, once, both), [once[0], both[1]])


def test_products_enrolled_from_shots_are_named_and_leave_the_old_ones_alone() -> None:
    names = [f"product {place:02d}" for place in range(30)]
    known, queries = shots(names, 10, 1), shots(names, 5, 2)
    asked = Asked(queries.products, Looks(queries.vectors, queries.vectors, CALIBRATION))
    index = ProductIndex([], np.zeros((0, 32), np.float32), np.zeros(0, np.float32))
    for name in names[:15]:
        index = index.with_product(name, known.of(name))
    alone = novel_products.enrolled_alone(index, known, asked, 5, 3)
    among = novel_products.enrolled_among_old(index, known, asked, 5, 3)
    assert min(alone) > 95
    assert among["new"] > 95
    assert among["old_falls"] < 3
