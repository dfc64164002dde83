"""The catalogue file that a shop keeps by hand: TOML (or the same tree as JSON) to a price book.

Masses are in grams, prices are decimal strings, nutrition is per 100 g or 100 ml; docs/PRICE_BOOK.md describes every
key. Everything that is wrong is reported at once, with file, line, product and remedy; half a catalogue is never used.
"""

import datetime as dt
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from cart_protocol.gs1.check_digit import Gs1Error
from cart_protocol.gs1.gtin import gtin_of
from cart_protocol.gs1.restricted import LayoutError, pattern_of, plu
from cart_protocol.host.configuration import ConfigurationError
from cart_protocol.ids import ProductId
from cart_protocol.mass import Mass, Variance, sigma
from cart_protocol.money import MINOR_DIGITS, Money
from cart_protocol.pricing.price_book import (
    Nutrition,
    PriceBook,
    Product,
    Provenance,
    Recall,
    RestrictedPattern,
    SerialRange,
    SoldBy,
    TaxClass,
)
from edge_agent.store.picture_files import PictureFileError, Pictures, read_pictures

ALLERGENS = (
    "gluten", "crustaceans", "eggs", "fish", "peanuts", "soybeans", "milk", "nuts", "celery", "mustard", "sesame",
    "sulphites", "lupin", "molluscs",
)  # fmt: skip
"""The fourteen that must be declared (EU 1169/2011, annex II)."""
_MILLIGRAMS_PER_GRAM = 1_000
_LABEL_PREFIX = re.compile(r"(?:02|2\d)\d{0,5}")
_SIGHT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PRODUCT_TABLE = re.compile(r"\s*\[\[\s*product\s*\]\]")
_SHOWN_PROBLEMS = 20
_LONGEST_LOT = 20
"""Characters of a lot (AI 10) or serial number (AI 21)."""


class PriceBookFileError(ConfigurationError):
    """A catalogue that cannot be used. One line per problem, each beginning with file and line."""

    def __init__(self, problems: Sequence[str]) -> None:
        shown = list(problems[:_SHOWN_PROBLEMS])
        if more := len(problems) - len(shown):
            shown.append(f"… and {more} more")
        super().__init__("\n".join(shown))
        self.problems = tuple(problems)


class Catalogue(msgspec.Struct, frozen=True):
    """What a catalogue describes: the price book, and the pictures that it names."""

    book: PriceBook
    pictures: Mapping[str, bytes] = {}
    """Content of each picture, by its name."""
    folder: Path | None = None
    """Where they lie, as the catalogue says it."""


def read_price_book(path: Path) -> PriceBook:
    """Return the price book that the catalogue at `path` describes. Raises PriceBookFileError as `read_catalogue`."""
    return read_catalogue(path).book


