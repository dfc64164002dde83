"""Live tags, goods that weigh too much, and what staff decide about them at an exit lane."""

import asyncio
from pathlib import Path

import pytest

from cart_protocol.mass import Mass, grams
from edge_agent.core.events import IncidentRaised, IncidentResolved, LaneChecked, LaneReleased, TokenBurned
from edge_agent.core.exit_weighing import PATIENCE_S
from edge_agent.core.lane_sequence import LaneState
from edge_agent.core.refusals import StaffRefusedError
from edge_agent.ports import EasSignal, LampColour
from tests.edge_agent.lane_bay import HOLD_S, STAFF, TWO_MILKS, Bay, lane_story, recorded, token_of
from tests.edge_agent.shop_floor import ShopFloor


def test_an_honest_basket_that_weighs_too_much_is_let_through_by_staff_and_burns_its_token_once(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        opened: list[bool] = []
        floor.agent.recorder.listen(
            lambda facts: opened.extend(bay.gate.is_open for fact in facts if isinstance(fact.event, LaneReleased))
        )
        token = token_of(floor)
        await bay.come(token.text, Mass(TWO_MILKS + grams(80)), wait_s=1 + PATIENCE_S)
        assert floor.agent.counter.console().incidents[0].may_let_through
        await bay.let_through()
        assert (bay.state, bay.gate.is_open, bay.pad.live) == (LaneState.PASSED, True, True)
        assert (bay.lamp.colour, bay.tone.on, bay.lane.card().cause) == (LampColour.GREEN, False, "")
        assert bay.lane.card().said == "Thank you for waiting. Please go through."
        assert opened == [False], "on the disk before the barrier opens"
        (release,) = recorded(floor, LaneReleased)
        assert (release.staff, release.reason, release.order, release.token) == (
            STAFF, "let-through", token.order, token.token,
        )  # fmt: skip
        card = floor.agent.counter.console().incidents[0]
        assert (card.resolved_by, card.let_through, card.may_let_through) == (STAFF, True, False)
        await bay.let_through()  # a second tap on a stale page
        await bay.signal(EasSignal.PASSED)
        await bay.signal(EasSignal.PASSED)
        assert (bay.state, bay.shut) == (LaneState.IDLE, True)
        assert [burned.token for burned in recorded(floor, TokenBurned)] == [token.token]
        assert len(recorded(floor, LaneReleased)) == 1

    lane_story(tmp_path, story)


def test_who_was_let_through_and_did_not_go_is_weighed_again(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await bay.come(token_of(floor).text, grams(1_030), wait_s=1 + PATIENCE_S)
        await bay.let_through()
        await asyncio.sleep(HOLD_S)
        assert (bay.state, bay.shut, token_of(floor).burned_at) == (LaneState.IDLE, True, None)
        await bay.come(token_of(floor).text, grams(1_030), wait_s=1 + PATIENCE_S)
        assert bay.state is LaneState.FAILED
        await bay.let_through()
        await bay.signal(EasSignal.PASSED)
        assert token_of(floor).burned_at == "lane-2"

    lane_story(tmp_path, story)


def test_dismissing_a_weight_alarm_keeps_the_gate_shut_and_the_token_whole(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await bay.come(token_of(floor).text, grams(1_030), wait_s=1 + PATIENCE_S)
        await bay.resolve()
        assert (bay.state, bay.shut, bay.gate.openings) == (LaneState.IDLE, True, 0)
        assert [release.reason for release in recorded(floor, LaneReleased)] == ["resolved"]
        with pytest.raises(StaffRefusedError, match="scan the exit code again"):
            await bay.let_through()
        await bay.come(token_of(floor).text, TWO_MILKS)
        assert bay.state is LaneState.PASSED

    lane_story(tmp_path, story)


def test_after_a_live_tag_the_goods_come_first_and_nobody_is_let_through(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await bay.come(token_of(floor).text, grams(1_030), wait_s=1 + PATIENCE_S)
        weight = floor.agent.counter.console().incidents[0].incident
        await bay.signal(EasSignal.TAG_ALARM)
        assert not any(card.may_let_through for card in floor.agent.counter.console().incidents)
        for incident in (weight, floor.agent.counter.console().incidents[0].incident):
            with pytest.raises(StaffRefusedError, match="live tag"):
                await floor.agent.counter.resolve(incident, STAFF, let_through=True)
        assert (bay.state, bay.gate.openings) == (LaneState.TAG_ALARM, 0)

    lane_story(tmp_path, story)


def test_a_live_tag_seen_while_a_let_through_is_being_recorded_keeps_the_gate_shut(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await bay.come(token_of(floor).text, grams(1_030), wait_s=1 + PATIENCE_S)
        floor.agent.recorder.listen(
            lambda facts: [
                bay.lane._signalled(EasSignal.TAG_ALARM) for fact in facts if isinstance(fact.event, LaneReleased)
            ] and None
        )  # fmt: skip
        await bay.let_through()
        assert (bay.state, bay.gate.openings, bay.pad.live) == (LaneState.TAG_ALARM, 0, False)

    lane_story(tmp_path, story)


@pytest.mark.parametrize("let_through", [False, True], ids=["dismissed", "let through"])
def test_what_staff_says_of_a_weight_never_ends_a_tag_alarm_that_came_first(tmp_path: Path, let_through: bool) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await bay.come(token_of(floor).text, grams(1_030), wait_s=1 + PATIENCE_S)
        floor.agent.recorder._listeners.insert(
            0,
            lambda facts: [
                bay.lane._signalled(EasSignal.TAG_ALARM) for fact in facts if isinstance(fact.event, IncidentResolved)
            ] and None,
        )  # fmt: skip
        incident = floor.agent.counter.console().incidents[0].incident
        await floor.agent.counter.resolve(incident, STAFF, let_through=let_through)
        await asyncio.sleep(0.1)
        assert (bay.state, bay.tone.on, bay.gate.openings) == (LaneState.TAG_ALARM, True, 0)

    lane_story(tmp_path, story)


@pytest.mark.parametrize("scanned", [False, True], ids=["with no order", "with a paid one"])
def test_a_live_tag_shuts_the_gate_and_stays_an_alarm_until_staff_comes(tmp_path: Path, scanned: bool) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        if scanned:
            await bay.come(token_of(floor).text, TWO_MILKS)
        await bay.signal(EasSignal.TAG_ALARM)
        await bay.signal(EasSignal.TAG_ALARM)
        assert (bay.state, bay.shut) == (LaneState.TAG_ALARM, True)
        assert (bay.lamp.colour, bay.tone.on) == (LampColour.RED, True)
        (incident,) = recorded(floor, IncidentRaised)
        assert incident.cause == "unpaid-goods"
        await bay.come(token_of(floor).text, TWO_MILKS)
        assert bay.state is LaneState.TAG_ALARM
        await bay.resolve()
        assert (bay.state, bay.lamp.colour, bay.tone.on) == (LaneState.IDLE, LampColour.OFF, False)
        assert [(release.lane, release.staff) for release in recorded(floor, LaneReleased)] == [("lane-2", STAFF)]
        await asyncio.sleep(3)
        assert any("unpaid goods" in sentence for sentence in bay.voice.said)
        assert token_of(floor).burned_at is None

    lane_story(tmp_path, story)


def test_a_tag_seen_while_the_pass_is_being_recorded_keeps_the_gate_shut(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await bay.come(token_of(floor).text, Mass(0))
        floor.agent.recorder.listen(
            lambda facts: [
                bay.lane._signalled(EasSignal.TAG_ALARM) for fact in facts if isinstance(fact.event, LaneChecked)
            ] and None
        )  # fmt: skip
        bay.scale.load = TWO_MILKS
        await asyncio.sleep(2)
        assert (bay.state, bay.gate.openings, bay.pad.live) == (LaneState.TAG_ALARM, 0, False)

    lane_story(tmp_path, story)


def test_staff_resolving_something_else_does_not_release_the_lane(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        other = Bay(floor, "lane-3")
        await asyncio.sleep(0.1)
        await other.signal(EasSignal.TAG_ALARM)
        await bay.signal(EasSignal.TAG_ALARM)
        (mine,) = [event for event in recorded(floor, IncidentRaised) if event.lane == "lane-3"]
        await floor.agent.counter.resolve(mine.incident, STAFF)
        await asyncio.sleep(0.1)
        assert (other.state, bay.state) == (LaneState.IDLE, LaneState.TAG_ALARM)
        await other.stop()

    lane_story(tmp_path, story)


def test_an_alarm_stands_above_a_lost_device_and_the_lane_is_out_of_order_afterwards(tmp_path: Path) -> None:
    async def story(_: ShopFloor, bay: Bay) -> None:
        await bay.signal(EasSignal.TAG_ALARM)
        bay.scale.broken = "scale: unplugged"
        await asyncio.sleep(3)
        assert (bay.state, bay.tone.on) == (LaneState.TAG_ALARM, True)
        await bay.resolve()
        assert bay.state is LaneState.OUT_OF_ORDER

    lane_story(tmp_path, story)


def test_who_forces_the_gate_during_an_alarm_is_recorded(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await bay.come(token_of(floor).text, grams(5_000))
        await bay.signal(EasSignal.PASSED)
        assert [event.cause for event in recorded(floor, IncidentRaised)] == ["not-scanned", "barged-through"]
        assert (bay.state, token_of(floor).burned_at) == (LaneState.FAILED, None)

    lane_story(tmp_path, story)


def test_somebody_passing_an_idle_lane_is_counted_and_accused_of_nothing(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await bay.signal(EasSignal.PASSED)
        assert (bay.state, sum(bay.lane.refused.values())) == (LaneState.IDLE, 1)
        assert not recorded(floor, IncidentRaised)

    lane_story(tmp_path, story)
