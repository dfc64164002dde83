"""From a trained network's features to what the cart keeps beside it: whitening, prototypes, calibration."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.product_index import ProductIndex, Space, bias_of, rooted, unit

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Labels = NDArray[np.int64]


def whitened(features: Floats, labels: Labels, dimensions: int, shrinkage: float) -> Space:
    """Return the space in which shots of one product scatter alike in all directions.

    Its directions are those that tell the products apart, one fewer than there are products (Fisher's discriminants:
    R. O. Duda, P. E. Hart, D. G. Stork, "Pattern Classification", 2001, section 3.8.3), and, for products to come,
    those in which all shots together scatter most.

    Args:
        features: shots x features.
        labels: of each shot.
        dimensions: of the space.
        shrinkage: share of the scatter that is taken for alike in all directions to begin with (0 to 1).
    """
    roots = rooted(features)
    centre = roots.mean(axis=0)
    away = (roots - centre).astype(np.float64)
    products = int(labels.max()) + 1
    means = np.stack([away[labels == label].mean(axis=0) for label in range(products)])
    within, whole = np.cov((away - means[labels]).T), np.cov(away.T)
    evened = _evening(_shrunk(within, shrinkage))
    telling = min(products - 1, dimensions)
    discriminants = evened @ _largest(evened @ whole @ evened, telling)
    axes, _ = np.linalg.qr(np.hstack([discriminants, _largest(whole, dimensions - telling)]))
    return Space(centre, (axes @ _evening(_shrunk(axes.T @ within @ axes, shrinkage))).astype(np.float32))


def _largest(scatter: Doubles, count: int) -> Doubles:
    """Return the directions in which something scatters most, as columns."""
    _, directions = np.linalg.eigh(scatter)
    return np.asarray(directions[:, ::-1][:, :count])


def _shrunk(scatter: Doubles, share: float) -> Doubles:
    return np.asarray((1 - share) * scatter + share * np.trace(scatter) / len(scatter) * np.eye(len(scatter)))


def _evening(scatter: Doubles) -> Doubles:
    """Return what makes something scatter alike in all directions: the root of the scatter's inverse."""
    values, vectors = np.linalg.eigh(scatter)
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)


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
