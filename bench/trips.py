"""Weighing on simulated trips with labelled truth: our weigher against two rules, in one run on the same conversions.

    scripts/bench trips [--minutes 600] [--seed 7] [--json]

How a detector is judged is told in bench/judgement.py, and in bench/baskets.py what the cart's list and its questions
become with its steps: as many minutes more, of trips without thieves. A tenth of the time more is played on cells that
run away, to see whether the weigher doubts them, and only them.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

from bench.baskets import Bill, bill
from bench.detectors import DETECTORS
from bench.judgement import Score, figures, judge
from sim.trips import Settings, trip

BARS = {"matched_pct": 97.0, "unexplained_per_min": 0.3, "total_p95_g": 10.0, "latency_p50_s": 1.0, "cpu_pct": 5.0,
        "wrong_per_1000": 1.0, "prompts_per_20": 1.0}  # fmt: skip
"""Of issue and design: the first is a least, the others are most."""
OURS = "weigher"
_MINUTES = 10.0
_RUNS_AWAY_G_PER_MIN = 12.0
_RESTLESS, _RESTLESS_SHARE = "median + threshold", 20
"""Of the honest trips this rule's steps become lists in one of so many: they raise a hundred times our questions."""
_SEEDS_APART = 1_000_003


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench trips", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=600.0, help="of cart time, in trips of ten minutes")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--no-drift", action="store_true", help="a cell that neither warms nor creeps")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args(arguments)
    sound = Settings(drift=not options.no_drift)
    broken = Settings(drift=not options.no_drift, runs_away_g_per_min=_RUNS_AWAY_G_PER_MIN)
    found = measure(options.minutes, options.seed, sound, processes=options.processes)
    away = measure(options.minutes / 10, options.seed, broken, processes=options.processes)[OURS]
    honest = msgspec.structs.replace(sound, frauds=False)
    lists = shop(options.minutes, options.seed, honest, processes=options.processes)
    show(found, away)
    show_lists(lists)
    if options.json:
        result = {"bench": "trips", "minutes": options.minutes, "seed": options.seed, "bars": BARS}
        detectors = {name: figures(score) for name, score in found.items()}
        bills = {name: msgspec.to_builtins(each) | each.rates() for name, each in lists.items()}
        print(json.dumps(result | {"detectors": detectors, "running_away": figures(away), "lists": bills}))
    return 0


def measure(minutes: float, seed: int, settings: Settings | None = None, *, processes: int = 1) -> dict[str, Score]:
    """Return each detector's score over `minutes` of ten-minute trips that this seed makes."""
    sums = {name: Score(trips=0) for name in DETECTORS}
    for scores in _played(one, _jobs(minutes, seed, settings or Settings()), processes):
        for name, score in scores.items():
            sums[name].add(score)
    return sums


def shop(minutes: float, seed: int, settings: Settings, *, processes: int = 1) -> dict[str, Bill]:
    """Return what each detector's steps became on the cart's list over `minutes` of ten-minute trips."""
    sums = {name: Bill() for name in DETECTORS}
    for bills in _played(shop_one, _jobs(minutes, seed, settings), processes):
        for name, each in bills.items():
            sums[name].add(each)
    return sums


def one(seed: int, settings: Settings) -> dict[str, Score]:
    """Return all detectors' scores on one trip."""
    played = trip(seed, settings)
    return {name: judge(played, detector(played)) for name, detector in DETECTORS.items()}


def shop_one(seed: int, settings: Settings) -> dict[str, Bill]:
    """Return what the list of one trip became with each detector's steps."""
    played = trip(seed, settings)
    patient = seed % _SEEDS_APART % _RESTLESS_SHARE == 0
    return {name: bill(played, find(played)) for name, find in DETECTORS.items() if patient or name != _RESTLESS}


_Job = tuple[int, Settings]
_Result = TypeVar("_Result")


def _jobs(minutes: float, seed: int, settings: Settings) -> list[_Job]:
    settings = msgspec.structs.replace(settings, minutes=min(_MINUTES, minutes))
    return [(seed * _SEEDS_APART + number, settings) for number in range(max(1, round(minutes / _MINUTES)))]


