"""Steps of the load from a signal with noise, ringing, rolling, creep and failed readings."""

import math
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cart_firmware.core.calibration import Calibration, CalibrationError
from cart_firmware.core.weighing import Step, Weigher
from cart_protocol.mass import Mass, grams

RATE_HZ = 80
COUNTS_PER_KILOGRAM = 83_886.08
NOISE_G = 0.45
"""Of an HX711 at 80 conversions a second behind a 50 kg cell (hardware notes, section 2)."""
Signal = Callable[[float, Random], float]
"""Seconds to grams on the platform."""


def weigher(level_g: float = 0, rate_hz: int = RATE_HZ) -> Weigher:
    return Weigher(
        Calibration(zero_counts=1_000, counts_per_kilogram=COUNTS_PER_KILOGRAM), rate_hz=rate_hz, window_ms=400,
        band_mg=6_000, smallest_step_mg=12_000, level=grams(level_g),
    )  # fmt: skip


def feed(
    scale: Weigher, signal: Signal, seconds: float, *, start_s: float = 0, seed: int = 1, rate_hz: int = RATE_HZ
) -> list[Step]:
    dice = Random(seed)
    steps = list[Step]()
    for tick in range(round(seconds * rate_hz)):
        at_s = start_s + tick / rate_hz
        load_g = signal(at_s, dice) + dice.gauss(0, NOISE_G)
        if step := scale.feed(round(at_s * 1e6), 1_000 + round(load_g * COUNTS_PER_KILOGRAM / 1_000)):
            steps.append(step)
    return steps


def put_down(at_s: float, mass_g: float, before_g: float = 0) -> Signal:
    """Goods set down with a bump that rings for a quarter of a second."""

    def signal(now_s: float, _: Random) -> float:
        since = now_s - at_s
        if since < 0:
            return before_g
        ringing = 0.8 * mass_g * math.exp(-since / 0.05) * math.sin(2 * math.pi * 9 * since)
        return before_g + mass_g + ringing

    return signal


def rolling(load_g: float) -> Signal:
    """A cart pushed over tiles: vibration in proportion to the load, and a bump now and then."""

    def signal(now_s: float, dice: Random) -> float:
        shaking = sum(math.sin(2 * math.pi * hertz * now_s + hertz) for hertz in (4.3, 7.1, 11.7, 17.9, 23.3, 31.0))
        bump = dice.uniform(100, 900) if dice.random() < 0.02 else 0
        return load_g * (1 + 0.035 * shaking) + bump

    return signal


def standing(load_g: float) -> Signal:
    return lambda _, __: load_g


@pytest.mark.parametrize("mass_g", [20, 95, 500, 1_500, 6_000])
@pytest.mark.parametrize("seed", range(4))
def test_goods_put_down_are_one_step_within_three_grams_and_soon(mass_g: float, seed: int) -> None:
    steps = feed(weigher(), put_down(3.0, mass_g), 6, seed=seed)
    (step,) = steps
    assert abs(step.mass - grams(mass_g)) <= grams(3)
    rested_s = 3.0 + 0.05 * math.log(0.8 * mass_g / 6 + 1)  # when the ringing is within the band
    assert step.at_us / 1e6 - rested_s <= 0.7


def test_goods_lifted_are_a_step_down() -> None:
    scale = weigher(2_000)
    assert feed(scale, standing(2_000), 2) == []
    (step,) = feed(scale, standing(1_494), 2, start_s=2)
    assert abs(step.mass + grams(506)) <= grams(2)
    assert abs(step.level - grams(1_494)) <= grams(2)


@pytest.mark.parametrize("load_g", [1_500, 5_000, 20_000])
@pytest.mark.parametrize("seed", range(3))
def test_a_cart_that_rolls_commits_nothing(load_g: float, seed: int) -> None:
    scale = weigher(load_g)
    assert feed(scale, rolling(load_g), 60, seed=seed) == []
    assert not scale.quiet


def test_goods_put_in_while_rolling_are_one_step_when_the_cart_stands() -> None:
    scale = weigher(5_000)
    assert feed(scale, rolling(5_000), 5) == []
    assert feed(scale, rolling(5_640), 5, start_s=5) == []
    (step,) = feed(scale, standing(5_640), 2, start_s=10)
    assert abs(step.mass - grams(640)) <= grams(3)


def test_a_short_push_on_the_basket_is_no_step() -> None:
    def push(now_s: float, _: Random) -> float:
        return 1_000 + (700 if 2 < now_s < 2.4 else 0)

    assert feed(weigher(1_000), push, 5) == []


