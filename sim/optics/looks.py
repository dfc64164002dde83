"""What a good looks like, as a greengrocer would tell it: shape, skin, marks, and how far pieces of it differ.

Looks are of a product, not of a piece: sim/optics/goods_paint draws pieces of them. Colours are written as #rrggbb.
"""

from enum import StrEnum
from functools import lru_cache

import msgspec


class Shape(StrEnum):
    GLOBE = "globe"
    """Round about its stem's axis, to which `stretch`, `taper` and `dent` belong."""
    PEPPER = "pepper"
    """With lobes along its axis, and a thick stem."""
    ROD = "rod"
    """Longer than wide, its ends as its `taper` says; bent by `bend`."""
    BANANAS = "bananas"
    """A hand of bent rods."""
    BERRIES = "berries"
    """Many small globes on a stem."""
    VINE = "vine"
    """A few globes on a stem that is seen."""
    BUNCH = "bunch"
    """Small globes under a tuft of leaves."""
    HEAD = "head"
    """Leaves about a heart."""
    FLORETS = "florets"
    """A crown of small knobs on a stalk."""
    MUSHROOM = "mushroom"
    BOX = "box"
    BAG = "bag"
    TIN = "tin"
    BOTTLE = "bottle"
    TUB = "tub"
    SLICE = "slice"
    """A cut piece on paper, as counters sell it."""


class MarkKind(StrEnum):
    SPECKLES = "speckles"
    """Small light or dark dots."""
    STREAKS = "streaks"
    """Lines from stem to blossom, irregular."""
    STRIPES = "stripes"
    """Lines along it, regular."""
    PORES = "pores"
    """The dimpled skin of a citrus fruit."""
    NET = "net"
    """Raised lines all over."""
    RUSSET = "russet"
    """Rough brown patches."""
    EYES = "eyes"
    """The dents of a potato."""
    RINGS = "rings"
    """Across its axis, as on a carrot."""
    FUZZ = "fuzz"
    VEINS = "veins"
    """Of leaves."""


class Mark(msgspec.Struct, frozen=True):
    kind: MarkKind
    amount: float
    """From 0, none, to 1, as much as there can be."""
    colour: str


class Looks(msgspec.Struct, frozen=True, kw_only=True):
    """Of one product."""

    shape: Shape
    size_mm: float
    """Length of one piece, or of what is sold as one."""
    skin: str
    other: str = ""
    """A second colour: the sunny side of an apple, the ends of a banana, the print of a pack."""
    share: float = 0.0
    """Of the skin that has the second colour."""
    ripeness: float = 0.15
    """By how much that share differs from piece to piece (standard deviation)."""
    vary: float = 0.05
    """Lightness and hue, from piece to piece (standard deviation)."""
    uneven: float = 0.06
    """Lightness, over one piece."""
    stretch: float = 1.0
    """Length over width."""
    taper: float = 0.0
    """How much thinner it is at its stem (below 0: at the other end)."""
    dent: float = 0.0
    """Depth of the dents at its ends."""
    lumpy: float = 0.0
    """How far its outline is from regular."""
    bend: float = 0.0
    """Of a rod, as a share of its length."""
    gloss: float = 0.3
    stem: str = ""
    """Colour of stem or stalk; without one, none is seen."""
    marks: tuple[Mark, ...] = ()
    words: tuple[str, ...] = ()
    """Of a pack: what is printed on it, the largest first."""


@lru_cache(maxsize=512)
def colour(written: str) -> tuple[float, float, float]:
    """Return a colour's blue, green and red, 0 to 1, of '#rrggbb'."""
    red, green, blue = (int(written[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return blue, green, red
