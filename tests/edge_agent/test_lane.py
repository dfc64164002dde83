"""Who comes to an exit lane with which code and load, and whether it lets them through."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from cart_protocol.base45 import decode, encode
from cart_protocol.ids import LaneId, TokenId
from cart_protocol.mass import Mass, grams
from edge_agent.core.events import IncidentRaised, LaneChecked, TokenBurned
from edge_agent.core.exit_weighing import PATIENCE_S
from edge_agent.core.lane_sequence import LaneState
from edge_agent.ports import EasSignal, LampColour
from tests.edge_agent.lane_bay import HOLD_S, TWO_MILKS, Bay, lane_story, recorded, token_of
from tests.edge_agent.shop_floor import ALICE, BOB, ShopFloor, play


def test_a_paid_shopper_with_the_right_goods_is_let_through_once(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await bay.come(token_of(floor).text, TWO_MILKS)
        assert bay.state is LaneState.PASSED
        assert (bay.gate.is_open, bay.pad.live, bay.lamp.colour) == (True, True, LampColour.GREEN)
        card = bay.lane.card()
        assert (card.expected, card.measured, card.barrier_open) == ("2.060 kg", "2.060 kg", True)
        assert any("class III" in reason for reason in card.tolerance_reasons)
        await bay.signal(EasSignal.PASSED)
        assert (bay.state, bay.shut, bay.lamp.colour) == (LaneState.IDLE, True, LampColour.OFF)
        assert [check.verdict for check in recorded(floor, LaneChecked)] == ["passed"]
        assert [burned.lane for burned in recorded(floor, TokenBurned)] == ["lane-2"]
        await asyncio.sleep(2)
        assert [sentence[:6] for sentence in bay.voice.said] == ["Order ", "Thank ", "Goodby"]

    lane_story(tmp_path, story)


def test_the_check_is_on_the_disk_before_the_barrier_opens(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        seen: list[bool] = []
        floor.agent.recorder.listen(
            lambda facts: seen.extend(bay.gate.is_open for fact in facts if isinstance(fact.event, LaneChecked))
        )
        await bay.come(token_of(floor).text, TWO_MILKS)
        assert seen == [False]
        assert bay.gate.is_open

    lane_story(tmp_path, story)


def test_an_order_number_does_what_the_token_does_and_burns_it(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        number = floor.agent.counter.phone(ALICE).order_number
        assert number is not None
        await bay.come(number, TWO_MILKS)
        await bay.signal(EasSignal.PASSED)
        assert token_of(floor).burned_at == "lane-2"

    lane_story(tmp_path, story)


def test_a_code_that_let_somebody_out_lets_nobody_else_out(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        text = token_of(floor).text
        await bay.come(text, TWO_MILKS)
        await bay.signal(EasSignal.PASSED)
        await bay.come(text, TWO_MILKS)
        assert (bay.state, bay.shut, bay.lane.card().cause, bay.lamp.colour) == (
            LaneState.IDLE, True, "used", LampColour.RED,
        )  # fmt: skip
        assert bay.voice.said[-1] == "This exit code was used already."
        assert bay.gate.openings == 1

    lane_story(tmp_path, story)


def forged(text: str) -> str:
    token = bytearray(decode(text))
    token[-1] ^= 1
    return encode(bytes(token))


@pytest.mark.parametrize(
    ("change", "cause", "spoken"),
    [
        (forged, "forged", "This is no valid exit code."),
        (lambda _: "4006381333931", "unknown", "We do not know this code"),
        (lambda _: "https://shop.example/?x=1", "unknown", "We do not know this code"),
        (lambda text: text[:-3], "unknown", "We do not know this code"),
    ],
)
def test_a_code_that_is_none_opens_nothing_and_is_told_why(
    tmp_path: Path, change: Callable[[str], str], cause: str, spoken: str
) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await bay.come(change(token_of(floor).text), TWO_MILKS)
        assert (bay.state, bay.shut, bay.lane.card().cause) == (LaneState.IDLE, True, cause)
        assert bay.voice.said[-1].startswith(spoken)
        assert bay.lane.codes_refused[cause] == 1
        await asyncio.sleep(HOLD_S)
        assert (bay.lamp.colour, bay.lane.card().cause) == (LampColour.OFF, "")

    lane_story(tmp_path, story)


def test_an_expired_code_is_refused_and_the_phones_new_one_is_good(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        old = token_of(floor)
        old_text = old.text
        await asyncio.sleep(16 * 60)
        await bay.come(old_text, TWO_MILKS)
        assert bay.lane.card().cause == "expired"
        assert token_of(floor).text != old_text
        await bay.come(token_of(floor).text, TWO_MILKS)
        assert bay.state is LaneState.PASSED

    lane_story(tmp_path, story)


def test_an_order_that_is_not_paid_is_refused(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await floor.frozen("c2", BOB)
        number = floor.agent.counter.phone(BOB).order_number
        assert number is not None
        await bay.come(number, TWO_MILKS)
        assert (bay.state, bay.shut, bay.lane.card().cause) == (LaneState.IDLE, True, "unpaid")

    lane_story(tmp_path, story)


def test_a_thief_with_something_unscanned_is_stopped_named_and_recorded(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await bay.come(token_of(floor).text, Mass(TWO_MILKS + grams(80)), wait_s=0.5)
        assert bay.state is LaneState.WEIGHING  # perhaps still being laid down
        await asyncio.sleep(PATIENCE_S)
        assert (bay.state, bay.shut) == (LaneState.FAILED, True)
        assert (bay.lamp.colour, bay.tone.on) == (LampColour.RED, True)
        (incident,) = recorded(floor, IncidentRaised)
        assert (incident.cause, incident.where, incident.lane) == ("not-scanned", "lane lane-2", "lane-2")
        assert "likely: Razor" in incident.evidence
        assert incident.sentence == (
            "Your goods weigh 80 grams more than what was paid. Something was perhaps not scanned: Razor? "
            "Please check your goods, and scan your code again."
        )
        assert bay.gate.openings == 0
        assert not recorded(floor, TokenBurned)

    lane_story(tmp_path, story)


def test_a_failed_check_can_be_repeated_with_the_same_code(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        text = token_of(floor).text
        await bay.come(text, grams(1_030))
        assert (bay.state, bay.lane.card().cause) == (LaneState.FAILED, "wrongly-scanned")
        await bay.come(text, TWO_MILKS)
        assert (bay.state, bay.tone.on, bay.lamp.colour) == (LaneState.PASSED, False, LampColour.GREEN)
        assert [check.verdict for check in recorded(floor, LaneChecked)] == ["wrongly-scanned", "passed"]

    lane_story(tmp_path, story)


def test_goods_that_are_laid_down_one_by_one_raise_no_alarm(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        await bay.come(token_of(floor).text, Mass(0), wait_s=2)
        bay.scale.load = grams(1_030)
        await asyncio.sleep(PATIENCE_S - 0.5)
        bay.scale.moving = True
        await asyncio.sleep(0.5)
        bay.scale.load, bay.scale.moving = TWO_MILKS, False
        await asyncio.sleep(0.5)
        assert bay.state is LaneState.PASSED

    lane_story(tmp_path, story)


def test_a_load_that_never_rests_is_asked_to_begin_again(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        bay.scale.moving = True
        await bay.come(token_of(floor).text, TWO_MILKS, wait_s=HOLD_S + 1)
        assert (bay.state, bay.shut) == (LaneState.IDLE, True)
        assert bay.voice.said[-1].startswith("The scale could not weigh")

    lane_story(tmp_path, story)


def test_who_does_not_go_through_in_time_is_asked_again_and_keeps_the_token(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        text = token_of(floor).text
        await bay.come(text, TWO_MILKS, wait_s=HOLD_S + 2)
        assert (bay.state, bay.shut) == (LaneState.IDLE, True)
        assert bay.voice.said[-1] == "The gate has closed. Please scan your code again."
        assert token_of(floor).burned_at is None
        await bay.come(text, TWO_MILKS)
        await bay.signal(EasSignal.PASSED)
        assert token_of(floor).burned_at == "lane-2"

    lane_story(tmp_path, story)


def test_one_code_cannot_be_at_two_lanes_at_once(tmp_path: Path) -> None:
    async def whole(floor: ShopFloor) -> None:
        await floor.paid()
        await floor.quiet(0.5)
        holds: dict[TokenId, LaneId] = {}
        first, second = Bay(floor, "lane-2", holds), Bay(floor, "lane-3", holds)
        await first.come(token_of(floor).text, TWO_MILKS)
        await second.come(token_of(floor).text, TWO_MILKS)
        assert (first.state, second.state) == (LaneState.PASSED, LaneState.IDLE)
        assert second.lane.card().cause == "elsewhere"
        await asyncio.sleep(HOLD_S)  # the first gave up: now the second may
        await second.come(token_of(floor).text, TWO_MILKS)
        assert second.state is LaneState.PASSED
        await first.stop()
        await second.stop()
        assert holds == {}

    play(tmp_path, whole)


def test_a_code_held_before_the_scanner_counts_once(tmp_path: Path) -> None:
    async def story(floor: ShopFloor, bay: Bay) -> None:
        for _ in range(5):
            await bay.scan("1234567", wait_s=0.7)
        assert bay.lane.codes_refused["unknown"] == 1
        await asyncio.sleep(3)
        await bay.scan("1234567")
        assert bay.lane.codes_refused["unknown"] == 2
        assert floor.agent.recorder.shop.counts.exits == 0

    lane_story(tmp_path, story)
