"""Labels: the printed face of a pack around its code, as luminance.

Codes are drawn by zxing-cpp's writer, which no part of the product uses; so the cart's reader is never tried on
pictures of its own making.
"""

from enum import StrEnum
from functools import lru_cache

import cv2
import msgspec
import numpy as np
import zxingcpp
from numpy.typing import NDArray

Luma = NDArray[np.uint8]

_PAPER = 236
_PRINT = 28
_INK_TONES = (70, 110, 150, 190)
_LINEAR_ROWS = 46
"""Height of a linear code in modules: a low but common pack print."""
_MARGIN = 7
"""Modules of plain pack around the white field."""
_TEXT_ROWS = 13
"""Modules of height for each line of text."""


class Symbology(StrEnum):
    EAN13 = "EAN13"
    EAN8 = "EAN8"
    UPCA = "UPCA"
    UPCE = "UPCE"
    CODE128 = "CODE128"
    DATABAR = "DATABAR"
    DATABAR_EXPANDED = "DATABAR-EXPANDED"
    QR = "QR"


_WRITERS = {
    Symbology.EAN13: zxingcpp.BarcodeFormat.EAN13,
    Symbology.EAN8: zxingcpp.BarcodeFormat.EAN8,
    Symbology.UPCA: zxingcpp.BarcodeFormat.UPCA,
    Symbology.UPCE: zxingcpp.BarcodeFormat.UPCE,
    Symbology.CODE128: zxingcpp.BarcodeFormat.Code128,
    Symbology.DATABAR: zxingcpp.BarcodeFormat.DataBarOmni,
    Symbology.DATABAR_EXPANDED: zxingcpp.BarcodeFormat.DataBarExp,
    Symbology.QR: zxingcpp.BarcodeFormat.QRCode,
}
_DIGITS = {Symbology.EAN13: 13, Symbology.EAN8: 8, Symbology.UPCA: 12}
"""Printed under the code, with the check digit."""
_QUIET_MODULES = 11
"""Left quiet zone of EAN-13 (GS1 General Specifications, 5.2.3.4); every code gets it on both sides."""
_QUIET_ROWS = 4


class Label(msgspec.Struct, frozen=True):
    """What is printed on a pack.

    A retail code without its check digit (12, 11 or 7 digits) gets it from the writer, as a label printer does;
    DataBar takes element strings, '(01)12345678901231'.
    """

    payload: str
    symbology: Symbology = Symbology.EAN13
    name: str = ""
    lines: tuple[str, ...] = ()
    """More lines of print: an in-store weight label shows mass and price."""


class Face(msgspec.Struct, frozen=True):
    """A drawn label and where in it the code stands."""

    luma: Luma
    scale: int
    """Pixels per module."""
    code_width: int
    """Of the code without quiet zones, in modules."""


class UnprintableError(ValueError):
    """The payload cannot be written in that symbology; the text says why."""


@lru_cache(maxsize=64)
def face(label: Label, scale: int) -> Face:
    """Return the pack's face at `scale` pixels per module; the same array for the same label, not to be written to.

    Raises:
        UnprintableError: the writer refuses the payload, e.g. for a wrong check digit.
    """
    code, under = _drawn(label.payload, label.symbology)
    field = _white_field(code, under, label, scale)
    margin = _MARGIN * scale
    pack = _artwork(field.shape[0] + 2 * margin, field.shape[1] + 2 * margin, label)
    pack[margin : margin + field.shape[0], margin : margin + field.shape[1]] = field
    pack.setflags(write=False)
    return Face(pack, scale, code.shape[1])


@lru_cache(maxsize=256)
def _drawn(payload: str, symbology: Symbology) -> tuple[Luma, str]:
    """Return the bare code, one pixel per module, 0 and 255, without quiet zones; and what stands under it."""
    try:
        code = zxingcpp.create_barcode(payload, _WRITERS[symbology])
    except ValueError as error:
        raise UnprintableError(f"{payload!r} cannot be printed as {symbology}: {error}") from error
    drawn: Luma = np.array(code.to_image(scale=1, add_quiet_zones=False), dtype=np.uint8)
    if symbology is Symbology.QR:
        return drawn, ""
    tall = np.repeat(drawn[drawn.shape[0] // 2][None, :], _LINEAR_ROWS, axis=0)
    return tall, code.text[-_DIGITS[symbology] :] if symbology in _DIGITS else payload


def _white_field(code: Luma, under: str, label: Label, scale: int) -> Luma:
    """Return the white field with name, code, human-readable line and further lines."""
    above = 1 if label.name else 0
    below = [text for text in (under, *label.lines) if text]
    rows = code.shape[0] + 2 * _QUIET_ROWS + (above + len(below)) * _TEXT_ROWS
    columns = code.shape[1] + 2 * _QUIET_MODULES
    field = np.full((rows * scale, columns * scale), _PAPER, np.uint8)
    top = (_QUIET_ROWS + above * _TEXT_ROWS) * scale
    left = _QUIET_MODULES * scale
    printed = np.kron(np.where(code > 0, _PAPER, _PRINT), np.ones((scale, scale))).astype(np.uint8)
    field[top : top + printed.shape[0], left : left + printed.shape[1]] = printed
    if label.name:
        _print(field, label.name, 0, scale)
    for number, text in enumerate(below):
        _print(field, text, rows - _QUIET_ROWS // 2 - (len(below) - number) * _TEXT_ROWS, scale)
    return field


def _print(field: Luma, text: str, row: int, scale: int) -> None:
    plain = text.encode("ascii", "replace").decode()
    size = _TEXT_ROWS * scale / 34
    (width, _), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, size, scale // 2 + 1)
    size *= min(1.0, field.shape[1] * 0.9 / max(1, width))
    place = (round(field.shape[1] * 0.05), round((row + _TEXT_ROWS * 0.75) * scale))
    cv2.putText(field, plain, place, cv2.FONT_HERSHEY_SIMPLEX, size, _PRINT, scale // 2 + 1, cv2.LINE_AA)


def _artwork(rows: int, columns: int, label: Label) -> Luma:
    """Return the plain of the pack: two inks that run into each other and some blots, by the label's own dice."""
    dice = np.random.default_rng(list(label.payload.encode()))
    first, second = dice.choice(_INK_TONES, 2)
    pack = np.linspace(first, second, columns, dtype=np.float32)[None, :].repeat(rows, axis=0)
    pack += dice.normal(0, 3, (rows, columns)).astype(np.float32)
    drawn: Luma = np.clip(pack, 0, 255).astype(np.uint8)
    for _ in range(5):
        centre = (int(dice.integers(columns)), int(dice.integers(rows)))
        cv2.circle(drawn, centre, int(dice.integers(rows // 20, rows // 6)), int(dice.choice(_INK_TONES)), -1)
    return drawn
