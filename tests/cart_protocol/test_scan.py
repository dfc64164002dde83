"""From a decoder's symbology identifier and bytes to the product."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.gs1.check_digit import CheckDigitError, Gs1Error, check_digit
from cart_protocol.gs1.coupon import CouponCode
from cart_protocol.gs1.restricted import MarkedValueError, RestrictedPattern, read_label
from cart_protocol.gs1.scan import NotAProductCodeError, ScannedCode, read_code
from cart_protocol.mass import grams
from cart_protocol.money import Money

MASS_LABEL = RestrictedPattern(prefix="28", kind="mass")
PRICE_LABEL = RestrictedPattern(prefix="29", kind="price")
PATTERNS = (MASS_LABEL, PRICE_LABEL)


def scan(symbology: str, payload: str) -> ScannedCode:
    return product_of(symbology, payload.encode())


def product_of(
    symbology: str, payload: bytes, patterns: Sequence[RestrictedPattern] = PATTERNS, currency: str = "EUR"
) -> ScannedCode:
    found = read_code(symbology, payload, patterns, currency)
    assert isinstance(found, ScannedCode), "a coupon"
    return found


def with_check(digits: str) -> str:
    return digits + check_digit(digits)


@pytest.mark.parametrize(
    ("symbology", "payload", "gtin"),
    [
        ("]E0", "9520123456788", "09520123456788"),
        ("]E0", "0036000291452", "00036000291452"),  # zxing-cpp gives UPC-A so
        ("]E0", "0012345000065", "00012345000065"),  # and UPC-E 01234565 so
        ("]E3", "978073520044951299", "09780735200449"),  # with an add-on of five
        ("]E3", "977147396801200", "09771473968012"),  # with an add-on of two
        ("]E4", "02345673", "00000002345673"),
        ("]I1", "12312312312333", "12312312312333"),
        ("]C1", "0112312312312333235XYZ", "12312312312333"),
        ("]e0", "011231231231233310ABC123\x1d99TESTING", "12312312312333"),
        ("]e0", "0109520123456788", "09520123456788"),
        ("]Q3", "011231231231233310ABC123\x1d99TESTING", "12312312312333"),
        ("]d2", "0109520123456788", "09520123456788"),
        ("]Q1", "9520123456788", "09520123456788"),
        ("]Q1", "09520123456788", "09520123456788"),
        ("]Q1", "https://id.gs1.org/01/09520123456788", "09520123456788"),
        ("]Q1", "HTTPS://example.com/01/12312312312333?99=TEST", "12312312312333"),
        ("]Q1", "https://a:65535/01/12312312312333", "12312312312333"),
        ("]Q1", "https://[2001:db8::1]/01/12312312312333", "12312312312333"),
        ("]Q1", "https://a/gtin/12312312312333", "12312312312333"),
        ("]Q1", "https://a/stem/01/faux/01/12312312312333#", "12312312312333"),
        ("]Q1", "https://id.gs1.org/01/09520123456788/10/ABC1/21/12345?17=180426", "09520123456788"),
        ("]d1", "https://example.com/01/12312312312333?99=TEST", "12312312312333"),
    ],
)
def test_every_carrier_of_a_gtin_names_its_product(symbology: str, payload: str, gtin: str) -> None:
    code = scan(symbology, payload)
    assert (code.product, code.gtin, code.marked, code.marked_mass, code.text) == (gtin, gtin, None, None, payload)


@pytest.mark.parametrize(
    ("symbology", "payload"),
    [
        ("]C0", "12345"),
        ("]C0", "0109520123456788"),  # no FNC1: not GS1's
        ("]A0", "ABC"),
        ("", "9520123456788"),
        ("]E0", ""),
        ("]E0", "123456789012"),
        ("]E0", "12345678901234"),
        ("]E0", "952012345678X"),
        ("]E4", "1234567"),
        ("]E4", "12ABC678"),
        ("]E3", "97807352004495129"),
        ("]I1", "1231231231"),
        ("]C1", "00006141411234567890"),  # a parcel
        ("]C1", "01123123123123^10ABC"),
        ("]e0", "10ABC123"),
        ("]e0", ""),
        ("]Q3", "99TESTING"),
        ("]Q1", "TESTING"),
        ("]Q1", "https://example.com/offer"),
        ("]Q1", "https://a/00/006141411234567890"),
        ("]Q1", "https://a/01//12312312312333"),
        ("]Q1", "https://a/01/9520123456788"),  # not filled up to fourteen
        ("]Q1", "HtTps://example.com/01/12312312312333"),
        ("]Q1", "ftp://example.com/01/12312312312333"),
        ("]Q1", "https://a/01/12312312312333<bad"),
        ("]Q1", "https:///01/12312312312333"),
        ("]Q1", "https://example.com/search?q=/01/12312312312333"),
        ("]Q1", "12345"),
        ("]Q1", "٩٥٢٠١٢٣٤٥٦٧٨٨"),
    ],
)
def test_codes_that_name_no_product_are_refused(symbology: str, payload: str) -> None:
    with pytest.raises(NotAProductCodeError):
        scan(symbology, payload)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(NotAProductCodeError, match="not text"):
        product_of("]Q1", b"\xff\xfe\x00")


@pytest.mark.parametrize(
    ("symbology", "payload"),
    [
        ("]E0", "9520123456789"),
        ("]E4", "02345674"),
        ("]I1", "12312312312334"),
        ("]C1", "0112312312312334"),
        ("]Q1", "https://id.gs1.org/01/09520123456789"),
        ("]E0", "2800042012500"),
    ],
)
def test_a_misread_product_code_is_told_from_one_that_is_none(symbology: str, payload: str) -> None:
    with pytest.raises(CheckDigitError, match="expected"):
        scan(symbology, payload)


@given(st.sampled_from(["]E0", "]E3", "]E4", "]I1", "]C1", "]e0", "]Q1", "]Q3", "]d1", "]d2", "]C0"]), st.binary())
def test_any_bytes_have_an_answer(symbology: str, payload: bytes) -> None:
    try:
        code = read_code(symbology, payload, PATTERNS, "EUR")
    except Gs1Error:
        return
    assert isinstance(code, CouponCode) or code.text.encode() == payload


# ── what a symbol says of the pack on hand ───────────────────────────────────────────────────────────────────────────


def test_a_pack_by_weight_brings_its_mass_price_dates_and_lot() -> None:
    text = "0199520123456781" + "3103000482" + "39220959" + "\x1d" + "15261201" + "17261215" + "10LOT7"
    code = scan("]e0", text)
    assert (code.product, code.marked_mass, code.marked) == ("99520123456781", grams(482), Money(959, "EUR"))
    assert (code.lot, code.best_before, code.use_by, code.serial) == ("LOT7", "261201", "261215", None)


def test_a_link_on_a_pack_brings_the_same() -> None:
    code = scan("]Q1", "https://id.example/01/09520123456788/10/LOT7/21/42?17=261215&30=6&16=261130")
    assert (code.product, code.lot, code.serial, code.use_by) == ("09520123456788", "LOT7", "42", "261215")
    assert (code.count, code.sell_by) == (6, "261130")


def test_a_use_by_time_is_its_day() -> None:
    assert scan("]d2", "0109520123456788" + "70032612151800").use_by == "261215"


@pytest.mark.parametrize("symbology", ["]Q2", "]d4"])
def test_a_link_in_a_symbol_that_declares_its_character_set(symbology: str) -> None:
    assert scan(symbology, "https://id.example/01/09520123456788").gtin == "09520123456788"


@pytest.mark.parametrize("symbology", ["]Q4", "]d5", "]J1"])
def test_elements_in_the_rarer_gs1_symbols(symbology: str) -> None:
    assert scan(symbology, "0109520123456788").gtin == "09520123456788"


def test_a_book_with_its_price_and_a_periodical_with_its_issue() -> None:
    book, paper = scan("]E3", "978030640615751299"), scan("]E3", with_check("977037859503") + "07")
    assert (book.isbn, book.issn, book.add_on) == ("9780306406157", None, "51299")
    assert (paper.isbn, paper.issn, paper.add_on) == (None, "0378-5955", "07")


def test_a_composite_dates_the_number_beneath_it() -> None:
    code = scan("]E0", "9520123456788" + "|]e0" + "17261215" + "10A")
    assert (code.gtin, code.use_by, code.lot) == ("09520123456788", "261215", "A")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("0109520123456788" + "17261315", r"AI \(17\), character 21, rule 'month'"),
        ("0199520123456781" + "3103000482" + "3102000482", "never with"),
        ("0109520123456788" + "10A\x1d" + "10B", "once per pack"),
    ],
)
def test_a_pack_that_says_something_impossible_is_no_pack_to_charge(text: str, what: str) -> None:
    with pytest.raises(NotAProductCodeError, match=what):
        scan("]e0", text)


def test_a_coupon_is_told_from_a_product() -> None:
    payload = b"8112" + b"00" + b"614141" + b"123456" + b"0" + b"654321"
    found = read_code("]e0", payload, PATTERNS, "EUR")
    assert isinstance(found, CouponCode)
    assert found.key == "8112:614141:123456:654321"


# ── in-store labels ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_mass_label_names_the_shops_own_item_and_its_mass() -> None:
    label = with_check("28" + "00042" + "01250")
    assert scan("]E0", label) == ScannedCode(
        product="plu:00042", gtin=None, marked=None, marked_mass=grams(1250), text=label
    )


def test_a_price_label_names_the_shops_own_item_and_its_price() -> None:
    label = with_check("29" + "00317" + "00499")
    code = scan("]E0", label)
    assert (code.product, code.gtin, code.marked, code.marked_mass) == ("plu:00317", None, Money(499, "EUR"), None)


@given(st.integers(0, 99_999), st.integers(1, 99_999))
def test_whatever_the_label_printer_wrote_is_read(item: int, value: int) -> None:
    code = scan("]E0", with_check(f"29{item:05d}{value:05d}"))
    assert (code.product, code.marked) == (f"plu:{item:05d}", Money(value, "EUR"))


def test_an_in_store_number_without_a_pattern_is_an_ordinary_catalogue_number() -> None:
    code = scan("]E0", "2112345678900")
    assert (code.product, code.gtin, code.marked) == ("02112345678900", "02112345678900", None)


def test_upc_number_system_2_is_prefix_02() -> None:
    label = with_check("02" + "00042" + "00350")
    pattern = RestrictedPattern(prefix="02", kind="price")
    assert product_of("]E0", label.encode(), [pattern], "USD").marked == Money(350, "USD")


def test_the_longest_prefix_wins() -> None:
    narrow = RestrictedPattern(prefix="289", kind="price")
    assert read_label("2890042005001", [MASS_LABEL, narrow], "EUR") == read_label(
        "2890042005001", [narrow, MASS_LABEL], "EUR"
    )
    found = read_label("2890042005001", [MASS_LABEL, narrow], "EUR")
    assert found is not None
    assert found.marked == Money(500, "EUR")


def test_a_label_without_a_value_is_refused() -> None:
    with pytest.raises(MarkedValueError, match="mass of zero"):
        scan("]E0", with_check("28" + "00042" + "00000"))
