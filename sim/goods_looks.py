"""What the goods of the demo catalogue look like, and what one piece of loose goods weighs.

The product knows none of this: it has to see it. Packs have no entry; their colours follow from their number, their
kind from their name.
"""

import colorsys
import hashlib
import re
from collections.abc import Mapping

import msgspec

from cart_protocol.ids import ProductId
from cart_protocol.pricing.price_book import Product
from sim.optics.looks import Looks, Mark, MarkKind, Shape


class Piece(msgspec.Struct, frozen=True):
    """One piece of loose goods."""

    grams: float
    spread: float
    """Standard deviation."""
    most: int = 6
    """How many a shopper takes at once."""


class Loose(msgspec.Struct, frozen=True):
    looks: Looks
    piece: Piece
    group: str
    """Of goods that look alike."""
    by_sight: bool
    """No scale at a counter labels it: carts must know it by sight, and trips that scan everything leave it alone."""


def looks_of(product: Product) -> Looks:
    """Return the looks of any product: of loose goods as they are told below, of a pack as its number and name say."""
    return looks(product.id, product.name, product.mass / 1_000)


def looks(product: ProductId, name: str, grams: float) -> Looks:
    """The same, of a product that stands in no price book yet."""
    if product in LOOSE:
        return LOOSE[product].looks
    return _COUNTER[product] if product in _COUNTER else pack_looks(product, name, grams)


# ── loose goods ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _apple(skin: str, other: str = "", share: float = 0.0, streaks: float = 0.0, stretch: float = 0.93) -> Looks:
    marks = (Mark(MarkKind.SPECKLES, 0.25, "#e8dcae"), Mark(MarkKind.STREAKS, streaks, "#a3241f"))
    return Looks(
        shape=Shape.GLOBE, size_mm=76, skin=skin, other=other, share=share, ripeness=0.16, stretch=stretch, taper=-0.10,
        dent=0.16, gloss=0.35, stem="#5d4630", marks=marks if streaks else marks[:1],
    )  # fmt: skip


def _citrus(skin: str, size_mm: float, pores: float, stretch: float = 0.97, dent: float = 0.03) -> Looks:
    return Looks(
        shape=Shape.GLOBE, size_mm=size_mm, skin=skin, stretch=stretch, vary=0.04, dent=dent, gloss=0.3, stem="#6f7d3a",
        marks=(Mark(MarkKind.PORES, pores, "#fff2c0"),),
    )  # fmt: skip


def _pear(skin: str, *marks: Mark, other: str = "", share: float = 0.0, stretch: float = 1.4) -> Looks:
    return Looks(
        shape=Shape.GLOBE, size_mm=95, skin=skin, other=other, share=share, stretch=stretch, taper=0.52, dent=0.02,
        gloss=0.16, stem="#5a4227", marks=marks, lumpy=0.012,
    )  # fmt: skip


def _pepper(skin: str, other: str = "", share: float = 0.0) -> Looks:
    return Looks(
        shape=Shape.PEPPER, size_mm=92, skin=skin, other=other, share=share, stretch=1.14, dent=0.14, taper=-0.16,
        gloss=0.62, stem="#3f7d34", lumpy=0.02, vary=0.06,
    )  # fmt: skip


def _potato(skin: str, eyes: float, russet: float, stretch: float) -> Looks:
    return Looks(
        shape=Shape.GLOBE, size_mm=82, skin=skin, stretch=stretch, lumpy=0.045, gloss=0.04, vary=0.07, uneven=0.08,
        marks=(Mark(MarkKind.EYES, eyes, "#6e5230"), Mark(MarkKind.RUSSET, russet, "#a5803f")),
    )  # fmt: skip


_LABELLED_UNTIL = "00040"
"""The demo's numbers up to here are weighed and labelled at the counter."""

