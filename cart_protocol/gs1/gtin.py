"""Every way a GTIN is printed, brought to the fourteen digits that databases compare.

UPC-A '036000291452', EAN-13 '0036000291452' and ITF-14 '00036000291452' are one and the same product (GS1 General
Specifications, AI 01: a shorter GTIN is filled with zeros on the left).
"""

from cart_protocol.gs1.check_digit import LengthError, require_check_digit, require_digits
from cart_protocol.ids import Gtin

LENGTHS = (8, 12, 13, 14)
"""GTIN-8 (EAN-8), GTIN-12 (UPC-A), GTIN-13 (EAN-13), GTIN-14 (ITF-14)."""
_UPC_E_FIVES = "56789"


def gtin_of(digits: str) -> Gtin:
    """Return the GTIN-14 of an EAN-8, UPC-A, EAN-13 or ITF-14 number. Eight digits are taken as EAN-8, never UPC-E.

    Raises:
        NotDigitsError, LengthError, CheckDigitError: it is no GTIN, and why.
    """
    require_digits(digits)
    if len(digits) not in LENGTHS:
        raise LengthError(digits, "8, 12, 13 or 14 digits")
    require_check_digit(digits)
    return Gtin(digits.zfill(14))


def gtin_of_upc_e(digits: str) -> Gtin:
    """Return the GTIN-14 of the eight digits printed under a UPC-E symbol (number system, six digits, check digit).

    Raises:
        NotDigitsError, LengthError, CheckDigitError: it is no UPC-E number, and why.
    """
    return gtin_of(expand_upc_e(digits))


def expand_upc_e(digits: str) -> str:
    """Return the twelve UPC-A digits that a UPC-E symbol stands for, by the zero suppression of ISO/IEC 15420.

    The check digit is UPC-A's and is carried over unchecked; `gtin_of` checks it.

    Raises:
        NotDigitsError: it is not a number.
        LengthError: it is not eight digits beginning with number system 0, the only one UPC-E has.
    """
    require_digits(digits)
    if len(digits) != 8 or digits[0] != "0":
        raise LengthError(digits, "8 digits of a UPC-E, the first of them 0,")
    body, last, check = digits[1:6], digits[6], digits[7]
    if last in "012":
        return f"0{body[:2]}{last}0000{body[2:]}{check}"
    if last == "3":
        return f"0{body[:3]}00000{body[3:]}{check}"
    if last == "4":
        return f"0{body[:4]}00000{body[4]}{check}"
    return f"0{body}0000{last}{check}"


def compress_upc_a(digits: str) -> str | None:
    """Return the eight UPC-E digits of a UPC-A number, or None where zero suppression cannot express it.

    Raises:
        NotDigitsError, LengthError: it is not twelve digits.
    """
    require_digits(digits)
    if len(digits) != 12:
        raise LengthError(digits, "12 digits of a UPC-A")
    if digits[0] != "0":
        return None
    company, item, check = digits[1:6], digits[6:11], digits[11]
    body = _suppressed(company, item)
    return body and f"0{body}{check}"


def _suppressed(company: str, item: str) -> str | None:
    """Return the six digits of UPC-E, by the first rule that applies."""
    if company[2] in "012" and company[3:] == "00" and item[:2] == "00":
        return company[:2] + item[2:] + company[2]
    if company[3:] == "00" and item[:3] == "000":
        return company[:3] + item[3:] + "3"
    if company[4] == "0" and item[:4] == "0000":
        return company[:4] + item[4] + "4"
    if item[:4] == "0000" and item[4] in _UPC_E_FIVES:
        return company + item[4]
    return None
