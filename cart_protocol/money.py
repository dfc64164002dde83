"""Money as integer minor units of one currency. Never a float; adding two currencies is a bug and raises."""

from typing import Self

import msgspec

MINOR_DIGITS = {"CHF": 2, "CNY": 2, "EUR": 2, "GBP": 2, "JPY": 0, "KRW": 0, "USD": 2}
"""Digits after the decimal point per currency (ISO 4217, table A.1, column "minor unit")."""
_SYMBOLS = {"CHF": "CHF ", "CNY": "CN¥", "EUR": "€", "GBP": "£", "JPY": "¥", "KRW": "₩", "USD": "$"}


class CurrencyMismatchError(TypeError):
    """Two amounts of different currencies met in one sum: a bug in the caller."""


class Money(msgspec.Struct, frozen=True, gc=False):
    """An amount: `minor` units (cents, yen, won) of `currency` (ISO 4217 letters)."""

    minor: int
    currency: str

    def __add__(self, other: Self) -> "Money":
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: Self) -> "Money":
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __mul__(self, count: int) -> "Money":
        return Money(self.minor * count, self.currency)

    def __lt__(self, other: Self) -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: Self) -> bool:
        return self.minor <= self._same(other)

    def __gt__(self, other: Self) -> bool:
        return self.minor > self._same(other)

    def __ge__(self, other: Self) -> bool:
        return self.minor >= self._same(other)

    def __str__(self) -> str:
        digits = MINOR_DIGITS.get(self.currency, 2)
        sign = "-" if self.minor < 0 else ""
        whole, rest = divmod(abs(self.minor), 10**digits)
        fraction = f".{rest:0{digits}d}" if digits else ""
        return f"{sign}{_SYMBOLS.get(self.currency, self.currency + ' ')}{whole}{fraction}"

    def _same(self, other: Self) -> int:
        if other.currency != self.currency:
            raise CurrencyMismatchError(f"cannot combine {self.currency} with {other.currency}")
        return other.minor


def zero(currency: str) -> Money:
    return Money(0, currency)


def total(amounts: "list[Money] | tuple[Money, ...]", currency: str) -> Money:
    """Return the sum of `amounts`, all of which must be in `currency`; nothing at all sums to zero."""
    result = zero(currency)
    for amount in amounts:
        result = result + amount
    return result


def divide_half_up(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded half away from zero, exactly, for denominator > 0."""
    quotient, remainder = divmod(abs(numerator), denominator)
    rounded = quotient + (2 * remainder >= denominator)
    return rounded if numerator >= 0 else -rounded
