"""The bench of hands counts rightly. No figure is judged here."""

from random import Random

import numpy as np

from bench import hands
from cart_firmware.core.decision import Way
from cart_firmware.perception.ways import WEIGHTS
from sim.optics.passages import PASSAGES


def test_both_watchers_see_every_frame_of_a_clip() -> None:
    clip = PASSAGES["put in"](Random("put in/bench/2"))
    ours, plain, found = hands.watch(clip)
    assert len(ours.cpu_ms) == len(plain.cpu_ms) == len(list(clip.frames()))
    assert len(found) == 1


def test_silence_is_right_of_an_empty_hand_and_abstention_otherwise() -> None:
    row = hands.Row()
    for truth, said in (
        (Way.UNSEEN, []),
        (Way.IN, []),
        (Way.IN, [Way.IN]),
        (Way.OUT, [Way.IN]),
        (Way.BOTH, [Way.IN, Way.OUT]),
    ):
        row.count(truth, said)
    assert (row.passages, row.right, row.wrong, row.abstained) == (5, 3, 1, 1)


def test_the_fit_finds_weights_that_tell_ways_apart() -> None:
    dice = np.random.default_rng(1)
    truths = dice.integers(0, 4, 400)
    measured = [
        {"always": 1.0, **{f"m{way}": float((way == truth) + dice.normal(0, 0.2)) for way in range(4)}}
        for truth in truths
    ]
    weights = hands.logistic(measured, truths)
    scores = sum(np.outer([each[name] for each in measured], weights[name]) for name in weights)
    assert (np.argmax(scores, axis=1) == truths).mean() > 0.95
    assert hands.line_of("always", [0.5, -1, 0, 2]) == '    "always": (0.500, -1.000, 0.000, 2.000),'


def test_the_model_has_weights_for_what_it_measures() -> None:
    assert {len(each) for each in WEIGHTS.values()} == {4}
