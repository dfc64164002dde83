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
    "always": (0.913, 0.346, -2.435, 1.175),
    "edges": (0.375, -0.771, 0.182, 0.214),
    "goes on": (0.476, -0.367, 0.233, -0.342),
    "there": (1.700, -2.184, 0.564, -0.080),
    "brought": (0.403, -0.018, 0.155, -0.541),
    "fetched": (-0.483, 0.061, -0.344, 0.767),
    "put": (0.023, -0.810, 0.726, 0.060),
    "taken": (0.670, 0.118, -0.789, 0.001),
    "patch put": (-0.058, -0.332, 0.482, -0.093),
    "patch taken": (0.098, 0.033, -0.482, 0.351),
    "wider": (-0.668, 1.261, 0.247, -0.839),
    "unlike": (1.260, 0.308, 0.383, -1.951),
    "travelled": (1.621, -1.142, -0.134, -0.345),
    "area": (-0.824, -0.716, 0.456, 1.085),
    "put and taken": (-0.040, -0.023, 0.104, -0.041),
    "brought and fetched": (-0.002, -0.058, 0.109, -0.050),
    "patches of both": (-0.046, -0.038, 0.091, -0.007),
    "one-sided": (-0.028, 0.150, 0.141, -0.263),
}
"""Of each measure, for each of `WAYS`."""
