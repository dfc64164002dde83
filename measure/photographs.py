"""The labelled photographs: what stands in them, and when an answer is right."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_protocol.gs1.gtin import expand_upc_e

Code = tuple[str, str]
"""A kind ('gtin', 'ai', 'itf', 'code128', 'qr', 'add-on') and its text, such that equal codes are equal pairs."""

RETAIL = frozenset({"gtin", "ai"})
"""Kinds that could be charged for."""
GROUPS = ("EAN/UPC", "DataBar", "Code128/ITF", "QR", "negatives", "positives")
_GROUP_OF = {
    "EAN": "EAN/UPC",
    "UPC": "EAN/UPC",
    "DAT": "DataBar",
    "COD": "Code128/ITF",
    "ITF": "Code128/ITF",
    "QR": "QR",
}


class Photograph(msgspec.Struct, frozen=True):
    path: Path
    collection: str
    group: str
    """One of GROUPS but the last."""
    expected: frozenset[Code]
    """Empty where nothing is readable."""
    present: frozenset[Code]
    """Further codes that are really there."""

    def luma(self) -> NDArray[np.uint8]:
        """Return the picture's brightness, height x width, uint8."""
        picture = cv2.imread(str(self.path), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise FileNotFoundError(f"{self.path} is no picture that can be read; see the manifest's column 'path'")
        return np.asarray(picture, np.uint8)

    def shows(self, code: Code) -> bool:
        return any(_same(code, true) for true in self.expected)

    def lacks(self, code: Code) -> bool:
        """Return whether this code, read here, is wrong."""
        return code[0] != "add-on" and not any(_same(code, true) for true in self.expected | self.present)


def load(manifest: Path) -> list[Photograph]:
    """Return the photographs of a manifest with the columns path, set, symbology, expected and also.

    Raises:
        OSError, KeyError: there is no such file, or it lacks a column.
    """
    with manifest.open(encoding="utf-8", newline="") as lines:
        return [_photograph(manifest.parent, row) for row in csv.DictReader(lines)]


def code_of(symbology: str, text: str) -> Code:
    """Return what a decoder said, by the name of its format ('EAN-13', 'upca', 'DataBar Expanded', 'I25', …)."""
    name = re.sub(r"[^a-z0-9]", "", symbology.lower())
    for pattern, read in _KINDS:
        if re.match(pattern, name):
            return read(text)
    return (name, text)


def in_groups(photographs: list[Photograph]) -> Iterator[tuple[str, list[int]]]:
    """Yield each group with the places of its photographs in the list."""
    for group in GROUPS:
        places = [at for at, one in enumerate(photographs) if group in (one.group, _sign(one))]
        if places:
            yield group, places


def _sign(photograph: Photograph) -> str:
    return "positives" if photograph.expected else "negatives"


def _photograph(folder: Path, row: dict[str, str]) -> Photograph:
    symbology = row["symbology"]
    positive = symbology != "NONE"
    also = [item.partition(":") for item in (row.get("also") or "").split("|") if item]
    return Photograph(
        path=folder / row["path"],
        collection=row["set"],
        group=_GROUP_OF[symbology[:3]] if positive else "negatives",
        expected=frozenset({code_of(symbology, row["expected"])} if positive else ()),
        present=frozenset(code_of(kind, text) for kind, _, text in also),
    )


def _same(code: Code, true: Code) -> bool:
    """A DataBar Expanded that holds nothing but a GTIN is that GTIN."""
    kind, text = code
    alone = kind == "ai" and len(text) == 16 and text.startswith("01")
    return code == true or (alone and ("gtin", text[2:]) == true)


# ── by format: the text as printed to one comparable form ────────────────────────────────────────────────────────────


def _upc_e(text: str) -> Code:
    digits = text.split(" ", maxsplit=1)[0]
    if len(digits) == 6:
        digits = f"0{digits}0"
    return ("gtin", (expand_upc_e(digits) if len(digits) == 8 else digits).zfill(14))


def _ean(text: str) -> Code:
    digits = text.split(" ", maxsplit=1)[0]
    return ("gtin", (digits[:13] if len(digits) in (15, 18) else digits).zfill(14))  # without the add-on


def _bare(text: str) -> str:
    return re.sub(r"[()\x1d]", "", text)


def _databar(text: str) -> Code:
    digits = _bare(text)
    return ("gtin", digits[2:16] if len(digits) >= 16 and digits.startswith("01") else digits.zfill(14))


def _code_128(text: str) -> Code:
    return ("code128", re.sub(r"[\x00-\x1f]|\{GS\}|<GS>", "", _bare(text)))


def _qr(text: str) -> Code:
    return ("qr", " ".join(_bare(text).split()))


_KINDS = (
    (r"ean[25]", lambda text: ("add-on", text)),
    (r"upce", _upc_e),
    (r"ean|upc|isbn", _ean),
    (r"databarexp", lambda text: ("ai", _bare(text))),
    (r"databar", _databar),
    (r"itf|i25", lambda text: ("itf", text)),
    (r"code128", _code_128),
    (r"qr", _qr),
)
