"""The second opinion on an answer, against drawn symbols: right codes agree however they lie, wrong ones never."""

import math
from collections.abc import Sequence
from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cart_firmware.perception.agreement import NONE, Agreement
from cart_firmware.perception.agreement import agreement as asked
from cart_firmware.perception.ean_model import Symbology, encode
from cart_firmware.perception.reading import Corners

Picture = NDArray[np.uint8]
CODES: tuple[tuple[str, Symbology], ...] = (
    ("4006381333931", "EAN13"),
    ("0036000291452", "UPCA"),
    ("96385074", "EAN8"),
    ("0042100005264", "UPCE"),
)
WIDE, HIGH = 640, 480
_FINE = 8
"""Pixels per module of the drawing that the camera's picture is taken of."""


def seen(
    digits: str,
    symbology: Symbology,
    *,
    module: float = 2.2,
    angle: float = 0.0,
    blur: float = 0.4,
    noise: float = 4.0,
    rows: int = 60,
) -> tuple[Picture, Corners]:
    """A camera's picture (blur in modules, noise of 150 contrast, angle in degrees), and the true corners."""
    layout, family, word = encode(digits, symbology)
    row = np.pad(layout.row(family, word), 11)
    sharp = np.repeat(np.repeat((200 - 150 * row).astype(np.uint8), _FINE)[None], rows * _FINE, axis=0)
    drawn = cv2.GaussianBlur(sharp, (0, 0), blur * _FINE)
    turn = math.radians(angle)
    step = module / _FINE * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    middle = np.array(drawn.shape[::-1]) / 2
    place = np.column_stack([step, np.array([WIDE, HIGH]) / 2 - step @ middle])
    clean = cv2.warpAffine(drawn, place, (WIDE, HIGH), flags=cv2.INTER_AREA, borderValue=(200,))
    picture = np.clip(clean + np.random.default_rng(3).normal(0, noise, clean.shape), 0, 255).astype(np.uint8)
    wide, high = layout.modules * _FINE / 2, rows * _FINE / 2 * 0.8
    ends = ((-wide, -high), (wide, -high), (wide, high), (-wide, high))
    return picture, from_first([place @ (middle[0] + x, middle[1] + y, 1) for x, y in ends])


def from_first(points: Sequence[NDArray[np.float64]], first: int = 0) -> Corners:
    """Four points as corners, counted from another one."""
    one, two, three, four = (
        (round(float(x)), round(float(y))) for x, y in (points[(first + at) % 4] for at in range(4))
    )
    return one, two, three, four


def agreement(picture: Picture, corners: Corners, digits: str) -> Agreement:
    """What is said where the corners are wide enough."""
    found = asked(picture, corners, digits)
    assert found is not None
    return found


def middle_row(corners: Corners, shorter: float = 0.0) -> Corners:
    """The corners of an answer that was read on one row, `shorter` by that share at both ends."""
    outline = np.array(corners, float)
    left, right = outline[[0, 3]].mean(0), outline[[1, 2]].mean(0)
    inward = (right - left) * shorter
    (x0, y0), (x1, y1) = (tuple(int(v) for v in np.rint(end)) for end in (left + inward, right - inward))
    return ((x0, y0), (x1, y1), (x1, y1 + 1), (x0, y0 + 1))


def checked(body: str) -> str:
    total = sum(int(digit) * (3, 1)[at % 2] for at, digit in enumerate(reversed(body)))
    return body + str(-total % 10)


@given(
    st.sampled_from(CODES),
    st.floats(0, 360),
    st.floats(0.15, 0.6),
    st.floats(0, 12),
)
def test_a_right_code_agrees_at_any_angle_blurred_and_noisy(
    code: tuple[str, Symbology], angle: float, blur: float, noise: float
) -> None:
    picture, corners = seen(*code, angle=angle, blur=blur, noise=noise)
    found = agreement(picture, corners, code[0])
    assert found.agrees, found


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("first", range(4))
def test_a_decoder_that_does_not_know_which_corner_is_first_is_right_all_the_same(
    code: tuple[str, Symbology], first: int
) -> None:
    picture, corners = seen(*code, angle=200)
    turned = from_first([np.array(corner, np.float64) for corner in corners], first)
    assert agreement(picture, turned, code[0]).agrees


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("angle", [0, 8, 90])
@pytest.mark.parametrize("shorter", [-0.03, 0.0, 0.03])
def test_the_corners_may_be_those_of_one_row_and_a_little_off(
    code: tuple[str, Symbology], angle: float, shorter: float
) -> None:
    picture, corners = seen(*code, angle=angle)
    assert agreement(picture, middle_row(corners, shorter), code[0]).agrees


