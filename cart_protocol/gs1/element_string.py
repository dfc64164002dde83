r"""Element strings: AIs and their data one behind the other, as scanners send them or as people write them.

01095201234567881726123110ABC␝3103000500      parse_element_string; ␝ is FNC1, sent as the character GS
(01)09520123456788(17)261231(10)ABC            parse_bracketed; '\(' is a bracket that belongs to the data
"""

import re
from collections.abc import Iterator

from cart_protocol.gs1 import application_identifiers as table
from cart_protocol.gs1.application_identifiers import ApplicationIdentifier
from cart_protocol.gs1.check_digit import Gs1Error
from cart_protocol.gs1.element import SEPARATOR, Element, Elements, UnknownAiError, checked, collect


class EmptyElementStringError(Gs1Error):
    """A GS1 symbol, or a bracketed text, with nothing in it."""


class BracketError(Gs1Error):
    """A text that is not AIs in brackets, each with data behind it; `position` counts from 1."""

    def __init__(self, text: str, position: int, expected: str) -> None:
        super().__init__(
            f"{text!r}, character {position}: expected was {expected}; write it as (01)09520123456788(17)261231"
        )
        self.position = position


def parse_element_string(text: str, offset: int = 0) -> Elements:
    """Return the elements of what a scanner sent behind its symbology identifier.

    A leading FNC1, one at the very end and one behind data that needs none do no harm. `offset` is how many
    characters stood before `text`: it goes into the positions.

    Raises:
        EmptyElementStringError: there is nothing.
        ElementError: an AI, its data or a repetition is wrong.
    """
    return collect(_elements(text, offset))


def parse_bracketed(text: str) -> Elements:
    """Return the elements of a text with AIs in brackets.

    Raises:
        EmptyElementStringError, BracketError: it is not such a text.
        ElementError: an AI, its data or a repetition is wrong.
    """
    if not text:
        raise EmptyElementStringError("no text; AIs in brackets expected, such as (01)09520123456788")
    return collect(_bracketed(text))


def _elements(text: str, offset: int) -> Iterator[Element]:
    at = 1 if text.startswith(SEPARATOR) else 0
    if at == len(text):
        raise EmptyElementStringError("a GS1 symbol without data; AIs expected, print it again")
    while at < len(text):
        identifier = table.at_start_of(text[at:])
        if identifier is None:
            raise UnknownAiError(_quoted_ai(text[at:]), offset + at + 1, "assigned", text[at : at + 4], "an AI of GS1")
        at += len(identifier.ai)
        data = _data(identifier, text, at)
        yield checked(identifier, data, offset + at + 1)
        at += len(data)
        at += text.startswith(SEPARATOR, at)


def _data(identifier: ApplicationIdentifier, text: str, at: int) -> str:
    """Return what belongs to an AI: its predefined length, or all up to the next separator."""
    end = text.find(SEPARATOR, at)
    end = len(text) if end < 0 else end
    return text[at : min(end, at + identifier.most)] if identifier.predefined_length else text[at:end]


def _quoted_ai(text: str) -> str:
    found = re.match(r"\d{2}", text, re.ASCII)
    return f"{found[0]}…" if found else "none"


_AI = re.compile(r"\((\d{2,4})\)", re.ASCII)
_DATA = re.compile(r"(?:\\\(|[^(])*")


def _bracketed(text: str) -> Iterator[Element]:
    at = 0
    while at < len(text):
        found = _AI.match(text, at)
        if found is None:
            raise BracketError(text, at + 1, "an AI of two to four digits in brackets")
        identifier = table.find(found[1])
        if identifier is None:
            raise UnknownAiError(found[1], at + 2, "assigned", found[1], "an AI of GS1")
        data = _DATA.match(text, found.end())
        raw = data[0] if data else ""
        yield checked(identifier, raw.replace("\\(", "("), found.end() + 1)
        at = found.end() + len(raw)
