"""Whether the camera still sees what it saw: a scene that was examined in vain and has not changed since may rest."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.reading import Picture

_BLOCK = 16
_ROWS = 4
"""Of a block's rows one in so many is looked at. Over 64 pixels the noise of a camera (3 grey levels, 6 in poor light)
is 0.4 to 0.8 grey levels."""
_CHANGED = 4.0
"""Grey levels of one block against all others: a label the size of two blocks changes them by tens."""
_EXAMINED = 24
"""Frames after which every stage of the reader had its turn."""
_EVERY = 4
"""Of a resting scene, one frame in so many is examined all the same."""


class Scene:
    """Follows the frames of one camera."""

    def __init__(self) -> None:
        self._blocks: NDArray[np.int16] | None = None
        self._alike = 0

    def rests(self, luma: Picture) -> bool:
        """Return whether this frame need not be examined; every frame is shown here once."""
        size = (max(1, luma.shape[1] // _BLOCK), max(1, luma.shape[0] // _BLOCK))
        blocks = np.asarray(cv2.resize(luma[::_ROWS], size, interpolation=cv2.INTER_AREA), np.int16)
        if self._blocks is None or _differ(blocks, self._blocks):
            self._blocks, self._alike = blocks, 0
        self._alike += 1
        return self._alike > _EXAMINED and self._alike % _EVERY != 0

    def alive(self) -> None:
        """Note that something was read: the next frames are examined, changed or not."""
        self._alike = 0


def _differ(blocks: NDArray[np.int16], before: NDArray[np.int16]) -> bool:
    """Whether some block changed otherwise than the picture as a whole, whose exposure may be adjusted."""
    if blocks.shape != before.shape:
        return True
    change = blocks - before
    middle = float(np.partition(change.ravel(), change.size // 2)[change.size // 2])
    return max(float(change.max()) - middle, middle - float(change.min())) > _CHANGED
