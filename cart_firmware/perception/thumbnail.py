"""Pictures as small as a dispute needs them: what was moved, not who moved it."""

import cv2
import numpy as np
from numpy.typing import NDArray

_LONGEST = 160
_QUALITY = 70


def thumbnail(luma: NDArray[np.uint8]) -> bytes:
    """Return a picture (height x width, uint8) as a JPEG of at most 160 pixels a side, some 3 kB."""
    scale = _LONGEST / max(luma.shape)
    small = cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else luma
    return bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1])
