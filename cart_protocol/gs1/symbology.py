"""What a scanner says of a code: its AIM symbology identifier (ISO/IEC 15424), and the text behind it.

The identifier says how the text is to be taken; its look does not. A GS1 Composite is sent as a linear symbol, '|', and
']e0' with the elements of the two-dimensional part.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from cart_protocol.gs1.check_digit import Gs1Error, LengthError, require_check_digit, require_digits
from cart_protocol.gs1.element import Elements
from cart_protocol.gs1.element_string import parse_element_string

_COMPOSITE = "|]e0"
_ADD_ON_LENGTHS = (2, 5)


class SymbologyError(Gs1Error):
    """A symbology identifier that no code of a shop has, or none at all."""


class Carrier(msgspec.Struct, frozen=True):
    """A kind of symbol. `holds`: AIs, a number of so many digits (with an add-on), or any text."""

    name: str
    holds: Literal["elements", "number", "number and add-on", "text"]
    digits: int = 0


CARRIERS: Mapping[str, Carrier] = MappingProxyType(
    {
        "]E0": Carrier("EAN-13", "number", 13),  # UPC-A and UPC-E too, filled up and expanded
        "]E1": Carrier("EAN-2", "number", 2),
        "]E2": Carrier("EAN-5", "number", 5),
        "]E3": Carrier("EAN-13 with add-on", "number and add-on", 13),
        "]E4": Carrier("EAN-8", "number", 8),
        "]I0": Carrier("ITF", "text"),
        "]I1": Carrier("ITF-14", "number", 14),
        "]C0": Carrier("Code 128", "text"),
        "]C1": Carrier("GS1-128", "elements"),
        "]e0": Carrier("GS1 DataBar", "elements"),
        "]d1": Carrier("Data Matrix", "text"),
        "]d2": Carrier("GS1 DataMatrix", "elements"),
        "]d4": Carrier("Data Matrix", "text"),  # with its character set declared
        "]d5": Carrier("GS1 DataMatrix", "elements"),
        "]Q1": Carrier("QR Code", "text"),
        "]Q2": Carrier("QR Code", "text"),
        "]Q3": Carrier("GS1 QR Code", "elements"),
        "]Q4": Carrier("GS1 QR Code", "elements"),
        "]J0": Carrier("DotCode", "text"),
        "]J1": Carrier("GS1 DotCode", "elements"),
    }
)
"""Symbology identifiers as zxing-cpp reports them."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One code, taken apart but not yet looked up. What does not apply is None."""

    carrier: Carrier
    number: str | None = None
    """Digits with a correct check digit."""
    add_on: str | None = None
    elements: Elements | None = None
    """Of a GS1 symbol, or of the two-dimensional part of a composite."""
    text: str | None = None
    """Of a symbol that is not GS1's: a web address, an order, anything."""


def read_message(symbology: str, text: str) -> Message:
    """Return what a scanner sent, taken apart.

    Raises:
        SymbologyError: no such symbology identifier.
        NotDigitsError, LengthError, CheckDigitError: a number that is none.
        EmptyElementStringError, ElementError: elements that break a rule.
    """
    carrier = CARRIERS.get(symbology)
    if carrier is None:
        raise SymbologyError(
            f"symbology {symbology!r} carries no product here; {', '.join(CARRIERS)} do, set the scanner to send them"
        )
    if carrier.holds == "text":
        return Message(carrier=carrier, text=text)
    if carrier.holds == "elements":
        return Message(carrier=carrier, elements=parse_element_string(text))
    digits, composite, rest = text.partition(_COMPOSITE)
    elements = parse_element_string(rest, len(digits) + len(_COMPOSITE)) if composite else None
    number, add_on = _number(carrier, digits)
    return Message(carrier=carrier, number=number, add_on=add_on, elements=elements)


def read_transmission(text: str) -> Message:
    """Return what a scanner sent whose first three characters are the symbology identifier; errors as read_message."""
    return read_message(text[:3], text[3:])


def _number(carrier: Carrier, text: str) -> tuple[str, str | None]:
    require_digits(text)
    number, add_on = text[: carrier.digits], text[carrier.digits :]
    lengths = [carrier.digits]
    if carrier.holds == "number and add-on":
        lengths += [carrier.digits + more for more in _ADD_ON_LENGTHS]
    if len(text) not in lengths:
        raise LengthError(text, f"{' or '.join(map(str, lengths))} digits of {carrier.name}")
    if carrier.digits > max(_ADD_ON_LENGTHS):
        require_check_digit(number)
    return number, add_on or None
