"""Labelled trips: the same seed makes the same trip, and what was felt is what the truth says was done."""

import numpy as np
import pytest

from sim.trips import Kind, Settings, Situation, Trip, trip
from sim.trips.deeds import PLAYS
from sim.trips.signal import COUNTS_PER_GRAM

STILL = Settings(minutes=8.0, drift=False)
_SWAYS_S = 5.0


@pytest.fixture(scope="module", params=range(6))
def played(request: pytest.FixtureRequest) -> Trip:
    return trip(request.param, STILL)


def rests(played: Trip) -> list[tuple[float, float]]:
    """When the cart stood and nothing had touched it for five seconds (what rolls or hangs sways on)."""
    found = []
    for phase in played.phases:
        busy = [span for span in played.handled if span[0] < phase.until_s and span[1] > phase.from_s - _SWAYS_S]
        since = max([phase.from_s, *(until for from_s, until in busy if from_s < phase.until_s)]) + _SWAYS_S
        if not phase.rolls and since + 0.5 < phase.until_s:
            found.append((since, phase.until_s))
    return found


def test_a_seed_makes_one_trip_and_another_seed_another() -> None:
    one, again, other = trip(3), trip(3), trip(4)
    assert one.truth == again.truth
    assert np.array_equal(one.felt.counts, again.felt.counts)
    assert np.array_equal(one.felt.imu_ug, again.felt.imu_ug)
    assert one.truth != other.truth


def test_a_cart_that_rests_weighs_what_truly_lies_in_it_less_what_the_slope_takes(played: Trip) -> None:
    at_s, grams = played.felt.at_us / 1e6, played.felt.counts / COUNTS_PER_GRAM
    seen = rests(played)
    assert len(seen) >= 3
    for from_s, until_s in seen:
        found = np.median(grams[(at_s >= from_s) & (at_s < until_s)])  # somebody may bump into the cart
        true = played.truth.total_mg(until_s) / 1_000
        takes = (true + 2_000) * 0.00137  # 1 - cos 3 degrees
        assert -takes - 4 <= found - true <= 4  # eccentric goods: 0.03 % each


def test_a_rolling_cart_shakes_and_a_standing_one_does_not(played: Trip) -> None:
    at_s, grams = played.felt.at_us / 1e6, played.felt.counts / COUNTS_PER_GRAM
    for from_s, until_s in rests(played):
        low, high = np.percentile(grams[(at_s >= from_s) & (at_s < until_s)], (25, 75))
        assert high - low < 2
    for phase in played.phases:
        if phase.rolls:
            assert grams[(at_s >= phase.from_s) & (at_s < phase.until_s)].std() > 50


def test_conversions_are_lost_now_and_then_and_never_repeated(played: Trip) -> None:
    gaps = np.diff(played.felt.at_us)
    assert gaps.min() >= 12_500
    assert 0 < np.mean(gaps > 12_500) < 0.01


def test_what_was_put_in_is_what_was_taken_out_and_what_is_left(played: Trip) -> None:
    actions = played.truth.actions
    assert all((action.mass_mg > 0) is (action.kind in {Kind.ADD, Kind.TARE_IN}) for action in actions)
    assert [action.at_s for action in actions] == sorted(action.at_s for action in actions)
    assert played.truth.total_mg(played.seconds + 60) == sum(action.mass_mg for action in actions) >= 0


def test_all_situations_and_all_plays_happen() -> None:
    trips = [trip(seed, Settings(minutes=30.0, deeds=0.5)) for seed in range(4)]
    assert {action.situation for each in trips for action in each.truth.actions} == set(Situation)
    assert {deed.name for each in trips for deed in each.truth.deeds} == {play.name for play in PLAYS}


def test_every_fraud_within_the_cart_stands_beside_an_honest_act_or_cannot_be_seen_by_weight() -> None:
    frauds = {play.number for play in PLAYS if not play.honest}
    honest = {play.number for play in PLAYS if play.honest}
    assert frauds - honest == {4, 10, 22}  # a label switched, a hook beside the platform, staff's own word


def test_a_cell_that_drifts_does_so_slowly() -> None:
    still, drifting = (trip(5, Settings(minutes=8.0, noise_g=0, lost=0, drift=drift)) for drift in (False, True))
    moved = (drifting.felt.counts - still.felt.counts) / COUNTS_PER_GRAM
    assert 1 < np.abs(moved).max() < 40
    assert np.abs(np.diff(moved)).max() < 0.2
