"""The exit lane in a whole shop on a virtual clock: the real agent, journal and lane, and small honest hardware."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from cart_protocol.base45 import decode, encode
from cart_protocol.ids import CartId, LaneId, StaffId, TokenId
from cart_protocol.mass import Mass, grams
from edge_agent.core.events import Fact, IncidentRaised, IncidentResolved, LaneChecked, LaneReleased, TokenBurned
from edge_agent.core.exit_weighing import PATIENCE_S
from edge_agent.core.folds import Token
from edge_agent.core.lane_sequence import LaneState
from edge_agent.core.refusals import StaffRefusedError
from edge_agent.ports import DeviceError, EasSignal, Journal, JournalFullError, LampColour, LaneDevices, Weight
from edge_agent.services.lane import Lane
from edge_agent.services.record import RecorderStoppedError
from tests.edge_agent.shop_floor import ALICE, BOB, STORE, ShopFloor, play

TWO_MILKS = grams(2_060)
HOLD_S = 20.0
STAFF = StaffId("jo")
Result = TypeVar("Result")


class Part:
    """Hardware that can be broken and mended."""

    broken = ""

    def check(self) -> None:
        if self.broken:
            raise DeviceError(self.broken)


class Platform(Part):
    division = grams(5)

    def __init__(self) -> None:
        self.load, self.moving = Mass(0), False

    async def weigh(self) -> Weight:
        await asyncio.sleep(0.001)
        self.check()
        return Weight(mass=None if self.moving else self.load, in_motion=self.moving)

    async def close(self) -> None: ...


class Scanner(Part):
    def __init__(self) -> None:
        self.codes: asyncio.Queue[str | None] = asyncio.Queue()

    async def read(self) -> str:
        self.check()
        code = await self.codes.get()
        if code is None:
            self.check()
        return code or ""

    def unplug(self) -> None:
        self.broken = "scanner: no such device"
        self.codes.put_nowait(None)

    async def close(self) -> None: ...


class Gate(Part):
    def __init__(self) -> None:
        self.is_open, self.signals, self.openings = False, asyncio.Queue[EasSignal](), 0

    def open(self) -> None:
        self.check()
        self.is_open = True
        self.openings += 1

    def close_barrier(self) -> None:
        self.is_open = False

    async def signal(self) -> EasSignal:
        return await self.signals.get()


class Pad(Part):
    live = False

    def enable(self) -> None:
        self.check()
        self.live = True

    def disable(self) -> None:
        self.live = False


class Lamp:
    colour = LampColour.OFF

    def show(self, colour: LampColour) -> None:
        self.colour = colour


class Tone:
    on = False

    def sound(self, on: bool) -> None:
        self.on = on


class Voice(Part):
    def __init__(self) -> None:
        self.said: list[str] = []

    async def say(self, sentence: str) -> None:
        self.check()
        self.said.append(sentence)
        await asyncio.sleep(0.05 * len(sentence.split()))


class Bay:
    """One lane with its hardware, and what a shopper does there."""

    def __init__(self, floor: ShopFloor, name: str = "lane-2", holds: dict[TokenId, LaneId] | None = None) -> None:
        self.floor = floor
        self.scale, self.scanner, self.gate, self.pad = Platform(), Scanner(), Gate(), Pad()
        self.lamp, self.tone, self.voice = Lamp(), Tone(), Voice()
        devices = LaneDevices(
            lane=LaneId(name), scale=self.scale, scanner=self.scanner, deactivator=self.pad, gate=self.gate,
            lights=self.lamp, tone=self.tone, speaker=self.voice,
        )  # fmt: skip
        self.lane = Lane(
            devices, floor.agent.recorder, floor.mint.uuid, store=STORE, hold_s=HOLD_S, holds=holds,
            verify=lambda _, signature: signature == bytes(64),
        )  # fmt: skip
        floor.agent.lanes.append(self.lane)  # so that the counter knows it
        self.running = asyncio.create_task(self.lane.run())

    @property
    def state(self) -> LaneState:
        return self.lane.state

    @property
    def shut(self) -> bool:
        return not self.gate.is_open and not self.pad.live

    async def scan(self, code: str, wait_s: float = 1.0) -> None:
        self.scanner.codes.put_nowait(code)
        await asyncio.sleep(wait_s)

    async def signal(self, signal: EasSignal) -> None:
        self.gate.signals.put_nowait(signal)
        await asyncio.sleep(0.1)

    async def come(self, code: str, load: Mass, wait_s: float = 3.0) -> None:
        self.scale.load = load
        await self.scan(code, wait_s)

    async def resolve(self) -> None:
        for incident in list(self.floor.agent.recorder.shop.incidents.newest_first()):
            await self.floor.agent.counter.resolve(incident.raised.incident, STAFF)
        await asyncio.sleep(0.1)

    async def let_through(self) -> None:
        """Staff let through whoever the newest alarm stopped."""
        newest = next(self.floor.agent.recorder.shop.incidents.newest_first())
        await self.floor.agent.counter.resolve(newest.raised.incident, STAFF, let_through=True)
        await asyncio.sleep(0.1)

    async def stop(self) -> None:
        self.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.running


def token_of(floor: ShopFloor, shopper: str = ALICE) -> Token:
    shop = floor.agent.recorder.shop
    order = shop.orders.of_session(shop.bindings.latest_of[shopper].session)  # type: ignore[index]
    assert order is not None
    token = shop.tokens.of_order(order.id)
    assert token is not None
    return token


def recorded(floor: ShopFloor, kind: type[Result]) -> list[Result]:
    return [fact.event for fact in floor.heard if isinstance(fact.event, kind)]  # type: ignore[attr-defined]


def lane_story(folder: Path, story: Callable[[ShopFloor, Bay], Awaitable[None]]) -> None:
    """A shop with one lane, and Alice's two milks paid."""

    async def whole(floor: ShopFloor) -> None:
        floor.heard = []  # type: ignore[attr-defined]
        floor.agent.recorder.listen(floor.heard.extend)  # type: ignore[attr-defined]
        await floor.paid()
        await floor.quiet(0.5)
        bay = Bay(floor)
        try:
            await story(floor, bay)
        finally:
            await bay.stop()

    play(folder, whole)


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


def test_an_alarm_stands_above_a_lost_device_and_the_lane_is_out_of_order_afterwards(tmp_path: Path) -> None:
    async def story(_: ShopFloor, bay: Bay) -> None:
        await bay.signal(EasSignal.TAG_ALARM)
        bay.scale.broken = "scale: unplugged"
        await asyncio.sleep(3)
        assert (bay.state, bay.tone.on) == (LaneState.TAG_ALARM, True)
        await bay.resolve()
        assert bay.state is LaneState.OUT_OF_ORDER

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
