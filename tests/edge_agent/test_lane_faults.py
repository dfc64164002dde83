"""An exit lane whose devices, disk or program fail: it stays shut, and forgets nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from cart_protocol.ids import CartId
from cart_protocol.mass import grams
from edge_agent.core.events import Fact, IncidentRaised, LaneChecked
from edge_agent.core.exit_weighing import PATIENCE_S
from edge_agent.core.lane_sequence import LaneState
from edge_agent.core.refusals import StaffRefusedError
from edge_agent.ports import EasSignal, Journal, JournalFullError, LampColour
from edge_agent.services.record import RecorderStoppedError
from tests.edge_agent.lane_bay import STAFF, TWO_MILKS, Bay, lane_story, recorded, token_of
from tests.edge_agent.shop_floor import ShopFloor, play


def test_a_lane_that_lost_a_device_lets_nobody_through(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await bay.come(token_of(floor).text, grams(1_030), wait_s=1 + PATIENCE_S)
        weight = floor.agent.counter.console().incidents[0].incident
        bay.scale.broken = "scale: unplugged"
        await asyncio.sleep(3)
        with pytest.raises(StaffRefusedError, match="another lane"):
            await floor.agent.counter.resolve(weight, STAFF, let_through=True)
        assert (bay.state, bay.gate.openings) == (LaneState.FAILED, 0)

    lane_story(tmp_path, story)


def test_after_a_restart_nobody_waits_so_the_shopper_scans_again(tmp_path: Path) -> None:
    async def whole(floor: ShopFloor) -> None:
        await floor.paid()
        await floor.quiet(0.5)
        bay = Bay(floor)
        await bay.come(token_of(floor).text, grams(1_030), wait_s=1 + PATIENCE_S)
        await bay.stop()
        await floor.restart()
        again = Bay(floor)
        (card,) = floor.agent.counter.console().incidents
        assert (card.resolved_by, card.may_let_through) == ("", False)
        with pytest.raises(StaffRefusedError, match="ask the shopper to scan the exit code again"):
            await again.let_through()
        await again.come(token_of(floor).text, grams(1_030), wait_s=1 + PATIENCE_S)
        await again.let_through()  # the same alarm, which is still open, and now somebody waits
        await again.signal(EasSignal.PASSED)
        assert token_of(floor).burned_at == "lane-2"
        await again.stop()

    play(tmp_path, whole)


def test_an_unplugged_scale_takes_the_lane_out_of_order_until_it_answers_again(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await bay.come(token_of(floor).text, TWO_MILKS)
        assert bay.state is LaneState.PASSED
        bay.scale.broken = "scale: unplugged"
        await asyncio.sleep(2)
        assert (bay.state, bay.shut, bay.lamp.colour) == (LaneState.OUT_OF_ORDER, True, LampColour.AMBER)
        assert bay.lane.card().cause == "scale: scale: unplugged"
        (incident,) = recorded(floor, IncidentRaised)
        assert (incident.cause, incident.evidence) == ("out-of-order", ("scale: scale: unplugged",))
        await bay.scan("anything")
        assert bay.voice.said[-1] == "This lane is out of order. Please use another one."
        bay.scale.broken = ""
        await asyncio.sleep(11)
        assert (bay.state, bay.lamp.colour) == (LaneState.IDLE, LampColour.OFF)
        await bay.come(token_of(floor).text, TWO_MILKS)
        assert bay.state is LaneState.PASSED

    lane_story(tmp_path, story)


def test_one_missed_answer_of_the_scale_is_no_fault(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await asyncio.sleep(0.1)
        bay.scale.broken = "scale: silent"
        await asyncio.sleep(0.6)
        bay.scale.broken = ""
        await asyncio.sleep(2)
        assert bay.state is LaneState.IDLE
        assert not recorded(floor, IncidentRaised)

    lane_story(tmp_path, story)


def test_an_unplugged_scanner_is_back_once_it_has_been_quiet_for_a_while(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await asyncio.sleep(0.1)
        bay.scanner.unplug()
        await asyncio.sleep(1)
        assert bay.state is LaneState.OUT_OF_ORDER
        bay.scanner.broken = ""
        await asyncio.sleep(12)
        assert bay.state is LaneState.IDLE
        await bay.come(token_of(floor).text, TWO_MILKS)
        assert bay.state is LaneState.PASSED

    lane_story(tmp_path, story)


@pytest.mark.parametrize("part", ["pad", "gate"])
def test_an_output_that_fails_while_letting_through_shuts_the_lane(tmp_path: Path, part: str) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        getattr(bay, part).broken = "relay: no answer"
        await bay.come(token_of(floor).text, TWO_MILKS)
        assert (bay.state, bay.shut) == (LaneState.OUT_OF_ORDER, True)
        getattr(bay, part).broken = ""
        await asyncio.sleep(6)
        assert bay.state is LaneState.IDLE
        assert token_of(floor).burned_at is None

    lane_story(tmp_path, story)


def test_a_lane_without_a_voice_goes_on(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        bay.voice.broken = "speaker: no sound card"
        await bay.come(token_of(floor).text, TWO_MILKS)
        assert (bay.state, bay.lane.voice.unspoken) == (LaneState.PASSED, 2)

    lane_story(tmp_path, story)


def test_a_stopped_lane_is_shut(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await bay.come(token_of(floor).text, TWO_MILKS)
        assert not bay.shut
        await bay.stop()
        assert bay.shut

    lane_story(tmp_path, story)


def test_a_journal_that_cannot_be_written_shuts_the_lane_and_ends_it(tmp_path: Path) -> None:
    async def whole(floor: ShopFloor) -> bool:
        await floor.paid()
        await floor.quiet(0.5)
        bay = Bay(floor)
        await bay.come(token_of(floor).text, TWO_MILKS)
        assert not bay.shut
        await floor.kill()
        await bay.signal(EasSignal.PASSED)
        with pytest.RaisesGroup(RecorderStoppedError):
            await bay.running
        shut = bay.shut
        await floor.open()
        assert token_of(floor).burned_at is None
        return shut

    assert play(tmp_path, whole)


def test_a_killed_agent_forgets_no_burned_token(tmp_path: Path) -> None:
    async def whole(floor: ShopFloor) -> None:
        await floor.paid()
        await floor.quiet(0.5)
        text = token_of(floor).text
        bay = Bay(floor)
        await bay.come(text, TWO_MILKS)
        await bay.signal(EasSignal.PASSED)
        await bay.stop()
        await floor.restart()
        again = Bay(floor)
        await again.come(text, TWO_MILKS)
        assert (again.state, again.lane.card().cause, again.gate.openings) == (LaneState.IDLE, "used", 0)
        await again.stop()

    play(tmp_path, whole)


class FullDisk:
    """The shop's journal with a disk that has no room while `full`."""

    full = True

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def append(self, facts: Sequence[Fact], positions: Mapping[CartId, tuple[int, int]]) -> int:
        if self.full:
            raise JournalFullError("no room")
        return self._journal.append(facts, positions)


def test_a_lane_that_waits_for_the_disk_stays_shut_keeps_a_bounded_number_of_codes_and_every_alarm(
    tmp_path: Path,
) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        recorder = floor.agent.recorder
        disk = FullDisk(recorder._journal)
        recorder._journal = disk  # type: ignore[assignment]  # an append is all that is asked of it here
        await bay.come(token_of(floor).text, TWO_MILKS)
        assert recorder.full
        assert bay.shut, "the check is not on the disk"
        for number in range(300):
            await bay.scan(f"9{number:05d}-0", 0.01)
        assert bay.lane.refused["too-many"] >= 300 - 64
        await bay.signal(EasSignal.TAG_ALARM)
        disk.full = False
        await asyncio.sleep(30)
        assert bay.state is LaneState.TAG_ALARM
        assert bay.shut
        assert len(recorded(floor, LaneChecked)) == 1

    lane_story(tmp_path, story)
