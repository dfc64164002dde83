"""Logs: structured events on stderr, readable on a terminal and JSON elsewhere. Card numbers never get out."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

REDACTED = "[card number]"
_MAY_BE_CARD = re.compile(r"(?<![0-9A-Za-z])\d(?:[ -]?\d){12,18}(?![0-9A-Za-z])")
"""13 to 19 digits, in groups or not (ISO/IEC 7812-1): never a part of a longer word, as in a hexadecimal id."""
_NO_CARD = {"gtin", "text", "code", "product", "epoch", "seq", "us", "ms"}
"""A key with one of these words has a barcode, a position or a time: a tenth of those satisfy Luhn's formula too."""


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
