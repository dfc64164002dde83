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
    }


def _noisy(picture: Picture) -> Picture:
    grain = np.random.default_rng(1).normal(0, 15, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def _covered(picture: Picture) -> Picture:
    """Return a picture with a grey square over 30 % of its middle square, somewhere in it."""
    height, width = picture.shape[:2]
    least = min(height, width)
    side = round(least * 0.3**0.5)
    dice = np.random.default_rng([height, width, int(picture[::16, ::16].sum())])
    top = (height - least) // 2 + dice.integers(least - side + 1)
    left = (width - least) // 2 + dice.integers(least - side + 1)
    covered = picture.copy()
    covered[top : top + side, left : left + side] = 128
    return covered
