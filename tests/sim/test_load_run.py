"""A load run on real processes: nothing lost, nothing twice, no backlog at the end; and a bad run is called bad."""

import subprocess
import sys
from pathlib import Path

import pytest

from sim.histogram import Histogram
from sim.load import Outcome, Sample
from sim.load_shop import Used


def sample(second: int, backlog: int) -> Sample:
    return Sample(second=second, recorded=0, backlog=backlog, agent=Used(cpu_s=0, resident_mb=0))


def outcome(*backlogs: int) -> Outcome:
    samples = [sample(second, backlog) for second, backlog in enumerate(backlogs)]
    return Outcome(recorded=600, committed=600, seconds=60, samples=samples)


@pytest.mark.processes
@pytest.mark.broker
def test_fifty_carts_shop_through_an_outage_and_every_event_is_committed_once(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "sim", "load", "--carts", "50", "--rate", "150", "--seconds", "6", "--phones", "3",
         "--outage", "1", "--folder", str(tmp_path / "load")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-3_000:] + run.stderr[-3_000:]
    assert "50 carts come in" in run.stdout
    assert "caught up" in run.stdout
    assert ", 0 twice" in run.stdout
    assert "VERDICT: every event committed once" in run.stdout


def test_a_backlog_that_grows_is_seen_and_one_that_swings_is_none() -> None:
    assert outcome(*range(0, 600, 10)).faults() == ["the backlog grew"]
    assert outcome(*[5, 40, 3, 0, 11, 2] * 10).faults() == []
    assert outcome().faults() == []


def test_whatever_is_missing_or_twice_is_said() -> None:
    bad = Outcome(recorded=10, committed=9, duplicates=1, unacknowledged=2)
    assert bad.faults() == [
        "10 events were recorded and 9 are in the journal",
        "1 events are in the journal twice",
        "2 events were never acknowledged",
    ]


def test_percentiles_are_right_to_within_five_in_a_hundred() -> None:
    histogram = Histogram()
    for took_us in range(1, 100_001):
        histogram.add(took_us)
    for percent in (1, 50, 95, 99, 100):
        assert histogram.percentile_ms(percent) == pytest.approx(percent, rel=0.06)
    assert (histogram.count, histogram.longest_us) == (100_000, 100_000)


def test_a_histogram_draws_one_line_for_each_doubling() -> None:
    histogram = Histogram()
    for took_us in (200, 900, 1_500, 1_600, 30_000):
        histogram.add(took_us)
    assert [line.split()[:4] for line in histogram.lines()] == [
        ["<", "1", "ms", "2"], ["<", "2", "ms", "2"], ["<", "4", "ms", "0"], ["<", "8", "ms", "0"],
        ["<", "16", "ms", "0"], ["<", "32", "ms", "1"],
    ]  # fmt: skip
    assert Histogram().percentile_ms(99) == 0
