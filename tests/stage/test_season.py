"""A slice of a season: hundreds of trips in which everything fails that can. More: cart-sim stage --seeds 1250."""

from concurrent.futures import ProcessPoolExecutor

import pytest

from sim.stage.faults import Kind
from sim.stage.play import Played, counted, play

pytestmark = [pytest.mark.timeout(900)]

_FIRST_SEED, _SEEDS, _TRIPS = 1, 90, 8
"""About a minute on two cores."""


def day(seed: int) -> Played:
    return play(seed, _TRIPS)


@pytest.fixture(scope="module")
def season() -> list[Played]:
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(day, range(_FIRST_SEED, _FIRST_SEED + _SEEDS), chunksize=5))


def test_no_fault_breaks_a_promise(season: list[Played]) -> None:
    failed = [f"seed {day.seed}: {day.failure}\n" + "\n".join(day.trace) for day in season if day.failure]
    assert not failed, "\n\n".join(failed[:3])
    assert sum(day.finished for day in season) == _SEEDS * _TRIPS


def test_every_kind_of_fault_struck(season: list[Played]) -> None:
    assert [str(kind) for kind, count in counted(season).items() if not count] == []


def test_most_shoppers_got_home_with_their_goods_all_the_same(season: list[Played]) -> None:
    """A day on which nobody can shop keeps every promise too."""
    assert sum(day.orders_paid for day in season) > 0.5 * _SEEDS * _TRIPS


def test_the_faults_of_a_seed_are_planned_for_every_kind() -> None:
    from sim.stage.faults import plan_faults

    planned = {fault.kind for seed in range(_SEEDS) for fault in plan_faults(seed)}
    assert len(planned) == len(Kind) - 6  # messages and notices go astray by themselves
