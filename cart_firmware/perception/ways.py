"""Which way goods went over the rim: the posterior of what was measured of a visit, and when to say nothing.

A multinomial logistic model. `WEIGHTS` is fitted to simulated passages by `scripts/bench hands --fit`, which prints it;
with other seeds than those that are measured on.
"""

from math import log

import numpy as np
from numpy.typing import NDArray

from cart_firmware.core.decision import Way
from cart_firmware.perception.remains import Remains

SURE = 0.9
"""Posterior from which a way is said: rather nothing than the wrong one."""
WAYS = (Way.IN, Way.OUT, Way.BOTH, Way.UNSEEN)
"""The last is nothing: an empty hand, something moved within the basket, or shown and taken away."""


def told(found: Remains) -> tuple[Way, float]:
    """Return the way and its posterior; `UNSEEN` where none is sure, or nothing is seen to have changed."""
    if found.area == 0:
        return Way.UNSEEN, 1.0
    chances = posterior(found)
    best = int(chances.argmax())
    return (WAYS[best] if chances[best] >= SURE else Way.UNSEEN), float(chances[best])


def posterior(found: Remains) -> NDArray[np.float64]:
    """Return the chance of each of `WAYS`, given that something changed."""
    measured = measures(found)
    scores = np.sum([np.multiply(WEIGHTS[name], value) for name, value in measured.items()], axis=0)
    chances = np.exp(scores - scores.max())
    return np.asarray(chances / chances.sum(), np.float64)


def measures(found: Remains) -> dict[str, float]:
    """Return what the model looks at, each within the range in which it was fitted."""
    edges, goes_on = _within(2, found.edges), _within(2, found.goes_on)
    brought, fetched = _within(3, found.brought), _within(3, found.fetched)
    put, taken = _within(4, found.most_put), _within(4, found.most_taken)
    patch_put, patch_taken = _within(4, found.patch_put), _within(4, found.patch_taken)
    return {
        "always": 1.0,
        "edges": edges,
        "goes on": goes_on,
        "there": found.there,
        "brought": brought,
        "fetched": fetched,
        "put": put,
        "taken": taken,
        "patch put": patch_put,
        "patch taken": patch_taken,
        "wider": found.wider,
        "unlike": found.unlike,
        "travelled": (found.inward - found.outward) / (found.inward + found.outward + 5),
        "area": log(found.area / 200),
        "put and taken": max(put, 0) * max(-taken, 0),
        "brought and fetched": max(brought, 0) * max(-fetched, 0),
        "patches of both": max(patch_put, 0) * max(-patch_taken, 0),
        "one-sided": abs(put + taken),
    }


def _within(limit: float, value: float) -> float:
    return max(-limit, min(limit, value))


WEIGHTS: dict[str, tuple[float, float, float, float]] = {
    "always": (0.525, 0.397, -1.903, 0.981),
    "edges": (0.555, -0.617, -0.115, 0.177),
    "goes on": (0.822, -0.217, -0.078, -0.526),
    "there": (1.748, -2.351, 0.050, 0.553),
    "brought": (0.352, 0.143, -0.094, -0.402),
    "fetched": (-0.487, 0.159, -0.033, 0.361),
    "put": (0.193, -0.950, 0.992, -0.236),
    "taken": (0.860, -0.052, -0.878, 0.070),
    "patch put": (-0.111, -0.025, 0.356, -0.220),
    "patch taken": (0.001, 0.385, -0.619, 0.232),
    "wider": (-0.593, 1.438, -0.335, -0.510),
    "unlike": (0.447, 0.476, 0.941, -1.864),
    "travelled": (1.339, -1.925, 0.387, 0.199),
    "area": (-0.783, -0.913, 0.808, 0.888),
    "put and taken": (0.009, -0.027, 0.050, -0.032),
    "brought and fetched": (0.013, 0.105, -0.094, -0.024),
    "patches of both": (-0.039, -0.026, 0.075, -0.010),
    "one-sided": (0.021, 0.218, 0.045, -0.284),
}
"""Of each measure, for each of `WAYS`."""
