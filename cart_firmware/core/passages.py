"""Hands over the rim and steps of the load: which passage speaks for which step. Pure."""

from collections.abc import Iterable
from typing import TypeVar

from cart_firmware.core.decision import Passed, Sighted, Way

_Seen = TypeVar("_Seen", bound=Passed | Sighted)

_REACH_US = 2_000_000
"""What a hand did longer than this before a step was complete has no part in it, and a step waits no longer for it."""
_LAND_US = 300_000
"""Goods may move the scale so long after the hand that let them go was seen to be gone: a camera's delay, a bounce."""
_KEPT_US = 10_000_000


def way_of(passages: Iterable[Passed], since_us: int, at_us: int) -> Way:
    """Return which way hands went for a step that was complete at `at_us`, the load having been quiet `since_us`.

    Several hands that went the same way, or one, say that way; an IN and an OUT are an exchange. One of which nothing
    is known leaves all open.
    """
    ways = {passed.way for passed in of_step(passages, since_us, at_us)}
    if not ways or Way.UNSEEN in ways:
        return Way.UNSEEN
    return ways.pop() if len(ways) == 1 else Way.BOTH


def of_step(passages: Iterable[_Seen], since_us: int, at_us: int) -> tuple[_Seen, ...]:
    """Return those that have a part in a step that was complete at `at_us`, the load having been quiet `since_us`."""
    begins_us = max(since_us - _LAND_US, at_us - _REACH_US)
    return tuple(passed for passed in passages if passed.from_us <= at_us and passed.until_us >= begins_us)


def kept(passages: Iterable[_Seen], newest: _Seen) -> tuple[_Seen, ...]:
    """Return the passages with a new one, without those that can speak for nothing any more."""
    return (*(passed for passed in passages if newest.until_us - passed.until_us <= _KEPT_US), newest)
