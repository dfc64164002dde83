"""When a person shows something to the camera: which pictures of it are worth keeping as shots.

The view is empty first. Whatever comes into it, lies still for a moment, is sharp and does not look like the shot
before, is the next one. Works on a reduced picture; the shot itself is cut out in full resolution.
"""

from enum import StrEnum

import cv2
import msgspec
import numpy as np

from cart_firmware.perception.backdrop import Backdrop
from cart_firmware.perception.colour import Planes, bgr
from cart_firmware.perception.crops import cut, square_about
from cart_firmware.perception.reading import Picture

_SMALL = (160, 120)
_STILL_US = 400_000
"""Somebody who holds something to be seen keeps it still for longer; who passes by does not."""
_LEAST_SHARE = 0.015
"""Of the picture: an apple half a metre from a wide lens. Less is a shadow, or far too small to be known again."""
_MOVES = 8.0
"""Mean grey levels between two pictures above which what is shown moves: some 4 of 640 pixels at 15 a second. A hand
that holds something trembles by 1 or 2."""
_SAME = 5.0
"""Mean grey levels between two shots below which they show the same side: nothing is learned from it again."""
_LEAST_SHARP = 12.0
"""Variance of the Laplacian of a shot of 224 pixels: what is out of focus has less, an evenly coloured fruit more."""
_SHOT_SIDE, _LOOK_SIDE = 224, 16


class Seen(StrEnum):
    """What a picture showed."""

    SETTLING = "settling"
    """The view is not known yet: leave it empty, and still."""
    EMPTY = "empty"
    MOVING = "moving"
    BLURRED = "blurred"
    """It lies still and is out of focus, or too dark."""
    SAME = "same"
    """It was not turned since the last shot."""
    SHOT = "shot"


class Look(msgspec.Struct, frozen=True):
    seen: Seen
    crop: Picture | None = None
    """The shot (BGR), square as far as the picture goes; None unless it is one."""


class Shots:
    """Tells shots in a stream of pictures from one camera."""

    def __init__(self) -> None:
        self._backdrop = Backdrop()
        self._before: Picture | None = None
        self._still_since_us = 0
        self._settled = False
        self._last: Picture | None = None

    def see(self, at_us: int, luma: Picture, planes: Planes | None = None, *, limited: bool = True) -> Look:
        """Return what the next picture shows. Arguments but the first are as in colour.bgr."""
        small = np.asarray(cv2.resize(luma, _SMALL, interpolation=cv2.INTER_AREA), np.uint8)
        before, self._before = self._before, small
        if not self._settled:
            return Look(self._settle(at_us, small, before))
        view = self._backdrop.look(small)
        differs = np.asarray(cv2.morphologyEx(view.differs, cv2.MORPH_CLOSE, _CLOSE), np.uint8)
        if cv2.countNonZero(differs) < _LEAST_SHARE * differs.size:
            self._backdrop.follow(view)
            self._last, self._still_since_us = None, at_us  # shown again after it was gone, it is a new view of it
            return Look(Seen.EMPTY)
        left, top, width, height = cv2.boundingRect(differs)
        part = slice(top, top + height), slice(left, left + width)
        if before is None or _apart(small[part], before[part]) > _MOVES:
            self._still_since_us = at_us
        if at_us - self._still_since_us < _STILL_US:
            return Look(Seen.MOVING)
        rows, columns = square_about((left, top, width, height), small.shape, luma)
        crop = bgr(np.ascontiguousarray(luma[rows, columns]), cut(planes, rows, columns), limited=limited)
        return self._judge(crop)

    def _settle(self, at_us: int, small: Picture, before: Picture | None) -> Seen:
        """Take the first view that stays as it is for the empty one."""
        if before is None or _apart(small, before) > _MOVES:
            self._still_since_us = at_us
        elif at_us - self._still_since_us >= _STILL_US:
            self._backdrop.look(small)
            self._settled = True
            return Seen.EMPTY
        return Seen.SETTLING

    def _judge(self, crop: Picture) -> Look:
        grey = cv2.cvtColor(
            cv2.resize(crop, (_SHOT_SIDE, _SHOT_SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY
        )
        _, spread = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
        if float(spread[0, 0]) ** 2 < _LEAST_SHARP:
            return Look(Seen.BLURRED)
        look = np.asarray(cv2.resize(grey, (_LOOK_SIDE, _LOOK_SIDE), interpolation=cv2.INTER_AREA), np.uint8)
        if self._last is not None and _apart(look, self._last) < _SAME:
            return Look(Seen.SAME)
        self._last = look
        return Look(Seen.SHOT, crop)


_CLOSE = np.ones((5, 5), np.uint8)


def _apart(one: Picture, other: Picture) -> float:
    """Return the mean difference of two pictures of one size, in grey levels."""
    return float(cv2.mean(cv2.absdiff(one, other))[0])
