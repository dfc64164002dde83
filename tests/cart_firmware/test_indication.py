"""What the scale may show: zero, motion, overload, approximate or sealed for trade."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_firmware.core.indication import STABLE_US, Dial, Shows
from cart_protocol.mass import ZERO, Mass, grams, kilograms

SEALED = Dial(division=grams(5), capacity=kilograms(50), sealed=True)
OPEN = Dial(division=grams(5), capacity=kilograms(50), sealed=False)
SLICE_US = 25_000


@pytest.mark.parametrize(
    ("gross", "stable_us", "state", "text"),
    [
        (ZERO, STABLE_US, Shows.ZERO, "0.000 kg"),
        (Mass(1_250), STABLE_US, Shows.ZERO, "0.000 kg"),
        (Mass(1_251), STABLE_US, Shows.STABLE, "0.000 kg"),
        (grams(1_253), STABLE_US, Shows.STABLE, "1.255 kg"),
        (grams(1_253), STABLE_US - 1, Shows.MOVING, "-----"),
        (grams(50_045), STABLE_US, Shows.STABLE, "50.045 kg"),
        (grams(50_046), STABLE_US, Shows.OVERLOAD, "-----"),
        (grams(-101), STABLE_US, Shows.UNDER_ZERO, "-----"),
    ],
)
def test_a_sealed_scale_shows_divisions_at_rest_and_dashes_otherwise(
    gross: Mass, stable_us: int, state: Shows, text: str
) -> None:
    shown = SEALED.indicate(gross, ZERO, stable_us)
    assert (shown.state, shown.text) == (state, text)


def test_an_unsealed_scale_says_about_and_still_refuses_an_overload() -> None:
    assert OPEN.indicate(grams(1_253), ZERO, 0).text.startswith("≈ ")
    assert OPEN.indicate(grams(50_046), ZERO, STABLE_US).text == "-----"


@given(st.lists(st.tuples(st.integers(-3_000, 3_000), st.booleans()), max_size=300))
def test_zero_is_tracked_only_at_rest_near_zero_slowly_and_within_four_percent(
    seen: list[tuple[int, bool]],
) -> None:
    zero = ZERO
    for gross, rests in seen:
        moved = SEALED.tracked(Mass(gross), zero, STABLE_US if rests else 0, SLICE_US)
        if not rests or abs(gross) > SEALED.division // 4:
            assert moved == zero
        assert abs(moved - zero) <= SEALED.division // 2 * SLICE_US // 1_000_000
        assert abs(moved) <= SEALED.capacity // 25
        zero = moved


def test_a_zero_that_went_too_far_is_said() -> None:
    zero = Mass(SEALED.capacity // 25)
    assert SEALED.tracked(Mass(1_000), zero, STABLE_US, SLICE_US) == zero
    assert SEALED.indicate(ZERO, zero, STABLE_US).state is Shows.ZERO_LOST
