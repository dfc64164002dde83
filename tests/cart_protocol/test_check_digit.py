"""Check digits (GS1 General Specifications 7.9) and the order numbers that people read out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.gs1.check_digit import (
    CheckDigitError,
    LengthError,
    NotDigitsError,
    check_digit,
    has_valid_check_digit,
    order_number,
    parse_order_number,
    require_check_digit,
)

DIGITS = st.text("0123456789", min_size=1, max_size=17)


@pytest.mark.parametrize(
    "code",
    [
        "9520123456788",  # gs1-syntax-engine (Apache-2.0), its Digital Link tests
        "12312312312333",  # the same, GTIN-14
        "2112345678900",  # the same, restricted circulation
        "02345673",  # the same, GTIN-8
        "416000336108",  # the same, GTIN-12
        "006141411234567890",  # the same, SSCC-18
        "036000291452",  # the UPC-A of every textbook
        "4006381333931",  # an EAN-13 printed on a pen
    ],
)
def test_published_codes_are_valid(code: str) -> None:
    assert has_valid_check_digit(code)
    assert check_digit(code[:-1]) == code[-1]


@given(DIGITS, st.data())
def test_every_single_wrong_digit_is_caught(digits: str, data: st.DataObject) -> None:
    code = digits + check_digit(digits)
    place = data.draw(st.integers(0, len(code) - 1))
    wrong = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != code[place]]))
    assert not has_valid_check_digit(code[:place] + wrong + code[place + 1 :])


@given(st.text("0123456789", min_size=2, max_size=17), st.data())
def test_swapped_neighbours_are_caught_unless_they_differ_by_five(digits: str, data: st.DataObject) -> None:
    code = digits + check_digit(digits)
    place = data.draw(st.integers(0, len(code) - 2))
    left, right = code[place], code[place + 1]
    swapped = code[:place] + right + left + code[place + 2 :]
    assert has_valid_check_digit(swapped) == (abs(int(left) - int(right)) in (0, 5))


@given(DIGITS, st.integers(0, 10))
def test_leading_zeros_do_not_change_the_check_digit(digits: str, zeros: int) -> None:
    assert check_digit("0" * zeros + digits) == check_digit(digits)


@given(st.text(max_size=20))
def test_any_text_has_an_answer(text: str) -> None:
    if has_valid_check_digit(text):
        require_check_digit(text)
    else:
        with pytest.raises((NotDigitsError, LengthError, CheckDigitError)):
            require_check_digit(text)


def test_a_wrong_check_digit_says_what_was_seen_and_expected() -> None:
    with pytest.raises(CheckDigitError, match=r"'4006381333932' ends in check digit 2; 1 expected") as refusal:
        require_check_digit("4006381333932")
    assert (refusal.value.seen, refusal.value.expected) == ("4006381333932", "1")


@pytest.mark.parametrize("text", ["", "12a4", "1234 ", "١٢٣٤", "²34", "-12"])
def test_only_the_ascii_digits_count_as_digits(text: str) -> None:
    assert not has_valid_check_digit(text)
    with pytest.raises(NotDigitsError):
        check_digit(text)


def test_order_numbers_are_six_digits_and_a_check_digit() -> None:
    assert order_number(0) == "0000000"
    assert order_number(1) == "0000017"
    assert order_number(41_273) == "0412735"
    assert order_number(1_000_001) == order_number(1)


@given(st.integers(0, 10**7))
def test_an_order_number_is_read_back_however_people_group_it(sequence: int) -> None:
    number = order_number(sequence)
    assert parse_order_number(number) == number
    assert parse_order_number(f" {number[:3]} {number[3:6]}-{number[6]}\n") == number


def test_mistyped_order_numbers_are_refused_by_name() -> None:
    with pytest.raises(CheckDigitError, match="5 expected"):
        parse_order_number("0412734")
    with pytest.raises(LengthError, match="7 digits expected"):
        parse_order_number("41273")
    with pytest.raises(NotDigitsError):
        parse_order_number("04I2735")
    with pytest.raises(NotDigitsError):
        parse_order_number("")
