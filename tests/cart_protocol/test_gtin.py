"""UPC-A, UPC-E, EAN-8, EAN-13 and ITF-14 are one number: the GTIN-14."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.gs1.check_digit import CheckDigitError, LengthError, NotDigitsError, check_digit
from cart_protocol.gs1.gtin import compress_upc_a, expand_upc_e, gtin_of, gtin_of_upc_e


@pytest.mark.parametrize(
    ("printed", "gtin"),
    [
        ("036000291452", "00036000291452"),
        ("0036000291452", "00036000291452"),
        ("00036000291452", "00036000291452"),
        ("4006381333931", "04006381333931"),
        ("02345673", "00000002345673"),
        ("12312312312333", "12312312312333"),
    ],
)
def test_every_printed_form_becomes_fourteen_digits(printed: str, gtin: str) -> None:
    assert gtin_of(printed) == gtin


@given(st.sampled_from([7, 11, 12, 13]).flatmap(lambda size: st.text("0123456789", min_size=size, max_size=size)))
def test_a_gtin_is_its_own_gtin(digits: str) -> None:
    gtin = gtin_of(digits + check_digit(digits))
    assert len(gtin) == 14
    assert gtin_of(gtin) == gtin


@pytest.mark.parametrize("digits", ["1", "1234567", "123456789", "0123456789", "01234567890", "012345678901234"])
def test_other_lengths_are_no_gtin(digits: str) -> None:
    with pytest.raises(LengthError, match="8, 12, 13 or 14 digits expected"):
        gtin_of(digits)


def test_a_misread_digit_is_refused() -> None:
    with pytest.raises(CheckDigitError):
        gtin_of("4006381333930")
    with pytest.raises(NotDigitsError):
        gtin_of("400638133393X")


@pytest.mark.parametrize(
    ("upc_e", "upc_a"),
    [
        # One row per rule of zero suppression; the first and last as zxing-cpp and its writer have them.
        ("01234505", "012000003455"),
        ("01234514", "012100003454"),
        ("04252614", "042100005264"),
        ("01234531", "012300000451"),
        ("01234543", "012340000053"),
        ("01234565", "012345000065"),
    ],
)
def test_upc_e_expands_and_compresses(upc_e: str, upc_a: str) -> None:
    assert expand_upc_e(upc_e) == upc_a
    assert compress_upc_a(upc_a) == upc_e
    assert gtin_of_upc_e(upc_e) == "00" + upc_a


@given(st.integers(0, 999_999))
def test_every_upc_e_survives_the_way_through_upc_a(body: int) -> None:
    bare = expand_upc_e(f"0{body:06d}0")[:-1]
    upc_a = bare + check_digit(bare)
    upc_e = compress_upc_a(upc_a)
    assert upc_e is not None
    assert expand_upc_e(upc_e) == upc_a
    assert gtin_of_upc_e(upc_e) == gtin_of(upc_a)


@pytest.mark.parametrize("upc_a", ["036000291452", "112345000062", "012345678905"])
def test_most_upc_a_have_no_short_form(upc_a: str) -> None:
    assert compress_upc_a(upc_a) is None


def test_eight_digits_that_are_no_upc_e_are_refused() -> None:
    with pytest.raises(LengthError, match="8 digits of a UPC-E, the first of them 0"):
        expand_upc_e("11234565")
    with pytest.raises(LengthError):
        expand_upc_e("0123456")
    with pytest.raises(CheckDigitError):
        gtin_of_upc_e("01234566")
    with pytest.raises(LengthError, match="12 digits of a UPC-A"):
        compress_upc_a("0123456789012")
