"""Which way goods went over the rim: the posterior of what was measured of a visit, and when to say nothing.

A multinomial logistic model. Its weights are fitted to simulated passages by `scripts/bench hands --fit`, which prints
them; other seeds than those that are measured on.
"""

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
    chances = posterior(measures(found))
    best = int(chances.argmax())
    way = WAYS[best]
    return (way if chances[best] >= SURE else Way.UNSEEN), float(chances[best])


def measures(found: Remains) -> NDArray[np.float64]:
    """Return what the model looks at, each within the range in which it was fitted."""
    put, taken = np.clip((found.most_put, found.most_taken), -4, 4)
    edges, on = np.clip((found.edges, found.goes_on), -2, 2)
    brought, fetched = np.clip((found.brought, found.fetched), -3, 3)
    patch_put, patch_taken = np.clip((found.patch_put, found.patch_taken), -4, 4)
    travelled = (found.inward - found.outward) / (found.inward + found.outward + 5)
    return np.array([
        1.0, edges, on, found.there, brought, fetched, put, taken, patch_put, patch_taken,
        found.wider, found.unlike, travelled, np.log(found.area / 200),
        max(put, 0) * max(-taken, 0), max(brought, 0) * max(-fetched, 0), max(patch_put, 0) * max(-patch_taken, 0),
        abs(put + taken),
    ])  # fmt: skip


def posterior(measured: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance of each of `WAYS`."""
    scores = WEIGHTS @ measured
    chances = np.exp(scores - scores.max())
    return np.asarray(chances / chances.sum(), np.float64)


WEIGHTS = np.array([
    [0.762, 0.433, 0.474, 2.037, 0.253, -0.407, 0.109, 0.536, -0.157, 0.124, -0.324, 1.139, 1.665, -0.827, -0.021, 0.127, -0.048, -0.067],
    [0.092, -0.691, -0.35, -1.842, 0.026, 0.03, -0.693, 0.025, -0.245, 0.036, 1.212, -0.021, -1.24, -0.521, -0.016, -0.083, -0.029, 0.211],
    [-1.781, -0.044, 0.193, 0.142, 0.114, -0.223, 0.563, -0.589, 0.441, -0.422, -0.195, 0.139, -0.054, 0.501, 0.075, 0.006, 0.085, 0.062],
    [0.927, 0.303, -0.317, -0.336, -0.394, 0.599, 0.021, 0.028, -0.039, 0.263, -0.693, -1.257, -0.371, 0.847, -0.037, -0.051, -0.008, -0.206],
])  # fmt: skip
