"""Element strings, with and without FNC1 and in brackets; every error names AI, position and rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.gs1 import application_identifiers as table
from cart_protocol.gs1.check_digit import CheckDigitError, Gs1Error, check_digit
from cart_protocol.gs1.content import CHARACTERS, check_pair
from cart_protocol.gs1.element import (
    AiCheckDigitError,
    CharacterError,
    ContentError,
    DataLengthError,
    Element,
    ElementError,
    Elements,
    PairingError,
    RepeatedAiError,
    UnknownAiError,
    checked,
)
from cart_protocol.gs1.element_string import (
    BracketError,
    EmptyElementStringError,
    parse_bracketed,
    parse_element_string,
)
from cart_protocol.gs1.pairing import require_compatible, require_pairing
from measure.gs1 import fuzz

GS = "\x1d"


def pairs(elements: Elements) -> list[tuple[str, str]]:
    return [(element.ai, element.data) for element in elements]


@pytest.mark.parametrize(
    "text",
    [
        f"010952012345678810LOT-7{GS}17261231",
        f"{GS}010952012345678810LOT-7{GS}17261231",  # FNC1 in front, as some scanners send it
        f"0109520123456788{GS}10LOT-7{GS}17261231",  # and where none is needed
        f"010952012345678810LOT-7{GS}17261231{GS}",
    ],
)
def test_a_separator_ends_what_has_no_length_of_its_own(text: str) -> None:
    assert pairs(parse_element_string(text)) == [("01", "09520123456788"), ("10", "LOT-7"), ("17", "261231")]


def test_without_a_separator_the_rest_belongs_to_the_lot() -> None:
    assert pairs(parse_element_string("010952012345678810LOT17261231")) == [
        ("01", "09520123456788"),
        ("10", "LOT17261231"),
    ]


def test_brackets_are_ais_and_escaped_ones_are_data() -> None:
    elements = parse_bracketed("(01)09520123456788(10)A\\(1)(17)261231")
    assert pairs(elements) == [("01", "09520123456788"), ("10", "A(1)"), ("17", "261231")]
    assert elements.bracketed() == "(01)09520123456788(10)A\\(1)(17)261231"
    assert elements.element_string() == f"010952012345678810A(1){GS}17261231"


def test_positions_are_those_of_what_was_read() -> None:
    assert [element.position for element in parse_element_string(f"010952012345678810AB{GS}17261231")] == [3, 19, 24]


@pytest.mark.parametrize(
    ("text", "error", "ai", "position", "rule"),
    [
        ("0109520123456789", AiCheckDigitError, "01", 16, "check"),
        ("010952012345678", DataLengthError, "01", 16, "length"),
        ("0109520123456A88", CharacterError, "01", 14, "characters"),
        ("17261301", ContentError, "17", 5, "month"),
        ("17260230", ContentError, "17", 7, "month"),
        ("7003261200" + "2359", ContentError, "7003", 9, "day"),
        ("7003261201" + "2460", ContentError, "7003", 11, "time"),
        (f"10{GS}17261231", DataLengthError, "10", 3, "length"),
        ("10" + "A" * 21, DataLengthError, "10", 23, "length"),
        ("10A B", CharacterError, "10", 4, "characters"),
        ("0109520123456788" + "89X", UnknownAiError, "89…", 17, "assigned"),
        (f"10A{GS}10B", RepeatedAiError, "10", 7, "once per pack"),
        ("3932280100", ContentError, "3932", 5, "currency"),
        ("393200", DataLengthError, "3932", 7, "length"),
        ("422276422", DataLengthError, "422", 7, "length"),
        ("8003" + "1" + "9520123456788", ContentError, "8003", 5, "zero"),
        ("8013" + "1987654Ad4X4bL5ttr2310c2X", AiCheckDigitError, "8013", 28, "pair"),
        ("8030AB=C", ContentError, "8030", 7, "padding"),
        ("43021%2X", ContentError, "4302", 6, "percent"),
        ("7041ZZZZ", ContentError, "7041", 5, "package"),
    ],
)
def test_an_error_names_ai_position_and_rule(
    text: str, error: type[ElementError], ai: str, position: int, rule: str
) -> None:
    with pytest.raises(error) as raised:
        parse_element_string(text)
    assert (raised.value.ai, raised.value.position, raised.value.rule) == (ai, position, rule)
    assert f"AI ({ai}), character {position}" in str(raised.value)
    assert "expected was" in str(raised.value)


def test_a_wrong_check_digit_in_an_element_is_a_misread_code_like_any_other() -> None:
    with pytest.raises(CheckDigitError, match="read it again"):
        parse_element_string("0109520123456789")


@pytest.mark.parametrize(
    "text",
    [
        "00006141411234567890",
        "8007DE89370400440532013000",
        "8008261231" + "23",
        "8008261231" + "235959",
        "423276756",
        "4330001234-",
        "4309" + "0900000000" + "1800000000",
        "7258" + "1/3",
        "8013" + "1987654Ad4X4bL5ttr2310c2K",
        "80260" + "9520123456788" + "0102",
        "17260200",
        "7041200",
        "8040490154203237518",
        "804389490200001234567890",
    ],
)
def test_sound_data_of_rarer_ais(text: str) -> None:
    assert parse_element_string(text).element_string() == text


@pytest.mark.parametrize("text", ["", GS])
def test_a_symbol_with_nothing_in_it(text: str) -> None:
    with pytest.raises(EmptyElementStringError):
        parse_element_string(text)


@pytest.mark.parametrize(("text", "position"), [("01", 1), ("(01", 1), ("(1)5", 1), ("(10)A\\", None), ("(0x)5", 1)])
def test_a_text_that_is_not_ais_in_brackets(text: str, position: int | None) -> None:
    with pytest.raises(Gs1Error) as raised:
        parse_bracketed(text)
    if position:
        assert isinstance(raised.value, BracketError)
        assert raised.value.position == position


@given(st.text(CHARACTERS["x"][0], max_size=40))
def test_a_check_pair_finds_its_own(text: str) -> None:
    if 5 <= len(text) <= 23 and text[:4].isdigit():
        checked(table.AIS["8013"], text + check_pair(text), 1)


@st.composite
def sound(draw: st.DrawFn) -> Element:
    identifier = draw(st.sampled_from([table.AIS[ai] for ai in ("01", "10", "17", "21", "30", "3103", "3922", "99")]))
    (part,) = identifier.parts
    data = draw(st.text(CHARACTERS[part.characters][0], min_size=part.least, max_size=part.most))
    if "check" in part.rules:
        data = data[:-1] + check_digit(data[:-1])
    return Element(identifier.ai, "261231" if "month" in part.rules else data)


@given(st.lists(sound(), min_size=1, max_size=6, unique_by=lambda element: element.ai))
def test_what_is_written_is_read(written: list[Element]) -> None:
    elements = Elements(tuple(written))
    assert pairs(parse_element_string(elements.element_string())) == pairs(elements)
    assert pairs(parse_bracketed(elements.bracketed())) == pairs(elements)


# ── what goes together ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    ["(01)09520123456788(17)261231", "(01)99520123456781(3103)000500(3922)199", "(01)09520123456788(21)7(250)8"],
)
def test_what_goes_together(text: str) -> None:
    require_pairing(parse_bracketed(text))


@pytest.mark.parametrize(
    ("text", "ai", "rule"),
    [
        ("(17)261231", "17", "needs"),
        ("(01)09520123456788(3922)199", "3922", "needs"),  # a price of what amount?
        ("(01)09520123456788(250)8", "250", "needs"),
        ("(01)09520123456788(8030)AB", "8030", "needs"),  # a signature of which piece?
        ("(01)09520123456788(37)6", "01", "never with"),
        ("(01)99520123456781(3103)000500(3102)000500", "3103", "never with"),  # which of the two?
    ],
)
def test_what_does_not_go_together(text: str, ai: str, rule: str) -> None:
    with pytest.raises(PairingError) as raised:
        require_pairing(parse_bracketed(text))
    assert (raised.value.ai, raised.value.rule) == (ai, rule)


def test_what_one_symbol_lacks_another_may_have() -> None:
    require_compatible(parse_bracketed("(17)261231"))


# ── anything at all ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_random_and_mutated_texts_are_read_or_refused_by_name() -> None:
    met = fuzz(4_000, seed=20)
    for reader in ("scan", "element string", "bracketed", "Digital Link"):
        assert met[reader][""] > 10, "texts that are never read try nothing"
        assert len(met[reader]) > 3


@given(st.text())
def test_any_text_has_an_answer(text: str) -> None:
    for read in (parse_element_string, parse_bracketed):
        try:
            read(text)
        except Gs1Error:
            continue
