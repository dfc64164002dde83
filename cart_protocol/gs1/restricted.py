"""In-store labels: EAN-13 codes that a shop lays out itself, with a price or a mass inside.

GS1 General Specifications, section 2.1.11: prefixes 02 and 20 to 29 are for restricted circulation, and what stands
behind them is the shop's business. Ours is the common one:

    2 8 I I I I I V V V V V C      prefix, item number, value, check digit
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from cart_protocol.gs1.check_digit import Gs1Error
from cart_protocol.ids import ProductId
from cart_protocol.mass import Mass
from cart_protocol.money import Money

_MILLIGRAMS_PER_GRAM = 1_000


class RestrictedPattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this shop lays out an in-store EAN-13 (GS1 General Specifications, section 2.1.11: prefixes 02 and 20-29).

    `prefix` is the leading digits; `kind` says what the five digits before the check digit are: the price of the pack
    in minor units, or its net mass in grams. The five digits after the two-digit prefix are the shop's own item number;
    a prefix of more than two digits narrows the pattern to the items that begin so.
    """

    prefix: str
    kind: Literal["price", "mass"]


class MarkedValueError(Gs1Error):
    """An in-store label whose price or mass is zero: the label printer had none."""


class InStoreLabel(msgspec.Struct, frozen=True, kw_only=True):
    """What an in-store label says: the shop's item, and either its price or its net mass."""

    product: ProductId
    marked: Money | None = None
    marked_mass: Mass | None = None


def plu(item: str) -> ProductId:
    """Return the catalogue key of the shop's own item number, five digits as on the label."""
    return ProductId(f"plu:{item}")


def read_label(digits: str, patterns: Sequence[RestrictedPattern], currency: str) -> InStoreLabel | None:
    """Return what an EAN-13 says by the longest pattern that fits, or None. Does not look at the check digit.

    Raises:
        MarkedValueError: a pattern fits and the value is zero.
    """
    fitting = [pattern for pattern in patterns if digits.startswith(pattern.prefix)]
    if not fitting:
        return None
    pattern = max(fitting, key=lambda candidate: len(candidate.prefix))
    product, value = plu(digits[2:7]), int(digits[7:12])
    if value == 0:
        raise MarkedValueError(f"in-store label {digits!r} has a {pattern.kind} of zero; print it again")
    if pattern.kind == "price":
        return InStoreLabel(product=product, marked=Money(value, currency))
    return InStoreLabel(product=product, marked_mass=Mass(value * _MILLIGRAMS_PER_GRAM))