def test_a_decoder_that_tells_where_half_of_the_symbol_lies_is_right_all_the_same() -> None:
    picture, corners = seen(*CODES[0])
    left, right = np.array(corners[0]), np.array(corners[1])
    x, y = (int(v) for v in (left + right) // 2)
    assert agreement(picture, (corners[0], (x, y), (x, y + 1), corners[0]), CODES[0][0]).agrees


def test_a_label_around_a_can_is_narrower_towards_its_sides_and_agrees() -> None:
    picture, corners = seen(*CODES[0], module=3.0, rows=80)
    x = np.arange(WIDE, dtype=np.float32)
    bent = WIDE / 2 + 250 * np.arcsin(np.clip((x - WIDE / 2) / 230, -0.95, 0.95))
    grid = np.broadcast_to(bent.astype(np.float32), (HIGH, WIDE))
    can = cv2.remap(picture, grid, np.mgrid[:HIGH, :WIDE][0].astype(np.float32), cv2.INTER_LINEAR)
    ends = [int(np.abs(bent - corner[0]).argmin()) for corner in corners[:2]]
    (_, top), (_, bottom) = corners[1:3]
    around = ((ends[0], top), (ends[1], top), (ends[1], bottom), (ends[0], bottom))
    assert agreement(np.asarray(can, np.uint8), around, CODES[0][0]).agrees


@pytest.mark.parametrize("blur", [0.3, 0.6])
@pytest.mark.parametrize(("digits", "symbology"), [CODES[0], CODES[2]])
def test_no_code_that_differs_in_one_digit_and_the_check_digit_agrees(
    digits: str, symbology: Symbology, blur: float
) -> None:
    picture, corners = seen(digits, symbology, blur=blur)
    for at in range(len(digits) - 1):
        for other in set("0123456789") - {digits[at]}:
            wrong = checked(digits[:at] + other + digits[at + 1 : -1])
            found = agreement(picture, corners, wrong)
            assert not found.agrees, (wrong, found)


def test_no_code_with_two_digits_exchanged_that_keeps_its_check_digit_agrees() -> None:
    digits, symbology = "4006381333931", "EAN13"
    picture, corners = seen(digits, "EAN13")
    for first, second in combinations(range(1, 12), 2):
        swapped = list(digits)
        swapped[first], swapped[second] = swapped[second], swapped[first]
        wrong = "".join(swapped)
        if wrong != digits and checked(wrong[:-1]) == wrong:
            assert not agreement(picture, corners, wrong).agrees, (wrong, symbology)


def test_the_likelihood_falls_as_the_picture_gets_worse() -> None:
    clear, poor = (
        agreement(*seen(*CODES[0], blur=blur, noise=noise), CODES[0][0]) for blur, noise in ((0.3, 2), (0.6, 14))
    )
    assert clear.nats > 1.2 * poor.nats > 0
    assert clear.fit > poor.fit


def followed_by_bars(digits: str, symbology: Symbology) -> tuple[Picture, Corners]:
    """A row that goes on with bars at the end of a short symbol, as within a longer one."""
    picture, corners = seen(digits, symbology)
    after = np.array([0, 1, 1, 0, 1] + [1, 0, 0, 1, 1, 0, 1] * 5, np.uint8)
    (_, top), (right, _) = corners[0], corners[1]
    bottom = corners[2][1]
    bars = cv2.resize(
        (200 - 150 * after)[None].astype(np.uint8), (int(after.size * 2.2), 1), interpolation=cv2.INTER_AREA
    )
    picture[top - 12 : bottom + 12, right : right + bars.shape[1]] = bars
    return picture, corners


@pytest.mark.parametrize(("digits", "symbology"), CODES[2:])
def test_a_short_code_with_bars_where_its_quiet_zone_should_be_disagrees(digits: str, symbology: Symbology) -> None:
    found = agreement(*followed_by_bars(digits, symbology), digits)
    assert found.shown
    assert not found.agrees


def test_the_left_half_of_an_ean_13_is_no_upc_e() -> None:
    # The sets of 780441 after a 9 are those of a UPC-E of number system 1 with the check digit 9, and it is valid.
    picture, corners = seen("9780441014989", "EAN13")
    (x0, y0), (x1, _), (_, y2), _ = corners
    half = x0 + round((x1 - x0) * 51 / 95)
    assert not agreement(picture, ((x0, y0), (half, y0), (half, y2), (x0, y2)), "0178100000449").agrees


@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_picture_that_shows_nothing_agrees_with_nothing(level: int) -> None:
    blank = np.full((HIGH, WIDE), level, np.uint8)
    corners = ((100, 100), (300, 100), (300, 160), (100, 160))
    assert agreement(blank, corners, CODES[0][0]) == NONE


def test_noise_agrees_with_nothing() -> None:
    dice = np.random.default_rng(1)
    for _ in range(30):
        picture = dice.integers(0, 256, (60, 260), np.uint8)
        body = "".join(map(str, dice.integers(0, 10, 12)))
        assert not agreement(picture, ((30, 20), (230, 20), (230, 40), (30, 40)), checked(body)).agrees


@pytest.mark.parametrize("digits", ["", "4006381333932", "400638133393", "abcdefghijklm", "96385075"])
def test_digits_that_are_no_valid_code_are_none(digits: str) -> None:
    picture, corners = seen(*CODES[0])
    assert agreement(picture, corners, digits) == NONE


def test_corners_outside_the_picture_are_no_error() -> None:
    picture, _ = seen(*CODES[0])
    assert not agreement(picture, ((-40, -5), (700, -5), (700, 3), (-40, 3)), CODES[0][0]).agrees


def test_corners_of_a_single_bar_say_nothing_for_or_against_a_code() -> None:
    picture, _ = seen(*CODES[0])
    assert asked(picture, ((300, 240), (308, 240), (308, 250), (300, 250)), CODES[0][0]) is None
