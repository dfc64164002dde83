"""Bags and containers of the shopper's own: they weigh nothing as goods while they lie in the cart, and only then."""

from hypothesis import given
from hypothesis import strategies as st

from cart_firmware.core.tare import Tares
from cart_protocol.mass import Mass, Variance, grams, kilograms

SIGMA = Variance(2_000**2)


def tares() -> Tares:
    return Tares(most=kilograms(1))


@given(st.lists(st.tuples(st.integers(1, 1_000_000), st.booleans()), max_size=20))
def test_the_tare_is_always_what_the_containers_inside_weigh(moves: list[tuple[int, bool]]) -> None:
    kept = tares()
    inside = list[int]()
    for mass, stays in moves:
        assert kept.put(Mass(mass), SIGMA)
        inside.append(mass)
        if not stays:
            left = kept.taken(Mass(mass), SIGMA)
            assert left is not None
            inside.remove(left.mass)
        assert kept.total == sum(inside)
        assert kept.net(Mass(5_000_000)) == 5_000_000 - sum(inside)


def test_a_container_that_leaves_takes_its_tare_with_it() -> None:
    kept = tares()
    kept.put(grams(380), SIGMA)
    assert kept.net(grams(1_380)) == kilograms(1)
    left = kept.taken(grams(383), SIGMA)
    assert left is not None
    assert left.mass == grams(380)
    assert kept.net(kilograms(1)) == kilograms(1)


def test_goods_that_leave_are_no_container() -> None:
    kept = tares()
    kept.put(grams(380), SIGMA)
    assert kept.taken(grams(400), SIGMA) is None
    assert kept.total == grams(380)


def test_of_two_containers_the_one_most_alike_leaves() -> None:
    kept = tares()
    kept.put(grams(380), SIGMA)
    kept.put(grams(385), SIGMA)
    left = kept.taken(grams(384), SIGMA)
    assert left is not None
    assert left.mass == grams(385)


def test_more_than_a_container_can_weigh_is_goods_in_a_bag() -> None:
    kept = tares()
    assert not kept.put(grams(1_001), SIGMA)
    assert not kept.put(grams(-5), SIGMA)
    assert kept.total == 0
