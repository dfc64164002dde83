"""What a decoder read, to the product or coupon it names, and what it says of the pack on hand.

The symbology says how the bytes are to be taken; their look does not. Of a GS1 symbol everything must be sound, not
only the GTIN: a pack whose date or mass cannot be read is no pack to charge.
"""

from collections.abc import Sequence

import msgspec

from cart_protocol.gs1 import trade_measure
from cart_protocol.gs1.book_number import isbn_of, issn_of
from cart_protocol.gs1.check_digit import CheckDigitError, Gs1Error
from cart_protocol.gs1.coupon import CouponCode, read_coupon
from cart_protocol.gs1.digital_link import parse_digital_link
from cart_protocol.gs1.element import Element, Elements
from cart_protocol.gs1.gtin import LENGTHS, gtin_of
from cart_protocol.gs1.pairing import require_compatible
from cart_protocol.gs1.restricted import MarkedValueError, RestrictedPattern, read_label
from cart_protocol.gs1.symbology import Message, read_message
from cart_protocol.ids import Gtin, ProductId
from cart_protocol.mass import Mass
from cart_protocol.money import Money

_ADDRESSES = ("http://", "https://", "HTTP://", "HTTPS://")
_COUPONS = ("8110", "8112")


class NotAProductCodeError(Gs1Error):
    """A sound code that names no product: another trade's symbology, an advertisement, a parcel, an order."""


class ScannedCode(msgspec.Struct, frozen=True, kw_only=True):
    """A product that was read. `text` is what stood in the code, for people and the log; dates are YYMMDD."""

    product: ProductId
    gtin: Gtin | None
    """None for an in-store label: its number is the shop's own and means nothing elsewhere."""
    marked: Money | None
    """Price printed on an in-store label, or in AI 392n and 393n."""
    marked_mass: Mass | None
    """Net mass printed on an in-store label, or in AI 310n, 320n and 356n."""
    text: str
    lot: str | None = None
    """AI 10."""
    serial: str | None = None
    """AI 21: tells this piece from all others of its product."""
    use_by: str | None = None
    """AI 17, or the day of 7003: it must not be sold later."""
    best_before: str | None = None
    """AI 15."""
    sell_by: str | None = None
    """AI 16."""
    count: int | None = None
    """AI 30: pieces in the pack."""
    add_on: str | None = None
    """The two digits of an issue or the five of a price beside a book's or periodical's EAN-13."""
    isbn: str | None = None
    issn: str | None = None


def read_code(
    symbology_identifier: str, payload: bytes, patterns: Sequence[RestrictedPattern], currency: str
) -> ScannedCode | CouponCode:
    """Return the product or the coupon that a code names. `payload` is the decoder's bytes, never its readable text.

    Raises:
        CheckDigitError: the code is a product's, but it was misread or misprinted.
        MarkedValueError: a price or mass of zero, or a price that cannot be paid.
        NotAProductCodeError: anything else; the text says what is wrong with it.
    """
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotAProductCodeError(f"{payload!r} is not text, so it is no product code") from error
    try:
        return _named(read_message(symbology_identifier, text), text, patterns, currency)
    except (CheckDigitError, MarkedValueError, NotAProductCodeError):
        raise
    except Gs1Error as error:
        raise NotAProductCodeError(f"{symbology_identifier} {text!r}: {error}") from error


def _named(
    message: Message, text: str, patterns: Sequence[RestrictedPattern], currency: str
) -> ScannedCode | CouponCode:
    if message.number is not None:
        return _numbered(message, message.number, text, patterns, currency)
    elements = message.elements or _plain(message.text or "")
    require_compatible(elements)
    for ai in _COUPONS:
        if (data := elements.get(ai)) is not None:
            return read_coupon(ai, data)
    return _of_elements(elements, text, currency)


def _numbered(
    message: Message, number: str, text: str, patterns: Sequence[RestrictedPattern], currency: str
) -> ScannedCode:
    """An EAN or ITF number, perhaps with an add-on, or a composite's elements."""
    label = read_label(number, patterns, currency) if len(number) == 13 else None
    if label:
        return ScannedCode(
            product=label.product, gtin=None, marked=label.marked, marked_mass=label.marked_mass, text=text
        )
    gtin = gtin_of(number)
    code = _of_gtin(gtin, message.elements or Elements(()), text, currency)
    if len(number) != 13:
        return code
    return msgspec.structs.replace(code, add_on=message.add_on, isbn=isbn_of(number), issn=issn_of(number))


def _plain(text: str) -> Elements:
    """QR and DataMatrix without GS1's mark: a Digital Link or a bare GTIN; most are advertisements."""
    if text.startswith(_ADDRESSES):
        return parse_digital_link(text)
    if text.isascii() and text.isdigit() and len(text) in LENGTHS:
        return Elements((Element("01", gtin_of(text)),))
    raise NotAProductCodeError(f"{text!r} is neither a GTIN nor a GS1 Digital Link with one")


def _of_elements(elements: Elements, text: str, currency: str) -> ScannedCode:
    gtin = elements.get("01")
    if gtin is None:
        raise NotAProductCodeError(f"{elements.bracketed()!r} has no (01) and a GTIN, so it is no product on sale")
    return _of_gtin(Gtin(gtin), elements, text, currency)


def _of_gtin(gtin: Gtin, elements: Elements, text: str, currency: str) -> ScannedCode:
    expiry_time = elements.get("7003")
    return ScannedCode(
        product=ProductId(gtin),
        gtin=gtin,
        marked=trade_measure.price(elements, currency),
        marked_mass=trade_measure.net_mass(elements),
        text=text,
        lot=elements.get("10"),
        serial=elements.get("21"),
        use_by=elements.get("17") or (expiry_time and expiry_time[:6]),
        best_before=elements.get("15"),
        sell_by=elements.get("16"),
        count=trade_measure.count(elements),
    )
