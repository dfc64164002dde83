"""The lane's table: complete, and safe by construction."""

from itertools import product

import pytest

from edge_agent.core.lane_sequence import (
    PROTECTIVE,
    RECORDED,
    REFUSED,
    TABLE,
    Effect,
    LaneEvent,
    LaneState,
    step,
)

PAIRS = list(product(LaneState, LaneEvent))
ALARMS = {LaneState.FAILED, LaneState.TAG_ALARM}


def test_every_pair_is_listed_or_refused_by_name_and_never_both() -> None:
    assert {*TABLE, *REFUSED} == set(PAIRS)
    assert not set(TABLE) & set(REFUSED)
    assert all(REFUSED.values())


def test_an_honest_shopper_walks_the_table_through() -> None:
    state, done = LaneState.IDLE, []
    for event in (LaneEvent.CODE_READ, LaneEvent.ORDER_ACCEPTED, LaneEvent.WEIGHT_PASSED, LaneEvent.PASSAGE):
        outcome = step(state, event)
        state, done = outcome.state, done + list(outcome.effects)
    assert state is LaneState.IDLE
    assert done.index(Effect.RECORD_CHECK) < done.index(Effect.ENABLE_DEACTIVATOR) < done.index(Effect.BURN)


def test_the_deactivator_lives_and_the_barrier_opens_only_when_the_weight_passed_or_staff_let_through() -> None:
    for permissive in (Effect.ENABLE_DEACTIVATOR, Effect.OPEN_BARRIER):
        assert [pair for pair, outcome in TABLE.items() if permissive in outcome.effects] == [
            (LaneState.WEIGHING, LaneEvent.WEIGHT_PASSED),
            (LaneState.FAILED, LaneEvent.LET_THROUGH),
        ]


def test_who_is_let_through_is_recorded_before_the_lane_opens_and_leaves_as_everybody_does() -> None:
    outcome = step(LaneState.FAILED, LaneEvent.LET_THROUGH)
    assert outcome.state is LaneState.PASSED
    first, *later = [effect for effect in outcome.effects if effect not in PROTECTIVE]
    assert first is Effect.RECORD_LET_THROUGH
    assert {Effect.TONE_OFF, Effect.LAMP_GREEN, Effect.START_HOLD, Effect.SAY} <= set(later)
    assert Effect.FORGET_ORDER not in outcome.effects, "the passage burns its token"


@pytest.mark.parametrize("state", [state for state in LaneState if state is not LaneState.FAILED])
def test_nobody_is_let_through_but_the_stopped(state: LaneState) -> None:
    outcome = step(state, LaneEvent.LET_THROUGH)
    assert (outcome.state, outcome.effects) == (state, ())
    assert "the shopper scans again" in outcome.refused


@pytest.mark.parametrize("event", LaneEvent)
def test_whatever_leaves_passed_shuts_the_lane(event: LaneEvent) -> None:
    outcome = step(LaneState.PASSED, event)
    if outcome.state is not LaneState.PASSED:
        assert outcome.effects[:2] == (Effect.DISABLE_DEACTIVATOR, Effect.CLOSE_BARRIER)


def test_the_token_is_burned_by_passage_alone() -> None:
    assert [pair for pair, outcome in TABLE.items() if Effect.BURN in outcome.effects] == [
        (LaneState.PASSED, LaneEvent.PASSAGE)
    ]


@pytest.mark.parametrize("state", LaneState)
def test_a_live_tag_is_an_alarm_in_every_state(state: LaneState) -> None:
    outcome = step(state, LaneEvent.TAG_ALARM)
    assert outcome.state is LaneState.TAG_ALARM
    assert {Effect.CLOSE_BARRIER, Effect.LAMP_RED, Effect.TONE_ON, Effect.RAISE_UNPAID} <= set(outcome.effects)


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_no_failure_silences_an_alarm(state: LaneState, event: LaneEvent) -> None:
    outcome = step(state, event)
    if state in ALARMS and event not in {LaneEvent.RESOLVED, LaneEvent.LET_THROUGH, LaneEvent.CODE_READ}:
        assert outcome.state in ALARMS
        assert not {Effect.TONE_OFF, Effect.LAMP_OFF, Effect.LAMP_AMBER, Effect.LAMP_GREEN} & set(outcome.effects)


@pytest.mark.parametrize("pair", TABLE, ids=str)
def test_what_protects_comes_first_and_what_permits_only_after_the_record(pair: tuple[LaneState, LaneEvent]) -> None:
    effects = TABLE[pair].effects
    ranks = [0 if effect in PROTECTIVE else 1 if effect in RECORDED else 2 for effect in effects]
    assert ranks == sorted(ranks)


def test_only_staff_leaves_a_tag_alarm() -> None:
    ways_out = [event for event in LaneEvent if step(LaneState.TAG_ALARM, event).state is not LaneState.TAG_ALARM]
    assert ways_out == [LaneEvent.RESOLVED]


def test_a_refused_pair_changes_nothing_and_says_why() -> None:
    outcome = step(LaneState.PASSED, LaneEvent.CODE_READ)
    assert (outcome.state, outcome.effects) == (LaneState.PASSED, ())
    assert "next shopper waits" in outcome.refused
