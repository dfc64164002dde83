"""What the data of an application identifier may be: character sets, and one rule per name in the AI table.

A rule gets the text of one part and returns, or raises `PartError` with the place and what belongs there. Sources are
the GS1 General Specifications (section 7.11 for the sets, 7.9 for check characters, section 3 for each AI) and the
standards they quote.
"""

import calendar
import re
import string
from collections.abc import Callable, Mapping
from types import MappingProxyType

from cart_protocol.gs1.check_digit import check_digit
from cart_protocol.gs1.code_lists import (
    COUNTRY_LETTERS,
    COUNTRY_NUMBERS,
    CURRENCY_NUMBERS,
    MEDIA_TYPES,
    PACKAGE_TYPES,
)
from cart_protocol.gs1.coupon import PartError, check_coupon, check_offer

Rule = Callable[[str], None]

_LETTERS_AND_DIGITS = string.ascii_uppercase + string.digits
CHARACTERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "n": (string.digits, "digits 0 to 9"),
        "x": ("!\"%&'()*+,-./0123456789:;<=>?" + string.ascii_uppercase + "_" + string.ascii_lowercase, "GS1 set 82"),
        "y": ("#-/" + string.digits + string.ascii_uppercase, "GS1 set 39"),
        "z": ("-_=" + _LETTERS_AND_DIGITS + string.ascii_lowercase, "GS1 set 64"),
    }
)
"""Letter in the AI table to the characters, in their order of weight, and their name."""
_SETS = {letter: frozenset(characters) for letter, (characters, _) in CHARACTERS.items()}
_PAIR_CHARACTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""For check character pairs: without 0, 1, I and O."""
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83)
"""Weights from the right; AIs with a check pair have at most 25 characters, 23 of them before it."""
_IBAN_LEAST = 11
"""Shorter than any country's; the check needs two letters, two digits and an account."""
_COMPANY_PREFIX_LEAST = 4


def require_characters(text: str, characters: str) -> None:
    """Return if all of `text` is of this set.

    Raises:
        PartError: at the first that is not.
    """
    if _SETS[characters].issuperset(text):
        return
    at = next(place for place, one in enumerate(text) if one not in _SETS[characters])
    raise PartError(at, CHARACTERS[characters][1])


# ── keys and their check characters ──────────────────────────────────────────────────────────────────────────────────


def _check(text: str) -> None:
    expected = check_digit(text[:-1])
    if text[-1] != expected:
        raise PartError(len(text) - 1, f"check digit {expected}")


def _prefix(text: str) -> None:
    """A GS1 Company Prefix has at least four digits; a key of letters begins with one."""
    head = text[:_COMPANY_PREFIX_LEAST]
    if len(head) < _COMPANY_PREFIX_LEAST or not head.isdigit():
        raise PartError(0, f"a company prefix, at least {_COMPANY_PREFIX_LEAST} digits")


def check_pair(text: str) -> str:
    """Return the two characters that belong behind `text` (General Specifications, section 7.9.5), of set 82."""
    alphabet = CHARACTERS["x"][0]
    total = sum(alphabet.index(one) * prime for one, prime in zip(reversed(text), _PRIMES, strict=False)) % 1021
    return _PAIR_CHARACTERS[total >> 5] + _PAIR_CHARACTERS[total & 31]


def _pair(text: str) -> None:
    if len(text) <= 2:
        raise PartError(0, "data and a check character pair")
    expected = check_pair(text[:-2])
    if text[-2:] != expected:
        raise PartError(len(text) - 2, f"check characters {expected}")


def _letter(text: str) -> None:
    if text.isdigit():
        raise PartError(0, "at least one character that is no digit")


def _iban(text: str) -> None:
    """ISO 13616-1: the number with its first four characters moved to the end is 1 modulo 97, letters as 10 to 35."""
    if len(text) < _IBAN_LEAST:
        raise PartError(0, f"an IBAN of at least {_IBAN_LEAST} characters")
    if text[:2] not in COUNTRY_LETTERS:
        raise PartError(0, "a country of ISO 3166-1, two letters")
    for at, one in enumerate(text):
        if one not in _LETTERS_AND_DIGITS:
            raise PartError(at, "capital letters and digits")
    if int("".join(str(int(one, 36)) for one in text[4:] + text[:4])) % 97 != 1:
        raise PartError(2, "the check digits that belong to this IBAN")


# ── dates and times ──────────────────────────────────────────────────────────────────────────────────────────────────


def _month(text: str) -> None:
    """YYMMDD, where day 00 means the whole month."""
    _date(2000 + int(text[:2]), text[2:], 2, whole_month=True)


def _day(text: str) -> None:
    _date(2000 + int(text[:2]), text[2:], 2)


