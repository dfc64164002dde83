"""Whitening and prototypes on goods whose scatter is known."""

import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.product_index import unit
from models.train import fit

Floats = NDArray[np.float32]


def goods(products: int, shots: int, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Shots that scatter ten times as far along one axis as along the others, about the same products every time."""
    means = np.random.default_rng(1).normal(size=(products, 16))
    labels = np.repeat(np.arange(products), shots)
    scatter = np.random.default_rng(seed).normal(size=(len(labels), 16)) * np.array([4.0, *[0.4] * 15])
    return (means[labels] + scatter + 100).astype(np.float32), labels


def test_whitening_names_shots_that_plain_features_confuse() -> None:
    shown, labels = goods(30, 20, seed=1)
    asked, right = goods(30, 20, seed=2)
    space = fit.whitened(shown, labels, 16, 0.02, 0.0)
    names = [f"product {each}" for each in range(30)]
    whitened = fit.prototypes(names, space.place(shown), labels, [20] * 30).likeness(space.place(asked))
    plain = fit.prototypes(names, unit(shown - 100), labels, [20] * 30).likeness(unit(asked - 100))
    wrong, wrong_plainly = (np.mean(likeness.argmax(axis=1) != right) for likeness in (whitened, plain))
    assert wrong < wrong_plainly / 2


def test_products_to_come_scatter_in_what_tells_known_ones_apart_as_well() -> None:
    """So a direction in which products differ counts for less than what known ones scatter in it would allow."""
    dice = np.random.default_rng(4)
    labels = np.repeat(np.arange(3), 200)
    shown = np.concatenate([dice.normal(size=(600, 6)), np.eye(3)[labels] * 5 + dice.normal(size=(600, 3))], axis=1)
    features = (shown + 100).astype(np.float32)

    def apart(between: float) -> float:
        space = fit.whitened(features, labels, 8, 0.01, between)
        placed = unit(space.place(features))
        one, two = (unit(placed[labels == each].mean(axis=0)) for each in (0, 1))
        return float(np.linalg.norm((one - two) @ placed.T))

    assert apart(0.3) < apart(0.03) < apart(0.0)


def test_the_ordinary_has_length_one() -> None:
    shown, labels = goods(30, 20, seed=1)
    space = fit.whitened(shown, labels, 12, 0.05, 0.03)
    assert 0.9 < np.median(np.linalg.norm(space.place(shown), axis=1)) < 1.1
