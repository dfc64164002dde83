"""How EAN and UPC symbols are printed, as arithmetic: modules, sets, guards, and which words are valid.

Source: GS1 General Specifications, section 5.2 (EAN/UPC symbology). A symbol is a row of modules of equal width, 1 for
dark and 0 for light. A digit takes 7 modules in one of three sets: A and B in the left half, C in the right half. Which
of A and B each left digit uses (its parity) carries one more digit: the first of EAN-13, the check digit of UPC-E.

A word is valid when its parity is one of the printed patterns and its weighted digits add up to 0 modulo 10. `Layout`
says so as a table of families: each family fixes the sets and weights of all positions, so that a decoder need only
walk digit by digit with the running sum as its state.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Symbology = Literal["EAN13", "UPCA", "EAN8", "UPCE"]

DIGIT_MODULES = 7
SET_A, SET_B, SET_C = 0, 1, 2

# GS1 General Specifications, figure 5.2.1.1-1 (number set A); C is its complement, B is C backwards.
_SET_A = "0001101 0011001 0010011 0111101 0100011 0110001 0101111 0111011 0110111 0001011"
# Figure 5.2.1.2.1-1: sets of the six left digits for each first digit of EAN-13.
_EAN_PARITY = "AAAAAA AABABB AABBAB AABBBA ABAABB ABBAAB ABBBAA ABABAB ABABBA ABBABA"
# Figure 5.2.2.4.2-1: sets of the six digits of UPC-E for each check digit, number system 0 (1 swaps A and B).
_UPCE_PARITY = "BBBAAA BBABAA BBAABA BBAAAB BABBAA BAABBA BAAABB BABABA BABAAB BAABAB"


def _bits(text: str) -> NDArray[np.float32]:
    return np.array([int(module) for module in text], dtype=np.float32)


def _sets() -> NDArray[np.float32]:
    left = np.stack([_bits(digit) for digit in _SET_A.split()])
    right = 1 - left
    return np.stack([left, right[:, ::-1], right])


DIGITS: NDArray[np.float32] = _sets()
"""Modules of every digit: set x digit x 7."""


class Layout(msgspec.Struct, frozen=True, eq=False):
    """One symbology: where its guards and digits lie, and which words are valid.

    The families' arrays have one row per family and one column per digit printed with bars. A word of digits d belongs
    to family f when its sets are `sets[f]`, its last digit is in `last[f]`, and 10 divides
    seed[f] + sum(weights[f] * d).
    """

    name: Literal["EAN13", "EAN8", "UPCE"]
    digits: int
    left: int
    """How many digits stand before the centre guard; all of them in UPC-E, which has none."""
    start: NDArray[np.float32]
    centre: NDArray[np.float32]
    end: NDArray[np.float32]
    sets: NDArray[np.intp]
    weights: NDArray[np.intp]
    seed: NDArray[np.intp]
    last: NDArray[np.bool_]
    prefix: tuple[str, ...]
    """What a family says beyond the digits with bars: EAN-13's first digit; UPC-E's number system and check digit."""

    @property
    def modules(self) -> int:
        """Width of the whole symbol without its quiet zones."""
        return self.start.size + self.centre.size + self.end.size + DIGIT_MODULES * self.digits

    @property
    def digit_starts(self) -> NDArray[np.intp]:
        """First module of every digit, counted from the start guard's first bar."""
        order = np.arange(self.digits)
        starts = self.start.size + DIGIT_MODULES * order + self.centre.size * (order >= self.left)
        return starts.astype(np.intp)

    def row(self, family: int, word: Sequence[int]) -> NDArray[np.float32]:
        """Return the modules of the whole symbol."""
        printed = [DIGITS[chosen, digit] for chosen, digit in zip(self.sets[family], word, strict=True)]
        return np.concatenate([self.start, *printed[: self.left], self.centre, *printed[self.left :], self.end])

    def gtin(self, family: int, word: Sequence[int]) -> str:
        """Return the number as it is looked up: 13 digits, or EAN-8's own 8."""
        text = "".join(map(str, word))
        if self.name == "UPCE":
            prefix = self.prefix[family]
            return "0" + prefix[0] + expand_upce(text) + prefix[1]
        return self.prefix[family] + text

    def symbology(self, family: int) -> Symbology:
        """Return the symbology as the trade calls it: EAN-13 with the first digit 0 is UPC-A."""
        return "UPCA" if self.name == "EAN13" and self.prefix[family] == "0" else self.name


