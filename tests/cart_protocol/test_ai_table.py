"""The table of application identifiers: whole, without contradictions, and as the General Specifications have it."""

import itertools

import pytest

from cart_protocol.gs1 import application_identifiers as table
from cart_protocol.gs1.content import RULES


def test_no_ai_is_the_beginning_of_another() -> None:
    ais = sorted(table.AIS)
    assert [pair for pair in itertools.pairwise(ais) if pair[1].startswith(pair[0])] == []


def test_every_rule_is_used_and_every_used_rule_exists() -> None:
    used = {rule for one in table.AIS.values() for part in one.parts for rule in part.rules}
    assert used == set(RULES)


def test_only_the_last_part_varies_and_nothing_must_follow_what_may_be_missing() -> None:
    for one in table.AIS.values():
        assert all(part.least == part.most for part in one.parts[:-1]), one.ai
        optional = [part.optional for part in one.parts]
        assert optional == sorted(optional), one.ai


def test_what_needs_no_separator_has_one_length() -> None:
    for one in table.AIS.values():
        if one.predefined_length:
            assert one.least == one.most, one.ai


@pytest.mark.parametrize("ai", ["00", "01", "02", "11", "17", "20", "3103", "3602", "3695", "410", "417"])
def test_predefined_lengths(ai: str) -> None:
    found = table.find(ai)
    assert found is not None
    assert found.predefined_length


@pytest.mark.parametrize(("ai", "most"), [("10", 20), ("21", 20), ("3922", 15), ("8020", 25), ("99", 90), ("8112", 70)])
def test_variable_lengths(ai: str, most: int) -> None:
    found = table.find(ai)
    assert found is not None
    assert not found.predefined_length
    assert (found.least, found.most) == (1, most)


def test_every_ai_that_another_names_exists() -> None:
    named = {
        pattern
        for one in table.AIS.values()
        for pattern in (
            *one.never_with,
            *(ai for demand in one.needs for alternative in demand for ai in alternative),
            *(ai for sequence in one.sequences for ai in sequence),
        )
    }
    assert [pattern for pattern in named if not any(table.matches(pattern, ai) for ai in table.AIS)] == []


def test_a_gtin_and_what_may_follow_it_in_a_link() -> None:
    gtin = table.find("01")
    assert gtin is not None
    assert (gtin.is_key, gtin.sequences) == (True, (("22", "10", "21"), ("235",)))


@pytest.mark.parametrize("text", ["", "3", "04", "31", "310", "3106", "89", "\u0660\u0661"])
def test_digits_that_are_assigned_to_nothing(text: str) -> None:
    assert table.at_start_of(text) is None
