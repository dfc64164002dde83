"""Weighing on simulated trips with labelled truth: our weigher against two rules, in one run on the same conversions.

    scripts/bench trips [--minutes 600] [--seed 7] [--trials 200] [--json]

How a detector is judged is told in bench/judgement.py, and in bench/baskets.py what the cart's list and its questions
become with its steps: as many minutes more, of trips without thieves. A tenth of the time more is played on cells that
run away, to see whether the weigher doubts them, and only them. Frauds and the honest acts that look like them are then
staged one by one (bench/deeds.py).
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from bench.baskets import Bill, bill
from bench.deeds import BY_RULE, Row, rows
from bench.detectors import DETECTORS
from bench.judgement import Score, figures, judge
from sim.trips import Settings, trip
from sim.trips.deeds import PLAYS

BARS = {"matched_pct": 97.0, "unexplained_per_min": 0.3, "total_p95_g": 10.0, "latency_p50_s": 1.0, "cpu_pct": 5.0,
        "wrong_per_1000": 1.0, "prompts_per_20": 1.0, "caught_pct": 95.0, "accused_pct": 1.0}  # fmt: skip
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
    parser.add_argument("--trials", type=int, default=200, help="of each fraud and each honest act that looks like one")
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
    deeds = stage(options.trials, options.seed, processes=options.processes)
    show(found, away)
    show_lists(lists)
    show_deeds(deeds)
    if options.json:
        result = {"bench": "trips", "minutes": options.minutes, "seed": options.seed, "bars": BARS}
        detectors = {name: figures(score) for name, score in found.items()}
        bills = {name: msgspec.to_builtins(each) | each.rates() for name, each in lists.items()}
        staged = [msgspec.to_builtins(row) | {"pct": row.pct, "lying_pct": row.lying_pct} for row in deeds]
        print(
            json.dumps(
                result | {"detectors": detectors, "running_away": figures(away), "lists": bills, "deeds": staged}
            )
        )
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


def stage(trials: int, seed: int, *, processes: int = 1) -> list[Row]:
    """Return what became of each fraud and each look-alike, so often."""
    found = _played(rows, [(play, trials, seed) for play in PLAYS], processes, "plays")
    return sorted((row for each in found for row in each), key=lambda row: (not row.visible, row.number, row.honest))


_Job = tuple[Any, ...]
_Result = TypeVar("_Result")


def _jobs(minutes: float, seed: int, settings: Settings) -> list[tuple[int, Settings]]:
    settings = msgspec.structs.replace(settings, minutes=min(_MINUTES, minutes))
    return [(seed * _SEEDS_APART + number, settings) for number in range(max(1, round(minutes / _MINUTES)))]


def _played(
    play: Callable[..., _Result], jobs: Sequence[_Job], processes: int, what: str = "trips"
) -> Iterator[_Result]:
    """Yield what each job came to, in order, and say how far it is."""
    if processes == 1:
        yield from (play(*job) for job in jobs)
        return
    with concurrent.futures.ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for number, result in enumerate(pool.map(play, *zip(*jobs, strict=True)), 1):
            yield result
            if number % 10 == 0:
                print(f"{number}/{len(jobs)} {what}", file=sys.stderr)


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


def show_deeds(staged: list[Row]) -> None:
    """Print what weight notices of frauds, and of honest acts that look like them."""
    print(f"\n  {'staged one by one':<52}{'n':>5}{'caught %':>10}{'though the thief lies %':>25}{'accused %':>11}")
    for row in staged:
        name = f"{row.number:>2} {row.name}"
        if row.honest:
            by_rule = "   by rule: staff see heavy bags" if row.name in BY_RULE else ""
            print(f"  {name:<52}{row.staged:>5}{'':>10}{'':>25}{row.pct:>11.1f}{by_rule}")
        else:
            unseen = "" if row.visible else "              weight cannot see it"
            print(f"  {name:<52}{row.staged:>5}{row.pct:>10.1f}{row.lying_pct:>25.1f}{unseen}")
    print(f"  {'bar, where weight can see it':<52}{'':>5}{'>= 95':>10}{'':>25}{'<= 1':>11}")
