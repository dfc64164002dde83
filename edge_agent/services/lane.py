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

from cart_protocol.ids import LaneId, StaffId, StoreId, TokenId
from cart_protocol.mass import Mass, shown
from edge_agent.core import exit_check, lane_facts, lane_sequence, lane_speech
from edge_agent.core.events import Fact, IncidentResolved, NewId, StoreEvent
from edge_agent.core.exit_check import CartTotal, ExitCheck
from edge_agent.core.exit_token import Verify
from edge_agent.core.exit_weighing import Settling
from edge_agent.core.lane_admission import Admission, NotAdmitted, NotAdmittedError, admit
from edge_agent.core.lane_facts import LaneContext
from edge_agent.core.lane_sequence import Effect, LaneEvent, LaneState
from edge_agent.core.shop import Shop
from edge_agent.core.views import LaneCard
from edge_agent.ports import DeviceError, EasSignal, LaneDevices, Weight
from edge_agent.services.lane_outputs import LaneOutputs
from edge_agent.services.lane_senses import listen, poll_scale
from edge_agent.services.record import Recorder

_log = structlog.get_logger(__name__)

_WEIGHING_INTERVAL_S, _IDLE_INTERVAL_S = 0.1, 0.5
_REREAD_S = 2.0
"""A scanner reports the same code again as long as it sees it: that is one code."""
_RETRY_OUTPUTS_S = 5.0
_LONGEST_CODE = 512


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """Something the lane must react to, with what belongs to it."""

    event: LaneEvent
    code: str = ""
    admission: Admission | None = None
    not_admitted: NotAdmitted | None = None
    check: ExitCheck | None = None
    device: str = ""
    trouble: str = ""
    staff: StaffId | None = None
    timer: int = 0


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
        self.refused: Counter[str] = Counter()
        """What came at a wrong time, by reason; and codes that opened nothing, by reason."""
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
        self._sentences: asyncio.Queue[str] = asyncio.Queue()
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
        self._said = ""
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
                tasks.create_task(self._speak())
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
            said=self._said,
            expected=shown(check.expected) if check else "",
            measured=shown(check.measured) if check else "",
            tolerance=shown(check.tolerance) if check else "",
            tolerance_reasons=check.reasons if check else (),
            cause=self._cause,
            deactivator_live=self._outputs.deactivator_live,
            barrier_open=self._outputs.barrier_open,
        )

    # ── what the devices and the staff say ───────────────────────────────────────────────────────────────────────

    def _code_read(self, code: str) -> None:
        now_s = asyncio.get_running_loop().time()
        again = code == self._last_code and now_s - self._last_code_s < _REREAD_S
        self._last_code, self._last_code_s = code, now_s
        if not again:
            self._happened(Happening(event=LaneEvent.CODE_READ, code=code[:_LONGEST_CODE]))

    def _signalled(self, signal: EasSignal) -> None:
        if signal is EasSignal.TAG_ALARM:
            self._alarm_coming = True
            self._guard(self._outputs.make_safe)  # at once: the loop may be waiting for a disk
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
                self._happened(Happening(event=LaneEvent.RESOLVED, staff=fact.event.staff))

    def _happened(self, happening: Happening) -> None:
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
        if step.refused:
            self.refused[step.refused] += 1
            _log.info("lane event refused", lane=self.lane, state=came_from, on=event, why=step.refused)
            return
        self.state = step.state
        self._note(came_from, happening)
        try:
            await self._carry_out(step.effects, happening, self._sentence(came_from, happening))
        except DeviceError as error:
            self._guard(self._outputs.make_safe)
            self._trouble("outputs", str(error))
        if event is LaneEvent.TAG_ALARM:
            self._alarm_coming = False
        if self.state not in (LaneState.FAILED, LaneState.TAG_ALARM):
            self._alarm = ""
        if self.state is LaneState.IDLE and self._lost:  # lost while an alarm stood, which came first
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
            self._cause = _cause_of(happening)

    def _sentence(self, came_from: LaneState, happening: Happening) -> str:
        if happening.admission is not None:
            return lane_speech.of_accepted(happening.admission.order.placed.number)
        if happening.not_admitted is not None:
            return lane_speech.NOT_ADMITTED[happening.not_admitted]
        if happening.event is LaneEvent.WEIGHT_FAILED and happening.check is not None:
            return lane_speech.of_failed(happening.check)
        return lane_speech.of(came_from, happening.event)

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
                self._say(sentence)
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
                self.refused[refusal.reason] += 1
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
            case Effect.ENABLE_DEACTIVATOR | Effect.OPEN_BARRIER if self._alarm_coming:
                pass  # a live tag was seen since this was decided: the lane stays shut
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

    def _say(self, sentence: str) -> None:
        self._said = sentence
        self._sentences.put_nowait(sentence)

    async def _speak(self) -> None:
        """Speak the newest sentence; what was overtaken while another was spoken is no longer true."""
        while True:
            sentence = await self._sentences.get()
            while not self._sentences.empty():
                sentence = self._sentences.get_nowait()
            try:
                await self._devices.speaker.say(sentence)
            except DeviceError as error:
                self.refused["speaker"] += 1
                _log.error("lane cannot speak", lane=self.lane, sentence=sentence, what=str(error))

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


def _cause_of(happening: Happening) -> str:
    """Return the console's word for why the lane does not serve, or nothing where it does."""
    match happening.event:
        case LaneEvent.ORDER_REFUSED:
            return str(happening.not_admitted)
        case LaneEvent.WEIGHT_FAILED if happening.check is not None:
            return str(happening.check.cause)
        case LaneEvent.TAG_ALARM:
            return "unpaid-goods"
        case LaneEvent.DEVICE_LOST:
            return f"{happening.device}: {happening.trouble}"
    return ""
