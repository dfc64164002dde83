"""Many seeds on all processors, with progress; then what struck, what was checked, and any failure, shrunk."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from itertools import islice

from rich.console import Console

from cart_protocol.host.clock import HostClock
from sim.scoreboard import table
from sim.stage.day import DayPlan, stage_day
from sim.stage.faults import plan_faults
from sim.stage.play import Played, command, counted, play, shrink

_CHUNK = 5
"""Seeds that a process plays before it reports."""
_PROGRESS_S = 10.0
_FAILURES_SHRUNK = 3


def run_day(*, trips: int, carts: int, seed: int) -> int:
    """Stage one fair day with pixels and chips and print how it went; return the exit status."""
    console = Console()
    day = stage_day(DayPlan(seed=seed, trips=trips, carts=carts, whole=True))
    for note in day.tally.notes:
        console.print(f"  note: {note}", highlight=False, markup=False)
    rows = [
        (f"{'✓' if check.holds else '✗'} {check.name}", f"{check.seen} (wanted: {check.wanted})")
        for check in day.checks
    ]
    rows += [("mirrors agree", str(day.mirrors_agree)), ("promises checked", f"{day.promises_kept}, all kept")]
    if day.violation:
        rows.append(("✗ broken promise", day.violation))
    console.print(table("Verdict", rows))
    return 0 if day.good else 1


def run_seed(*, seed: int, trips: int, faults: str, whole: bool = False) -> int:
    """Play one seed's day with its faults ('all', 'none' or numbers with commas) and print the trace if it fails."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    numbers = {"all": None, "none": []}.get(faults) if faults in {"all", "none"} else _numbers(faults)
    for fault in plan_faults(seed):
        if numbers is None or fault.number in numbers:
            console.print(f"  {fault}")
    day = play(seed, trips, numbers, whole=whole)
    console.print(
        f"{day.finished} of {trips} trips ended, {day.orders_paid} orders paid, {day.promises} promises checked"
    )
    console.print(f"digest {day.digest}")
    if day.failure is None:
        console.print("every promise was kept")
        return 0
    _print_failure(console, day)
    return 1


def run_season(*, first: int, seeds: int, trips: int, jobs: int, whole: bool = False) -> int:
    """Play `seeds` days with faults and print what struck and what broke; return the exit status."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # progress is to be seen in a file too
    console = Console(highlight=False, markup=False, soft_wrap=True)
    clock = HostClock()
    began_us = printed_us = clock.monotonic_us()
    days: list[Played] = []
    for played in _played(first, seeds, trips, jobs, whole=whole):
        days += played
        now_us = clock.monotonic_us()
        if now_us - printed_us >= _PROGRESS_S * 1e6:
            printed_us = now_us
            failed = sum(day.failure is not None for day in days)
            console.print(
                f"{(now_us - began_us) / 1e6:7.0f} s  {len(days)} of {seeds} days, {sum(d.trips for d in days)} trips, "
                f"{failed} failed"
            )
    _print_season(console, days, (clock.monotonic_us() - began_us) / 1e6)
    failed_days = [day for day in days if day.failure is not None]
    for day in failed_days[:_FAILURES_SHRUNK]:
        console.print(f"\nseed {day.seed}: {day.failure}\nshrinking …")
        worst, faults = shrink(day.seed, day.trips, partial(play, whole=whole))
        for fault in faults:
            console.print(f"  {fault}")
        _print_failure(console, worst)
        console.print(f"again: {command(worst.seed, worst.trips, faults)}{' --whole' if whole else ''}")
    return 1 if failed_days else 0


def _played(first: int, seeds: int, trips: int, jobs: int, *, whole: bool) -> Iterator[list[Played]]:
    chunks = (range(start, min(start + _CHUNK, first + seeds)) for start in range(first, first + seeds, _CHUNK))
    if jobs == 1:
        for chunk in chunks:
            yield _play_chunk(chunk, trips, whole=whole)
        return
    with ProcessPoolExecutor(jobs) as pool:
        waiting = {pool.submit(_play_chunk, chunk, trips, whole=whole) for chunk in islice(chunks, 2 * jobs)}
        while waiting:
            done = next(as_completed(waiting))
            waiting.remove(done)
            waiting |= {pool.submit(_play_chunk, chunk, trips, whole=whole) for chunk in islice(chunks, 1)}
            yield done.result()


def _play_chunk(chunk: range, trips: int, *, whole: bool) -> list[Played]:
    return [play(seed, trips, whole=whole) for seed in chunk]


def _print_season(console: Console, days: list[Played], took_s: float) -> None:
    console.print(table("Faults that struck", [(str(kind), count) for kind, count in counted(days).items()]))
    rows = [
        ("days (seeds)", len(days)),
        ("trips", f"{sum(day.trips for day in days)} planned, {sum(day.finished for day in days)} ended"),
        ("orders paid", sum(day.orders_paid for day in days)),
        ("cart events recorded", sum(day.events for day in days)),
        ("programs and machines that died", sum(day.deaths for day in days)),
        ("shoppers forgotten", sum(day.forgotten for day in days)),
        ("promises checked", sum(day.promises for day in days)),
        ("days that failed", sum(day.failure is not None for day in days)),
        ("time", f"{took_s:.0f} s"),
    ]
    console.print(table("Season", rows))


def _print_failure(console: Console, day: Played) -> None:
    console.print(f"BROKEN: {day.failure}", style="red")
    for line in day.trace:
        console.print(f"  {line}")


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise SystemExit(f"cart-sim: --faults {text!r}: give 'all', 'none' or numbers such as 3,7") from None


def with_fixed_hashes() -> None:
    """Start this program again with fixed string hashes, if they are not: the order of sets is part of a day."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        os.execve(sys.executable, [sys.executable, "-m", "sim", *sys.argv[1:]], environment)  # noqa: S606
