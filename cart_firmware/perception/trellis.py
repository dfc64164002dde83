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
    """What a line says about digits, as negative log-likelihoods.

    The digits of a position are those of all sets that it may have, in the order of `allowed`. Leading axes, if any,
    are cases of their own.
    """

    first: Costs
    """From the symbol's edge to the centre of the first digit: (..., digits of position 0)."""
    pairs: tuple[Costs, ...]
    """From the centre of digit k to that of digit k + 1: (..., digits of position k, digits of position k + 1)."""
    last: Costs
    """From the centre of the last digit to the symbol's other edge."""

    def __add__(self, other: "DigitCosts") -> "DigitCosts":
        pairs = tuple(mine + its for mine, its in zip(self.pairs, other.pairs, strict=True))
        return DigitCosts(self.first + other.first, pairs, self.last + other.last)


def allowed(layout: Layout, position: int) -> slice:
    """Return which of the 30 digits (set * 10 + digit) a position may have."""
    sets = layout.sets[:, position]
    return slice(10 * int(sets.min()), 10 * int(sets.max()) + 10)


def cheapest(costs: DigitCosts) -> Costs:
    """Return the cost of the cheapest word of the right sets, valid or not, of every case: how well any could do."""
    ways = costs.first
    for pair in costs.pairs:
        ways = (ways[..., None] + pair).min(-2)
    return np.asarray((ways + costs.last).min(-1))


class Word(msgspec.Struct, frozen=True):
    """The cheapest valid word, its cost, and that of the cheapest other one."""

    family: int
    digits: tuple[int, ...]
    cost: float
    runner_up: float


class _Steps(msgspec.Struct, frozen=True):
    """Index arrays of a layout's families."""

    rows: tuple[NDArray[np.intp], ...]
    """For each position, where each digit (first axis) of each family stands among the allowed ones."""
    onward: NDArray[np.intp]
    """position x digit x family x sum: the sum after that digit."""
    back: NDArray[np.intp]
    """position x digit x family x sum: the sum before that digit."""


@lru_cache(maxsize=8)
def _steps(layout: Layout) -> _Steps:
    rows = tuple(_DIGIT[:, None] + 10 * layout.sets[:, k] - allowed(layout, k).start for k in range(layout.digits))
    moved = _DIGIT[None, :, None, None] * layout.weights.T[:, None, :, None]
    return _Steps(rows, (_DIGIT + moved) % 10, (_DIGIT - moved) % 10)


def best_word(layout: Layout, costs: DigitCosts) -> Word:
    """Return the best valid word of a layout and the cost of the second best."""
    steps = _steps(layout)
    pairs = [
        pair[here[:, None, :], there[None, :, :]]
        for pair, here, there in zip(costs.pairs, steps.rows[:-1], steps.rows[1:], strict=True)
    ]
    forward = _forward(layout, steps, costs.first[steps.rows[0]], pairs)
    return _decide(_marginals(layout, steps, costs.last[steps.rows[-1]], pairs, forward))


def _forward(layout: Layout, steps: _Steps, first: Costs, pairs: list[Costs]) -> list[Costs]:
    """Return, after each position, the cheapest way to (digit, family, sum)."""
    families = np.arange(len(layout.prefix))
    ways = np.full((10, families.size, 10), _NEVER, dtype=np.float32)
    sums = (layout.seed + layout.weights[:, 0] * _DIGIT[:, None]) % 10
    ways[_DIGIT[:, None], families, sums] = first
    all_ways = [ways]
    for k, pair in enumerate(pairs, start=1):
        reached = (ways[:, None] + pair[..., None]).min(0)
        ways = np.take_along_axis(reached, steps.back[k], 2)
        all_ways.append(ways)
    return all_ways


def _marginals(layout: Layout, steps: _Steps, last: Costs, pairs: list[Costs], forward: list[Costs]) -> Costs:
    """Return the cheapest valid word with each digit at each position: position x digit x family."""
    rest = np.full(forward[0].shape, _NEVER, dtype=np.float32)
    rest[..., 0] = np.where(layout.last.T, last, _NEVER)
    marginals = np.empty((layout.digits, *last.shape), dtype=np.float32)
    marginals[-1] = (forward[-1] + rest).min(2)
    for k in range(layout.digits - 1, 0, -1):
        after = np.take_along_axis(rest, steps.onward[k], 2)
        rest = (pairs[k - 1].transpose(1, 0, 2)[..., None] + after[:, None]).min(0)
        marginals[k - 1] = (forward[k - 1] + rest).min(2)
    return marginals


def _decide(marginals: Costs) -> Word:
    totals = marginals[0].min(0)
    family = int(totals.argmin())
    mine = marginals[..., family].copy()
    word = mine.argmin(1)
    mine[np.arange(word.size), word] = _NEVER
    others = np.delete(totals, family)
    runner_up = min(float(mine.min()), float(others.min(initial=_NEVER)))
    return Word(family, tuple(map(int, word)), float(totals[family]), runner_up)
