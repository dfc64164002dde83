"""The products a cart knows by sight: one unit vector each, in a space where shots of one product lie close together.

Arithmetic only. An index does not change: adding or retiring a product gives a new one.
"""

from collections.abc import Sequence
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Space(msgspec.Struct, frozen=True):
    """From features to unit vectors, so that the scatter within a product is alike in all directions (whitening)."""

    centre: Floats
    """features; of their square roots"""
    whitening: Floats
    """features x dimensions"""

    def place(self, features: Floats) -> Floats:
        """Return the unit vectors of features (... x features)."""
        return unit(np.asarray((rooted(features) - self.centre) @ self.whitening, np.float32))


def rooted(features: Floats) -> Floats:
    """Return the square roots of pooled features, which count how much of something is seen.

    As of counts, their scatter grows with them, and their roots' does not: of 100 products that were not trained on
    2 or 3 more are named right (models/MODEL_CARD.md).
    """
    return np.sqrt(np.maximum(features, 0, dtype=np.float32))


class ProductIndex:
    """Names, prototypes (products x dimensions, unit vectors) and the bias of each.

    A prototype of few shots lies further from the shots to come than one of many: its bias makes up for that, so that
    a new product is not outvoted by old ones.
    """

    def __init__(self, names: Sequence[str], prototypes: Floats, bias: Floats) -> None:
        if not len(names) == len(prototypes) == len(bias) == len(set(names)):
            raise ValueError(
                f"{len(names)} names ({len(set(names))} different), {len(prototypes)} prototypes, {len(bias)} biases:"
                " expected one of each for every product"
            )
        self.names = tuple(names)
        self._stored: NDArray[np.int16] = np.rint(np.clip(prototypes, -_MOST, _MOST) / _STEP).astype(np.int16)
        self.bias = np.ascontiguousarray(bias, np.float32)
        self._place = {name: place for place, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: str) -> bool:
        return name in self._place

    @property
    def prototypes(self) -> Floats:
        """Products x dimensions; what an index is made of again unchanged."""
        return self._stored * _STEP

    @property
    def nbytes(self) -> int:
        """Of prototypes and biases in memory."""
        return self._stored.nbytes + self.bias.nbytes

    def place(self, name: str) -> int:
        """Return a product's row. Raises KeyError."""
        return self._place[name]

    def likeness(self, vector: Floats) -> Floats:
        """Return the cosine of a unit vector with every product, plus the product's bias (... x products)."""
        steps = np.asarray(vector * _STEP, np.float32)
        result = np.empty((*vector.shape[:-1], len(self)), np.float32)
        for start in range(0, len(self), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            result[..., some] = steps @ self._stored[some].astype(np.float32).T
        return result + self.bias

    def with_product(self, name: str, shots: Floats) -> Self:
        """Return an index that knows a product by its shots (shots x dimensions); an old prototype of it is replaced.

        Raises:
            ValueError: there are no shots.
        """
        if not len(shots):
            raise ValueError(f"no shots of {name}: show it to the camera at least once")
        rest = self.without(name)
        return type(self)(
            [*rest.names, name],
            np.vstack([rest.prototypes, unit(shots.mean(axis=0))[None]]),
            np.append(rest.bias, bias_of(len(shots))),
        )

    def without(self, *names: str) -> Self:
        """Return an index that does not know these products."""
        kept = [place for place, name in enumerate(self.names) if name not in names]
        return type(self)([self.names[place] for place in kept], self.prototypes[kept], self.bias[kept])


_STEP = np.float32(2.0**-15)
"""In which prototypes are kept: 16 bits, so that 10,000 products take 8 MB. A cosine is wrong by 0.0003 at most."""
_MOST = 1 - 2.0**-15
_AT_ONCE = 500
"""Prototypes made floats of at a time: a piece stays in the cache."""


def bias_of(shots: int) -> float:
    """Return what a prototype of so many shots misses in cosine against one of many.

    The mean of k unit vectors about a direction, which each have cosine r with it, has cosine r / sqrt(r² + (1 - r²)/k)
    with it; so a further shot's cosine with that mean is lower by the same factor.
    """
    share = WITHIN**2
    return WITHIN * (1.0 - float((share + (1 - share) / shots) ** -0.5) * WITHIN)


WITHIN = 0.9
"""Cosine of a shot with its product's true direction. On products that were not trained on it is 0.75; at 0.9 products
enrolled later gain a little less, and old ones lose 4 points instead of 6 (ten new from 5 shots, beside 41; so with the
network of decision 33)."""


def unit(vectors: Floats) -> Floats:
    """Return vectors (... x dimensions) scaled to length one; a null vector stays one."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)
