"""A camera's picture before it is a frame: brightness, and colours where the camera has them."""

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.devices.camera_settings import in_pixels
from cart_firmware.ports import Colour, Frame

_WHOLE = (0.0, 0.0, 1.0, 1.0)


class Picture(msgspec.Struct, frozen=True):
    """See ports.Frame."""

    luma: NDArray[np.uint8]
    colour: Colour | None = None

    def frame(self, at_us: int) -> Frame:
        """Return the frame that was complete at `at_us`."""
        return Frame(at_us, self.luma, self.colour)


def from_bgr(pixels: NDArray[np.uint8]) -> Picture:
    """Return the picture of OpenCV's pixels: height x width x 3, BGR, or height x width, grey."""
    if pixels.ndim == 2:
        return Picture(pixels)
    split = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2YCrCb), np.uint8)
    height, width = (-(-extent // 2) for extent in pixels.shape[:2])
    half = np.asarray(cv2.resize(split, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    luma = np.ascontiguousarray(split[:, :, 0])
    return Picture(luma, Colour(np.ascontiguousarray(np.stack([half[:, :, 2], half[:, :, 1]])), limited=False))


def cropped(picture: Picture, region: tuple[float, float, float, float]) -> Picture:
    """Return that part of a picture, as in CameraSettings; the picture itself where all of it is wanted."""
    if region == _WHOLE:
        return picture
    left, top, width, height = in_pixels(region, picture.luma.shape[1], picture.luma.shape[0])
    luma = np.ascontiguousarray(picture.luma[top : top + height, left : left + width])
    if picture.colour is None:
        return Picture(luma)
    rows, columns = slice(top // 2, top // 2 + -(-height // 2)), slice(left // 2, left // 2 + -(-width // 2))
    planes = np.ascontiguousarray(picture.colour.planes[:, rows, columns])
    return Picture(luma, Colour(planes, picture.colour.limited))
