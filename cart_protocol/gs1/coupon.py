"""Coupons of North America in GS1 DataBar: AI 8110, which says what it is worth, and AI 8112, which is looked up.

Sources: GS1 US, North American Coupon Application Guideline Using GS1 DataBar Expanded Symbols (8110); GS1 AI (8112)
Coupon Data Specification. Both are strings of digits in which a digit often says how many others follow it.
"""

import datetime as dt
from collections.abc import Callable

import msgspec

from cart_protocol.gs1.check_digit import Gs1Error

_COMPANY_LEAST = _SERIAL_LEAST = 6
"""What is added to the digit that says how long a company prefix or a serial number is."""
_SAME_COMPANY = "9"
"""In place of the length of a second or third company: none follows, it is the first."""


class PartError(Gs1Error):
    """A part of an AI's data breaks its rule: `at` counts characters from 0, `expected` is what belongs there."""

    def __init__(self, at: int, expected: str) -> None:
        super().__init__(f"character {at + 1}: expected was {expected}")
        self.at = at
        self.expected = expected


class CouponCode(msgspec.Struct, frozen=True, kw_only=True):
    """What a coupon says of itself. Codes with the same `key` are one coupon and may be redeemed once."""

    key: str
    company: str
    """GS1 Company Prefix of who pays: the manufacturer or the funder."""
    offer: str
    serial: str | None
    """None where every copy of the paper has the same code: then only the paper itself can be used once."""
    starts: str | None = None
    """YYMMDD; from this day on."""
    ends: str | None = None
    """YYMMDD; up to and including this day."""


def read_coupon(ai: str, data: str) -> CouponCode:
    """Return the coupon in the data of AI 8110 or 8112.

    Raises:
        PartError: where it breaks the rules, and how.
    """
    return _COUPONS[ai](data)


def check_coupon(data: str) -> None:
    """Return if this is the data of AI 8110, or raise PartError."""
    _read_8110(data)


def check_offer(data: str) -> None:
    """Return if this is the data of AI 8112, or raise PartError."""
    _read_8112(data)


# ── from left to right ───────────────────────────────────────────────────────────────────────────────────────────────


class _Digits:
    """A string of digits, read from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0

    def take(self, length: int, what: str) -> str:
        taken = self._text[self.at : self.at + length]
        if len(taken) < length or not (taken.isascii() and taken.isdigit()):
            raise PartError(self.at, f"{length} digits of {what}")
        self.at += length
        return taken

    def one_of(self, digits: str, what: str) -> str:
        taken = self._text[self.at : self.at + 1]
        if not taken or taken not in digits:
            raise PartError(self.at, f"{what}, one of {' '.join(digits)}")
        self.at += 1
        return taken

    def counted(self, lengths: str, what: str, *, more: int = 0) -> str:
        """Take a digit that says how many follow, and those."""
        return self.take(int(self.one_of(lengths, f"length of {what}")) + more, what)

    def begins(self, field: str) -> bool:
        """Take the digit that an optional field begins with, if it is next."""
        found = self._text[self.at : self.at + 1] == field
        self.at += found
        return found

    def end(self) -> None:
        if self.at != len(self._text):
            raise PartError(self.at, "the end of the coupon")


def _read_8110(data: str) -> CouponCode:
    digits = _Digits(data)
    company = digits.counted("0123456", "company prefix", more=_COMPANY_LEAST)
    offer = digits.take(6, "offer code")
    digits.counted("12345", "save value")
    _purchase(digits, "first")
    if digits.begins("1"):
        digits.one_of("0123", "additional purchase rule")
        _purchase(digits, "second")
        _company(digits, "second")
    if digits.begins("2"):
        _purchase(digits, "third")
        _company(digits, "third")
    ends = _date(digits, "expiration date") if digits.begins("3") else None
    starts = _date(digits, "start date") if digits.begins("4") else None
    if starts and ends and starts > ends:
        raise PartError(digits.at - 6, f"a start date up to the expiration date {ends}")
    serial = digits.counted("0123456789", "serial number", more=_SERIAL_LEAST) if digits.begins("5") else None
    if digits.begins("6"):
        digits.counted("1234567", "retailer", more=_COMPANY_LEAST)
    if digits.begins("9"):
        _miscellaneous(digits)
    digits.end()
    # Without a serial number every copy is the same code; all of it is the key then, and `serial` says so.
    key = f"8110:{company}:{offer}:{serial}" if serial else f"8110:{data}"
    return CouponCode(key=key, company=company, offer=offer, serial=serial, starts=starts, ends=ends)


def _purchase(digits: _Digits, which: str) -> None:
    digits.counted("12345", f"{which} purchase requirement")
    digits.one_of("012349", f"{which} purchase requirement code")
    digits.take(3, f"{which} purchase family code")


def _company(digits: _Digits, which: str) -> None:
    length = digits.one_of(f"0123456{_SAME_COMPANY}", f"length of {which} company prefix")
    if length != _SAME_COMPANY:
        digits.take(int(length) + _COMPANY_LEAST, f"{which} company prefix")


def _date(digits: _Digits, what: str) -> str:
    at = digits.at
    taken = digits.take(6, what)
    try:
        dt.date(2000 + int(taken[:2]), int(taken[2:4]), int(taken[4:]))
    except ValueError:
        raise PartError(at, f"{what} as YYMMDD") from None
    return taken


def _miscellaneous(digits: _Digits) -> None:
    digits.one_of("01256", "save value code")
    digits.one_of("012", "item that the save value applies to")
    digits.take(1, "store coupon flag")
    digits.one_of("01", "do-not-multiply flag")


def _read_8112(data: str) -> CouponCode:
    digits = _Digits(data)
    digits.one_of("01", "format code")
    funder = digits.counted("0123456", "funder", more=_COMPANY_LEAST)
    offer = digits.take(6, "offer code")
    serial = digits.counted("0123456789", "serial number", more=_SERIAL_LEAST)
    digits.end()
    return CouponCode(key=f"8112:{funder}:{offer}:{serial}", company=funder, offer=offer, serial=serial)


_COUPONS: dict[str, Callable[[str], CouponCode]] = {"8110": _read_8110, "8112": _read_8112}
