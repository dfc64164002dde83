"""Barcodes in a picture: which code, read how, and where.

Two kinds of passes over each frame, cheapest first, ending at the first that reads something:

1. EAN/UPC on every frame, without zxing's turned and reduced copies of the picture; upright and turned by a quarter on
   alternate frames.
2. One other family per frame in turn: DataBar, then Code 128 and ITF, then QR.

The pass that read last goes first on the next frame, so that a second look at the same code comes at once.
Measured on 500 photographs (medians, one core): zxing's defaults 1.43 ms; EAN/UPC this way 0.14 ms with 114 codes read
instead of 119; a 640x480 frame without a code 0.5 ms instead of 12.
"""

from collections.abc import Iterator

import msgspec
import numpy as np
import zxingcpp
from numpy.typing import NDArray

Corner = tuple[int, int]


class Reading(msgspec.Struct, frozen=True):
    """One symbol: its bytes, how it was coded, and its corners (x, y) in pixels of the frame.

    `symbology` is the AIM identifier (ISO/IEC 15424), such as ']E0'; feed `symbology` and `payload` to gs1 together.
    UPC-A and UPC-E arrive in their 13-digit form under ']E0'; FNC1 inside GS1 data is the byte 0x1D.
    """

    payload: bytes
    symbology: str
    corners: tuple[Corner, Corner, Corner, Corner]


class Pass(msgspec.Struct, frozen=True):
    """One way of looking at a frame."""

    formats: str
    """Names of zxing's formats, with commas. Its own type in a Struct makes it report leaks when the program ends."""
    turned: bool = False
    """Look at the picture mirrored over its diagonal: finds bars that lie across."""
    thorough: bool = False
    """Also look at zxing's turned and reduced copies; about three times the cost."""

    def read(self, luma: NDArray[np.uint8]) -> tuple[Reading, ...]:
        """Return the valid symbols of these formats in a picture of any size (height x width, uint8)."""
        found = zxingcpp.read_barcodes(
            np.ascontiguousarray(luma.T if self.turned else luma),
            formats=zxingcpp.barcode_formats_from_str(self.formats),
            try_rotate=self.thorough,
            try_downscale=self.thorough,
            try_invert=False,
        )
        return tuple(self._reading(symbol) for symbol in found)

    def _reading(self, symbol: zxingcpp.Barcode) -> Reading:
        place = symbol.position
        corners = (
            self._corner(place.top_left),
            self._corner(place.top_right),
            self._corner(place.bottom_right),
            self._corner(place.bottom_left),
        )
        return Reading(bytes(symbol.bytes), str(symbol.symbology_identifier), corners)

    def _corner(self, point: zxingcpp.Point) -> Corner:
        return (point.y, point.x) if self.turned else (point.x, point.y)


EAN_UPC = (Pass("EANUPC"), Pass("EANUPC", turned=True))
"""Frame by frame in turn."""
OTHER_FAMILIES = (
    Pass("DataBar", thorough=True),
    Pass("Code128,ITF", thorough=True),
    Pass("QRCode", thorough=True),
)
"""Frame by frame in turn, where EAN/UPC found nothing."""


class Reader:
    """Reads a stream of frames; what it does with a frame depends on the frames before, and on nothing else."""

    def __init__(self) -> None:
        self._frames = 0
        self._lately: Pass | None = None

    def read(self, luma: NDArray[np.uint8]) -> tuple[Reading, ...]:
        """Return what the next frame shows: one symbol or several of one family, or nothing."""
        passes = tuple(dict.fromkeys(self._passes()))
        self._frames += 1
        for each in passes:
            if readings := each.read(luma):
                self._lately = each
                return readings
        self._lately = None
        return ()

    def _passes(self) -> Iterator[Pass]:
        if self._lately is not None:
            yield self._lately
        yield EAN_UPC[self._frames % len(EAN_UPC)]
        yield OTHER_FAMILIES[self._frames % len(OTHER_FAMILIES)]
