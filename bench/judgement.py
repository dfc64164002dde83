"""Judging a detector of steps by what people really did.

A step matches an action when it says its mass to 10 g or 4 %, within 14 s. Goods put down together, or while nothing
was quiet, arrive as one step: "matched" counts those too, where one step is the sum of up to three actions in a row or
up to three steps within 3 s add up to one ("alone" does not). Steps that match nothing are unexplained, unless the
detector took them back itself. The total is looked at while the cart stands and nobody has touched it for two seconds.
"""

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import msgspec

from bench.detectors import Found, Outcome
from sim.trips import Action, Situation, Trip

_HORIZON_S = 14.0
_HELD_S = 3.0
_TOGETHER = 3
_TOLERANCE_MG, _TOLERANCE = 10_000, 0.04
_UNTOUCHED_S = 2.0


_ADDED = ("minutes", "trips", "suspected", "actions", "matched", "alone", "unexplained", "cpu_s",
          "errors_mg", "latencies_s", "totals_mg")  # fmt: skip
_COUNTED = ("of", "matched_of")


class Match(msgspec.Struct, frozen=True):
    actions: tuple[int, ...]
    steps: tuple[int, ...]


class Score(msgspec.Struct):
    """What one detector did; scores of several trips add up."""

    minutes: float = 0.0
    trips: int = 1
    suspected: int = 0
    """Trips in which the detector doubted its cell."""
    actions: int = 0
    matched: int = 0
    alone: int = 0
    unexplained: int = 0
    cpu_s: float = 0.0
    errors_mg: list[float] = []
    latencies_s: list[float] = []
    totals_mg: list[float] = []
    of: Counter[str] = msgspec.field(default_factory=Counter)
    matched_of: Counter[str] = msgspec.field(default_factory=Counter)
    latencies_of: dict[str, list[float]] = msgspec.field(default_factory=lambda: defaultdict(list))

    def add(self, other: "Score") -> None:
        for name in _ADDED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _COUNTED:
            getattr(self, name).update(getattr(other, name))
        for situation, latencies in other.latencies_of.items():
            self.latencies_of[situation] += latencies


def judge(played: Trip, outcome: Outcome) -> Score:
    """Compare what a detector found with what was done."""
    actions, found = played.truth.actions, outcome.found
    matches = match(actions, found)
    score = Score(minutes=played.seconds / 60, actions=len(actions), cpu_s=outcome.cpu_s, errors_mg=[])
    score.latencies_s, score.totals_mg = [], _total_errors(played, outcome)
    score.suspected = outcome.suspected_s is not None
    score.of.update(action.situation for action in actions)
    for each in matches:
        last_s = found[each.steps[-1]].at_s
        score.matched += len(each.actions)
        score.alone += len(each.actions) == len(each.steps) == 1
        true_mg = sum(actions[place].mass_mg for place in each.actions)
        score.errors_mg.append(abs(sum(found[place].mass_mg for place in each.steps) - true_mg))
        for place in each.actions:
            score.matched_of[actions[place].situation] += 1
            score.latencies_s.append(last_s - actions[place].at_s)
            score.latencies_of[actions[place].situation].append(last_s - actions[place].at_s)
    used = {place for each in matches for place in each.steps}
    score.unexplained = sum(not step.undone for place, step in enumerate(found) if place not in used)
    return score


def match(actions: list[Action], found: list[Found]) -> list[Match]:
    """Match steps to actions, in the order of the steps: one to one first, then sums; each is used once."""
    matches = list[Match]()
    open_actions, open_steps = list(range(len(actions))), list[int]()
    for place in range(len(found)):
        open_steps = [old for old in open_steps if found[place].at_s - found[old].at_s <= _HELD_S]
        open_steps.append(place)
        if each := _best(actions, found, open_actions, open_steps):
            matches.append(each)
            open_actions = [old for old in open_actions if old not in each.actions]
            open_steps = [old for old in open_steps if old not in each.steps]
    return matches


def _best(actions: list[Action], found: list[Found], open_actions: list[int], open_steps: list[int]) -> Match | None:
    newest = found[open_steps[-1]].at_s
    near = [place for place in open_actions if -0.2 <= newest - actions[place].at_s <= _HORIZON_S]
    for steps in (tuple(open_steps[-count:]) for count in range(1, min(_TOGETHER, len(open_steps)) + 1)):
        seen = sum(found[place].mass_mg for place in steps)
        for group in _groups(near, 1 if len(steps) > 1 else _TOGETHER):
            true = sum(actions[place].mass_mg for place in group)
            if abs(seen - true) <= max(_TOLERANCE_MG, _TOLERANCE * abs(true)):
                return Match(group, steps)
    return None


def _groups(near: list[int], most: int) -> list[tuple[int, ...]]:
    """Return runs of actions that follow each other, single ones first, the newest first."""
    runs = []
    for length in range(1, most + 1):
        for first in range(len(near) - length, -1, -1):
            run = near[first : first + length]
            if all(later - earlier == 1 for earlier, later in pairwise(run)):
                runs.append(tuple(run))
    return runs


def _total_errors(played: Trip, outcome: Outcome) -> list[float]:
    """Return by how much the detector's total was wrong, once a second while everything was settled."""
    errors, last = [], -1.0
    for at_s, total_mg, _ in outcome.levels:
        if at_s - last >= 1.0 and _untouched(played, at_s):
            last = at_s
            errors.append(abs(total_mg - played.truth.total_mg(at_s)))
    return errors


def _untouched(played: Trip, at_s: float) -> bool:
    standing = any(not phase.rolls and phase.from_s + _UNTOUCHED_S <= at_s <= phase.until_s for phase in played.phases)
    return standing and not any(from_s - 0.1 <= at_s <= until_s + _UNTOUCHED_S for from_s, until_s in played.handled)


def figures(score: Score) -> dict[str, Any]:
    """Return a score as numbers to print."""
    return {
        "trips": score.trips,
        "cells_doubted": score.suspected,
        "actions": score.actions,
        "matched_pct": 100 * score.matched / score.actions,
        "alone_pct": 100 * score.alone / score.actions,
        "unexplained_per_min": score.unexplained / score.minutes,
        "error_p50_g": _at(score.errors_mg, 0.5) / 1_000,
        "error_p95_g": _at(score.errors_mg, 0.95) / 1_000,
        "total_p50_g": _at(score.totals_mg, 0.5) / 1_000,
        "total_p95_g": _at(score.totals_mg, 0.95) / 1_000,
        "latency_p50_s": _at(score.latencies_s, 0.5),
        "latency_p95_s": _at(score.latencies_s, 0.95),
        "cpu_pct": 100 * score.cpu_s / (score.minutes * 60),
        "situations": {
            situation.value: {
                "actions": score.of[situation],
                "matched_pct": 100 * score.matched_of[situation] / score.of[situation],
                "latency_p50_s": _at(score.latencies_of[situation], 0.5),
                "latency_p95_s": _at(score.latencies_of[situation], 0.95),
            }
            for situation in Situation
            if score.of[situation]
        },
    }


def _at(values: list[float], share: float) -> float:
    """Return the quantile, 0 where there is nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
