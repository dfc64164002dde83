"""Which scans, lines or earlier steps explain a change of the load best, and whether well enough.

A score is a squared deviation in sigmas plus what a more complicated story costs; the least wins. Nothing within
3.5 sigma is no explanation. Sums are tried because two things put in within one window arrive as one step.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations
from typing import TypeVar

import msgspec

from cart_firmware.core.decision import HeldStep, Taken
from cart_firmware.core.expectation import Expectation
from cart_protocol.basket import Line
from cart_protocol.ids import LineId, ProductId, ScanId
from cart_protocol.mass import Mass, Variance

_GATE = 12.25
"""Squared sigmas: 3.5 sigma; of honest put-downs 1 in 2,000 is asked about."""
_READING = Variance(4_000**2)
"""Of the mass that a line was found to have when it came (weighing: 4 g)."""
_PER_FURTHER_PRODUCT = 4.0
_PER_FURTHER_STEP = 2.0
_LINE_LEAVES = 1.0
"""Goods that were asked about are rather taken out again than a line of like mass."""
_PUT_BACK = 2.0
_LOOSE = 6.0
"""Loose goods fit every mass, so a product that fits within 2.4 sigma goes first."""
_SEEN_LEAVING = 4.0
"""Credit for a line whose product was just held before the camera."""
_CLEAR_LEAD = 4.0
"""Several lines at once are taken off only if the next best story of other products is worse by this."""
_LEAST_LOOSE_MG = 12_000
_MOST_STEPS = 3
_MOST_OPEN = 5
_MOST_SCANS = 4
_MOST_PENDING = 8
_PAIRS_UP_TO = 20
_TRIPLES_UP_TO = 8

_Item = TypeVar("_Item")


class Question(msgspec.Struct, frozen=True):
    """A change of the load that waits for an explanation. `number` is None until it was asked about."""

    number: int | None
    mass: Mass
    variance: Variance
    fresh: bool = True
    """Recent enough to be loose goods that are scanned after they were put in."""
    held: HeldStep | None = None


class Offer(msgspec.Struct, frozen=True):
    """A scanned product that waits for its weight."""

    scan: ScanId
    product: ProductId
    expected: Expectation


class Cancelled(msgspec.Struct, frozen=True):
    """The steps undo each other: a hand on the basket, or goods taken out again."""


class Arrived(msgspec.Struct, frozen=True):
    """These scans were put in; `masses` add up to the step."""

    scans: tuple[ScanId, ...]
    masses: tuple[Mass, ...]


class CameBack(msgspec.Struct, frozen=True):
    """A line that had just left was put back."""

    taken: Taken


class Left(msgspec.Struct, frozen=True):
    """These lines were taken out."""

    lines: tuple[LineId, ...]
    masses: tuple[Mass, ...]


class Explanation(msgspec.Struct, frozen=True):
    score: float
    questions: tuple[Question, ...]
    story: Cancelled | Arrived | CameBack | Left


def cancelling(newest: Question, others: Sequence[Question]) -> Explanation | None:
    """Return how `newest` undoes earlier steps, if it does."""
    return _best(
        Explanation(score, steps, Cancelled())
        for steps in _with(newest, others)
        if len(steps) > 1 and (score := _deviation(_total(steps), Mass(0), _noise(steps))) <= _GATE
    )


def arriving(
    offers: Sequence[Offer],
    questions: Sequence[Question],
    *,
    newest: Question | None = None,
    scan: ScanId | None = None,
) -> Explanation | None:
    """Return which scans explain which steps: `newest` among the steps, `scan` among the scans, where given."""
    wanted = [
        chosen
        for chosen in _subsets(offers[-_MOST_PENDING:], _MOST_SCANS)
        if scan is None or any(offer.scan == scan for offer in chosen)
    ]
    sets = _with(newest, questions) if newest else _subsets(questions[-_MOST_OPEN:], _MOST_STEPS)
    return _best(
        found for steps in sets if _total(steps) > 0 for chosen in wanted if (found := _arrival(steps, chosen))
    )


def coming_back(newest: Question, others: Sequence[Question], taken: Sequence[Taken]) -> Explanation | None:
    """Return which of the lines that left lately was put back."""
    return _best(
        Explanation(score + _PUT_BACK + _further(steps), steps, CameBack(each))
        for steps in _with(newest, others)
        for each in taken
        if (score := _deviation(_total(steps), each.line.mass, _noise(steps) + _READING)) <= _GATE
    )


def leaving(
    newest: Question, others: Sequence[Question], lines: Sequence[Line], seen: Iterable[ProductId] = ()
) -> Explanation | None:
    """Return which lines were taken out: one if one fits, several only if no other several would do as well."""
    leaving_now = set(seen)
    candidates = [
        found
        for steps in _with(newest, others)
        if _total(steps) < 0
        for chosen in _removals(lines)
        if (found := _departure(steps, chosen, leaving_now))
    ]
    best = _best(candidates)
    if best is None or not isinstance(best.story, Left) or len(best.story.lines) == 1:
        return best
    products = {line.line: line.product for line in lines}
    rivals = [one for one in candidates if _products(one, products) != _products(best, products)]
    return best if all(rival.score - best.score >= _CLEAR_LEAD for rival in rivals) else None


# ── single stories ───────────────────────────────────────────────────────────────────────────────────────────────────


def _arrival(steps: tuple[Question, ...], offers: tuple[Offer, ...]) -> Explanation | None:
    loose = [offer for offer in offers if offer.expected.mass is None]
    expected = sum(offer.expected.mass or 0 for offer in offers)
    rest = Mass(_total(steps) - expected)
    if loose:
        if len(loose) > 1 or rest < _LEAST_LOOSE_MG or not all(step.fresh for step in steps):
            return None
        score = _LOOSE
    else:
        score = _deviation(rest, Mass(0), Variance(_noise(steps) + sum(offer.expected.variance for offer in offers)))
        if score > _GATE:
            return None
    score += _further(steps) + _PER_FURTHER_PRODUCT * (len(offers) - 1)
    return Explanation(score, steps, Arrived(tuple(offer.scan for offer in offers), _shares(offers, rest)))


def _departure(steps: tuple[Question, ...], lines: tuple[Line, ...], seen: set[ProductId]) -> Explanation | None:
    masses = tuple(line.mass for line in lines)
    rest = Mass(-_total(steps) - sum(masses))
    score = _deviation(rest, Mass(0), Variance(_noise(steps) + _READING * len(lines)))
    if score > _GATE:
        return None
    score += _LINE_LEAVES + _further(steps) + _PER_FURTHER_PRODUCT * (len(lines) - 1)
    score -= _SEEN_LEAVING * sum(line.product in seen for line in lines)
    left = Left(tuple(line.line for line in lines), (Mass(masses[0] + rest), *masses[1:]))
    return Explanation(score, steps, left)


def _removals(lines: Sequence[Line]) -> Iterator[tuple[Line, ...]]:
    """Newest first, so that of two alike the newest goes. Several only out of a basket that can be told apart."""
    newest_first = list(reversed(lines))
    yield from combinations(newest_first, 1)
    if len(lines) <= _PAIRS_UP_TO:
        yield from combinations(newest_first, 2)
    if len(lines) <= _TRIPLES_UP_TO:
        yield from combinations(newest_first, 3)
    if len(lines) > 3:
        yield tuple(newest_first)  # emptied in one go


def _shares(offers: tuple[Offer, ...], rest: Mass) -> tuple[Mass, ...]:
    """Give each product what it should weigh, and what is over to the one that knows its mass least."""
    weights = [(offer.expected.mass is None, offer.expected.variance) for offer in offers]
    vaguest = weights.index(max(weights))
    return tuple(
        Mass((offer.expected.mass or 0) + (rest if index == vaguest else 0)) for index, offer in enumerate(offers)
    )


# ── arithmetic ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _deviation(seen: Mass, expected: Mass, variance: int) -> float:
    return (seen - expected) ** 2 / max(1, variance)


def _total(steps: Sequence[Question]) -> Mass:
    return Mass(sum(step.mass for step in steps))


def _noise(steps: Sequence[Question]) -> Variance:
    return Variance(sum(step.variance for step in steps))


def _further(steps: Sequence[Question]) -> float:
    return _PER_FURTHER_STEP * (len(steps) - 1)


def _products(explanation: Explanation, product: dict[LineId, ProductId]) -> list[ProductId]:
    return sorted(product[line] for line in explanation.story.lines) if isinstance(explanation.story, Left) else []


def _with(newest: Question, others: Sequence[Question]) -> list[tuple[Question, ...]]:
    """Return `newest` alone and with each few of the latest others."""
    lately = others[-_MOST_OPEN:]
    return [(newest, *few) for size in range(_MOST_STEPS) for few in combinations(lately, size)]


def _subsets(items: Sequence[_Item], most: int) -> list[tuple[_Item, ...]]:
    return list(chain.from_iterable(combinations(items, size) for size in range(1, most + 1)))


def _best(explanations: Iterable[Explanation]) -> Explanation | None:
    return min(explanations, key=lambda each: each.score, default=None)
