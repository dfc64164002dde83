"""The bench on trips judges as it says: detectors that are right, late, wrong, or take back what they said."""

import msgspec
import pytest

from bench import trips
from bench.baskets import Bill, bill
from bench.deeds import BY_RULE, INVISIBLE, rows
from bench.detectors import Found, Level, Outcome
from bench.judgement import figures, judge, match
from bench.trips import BARS, OURS, measure
from sim.trips import Action, Kind, Settings, Situation, Trip, trip
from sim.trips.deeds import PLAYS

SETTINGS = Settings(minutes=5.0)


def action(at_s: float, grams: float) -> Action:
    return Action(
        began_s=at_s, at_s=at_s, mass_mg=round(grams * 1_000), kind=Kind.ADD, situation=Situation.STANDING, product=1
    )


def found(at_s: float, grams: float) -> Found:
    return Found(at_s, grams * 1_000, 1_500)


def test_a_detector_that_knows_the_truth_is_perfect() -> None:
    played = trip(1, SETTINGS)
    truth = played.truth
    told = [Found(each.at_s + 0.5, each.mass_mg, 1_000) for each in truth.actions]
    totals = [Level(second / 2, float(truth.total_mg(second / 2))) for second in range(600)]
    score = figures(judge(played, Outcome(told, totals, 0.0)))
    assert (score["matched_pct"], score["unexplained_per_min"], score["total_p95_g"]) == (100, 0, 0)
    assert score["latency_p50_s"] == pytest.approx(0.5)


def test_a_detector_that_sees_nothing_matches_nothing_and_its_total_is_wrong() -> None:
    played = trip(1, SETTINGS)
    score = figures(judge(played, Outcome([], [Level(second / 2, 0.0) for second in range(600)], 0.0)))
    assert (score["matched_pct"], score["unexplained_per_min"]) == (0, 0)
    assert score["total_p95_g"] > 500


def test_steps_that_nobody_made_are_unexplained_unless_the_detector_takes_them_back() -> None:
    played = trip(1, SETTINGS)
    told = [Found(each.at_s + 0.5, each.mass_mg, 1_000) for each in played.truth.actions]
    lies = [Found(10.0 + number, 7_777_000, 1_000, undone=number % 2 == 0) for number in range(4)]
    score = judge(played, Outcome(sorted(told + lies, key=lambda each: each.at_s), [], 0.0))
    assert score.unexplained == 2


def test_goods_put_down_together_are_matched_by_one_step_and_one_thing_by_two() -> None:
    together = match([action(10, 300), action(10.3, 450)], [found(11, 750)])
    assert [(each.actions, each.steps) for each in together] == [((0, 1), (0,))]
    halves = match([action(10, 750)], [found(10.5, 400), found(11, 350)])
    assert [(each.actions, each.steps) for each in halves] == [((0,), (0, 1))]


@pytest.mark.parametrize("seen", [found(9.7, 300), found(24.1, 300), found(11, 287), found(11, -300), found(11, 600)])
def test_too_early_too_late_and_wrong_are_no_match(seen: Found) -> None:
    assert match([action(10, 300)], [seen]) == []


def test_each_action_and_each_step_is_used_once() -> None:
    same = [action(10 + number, 300) for number in range(3)]
    matches = match(same, [found(10.5 + number, 300) for number in range(5)])
    assert sorted(place for each in matches for place in each.actions) == [0, 1, 2]


def told(played: Trip) -> Outcome:
    """A detector that knows the truth, a second late."""
    truth = played.truth
    found = [Found(each.at_s + 1, each.mass_mg, 800, level_mg=truth.total_mg(each.at_s)) for each in truth.actions]
    levels = [Level(second / 2, truth.total_mg(second / 2 - 1)) for second in range(round(2 * played.seconds))]
    return Outcome(found, levels, 0.0)


def test_with_the_truth_for_steps_the_list_is_right_and_questions_are_few() -> None:
    played = trip(1, Settings(frauds=False))
    made = bill(played, told(played))
    assert (made.wrong, made.missed) == (0, 0)
    assert 20 * made.prompts <= 2 * made.actions


def test_steps_that_lie_make_wrong_lists_and_steps_that_are_missing_leave_goods_out() -> None:
    played = trip(1, Settings(minutes=3.0, frauds=False))
    outcome = told(played)
    halved = Outcome([msgspec.structs.replace(each, mass_mg=each.mass_mg / 2) for each in outcome.found], [], 0.0)
    assert bill(played, halved).prompts > bill(played, outcome).prompts
    silent = bill(played, Outcome([], outcome.levels, 0.0))
    assert silent.missed > silent.actions / 2
    swapped = list(outcome.found)
    first, second = swapped[0], swapped[1]
    swapped[:2] = [
        msgspec.structs.replace(first, mass_mg=second.mass_mg),
        msgspec.structs.replace(second, mass_mg=first.mass_mg),
    ]
    assert bill(played, Outcome(swapped, outcome.levels, 0.0)).prompts > 0


def test_our_weigher_keeps_the_bars_and_the_simple_rules_are_worse(capsys: pytest.CaptureFixture[str]) -> None:
    scores = measure(60, seed=11)
    ours = figures(scores[OURS])
    assert ours["matched_pct"] >= BARS["matched_pct"] - 1  # of an hour, 1 % are three actions
    assert ours["unexplained_per_min"] <= BARS["unexplained_per_min"]
    assert ours["total_p95_g"] <= BARS["total_p95_g"]
    assert ours["latency_p50_s"] <= BARS["latency_p50_s"]
    median, quiet = figures(scores["median + threshold"]), figures(scores["quiet window alone"])
    assert median["unexplained_per_min"] > 50
    assert quiet["unexplained_per_min"] > 2 * ours["unexplained_per_min"]
    away = measure(10, 11, Settings(runs_away_g_per_min=12))[OURS]
    assert (scores[OURS].suspected, away.suspected) == (0, 1)
    trips.show(scores, away)
    assert "floor joints" in capsys.readouterr().out


def test_the_list_keeps_the_bars_and_a_simple_rule_asks_far_more(capsys: pytest.CaptureFixture[str]) -> None:
    rules = trips.shop(2, 11, Settings(frauds=False))
    ours = Bill()
    for number in range(1, 7):  # an hour in which no rule is played
        ours.add(trips.shop_one(11 * 1_000_003 + number, Settings(frauds=False))[OURS])
    assert ours.wrong <= 1
    assert ours.rates()["prompts_per_20"] <= 1.5  # of an hour
    assert rules["median + threshold"].rates()["prompts_per_20"] > 5 * ours.rates()["prompts_per_20"]
    trips.show_lists(rules)
    assert "honest trips" in capsys.readouterr().out


def test_staged_frauds_are_caught_and_what_looks_like_them_is_not_accused(capsys: pytest.CaptureFixture[str]) -> None:
    staged = [row for play in PLAYS for row in rows(play, 4, seed=3)]
    visible = [row for row in staged if row.visible and not row.honest]
    assert sum(row.noticed for row in visible) >= 0.95 * sum(row.staged for row in visible)
    assert not any(row.noticed for row in staged if row.honest and row.name not in BY_RULE)
    assert not any(row.noticed for row in staged if row.name in INVISIBLE[1:])
    trips.show_deeds(staged)
    assert "weight cannot see it" in capsys.readouterr().out
