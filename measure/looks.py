"""Photographs as a cart looks at them: once, and again, nearer, where that leaves doubt."""

from collections.abc import Iterable, Sequence
from typing import Self

import msgspec
import numpy as np

from cart_firmware.perception.embedder import Picture
from cart_firmware.perception.knowledge import Calibration
from cart_firmware.perception.product_index import Floats, ProductIndex, together
from cart_firmware.perception.recogniser import Recogniser, nearer, one_look_is_enough


class Looks(msgspec.Struct):
    """Of photographs, each (... x dimensions), so that many indexes can be asked without looking again."""

    once: Floats
    both: Floats
    """What the first look and the nearer one say together."""
    calibration: Calibration

    def likeness(self, index: ProductIndex) -> Floats:
        """Return the likeness (... x products) that a cart would judge by, if it knew these products."""
        return judged_by(self.calibration, index.likeness(self.once), index.likeness(self.both))

    def of(self, places: Sequence[int]) -> Self:
        """Return the looks at some of the photographs."""
        return type(self)(self.once[places], self.both[places], self.calibration)


def looks_at(recogniser: Recogniser, pictures: Iterable[Picture]) -> Looks:
    """Return both looks at each picture."""
    pairs = np.stack([recogniser.vectors([picture, nearer(picture)]) for picture in pictures])
    return Looks(pairs[:, 0], together(pairs), recogniser.knowledge.calibration)


def judged_by(calibration: Calibration, once: Floats, both: Floats) -> Floats:
    """Return the likeness at one look (... x products) where that leaves no doubt, else at both."""
    enough = one_look_is_enough(calibration.shares(once), calibration.unknown(once))
    return np.where(enough[..., None], once, both)
