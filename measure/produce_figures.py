"""Figures of a recogniser, from what it said of each photograph and what was there. Shares are in percent."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


def top(probabilities: Floats, right: Places, count: int) -> float:
    """Return how often the right product is among the likeliest `count` (photographs x products)."""
    order = np.argsort(-probabilities, axis=1)[:, :count]
    return percent((order == right[:, None]).any(axis=1))


def top_group(probabilities: Floats, group_of: Places, right: Places) -> float:
    """Return how often the likeliest product is of the right group."""
    return percent(group_of[probabilities.argmax(axis=1)] == right)


def calibration_error(probabilities: Floats, right: Places, bins: int = 15) -> float:
    """Return the expected calibration error of the likeliest product's probability (0 to 1, equal bins)."""
    confidence, hit = probabilities.max(axis=1), probabilities.argmax(axis=1) == right
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(hit[place == each].mean() - confidence[place == each].mean()) * (place == each).mean()
            for each in np.unique(place)]  # fmt: skip
    return round(float(sum(gaps)), 4)


def calibration_error_by_chance(probabilities: Floats, dice: np.random.Generator, draws: int = 100) -> float:
    """Return the mean calibration error that these probabilities show when they are right: so few are photographs."""
    totals = probabilities.cumsum(axis=1)
    errors = []
    for _ in range(draws):
        thrown = dice.random((len(totals), 1)) * totals[:, -1:]
        errors.append(calibration_error(probabilities, (totals < thrown).sum(axis=1)))
    return round(float(np.mean(errors)), 4)


def surprise(probabilities: Floats, right: Places) -> float:
    """Return the mean of -ln of what was said to be the probability of what is there (the negative log-likelihood)."""
    return round(float(-np.log(probabilities[np.arange(len(right)), right]).mean()), 4)


def coverage(probabilities: Floats, right: Places, precision: float) -> float:
    """Return how many photographs can be answered, the surest first, with so many of the answers right (0 to 1)."""
    surest = np.argsort(-probabilities.max(axis=1), kind="stable")
    hit = (probabilities.argmax(axis=1) == right)[surest]
    precise = np.flatnonzero(hit.cumsum() / np.arange(1, len(hit) + 1) >= precision)
    return round(100 * float(precise[-1] + 1) / len(hit), 2) if len(precise) else 0.0


def swaps_caught(
    probabilities: Floats, right: Places, group_of: Places, false_alarms: float = 0.01
) -> dict[str, float]:
    """Return how many labels of another product are caught, where so many right labels raise a false alarm.

    Every photograph is tried with every other product's label; `group` counts labels of its own group only.
    """
    every = np.arange(len(right))
    genuine = np.sort(probabilities[every, right])
    threshold = genuine[int(false_alarms * len(genuine))]
    other = np.ones(probabilities.shape, bool)
    other[every, right] = False
    mates = other & (group_of[None, :] == group_of[right][:, None])
    caught = probabilities < threshold
    return {"any": percent(caught[other]), "group": percent(caught[mates])}


def auroc(known: Floats, strange: Floats) -> float:
    """Return the probability that a known one scores higher than a strange one (0 to 1)."""
    both = np.concatenate([known, strange])
    _, place, count = np.unique(both, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    return round(float((rank[: len(known)].sum() - len(known) * (len(known) + 1) / 2) / (len(known) * len(strange))), 4)


def taken_for_known(known: Floats, strange: Floats, kept: float = 0.95) -> float:
    """Return which share of strange ones passes where this share of known ones does (0 to 1): FPR at 95 % TPR."""
    return round(float(np.mean(strange >= np.quantile(known, 1 - kept))), 4)


def percent(hits: NDArray[np.bool_]) -> float:
    return round(100 * float(np.mean(hits)), 2) if hits.size else 0.0