def read_catalogue(path: Path) -> Catalogue:
    """Return what the catalogue at `path` describes.

    Raises:
        PriceBookFileError: the file is missing, is neither TOML nor JSON, or something in it or its pictures is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PriceBookFileError([f"{path}: cannot be read ({error}); name an existing catalogue"]) from error
    try:
        tree = _parse(path, text)
    except ValueError as error:
        raise PriceBookFileError([f"{path}: neither TOML nor JSON ({error}); mend that place"]) from error
    try:
        catalogue = msgspec.convert(tree, _Written)
    except msgspec.ValidationError as error:
        raise PriceBookFileError([f"{path}: {error}; correct or remove it"]) from error
    problems = [f"{path}: {problem}" for problem in _problems_of_head(catalogue)]
    products: dict[ProductId, Product] = {}
    lines = [number for number, line in enumerate(text.splitlines(), start=1) if _PRODUCT_TABLE.match(line)]
    for index, entry in enumerate(catalogue.product):
        try:
            _enter(products, _product(entry, catalogue))
        except _ProductError as problem:
            where = f"{path}, line {lines[index]}" if index < len(lines) else f"{path}"
            problems.append(f"{where}: product {_called(entry, index)}: {problem}")
    recalls = []
    for number, written in enumerate(catalogue.recall, start=1):
        try:
            recalls.append(_recall(written, products))
        except _ProductError as problem:
            problems.append(f"{path}: recall {number} ({written.gtin or written.plu}): {problem}")
    pictures = Pictures({}, {})
    if catalogue.pictures:
        try:
            pictures = read_pictures(path.parent / catalogue.pictures, products.keys())
        except PictureFileError as error:
            problems += str(error).splitlines()
    if problems:
        raise PriceBookFileError(problems)
    for product, name in pictures.names.items():
        products[product] = msgspec.structs.replace(products[product], picture=name)
    folder = Path(catalogue.pictures) if catalogue.pictures else None
    return Catalogue(_price_book(catalogue, products, recalls), pictures.contents, folder)


def default_spread(mass: Mass) -> Mass:
    """Return the standard deviation to expect of packs of nominal `mass`, before any was weighed.

    Directive 76/211/EEC, annex I, 2.4 lets at most 2.5 % of packs fall short by more than a tolerable error, so two
    standard deviations are that error at most (reference/features, section 4.1; above 1 kg as in its section 4.3).
    """
    for limit, share, fixed in _TOLERABLE_ERROR:
        if mass <= limit:
            return Mass(max(1, (fixed or mass * share // 1_000) // 2))
    return Mass(_TOLERABLE_ERROR_ABOVE // 2)


_TOLERABLE_ERROR = (
    # up to (mg), per mille of the nominal mass, or a fixed error (mg)
    (50_000, 90, 0),
    (100_000, 0, 4_500),
    (200_000, 45, 0),
    (300_000, 0, 9_000),
    (500_000, 30, 0),
    (1_000_000, 0, 15_000),
    (10_000_000, 15, 0),
)
_TOLERABLE_ERROR_ABOVE = 150_000


# ── the file as it is written ────────────────────────────────────────────────────────────────────────────────────────


class _Tax(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    percent: Decimal


class _Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either `prefix` and `holds`, or `layout`."""

    prefix: str = ""
    holds: str = ""
    layout: str = ""


class _Recall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either `gtin` or `plu`."""

    reason: str
    gtin: str | None = None
    plu: str | None = None
    lots: tuple[str, ...] = ()
    serials: tuple[tuple[str, str], ...] = ()
    dated_from: dt.date | None = None
    dated_to: dt.date | None = None
    only_if_certain: bool = False


class _Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int
    currency: str
    valid_from: dt.datetime
    tax: dict[str, _Tax]
    product: list[dict[str, Any]]
    label: list[_Label] = []
    recall: list[_Recall] = []
    refuse_past_best_before: bool = False
    pictures: str = ""


class _Nutrition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    energy_kj: int
    fat_g: Decimal
    saturates_g: Decimal
    carbohydrate_g: Decimal
    sugars_g: Decimal
    protein_g: Decimal
    salt_g: Decimal


class _Product(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either `gtin` or `plu`; either `price` with `mass_g`, or `price_per_kg` without."""

    name: str
    department: str
    tax: str
    gtin: str | None = None
    plu: str | None = None
    price: Decimal | None = None
    price_per_kg: Decimal | None = None
    mass_g: Decimal | None = None
    spread_g: Decimal | None = None
    tagged: bool = False
    origin: str = ""
    producer: str = ""
    inspected_by: str = ""
    note: str = ""
    allergens: tuple[str, ...] = ()
    nutrition: _Nutrition | None = None
    sight: str = ""


class _ProductError(ValueError):
    """One thing wrong with one product: what was seen, and what to do."""


def _parse(path: Path, text: str) -> Any:  # noqa: ANN401 - a tree of whatever the file holds; msgspec types it next
    if path.suffix == ".json":
        return json.loads(text, parse_float=Decimal)
    return tomllib.loads(text, parse_float=Decimal)


# ── the whole book ───────────────────────────────────────────────────────────────────────────────────────────────────


def _enter(products: dict[ProductId, Product], product: Product) -> None:
    if other := products.get(product.id):
        raise _ProductError(f"has the number of {other.name!r}; give one of them its own")
    products[product.id] = product


def _price_book(catalogue: _Written, products: dict[ProductId, Product], recalls: Sequence[Recall]) -> PriceBook:
    return PriceBook(
        version=catalogue.version,
        currency=catalogue.currency,
        valid_from_ms=round(catalogue.valid_from.timestamp() * 1_000),
        tax_classes=tuple(
            TaxClass(code=code, name=tax.name, basis_points=int(tax.percent * 100))
            for code, tax in catalogue.tax.items()
        ),
        products=tuple(products.values()),
        restricted_patterns=tuple(map(_pattern, catalogue.label)),
        recalls=tuple(recalls),
        refuse_past_best_before=catalogue.refuse_past_best_before,
    )