def _played(play: Callable[[int, Settings], _Result], jobs: list[_Job], processes: int) -> Iterator[_Result]:
    """Yield what each trip came to, in order, and say how far it is."""
    if processes == 1:
        yield from (play(*job) for job in jobs)
        return
    with concurrent.futures.ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for number, result in enumerate(pool.map(play, *zip(*jobs, strict=True)), 1):
            yield result
            if number % 10 == 0:
                print(f"{number}/{len(jobs)} trips", file=sys.stderr)


def show(found: dict[str, Score], away: Score) -> None:
    """Print the scores of all detectors, and ours on cells that run away."""
    ours = figures(found[OURS])
    print(f"{ours['actions']} actions in {found[OURS].minutes:.0f} minutes")
    print(
        f"  {'':<26}{'matched %':>10}{'alone %':>9}{'unexplained/min':>17}{'step error p50, p95 g':>23}"
        f"{'total p50, p95 g':>19}{'latency p50, p95 s':>20}{'CPU %':>7}"
    )
    for name, score in found.items():
        row = figures(score)
        print(
            f"  {name:<26}{row['matched_pct']:>10.1f}{row['alone_pct']:>9.1f}{row['unexplained_per_min']:>17.2f}"
            f"{row['error_p50_g']:>15.1f}{row['error_p95_g']:>8.1f}{row['total_p50_g']:>11.1f}{row['total_p95_g']:>8.1f}"
            f"{row['latency_p50_s']:>12.2f}{row['latency_p95_s']:>8.2f}{row['cpu_pct']:>7.2f}"
        )
    bars = f"{'>= 97':>10}{'':>9}{'<= 0.3':>17}{'':>23}{'<= 10':>19}{'<= 1.0':>12}{'':>8}{'<= 5':>7}"
    print(f"  {'bar':<26}{bars}\n")
    sound, g_per_min = found[OURS], f"{_RUNS_AWAY_G_PER_MIN:.0f} g a minute"
    print(
        f"  The weigher doubted {sound.suspected} of {sound.trips} sound cells, and {away.suspected} of {away.trips} "
        f"that ran away by {g_per_min} ({away.unexplained / away.minutes:.2f} unexplained/min).\n"
    )
    _show_situations(found)
    _show_deeds(ours["deeds"])


def show_lists(lists: dict[str, Bill]) -> None:
    """Print what became of the cart's list on honest trips."""
    print(
        f"\n  {'honest trips':<26}{'actions':>9}{'wrong/1,000':>13}{'missed/1,000':>14}{'taken back/1,000':>18}"
        f"{'questions/20':>14}{'staff/100':>11}"
    )
    for name, each in lists.items():
        row = each.rates()
        print(
            f"  {name:<26}{each.actions:>9}{row['wrong_per_1000']:>13.2f}{row['missed_per_1000']:>14.2f}"
            f"{row['taken_back_per_1000']:>18.2f}{row['prompts_per_20']:>14.2f}{row['staff_per_100']:>11.2f}"
        )
    print(f"  {'bar':<26}{'':>9}{'<= 1':>13}{'':>14}{'':>18}{'<= 1':>14}")
    asked = ", ".join(f"{what} {count}" for what, count in lists[OURS].asked_of.most_common(8))
    print(f"  Ours asked most often after: {asked}.")


def _show_situations(found: dict[str, Score]) -> None:
    rows = {name: figures(score)["situations"] for name, score in found.items()}
    print(
        f"  {'matched %':<18}{'actions':>8}" + "".join(f"{name:>27}" for name in rows) + "   ours, latency p50, p95 s"
    )
    for situation, row in rows[OURS].items():
        cells = "".join(f"{each[situation]['matched_pct']:>27.1f}" for each in rows.values())
        print(f"  {situation:<18}{row['actions']:>8}{cells}{row['latency_p50_s']:>20.2f}{row['latency_p95_s']:>8.2f}")


def _show_deeds(deeds: dict[str, Any]) -> None:
    print(
        "\n  Frauds and their look-alikes, by weight alone: all of it seen as steps; contradicts what was claimed by"
        "\n  more than 3 sigma. What weight cannot see is left to camera, list and audits."
    )
    for label, row in deeds.items():
        print(f"  {label:<48}{row['n']:>5}{row['seen_pct']:>9.1f} % seen{row['contradicted_pct']:>9.1f} % contradicted")
