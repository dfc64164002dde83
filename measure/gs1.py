"""The GS1 layer on the vectors of the GS1 Syntax Engine's unit tests, and on strings that nobody would print.

A vector says whether a text is sound, and what element string it stands for. --fuzz feeds random and mutated texts to
every reader: each must be read or refused by a named error.
"""

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from cart_protocol.gs1 import application_identifiers as table
from cart_protocol.gs1.book_number import parse_isbn, parse_issn
from cart_protocol.gs1.check_digit import Gs1Error, check_digit
from cart_protocol.gs1.content import CHARACTERS
from cart_protocol.gs1.digital_link import parse_digital_link
from cart_protocol.gs1.element import SEPARATOR, Elements
from cart_protocol.gs1.element_string import parse_bracketed, parse_element_string
from cart_protocol.gs1.pairing import require_pairing
from cart_protocol.gs1.restricted import RestrictedPattern, pattern_of, value_check_digit
from cart_protocol.gs1.scan import read_code
from cart_protocol.gs1.symbology import CARRIERS, read_transmission


class Answer(msgspec.Struct, frozen=True):
    """What one side says of a text. `text` is the element string, '^' for FNC1; empty where it was refused."""

    sound: bool
    text: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    suite: str
    given: str
    expected: Answer
    ours: Answer
    why: str
    """Our error, where we refuse."""


def main(arguments: Sequence[str]) -> int:
    """Measure and print; return 1 if a vector disagrees, or if anything but a named error came up."""
    options = _options(arguments)
    if options.fuzz:
        return _fuzzed(options)
    cases = list(answered(json.loads(options.file.read_text(encoding="utf-8"))))
    failed = [case for case in cases if case.ours != case.expected]
    for case in failed:
        print(f"{case.suite} {case.given!r}: expected {case.expected}, ours {case.ours} {case.why}")
    suites = Counter(case.suite for case in cases)
    wrong = Counter(case.suite for case in failed)
    metrics = {suite: {"n": n, "agree": n - wrong[suite]} for suite, n in suites.items()}
    for suite, row in metrics.items():
        print(f"{suite:<10} {row['agree']:>4} of {row['n']}")
    print(f"{'all':<10} {len(cases) - len(failed):>4} of {len(cases)}")
    if options.json:
        print(
            json.dumps(
                {
                    "kind": "gs1",
                    "passed": len(cases) - len(failed),
                    "failed": len(failed),
                    "metrics": {"suites": metrics},
                }
            )
        )
    return 1 if failed else 0


# ── the vectors ──────────────────────────────────────────────────────────────────────────────────────────────────────


def answered(vectors: dict[str, Any]) -> Iterator[Case]:
    """Return every vector with our answer."""
    for sound, given, text in vectors["parse_ai"]:
        yield _case("parse_ai", given, Answer(sound, text), partial(_read_ais, given))
    for sound, given, _rule in vectors["linters"]:
        yield _case("linters", given, Answer(sound), partial(_checked, given))
    yield from _links(vectors["parse_dl"])
    for sound, given, carrier, text in vectors["scandata"]:
        yield _case("scandata", given, Answer(sound, f"{carrier} {text}" if sound else ""), partial(_sent, given))


def _case(suite: str, given: str, expected: Answer, read: Callable[[], str]) -> Case:
    try:
        return Case(suite=suite, given=given, expected=expected, ours=Answer(True, read()), why="")
    except Gs1Error as error:
        return Case(suite=suite, given=given, expected=expected, ours=Answer(False), why=str(error))


def _links(rows: list[Any]) -> Iterator[Case]:
    """Digital Links. The file lacks one setting of the engine, 'unknown AIs must not be attributes' (decision 0016).

    It is on unless a test turns it off; only then does one text with one set of options occur with both answers.
    """
    refused = {(given, json.dumps(flags)) for sound, given, _, flags in rows if not sound}
    for sound, given, text, flags in rows:
        unknown = flags.get("PermitUnknownAIs", False) and sound and (given, json.dumps(flags)) in refused
        short = flags.get("PermitZeroSuppressedGTINinDLuris", False)
        yield _case(
            "parse_dl",
            given,
            Answer(sound, text),
            partial(_read_link, given, short=short, unknown=unknown),
        )


def _read_ais(given: str) -> str:
    return _caret(parse_bracketed(given))


def _checked(given: str) -> str:
    parse_bracketed(given)
    return ""


def _read_link(given: str, *, short: bool, unknown: bool) -> str:
    return _caret(parse_digital_link(given, short_gtins=short, unknown_attributes=unknown))


def _caret(elements: Elements) -> str:
    return "^" + elements.element_string().replace(SEPARATOR, "^")


