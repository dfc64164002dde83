"""Real photographs as the cameras' frames: a folder with a manifest becomes shelves whose packs are photographs.

The manifest is a CSV with the columns path, symbology and expected. Codes that a shop could sell get a price and a mass
of our invention; everything behind the camera is as in any other shop.
"""

import csv
import json
import random
from pathlib import Path
from typing import Any

import msgspec

from cart_protocol.gs1.check_digit import Gs1Error
from cart_protocol.gs1.gtin import gtin_of, gtin_of_upc_e
from cart_protocol.ids import Gtin
from cart_protocol.pricing.price_book import PriceBook
from sim.goods import Shelves, Unit

_IN_STORE_DIGIT = "2"
"""Begins a shop's own labels (GS1 General Specifications, 2.1.11); another shop's say nothing here."""
_NAMES = "Photographed pack"


class PhotographsError(Exception):
    """A folder that cannot stand in for the cameras; the text says what is missing."""


class Photograph(msgspec.Struct, frozen=True):
    path: Path
    gtin: Gtin


def photographs(folder: Path) -> list[Photograph]:
    """Return every photograph of a retail code in `folder`.

    Raises:
        PhotographsError: there is no manifest.csv, or nothing in it that a shop could sell.
    """
    manifest = folder / "manifest.csv"
    if not manifest.exists():
        raise PhotographsError(
            f"{manifest} is missing; --photos wants a folder with a manifest (path, symbology, expected)"
        )
    with manifest.open(newline="", encoding="utf-8") as file:
        found = [Photograph(folder / row["path"], gtin) for row in csv.DictReader(file) if (gtin := _gtin(row))]
    if not found:
        raise PhotographsError(f"{manifest} names no EAN or UPC photograph")
    return found


class PhotographShelves(Shelves):
    """Shelves on which each pack is one of its photographs, every photograph once before any comes twice."""

    def __init__(self, book: PriceBook, found: list[Photograph]) -> None:
        super().__init__(book)
        self._product = {str(product.id): product for product in self.products}
        self._all = found
        self._pile: list[Photograph] = []

    def pick(self, dice: random.Random) -> Unit:
        if not self._pile:
            self._pile = dice.sample(self._all, len(self._all))
        photograph = self._pile.pop()
        unit = self.take(self._product[photograph.gtin], dice)
        unit.photograph = str(photograph.path)
        return unit

    def pick_tagged(self, dice: random.Random) -> Unit:
        unit = self.pick(dice)
        unit.tag_live = True  # thieves peel nothing off: the pack just happens to carry a tag
        return unit


def write_catalogue(path: Path, found: list[Photograph]) -> None:
    """Write a catalogue (JSON) that sells every photographed code, with invented prices and masses."""
    dice = random.Random(20)
    products: list[dict[str, Any]] = []
    for number, gtin in enumerate(sorted({photograph.gtin for photograph in found}), start=1):
        mass = dice.randint(60, 900)
        products.append(
            {
                "name": f"{_NAMES} {number} ({gtin.lstrip('0')})",
                "department": "Photographs",
                "tax": "reduced",
                "gtin": gtin,
                "price": dice.randint(60, 900) / 100,
                "mass_g": mass,
                "spread_g": round(mass * 0.006 + 0.4, 1),
                "tagged": number % 10 == 0,
            }
        )
    path.write_text(
        json.dumps(
            {
                "version": 1,
                "currency": "EUR",
                "valid_from": "2026-01-01T00:00:00Z",
                "tax": {"reduced": {"name": "Reduced rate", "percent": 7}},
                "product": products,
            },
            indent=1,
        )
    )


def _gtin(row: dict[str, str]) -> Gtin | None:
    """Return the GTIN that a row's symbol carries, or None for what no shop sells by it."""
    text = row["expected"]
    try:
        match row["symbology"]:
            case "UPCE":
                return gtin_of_upc_e(text)
            case "EAN13" | "EAN8" | "UPCA":
                return None if row["symbology"] == "EAN13" and text.startswith(_IN_STORE_DIGIT) else gtin_of(text)
    except Gs1Error:
        pass
    return None
