"""What a decoder read, to the product it names. The symbology says how the bytes are to be taken; their look does not.

Symbology identifiers are those of ISO/IEC 15424 as zxing-cpp reports them. This reads the GTIN and nothing behind it;
weights, prices, dates and serials of GS1 element strings are not looked at yet.
"""

import re
from collections.abc import Callable, Sequence

import msgspec

from cart_protocol.gs1.check_digit import CheckDigitError, Gs1Error
from cart_protocol.gs1.gtin import LENGTHS, gtin_of
from cart_protocol.gs1.restricted import MarkedValueError, RestrictedPattern, read_label
from cart_protocol.ids import Gtin, ProductId
from cart_protocol.mass import Mass
from cart_protocol.money import Money


class NotAProductCodeError(Gs1Error):
    """A sound code that names no product: another trade's symbology, an advertisement, a parcel, an order."""


class ScannedCode(msgspec.Struct, frozen=True, kw_only=True):
    """A product that was read. `text` is what stood in the code, for people and the log."""

    product: ProductId
    gtin: Gtin | None
    """None for an in-store label: its number is the shop's own and means nothing elsewhere."""
    marked: Money | None
    """Price printed on an in-store label."""
    marked_mass: Mass | None
    """Net mass printed on an in-store label."""
    text: str


def product_of(
    symbology_identifier: str, payload: bytes, patterns: Sequence[RestrictedPattern], currency: str
) -> ScannedCode:
    """Return the product that a code names. `payload` is the decoder's bytes, never its human-readable text.

    Raises:
        CheckDigitError: the code is a product's, but it was misread or misprinted.
        MarkedValueError: an in-store label without a price or mass.
        NotAProductCodeError: anything else.
    """
    read = _READERS.get(symbology_identifier)
    if read is None:
        raise NotAProductCodeError(f"symbology {symbology_identifier!r} carries no product here")
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotAProductCodeError(f"{payload!r} is not text, so it is no product code") from error
    try:
        digits = read(text)
        label = read_label(digits, patterns, currency) if len(digits) == 13 else None
        gtin = gtin_of(digits)
    except (CheckDigitError, MarkedValueError, NotAProductCodeError):
        raise
    except Gs1Error as error:
        raise NotAProductCodeError(f"{symbology_identifier} {text!r}: {error}") from error
    if label is None:
        return ScannedCode(product=ProductId(gtin), gtin=gtin, marked=None, marked_mass=None, text=text)
    return ScannedCode(product=label.product, gtin=None, marked=label.marked, marked_mass=label.marked_mass, text=text)


# ── one reader per symbology: text in, the digits of a GTIN out, still unchecked ─────────────────────────────────────

_GTIN_ELEMENT = re.compile(r"01(\d{14})", re.ASCII)
_DIGITAL_LINK = re.compile(r"(?:https?|HTTPS?)://[^/?#\s]+(?:/[^/?#\s]+)*?/(?:01|gtin)/(\d{14})(?:[/?#]\S*)?", re.ASCII)
"""GS1 Digital Link URI syntax: any stem, then the key; a shorter GTIN must have been filled up to fourteen digits."""


def _ean_13(text: str) -> str:
    """EAN-13, UPC-A and UPC-E: always thirteen digits, the UPCs filled up and expanded by the decoder."""
    return _of_length(text, 13)


def _ean_13_with_add_on(text: str) -> str:
    """Thirteen digits followed by the two or five of an add-on, which newspapers use for the issue."""
    return text[:13] if len(text) in (15, 18) else _of_length(text, 13)


def _ean_8(text: str) -> str:
    return _of_length(text, 8)


def _itf_14(text: str) -> str:
    return _of_length(text, 14)


def _element_string(text: str) -> str:
    """GS1-128, DataBar, GS1 DataMatrix, GS1 QR: application identifier 01 must come first."""
    if found := _GTIN_ELEMENT.match(text):
        return found[1]
    raise NotAProductCodeError(f"GS1 element string {text!r} does not begin with (01) and a GTIN")


def _plain_text(text: str) -> str:
    """QR and DataMatrix without GS1's mark: a Digital Link or a bare GTIN; most are advertisements."""
    if link := _DIGITAL_LINK.fullmatch(text):
        return link[1]
    if text.isascii() and text.isdigit() and len(text) in LENGTHS:
        return text
    raise NotAProductCodeError(f"{text!r} is neither a GTIN nor a GS1 Digital Link with one")


def _of_length(text: str, length: int) -> str:
    if len(text) != length:
        raise NotAProductCodeError(f"{text!r} has {len(text)} characters; this symbology has {length}")
    return text


_READERS: dict[str, Callable[[str], str]] = {
    "]E0": _ean_13,
    "]E3": _ean_13_with_add_on,
    "]E4": _ean_8,
    "]I1": _itf_14,
    "]C1": _element_string,
    "]e0": _element_string,
    "]d2": _element_string,
    "]Q3": _element_string,
    "]d1": _plain_text,
    "]Q1": _plain_text,
}
