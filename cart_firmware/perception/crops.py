"""The sharpest pictures of what moves, at different moments, in full resolution."""

import cv2
import msgspec
import numpy as np

from cart_firmware.perception.colour import Planes
from cart_firmware.perception.reading import Picture

MOST = 6
_APART_US = 100_000
"""Pictures nearer to each other than this show the same view of a thing: the sharper one is kept."""
_MARGIN = 0.1
"""Of the box, around it."""
_SAMPLE = 2
"""Every second row and column is enough to compare sharpness."""


class Crop(msgspec.Struct, frozen=True):
    """A cut-out: luminance, height x width, uint8, a copy; `left` and `top` are its place in the frame, in pixels."""

    at_us: int
    left: int
    top: int
    luma: Picture
    sharpness: float
    """Variance of the Laplacian times the area of what moves: to compare crops of one passage."""
    planes: Planes | None = None
    """Its colours, where the camera sees any (see colour)."""


Box = tuple[int, int, int, int]
"""Left, top, width and height."""


def square(at_us: int, frame: Picture, planes: Planes | None, box: Box, reduced: tuple[int, ...]) -> Crop:
    """Return a copy of the square about a box of a reduced picture; arguments as in `square_about`."""
    rows, columns = square_about(box, reduced, frame)
    colours = cut(planes, rows, columns)
    return Crop(
        at_us,
        columns.start,
        rows.start,
        np.array(frame[rows, columns]),
        0.0,
        None if colours is None else np.array(colours),
    )


def square_about(box: Box, reduced: tuple[int, ...], frame: Picture) -> tuple[slice, slice]:
    """Return rows and columns of the square about a box, with a margin, moved into the frame where it reaches beyond.

    Args:
        box: of what is meant, in the reduced picture.
        reduced: that picture's height and width.
        frame: the same view in full resolution.
    """
    scale = frame.shape[0] / reduced[0], frame.shape[1] / reduced[1]
    left, top, wide, high = box[0] * scale[1], box[1] * scale[0], box[2] * scale[1], box[3] * scale[0]
    side = min(round((1 + 2 * _MARGIN) * max(wide, high)), *frame.shape)
    starts = (
        min(max(0, round(middle - side / 2)), length - side)
        for middle, length in zip((top + high / 2, left + wide / 2), frame.shape, strict=True)
    )
    rows, columns = (slice(start, start + side) for start in starts)
    return rows, columns


def cut(planes: Planes | None, rows: slice, columns: slice) -> Planes | None:
    """Return the colours of a part of the brightness, which has twice their size."""
    if planes is None:
        return None
    return planes[:, rows.start // 2 : -(-rows.stop // 2), columns.start // 2 : -(-columns.stop // 2)]


class Crops:
    """Keeps the best of a passage: at most `MOST`, each a part of a frame."""

    def __init__(self) -> None:
        self._kept = list[Crop]()

    def offer(self, at_us: int, frame: Picture, differs: Picture, planes: Planes | None = None) -> None:
        """Consider what is marked (255) in a reduced picture of the same view; nothing marked is nothing to keep."""
        left, top, width, height = cv2.boundingRect(differs)
        if not width:
            return
        scale = frame.shape[1] / differs.shape[1]
        spare = _MARGIN * max(width, height) + 1
        rows = slice(max(0, int((top - spare) * scale)), int((top + height + spare) * scale))
        columns = slice(max(0, int((left - spare) * scale)), int((left + width + spare) * scale))
        part = frame[rows, columns]
        edges = cv2.Laplacian(part[::_SAMPLE, ::_SAMPLE], cv2.CV_16S)
        _, spread = cv2.meanStdDev(edges)
        sharpness = float(spread[0, 0]) ** 2 * cv2.countNonZero(differs)
        crop = Crop(at_us, columns.start, rows.start, part, sharpness, cut(planes, rows, columns))
        self._keep(crop)

    def best(self) -> tuple[Crop, ...]:
        """Return what was kept, in order of time."""
        return tuple(self._kept)

    def _keep(self, crop: Crop) -> None:
        if self._kept and crop.at_us - self._kept[-1].at_us < _APART_US:
            if crop.sharpness <= self._kept[-1].sharpness:
                return
            self._kept.pop()
        elif len(self._kept) == MOST:
            worst = min(range(MOST), key=lambda each: self._kept[each].sharpness)
            if self._kept[worst].sharpness >= crop.sharpness:
                return
            del self._kept[worst]
        planes = None if crop.planes is None else np.array(crop.planes)
        self._kept.append(msgspec.structs.replace(crop, luma=np.array(crop.luma), planes=planes))
