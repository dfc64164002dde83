"""Whether the best story of a change of the load is believed, asked about, or left open: the thresholds, in one table.

The posterior of a story is its share among all stories of the same change and the one that something unknown happened.
What a wrong answer costs differs by story: a line charged by a scan is what the shopper just said; a wrong line taken
off the bill is goods given away.
"""

from collections.abc import Iterable
from math import exp

import msgspec

from cart_firmware.core.hypotheses import (
    Arrived,
    CameBack,
    Cancelled,
    Hypothesis,
    Left,
    Recognised,
    Several,
    Story,
    Swapped,
    TareIn,
    TareOut,
    best_of_each,
)


class Threshold(msgspec.Struct, frozen=True):
    """`accept` is the least posterior at which a story is believed unasked, None where the shopper is always asked.

    `sigmas` is how far the masses may be off, however few other stories there are; `worth` the least posterior at which
    it is offered as an answer.
    """

    accept: float | None
    sigmas: float
    worth: float = 0.05


THRESHOLDS: dict[type[Story], Threshold] = {
    Cancelled: Threshold(0.80, 3.5),
    Arrived: Threshold(0.75, 3.0),
    CameBack: Threshold(0.90, 2.8),
    Left: Threshold(0.95, 3.5),
    TareIn: Threshold(0.80, 3.5),
    TareOut: Threshold(0.95, 3.5),
    # With an answer that is no more than possible, a thief would talk goods of any like mass out of a question.
    Several: Threshold(None, 3.0, 0.2),
    Swapped: Threshold(None, 3.0, 0.2),
    Recognised: Threshold(None, 3.0),
}
_SUMS: dict[type[Story], float] = {Arrived: 0.90, Left: 0.98}
"""Several products that moved together are believed only at this: sums of masses agree by chance far more often."""
_MOST_TILES = 3


class Verdict(msgspec.Struct, frozen=True):
    """`believed` is the story to act on, if any; `choices` are worth a tile each, the likeliest first."""

    believed: Hypothesis | None
    choices: tuple[Hypothesis, ...]
    posteriors: dict[str, float]


def judge(hypotheses: Iterable[Hypothesis]) -> Verdict:
    """Weigh all stories of one change against each other and against the unknown."""
    stories = best_of_each(hypotheses)
    posteriors = _posteriors({key: story.score for key, story in stories.items()})
    ranked = [stories[key] for key in sorted(posteriors, key=posteriors.__getitem__, reverse=True)]
    near = [story for story in ranked if fits(story)]
    believed = near[0] if near and near[0] is ranked[0] and _accepts(near[0], posteriors[near[0].key]) else None
    choices = tuple(story for story in near if posteriors[story.key] >= THRESHOLDS[type(story.story)].worth)
    return Verdict(believed, choices[:_MOST_TILES], posteriors)


def fits(story: Hypothesis) -> bool:
    """Return whether the masses agree with the story at all."""
    return story.deviation <= THRESHOLDS[type(story.story)].sigmas ** 2


def _accepts(story: Hypothesis, posterior: float) -> bool:
    accept = THRESHOLDS[type(story.story)].accept
    if _is_sum(story.story):
        accept = _SUMS[type(story.story)]
    return accept is not None and posterior >= accept


def _is_sum(story: Story) -> bool:
    return (isinstance(story, Left) and len(story.lines) > 1) or (isinstance(story, Arrived) and story.kinds > 1)


def _posteriors(scores: dict[str, float]) -> dict[str, float]:
    """Return each share of the evidence; the unknown, which scores nothing, has the rest."""
    highest = max(0.0, *scores.values()) if scores else 0.0
    weights = {key: exp(score - highest) for key, score in scores.items()}
    total = sum(weights.values()) + exp(-highest)
    return {key: weight / total for key, weight in weights.items()}
