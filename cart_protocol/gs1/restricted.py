"""In-store labels: EAN-13 codes that a shop lays out itself, with a price or a mass inside.

GS1 General Specifications, section 2.1.11: prefixes 02 and 20 to 29 are for restricted circulation, and what stands
behind them is the shop's business. The common layout is item number, value, check digit:

    2 8 I I I I I W W W W W C

A layout of its own is written with one character for each of the thirteen digits: a digit for itself, I item number, P
price, W mass, V check digit of price or mass, C check digit of all. 21IIIIIVPPPPC is price with its own check digit.
"""

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from cart_protocol.gs1.check_digit import CheckDigitError, Gs1Error, NotDigitsError
from cart_protocol.ids import ProductId
from cart_protocol.mass import Mass
from cart_protocol.money import Money

_MILLIGRAMS_PER_GRAM = 1_000
ITEM_DIGITS = 5
"""Of the shop's own number; a layout with fewer is filled up with zeros in front."""
_LAYOUT = re.compile(
    r"(?:02|2\d)(?=[^I]*I{1,5}[^I]*$)(?=[^PW]*(?:P+|W+)[^PW]*$)(?=[^V]*V?[^V]*$)[0-9IPWV]{10}C", re.ASCII
)


class RestrictedPattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How this shop lays out an in-store EAN-13 (GS1 General Specifications, section 2.1.11: prefixes 02 and 20-29).

    `prefix` is the leading digits; `kind` says what the value is: the price of the pack in minor units, or its net mass
    in grams. Without `layout`, the five digits after the two-digit prefix are the shop's own item number and the next
    five the value; a prefix of more than two digits narrows the pattern to the items that begin so.
    """

    prefix: str
    kind: Literal["price", "mass"]
    layout: str = ""


class LayoutError(Gs1Error):
    """A layout of in-store labels that cannot be."""


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


def pattern_of(layout: str) -> RestrictedPattern:
    """Return the pattern that thirteen characters such as 21IIIIIVPPPPC describe.

    Raises:
        LayoutError: they describe none, and what to write.
    """
    if not _LAYOUT.fullmatch(layout) or ("V" in layout and _value_length(layout) not in _VALUE_CHECKS):
        raise LayoutError(
            f"layout {layout!r} is not 02 or 20 to 29, then 1 to 5 I, some P or W, perhaps a V (with 4 or 5 P or W), "
            "and C, thirteen in all; write it as 21IIIIIVPPPPC"
        )
    prefix = re.match(r"\d+", layout, re.ASCII)
    return RestrictedPattern(
        prefix=prefix[0] if prefix else "", kind="price" if "P" in layout else "mass", layout=layout
    )


def read_label(digits: str, patterns: Sequence[RestrictedPattern], currency: str) -> InStoreLabel | None:
    """Return what an EAN-13 says by the longest pattern that fits, or None. Does not look at the check digit.

    Raises:
        MarkedValueError: a pattern fits and the value is zero.
        CheckDigitError: a pattern fits and the check digit of its price or mass is wrong.
    """
    fitting = [pattern for pattern in patterns if _fits(digits, pattern)]
    if not fitting:
        return None
    pattern = max(fitting, key=lambda candidate: sum(one.isdigit() for one in candidate.layout or candidate.prefix))
    layout = pattern.layout or f"{digits[:2]}IIIIIPPPPPC"
    product = plu(_picked(digits, layout, "I").zfill(ITEM_DIGITS))
    value = _picked(digits, layout, "PW")
    if verifier := _picked(digits, layout, "V"):
        _require_value_check(value, verifier)
    if int(value) == 0:
        raise MarkedValueError(f"in-store label {digits!r} has a {pattern.kind} of zero; print it again")
    if pattern.kind == "price":
        return InStoreLabel(product=product, marked=Money(int(value), currency))
    return InStoreLabel(product=product, marked_mass=Mass(int(value) * _MILLIGRAMS_PER_GRAM))


def _fits(digits: str, pattern: RestrictedPattern) -> bool:
    if not pattern.layout:
        return digits.startswith(pattern.prefix)
    return all(one == digit for one, digit in zip(pattern.layout, digits, strict=False) if one.isdigit())


def _picked(digits: str, layout: str, letters: str) -> str:
    return "".join(digit for one, digit in zip(layout, digits, strict=False) if one in letters)


def _value_length(layout: str) -> int:
    return sum(one in "PW" for one in layout)


# ── the check digit of a price or mass (General Specifications, sections 7.9.2 to 7.9.4) ─────────────────────────────

# Each weight is a table from digit to weighted digit: '2-' doubles and takes the tens from the units, '5+' adds them.
_TWO_MINUS = (0, 2, 4, 6, 8, 9, 1, 3, 5, 7)
_THREE = (0, 3, 6, 9, 2, 5, 8, 1, 4, 7)
_FIVE_PLUS = (0, 5, 1, 6, 2, 7, 3, 8, 4, 9)
_FIVE_MINUS = (0, 5, 9, 4, 8, 3, 7, 2, 6, 1)
_FOUR_DIGITS = (_TWO_MINUS, _TWO_MINUS, _THREE, _FIVE_MINUS)
_FIVE_DIGITS = (_FIVE_PLUS, _TWO_MINUS, _FIVE_MINUS, _FIVE_PLUS, _TWO_MINUS)
_VALUE_CHECKS = {4: _FOUR_DIGITS, 5: _FIVE_DIGITS}


def value_check_digit(value: str) -> str:
    """Return the check digit of a price or mass of four or five digits.

    Raises:
        LayoutError: it has another number of digits, for which GS1 has no check digit.
    """
    if not (value.isascii() and value.isdigit()):
        raise NotDigitsError(value)
    weights = _VALUE_CHECKS.get(len(value))
    if weights is None:
        raise LayoutError(f"{value!r} has {len(value)} digits; only 4 or 5 have a check digit of their own")
    total = sum(weight[int(digit)] for weight, digit in zip(weights, value, strict=True))
    if len(value) == len(_FOUR_DIGITS):
        return str(total * 3 % 10)
    return str(_FIVE_MINUS.index(-total % 10))


def _require_value_check(value: str, verifier: str) -> None:
    expected = value_check_digit(value)
    if verifier != expected:
        raise CheckDigitError(value + verifier, expected)
