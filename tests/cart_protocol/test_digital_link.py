"""GS1 Digital Link: what a web address on a pack says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.gs1.check_digit import CheckDigitError, Gs1Error
from cart_protocol.gs1.digital_link import CompressedDigitalLinkError, DigitalLinkError, parse_digital_link
from cart_protocol.gs1.element import ElementError, Elements, PairingError, RepeatedAiError, UnknownAiError

KEY = "https://example.com/01/09520123456788"


def pairs(elements: Elements) -> list[tuple[str, str]]:
    return [(element.ai, element.data) for element in elements]


def test_key_qualifiers_and_attributes() -> None:
    found = parse_digital_link(f"{KEY}/22/2A/10/AB%2FC/21/7?17=261231&linkType=gs1:pip&3103=000500#more")
    assert pairs(found) == [
        ("01", "09520123456788"), ("22", "2A"), ("10", "AB/C"), ("21", "7"), ("17", "261231"), ("3103", "000500"),
    ]  # fmt: skip


def test_a_value_that_looks_like_a_key_is_a_value() -> None:
    assert pairs(parse_digital_link(f"{KEY}/10/01")) == [("01", "09520123456788"), ("10", "01")]


def test_anything_may_stand_before_the_key() -> None:
    assert pairs(parse_digital_link("http://example.com:8080/a/01/b/01/09520123456788")) == [("01", "09520123456788")]


def test_names_of_the_first_releases() -> None:
    assert pairs(parse_digital_link("https://example.com/gtin/09520123456788/lot/A/ser/7")) == [
        ("01", "09520123456788"), ("10", "A"), ("21", "7"),
    ]  # fmt: skip


def test_a_short_gtin_only_where_it_is_asked_for() -> None:
    link = "https://example.com/01/9520123456788"
    assert pairs(parse_digital_link(link, short_gtins=True)) == [("01", "09520123456788")]
    with pytest.raises(ElementError):
        parse_digital_link(link)


def test_unknown_attributes_only_where_they_are_asked_for() -> None:
    assert pairs(parse_digital_link(f"{KEY}?89=X", unknown_attributes=True))[1:] == [("89", "X")]
    with pytest.raises(UnknownAiError):
        parse_digital_link(f"{KEY}?89=X")


@pytest.mark.parametrize(
    ("link", "error"),
    [
        (f"{KEY}/21/7/10/A", DigitalLinkError),  # the other way round
        (f"{KEY}/235/X/10/A", DigitalLinkError),  # of two alternatives
        (f"{KEY}/17/261231", DigitalLinkError),  # an attribute
        (f"{KEY}/", DigitalLinkError),
        (f"{KEY}?10=A", PairingError),  # a qualifier
        (f"{KEY}?21=A", PairingError),
        (f"{KEY}?8200=A", PairingError),  # nowhere in a link
        (f"{KEY}?17=261231&17=261231", RepeatedAiError),
        (f"{KEY}?01=09520123456788", RepeatedAiError),
        (f"{KEY}?17=261331", ElementError),
        ("https://example.com/01/09520123456789", CheckDigitError),
        ("https://example.com", DigitalLinkError),
        ("https://example.com/offers", DigitalLinkError),
        ("HttpS://example.com/01/09520123456788", DigitalLinkError),
        ("https://user@example.com/01/09520123456788", DigitalLinkError),
        (f"{KEY}/10/A%2", DigitalLinkError),
        (f"{KEY}/10/Ä", DigitalLinkError),
        (f"{KEY}/10/%C3%84", ElementError),
        ("", DigitalLinkError),
    ],
)
def test_what_is_no_digital_link(link: str, error: type[Gs1Error]) -> None:
    with pytest.raises(error):
        parse_digital_link(link)


def test_the_compressed_form_is_refused_by_name() -> None:
    """The first byte of it is the AI: 0x01 for a GTIN."""
    with pytest.raises(CompressedDigitalLinkError, match="compressed form") as raised:
        parse_digital_link("https://example.com/AREkNDVmeIiqu8w")
    assert raised.value.position == 21


@given(st.text(alphabet="https:/example.01%?&=#+[]952 \0é", max_size=60))
def test_any_text_has_an_answer(text: str) -> None:
    for link in (text, KEY + text):
        try:
            parse_digital_link(link, short_gtins=True, unknown_attributes=True)
        except Gs1Error:
            continue
