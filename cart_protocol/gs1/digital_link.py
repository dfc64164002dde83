"""GS1 Digital Link: a web address that carries AIs (GS1 Digital Link Standard: URI Syntax, release 1.3 and later).

    https://example.com/any/stem/01/09520123456788/10/ABC?17=261231&3103=000500

The path ends in a key and its qualifiers, in the order of the AI table; the query holds attributes, and whatever a web
site adds under names that are not all digits. The compressed form is refused by name.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from cart_protocol.gs1 import application_identifiers as table
from cart_protocol.gs1.application_identifiers import ApplicationIdentifier
from cart_protocol.gs1.check_digit import Gs1Error
from cart_protocol.gs1.content import require_characters
from cart_protocol.gs1.coupon import PartError
from cart_protocol.gs1.element import (
    CharacterError,
    DataLengthError,
    Element,
    Elements,
    PairingError,
    RepeatedAiError,
    UnknownAiError,
    checked,
)


class DigitalLinkError(Gs1Error):
    """An address that is no GS1 Digital Link; `position` counts from 1."""

    def __init__(self, uri: str, position: int, expected: str) -> None:
        super().__init__(
            f"{uri!r}, character {position}: expected was {expected}; "
            "a GS1 Digital Link looks like https://example.com/01/09520123456788"
        )
        self.position = position


class CompressedDigitalLinkError(DigitalLinkError):
    """A Digital Link in the compressed form, which is not read here."""

    def __init__(self, uri: str, position: int) -> None:
        super().__init__(uri, position, "AIs and data; this is the compressed form, print the uncompressed one")


NAMES: Mapping[str, str] = MappingProxyType(
    {
        "gtin": "01", "itip": "8006", "gmn": "8013", "cpid": "8010", "gln": "414", "payTo": "415", "gsrnp": "8017",
        "gsrn": "8018", "gcn": "255", "sscc": "00", "gdti": "253", "ginc": "401", "gsin": "402", "grai": "8003",
        "giai": "8004", "cpv": "22", "lot": "10", "ser": "21", "cpsn": "8011", "glnx": "254", "refno": "8020",
        "srin": "8019",
    }
)  # fmt: skip
"""Names in place of AIs in the path: releases 1.0 and 1.1 had them, and they are printed on packs."""
_URI = re.compile(
    r"(?:https?|HTTPS?)://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?(/[^?#]*)(?:\?([^#]*))?(?:#.*)?", re.ASCII
)
_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]", re.ASCII)
"""What may stand in an address (RFC 3986, section 2)."""
_NO_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_COMPRESSED = re.compile(r"[A-Za-z0-9_-]{11,}", re.ASCII)
"""Base 64; a key and its AI have at least 8 bytes."""
_SHORTER_GTINS = (8, 12, 13)


def parse_digital_link(uri: str, *, short_gtins: bool = False, unknown_attributes: bool = False) -> Elements:
    """Return the elements of an uncompressed GS1 Digital Link: key, qualifiers, attributes.

    `short_gtins` takes a GTIN without its leading zeros; `unknown_attributes` takes AIs that GS1 has not assigned,
    in the query.

    Raises:
        DigitalLinkError: it is no such address, and where.
        CompressedDigitalLinkError: it is one in the compressed form.
        ElementError: an AI or its data is wrong.
    """
    parts = _parts(uri)
    path_at, query_at = parts.start(1), parts.start(2)
    path = _path(uri, parts[1], path_at, short_gtins)
    found = list(path)
    for element in _attributes(parts[2] or "", query_at, short_gtins, unknown_attributes):
        _require_place(element, path, found)
        found.append(element)
    return Elements(tuple(found))


def _parts(uri: str) -> re.Match[str]:
    for at, one in enumerate(uri):
        if not _CHARACTERS.match(one):
            raise DigitalLinkError(uri, at + 1, "a character of web addresses")
    if (escape := _NO_ESCAPE.search(uri)) is not None:
        raise DigitalLinkError(uri, escape.start() + 1, "two hexadecimal digits behind %")
    found = _URI.fullmatch(uri)
    if found is None:
        raise DigitalLinkError(uri, 1, "http:// or https://, a host and a path")
    return found


# ── the path: from its end back to the key ───────────────────────────────────────────────────────────────────────────


def _path(uri: str, path: str, offset: int, short_gtins: bool) -> list[Element]:
    segments = _segments(path, offset)
    pairs = list[tuple[ApplicationIdentifier, str, int]]()
    while len(segments) >= 2:
        (name, _), (raw, raw_at) = segments[-2:]
        segments = segments[:-2]
        identifier = table.find(NAMES.get(name, name))
        if identifier is None:
            break
        pairs.insert(0, (identifier, raw, raw_at))
        if identifier.is_key:
            _require_sequence(uri, [one for one, _, _ in pairs], pairs[-1][2])
            return [_element(one, text, at, short_gtins) for one, text, at in pairs]
    raise _no_key(uri, path, offset)


def _segments(path: str, offset: int) -> list[tuple[str, int]]:
    """Return each part between slashes and the place where it begins, from 1."""
    at = offset + 1
    segments = []
    for segment in path.split("/"):
        segments.append((segment, at))
        at += len(segment) + 1
    return segments[1:]


def _require_sequence(uri: str, identifiers: list[ApplicationIdentifier], position: int) -> None:
    key, *qualifiers = identifiers
    if qualifiers and not any(_in_order([one.ai for one in qualifiers], sequence) for sequence in key.sequences):
        orders = " or ".join(", ".join(f"({ai})" for ai in sequence) for sequence in key.sequences) or "nothing"
        raise DigitalLinkError(uri, position, f"behind key ({key.ai}) only {orders}, in this order")


def _in_order(qualifiers: list[str], sequence: tuple[str, ...]) -> bool:
    left = iter(sequence)
    return all(ai in left for ai in qualifiers)


def _no_key(uri: str, path: str, offset: int) -> DigitalLinkError:
    last = path.rpartition("/")[2]
    if _COMPRESSED.fullmatch(last) and _begins_with_ai(last):
        return CompressedDigitalLinkError(uri, offset + 1 + len(path) - len(last))
    return DigitalLinkError(
        uri, offset + 1, "a key such as /01/ and its data, then its qualifiers, at the end of the path"
    )


def _begins_with_ai(text: str) -> bool:
    """Return whether the first bits are the decimal digits of an AI, as in every compressed link without a table."""
    head = base64.urlsafe_b64decode(text[:4]).hex()
    return table.at_start_of(head) is not None


# ── the query: attributes ────────────────────────────────────────────────────────────────────────────────────────────


def _attributes(query: str, offset: int, short_gtins: bool, unknown: bool) -> Iterator[Element]:
    at = offset + 1
    for parameter in query.split("&"):
        name, equals, raw = parameter.partition("=")
        if name.isascii() and name.isdigit():
            yield _attribute(name, raw.replace("+", " "), at + len(name) + len(equals), short_gtins, unknown)
        at += len(parameter) + 1


def _attribute(name: str, raw: str, position: int, short_gtins: bool, unknown: bool) -> Element:
    identifier = table.find(name)
    if identifier is None:
        if not unknown or not 2 <= len(name) <= 4:
            raise UnknownAiError(name, position, "assigned", name, "an AI of GS1, since names of digits are reserved")
        return _unassigned(name, _decoded(raw), position)
    return _element(identifier, raw, position, short_gtins)


def _unassigned(ai: str, data: str, position: int) -> Element:
    """Return an element of which nothing is known but that GS1 data has 1 to 90 characters of set 82."""
    if not 1 <= len(data) <= 90:
        raise DataLengthError(ai, position, "length", data, "1 to 90 characters")
    try:
        require_characters(data, "x")
    except PartError as fault:
        raise CharacterError(ai, position + fault.at, "characters", data, fault.expected) from None
    return Element(ai, data, position)


def _require_place(element: Element, path: list[Element], before: list[Element]) -> None:
    """Return if this element may stand in the query behind that path."""
    if any(one.ai == element.ai for one in before):
        raise RepeatedAiError(element.ai, element.position, "once per link", element.data, "each AI once")
    identifier = table.find(element.ai)
    if identifier is None:
        return
    key = table.find(path[0].ai)
    qualifiers = [one.ai for one in path[1:]]
    for sequence in key.sequences if key else ():
        if element.ai in sequence and set(qualifiers) <= set(sequence):
            raise PairingError(
                element.ai, element.position, "in the path", element.data, f"it behind key ({path[0].ai})"
            )
    if not identifier.is_attribute:
        raise PairingError(element.ai, element.position, "no attribute", element.data, "it in a path, behind its key")


# ── data ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _element(identifier: ApplicationIdentifier, raw: str, position: int, short_gtins: bool) -> Element:
    data = _decoded(raw)
    if identifier.ai == "01" and short_gtins and len(data) in _SHORTER_GTINS:
        data = data.zfill(14)
    return checked(identifier, data, position)


def _decoded(raw: str) -> str:
    """Return text without percent signs, one character for each byte; what is not ASCII is in no set of GS1."""
    return re.sub(r"%([0-9A-Fa-f]{2})", lambda found: chr(int(found[1], 16)), raw)
