"""From what a camera gives, brightness and half as many colours, to pixels in blue, green and red."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.reading import Picture

Planes = NDArray[np.uint8]
"""Cb and Cr: 2 x half the height x half the width."""


def bgr(luma: Picture, planes: Planes | None, *, limited: bool = True) -> Picture:
    """Return height x width x 3, as OpenCV has it; grey where there are no colours.

    Args:
        luma: height x width.
        planes: of the same view (ITU-R BT.601), of any size.
        limited: the luminance has black at 16 and white at 235, its colours keep to 16 to 240.
    """
    if planes is None:
        return np.asarray(cv2.cvtColor(luma, cv2.COLOR_GRAY2BGR), np.uint8)
    size = luma.shape[1], luma.shape[0]
    blue, red = (cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in planes)
    if not limited:
        return np.asarray(cv2.cvtColor(cv2.merge([luma, red, blue]), cv2.COLOR_YCrCb2BGR), np.uint8)
    full = cv2.merge([_stretched(luma, 16, 219, 0), _stretched(red, 128, 224, 128), _stretched(blue, 128, 224, 128)])
    return np.asarray(cv2.cvtColor(full, cv2.COLOR_YCrCb2BGR), np.uint8)


def _stretched(values: Picture, zero: int, span: int, onto: int) -> Picture:
    """Return values of which `span` is to be 255, about `zero`, which becomes `onto` (ITU-R BT.601, section 2.5)."""
    table = np.clip(np.round((np.arange(256) - zero) * 255 / span + onto), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(values, table), np.uint8)