def _pattern(label: _Label) -> RestrictedPattern:
    if label.layout:
        return pattern_of(label.layout)
    return RestrictedPattern(prefix=label.prefix, kind="price" if label.holds == "price" else "mass")


def _problems_of_head(catalogue: _Written) -> list[str]:
    problems = []
    if catalogue.version < 1:
        problems.append(f"version {catalogue.version} is below 1; count the versions from 1 upwards")
    if catalogue.currency not in MINOR_DIGITS:
        problems.append(f"currency {catalogue.currency!r} is not one of {', '.join(MINOR_DIGITS)}")
    if catalogue.valid_from.tzinfo is None:
        problems.append("valid_from has no time zone; write it as 2026-01-01T00:00:00Z")
    for code, tax in catalogue.tax.items():
        if not (tax.percent.is_finite() and 0 <= tax.percent <= 100) or tax.percent * 100 % 1:
            problems.append(f"tax {code!r}: {tax.percent} % is not 0 to 100 with at most two decimals; correct it")
    for label in catalogue.label:
        problems += _problems_of_label(label)
    return problems


def _problems_of_label(label: _Label) -> list[str]:
    if label.layout:
        if label.prefix or label.holds:
            return [f"label {label.layout!r} has prefix or holds too; the layout says both, remove them"]
        try:
            pattern_of(label.layout)
        except LayoutError as error:
            return [f"label {error}"]
        return []
    problems = []
    if not _LABEL_PREFIX.fullmatch(label.prefix):
        problems.append(f"label prefix {label.prefix!r} is not for in-store use; begin with 02 or 20 to 29")
    if label.holds not in ("price", "mass"):
        problems.append(f"label {label.prefix!r} holds {label.holds!r}; write 'price' or 'mass'")
    return problems


def _called(entry: dict[str, Any], index: int) -> str:
    number = entry.get("gtin") or entry.get("plu")
    return f"{entry.get('name', f'number {index + 1}')!r} ({number})" if number else repr(entry.get("name", index + 1))


# ── one recall ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _recall(written: _Recall, products: dict[ProductId, Product]) -> Recall:
    product = _id(written)
    if product not in products:
        raise _ProductError("is of a product that is not in this file; correct its number, or remove the recall")
    if not written.reason.strip():
        raise _ProductError("has no reason; write for staff what is wrong")
    if written.dated_from and written.dated_to and written.dated_from > written.dated_to:
        raise _ProductError(f"dated_from {written.dated_from} is after dated_to {written.dated_to}; swap them")
    for code in (*written.lots, *(one for pair in written.serials for one in pair)):
        if not 1 <= len(code) <= _LONGEST_LOT:
            raise _ProductError(f"lot or serial number {code!r} has not 1 to {_LONGEST_LOT} characters; correct it")
    return Recall(
        product=product,
        reason=written.reason,
        lots=written.lots,
        serials=tuple(SerialRange(first=first, last=last) for first, last in written.serials),
        dated_from=written.dated_from,
        dated_to=written.dated_to,
        only_if_certain=written.only_if_certain,
    )


# ── one product ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _product(entry: dict[str, Any], catalogue: _Written) -> Product:
    try:
        written = msgspec.convert(entry, _Product)
    except msgspec.ValidationError as error:
        raise _ProductError(f"{error}; correct or remove it") from error
    if not written.name.strip() or not written.department.strip():
        raise _ProductError("has no name or no department; give it both")
    if written.tax not in catalogue.tax:
        raise _ProductError(
            f"tax class {written.tax!r} is unknown; use one of {', '.join(catalogue.tax)} or add [tax.…]"
        )
    sold_by, price = _price(written, catalogue.currency)
    mass, variance = _mass(written, sold_by)
    return Product(
        id=_id(written),
        name=written.name,
        sold_by=sold_by,
        price=price,
        tax_class=written.tax,
        mass=mass,
        mass_variance=variance,
        department=written.department,
        tagged=written.tagged,
        nutrition=_nutrition(written.nutrition),
        provenance=_provenance(written),
        allergens=_allergens(written.allergens),
        sight=_sight(written.sight),
    )


