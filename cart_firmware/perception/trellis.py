"""The cheapest valid word, and the cheapest one that differs from it.

Blur joins neighbours: a sample between the centres of two digits depends on both. So the cost of a word is a sum over
neighbouring pairs, and the best of 10^12 words is found by walking digit by digit (Viterbi) with the pair (running
check sum, last digit) as the state, once for each family of the layout (see `ean_model`). Walking from both ends gives
for every digit at every position the cheapest valid word that contains it, hence the exact runner-up as well.
"""

from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.ean_model import Layout

_NEVER = np.float32(1e9)
_DIGIT = np.arange(10)

Costs = NDArray[np.float32]


class DigitCosts(msgspec.Struct, frozen=True):
    """What a profile says about digits; each is indexed by set * 10 + digit."""

    first: Costs
    """From the symbol's edge to the centre of the first digit: 30."""
    pairs: Costs
    """From the centre of digit k to that of digit k + 1: (digits - 1) x 30 x 30."""
    last: Costs
    """From the centre of the last digit to the symbol's other edge: 30."""

    def __add__(self, other: "DigitCosts") -> "DigitCosts":
        return DigitCosts(self.first + other.first, self.pairs + other.pairs, self.last + other.last)


def cheapest(layout: Layout, costs: DigitCosts) -> float:
    """Return the cost of the cheapest word of the right sets, valid or not: how well any digits could do here."""
    ways = costs.first[_allowed(layout, 0)]
    for k in range(1, layout.digits):
        ways = (ways[:, None] + costs.pairs[k - 1, _allowed(layout, k - 1), _allowed(layout, k)]).min(0)
    return float((ways + costs.last[_allowed(layout, -1)]).min())


def _allowed(layout: Layout, position: int) -> slice:
    sets = layout.sets[:, position]
    return slice(10 * int(sets.min()), 10 * int(sets.max()) + 10)


class Word(msgspec.Struct, frozen=True):
    """The cheapest valid word, its cost, and that of the cheapest other one."""

    family: int
    digits: tuple[int, ...]
    cost: float
    runner_up: float


class _Steps(msgspec.Struct, frozen=True):
    """Index arrays of a layout's families."""

    rows: NDArray[np.intp]
    """family x position x digit: where that digit stands among the 30."""
    onward: NDArray[np.intp]
    """position x family x sum x digit: the sum after that digit."""
    back: NDArray[np.intp]
    """position x family x sum x digit: the sum before that digit."""


@lru_cache(maxsize=8)
def _steps(layout: Layout) -> _Steps:
    rows = layout.sets[:, :, None] * 10 + _DIGIT
    moved = (layout.weights.T[:, :, None] * _DIGIT)[:, :, None, :]
    sums = _DIGIT[None, None, :, None]
    return _Steps(rows, (sums + moved) % 10, (sums - moved) % 10)


def best_word(layout: Layout, costs: DigitCosts) -> Word:
    """Return the best valid word of a layout and the cost of the second best."""
    steps = _steps(layout)
    here, there = steps.rows[:, :-1, :, None], steps.rows[:, 1:, None, :]
    pairs = costs.pairs[np.arange(layout.digits - 1)[None, :, None, None], here, there]
    forward = _forward(layout, steps, costs.first[steps.rows[:, 0]], pairs)
    marginals = _marginals(layout, steps, costs.last[steps.rows[:, -1]], pairs, forward)
    return _decide(marginals)


def _forward(layout: Layout, steps: _Steps, first: Costs, pairs: Costs) -> list[Costs]:
    """Return, after each position, the cheapest way to (family, sum, digit)."""
    families = np.arange(len(layout.prefix))[:, None]
    ways = np.full((families.size, 10, 10), _NEVER, dtype=np.float32)
    ways[families, (layout.seed[:, None] + layout.weights[:, :1] * _DIGIT) % 10, _DIGIT] = first
    all_ways = [ways]
    for k in range(1, layout.digits):
        reached = (ways[:, :, :, None] + pairs[:, None, k - 1]).min(2)
        ways = np.take_along_axis(reached, steps.back[k], 1)
        all_ways.append(ways)
    return all_ways


def _marginals(layout: Layout, steps: _Steps, last: Costs, pairs: Costs, forward: list[Costs]) -> Costs:
    """Return the cheapest valid word with each digit at each position: position x family x digit."""
    final = last + np.where(layout.last, 0, _NEVER)
    rest = np.where((_DIGIT == 0)[None, :, None], final[:, None, :], _NEVER).astype(np.float32)
    marginals = np.empty((layout.digits, len(layout.prefix), 10), dtype=np.float32)
    marginals[-1] = (forward[-1] + rest).min(1)
    for k in range(layout.digits - 1, 0, -1):
        after = np.take_along_axis(rest, steps.onward[k], 1)
        rest = (pairs[:, None, k - 1] + after[:, :, None, :]).min(3)
        marginals[k - 1] = (forward[k - 1] + rest).min(1)
    return marginals


def _decide(marginals: Costs) -> Word:
    totals = marginals[0].min(1)
    family = int(totals.argmin())
    mine = marginals[:, family].copy()
    word = mine.argmin(1)
    mine[np.arange(word.size), word] = _NEVER
    others = np.delete(totals, family)
    runner_up = min(float(mine.min()), float(others.min(initial=_NEVER)))
    return Word(family, tuple(map(int, word)), float(totals[family]), runner_up)
