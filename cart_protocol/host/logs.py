"""Logs: structured events on stderr, readable on a terminal and JSON elsewhere. Card numbers never get out."""

import logging
import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import Any

import msgspec
import structlog
from structlog.typing import Processor

from cart_protocol.host.clock import Clock, HostClock

REDACTED = "[card number]"
_MAY_BE_CARD = re.compile(r"(?<![0-9A-Za-z])\d(?:[ -]?\d){12,18}(?![0-9A-Za-z])")
"""13 to 19 digits, in groups or not (ISO/IEC 7812-1): never a part of a longer word, as in a hexadecimal id."""
_NO_CARD = {"gtin", "text", "code", "product", "epoch", "seq", "us", "ms"}
"""A key with one of these words has a barcode, a position or a time: a tenth of those satisfy Luhn's formula too."""
MOST_A_MINUTE = 60
"""Lines of one event about one cart, lane or order in a minute; more are counted and told in one line."""
_MINUTE_S = 60.0
_MOST_MATTERS = 1_000
"""Events that are counted at a time; the longest unseen is forgotten first."""
_ABOUT = ("cart", "lane", "order", "path", "device", "client")
"""Keys that make two lines of the same event different matters."""


def configure(verbose: bool) -> None:
    """Set up logging for the whole process, other libraries included. `verbose` shows DEBUG; else INFO and above."""
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.format_exc_info,
        redact_card_numbers,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    show: Processor = structlog.processors.JSONRenderer()
    if sys.stderr.isatty():
        show = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, show], foreign_pre_chain=common
        )
    )
    handler.addFilter(FloodGate(HostClock()))
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for chatty in ("httpcore", "httpx", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *common,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


class _Matter(msgspec.Struct):
    since_us: int
    lines: int = 0
    left_out: int = 0


class FloodGate(logging.Filter):
    """Lets MOST_A_MINUTE lines of one matter through in a minute, and says afterwards how many it left out.

    A matter is logger, level, event and what it is about. A flood cannot fill the disk with its log, nor push out of a
    bounded one what came before it.
    """

    def __init__(self, clock: Clock, tell: Callable[[dict[str, Any]], None] | None = None) -> None:
        super().__init__()
        self._clock = clock
        self._tell = tell or _tell
        self._matters: OrderedDict[_Key, _Matter] = OrderedDict()
        self._turn = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether this line is written."""
        if record.name == _FLOODS:
            return True
        with self._turn:
            return self._passes(record)

    def _passes(self, record: logging.LogRecord) -> bool:
        key, now_us = _matter_of(record), self._clock.monotonic_us()
        matter = self._matters.get(key)
        if matter is None:
            matter = self._matters[key] = _Matter(now_us)
        self._matters.move_to_end(key)
        if now_us - matter.since_us >= _MINUTE_S * 1_000_000:
            left_out, matter.since_us, matter.lines, matter.left_out = matter.left_out, now_us, 0, 0
            self._say(key, left_out)
        if len(self._matters) > _MOST_MATTERS:
            forgotten, old = self._matters.popitem(last=False)
            self._say(forgotten, old.left_out)
        matter.lines += 1
        if matter.lines <= MOST_A_MINUTE:
            return True
        matter.left_out += 1
        if matter.left_out == 1:
            self._say(key, 0, begins=True)
        return False

    def _say(self, key: "_Key", left_out: int, *, begins: bool = False) -> None:
        if left_out or begins:
            logger, _, event, about = key
            now = "further lines of this minute are only counted" if begins else "they were left out"
            self._tell({"of": event, "by": logger, "about": about, "lines": left_out, "now": now})


_FLOODS = "logs"
_Key = tuple[str, int, str, str]
"""Logger, level, event, and what it is about."""


def _tell(said: dict[str, Any]) -> None:
    structlog.get_logger(_FLOODS).warning("log-flood", **said)


def _matter_of(record: logging.LogRecord) -> _Key:
    """Return what a line is about; a structured one arrives as a dictionary, another library's as its template."""
    if isinstance(record.msg, dict):
        said = record.msg
        about = next((str(said[name]) for name in _ABOUT if said.get(name) is not None), "")
        return record.name, record.levelno, str(said.get("event")), about
    return record.name, record.levelno, str(record.msg), ""


def redact_card_numbers(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what may be a card number in every value, save where the key says that it is none."""
    for key, value in event.items():
        if _NO_CARD.isdisjoint(str(key).split("_")):
            event[key] = _redacted(value)
    return event


def satisfies_luhn(digits: str) -> bool:
    """Return whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _redacted(value: object) -> object:
    match value:
        case str():
            return _MAY_BE_CARD.sub(_judge, value)
        case int() if not isinstance(value, bool):
            return REDACTED if _redacted(str(value)) != str(value) else value
        case dict():
            return redact_card_numbers(None, "", dict(value))
        case list() | tuple():
            return [_redacted(item) for item in value]
    return value


def _judge(found: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", found[0])
    return REDACTED if satisfies_luhn(digits) else found[0]