LOOSE: Mapping[str, Loose] = {
    f"plu:{plu}": Loose(look, piece, group, by_sight=plu > _LABELLED_UNTIL)
    for plu, group, piece, look in (
        ("00011", "apple", Piece(165, 20), _apple("#dcc64c", "#b8332a", 0.42, 0.45)),
        ("00041", "apple", Piece(175, 18), _apple("#97c14c")),
        ("00042", "apple", Piece(170, 20), _apple("#d3cf5b", "#c9a24a", 0.12, stretch=1.0)),
        ("00043", "apple", Piece(155, 18), _apple("#dcb95a", "#c03a2e", 0.68, 0.75)),
        ("00012", "pear", Piece(190, 25), _pear("#93a04a", Mark(MarkKind.RUSSET, 0.65, "#8d6f3b"), stretch=1.55)),
        ("00044", "pear", Piece(200, 25),
         _pear("#bdbf4f", Mark(MarkKind.SPECKLES, 0.4, "#8a7a30"), other="#d9c257", share=0.3)),
        ("00013", "banana", Piece(182, 18, 5), Looks(
            shape=Shape.BANANAS, size_mm=190, skin="#f1cf3e", other="#a6b548", share=0.0, stretch=4.6, taper=-0.62,
            bend=0.13, gloss=0.14, stem="#7c7a34", marks=(Mark(MarkKind.RUSSET, 0.05, "#7a5a26"),))),
        ("00014", "citrus", Piece(210, 25), _citrus("#ef8f1f", 80, 0.9)),
        ("00045", "citrus", Piece(85, 10, 8), _citrus("#ec7a17", 60, 0.5, 0.80, 0.10)),
        ("00015", "lemon", Piece(120, 14), _citrus("#efd22f", 82, 0.8, 1.28)),
        ("00046", "citrus", Piece(380, 35, 3), msgspec.structs.replace(
            _citrus("#ecb04c", 105, 0.8, 0.93), other="#e27d4c", share=0.35)),
        ("00016", "grape", Piece(480, 90, 2), Looks(
            shape=Shape.BERRIES, size_mm=190, skin="#b6c65c", gloss=0.35, stem="#8a7b42", stretch=1.1, vary=0.06,
            uneven=0.03)),
        ("00021", "tomato", Piece(420, 70, 2), Looks(
            shape=Shape.VINE, size_mm=170, skin="#d3352a", gloss=0.5, stem="#4b7b33", stretch=0.9, vary=0.05)),
        ("00022", "carrot", Piece(95, 25, 8), Looks(
            shape=Shape.ROD, size_mm=190, skin="#e8772a", stretch=5.4, taper=0.72, bend=0.03, gloss=0.12, lumpy=0.05,
            stem="#7c9a4a", marks=(Mark(MarkKind.RINGS, 0.8, "#a84f18"),))),
        ("00023", "potato", Piece(110, 30, 8), _potato("#dcb868", 0.2, 0.05, 1.42)),
        ("00047", "potato", Piece(120, 35, 8), _potato("#b98a56", 0.5, 0.5, 1.16)),
        ("00024", "onion", Piece(130, 25, 6), Looks(
            shape=Shape.GLOBE, size_mm=72, skin="#bf7b32", other="#9b5a22", share=0.3, stretch=0.95, dent=-0.22,
            gloss=0.35, stem="#a88550", marks=(Mark(MarkKind.STREAKS, 0.8, "#8a4f1d"),))),
        ("00025", "pepper", Piece(190, 30, 4), _pepper("#c8201f", "#3f7d2d", 0.03)),
        ("00048", "pepper", Piece(190, 30, 4), _pepper("#f0b91e")),
        ("00049", "pepper", Piece(180, 30, 4), _pepper("#2d6a26")),
        ("00026", "mushroom", Piece(18, 5, 14), Looks(
            shape=Shape.MUSHROOM, size_mm=48, skin="#ece3d3", stem="#e6d9c3", gloss=0.06, uneven=0.04,
            marks=(Mark(MarkKind.RUSSET, 0.02, "#d3bd9a"),))),
        ("00050", "courgette", Piece(260, 45, 4), Looks(
            shape=Shape.ROD, size_mm=200, skin="#3f6b2c", stretch=4.4, taper=0.12, bend=0.04, gloss=0.32,
            stem="#7f9a55", marks=(Mark(MarkKind.STRIPES, 0.35, "#7fa257"), Mark(MarkKind.SPECKLES, 0.7, "#a9c27b")))),
        ("00051", "courgette", Piece(380, 35, 3), Looks(
            shape=Shape.ROD, size_mm=310, skin="#2f5d28", stretch=6.4, taper=0.08, bend=0.03, gloss=0.4,
            marks=(Mark(MarkKind.STRIPES, 0.2, "#5b8a3f"),))),
        ("00052", "melon", Piece(1_150, 130, 1), Looks(
            shape=Shape.GLOBE, size_mm=145, skin="#cfa94b", other="#a3a24e", share=0.3, stretch=1.05, gloss=0.08,
            marks=(Mark(MarkKind.NET, 0.85, "#e9dcb0"),))),
        ("00053", "lettuce", Piece(420, 60, 1), Looks(
            shape=Shape.HEAD, size_mm=150, skin="#8fbf4d", other="#cfe08d", gloss=0.2, lumpy=0.06,
            marks=(Mark(MarkKind.VEINS, 0.6, "#dcebb0"),))),
        ("00054", "kiwi", Piece(95, 9, 6), Looks(
            shape=Shape.GLOBE, size_mm=66, skin="#8a6a3b", stretch=1.22, gloss=0.05,
            marks=(Mark(MarkKind.FUZZ, 0.8, "#b08f58"),))),
        ("00055", "avocado", Piece(190, 22, 4), Looks(
            shape=Shape.GLOBE, size_mm=105, skin="#3d4a2a", stretch=1.35, taper=0.36, gloss=0.22, stem="#6a5a3a",
            marks=(Mark(MarkKind.PORES, 1.0, "#66753f"), Mark(MarkKind.SPECKLES, 0.4, "#7c8a4d")))),
        ("00056", "radish", Piece(240, 40, 2), Looks(
            shape=Shape.BUNCH, size_mm=200, skin="#c81f4d", other="#f3e6e6", share=0.05, stem="#4d8a35", gloss=0.4,
            vary=0.06)),
    )
}  # fmt: skip
"""By product id."""


