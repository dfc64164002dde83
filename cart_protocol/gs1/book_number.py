"""ISBN and ISSN: the numbers of books and periodicals, which their EAN-13 contains.

ISBN: ISO 2108. ISSN: ISO 3297; its EAN-13 is 977, seven digits, two that tell prices or issues apart, check digit.
"""

from cart_protocol.gs1.check_digit import CheckDigitError, LengthError, check_digit, require_check_digit, require_digits

_BOOKLAND = ("978", "979")
_MUSIC = "9790"
"""Printed music: an ISMN, not an ISBN."""
_PERIODICALS = "977"


def isbn_of(ean_13: str) -> str | None:
    """Return the ISBN-13 in a sound EAN-13, or None where it is no book's."""
    return ean_13 if ean_13.startswith(_BOOKLAND) and not ean_13.startswith(_MUSIC) else None


def issn_of(ean_13: str) -> str | None:
    """Return the ISSN in a sound EAN-13, with its own check character and hyphen, or None."""
    if not ean_13.startswith(_PERIODICALS):
        return None
    body = ean_13[3:10]
    return f"{body[:4]}-{body[4:]}{_modulo_11(body)}"


def parse_isbn(text: str) -> str:
    """Return the thirteen digits of an ISBN-10 or ISBN-13; hyphens and blanks do not matter.

    Raises:
        NotDigitsError, LengthError, CheckDigitError: it is no ISBN, and why.
    """
    digits = _compact(text)
    if len(digits) == 10:
        _require_modulo_11(digits)
        body = "978" + digits[:9]
        return body + check_digit(body)
    require_digits(digits)
    if len(digits) != 13 or isbn_of(digits) is None:
        raise LengthError(digits, "10 digits of an ISBN, or 13 that begin with 978 or 979")
    require_check_digit(digits)
    return digits


def parse_issn(text: str) -> str:
    """Return an ISSN as it is printed, such as 0378-5955.

    Raises:
        NotDigitsError, LengthError, CheckDigitError: it is no ISSN, and why.
    """
    digits = _compact(text)
    if len(digits) != 8:
        raise LengthError(digits, "8 digits of an ISSN")
    _require_modulo_11(digits)
    return f"{digits[:4]}-{digits[4:]}"


def isbn_10_of(isbn_13: str) -> str | None:
    """Return the ISBN-10 of a sound ISBN-13, or None: only those that begin with 978 have one."""
    return isbn_13[3:12] + _modulo_11(isbn_13[3:12]) if isbn_13.startswith("978") else None


def _compact(text: str) -> str:
    return "".join(text.split()).replace("-", "").upper()


def _require_modulo_11(digits: str) -> None:
    require_digits(digits[:-1])
    expected = _modulo_11(digits[:-1])
    if digits[-1] != expected:
        raise CheckDigitError(digits, expected)


def _modulo_11(body: str) -> str:
    """Return the check character: weights 2, 3, 4 … from the right, X for ten."""
    total = sum(int(digit) * weight for weight, digit in enumerate(reversed(body), start=2))
    return "0123456789X"[-total % 11]
