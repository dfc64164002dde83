"""From what a recogniser says to evidence: pictures speak against goods at large, and never too loudly."""

from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_firmware.core.decision import Sighted
from cart_firmware.core.sighting import sighted, together
from cart_protocol.ids import ProductId

PEAR, PLUM, PEA = (ProductId(f"plu:0000{number}") for number in range(3))
NAMES = 81


def seen(*shares: float, unknown: float = 0.1, at: int = 0) -> Sighted:
    products = list(zip((PEAR, PLUM, PEA), shares, strict=False))
    return sighted(at, at + 1, products, names=NAMES, unknown=unknown)


def test_the_more_a_picture_looks_like_it_the_more_it_speaks_for_it() -> None:
    sight = seen(0.9, 0.09, 0.0001)
    assert sight.of(PEAR) > 0 > sight.of(PEA)
    assert sight.of(PEAR) > sight.of(PLUM) > sight.of(PEA)


def test_a_picture_of_nothing_known_speaks_for_nothing_known() -> None:
    sight = seen(0.1, 0.05, unknown=0.95)
    assert sight.of(PEAR) < 0 < sight.others
    assert sight.of(ProductId("plu:99999")) == sight.others


def test_a_recogniser_that_knows_no_more_than_before_says_nothing_of_what_it_knows() -> None:
    assert seen(1 / NAMES, unknown=0.5).of(PEAR) == pytest.approx(0, abs=0.01)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=3).filter(lambda shares: 0 < sum(shares) <= 1),
    st.floats(0, 1),
)
def test_no_picture_says_more_than_a_thousand_to_one(shares: list[float], unknown: float) -> None:
    sight = seen(*shares, unknown=unknown)
    assert all(abs(ratio) <= log(1_000) + 0.01 for ratio in (*dict(sight.products).values(), sight.others))


def test_goods_at_large_are_a_mixture_of_known_and_unknown() -> None:
    """Weighed with how often each is put in, the ratios of all there is come to one."""
    sight = seen(0.3, 0.2, 0.1, unknown=0.4)
    known = sum(exp(ratio) for _, ratio in sight.products) / len(sight.products)
    assert 0.3 * known + 0.7 * exp(sight.others) == pytest.approx(1, abs=0.02)


def test_what_looks_like_goods_that_are_not_sold_here_speaks_against_those_that_are() -> None:
    assert seen(0.1, 0.05).others > seen(0.6, 0.3).others
    assert seen(0.1, 0.05).of(PEAR) < seen(0.6, 0.3).of(PEAR)


def test_of_two_hands_either_may_have_carried_what_came() -> None:
    one, other = seen(0.95, 0.0, at=1), seen(0.0, 0.95, at=5)
    both = together([one, other])
    assert both is not None
    assert (both.from_us, both.until_us) == (1, 6)
    assert both.of(PEAR) == pytest.approx(both.of(PLUM)) == pytest.approx(one.of(PEAR) - log(2), abs=0.01)
    assert together([one]) is one
    assert together([]) is None
