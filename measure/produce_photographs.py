"""Labelled photographs of goods, and what may go wrong with a picture."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


class Photograph(msgspec.Struct, frozen=True):
    path: Path
    product: str
    group: str
    part: str

    def picture(self) -> Picture:
        """Return the picture, height x width x 3, BGR."""
        picture = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        if picture is None:
            raise FileNotFoundError(f"{self.path} is no picture that can be read; see the manifest's column 'path'")
        return np.asarray(picture, np.uint8)


def load(manifest: Path) -> list[Photograph]:
    """Return the photographs of a manifest with the columns path, fine, coarse and, where it has parts, part.

    Raises:
        OSError, KeyError: there is no such file, or it lacks a column.
    """
    with manifest.open(encoding="utf-8", newline="") as lines:
        return [
            Photograph(manifest.parent / row["path"], row["fine"], row["coarse"], row.get("part", ""))
            for row in csv.DictReader(lines)
        ]


def groups(photographs: Sequence[Photograph]) -> dict[str, str]:
    """Return each product's group."""
    return dict(sorted({one.product: one.group for one in photographs}.items()))


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
