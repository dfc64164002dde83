"""Whitening, prototypes and calibration on goods whose scatter is known."""

import numpy as np
import pytest
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
    space = fit.whitened(shown, labels, 16, 0.02)
    names = [f"product {each}" for each in range(30)]
    whitened = fit.prototypes(names, space.place(shown), labels, [20] * 30).likeness(space.place(asked))
    plain = fit.prototypes(names, unit(shown - 100), labels, [20] * 30).likeness(unit(asked - 100))
    wrong, wrong_plainly = (np.mean(likeness.argmax(axis=1) != right) for likeness in (whitened, plain))
    assert wrong < wrong_plainly / 2


def test_what_tells_products_apart_is_kept_though_shots_scatter_more_elsewhere() -> None:
    dice = np.random.default_rng(4)
    labels = np.repeat(np.arange(3), 200)
    shown = np.concatenate(
        [dice.normal(size=(600, 6)) * 3, np.eye(3)[labels] + dice.normal(size=(600, 3)) * 0.1], axis=1
    )
    features = (shown + 100).astype(np.float32)
    space = fit.whitened(features, labels, 4, 0.01)
    index = fit.prototypes(["one", "two", "three"], space.place(features), labels, [200] * 3)
    assert space.whitening.shape == (9, 4)
    assert np.mean(index.likeness(space.place(features)).argmax(axis=1) == labels) > 0.95


def test_sharpness_is_found_again() -> None:
    dice = np.random.default_rng(2)
    likeness = dice.uniform(-1, 1, (4000, 20)).astype(np.float32)
    weights = np.exp(12 * likeness)
    shares = weights / weights.sum(axis=1, keepdims=True)
    right = (shares.cumsum(axis=1) > dice.random((4000, 1))).argmax(axis=1)
    assert fit.sharpness(likeness, right) == pytest.approx(12, rel=0.1)


def test_a_stranger_is_as_likely_as_not_midway_between_known_and_strange() -> None:
    dice = np.random.default_rng(3)
    known, strange = dice.normal(0.8, 0.1, 3000).astype(np.float32), dice.normal(0.4, 0.1, 600).astype(np.float32)
    threshold, width = fit.strangeness(known, strange)
    assert threshold == pytest.approx(0.6, abs=0.02)
    # Two normal distributions s apart by d: the odds grow by e every s²/d.
    assert width == pytest.approx(0.1**2 / 0.4, rel=0.25)
