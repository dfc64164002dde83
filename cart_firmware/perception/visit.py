"""Something is over the rim: what is noted of it picture by picture, until it is gone. All in reduced pictures."""

from collections.abc import Sequence

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.backdrop import Levels
from cart_firmware.perception.reading import Picture
from cart_firmware.perception.rim import Distances

Greys = NDArray[np.float32]
"""How many pixels have each of 18 ranges of grey."""

LEAST_BLOB = 20
"""Pixels of the reduced picture below which a blob is noise: some 3 cm^2 in a basket that fills the view."""
_TIP = 26
"""Pixels behind the foremost point that count as its tip: a hand and what it holds."""
GREYS, GREY_STEP = 18, 15
_OPEN = np.ones((3, 3), np.uint8)
_FOREMOST = 0.98
"""Share of pixels behind what counts as the depth of a tip: single pixels are noise."""
_MOST = 240
"""Pictures kept of one visit, 4.6 MB; of a longer one every other is dropped, again and again."""


class Tip(msgspec.Struct, frozen=True):
    """The foremost part of what reaches in."""

    depth: float
    """How far inside it is, in pixels; 0 where nothing is inside."""
    area: int
    greys: Greys


NO_TIP = Tip(0.0, 0, np.zeros(GREYS, np.float32))


class Moment(msgspec.Struct, frozen=True):
    at_us: int
    picture: Picture
    tip: Tip
    """Against the backdrop of before: right until something was put down or taken up."""
    inward: float = 0.0
    """By how many pixels the corners at the rim went inwards since the picture before."""


class Visit:
    """Collects the moments of one visit."""

    def __init__(self, before: Levels, limit: Picture, depth: Distances, moments: Sequence[Moment]) -> None:
        self.before, self.limit, self.depth = before, limit, depth
        self.moments = list(moments)
        self._step, self._skipped = 1, 0

    def add(self, moment: Moment) -> None:
        self._skipped += 1
        if self._skipped < self._step:
            return
        self._skipped = 0
        self.moments.append(moment)
        if len(self.moments) > _MOST:
            self.moments = self.moments[::2]
            self._step *= 2


def differs_from(picture: Picture, backdrop: Picture, limit: Picture) -> Picture:
    """Return where a picture differs from a backdrop (255), single pixels apart."""
    differs = cv2.compare(cv2.absdiff(picture, backdrop), limit, cv2.CMP_GT)
    return np.asarray(cv2.morphologyEx(differs, cv2.MORPH_OPEN, _OPEN), np.uint8)


def tip_in(picture: Picture, differs: Picture, depth: Distances) -> Tip:
    """Return the foremost part of what is marked."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(differs)
    large = stats[:, cv2.CC_STAT_AREA] >= LEAST_BLOB
    large[0] = False
    if count < 2 or not large.any():
        return NO_TIP
    marked = large[labels]
    foremost = foremost_of(depth[marked])
    tip = marked & (depth > foremost - _TIP)
    greys = picture[tip] // GREY_STEP
    return Tip(foremost, int(greys.size), np.bincount(greys, minlength=GREYS)[:GREYS].astype(np.float32))


def foremost_of(depths: Distances) -> float:
    """Return how deep a blob reaches, given the depth of each of its pixels."""
    place = int(_FOREMOST * (depths.size - 1))
    return float(np.partition(depths, place)[place])
