"""What a store taught its carts of goods by sight, in addition to what was shipped with the network.

Prototypes only, never pictures: a unit vector in the whitened space of one network, which nobody can look at.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from cart_protocol.ids import ProductId

MOST_SHOTS = 10
"""More bring little (recognition reference, section 4) and cost the staff's time."""


class Taught(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One product as staff showed it to a camera."""

    product: ProductId
    network_sha256: str
    """SHA-256 of the network and the space in which the vector lies, in hexadecimal; it means nothing in another."""
    shots: Annotated[int, Meta(ge=1, le=MOST_SHOTS)]
    """How many it is the mean of."""
    vector: bytes
    """16-bit floats (IEEE 754 binary16, little-endian), of length one together; base64 in JSON."""
    look_alikes: tuple[str, ...] = ()
    """Names from which sight cannot tell it: products, or names shipped with the network. They need a tap."""


class TaughtGoods(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of all of it. Versions only grow: going back is a new version with an older content."""

    version: int
    taught: tuple[Taught, ...]
    out_of_season: tuple[ProductId, ...]
    """Not sold at present: a cart does not name these by sight. Their prototypes stay for the next season."""


class Verdict(StrEnum):
    """What the test of a new product against all others said, before it goes live."""

    SAFE = "safe"
    TAP = "tap"
    """Some look like it: between them only the shopper's tap decides."""
    SCATTERED = "scattered"
    """Its shots do not look like one another: show it again."""


class Resemblance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A known product that looks like the new one."""

    name: str
    """A product, or a name shipped with the network."""
    percent: Annotated[int, Meta(ge=-100, le=100)]
    """Cosine of the two prototypes, less what few shots take from it."""
    taken_for: Annotated[int, Meta(ge=0, le=MOST_SHOTS)]
    """So many of the new product's shots were taken for it."""


class Learned(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of showing a product to a camera: its prototype, and how the test of it went."""

    taught: Taught
    verdict: Verdict
    right: Annotated[int, Meta(ge=0, le=MOST_SHOTS)]
    """So many shots were named rightly, each by the others alone; all of one, which has no others."""
    together: Annotated[int, Meta(ge=-100, le=100)]
    """Mean cosine of each shot with the others' mean, in per cent; 100 of a single one."""
    resembles: tuple[Resemblance, ...] = ()
    """The most alike first."""