_ENGINE_NAMES = {
    "QR Code": "QR", "GS1 QR Code": "QR", "Data Matrix": "DM", "GS1 DataMatrix": "DM", "DotCode": "DotCode",
    "GS1 DotCode": "DotCode", "GS1 DataBar": "DataBarExpanded", "GS1-128": "GS1_128_CCA", "EAN-13": "EAN13",
    "EAN-8": "EAN8",
}  # fmt: skip


def _sent(given: str) -> str:
    message = read_transmission(given)
    name = _ENGINE_NAMES[message.carrier.name]
    if message.number is not None:
        return f"{name} {message.number}" + (f"|{_caret(message.elements)}" if message.elements else "")
    if message.elements is not None:
        return f"{name} {_caret(message.elements)}"
    text = message.text or ""
    # The engine marks plain text that looks like its FNC1.
    return f"{name} " + ("\\" if text.lstrip("\\").startswith("^") else "") + text


# ── texts that nobody would print ────────────────────────────────────────────────────────────────────────────────────


def fuzz(count: int, seed: int, progress: Callable[[int], None] = lambda _done: None) -> dict[str, Counter[str]]:
    """Return what `count` texts came to: for each reader the names of what it raised, '' for a text it took.

    Raises:
        AssertionError: a reader raised something other than a named error; the text is in it.
    """
    dice = random.Random(seed)
    met: dict[str, Counter[str]] = {name: Counter() for name in READERS}
    for number in range(count):
        text = _strange(dice)
        for name, read in READERS.items():
            try:
                read(text)
            except Gs1Error as error:
                met[name][type(error).__name__] += 1
            except Exception as error:
                raise AssertionError(f"{name} of {text!r}: {error!r} is no named error") from error
            else:
                met[name][""] += 1
        if number % 10_000 == 0:
            progress(number)
    return met


_PATTERNS = (
    RestrictedPattern(prefix="28", kind="mass"), RestrictedPattern(prefix="29", kind="price"),
    pattern_of("21IIIIIVPPPPC"), pattern_of("02IIIIVPPPPPC"),
)  # fmt: skip


def _scanned(text: str) -> object:
    """Take the symbology from the text, or one that its length picks."""
    symbologies = list(CARRIERS)
    symbology = text[:3] if text[:3] in CARRIERS else symbologies[len(text) % len(symbologies)]
    return read_code(symbology, text.removeprefix(symbology).encode("utf-8", "surrogatepass"), _PATTERNS, "EUR")


def _bare(text: str) -> str:
    """Return a text without the symbology identifier in front of it."""
    return text[3:] if text[:3] in CARRIERS else text


READERS: dict[str, Callable[[str], object]] = {
    "scan": _scanned,
    "element string": lambda text: require_pairing(parse_element_string(_bare(text))),
    "bracketed": lambda text: require_pairing(parse_bracketed(text)),
    "Digital Link": lambda text: parse_digital_link(_bare(text), short_gtins=True, unknown_attributes=True),
    "transmission": read_transmission,
    "ISBN": parse_isbn,
    "ISSN": parse_issn,
    "layout": pattern_of,
    "value check": value_check_digit,
}
_ALPHABET = "0123456789" * 4 + CHARACTERS["x"][0] + "()\\^%&=?/#[]|{}<> \t\n\0\x1d\x1d~äß٣中😀\ud800"


def _strange(dice: random.Random) -> str:
    """Return a random text, or a sound one with up to four injuries."""
    if dice.random() < 0.2:
        return "".join(dice.choices(_ALPHABET, k=dice.randrange(60)))
    text = dice.choice(_SOUND)(dice)
    for _ in range(dice.randrange(5)):
        text = dice.choice(_INJURIES)(text, dice)
    return text


def _place(text: str, dice: random.Random) -> int:
    return dice.randrange(len(text) + 1)


def _changed(text: str, dice: random.Random) -> str:
    at = _place(text, dice)
    return text[:at] + dice.choice(_ALPHABET) + text[at + 1 :]


def _longer(text: str, dice: random.Random) -> str:
    at = _place(text, dice)
    return text[:at] + dice.choice(_ALPHABET) + text[at:]


def _shorter(text: str, dice: random.Random) -> str:
    at = _place(text, dice)
    return text[:at] + text[at + 1 :]


def _cut(text: str, dice: random.Random) -> str:
    return text[: _place(text, dice)]


def _again(text: str, dice: random.Random) -> str:
    first, last = sorted((_place(text, dice), _place(text, dice)))
    return text[:last] + text[first:last] + text[last:]


def _joined(text: str, dice: random.Random) -> str:
    return text + dice.choice(["", SEPARATOR, "|]e0", "&", "/"]) + dice.choice(_SOUND)(dice)


