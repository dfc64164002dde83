"""Dates of GS1 element strings: six digits YYMMDD, whose century is the one that comes nearest to today."""

import calendar
import datetime as dt

_YEARS_BACK = 49
"""From 49 years back to 50 ahead (General Specifications, section 7.12)."""


def day_of(yymmdd: str, today: dt.date) -> dt.date:
    """Return the day that a checked date means; day 00 is the last of its month (General Specifications, AI 17).

    A 29 February that the century does not have is its 28th.
    """
    year = int(yymmdd[:2]) + today.year // 100 * 100
    if year < today.year - _YEARS_BACK:
        year += 100
    elif year > today.year + 100 - _YEARS_BACK - 1:
        year -= 100
    month, day = int(yymmdd[2:4]), int(yymmdd[4:6])
    last = calendar.monthrange(year, month)[1]
    return dt.date(year, month, min(day or last, last))
