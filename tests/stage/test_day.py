"""Whole shopping days on a virtual clock: the product's own carts and store, on the simulator's chips and people."""

import asyncio

import pytest

from sim.stage import Stage, StagedDay, stage_day
from sim.wires.air import Weather

pytestmark = [pytest.mark.timeout(240)]


def broken(day: StagedDay) -> list[str]:
    return [f"{check.name}: {check.seen}, wanted {check.wanted}" for check in day.checks if not check.holds]


@pytest.fixture(scope="module")
def fair_day() -> StagedDay:
    return stage_day(trips=10, carts=3, seed=5)


def test_a_fair_day_ends_with_every_book_in_agreement(fair_day: StagedDay) -> None:
    assert not broken(fair_day), fair_day.tally.notes
    assert fair_day.mirrors_agree
    assert fair_day.status.orders_paid == fair_day.status.exits == 10


def test_each_thief_was_stopped_and_the_lane_said_why(fair_day: StagedDay) -> None:
    assert fair_day.tally.thieves == fair_day.tally.thieves_stopped > 0
    assert any("unpaid goods" in sentence or "not scanned" in sentence for sentence in fair_day.sentences)


def test_the_same_seed_is_the_same_day(fair_day: StagedDay) -> None:
    again = stage_day(trips=10, carts=3, seed=5)
    assert (again.tally, again.ledgers, again.sentences) == (fair_day.tally, fair_day.ledgers, fair_day.sentences)


def test_an_honest_basket_beyond_three_sigma_is_let_through_by_staff() -> None:
    """The goods of one shopper of this day are all a little heavy: one basket in some hundred is, by design."""
    day = stage_day(trips=10, carts=3, seed=7)
    assert day.tally.honest_stopped == 1
    assert day.tally.gave_up == 0
    assert day.status.orders_paid == day.status.exits == 10


def mischief(stage: Stage) -> None:
    """For two minutes carts lose power or radio, in the middle of whatever they do."""
    dice = stage.dice("mischief")

    async def strike() -> None:
        while stage.loop.time() < 120:
            await asyncio.sleep(dice.uniform(5, 15))
            cart = dice.choice(stage.carts)
            if dice.random() < 0.5:
                cart.part(dice.uniform(1, 6))
            else:
                await cart.crash(dark_s=dice.uniform(0.2, 3))

    stage.meanwhile(strike())


@pytest.mark.parametrize("seed", [1, 3])
def test_dead_carts_and_bad_air_lose_nothing_and_charge_nobody_twice(seed: int) -> None:
    day = stage_day(trips=9, carts=3, seed=seed, weather=Weather(lost=0.1, repeated=0.1, delay_s=0.3), during=mischief)
    # A shopper may give up on such a day; what was accepted may not suffer.
    assert day.ledgers.recorded == day.ledgers.committed
    assert day.ledgers.unacknowledged == day.ledgers.duplicates == 0
    assert day.ledgers.repeated > 0, "the air was too good to prove anything"
    assert day.ledgers.store_paid_minor == day.ledgers.acquirer_minor == day.ledgers.store_orders_minor
    assert day.mirrors_agree
    assert day.tally.honest_stopped == 0