_INJURIES = (_changed, _longer, _shorter, _cut, _again, _joined)


_GROCERS = ("10", "15", "17", "21", "30", "3103", "3202", "3922", "3932", "7003")


def _some_elements(dice: random.Random) -> list[tuple[str, str]]:
    """A GTIN and up to three AIs with data of the right length and characters, half of them those of a grocer."""
    pools = (list(table.AIS.values()), [table.AIS[ai] for ai in _GROCERS])
    chosen = [dice.choice(dice.choice(pools)) for _ in range(dice.randrange(4))]
    return [("01", _gtin(dice)), *((one.ai, _data(one, dice)) for one in chosen)]


def _gtin(dice: random.Random) -> str:
    digits = f"{dice.randrange(10**13):013d}"
    return digits + check_digit(digits)


def _data(identifier: table.ApplicationIdentifier, dice: random.Random) -> str:
    data = ""
    for part in identifier.parts:
        if part.optional and dice.random() < 0.5:
            break
        digits = "".join(dice.choices(CHARACTERS[part.characters][0], k=dice.randint(part.least, part.most)))
        if "check" in part.rules:
            digits = digits[:-1] + check_digit(digits[:-1])
        data += dice.choice(["261231", "270200"]) if {"day", "month"} & set(part.rules) else digits
    return data


def _element_string(dice: random.Random) -> str:
    symbology = dice.choice(["", "]C1", "]e0", "]d2", "]Q3", "]J1", SEPARATOR])
    return symbology + SEPARATOR.join(ai + data for ai, data in _some_elements(dice))


def _in_brackets(dice: random.Random) -> str:
    return "".join(f"({ai}){data}" for ai, data in _some_elements(dice))


def _link(dice: random.Random) -> str:
    (_, gtin), *rest = _some_elements(dice)
    query = "&".join(f"{ai}={data}" for ai, data in rest)
    qualifiers = dice.choice(["", "/22/2A", "/10/ABC%2F1", "/10/A/21/7", "/21/7/10/A", "/235/XYZ", "/gtin/7"])
    symbology, key = dice.choice(["", "]Q1", "]d1"]), dice.choice(["01", "gtin", "a/01"])
    return f"{symbology}https://example.com/{key}/{gtin}{qualifiers}?{query}"


def _number(dice: random.Random) -> str:
    length = dice.choice([7, 11, 12, 12, 12, 13])
    prefix = dice.choice(["", "978", "977", "28", "29", "21", "02", "400"])
    body = (prefix + "".join(dice.choices("0123456789", k=length)))[:length]
    add_on = "".join(dice.choices("0123456789", k=dice.choice([0, 0, 2, 5])))
    return dice.choice(["", "]E0", "]E3", "]E4", "]I1"]) + body + check_digit(body) + add_on


def _rare(dice: random.Random) -> str:
    return dice.choice(
        [
            "]e08110012345612345611110123",
            "]e08110106141416543213150110000310120196000",
            "]e08112001234561234560123456",
            "21IIIIIVPPPPC",
            "02IIIIVWWWWWC",
            "0-306-40615-2",
            "0378-5955",
        ]
    )


_SOUND: tuple[Callable[[random.Random], str], ...] = (_element_string, _in_brackets, _link, _number, _rare)


def _fuzzed(options: argparse.Namespace) -> int:
    began = time.monotonic()

    def progress(done: int) -> None:
        print(f"\r{done} of {options.fuzz} texts", end="", file=sys.stderr, flush=True)

    try:
        met = fuzz(options.fuzz, options.seed, progress)
    except AssertionError as error:
        print(f"\n{error}")
        return 1
    seconds = time.monotonic() - began
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    for name, outcomes in met.items():
        print(f"{name:<15} read {outcomes['']:>8}, refused by {sum(1 for one in outcomes if one)} named errors")
    print(f"{options.fuzz} texts, each to {len(READERS)} readers, {seconds:.0f} s; nothing but named errors")
    if options.json:
        metrics = {name: dict(outcomes) for name, outcomes in met.items()}
        print(
            json.dumps({"kind": "gs1", "passed": options.fuzz, "failed": 0, "metrics": {"fuzz": metrics, "s": seconds}})
        )
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/measure gs1", description=__doc__)
    default = Path(os.environ.get("CARTWRIGHT_DATA", "../shared/data")) / "gs1" / "gs1_vectors.json"
    parser.add_argument("file", type=Path, nargs="?", default=default, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="one object as the last line")
    parser.add_argument(
        "--fuzz", type=int, default=0, metavar="N", help="N random and mutated texts, instead of a file"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the random texts")
    return parser.parse_args(arguments)
