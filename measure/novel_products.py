"""Products that a network was not trained on, enrolled from few shots: alone, and among old ones."""

from collections.abc import Sequence

import msgspec
import numpy as np

from cart_firmware.perception.product_index import Floats, ProductIndex
from measure import produce_figures as figures
from measure.looks import Looks

Places = np.ndarray[tuple[int], np.dtype[np.int64]]


class Shots(msgspec.Struct):
    """Unit vectors of photographs, and what they show."""

    products: Sequence[str]
    vectors: Floats
    """photographs x dimensions"""

    def of(self, name: str) -> Floats:
        return self.vectors[[place for place, product in enumerate(self.products) if product == name]]


class Asked(msgspec.Struct):
    """Photographs to be named, and what they show."""

    products: Sequence[str]
    looks: Looks


def enrolled_alone(index: ProductIndex, known: Shots, asked: Asked, shots: int, draws: int) -> list[float]:
    """Return, for each draw, how often a novel product is named right among all novel ones (%).

    Args:
        index: of the products trained on.
        known: photographs to take shots from.
        asked: photographs to be named.
        shots: of each product.
        draws: how often shots are drawn anew.
    """
    results = []
    for draw in range(draws):
        novel = _enrolled(index.without(*index.names), _novel(index, known), known, shots, draw)
        results.append(_named_right(novel, asked, novel.names))
    return results


def enrolled_among_old(index: ProductIndex, known: Shots, asked: Asked, shots: int, draws: int) -> dict[str, float]:
    """Return how often new and old products are named right (%) when ten at most are enrolled beside the old ones."""
    before = _named_right(index, asked, index.names)
    new, old, top3 = [], [], []
    for draw in range(draws):
        names = _novel(index, known)
        chosen = sorted(np.random.default_rng([9, draw]).choice(names, min(10, len(names)), replace=False).tolist())
        both = _enrolled(index, chosen, known, shots, draw)
        new.append(_named_right(both, asked, chosen))
        top3.append(_named_right(both, asked, chosen, 3))
        old.append(_named_right(both, asked, index.names))
    return {
        "new": _mean(new), "new_top3": _mean(top3), "old": _mean(old), "old_before": before,
        "old_falls": round(before - _mean(old), 2),
    }  # fmt: skip


def _novel(index: ProductIndex, known: Shots) -> list[str]:
    return sorted({product for product in known.products if product not in index})


def _enrolled(index: ProductIndex, names: Sequence[str], known: Shots, shots: int, draw: int) -> ProductIndex:
    dice = np.random.default_rng([shots, draw])
    for name in names:
        vectors = known.of(name)
        index = index.with_product(name, vectors[dice.permutation(len(vectors))[:shots]])
    return index


def _named_right(index: ProductIndex, asked: Asked, names: Sequence[str], within: int = 1) -> float:
    """Return how often photographs of these products are named right, within so many guesses."""
    wanted = set(names)
    places = [place for place, product in enumerate(asked.products) if product in wanted]
    if not places:
        return 0.0
    likeness = asked.looks.of(places).likeness(index).astype(np.float64)
    right = np.array([index.place(asked.products[place]) for place in places])
    return figures.top(likeness, right, within)


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 2)
