"""From a trained network's features to what the cart keeps beside it: whitening, prototypes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.product_index import ProductIndex, Space, bias_of, rooted, unit

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Labels = NDArray[np.int64]


def whitened(features: Floats, labels: Labels, dimensions: int, shrinkage: float, between: float) -> Space:
    """Return the space in which shots of one product scatter alike in all directions, and what is ordinary in it.

    Its directions are those in which all shots together scatter most. Products to come scatter in the directions that
    tell known products apart as well, from which training took what it could of the known ones' scatter: a share of the
    scatter of products about one another counts as scatter within one.

    Args:
        features: shots x features.
        labels: of each shot.
        dimensions: of the space.
        shrinkage: share of the scatter that is taken for alike in all directions to begin with (0 to 1).
        between: share of the scatter of products about one another that is added to the scatter within one.
    """
    roots = rooted(features)
    centre = roots.mean(axis=0)
    away = (roots - centre).astype(np.float64)
    means = np.stack([away[labels == label].mean(axis=0) for label in range(int(labels.max()) + 1)])
    scatter = np.cov((away - means[labels]).T) + between * np.cov(means.T)
    axes = _largest(np.cov(away.T), dimensions)
    whitening = axes @ _evening(_shrunk(axes.T @ scatter @ axes, shrinkage))
    return Space(centre, whitening.astype(np.float32)).ordinary(features)


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
