"""Sparse flow: how far the corners of what moves went from one reduced picture to the next."""

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.reading import Picture

_MOST_POINTS = 24
_WINDOW, _LEVELS, _ROUNDS = (11, 11), 2, 8
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
    """Return how what lies `where` (255) moved from one picture to the next. Pyramidal Lucas-Kanade, checked backwards."""
    left, top, width, height = cv2.boundingRect(where)
    if not width:
        return Flow()
    rows = slice(max(0, top - _SPARE), top + height + _SPARE)
    columns = slice(max(0, left - _SPARE), left + width + _SPARE)
    before, now, where = before[rows, columns], now[rows, columns], where[rows, columns]
    corners = cv2.goodFeaturesToTrack(before, _MOST_POINTS, 0.02, 4, mask=where, blockSize=5)
    if corners is None:
        return Flow()
    there, found, _ = _followed(before, now, corners)
    back, found_back, _ = _followed(now, before, there)
    strayed = np.linalg.norm((back - corners)[:, 0], axis=1)
    good = (found[:, 0] > 0) & (found_back[:, 0] > 0) & (strayed < _STRAYED)
    if not good.any():
        return Flow()
    right, down = np.median((there - corners)[good, 0], axis=0)
    return Flow(float(right), float(down), int(good.sum()))


def _followed(
    one: Picture, other: Picture, points: "cv2.typing.MatLike"
) -> tuple[NDArray[np.float32], NDArray[np.uint8], "cv2.typing.MatLike"]:
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _ROUNDS, 0.05)
    return cv2.calcOpticalFlowPyrLK(one, other, points, None, winSize=_WINDOW, maxLevel=_LEVELS, criteria=stop)
