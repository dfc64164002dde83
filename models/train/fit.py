"""From a trained network's features to what the cart keeps beside it: whitening, prototypes, calibration."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.product_index import ProductIndex, Space, bias_of, rooted, unit

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


def whitened(features: Floats, labels: Labels, dimensions: int, shrinkage: float) -> Space:
    """Return the space in which shots of one product scatter alike in all directions.

    Args:
        features: shots x features.
        labels: of each shot.
        dimensions: of the space: the directions in which all shots together scatter most.
        shrinkage: share of the scatter that is taken for alike in all directions to begin with (0 to 1).
    """
    roots = rooted(features)
    centre = roots.mean(axis=0)
    away = (roots - centre).astype(np.float64)
    _, axes = np.linalg.eigh(np.cov(away.T))
    axes = axes[:, ::-1][:, :dimensions]
    placed = away @ axes
    means = np.stack([placed[labels == label].mean(axis=0) for label in range(int(labels.max()) + 1)])
    scatter = np.cov((placed - means[labels]).T)
    scatter = (1 - shrinkage) * scatter + shrinkage * np.trace(scatter) / dimensions * np.eye(dimensions)
    values, vectors = np.linalg.eigh(scatter)
    return Space(centre, (axes @ ((vectors / np.sqrt(values)) @ vectors.T)).astype(np.float32))


def prototypes(names: Sequence[str], vectors: Floats, labels: Labels, photographs: Sequence[int]) -> ProductIndex:
    """Return an index of the means of vectors; `photographs` tells how many different ones each product has."""
    means = np.stack([vectors[labels == label].mean(axis=0) for label in range(len(names))])
    return ProductIndex(names, unit(means), np.array([bias_of(count) for count in photographs], np.float32))


def sharpness(likeness: Floats, right: Labels) -> float:
    """Return the inverse temperature under which the right products are likeliest (photographs x products)."""
    tried = np.geomspace(3, 120, 160)
    every = np.arange(len(right))
    losses = []
    for each in tried:
        exponents = each * (likeness.astype(np.float64) - likeness.max(axis=1, keepdims=True))
        losses.append(float(np.mean(np.log(np.exp(exponents).sum(axis=1)) - exponents[every, right])))
    return float(tried[int(np.argmin(losses))])


def strangeness(known: Floats, strange: Floats) -> tuple[float, float]:
    """Return threshold and width of the logistic that tells densities of known products from those of strange ones.

    Both kinds weigh the same; by Newton's method on the likelihood.
    """
    values = np.concatenate([known, strange]).astype(np.float64)
    wanted = np.concatenate([np.ones(len(known)), np.zeros(len(strange))])
    weight = np.concatenate([np.full(len(known), 0.5 / len(known)), np.full(len(strange), 0.5 / len(strange))])
    middle, spread = values.mean(), values.std()
    inputs = np.column_stack([(values - middle) / spread, np.ones(len(values))])
    line = np.zeros(2)
    for _ in range(30):
        likely = 1 / (1 + np.exp(-inputs @ line))
        slope = inputs.T @ (weight * (wanted - likely)) - 1e-6 * line
        curve = (inputs * (weight * likely * (1 - likely))[:, None]).T @ inputs + 1e-6 * np.eye(2)
        line += np.linalg.solve(curve, slope)
    return float(middle - line[1] / line[0] * spread), float(spread / line[0])
