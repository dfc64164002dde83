"""Elements: an application identifier with its data, as checked against the AI table; and all those of one symbol.

Every error names the AI, the character at which it is (1 is the first of what was read) and the rule.
"""

from collections.abc import Iterable, Iterator

import msgspec

from cart_protocol.gs1 import application_identifiers as table
from cart_protocol.gs1.application_identifiers import ApplicationIdentifier, Part
from cart_protocol.gs1.check_digit import CheckDigitError, Gs1Error
from cart_protocol.gs1.content import RULES, require_characters
from cart_protocol.gs1.coupon import PartError

SEPARATOR = "\x1d"
"""What scanners send for an FNC1 behind data without a predefined length (General Specifications, section 7.8.6.2)."""


class ElementError(Gs1Error):
    """An element breaks a rule; `position` counts from 1 in what was read."""

    remedy = "print the symbol again as the General Specifications say"

    def __init__(self, ai: str, position: int, rule: str, seen: str, expected: str) -> None:
        # Not super(): a check digit inside an element is a CheckDigitError too, which words its text differently.
        Gs1Error.__init__(
            self,
            f"AI ({ai}), character {position}, rule '{rule}': {seen!r} seen, expected was {expected}; {self.remedy}",
        )
        self.ai = ai
        self.position = position
        self.rule = rule
        self.seen = seen
        self.expected = expected


class UnknownAiError(ElementError):
    """Digits that GS1 has assigned to nothing, or no digits."""

    remedy = "read it again; if the pack is right, add the AI to the table"


class DataLengthError(ElementError):
    """Too little, too much or nothing behind an AI."""


class CharacterError(ElementError):
    """A character that this AI does not allow."""


class ContentError(ElementError):
    """Data of the right length and characters that mean nothing: a thirteenth month, an unknown country."""


class AiCheckDigitError(ContentError, CheckDigitError):
    """The check digit or pair inside an element is wrong: it was misread or misprinted."""

    remedy = "read it again"


class PairingError(ElementError):
    """AIs that must not, or must only, be on one pack together."""


class RepeatedAiError(PairingError):
    """One AI twice, with different data: nobody can say which is true."""


class Element(msgspec.Struct, frozen=True):
    """One AI with its data."""

    ai: str
    data: str
    position: int = msgspec.field(default=1)
    """Character of what was read at which the data begins, from 1."""


class Elements(msgspec.Struct, frozen=True):
    """All elements of one symbol, in their order; no AI comes twice."""

    all: tuple[Element, ...]

    def __iter__(self) -> Iterator[Element]:
        return iter(self.all)

    def __bool__(self) -> bool:
        return bool(self.all)

    def get(self, ai: str) -> str | None:
        """Return the data of an AI, or None."""
        return next((element.data for element in self.all if element.ai == ai), None)

    def fitting(self, pattern: str) -> Element | None:
        """Return the first element whose AI fits, such as 310n, or None."""
        return next((element for element in self.all if table.matches(pattern, element.ai)), None)

    def element_string(self) -> str:
        """Return it as a scanner sends it, without symbology identifier and leading FNC1."""
        written = ""
        for element in self.all:
            found = table.find(element.ai)
            written += element.ai + element.data + ("" if found and found.predefined_length else SEPARATOR)
        return written.removesuffix(SEPARATOR)

    def bracketed(self) -> str:
        """Return it as it is printed for people: AIs in brackets."""
        return "".join(f"({element.ai})" + element.data.replace("(", "\\(") for element in self.all)


def collect(elements: Iterable[Element]) -> Elements:
    """Return them as one set. An element that is simply there twice counts once.

    Raises:
        RepeatedAiError: one AI with different data.
    """
    kept: dict[str, Element] = {}
    for element in elements:
        first = kept.setdefault(element.ai, element)
        if first.data != element.data:
            raise RepeatedAiError(element.ai, element.position, "once per pack", element.data, f"{first.data!r} again")
    return Elements(tuple(kept.values()))


def checked(identifier: ApplicationIdentifier, data: str, position: int) -> Element:
    """Return the element, if the data keeps every rule of its AI. `position` is where the data begins.

    Raises:
        DataLengthError, CharacterError, ContentError, AiCheckDigitError: which rule, where.
    """
    ai = identifier.ai
    if not data:
        raise DataLengthError(ai, position, "length", data, _lengths(identifier))
    at = 0
    for part in identifier.parts:
        if at == len(data) and part.optional:
            break
        taken = data[at : at + part.most]
        _check_part(identifier, part, taken, position + at)
        at += len(taken)
    if at != len(data):
        raise DataLengthError(ai, position + at, "length", data, _lengths(identifier))
    return Element(ai, data, position)


def _check_part(identifier: ApplicationIdentifier, part: Part, taken: str, position: int) -> None:
    ai = identifier.ai
    try:
        require_characters(taken, part.characters)
    except PartError as fault:
        raise CharacterError(ai, position + fault.at, "characters", taken, fault.expected) from None
    if len(taken) < part.least:
        raise DataLengthError(ai, position + len(taken), "length", taken, _lengths(identifier))
    for rule in part.rules:
        try:
            RULES[rule](taken)
        except PartError as fault:
            kind = AiCheckDigitError if rule in ("check", "pair") else ContentError
            raise kind(ai, position + fault.at, rule.replace("_", " "), taken, fault.expected) from None


def _lengths(identifier: ApplicationIdentifier) -> str:
    least, most = identifier.least, identifier.most
    return f"{most} characters" if least == most else f"{least} to {most} characters"
