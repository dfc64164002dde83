"""What a camera saw before anything came into view, and what differs from it now. Works on a reduced picture."""

from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.reading import Picture

Levels = NDArray[np.float32]

_COARSE = (20, 15)
"""Cells by whose middle ratio the light is compared: fewer than half of them may be covered."""
_LEAST_DIFFERENCE = 5.0
_SIGMAS = 4.0
_WOBBLE = 0.35
"""Pixels of the reduced picture by which the camera trembles on its mount."""
_DRIFT = 0.04
"""Share by which the backdrop follows what is not in front of it, each time."""
_OPEN = np.ones((3, 3), np.uint8)


class View(msgspec.Struct, frozen=True):
    """A reduced picture in the light of the backdrop, and what in it differs from the backdrop (255 or 0)."""

    picture: Picture
    differs: Picture
    light: float
    """Of this picture, as a share of the backdrop's."""
    light_changed: float
    """By which share since the picture before."""


class Backdrop:
    """Follows light and slow changes; `replace` makes what came to rest part of it."""

    limit: Picture
    """The grey levels beyond which a pixel differs: more noise, or an edge beside it, needs more. From the first on."""

    def __init__(self) -> None:
        self._levels: Levels | None = None
        self._noise = 3.0
        self._light = 1.0

    @property
    def levels(self) -> Levels:
        """The backdrop: grey levels, as float, in the light of the first picture."""
        if self._levels is None:
            raise RuntimeError("a backdrop that saw nothing; show it a picture first")
        return self._levels

    def look(self, small: Picture) -> View:
        """Compare a reduced picture with the backdrop; the first becomes it."""
        if self._levels is None or self._levels.shape != small.shape:
            self.replace(small.astype(np.float32))
        cells = np.asarray(cv2.resize(small, _COARSE, interpolation=cv2.INTER_AREA), np.float32)
        light = _middle((cells + 1) / (self._cells + 1))
        changed = abs(light / self._light - 1)
        self._light = light
        picture = np.asarray(cv2.convertScaleAbs(small, alpha=1 / max(light, 0.05)), np.uint8)
        difference = cv2.absdiff(picture, self._shown)
        differs = cv2.compare(difference, self.limit, cv2.CMP_GT)
        self._learn_noise(difference)
        clean = np.asarray(cv2.morphologyEx(differs, cv2.MORPH_OPEN, _OPEN), np.uint8)
        return View(picture, clean, light, changed)

    def follow(self, view: View) -> None:
        """Let the backdrop drift towards what does not differ from it."""
        calm = cv2.bitwise_not(cv2.dilate(view.differs, _OPEN))
        cv2.accumulateWeighted(view.picture, self.levels, _DRIFT, mask=calm)
        self._derive()

    def replace(self, levels: Levels) -> None:
        """Make this the backdrop."""
        self._levels = levels.copy()
        self._light = 1.0
        self._derive()

    def _derive(self) -> None:
        levels = self.levels
        self._shown = np.asarray(cv2.convertScaleAbs(levels), np.uint8)
        self._cells = np.asarray(cv2.resize(levels, _COARSE, interpolation=cv2.INTER_AREA), np.float32)
        steep = cv2.morphologyEx(self._shown, cv2.MORPH_GRADIENT, _OPEN)
        least = max(_LEAST_DIFFERENCE, _SIGMAS * self._noise)
        self.limit = np.asarray(cv2.convertScaleAbs(steep, alpha=_WOBBLE, beta=least), np.uint8)

    def _learn_noise(self, difference: "cv2.typing.MatLike") -> None:
        """Follow the noise of single pixels: the middle of what differs, over 0.6745 (normal) at a few places."""
        middle = _middle(difference[::5, ::5])
        self._noise += 0.05 * ((middle + 0.25) / 0.6745 - self._noise)


def _middle(values: NDArray[Any]) -> float:
    """Return the median, in a fifth of numpy's time for it."""
    flat = values.ravel()
    return float(np.partition(flat, flat.size // 2)[flat.size // 2])