def expand_upce(six: str) -> str:
    """Return the ten digits between number system and check digit (GS1 General Specifications, 5.2.2.4.3)."""
    last = six[5]
    if last in "012":
        return six[:2] + last + "0000" + six[2:5]
    if last in "34":
        kept = int(last)
        return six[:kept] + "00000" + six[kept:5]
    return six[:5] + "0000" + last


def encode(digits: str, symbology: Symbology) -> tuple[Layout, int, tuple[int, ...]]:
    """Return (layout, family, digits with bars) of a code as `Layout.gtin` writes it.

    Raises ValueError for a code that cannot be printed so: wrong length or check digit, not a zero-suppressed number.
    """
    layout = {"EAN13": EAN13, "UPCA": EAN13, "EAN8": EAN8, "UPCE": UPCE}[symbology]
    for family, word in _spellings(layout, digits):
        total = layout.seed[family] + int(layout.weights[family] @ np.array(word))
        if layout.last[family, word[-1]] and total % 10 == 0 and layout.gtin(family, word) == digits:
            return layout, family, word
    raise ValueError(f"{digits!r} is not a valid {symbology} code: expected its full digits with the check digit last")


def _spellings(layout: Layout, digits: str) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the candidates for (family, digits with bars) of a number; most do not hold."""
    if len(digits) != (8 if layout.name == "EAN8" else 13) or not digits.isdecimal():
        return
    for family, prefix in enumerate(layout.prefix):
        if layout.name == "UPCE":
            if digits[0] + digits[1] + digits[12] == "0" + prefix:
                for six in _suppressed(digits[2:12]):
                    yield family, tuple(map(int, six))
        elif digits.startswith(prefix):
            yield family, tuple(map(int, digits[len(prefix) :]))


def _suppressed(ten: str) -> tuple[str, ...]:
    return (ten[:2] + ten[7:10] + ten[2], ten[:3] + ten[8:10] + "3", ten[:4] + ten[9] + "4", ten[:5] + ten[9])


def _letters(text: str) -> list[int]:
    return ["ABC".index(letter) for letter in text]


def _ean13() -> Layout:
    return Layout(
        name="EAN13",
        digits=12,
        left=6,
        start=_bits("101"),
        centre=_bits("01010"),
        end=_bits("101"),
        sets=np.array([_letters(parity + "CCCCCC") for parity in _EAN_PARITY.split()]),
        weights=np.array([[3, 1] * 6] * 10),
        seed=np.arange(10),
        last=np.ones((10, 10), dtype=np.bool_),
        prefix=tuple("0123456789"),
    )


def _ean8() -> Layout:
    return Layout(
        name="EAN8",
        digits=8,
        left=4,
        start=_bits("101"),
        centre=_bits("01010"),
        end=_bits("101"),
        sets=np.array([_letters("AAAACCCC")]),
        weights=np.array([[3, 1] * 4]),
        seed=np.zeros(1, dtype=np.intp),
        last=np.ones((1, 10), dtype=np.bool_),
        prefix=("",),
    )


# Weights of the six digits of UPC-E in the number that they stand for, by the digits that the last one may be: each
# digit's weight is 3 or 1 by the place that `expand_upce` puts it to, and 0 for a last digit that only names the rule.
_UPCE_WEIGHTS = {
    "012": (1, 3, 3, 1, 3, 1),
    "3": (1, 3, 1, 1, 3, 0),
    "4": (1, 3, 1, 3, 3, 0),
    "56789": (1, 3, 1, 3, 1, 3),
}


def _upce() -> Layout:
    families = [
        (system, check, lasts, weights)
        for system in range(2)
        for check in range(10)
        for lasts, weights in _UPCE_WEIGHTS.items()
    ]
    parity = np.array([_letters(text) for text in _UPCE_PARITY.split()])
    return Layout(
        name="UPCE",
        digits=6,
        left=6,
        start=_bits("101"),
        centre=_bits(""),
        end=_bits("010101"),
        sets=np.stack([parity[check] if system == 0 else 1 - parity[check] for system, check, _, _ in families]),
        weights=np.array([weights for *_, weights in families]),
        seed=np.array([3 * system + check for system, check, _, _ in families]),
        last=np.array([[str(digit) in lasts for digit in range(10)] for _, _, lasts, _ in families]),
        prefix=tuple(f"{system}{check}" for system, check, _, _ in families),
    )


EAN13, EAN8, UPCE = _ean13(), _ean8(), _upce()
LAYOUTS = (EAN13, EAN8, UPCE)
