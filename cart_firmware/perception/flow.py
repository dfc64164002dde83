"""Sparse flow: how far the corners of what moves went from one reduced picture to the next."""

from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.reading import Picture

Points = NDArray[np.float32]
"""n x 1 x 2: right and down, in pixels."""
_MOST_POINTS = 24
_WINDOW, _LEVELS = (11, 11), 2
_STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 8, 0.05)
_SPARE = 16
"""Pixels around the points to where they may have gone."""
_STRAYED = 1.5
"""Pixels from where a point began to where tracking back ends, beyond which it was not the same point."""


class Flow(msgspec.Struct, frozen=True):
    """The middle of where points went, in pixels right and down, and how many were followed."""

    right: float = 0.0
    down: float = 0.0
    points: int = 0


def flow(before: Picture, now: Picture, where: Picture) -> Flow:
    """Return how what lies `where` (255) moved from one picture to the next: Lucas-Kanade, checked backwards."""
    left, top, width, height = cv2.boundingRect(where)
    if not width:
        return Flow()
    rows = slice(max(0, top - _SPARE), top + height + _SPARE)
    columns = slice(max(0, left - _SPARE), left + width + _SPARE)
    before, now, where = before[rows, columns], now[rows, columns], where[rows, columns]
    # The stub forgets that there may be none.
    found: Any = cv2.goodFeaturesToTrack(before, _MOST_POINTS, 0.02, 4, mask=where, blockSize=5)
    if found is None:
        return Flow()
    corners = np.asarray(found, np.float32)
    there, seen = _followed(before, now, corners)
    back, seen_back = _followed(now, before, there)
    strayed = np.linalg.norm((back - corners)[:, 0], axis=1)
    good = seen & seen_back & (strayed < _STRAYED)
    if not good.any():
        return Flow()
    right, down = np.median((there - corners)[good, 0], axis=0)
    return Flow(float(right), float(down), int(good.sum()))


def _followed(one: Picture, other: Picture, points: Points) -> tuple[Points, NDArray[np.bool_]]:
    """Return where points of one picture are in the other, and which of them were found."""
    there, found, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]  # the stub has no place for "no guess"
        one, other, points, None, winSize=_WINDOW, maxLevel=_LEVELS, criteria=_STOP
    )
    return np.asarray(there, np.float32), np.asarray(found[:, 0] > 0)
