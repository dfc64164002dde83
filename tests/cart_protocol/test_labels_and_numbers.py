"""What is beside a GTIN on goods: labels of the shop, masses and prices, dates, coupons, books and periodicals."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.gs1 import trade_measure
from cart_protocol.gs1.book_number import isbn_10_of, isbn_of, issn_of, parse_isbn, parse_issn
from cart_protocol.gs1.check_digit import CheckDigitError, Gs1Error, LengthError, NotDigitsError, check_digit
from cart_protocol.gs1.coupon import PartError, read_coupon
from cart_protocol.gs1.element_string import parse_bracketed
from cart_protocol.gs1.gs1_date import day_of
from cart_protocol.gs1.restricted import (
    InStoreLabel,
    LayoutError,
    MarkedValueError,
    pattern_of,
    plu,
    read_label,
    value_check_digit,
)
from cart_protocol.mass import Mass, grams, kilograms
from cart_protocol.money import Money


def with_check(digits: str) -> str:
    return digits + check_digit(digits)


# ── labels that a shop lays out itself ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("value", "digit"), [("2875", "9"), ("14685", "6")])
def test_check_digits_of_the_general_specifications_own_examples(value: str, digit: str) -> None:
    assert value_check_digit(value) == digit


@given(st.integers(0, 99_999), st.sampled_from([4, 5]), st.data())
def test_a_price_check_digit_finds_every_wrong_digit(number: int, length: int, data: st.DataObject) -> None:
    value = f"{number % 10**length:0{length}d}"
    at = data.draw(st.integers(0, length - 1))
    other = value[:at] + data.draw(st.sampled_from([d for d in "0123456789" if d != value[at]])) + value[at + 1 :]
    assert value_check_digit(other) != value_check_digit(value)


@given(st.integers(0, 99_999), st.integers(1, 9_999))
def test_a_label_with_a_price_check_digit_is_read(item: int, price: int) -> None:
    pattern = pattern_of("21IIIIIVPPPPC")
    assert (pattern.prefix, pattern.kind) == ("21", "price")
    label = with_check(f"21{item:05d}{value_check_digit(f'{price:04d}')}{price:04d}")
    assert read_label(label, [pattern], "EUR") == InStoreLabel(product=plu(f"{item:05d}"), marked=Money(price, "EUR"))


def test_a_mass_between_other_digits() -> None:
    pattern = pattern_of("0299IIIWWWWWC")
    assert read_label(with_check("029942100482"), [pattern], "EUR") == InStoreLabel(
        product=plu("00421"), marked_mass=grams(482)
    )
    assert read_label(with_check("028842100482"), [pattern], "EUR") is None


def test_a_wrong_price_check_digit_is_a_misread_label() -> None:
    with pytest.raises(CheckDigitError, match="9 expected"):
        read_label(with_check("210042182875"), [pattern_of("21IIIIIVPPPPC")], "EUR")


def test_the_layout_with_more_fixed_digits_wins() -> None:
    wide, narrow = pattern_of("21IIIIIPPPPPC"), pattern_of("219IIIIWWWWWC")
    label = read_label(with_check("219004200500"), [wide, narrow], "EUR")
    assert label == InStoreLabel(product=plu("00042"), marked_mass=grams(500))


@pytest.mark.parametrize(
    "layout",
    ["", "21IIIIIVPPPP", "41IIIIIVPPPPC", "21IIIIIVPPPWC", "21IIIPIPPPPPC", "21IIIIIVVPPPC", "21IIIIVPPPPPP",
     "21IIIIIIPPPPC", "21IIIIIVPPP0C", "2100000PPPPPC", "21IIIII00000C", "21iiiiivppppc"],
)  # fmt: skip
def test_layouts_that_cannot_be_are_refused(layout: str) -> None:
    with pytest.raises(LayoutError, match="21IIIIIVPPPPC"):
        pattern_of(layout)


# ── goods by weight ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "mass"),
    [
        ("(01)99520123456781(3103)001750", grams(1_750)),
        ("(01)99520123456781(3100)000002", kilograms(2)),
        ("(01)99520123456781(3105)000001", Mass(10)),
        ("(01)99520123456781(3202)000100", Mass(453_592)),  # a pound
        ("(01)99520123456781(3560)000001", Mass(31_103)),  # a troy ounce
        ("(01)99520123456781", None),
        ("(01)99520123456781(3303)001750", None),  # gross
    ],
)
def test_net_mass(text: str, mass: Mass | None) -> None:
    assert trade_measure.net_mass(parse_bracketed(text)) == mass


@pytest.mark.parametrize(
    ("text", "currency", "price"),
    [
        ("(3922)0795", "EUR", Money(795, "EUR")),
        ("(3920)0795", "JPY", Money(795, "JPY")),
        ("(3920)7", "EUR", Money(700, "EUR")),
        ("(3923)1230", "EUR", Money(123, "EUR")),
        ("(3932)9780795", "EUR", Money(795, "EUR")),
        ("(3932)8400795", "EUR", None),  # dollars: not a price of this shop
        ("(15)261231", "EUR", None),
    ],
)
def test_the_price_of_a_pack(text: str, currency: str, price: Money | None) -> None:
    assert trade_measure.price(parse_bracketed(text), currency) == price


@pytest.mark.parametrize("text", ["(3922)0", "(3923)1235", "(3932)97800"])
def test_a_price_that_nobody_can_pay(text: str) -> None:
    with pytest.raises(MarkedValueError, match="print it again"):
        trade_measure.price(parse_bracketed(text), "EUR")


def test_a_mass_or_count_of_zero_is_refused() -> None:
    with pytest.raises(MarkedValueError):
        trade_measure.net_mass(parse_bracketed("(3103)000000"))
    with pytest.raises(MarkedValueError):
        trade_measure.count(parse_bracketed("(30)0"))
    assert trade_measure.count(parse_bracketed("(30)12")) == 12


# ── dates ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("digits", "today", "day"),
    [
        ("261231", dt.date(2026, 11, 25), dt.date(2026, 12, 31)),
        ("260200", dt.date(2026, 11, 25), dt.date(2026, 2, 28)),
        ("280200", dt.date(2026, 11, 25), dt.date(2028, 2, 29)),
        ("760101", dt.date(2026, 1, 1), dt.date(2076, 1, 1)),
        ("770101", dt.date(2026, 1, 1), dt.date(1977, 1, 1)),
        ("000101", dt.date(2099, 1, 1), dt.date(2100, 1, 1)),
        ("000229", dt.date(2099, 1, 1), dt.date(2100, 2, 28)),
    ],
)
def test_the_century_of_a_date(digits: str, today: dt.date, day: dt.date) -> None:
    assert day_of(digits, today) == day


@given(st.dates(dt.date(1970, 1, 1), dt.date(2150, 1, 1)), st.integers(-48 * 365, 49 * 365))
def test_a_date_within_half_a_century_is_found_again(today: dt.date, days: int) -> None:
    day = today + dt.timedelta(days)
    assert day_of(f"{day:%y%m%d}", today) == day


# ── coupons ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_offer_with_a_serial_number_is_one_coupon() -> None:
    one = read_coupon("8112", "00" + "614141" + "123456" + "0" + "654321")
    assert (one.key, one.company, one.offer, one.serial) == ("8112:614141:123456:654321", "614141", "123456", "654321")


def test_everything_a_coupon_can_say() -> None:
    data = (
        "1" + "0614141" + "000012" + "3100" + "12" + "0" + "123"  # company, offer, save 1.00, on two of family 123
        + "1" + "0" + "11" + "0" + "321" + "9" + "2" + "11" + "3" + "000" + "0614142"  # second and third purchase
        + "3" + "271231" + "4" + "260101" + "5" + "1" + "7654321" + "6" + "1" + "0952012" + "9" + "0010"
    )  # fmt: skip
    one = read_coupon("8110", data)
    assert (one.key, one.starts, one.ends, one.serial) == ("8110:0614141:000012:7654321", "260101", "271231", "7654321")


def test_paper_without_a_serial_number_says_so() -> None:
    one = read_coupon("8110", "0614141" + "123456" + "1" + "1" + "1" + "1" + "0" + "123")
    assert one.serial is None
    assert one.key.startswith("8110:")


@given(st.sampled_from(["8110", "8112"]), st.text("0123456789", max_size=70))
def test_any_digits_are_a_coupon_or_refused_with_a_place(ai: str, data: str) -> None:
    try:
        read = read_coupon(ai, data)
    except PartError as fault:
        assert 0 <= fault.at <= len(data)  # noqa: PT017 - either outcome is right
    else:
        assert read.key.startswith(ai)


# ── books and periodicals ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_book_in_both_numbers() -> None:
    assert parse_isbn("0-306-40615-2") == parse_isbn("978-0-306-40615-7") == "9780306406157"
    assert isbn_10_of("9780306406157") == "0306406152"
    assert parse_isbn("0-8044-2957-x") == "9780804429573"
    assert isbn_10_of("9798602477030") is None


def test_a_periodical_in_its_ean() -> None:
    assert issn_of(with_check("977" + "0378595" + "03")) == "0378-5955"
    assert parse_issn("0378-5955") == "0378-5955"
    assert parse_issn("2434561X") == "2434-561X"
    assert issn_of("9780306406157") is None


def test_printed_music_is_no_book() -> None:
    assert isbn_of("9790060115615") is None


@pytest.mark.parametrize(
    ("text", "error"),
    [("0-306-40615-3", CheckDigitError), ("9780306406158", CheckDigitError), ("4006381333931", LengthError),
     ("030640615", LengthError), ("03064X6152", NotDigitsError), ("", NotDigitsError)],
)  # fmt: skip
def test_what_is_no_isbn(text: str, error: type[Gs1Error]) -> None:
    with pytest.raises(error):
        parse_isbn(text)


@pytest.mark.parametrize(
    ("text", "error"), [("0378-5956", CheckDigitError), ("378-5955", LengthError), ("X378-5955", NotDigitsError)]
)
def test_what_is_no_issn(text: str, error: type[Gs1Error]) -> None:
    with pytest.raises(error):
        parse_issn(text)