# ── what the counters cut, and packs ─────────────────────────────────────────────────────────────────────────────────

_COUNTER: Mapping[str, Looks] = {
    "plu:00031": Looks(shape=Shape.SLICE, size_mm=150, skin="#ecc65c"),
    "plu:00032": Looks(shape=Shape.TUB, size_mm=100, skin="#6e7d3c", other="#e9e4d2", words=("Olives",)),
    "plu:00033": Looks(shape=Shape.SLICE, size_mm=150, skin="#9b2a2c", other="#ecd9cf", share=0.25),
    "plu:00034": Looks(shape=Shape.SLICE, size_mm=150, skin="#f08e66", other="#f8cdb4", share=0.35),
}

_KINDS = (
    ("tin|can", Shape.TIN, 1.35),
    (
        "yoghurt|cream|spread|jam|honey|peanut butter|mustard|pesto|passata|sauce|mayonnaise|instant coffee",
        Shape.TUB, 1.15,
    ),
    (
        ("bottle|milk, 250|Riesling|noir|wine|gin|whisky|brandy|vodka|liqueur|water|soda|cola|spritzer|oil|vinegar"
         "|ketchup|shampoo|gel|lotion|cleaner|soap|liquid detergent|after shave|parfum"),
        Shape.BOTTLE, 2.6,
    ),
    (
        ("crisps|peanuts|trail mix|gums|lentils|rice|spaghetti|peas|spinach|chips|raspberries|rolls|bread|ground coffee"
         "|beans|dog food|pouch|cheese|salami|bacon|ham|beef|chicken|bratwurst|pads|tissues|toilet paper|croissants"
         "|muesli"),
        Shape.BAG, 1.3,
    ),
)  # fmt: skip
"""What a name says of the pack: its shape, and how much taller it is than wide. The first that fits."""


def pack_looks(number: str, name: str, grams: float) -> Looks:
    """Return the looks of a pack of that number, name and mass."""
    shape, stretch = next(
        ((shape, stretch) for words, shape, stretch in _KINDS if re.search(rf"\b(?:{words})\b", name)),
        (Shape.BOX, 1.4),
    )
    hue, deep, dark, opposite = (byte / 255 for byte in hashlib.sha256(number.encode()).digest()[:4])
    brand, _, what = name.partition(" ")
    short, _, size = what.partition(",")
    return Looks(
        shape=shape, stretch=stretch, size_mm=_edge_mm(grams),
        skin=_rgb(hue, 0.35 + 0.45 * deep, 0.45 + 0.5 * dark),
        other=_rgb((hue + 0.3 + 0.4 * opposite) % 1, 0.4, 0.93),
        words=(brand, *_lines(short), size.strip()) if size else (brand, *_lines(short)),
    )  # fmt: skip


def _edge_mm(grams: float) -> float:
    """Return about how long a pack of that mass is: 1 g fills 1.3 cubic centimetres, in a box half as deep as wide."""
    return float(max(40.0, min(330.0, 10 * (2.6 * grams) ** (1 / 3) * 1.25)))


def _lines(text: str) -> list[str]:
    """Return a name in lines of about twelve letters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) > 12:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _rgb(hue: float, saturation: float, value: float) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hsv_to_rgb(hue, saturation, value))
