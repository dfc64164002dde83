"""What goods look like, and how sure that is: names with probabilities, or that nothing known looks like this.

Sight alone never charges. Its probabilities are for a posterior that knows weight, scans and what the shop sells.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.embedder import Embedder, Picture
from cart_firmware.perception.knowledge import Knowledge
from cart_firmware.perception.product_index import Floats, together, unit

SURE = 0.6
"""Probability of the likeliest product from which one look is enough: 83 of 100 photographs of known goods. The others
are looked at again, nearer (decision 39)."""
_LEAST = 1e-12
"""Probability below which odds are not told apart."""


class Sight(msgspec.Struct, frozen=True):
    """What one event's crops say."""

    names: tuple[str, ...]
    """Of all products known."""
    probabilities: NDArray[np.float64]
    """Of each, if it is one of them; they add up to one."""
    unknown: float
    """Probability that it is none of them, judged by density alone: before weight, scan and shop have spoken."""
    looks: int = 1
    """How often each crop was looked at."""

    @property
    def sure(self) -> bool:
        """Whether the likeliest product is likely enough for one look."""
        return bool(one_look_is_enough(self.probabilities, self.unknown))

    def best(self, count: int) -> list[tuple[str, float]]:
        """Return the likeliest products with their probabilities, if it is a known one; the likeliest first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.names[place], float(self.probabilities[place])) for place in order]

    def log_odds(self, name: str) -> float | None:
        """Return ln P(this product) / P(another or unknown), or None of a product that is not known by sight.

        Of a scan it says how far the picture agrees: with the odds before the picture (1 to the number of products)
        taken off, it is the logarithm of a likelihood ratio.
        """
        if name not in self.names:
            return None
        share = float(self.probabilities[self.names.index(name)]) * (1 - self.unknown)
        return float(np.log(max(share, _LEAST)) - np.log(max(1 - share, _LEAST)))


def one_look_is_enough(probabilities: NDArray[np.float64], unknown: NDArray[np.float64] | float) -> NDArray[np.bool_]:
    """Return whether the likeliest of the products (... x products) is likely enough for one look (...).

    Args:
        probabilities: of each, if it is one of them.
        unknown: probability (...) that it is none of them.
    """
    return np.asarray(probabilities.max(axis=-1, initial=0.0) * (1 - unknown) >= SURE, np.bool_)


class Recogniser:
    """Crops to names. Keeps nothing between calls."""

    def __init__(self, embedder: Embedder, knowledge: Knowledge) -> None:
        self._embedder, self.knowledge = embedder, knowledge

    def recognise(self, crops: Sequence[Picture]) -> Sight:
        """Return what the crops of one event show, each weighing the same.

        What leaves doubt is looked at again, nearer: goods that are small in the picture, or covered in part, fill more
        of it then, and what lies around them less. Takes twice as long.

        Raises:
            ValueError: there is no crop.
        """
        if not crops:
            raise ValueError("no crop to recognise: an event without a picture has no sight")
        whole = self.vectors(crops)
        sight = self.judge(whole)
        if sight.sure:
            return sight
        both = self.judge(np.concatenate([whole, self.vectors([nearer(crop) for crop in crops])]))
        return msgspec.structs.replace(both, looks=2)

    def vectors(self, crops: Sequence[Picture]) -> Floats:
        """Return the vectors of crops (crops x dimensions); see product_index.Space.place."""
        return self.knowledge.space.place(self._embedder.all_features(crops))

    def shots(self, crops: Sequence[Picture]) -> Floats:
        """Return the unit vectors of crops that are to be learned (crops x dimensions), each the mean of eight views.

        They are all that is ever stored of a shot.

        Mirrored, turned and from nearer a thing is the same: of products enrolled from one shot 73 % are named right
        with these views (decision 36: 71 %, and 68 without). Takes eight times as long as `vectors`.
        """
        views = [view for crop in crops for view in _views(crop)]
        return unit(self.vectors(views).reshape(len(crops), _VIEWS, -1).mean(axis=1))

    def judge(self, vectors: Floats) -> Sight:
        """Return what the vectors of one event's crops (crops x dimensions) say together."""
        calibration, index = self.knowledge.calibration, self.knowledge.index
        if not len(index):
            return Sight((), np.zeros(0), 1.0)
        likeness = index.likeness(together(vectors))
        return Sight(index.names, calibration.shares(likeness), float(calibration.unknown(likeness)))


_VIEWS = 8
_NEARER = 0.75
"""Side of the nearer view's square, of the crop's largest one."""


def _views(crop: Picture) -> list[Picture]:
    """Return a crop and its middle, each as it is, mirrored, upside down, and both."""
    both = crop, nearer(crop)
    return [np.ascontiguousarray(each[::down, ::right]) for each in both for down in (1, -1) for right in (1, -1)]


def nearer(crop: Picture) -> Picture:
    """Return the middle of a crop, as it is seen from nearer."""
    height, width = crop.shape[:2]
    side = max(1, round(min(height, width) * _NEARER))
    top, left = (height - side) // 2, (width - side) // 2
    return crop[top : top + side, left : left + side]
