"""The bench on frauds plays what it says, and the fusion core holds its bars on a small sample."""

import random

from bench.fraud import BARS, rate
from bench.frauds import ROWS
from bench.honest import honest_trips
from bench.trolley import Shop

TRIALS, ACTIONS = 25, 500


def test_frauds_that_weight_can_see_are_caught_and_their_look_alikes_are_not_accused() -> None:
    dice = random.Random(3)
    shop = Shop(dice)
    caught = [1 - rate(fraud, shop, dice, TRIALS) for _, fraud, _ in ROWS]
    accused = [rate(honest, shop, dice, TRIALS) for _, _, honest in ROWS if honest]
    # A single row of so few may miss its bar by chance; all rows together may not.
    assert 100 * sum(caught) / len(caught) >= BARS["caught_pct"]
    assert 100 * sum(accused) / len(accused) <= BARS["accused_pct"] + 1


def test_honest_shoppers_are_seldom_asked_and_their_list_is_right() -> None:
    dice = random.Random(4)
    found = honest_trips(Shop(dice), dice, ACTIONS)
    assert found.actions >= ACTIONS
    assert 20 * found.prompts / found.actions <= BARS["prompts_per_20"]
    assert found.wrong <= 3
