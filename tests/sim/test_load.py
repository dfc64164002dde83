"""The platform: what a load cell feels when people shop."""

import statistics
from random import Random

import msgspec
import pytest

from sim.physics.load import Lean, LoadAct, LoadSignal, Put, Roll, compacted

GRAM = 1_000
DRIFT = 1.5 * GRAM


def felt(load: LoadSignal, from_s: float, until_s: float) -> list[float]:
    steps = round((until_s - from_s) * 80)
    return [load.milligrams(from_s + step / 80) for step in range(steps)]


def test_goods_ring_when_they_land_and_then_rest() -> None:
    load = LoadSignal(seed=7)
    load.put(10.0, 500 * GRAM)
    assert max(abs(value) for value in felt(load, 5, 10)) <= DRIFT
    landing = felt(load, 10, 10.3)
    assert max(landing) - min(landing) > 200 * GRAM
    resting = felt(load, 11.5, 13)
    assert statistics.mean(resting) == pytest.approx(500 * GRAM, abs=DRIFT)
    assert max(resting) - min(resting) < GRAM


def test_goods_taken_leave_the_rest() -> None:
    load = LoadSignal()
    load.put(1, 500 * GRAM)
    load.take(5, 200 * GRAM)
    assert load.resting_mg(0) == 0
    assert load.resting_mg(3) == 500 * GRAM
    assert load.resting_mg(6) == 300 * GRAM
    assert load.milligrams(8) == pytest.approx(300 * GRAM, abs=DRIFT + GRAM)


def test_a_leaning_hand_presses_and_goes() -> None:
    load = LoadSignal()
    load.lean(5, 7, 800 * GRAM)
    assert max(felt(load, 4, 4.9)) <= DRIFT
    assert statistics.mean(felt(load, 5.5, 6.5)) == pytest.approx(800 * GRAM, rel=0.06)
    assert abs(load.milligrams(7.1)) <= DRIFT


def test_rolling_shakes_the_goods_and_standing_does_not() -> None:
    load = LoadSignal()
    load.put(0, 10_000 * GRAM)
    load.roll(5, 15)
    assert statistics.stdev(felt(load, 6, 14)) > 100 * GRAM
    assert statistics.stdev(felt(load, 18, 20)) < GRAM


def test_the_same_seed_and_acts_make_the_same_platform_in_any_order() -> None:
    acts: list[LoadAct] = [Put(1, 300_000), Put(4, 900_000), Put(4.2, -300_000), Lean(6, 7, 40_000), Roll(8, 12)]
    shuffled = list(acts)
    Random(5).shuffle(shuffled)
    one, other = LoadSignal(seed=3, acts=acts), LoadSignal(seed=3, acts=shuffled)
    assert felt(one, 0, 15) == pytest.approx(felt(other, 0, 15))
    assert felt(one, 0, 15) != felt(LoadSignal(seed=4, acts=acts), 0, 15)


def test_a_folded_history_is_the_same_platform_from_then_on() -> None:
    dice = Random(2)
    acts: list[LoadAct] = [Put(float(second), dice.randint(-400, 500) * GRAM) for second in range(200)]
    acts += [Lean(3, 4, 1_000), Lean(150, 170, 200 * GRAM), Roll(20, 90), Roll(120, 199)]
    folded = compacted(acts, before_s=160)
    assert len(folded) < 50
    assert felt(LoadSignal(1, folded), 160, 210) == pytest.approx(felt(LoadSignal(1, acts), 160, 210))


def test_acts_travel_as_json() -> None:
    acts: tuple[LoadAct, ...] = (Put(1, 2), Lean(1, 2, 3), Roll(1, 2))
    assert msgspec.json.decode(msgspec.json.encode(acts), type=tuple[LoadAct, ...]) == acts


def test_the_cell_gives_ten_millivolts_at_its_capacity() -> None:
    load = LoadSignal()
    load.put(0, 50_000 * GRAM)
    assert load.millivolts(10) == pytest.approx(10.0, abs=0.001)
