"""The acquirer's settlement file: a line per charge that moved money, cells separated by semicolons.

Lines that begin with '#' are remarks. The first other line names the columns, in any order; amounts are minor units.
"""

from pathlib import Path

from cart_protocol.money import MINOR_DIGITS, Money
from edge_agent.core.reconciliation import Settled

_COLUMNS = ("reference", "key", "captured", "refunded", "currency", "at_ms")


class SettlementFileError(Exception):
    """A settlement file that cannot be used; the text says which line and what to do. Half a file is never used."""


def read_settlement(path: Path) -> list[Settled]:
    """Return every charge of the file, in its order.

    Raises:
        SettlementFileError: it cannot be read, lacks a column, or a cell cannot be understood.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettlementFileError(f"{path}: cannot be read ({error}); name the acquirer's settlement file") from error
    lines = [
        (number, line.strip().split(";"))
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.startswith("#")
    ]
    names = lines[0][1] if lines else []
    if missing := [column for column in _COLUMNS if column not in names]:
        raise SettlementFileError(
            f"{path}: no column {', '.join(missing)}; the first line must name {';'.join(_COLUMNS)}"
        )
    settled = []
    for number, cells in lines[1:]:
        try:
            settled.append(_settled(dict(zip(names, cells, strict=True))))
        except ValueError as error:
            raise SettlementFileError(f"{path}, line {number}: {error}; fetch the file again") from error
    return settled


def _settled(cells: dict[str, str]) -> Settled:
    currency = cells["currency"]
    if currency not in MINOR_DIGITS:
        raise ValueError(f"currency {currency!r} is not one of {', '.join(MINOR_DIGITS)}")
    if not cells["key"]:
        raise ValueError("no key")
    return Settled(
        key=cells["key"], reference=cells["reference"], captured=_money(cells, "captured"),
        refunded=_money(cells, "refunded"), at_ms=int(cells["at_ms"]),
    )  # fmt: skip


def _money(cells: dict[str, str], column: str) -> Money:
    text = cells[column]
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{column} is {text!r}, not a count of minor units")
    return Money(int(text), cells["currency"])
