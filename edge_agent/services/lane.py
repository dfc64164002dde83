"""The exit lane: joins its devices, the sequence (core.lane_sequence) and the recorder.

One loop takes what happened, one after the other, and carries out what the table says: what only makes the lane safer
at once, then the facts in one commit, and only after it what lets goods and people through.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
import structlog

from cart_protocol.ids import IncidentId, LaneId, StoreId, TokenId
from cart_protocol.mass import Mass, shown
from edge_agent.core import exit_check, lane_facts, lane_sequence, lane_speech
from edge_agent.core.events import Fact, IncidentResolved, NewId, StoreEvent
from edge_agent.core.exit_check import CartTotal, ExitCheck
from edge_agent.core.exit_token import Verify
from edge_agent.core.exit_weighing import Settling
from edge_agent.core.lane_admission import Admission, NotAdmittedError, admit
from edge_agent.core.lane_facts import LaneContext
from edge_agent.core.lane_happening import Happening
from edge_agent.core.lane_sequence import Effect, LaneEvent, LaneState
from edge_agent.core.shop import Shop
from edge_agent.core.views import LaneCard
from edge_agent.ports import DeviceError, EasSignal, LaneDevices, Weight
from edge_agent.services.lane_outputs import LaneOutputs
from edge_agent.services.lane_senses import listen, poll_scale
from edge_agent.services.lane_voice import LaneVoice
from edge_agent.services.record import Recorder

_log = structlog.get_logger(__name__)

_WEIGHING_INTERVAL_S, _IDLE_INTERVAL_S = 0.1, 0.5
_REREAD_S = 2.0
"""A scanner reports the same code again as long as it sees it: that is one code."""
_RETRY_OUTPUTS_S = 5.0
_LONGEST_CODE = 512
_MOST_WAITING = 64
"""Codes and passages that wait while the lane waits for the disk; a shopper shows a code a few times and gives up."""
_FROM_OUTSIDE = {LaneEvent.CODE_READ, LaneEvent.PASSAGE}
_OVERTAKEN = "staff ended an alarm that another one had overtaken"


class _Customer(msgspec.Struct, kw_only=True):
    """Whom the lane serves, until it forgets them."""

    admission: Admission | None = None
    check: ExitCheck | None = None


class Lane:
    """One exit lane. Fail-safe: whatever ends `run`, the deactivator is off and the barrier shut.

    `holds` is shared by all lanes of a store: which tokens are at which lane, so that one code cannot open two gates.
    """

    def __init__(
        self,
        devices: LaneDevices,
        recorder: Recorder,
        new_id: NewId,
        *,
        store: StoreId,
        verify: Verify,
        hold_s: float = 20.0,
        holds: dict[TokenId, LaneId] | None = None,
    ) -> None:
        self.lane = devices.lane
        self.state = LaneState.IDLE
        self.codes_refused: Counter[str] = Counter()
        """Codes that opened nothing, by reason."""
        self.refused: Counter[str] = Counter()
        """What came at a wrong time, by reason."""
        self.voice = LaneVoice(self.lane, devices.speaker)
        self._devices = devices
        self._outputs = LaneOutputs(devices)
        self._recorder = recorder
        self._new_id = new_id
        self._admit: Callable[[Shop, str, int], Admission] = lambda shop, code, now_ms: admit(
            shop, code, now_ms, verify=verify, store=store, lane=self.lane, held=self._holds
        )
        self._hold_s = hold_s
        self._holds = {} if holds is None else holds
        self._happenings: asyncio.Queue[Happening] = asyncio.Queue()
        self._customer = _Customer()
        self._settling: Settling | None = None
        self._lost: dict[str, str] = {}
        self._cause = ""
        self._alarm = ""
        """Key of the incident that staff must resolve before the lane serves again."""
        self._alarm_coming = False
        self._timer: asyncio.TimerHandle | None = None
        self._timers = 0
        self._last_code, self._last_code_s = "", float("-inf")
        recorder.listen(self._committed)

    async def run(self) -> None:
        """Serve the lane until cancelled.

        Raises:
            ExceptionGroup: of RecorderStoppedError when the journal failed, or of a fault of ours.
        """
        devices = self._devices
        try:
            self._guard(self._outputs.begin)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._serve())
                tasks.create_task(self.voice.run())
                tasks.create_task(self._retry_outputs())
                tasks.create_task(poll_scale(devices.scale, self._interval_s, self._weighed, self._trouble))
                tasks.create_task(listen("scanner", devices.scanner.read, self._code_read, self._trouble))
                tasks.create_task(listen("gate", devices.gate.signal, self._signalled, self._trouble))
        finally:
            self._stop_timer()
            self._forget_customer()
            self._guard(self._outputs.make_safe)
            with suppress(DeviceError):
                await devices.scale.close()
            with suppress(DeviceError):
                await devices.scanner.close()

    def card(self) -> LaneCard:
        """Return the lane as the console shows it."""
        admission, check = self._customer.admission, self._customer.check
        return LaneCard(
            lane=self.lane,
            state=self.state,
            order_number=admission.order.placed.number if admission else None,
            said=self.voice.said,
            expected=shown(check.expected) if check else "",
            measured=shown(check.measured) if check else "",
            tolerance=shown(check.tolerance) if check else "",
            tolerance_reasons=check.reasons if check else (),
            cause=self._cause,
            deactivator_live=self._outputs.deactivator_live,
            barrier_open=self._outputs.barrier_open,
            holds=self._held_incident(),
            codes_refused=self.codes_refused.total(),
        )

    def _held_incident(self) -> IncidentId | None:
        """Return the weight alarm whose order staff may let through now: nothing else must be wrong here."""
        if self.state is not LaneState.FAILED or self._alarm_coming or self._lost:
            return None
        return self._recorder.shop.incidents.open_about(self._alarm)

    # ── what the devices and the staff say ───────────────────────────────────────────────────────────────────────

    def _code_read(self, code: str) -> None:
        now_s = asyncio.get_running_loop().time()
        again = code == self._last_code and now_s - self._last_code_s < _REREAD_S
        self._last_code, self._last_code_s = code, now_s
        if not again:
            self._happened(Happening(event=LaneEvent.CODE_READ, code=code[:_LONGEST_CODE]))

    def _signalled(self, signal: EasSignal) -> None:
        if signal is EasSignal.TAG_ALARM:
            waits_already, self._alarm_coming = self._alarm_coming, True
            self._guard(self._outputs.make_safe)  # at once: the loop may be waiting for a disk
            if not waits_already or self._happenings.qsize() < _MOST_WAITING:
                self._happened(Happening(event=LaneEvent.TAG_ALARM))
        else:
            self._happened(Happening(event=LaneEvent.PASSAGE))

    def _trouble(self, device: str, what: str | None) -> None:
        if what is None:
            self._lost.pop(device, None)
            _log.info("lane device back", lane=self.lane, device=device)
            if not self._lost:
                self._happened(Happening(event=LaneEvent.DEVICE_BACK, device=device))
        elif self._lost.get(device) is None:
            self._lost[device] = what
            _log.error("lane device lost", lane=self.lane, device=device, what=what)
            self._happened(Happening(event=LaneEvent.DEVICE_LOST, device=device, trouble=what))

    def _weighed(self, weight: Weight) -> None:
        if self._settling is None or self.state is not LaneState.WEIGHING:
            return
        settled = self._settling.take(weight.mass, asyncio.get_running_loop().time())
        if settled is None:
            return
        check = self._check(settled.mass)
        if check.passed or settled.final:
            self._settling = None
            event = LaneEvent.WEIGHT_PASSED if check.passed else LaneEvent.WEIGHT_FAILED
            self._happened(Happening(event=event, check=check))

    def _committed(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if not isinstance(fact.event, IncidentResolved) or not self._alarm:
                continue
            if self._recorder.shop.incidents.by_id[fact.event.incident].raised.key == self._alarm:
                event = LaneEvent.LET_THROUGH if fact.event.let_through else LaneEvent.RESOLVED
                self._happened(Happening(event=event, staff=fact.event.staff, alarm=self._alarm))

    def _happened(self, happening: Happening) -> None:
        if happening.event in _FROM_OUTSIDE and self._happenings.qsize() >= _MOST_WAITING:
            self.refused["too-many"] += 1
        else:
            self._happenings.put_nowait(happening)

    def _interval_s(self) -> float:
        return _WEIGHING_INTERVAL_S if self.state is LaneState.WEIGHING else _IDLE_INTERVAL_S

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _serve(self) -> None:
        while True:
            await self._turn(await self._happenings.get())

    async def _turn(self, happening: Happening) -> None:
        event, came_from = happening.event, self.state
        if event is LaneEvent.HOLD_ENDED and happening.timer != self._timers:
            return  # stopped or started anew after it had fired
        step = lane_sequence.step(came_from, event)
        refused = step.refused or (_OVERTAKEN if happening.alarm and happening.alarm != self._alarm else "")
        if refused:
            self.refused[refused] += 1
            _log.info("lane event refused", lane=self.lane, state=came_from, on=event, why=refused)
            return
        self.state = step.state
        self._note(came_from, happening)
        try:
            await self._carry_out(step.effects, happening, lane_speech.of(came_from, happening))
        except DeviceError as error:
            self._guard(self._outputs.make_safe)
            self._trouble("outputs", str(error))
        if event is LaneEvent.TAG_ALARM:
            self._alarm_coming = False
        if self.state not in (LaneState.FAILED, LaneState.TAG_ALARM):
            self._alarm = ""
        if self.state in (LaneState.IDLE, LaneState.PASSED) and self._lost:  # while an alarm stood, which came first
            device, trouble = next(iter(self._lost.items()))
            self._happened(Happening(event=LaneEvent.DEVICE_LOST, device=device, trouble=trouble))
        self._recorder.changes.bump()

    def _note(self, came_from: LaneState, happening: Happening) -> None:
        """Remember what belongs to the shopper at the lane, for the facts and for the console."""
        customer = self._customer
        if happening.admission is not None:
            customer.admission = happening.admission
        if happening.check is not None:
            customer.check = happening.check
        if self.state is not came_from or happening.event is LaneEvent.HOLD_ENDED:
            self._cause = happening.cause

    async def _carry_out(self, effects: Sequence[Effect], happening: Happening, sentence: str) -> None:
        failures = [
            failure for effect in effects if effect in lane_sequence.PROTECTIVE and (failure := self._try(effect))
        ]
        await self._record([effect for effect in effects if effect in lane_sequence.RECORDED], happening, sentence)
        if failures:
            raise failures[0]
        for effect in effects:
            if effect is Effect.LOOK_UP:
                await self._look_up(happening.code)
            elif effect is Effect.SAY:
                self.voice.say(sentence)
            elif effect not in lane_sequence.PROTECTIVE | lane_sequence.RECORDED:
                self._do(effect)

    async def _record(self, effects: Sequence[Effect], happening: Happening, sentence: str) -> None:
        if not effects:
            return
        context = LaneContext(
            lane=self.lane,
            admission=self._customer.admission,
            check=self._customer.check,
            sentence=sentence,
            device=happening.device,
            trouble=happening.trouble,
            staff=happening.staff,
        )
        for effect in effects:
            self._alarm = lane_facts.alarm_key(effect, self.lane, context.order) or self._alarm
        await self._recorder.submit(
            lambda shop, now_ms: lane_facts.decide(effects, shop, now_ms, context, self._new_id)
        )

    async def _look_up(self, code: str) -> None:
        """Ask by way of the recorder, so that only what is on the disk counts as paid."""
        answers: list[Happening] = []

        def decide(shop: Shop, now_ms: int) -> Sequence[StoreEvent]:
            try:
                admission = self._admit(shop, code, now_ms)
            except NotAdmittedError as refusal:
                self.codes_refused[refusal.reason] += 1
                _log.info("code refused", lane=self.lane, why=str(refusal))
                answers.append(Happening(event=LaneEvent.ORDER_REFUSED, not_admitted=refusal.reason))
            else:
                self._holds[admission.token] = self.lane
                answers.append(Happening(event=LaneEvent.ORDER_ACCEPTED, admission=admission))
            return ()

        await self._recorder.submit(decide)
        self._happened(answers[0])

    def _check(self, measured: Mass) -> ExitCheck:
        admission = self._customer.admission
        assert admission is not None  # noqa: S101 - the table starts weighing only for an accepted order
        placed, latest = admission.order.placed, self._recorder.shop.books.latest
        return exit_check.check_exit(
            exit_check.expected_lines(placed.lines, placed.variance),
            measured,
            self._devices.scale.division,
            CartTotal(mass=placed.settled, variance=placed.variance),
            latest.book if latest else None,
        )

    # ── effects ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _do(self, effect: Effect) -> None:
        """Carry out one effect that needs no waiting. A repeated one changes nothing."""
        match effect:
            case Effect.ENABLE_DEACTIVATOR | Effect.OPEN_BARRIER if self._alarm_coming or self._lost:
                pass  # a live tag was seen, or a device lost, since this was decided: the lane stays shut
            case Effect.START_HOLD:
                self._start_timer()
            case Effect.STOP_HOLD:
                self._stop_timer()
            case Effect.START_WEIGHING:
                self._settling = Settling(self._devices.scale.division)
            case Effect.STOP_WEIGHING:
                self._settling = None
            case Effect.FORGET_ORDER:
                self._forget_customer()
            case _:
                self._outputs.set(effect)

    def _try(self, effect: Effect) -> DeviceError | None:
        """One protective output that fails must not keep the others from being set."""
        try:
            self._do(effect)
        except DeviceError as error:
            return error
        return None

    def _guard(self, act: Callable[[], None]) -> None:
        try:
            act()
        except DeviceError as error:
            _log.error("lane output failed", lane=self.lane, what=str(error))
            if self._lost.get("outputs") is None:
                self._trouble("outputs", str(error))

    def _forget_customer(self) -> None:
        admission = self._customer.admission
        if admission is not None and self._holds.get(admission.token) == self.lane:
            del self._holds[admission.token]
        self._customer = _Customer()

    def _start_timer(self) -> None:
        self._stop_timer()
        ended = Happening(event=LaneEvent.HOLD_ENDED, timer=self._timers)
        self._timer = asyncio.get_running_loop().call_later(self._hold_s, self._happened, ended)

    def _stop_timer(self) -> None:
        self._timers += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _retry_outputs(self) -> None:
        """Outputs answer nothing by themselves: after a failure, try whether the safe state can be set again."""
        while True:
            await asyncio.sleep(_RETRY_OUTPUTS_S)
            if "outputs" in self._lost:
                try:
                    self._outputs.make_safe()
                except DeviceError:
                    continue
                self._trouble("outputs", None)