def _id(written: _Product | _Recall) -> ProductId:
    if written.gtin is not None and written.plu is None:
        try:
            return ProductId(gtin_of(written.gtin))
        except Gs1Error as error:
            raise _ProductError(f"gtin {error}; copy it from the pack") from error
    if written.plu is not None and written.gtin is None:
        if not re.fullmatch(r"[0-9]{5}", written.plu):
            raise _ProductError(f"plu {written.plu!r} is not five digits; write it as on the label, e.g. '00042'")
        return plu(written.plu)
    raise _ProductError("needs either a gtin or a plu; give it one of the two")


def _price(written: _Product, currency: str) -> tuple[SoldBy, Money]:
    if (written.price is None) == (written.price_per_kg is None):
        raise _ProductError("needs either price (each) or price_per_kg; give it one of the two")
    sold_by = SoldBy.PIECE if written.price is not None else SoldBy.KILOGRAM
    amount = written.price if written.price is not None else written.price_per_kg
    # An unknown currency is reported once, for the whole file.
    minor = (amount or Decimal(0)) * 10 ** MINOR_DIGITS.get(currency, 2)
    if not minor.is_finite() or minor <= 0:
        raise _ProductError(f"price {amount} is not above zero; correct it")
    if minor % 1:
        raise _ProductError(f"price {amount} has fractions of the smallest coin of {currency}; round it")
    return sold_by, Money(int(minor), currency)


def _mass(written: _Product, sold_by: SoldBy) -> tuple[Mass, Variance]:
    if sold_by is SoldBy.KILOGRAM:
        if written.mass_g is not None or written.spread_g is not None:
            raise _ProductError("is sold by the kilogram, so the scale says its mass; remove mass_g and spread_g")
        return Mass(0), Variance(0)
    if written.mass_g is None:
        raise _ProductError("has no mass_g; weigh one piece with its packaging and write it in grams")
    mass = Mass(_milligrams("mass_g", written.mass_g))
    if written.spread_g is None:
        return mass, sigma(default_spread(mass))
    spread = Mass(_milligrams("spread_g", written.spread_g))
    if spread * 2 > mass:
        raise _ProductError(
            f"spread_g {written.spread_g} is more than half of mass_g {written.mass_g}; correct one of them"
        )
    return mass, sigma(spread)


def _milligrams(key: str, value: Decimal, *, least: int = 1) -> int:
    if not value.is_finite() or round(value * _MILLIGRAMS_PER_GRAM) < least:
        raise _ProductError(f"{key} {value} is too small; correct it")
    return round(value * _MILLIGRAMS_PER_GRAM)


def _nutrition(written: _Nutrition | None) -> Nutrition | None:
    if written is None:
        return None
    if written.energy_kj < 0:
        raise _ProductError(f"energy_kj {written.energy_kj} is below zero; correct it")
    mg = {
        key: _milligrams(key, getattr(written, key), least=0)
        for key in ("fat_g", "saturates_g", "carbohydrate_g", "sugars_g", "protein_g", "salt_g")
    }
    if mg["saturates_g"] > mg["fat_g"] or mg["sugars_g"] > mg["carbohydrate_g"]:
        raise _ProductError("has more saturates than fat, or more sugars than carbohydrate; correct its nutrition")
    if mg["fat_g"] + mg["carbohydrate_g"] + mg["protein_g"] + mg["salt_g"] > 100 * _MILLIGRAMS_PER_GRAM:
        raise _ProductError("has more than 100 g of nutrients in 100 g; correct its nutrition")
    return Nutrition(
        energy_kj=written.energy_kj,
        fat_mg=mg["fat_g"],
        saturates_mg=mg["saturates_g"],
        carbohydrate_mg=mg["carbohydrate_g"],
        sugars_mg=mg["sugars_g"],
        protein_mg=mg["protein_g"],
        salt_mg=mg["salt_g"],
    )


def _provenance(written: _Product) -> Provenance | None:
    if not written.origin and not written.producer:
        return None
    return Provenance(
        origin=written.origin, producer=written.producer, inspected_by=written.inspected_by, note=written.note
    )


def _sight(written: str) -> str:
    if written and not _SIGHT.fullmatch(written):
        raise _ProductError(
            f"sight {written!r} is no name of the shipped network; copy one from 'cart-firmware sight', or leave it out"
        )
    return written


def _allergens(written: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [allergen for allergen in written if allergen not in ALLERGENS]:
        raise _ProductError(f"allergens {', '.join(unknown)} are unknown; use {', '.join(ALLERGENS)}")
    return written
