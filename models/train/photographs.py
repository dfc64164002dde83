"""The labelled photographs: a manifest with the columns path, fine, coarse, part; the pictures lie beside it."""

import csv
from collections.abc import Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""Height x width x 3, RGB."""


class Photograph(msgspec.Struct, frozen=True):
    path: Path
    product: str
    group: str
    """Products that look alike and are sorted together, such as all apples."""
    part: str
    """`train` or `val`."""

    def picture(self) -> Picture:
        """Return the decoded photograph. Raises ValueError for a file that is no picture."""
        decoded = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        if decoded is None:
            raise ValueError(f"{self.path}: not a picture that OpenCV can read; compare the manifest with its folder")
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)

    def seen(self) -> Picture:
        """Return the same with its colours in the order in which a camera gives them, BGR."""
        return np.ascontiguousarray(self.picture()[:, :, ::-1])


def load(manifest: Path) -> list[Photograph]:
    """Return all photographs of a manifest. Raises ValueError when it has none or lacks a column."""
    with manifest.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not {"path", "fine", "coarse"} <= rows[0].keys():
        raise ValueError(f"{manifest}: expected rows with the columns path, fine, coarse and part, found {rows[:1]}")
    return [Photograph(manifest.parent / row["path"], row["fine"], row["coarse"], row.get("part", "")) for row in rows]


def products(photographs: Sequence[Photograph]) -> dict[str, str]:
    """Return every product and its group, in alphabetical order."""
    return dict(sorted({each.product: each.group for each in photographs}.items()))
