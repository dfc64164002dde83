"""What may go wrong with a picture of goods."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def disturbances() -> dict[str, Callable[[Picture], Picture]]:
    """Return what is done to every photograph, by name; the same on every call."""
    return {
        "motion blur 9 px": lambda picture: np.asarray(cv2.blur(picture, (9, 1)), np.uint8),
        "noise 15": _noisy,
        "rotation 180": lambda picture: np.asarray(cv2.rotate(picture, cv2.ROTATE_180), np.uint8),
        "half light": lambda picture: (picture // 2).astype(np.uint8),
        "occlusion 30 %": _covered,
        "occlusion 30 %, side": _hidden_from_a_side,
    }


def _noisy(picture: Picture) -> Picture:
    grain = np.random.default_rng(1).normal(0, 15, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


_HIDDEN = 0.3
"""Share of the middle square that is covered."""


def _covered(picture: Picture) -> Picture:
    """Return a picture with a grey square over 30 % of its middle square, somewhere in it.

    It is more than half as wide as what the network sees, and so always hides the middle.
    """
    covered, square, dice = _to_be_covered(picture)
    side = round(len(square) * _HIDDEN**0.5)
    top, left = dice.integers(len(square) - side + 1, size=2)
    square[top : top + side, left : left + side] = 128
    return covered


def _hidden_from_a_side(picture: Picture) -> Picture:
    """Return a picture with 30 % of its middle square grey from one of the four sides, as of goods behind others."""
    covered, square, dice = _to_be_covered(picture)
    np.rot90(square, int(dice.integers(4)))[: round(len(square) * _HIDDEN)] = 128
    return covered


def _to_be_covered(picture: Picture) -> tuple[Picture, Picture, np.random.Generator]:
    """Return a copy, the middle square of it (a view), and the picture's own dice."""
    height, width = picture.shape[:2]
    least = min(height, width)
    dice = np.random.default_rng([height, width, int(picture[::16, ::16].sum())])
    copy = picture.copy()
    top, left = (height - least) // 2, (width - least) // 2
    return copy, copy[top : top + least, left : left + least], dice
