"""What decodes symbols, each behind one way of asking: a picture in, readings out.

zxing-cpp is the better of the two libraries on nearly everything; libzbar bears more blur across the bars (measured on
photographs: reference/barcode, section 2). libzbar is asked through pyzbar and may be missing. Our own scanline decoder
bears more blur than both, and reads nothing but an EAN or UPC laid straight.
"""

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import msgspec
import numpy as np
import zxingcpp

from cart_firmware.perception.reading import Corners, Picture, Reading
from cart_firmware.perception.scanline import decode
from cart_protocol.gs1.check_digit import has_valid_check_digit
from cart_protocol.gs1.gtin import expand_upc_e

try:
    from pyzbar import pyzbar
except ImportError:  # libzbar0 is not installed: the reader has one rescue less
    pyzbar = None


class Zxing(msgspec.Struct, frozen=True):
    """One way of asking zxing-cpp."""

    formats: str
    """Names of zxing's formats, with commas. Its own type in a Struct makes it report leaks when the program ends."""
    turned: bool = False
    """Look at the picture mirrored over its diagonal: finds bars that lie across."""
    thorough: bool = False
    """Also look at zxing's turned and reduced copies; about three times the cost."""
    whole: bool = False
    """One threshold for the whole picture instead of a local one: better on small, evenly lit QR codes."""
    inverted: bool = False
    """Also look for light on dark."""

    def read(self, luma: Picture) -> tuple[Reading, ...]:
        """Return the valid symbols of these formats in a picture of any size."""
        found = zxingcpp.read_barcodes(
            np.ascontiguousarray(luma.T if self.turned else luma),
            formats=zxingcpp.barcode_formats_from_str(self.formats),
            binarizer=zxingcpp.Binarizer.GlobalHistogram if self.whole else zxingcpp.Binarizer.LocalAverage,
            try_rotate=self.thorough,
            try_downscale=self.thorough,
            try_invert=self.inverted,
            ean_add_on_symbol=zxingcpp.EanAddOnSymbol.Read,
        )
        return _with_add_ons([self._reading(symbol) for symbol in found])

    def _reading(self, symbol: zxingcpp.Barcode) -> Reading:
        at = symbol.position
        top_left, top_right, bottom_right, bottom_left = (
            (point.y, point.x) if self.turned else (point.x, point.y)
            for point in (at.top_left, at.top_right, at.bottom_right, at.bottom_left)
        )
        corners = (top_left, top_right, bottom_right, bottom_left)
        return Reading(bytes(symbol.bytes), str(symbol.symbology_identifier), corners)


_EAN_13 = 13
_SHARE_WITHOUT_ADD_ON = {15: 95 / (95 + 9 + 20), 18: 95 / (95 + 9 + 47)}
"""Of the width of both: modules of an EAN-13, of the gap (7 to 12: GS1 General Specifications), of the add-on."""


def _with_add_ons(readings: list[Reading]) -> tuple[Reading, ...]:
    """Return each code once, with its add-on if some row showed it, and with the corners of the code alone."""
    extended = {reading.payload[:_EAN_13] for reading in readings if reading.symbology == "]E3"}
    return tuple(
        _code_alone(reading) if reading.symbology == "]E3" else reading
        for reading in readings
        if reading.symbology != "]E0" or reading.payload not in extended
    )


def _code_alone(reading: Reading) -> Reading:
    share = _SHARE_WITHOUT_ADD_ON[len(reading.payload)]
    left_top, right_top, right_foot, left_foot = (np.array(corner) for corner in reading.corners)
    top, foot = left_top + share * (right_top - left_top), left_foot + share * (right_foot - left_foot)
    corners = tuple((round(float(x)), round(float(y))) for x, y in (left_top, top, foot, left_foot))
    return msgspec.structs.replace(reading, corners=corners)


class Zbar(msgspec.Struct, frozen=True):
    """One way of asking libzbar; reads nothing where the library is missing.

    libzbar does not say whether a Code 128 or a QR code holds GS1 data, and takes its FNC1 away. So Code 128 is not
    asked for, and a QR code that could be GS1 data is left to zxing.
    """

    formats: str
    """Names of pyzbar's symbols, with commas."""

    def read(self, luma: Picture) -> tuple[Reading, ...]:
        """Return the valid symbols of these formats in a picture of any size."""
        if pyzbar is None or luma.size == 0:
            return ()
        symbols = [pyzbar.ZBarSymbol[name] for name in self.formats.split(",")]
        found = pyzbar.decode(np.ascontiguousarray(luma), symbols=symbols)
        return tuple(reading for symbol in found if (reading := _from_zbar(symbol)))


class Likeliest(msgspec.Struct, frozen=True):
    """Our scanline decoder: the likeliest EAN or UPC of a strip, where it is much likelier than the next one."""

    def read(self, luma: Picture, *others: Picture) -> tuple[Reading, ...]:
        """Return the EAN or UPC of a strip as `strip.rectify` lays it; others may show the same code."""
        estimate = decode([luma, *others])
        if estimate is None:
            return ()
        (begin, end), foot = (round(column) for column in estimate.columns), len(luma) - 1
        standing = ((begin, 0), (end, 0), (end, foot), (begin, foot))
        turned = ((begin, foot), (end, foot), (end, 0), (begin, 0))
        symbology = "]E4" if len(estimate.digits) == 8 else "]E0"
        corners = standing if begin < end else turned
        return (Reading(estimate.digits.encode(), symbology, corners, likelihood=estimate.ratio),)


def _from_zbar(symbol: Any) -> Reading | None:  # noqa: ANN401 - pyzbar ships no types
    identified = _ZBAR_KINDS[symbol.type](symbol.data)
    if identified is None:
        return None
    symbology, payload = identified
    return Reading(payload, symbology, _outline(symbol))


def _outline(symbol: Any) -> Corners:  # noqa: ANN401 - likewise
    """The rectangle of least area around the points where the bars were crossed, by its own top left."""
    points = np.array([(point.x, point.y) for point in symbol.polygon], np.float32)
    if len(points) < 3:
        left, top, width, height = symbol.rect
        return ((left, top), (left + width, top), (left + width, top + height), (left, top + height))
    bottom_left, top_left, top_right, bottom_right = (
        (round(float(x)), round(float(y))) for x, y in cv2.boxPoints(cv2.minAreaRect(points))
    )
    return (top_left, top_right, bottom_right, bottom_left)


# ── libzbar's names and digits to AIM identifiers and the payloads that zxing gives ──────────────────────────────────


def _upc_e(digits: bytes) -> tuple[str, bytes]:
    return ("]E0", b"0" + expand_upc_e(digits.decode()).encode())


def _itf(digits: bytes) -> tuple[str, bytes]:
    return ("]I1" if has_valid_check_digit(digits.decode()) else "]I0", digits)


def _qr(data: bytes) -> tuple[str, bytes] | None:
    return None if data[:2].isdigit() else ("]Q1", data)


_ZBAR_KINDS: Mapping[str, Callable[[bytes], tuple[str, bytes] | None]] = {
    "EAN13": lambda digits: ("]E0", digits),
    "UPCA": lambda digits: ("]E0", digits.zfill(13)),
    "UPCE": _upc_e,
    "EAN8": lambda digits: ("]E4", digits),
    "I25": _itf,
    "QRCODE": _qr,
}
