"""What a camera over a cart may make of a photograph: turned, near or far, amid others, blurred, dim, noisy, covered.

Every function takes its dice; the same seed gives the same views. Pictures are height x width x 3, RGB, uint8.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from models.train.photographs import Picture

Dice = np.random.Generator
Places = NDArray[np.int64]


def centre(picture: Picture, side: int) -> Picture:
    """Return the largest square about the middle, scaled to `side` pixels."""
    height, width = picture.shape[:2]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    return scaled(picture[top : top + least, left : left + least], side)


def scaled(picture: Picture, side: int) -> Picture:
    """Return a picture of side x side pixels; averaged where it becomes smaller."""
    way = cv2.INTER_AREA if picture.shape[0] > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (side, side), interpolation=way), np.uint8)


def varied(picture: Picture, others: Sequence[Picture], side: int, amid: float, dice: Dice) -> Picture:
    """Return one random view, side x side pixels; a share `amid` before one of the others, some partly behind one."""
    view = placed(picture, side, dice)
    if dice.random() < amid:
        view = surrounded(view, others[dice.integers(len(others))], dice)
    view = lit(view, dice)
    if dice.random() < 0.45:
        view = covered(view, others[dice.integers(len(others))], dice)
    if dice.random() < 0.25:
        view = smeared(view, dice)
    if dice.random() < 0.25:
        view = noisy(view, dice.uniform(2, 20), dice)
    return view


def placed(picture: Picture, side: int, dice: Dice) -> Picture:
    """Return a square cut somewhere, turned (a third of all by any angle), stretched a little, mirrored or not."""
    height, width = picture.shape[:2]
    length = min(height, width) * math.sqrt(dice.uniform(0.4, 1.1))
    angle = dice.uniform(-180, 180) if dice.random() < 0.35 else dice.normal(0, 6)
    stretch = math.exp(dice.normal(0, 0.1))
    mirrored = -1 if dice.random() < 0.5 else 1
    room = [max(0.0, (extent - length) / 2) for extent in (width, height)]
    middle = [extent / 2 + dice.uniform(-0.6, 0.6) * more for extent, more in zip((width, height), room, strict=True)]
    turn, per_pixel = math.radians(angle), length / side
    to_picture = np.array([
        [math.cos(turn) * per_pixel * stretch * mirrored, -math.sin(turn) * per_pixel / stretch],
        [math.sin(turn) * per_pixel * stretch * mirrored, math.cos(turn) * per_pixel / stretch],
    ])  # fmt: skip
    shift = np.array(middle) - to_picture @ np.array([side / 2, side / 2])
    matrix = np.column_stack([to_picture, shift])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(picture, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )


def surrounded(view: Picture, other: Picture, dice: Dice) -> Picture:
    """Return what lies about the middle of a view, before another picture: goods in a hand, and other goods behind."""
    side = view.shape[0]
    behind = placed(other, side, dice)
    middle, axes = (
        tuple((16 * side * shares).astype(int).tolist())
        for shares in (dice.normal(0.5, 0.05, 2), dice.uniform(0.25, 0.48, 2))
    )
    kept = np.zeros((side, side), np.float32)
    cv2.ellipse(kept, middle, axes, dice.uniform(0, 180), 0, 360, 1.0, -1, cv2.LINE_8, 4)
    kept = cv2.GaussianBlur(kept, (0, 0), dice.uniform(0.01, 0.06) * side)[:, :, None]
    return np.asarray(view * kept + behind * (1 - kept) + 0.5, np.uint8)


def other_colours(squares: Picture) -> Places:
    """Return which channels to show as red, green and blue (3), so that goods have colours that nobody sells.

    Red ones become blue, green ones too: two channels change places, of which one is the strongest in the middle.

    Args:
        squares: pictures of one product, pictures x side x side x 3.
    """
    quarter = squares.shape[1] // 4
    red, green, _ = squares[:, quarter:-quarter, quarter:-quarter].mean(axis=(0, 1, 2))
    return np.array([2, 1, 0] if red > green else [0, 2, 1])


def lit(view: Picture, dice: Dice) -> Picture:
    """Return a view in other light: brighter or dimmer, warmer or colder, flatter or harder, more or less coloured."""
    light = math.exp(dice.uniform(math.log(0.4), math.log(1.25))) if dice.random() < 0.4 else 1.0
    cast = np.exp(dice.normal(0, 0.03, 3))
    contrast, saturation = math.exp(dice.normal(0, 0.1)), math.exp(dice.normal(0, 0.1))
    grey = np.array([0.299, 0.587, 0.114])
    mix = (saturation * np.eye(3) + (1 - saturation) * np.outer(np.ones(3), grey)) * cast[:, None] * contrast * light
    offset = 128 * (1 - contrast) * light
    return np.asarray(cv2.transform(view, np.column_stack([mix, np.full(3, offset)])), np.uint8)


def covered(view: Picture, other: Picture, dice: Dice) -> Picture:
    """Return a view of which up to nearly a half lies behind something: a piece of another picture, or plain."""
    side = view.shape[0]
    area, aspect = dice.uniform(0.05, 0.45), math.exp(dice.normal(0, 0.4))
    height, width = (min(side, round(side * math.sqrt(area * ratio))) for ratio in (aspect, 1 / aspect))
    top, left = dice.integers(side - height + 1), dice.integers(side - width + 1)
    result = view.copy()
    piece = result[top : top + height, left : left + width]
    if dice.random() < 0.5 and other.shape[0] > height and other.shape[1] > width:
        row, column = dice.integers(other.shape[0] - height), dice.integers(other.shape[1] - width)
        piece[:] = other[row : row + height, column : column + width]
    else:
        piece[:] = dice.integers(0, 256, 3)
    return result


def smeared(view: Picture, dice: Dice) -> Picture:
    """Return a view smeared by motion in some direction, or out of focus."""
    if dice.random() < 0.3:
        return np.asarray(cv2.GaussianBlur(view, (0, 0), dice.uniform(0.5, 2.2)), np.uint8)
    return moved(view, dice.uniform(3, 12), dice.uniform(0, 180))


def moved(view: Picture, length_px: float, angle: float) -> Picture:
    """Return a view smeared along a line of this length and direction (degrees)."""
    size = math.ceil(length_px) | 1
    kernel = np.zeros((size, size), np.float32)
    reach = (length_px - 1) / 2
    step = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))]) * reach
    ends = [tuple((16 * (size // 2 + sign * step)).round().astype(int).tolist()) for sign in (-1, 1)]
    cv2.line(kernel, *ends, 1.0, 1, cv2.LINE_AA, 4)
    return np.asarray(cv2.filter2D(view, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101), np.uint8)


def noisy(view: Picture, sigma: float, dice: Dice) -> Picture:
    """Return a view with Gaussian noise of this standard deviation, in grey levels."""
    grain = dice.standard_normal(view.shape, np.float32) * sigma
    return np.clip(view + grain, 0, 255).astype(np.uint8)