def _birthday(text: str) -> None:
    _date(int(text[:4]), text[4:], 4)


def _date(year: int, month_and_day: str, at: int, *, whole_month: bool = False) -> None:
    month, day = int(month_and_day[:2]), int(month_and_day[2:])
    if not 1 <= month <= 12:
        raise PartError(at, "a month 01 to 12")
    # 1900 is the only year in which the century of a two-digit year matters; nothing of it is for sale.
    days = calendar.monthrange(max(year, 1), month)[1]
    if not (0 if whole_month else 1) <= day <= days:
        raise PartError(at + 2, f"a day {'00' if whole_month else '01'} to {days}")


def _hour(text: str) -> None:
    if int(text) > 23:
        raise PartError(0, "an hour 00 to 23")


def _minute(text: str) -> None:
    if int(text) > 59:
        raise PartError(0, "minutes or seconds 00 to 59")


def _time(text: str) -> None:
    _hour(text[:2])
    if int(text[2:]) > 59:
        raise PartError(2, "minutes 00 to 59")


# ── places on earth, in a row, in a list ─────────────────────────────────────────────────────────────────────────────


def _at_most(most: int, what: str) -> Rule:
    def rule(text: str) -> None:
        if int(text) > most:
            raise PartError(0, f"{what}, at most {most}")

    return rule


def _piece(text: str) -> None:
    """Piece and total, two digits each."""
    if text[:2] == "00":
        raise PartError(0, "a piece from 01")
    if text[2:] == "00":
        raise PartError(2, "a total from 01")
    if text[:2] > text[2:]:
        raise PartError(0, "a piece no higher than the total")


def _place(text: str) -> None:
    """Place / of how many: 1/3."""
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text, re.ASCII)
    if found is None:
        raise PartError(0, "a place and how many there are, such as 1/3")
    if int(found[1]) > int(found[2]):
        raise PartError(0, "a place no higher than how many there are")


def _one_of(codes: frozenset[str], what: str) -> Rule:
    def rule(text: str) -> None:
        if text not in codes:
            raise PartError(0, what)

    return rule


# ── numbers and characters ───────────────────────────────────────────────────────────────────────────────────────────


def _nonzero(text: str) -> None:
    if not text.strip("0"):
        raise PartError(0, "more than zero")


def _no_leading_zero(text: str) -> None:
    if text[0] == "0":
        raise PartError(0, "no zero in front")


def _percent(text: str) -> None:
    at = re.search(r"%(?![0-9A-Fa-f]{2})", text)
    if at is not None:
        raise PartError(at.start(), "two hexadecimal digits behind %")


def _padding(text: str) -> None:
    """Base 64 may end in one or two '=', and has none before."""
    at = re.search(r"=(?=[^=])|={3,}$", text)
    if at is not None:
        raise PartError(at.start(), "'=' only as one or two last characters")


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "check": _check,
        "prefix": _prefix,
        "pair": _pair,
        "letter": _letter,
        "iban": _iban,
        "month": _month,
        "day": _day,
        "birthday": _birthday,
        "hour": _hour,
        "minute": _minute,
        "time": _time,
        "latitude": _at_most(180 * 10**7, "a latitude from the south pole in 1e-7 degrees"),
        "longitude": _at_most(360 * 10**7, "a longitude in 1e-7 degrees"),
        "piece": _piece,
        "place": _place,
        "country": _one_of(COUNTRY_NUMBERS, "a country of ISO 3166-1, three digits"),
        "processor": _one_of(COUNTRY_NUMBERS | {"999"}, "a country of ISO 3166-1, three digits, or 999"),
        "letters": _one_of(COUNTRY_LETTERS, "a country of ISO 3166-1, two letters"),
        "currency": _one_of(CURRENCY_NUMBERS, "a currency of ISO 4217, three digits"),
        "media": _one_of(MEDIA_TYPES, "a media type 01 to 10 or 80 to 99"),
        "package": _one_of(PACKAGE_TYPES, "a package type of the GS1 list"),
        "importer": _one_of(frozenset("-_" + _LETTERS_AND_DIGITS + string.ascii_lowercase), "a letter, digit, - or _"),
        "sex": _one_of(frozenset("0129"), "0, 1, 2 or 9 (ISO/IEC 5218)"),
        "winding": _one_of(frozenset("019"), "0, 1 or 9"),
        "yes_no": _one_of(frozenset("01"), "0 or 1"),
        "hyphen": _one_of(frozenset("-"), "a hyphen or nothing"),
        "zero": _one_of(frozenset("0"), "0"),
        "nonzero": _nonzero,
        "no_leading_zero": _no_leading_zero,
        "percent": _percent,
        "padding": _padding,
        "coupon": check_coupon,
        "offer": check_offer,
    }
)
"""Every rule that the AI table names."""
