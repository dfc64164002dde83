"""The stories of a change and how they are weighed: shares of one whole, bounded in number, sharper with knowledge."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cart_firmware.core.decision import Clues, Way
from cart_firmware.core.expectation import Expectation
from cart_firmware.core.hypotheses import Arrived, Offer, Question, Scene, of_step
from cart_firmware.core.judgement import judge
from cart_protocol.ids import ProductId, ScanId
from cart_protocol.mass import Variance, grams, sigma

STEP = sigma(grams(1.5))


def offers(*masses: float, spread: float = 3) -> tuple[Offer, ...]:
    return tuple(
        Offer(ScanId(f"s{number}"), ProductId(f"p{mass}"), Expectation(grams(mass), sigma(grams(spread))))
        for number, mass in enumerate(masses)
    )


def step(mass: float, variance: Variance = STEP, way: Way = Way.UNSEEN) -> Question:
    return Question(None, grams(mass), variance, clues=Clues(hand=way))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(10, 2_000), max_size=12),
    st.floats(-3_000, 3_000).filter(lambda mass: abs(mass) > 1),
    st.lists(st.floats(5, 900), max_size=5),
)
def test_posteriors_are_shares_of_one_whole_and_the_search_is_bounded(
    scanned: list[float], mass: float, others: list[float]
) -> None:
    open_ones = [Question(number, grams(other), STEP) for number, other in enumerate(others, start=1)]
    stories = of_step(Scene(offers=offers(*scanned)), step(mass), open_ones)
    verdict = judge(stories)
    assert sum(verdict.posteriors.values()) <= 1 + 1e-9
    assert len(stories) < 5_000
    assert verdict.believed is None or verdict.posteriors[verdict.believed.key] >= 0.75


@pytest.mark.parametrize("pieces", [1, 2, 5, 12, 24])
def test_any_number_of_one_kind_put_down_together_is_a_sum(pieces: int) -> None:
    scene = Scene(offers=offers(*[50.0] * 24, spread=0.5))
    believed = judge(of_step(scene, step(50 * pieces), [])).believed
    assert believed is not None
    assert isinstance(believed.story, Arrived)
    assert len(believed.story.scans) == pieces
    assert sum(believed.story.masses) == grams(50 * pieces)


def test_a_narrower_product_contradicts_what_a_vague_one_lets_pass() -> None:
    vague, narrow = (Scene(offers=offers(500, spread=spread)) for spread in (8, 2))
    assert judge(of_step(vague, step(515), [])).believed is not None
    assert judge(of_step(narrow, step(515), [])).believed is None


def test_a_hand_that_went_the_other_way_makes_a_story_less_likely() -> None:
    scores = [
        next(iter(of_step(Scene(offers=offers(500)), step(500, way=way), []))).score
        for way in (Way.OUT, Way.UNSEEN, Way.IN)
    ]
    assert scores == sorted(scores)
    assert len(set(scores)) == 3
