"""Whether a new product can be told from all that is known, before it goes live.

Its shots are held against one another, left out one at a time, and its prototype against every other one.
"""

from collections.abc import Collection
from statistics import fmean

import numpy as np

from cart_firmware.perception.knowledge import Calibration, Knowledge
from cart_firmware.perception.product_index import WITHIN, Floats, ProductIndex, unit
from cart_firmware.perception.taught import taught
from cart_protocol.ids import ProductId
from cart_protocol.sight import MOST_SHOTS, Learned, Resemblance, Verdict

ALIKE = 0.33
"""Cosine of two prototypes from which on they are asked about. Of the 3,240 pairs of shipped products 30 have more, 23
of one group: two apples, two yoghurts of one dairy."""
ALIKE_OF_FEW = 0.26
"""The same of fewer than three shots, whose own scatter is not known: they are mistaken for more."""
TOGETHER = 0.3
"""Least mean cosine of a shot with the mean of the others: below it, they show several things, or none.

`scripts/measure painted` says how often that holds. Five photographs of one product have 0.27 at least (99 of 100
times; 0.34 if it was trained on), three of one and two of another less than 0.29 as often as not.
"""
_RIVAL = 0.2
"""A product that has such a share of one shot's probability may be taken for it."""
_FEW = 3
_MOST_NAMED = 12


def learned(product: ProductId, shots: Floats, knowledge: Knowledge, *, same: Collection[str] = ()) -> Learned:
    """Return a product as it is taught, and how its test went.

    Args:
        product: what the shots show.
        shots: unit vectors, shots x dimensions; at least one and at most MOST_SHOTS.
        knowledge: what the carts know now.
        same: names under which this very product is known already: they are no look-alikes.

    Raises:
        ValueError: no shots, or too many.
    """
    if not 1 <= len(shots) <= MOST_SHOTS:
        raise ValueError(f"{len(shots)} shots of {product}: expected 1 to {MOST_SHOTS}")
    others = knowledge.index.without(product, *same)
    right, together, rivals = _left_out(product, shots, others, knowledge.calibration)
    resembles = _resembling(shots, others, rivals)
    alike = tuple(each.name for each in resembles)
    scattered = len(shots) > 1 and together < TOGETHER
    verdict = Verdict.SCATTERED if scattered else Verdict.TAP if alike else Verdict.SAFE
    return Learned(
        taught=taught(product, shots, knowledge.space_sha256, alike), verdict=verdict, right=right,
        together=round(100 * together), resembles=resembles,
    )  # fmt: skip


def _left_out(
    product: ProductId, shots: Floats, others: ProductIndex, calibration: Calibration
) -> tuple[int, float, dict[str, int]]:
    """Return how many shots the others name rightly, how near they lie to them, and each rival's number of chances."""
    rivals = dict[str, int]()
    right, nearness = 0, list[float]()
    for number, shot in enumerate(shots):
        rest = np.delete(shots, number, axis=0)
        # A single shot has nobody to vouch for it: it is held against itself, as the next cart will see it.
        index = others.with_product(product, rest if len(rest) else shots)
        shares = calibration.shares(index.likeness(shot))
        nearness.append(float(unit(rest.mean(axis=0)) @ shot) if len(rest) else 1.0)
        right += int(shares.argmax()) == index.place(product)
        for place in np.flatnonzero(shares >= _RIVAL):
            if (name := index.names[place]) != product:
                rivals[name] = rivals.get(name, 0) + 1
    return right, fmean(nearness), rivals


def _resembling(shots: Floats, others: ProductIndex, rivals: dict[str, int]) -> tuple[Resemblance, ...]:
    """Return the products that look like the new one, or were taken for it, the most alike first."""
    if not len(others):
        return ()
    least = ALIKE if len(shots) >= _FEW else ALIKE_OF_FEW
    cosines = (others.likeness(unit(shots.mean(axis=0))) - others.bias) / _shrunk(len(shots))
    found = [
        Resemblance(name=name, percent=_percent(cosine), taken_for=rivals.get(name, 0))
        for name, cosine in zip(others.names, cosines, strict=True)
        if cosine >= least or name in rivals
    ]
    return tuple(sorted(found, key=lambda each: (-each.taken_for, -each.percent, each.name))[:_MOST_NAMED])


def _shrunk(shots: int) -> float:
    """Return the cosine of the mean of so many shots with the product's true direction (see product_index.bias_of)."""
    return float(WITHIN / (WITHIN**2 + (1 - WITHIN**2) / shots) ** 0.5)


def _percent(cosine: float) -> int:
    return round(100 * min(1.0, max(-1.0, cosine)))
