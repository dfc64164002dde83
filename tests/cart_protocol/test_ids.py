"""Ids that stand in topics must not be able to mean anything else there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.ids import InvalidIdError, cart_id, store_id


@pytest.mark.parametrize("text", ["c1", "cart-17", "0", "a" * 32, "1-2-3"])
def test_letters_digits_and_hyphens_are_fine(text: str) -> None:
    assert cart_id(text) == text
    assert store_id(text) == text


@pytest.mark.parametrize("text", ["", "-c1", "C1", "c 1", "c1\n", "c/1", "+", "#", "c1/#", "ä", "a" * 33, "c.1", "c_1"])
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidIdError, match=r"cart id .* is not 1 to 32 lower-case letters"):
        cart_id(text)
    with pytest.raises(InvalidIdError, match="store id"):
        store_id(text)


@given(st.text(max_size=40))
def test_what_is_accepted_is_one_level_of_a_topic(text: str) -> None:
    try:
        accepted = cart_id(text)
    except InvalidIdError:
        return
    assert accepted == text
    assert not set(accepted) & set("/+#$\0 ")
