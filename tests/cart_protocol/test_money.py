"""Money: integers of one currency, and the one rounding."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.money import CurrencyMismatchError, Money, divide_half_up, total, zero

AMOUNTS = st.integers(-(10**12), 10**12).map(lambda minor: Money(minor, "EUR"))


@pytest.mark.parametrize(
    ("money", "shown"),
    [
        (Money(249, "EUR"), "€2.49"),
        (Money(5, "EUR"), "€0.05"),
        (Money(0, "EUR"), "€0.00"),
        (Money(-120, "EUR"), "-€1.20"),
        (Money(-5, "USD"), "-$0.05"),
        (Money(123_456, "JPY"), "¥123456"),
        (Money(1_500, "KRW"), "₩1500"),
        (Money(100, "CHF"), "CHF 1.00"),
        (Money(100, "CNY"), "CN¥1.00"),
        (Money(100, "SEK"), "SEK 1.00"),
    ],
)
def test_people_read_it_in_their_currency(money: Money, shown: str) -> None:
    assert str(money) == shown


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_sums_are_exact_and_in_any_order(one: Money, other: Money, third: Money) -> None:
    assert one + other == other + one
    assert (one + other) + third == one + (other + third)
    assert one - other == one + -other
    assert one - one == zero("EUR")
    assert total([one, other, third], "EUR") == one + other + third


@given(AMOUNTS, st.integers(0, 50))
def test_a_multiple_is_a_repeated_sum(price: Money, count: int) -> None:
    assert price * count == total([price] * count, "EUR")


@given(AMOUNTS, AMOUNTS)
def test_amounts_compare_by_size(one: Money, other: Money) -> None:
    assert (one < other) == (one.minor < other.minor)
    assert (one <= other) == (not one > other)
    assert (one >= other) == (not one < other)


def test_nothing_at_all_sums_to_zero() -> None:
    assert total([], "JPY") == Money(0, "JPY")


def test_two_currencies_never_meet() -> None:
    euro, yen = Money(1, "EUR"), Money(1, "JPY")
    for meet in (
        lambda: euro + yen,
        lambda: euro - yen,
        lambda: euro < yen,
        lambda: euro <= yen,
        lambda: euro > yen,
        lambda: euro >= yen,
        lambda: total([euro, yen], "EUR"),
        lambda: total((yen,), "EUR"),
    ):
        with pytest.raises(CurrencyMismatchError, match="cannot combine"):
            meet()
    assert euro != yen


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [
        (5, 2, 3),
        (-5, 2, -3),
        (4, 2, 2),
        (7, 3, 2),
        (8, 3, 3),
        (0, 7, 0),
        (1, 2, 1),
        (-1, 2, -1),
        (-1, 3, 0),
        (49, 100, 0),
    ],
)
def test_halves_go_away_from_zero(numerator: int, denominator: int, rounded: int) -> None:
    assert divide_half_up(numerator, denominator) == rounded


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**12))
def test_rounding_is_never_more_than_half_off(numerator: int, denominator: int) -> None:
    off = divide_half_up(numerator, denominator) - Fraction(numerator, denominator)
    assert abs(off) <= Fraction(1, 2)
    if abs(off) == Fraction(1, 2):
        assert (off > 0) == (numerator > 0)
