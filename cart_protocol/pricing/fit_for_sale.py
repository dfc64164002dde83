"""Whether the pack in hand may be sold, as far as its code says: dates that are over, and recalls of the price book.

Only what stands in the code is known. A recall of certain lots meets a pack whose code has no lot: it may be one of
them, so it is refused unless the recall says otherwise.
"""

import datetime as dt
from enum import StrEnum

from cart_protocol.gs1.gs1_date import day_of
from cart_protocol.gs1.scan import ScannedCode
from cart_protocol.pricing.price_book import Prices, Recall, SerialRange


class Unfit(StrEnum):
    """Why a pack must not be sold."""

    EXPIRED = "expired"
    """The use-by date is over."""
    PAST_BEST_BEFORE = "past-best-before"
    """The best-before or sell-by date is over, and the shop does not sell such packs."""
    RECALLED = "recalled"
    """The price book recalls it, or cannot rule out that it does."""


def unfit(code: ScannedCode, prices: Prices, today: dt.date) -> Unfit | None:
    """Return why a pack must not be sold on this day, the gravest reason first, or None. On its last day it is sold."""
    if any(_may_be_meant(code, recall, today) for recall in prices.recalls_of(code.product)):
        return Unfit.RECALLED
    if _is_over(code.use_by, today):
        return Unfit.EXPIRED
    if prices.book.refuse_past_best_before and (_is_over(code.best_before, today) or _is_over(code.sell_by, today)):
        return Unfit.PAST_BEST_BEFORE
    return None


def tells_packs_apart(code: ScannedCode) -> bool:
    """Return whether a code says anything by which this pack could differ from others of its product."""
    return any((code.lot, code.serial, code.use_by, code.best_before, code.sell_by))


def _is_over(yymmdd: str | None, today: dt.date) -> bool:
    return yymmdd is not None and day_of(yymmdd, today) < today


def _may_be_meant(code: ScannedCode, recall: Recall, today: dt.date) -> bool:
    """Return whether everything that the recall names fits, what the code does not say included or not as it says."""
    answers = []
    if recall.lots:
        answers.append(code.lot and code.lot in recall.lots)
    if recall.serials:
        answers.append(code.serial and any(_lies_in(code.serial, one) for one in recall.serials))
    if recall.dated_from or recall.dated_to:
        date = code.use_by or code.best_before
        answers.append(date and _lies_between(day_of(date, today), recall))
    return all(not recall.only_if_certain if answer is None else answer for answer in answers)


def _lies_in(serial: str, numbers: SerialRange) -> bool:
    """Compare as numbers where all three are, otherwise as texts of one length."""
    bounds = (numbers.first, serial, numbers.last)
    if all(one.isascii() and one.isdigit() for one in bounds):
        first, number, last = map(int, bounds)
        return first <= number <= last
    return len(set(map(len, bounds))) == 1 and numbers.first <= serial <= numbers.last


def _lies_between(day: dt.date, recall: Recall) -> bool:
    return (recall.dated_from or day) <= day <= (recall.dated_to or day)