@given(st.floats(-0.095, 0.095), st.integers(0, 20_000), st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_drift_slower_than_six_grams_a_minute_is_never_a_step_and_leaves_the_level_alone(
    grams_per_s: float, load_g: int, seed: int
) -> None:
    scale = weigher(load_g)
    steps = feed(scale, lambda now_s, _: load_g + now_s * grams_per_s, 150, seed=seed)
    assert steps == []
    assert scale.level == grams(load_g)
    assert abs(scale.drift - grams(150 * grams_per_s)) <= grams(1.5)


def test_a_cell_that_drifts_is_suspected_before_a_shopper_and_its_total_is_less_certain() -> None:
    sound, drifting = weigher(3_000), weigher(3_000)
    feed(sound, lambda now_s, _: 3_000 + now_s * 0.03, 300)
    feed(drifting, lambda now_s, _: 3_000 + now_s * 0.09, 500)
    assert not sound.suspicious
    assert drifting.suspicious
    assert drifting.variance > 4 * sound.variance


def test_goods_poured_in_slowly_are_steps_that_crept_and_three_of_them_are_suspicious() -> None:
    scale = weigher(3_000)
    steps = feed(scale, lambda now_s, _: 3_000 + now_s * 0.6, 100)
    assert len(steps) >= 3
    assert all(step.crept and step.mass > 0 for step in steps)
    assert scale.suspicious


def test_goods_put_in_one_after_another_are_never_suspicious() -> None:
    scale = weigher()
    steps = feed(scale, lambda now_s, _: 20.0 * (now_s // 3), 60)
    assert len(steps) == 19
    assert not any(step.crept for step in steps)
    assert not scale.suspicious


@pytest.mark.parametrize("seconds", [1.6, 2.5])
def test_a_hand_that_leans_and_goes_is_taken_back_to_the_milligram(seconds: float) -> None:
    def leaning(now_s: float, _: Random) -> float:
        return 3_000 + (800 if 2 < now_s < 2 + seconds else 0) + (2 if now_s >= 2 + seconds else 0)

    scale = weigher(3_000)
    came, went = feed(scale, leaning, 8)
    assert went.undoes_us == came.at_us
    assert went.mass == -came.mass
    assert scale.level == went.level == grams(3_000)
    assert abs(scale.drift - grams(2)) <= grams(1)


def test_a_step_says_when_it_can_have_happened() -> None:
    scale = weigher(1_000)
    feed(scale, standing(1_000), 2)
    assert feed(scale, rolling(1_000), 3, start_s=2) == []
    (step,) = feed(scale, standing(1_500), 1, start_s=5)
    assert 1_900_000 <= step.from_us <= 2_100_000


# ── floors that slope ────────────────────────────────────────────────────────────────────────────────────────────────

PLATFORM_G = 2_000


def on_slope(load_g: float, degrees: float) -> float:
    """Return what the cell says of a load on a floor that leans, platform and basket tared on level floor."""
    return (load_g + PLATFORM_G) * math.cos(math.radians(degrees)) - PLATFORM_G


def feel(scale: Weigher, degrees: float, from_s: float, until_s: float) -> None:
    """Let the accelerometer speak for a while that the load cell is silent in."""
    lean = math.radians(degrees)
    for tick in range(round((until_s - from_s) * 20)):
        scale.feel(round((from_s + tick / 20) * 1e6), round(math.sin(lean) * 1e6), 0, round(math.cos(lean) * 1e6))


def stop(scale: Weigher, load_g: float, degrees: float, at_s: float, *, bent: float | None = 0) -> list[Step]:
    """Stand for two seconds where the floor leans; the accelerometer, if there is one, is bent by some degrees."""
    steps = list[Step]()
    for quarter in range(8):
        now_s = at_s + quarter / 4
        if bent is not None:
            feel(scale, degrees + bent, now_s - 0.25, now_s + 0.25)
        steps += feed(scale, standing(on_slope(load_g, degrees)), 0.25, start_s=now_s)
    return steps


def rolled(scale: Weigher, load_g: float, degrees: float, *, put_g: float = 0, felt: bool = True) -> list[Step]:
    """Stand on level floor, roll somewhere, stand there; `put_g` goes in on the way."""
    bent = 0 if felt else None
    steps = stop(scale, load_g, 0, 0, bent=bent)
    steps += feed(scale, rolling(load_g), 5, start_s=2)
    return steps + stop(scale, load_g + put_g, degrees, 7, bent=bent)


@pytest.mark.parametrize("felt", [True, False])
@pytest.mark.parametrize("load_g", [500, 10_000, 20_000])
@given(degrees=st.floats(-3, 3))
@settings(max_examples=6, deadline=None)
def test_a_cart_that_stops_on_a_slope_has_lost_nothing(*, felt: bool, load_g: int, degrees: float) -> None:
    scale = weigher(load_g)
    assert rolled(scale, load_g, degrees, felt=felt) == []
    assert scale.level == grams(load_g)


@pytest.mark.parametrize("put_g", [200, -300])
def test_what_went_in_on_the_way_to_a_slope_weighs_as_on_level_floor_where_the_slope_is_felt(put_g: float) -> None:
    felt, blind = weigher(20_000), weigher(20_000)
    (step,) = rolled(felt, 20_000, 3, put_g=put_g)
    assert abs(step.mass - grams(put_g)) <= grams(3)
    (guess,) = rolled(blind, 20_000, 3, put_g=put_g, felt=False)
    wrong = abs(guess.mass - grams(put_g))
    assert wrong > grams(20)
    assert wrong**2 <= 9 * guess.variance  # it does not know how far it leans, and says so
    assert feed(blind, rolling(20_000), 5, start_s=9) == []
    assert stop(blind, 20_000 + put_g, 0, 14, bent=None) == []
    assert abs(blind.level - grams(20_000 + put_g)) <= grams(5)  # the slope gives back what it took


def test_a_moving_walkway_is_no_step_where_it_is_felt() -> None:
    scale = weigher(15_000)
    assert rolled(scale, 15_000, 11) == []
    assert scale.level == grams(15_000)


@pytest.mark.parametrize("mass_g", [400, 1_500, 4_000])
def test_dropped_goods_and_a_slow_hand_are_no_rolling_and_weigh_right_on_a_slope_that_is_not_felt(
    mass_g: float,
) -> None:
    for come in (put_down(12, mass_g, on_slope(15_000, 3)), slowly(12, mass_g, on_slope(15_000, 3))):
        scale = weigher(15_000)
        assert rolled(scale, 15_000, 3, felt=False) == []
        (step,) = feed(scale, come, 7, start_s=9)
        assert abs(step.mass - grams(mass_g)) <= grams(3)


def slowly(at_s: float, mass_g: float, before_g: float) -> Signal:
    """Goods that a hand lets down within two seconds."""
    return lambda now_s, _: before_g + mass_g * min(1.0, max(0.0, (now_s - at_s) / 2))


def test_an_accelerometer_that_was_bent_after_calibration_is_found_out_and_no_longer_believed() -> None:
    honest, bent = weigher(15_000), weigher(15_000)
    for number in range(8):
        degrees, at_s = (0, 3, -2, 1)[number % 4], number * 7.0
        for scale, wrong in ((honest, 0.0), (bent, 6.0)):
            stop(scale, 15_000, degrees, at_s, bent=wrong)
            feed(scale, rolling(15_000), 5, start_s=at_s + 2)
    assert (honest.doubts_tilt, bent.doubts_tilt) == (False, True)
    assert abs(bent.level - grams(15_000)) <= grams(30)


def test_what_changed_while_nobody_weighed_is_a_step_from_the_remembered_level() -> None:
    (step,) = feed(weigher(2_500), standing(3_006), 2)
    assert abs(step.mass - grams(506)) <= grams(2)


def test_a_failed_reading_begins_the_window_anew() -> None:
    scale = weigher()
    assert feed(scale, put_down(0, 500), 0.35) == []
    scale.interrupt()
    assert not scale.quiet
    assert feed(scale, standing(500), 0.35, start_s=0.35) == []
    assert len(feed(scale, standing(500), 0.3, start_s=0.7)) == 1


def test_readings_with_a_gap_between_them_are_not_one_window() -> None:
    scale = weigher()
    feed(scale, standing(500), 0.35)
    assert feed(scale, standing(500), 0.35, start_s=5) == []


def test_the_slow_rate_weighs_too() -> None:
    (step,) = feed(weigher(rate_hz=10), put_down(3.0, 500), 6, rate_hz=10)
    assert abs(step.mass - grams(500)) <= grams(3)
    assert step.at_us <= 3_900_000


def test_the_total_is_less_certain_the_heavier_it_is() -> None:
    light, heavy = weigher(500), weigher(20_000)
    feed(light, standing(500), 2)
    feed(heavy, standing(20_000), 2)
    assert grams(4) ** 2 <= light.variance < heavy.variance <= grams(12) ** 2


def test_counts_become_mass_exactly() -> None:
    calibration = Calibration(zero_counts=-250, counts_per_kilogram=83_886.08)
    assert calibration.mass(-250) == 0
    assert calibration.mass(-250 + 8_388_608) == Mass(100_000_000)
    assert calibration.mass(2 * -250 + 8_388_608, 2) == Mass(50_000_000)
    assert Calibration(zero_counts=0, counts_per_kilogram=-1_000.0).mass(-500) == Mass(500_000)


@pytest.mark.parametrize("slope", [0.0, float("nan"), float("inf")])
def test_a_slope_that_no_cell_has_is_refused(slope: float) -> None:
    with pytest.raises(CalibrationError, match="known mass"):
        Calibration(zero_counts=0, counts_per_kilogram=slope)
