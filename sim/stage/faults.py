"""What can go wrong in a staged day: one table of kinds, a plan made of one seed, and how each of them strikes.

A fault is counted when it struck, not when it was planned: a program that was dead already cannot be killed.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from random import Random

import msgspec

from cart_protocol.ids import CartId, ShopperId, StaffId
from edge_agent.core.refusals import RefusedError
from edge_agent.services.counter import Counter as Desk
from sim.acquirer_ledger import Method
from sim.acquirer_notices import Notice
from sim.stage.day import Stage
from sim.stage.machine import Machine
from sim.stage.store import DirectPhone
from sim.wires.air import Weather


class Kind(StrEnum):
    """Every kind of fault. Those named '… at a write' strike within SQLite, the other deaths between any two steps."""

    CART_KILLED = "cart killed"
    STORE_KILLED = "store killed"
    ACQUIRER_KILLED = "acquirer killed"
    CART_KILLED_AT_WRITE = "cart killed at a write"
    STORE_KILLED_AT_WRITE = "store killed at a write"
    ACQUIRER_KILLED_AT_WRITE = "acquirer killed at a write"
    CART_POWER_CUT = "cart's power cut, unsynced writes lost or torn"
    STORE_POWER_CUT = "store's power cut, unsynced writes lost or torn"
    ACQUIRER_POWER_CUT = "acquirer's power cut, unsynced writes lost or torn"
    CART_DISK_FULL = "cart's disk full"
    STORE_DISK_FULL = "store's disk full"
    CART_DISK_EXCHANGED = "cart's disk exchanged for an empty one"
    CART_DISK_ERROR = "cart's disk fails a write or sync"
    STORE_DISK_ERROR = "store's disk fails a write or sync"
    BROKER_KILLED = "broker killed, comes back with its state"
    BROKER_FORGETS = "broker killed, comes back without its state"
    CART_PARTED = "cart out of reach"
    STORE_PARTED = "store out of reach of the broker"
    STORM = "bad air"
    CART_CLOCK = "cart's clock jumps"
    STORE_CLOCK = "store's clock jumps"
    CHARGE_LOST = "acquirer times out before the charge"
    ANSWER_LOST = "acquirer times out after the charge"
    CHARGE_FAILS = "acquirer answers with a server error"
    CHARGE_PARTIAL = "acquirer takes a part"
    ACQUIRER_OFFLINE = "acquirer cannot be reached"
    TWO_PHONES = "two phones want one cart"
    TWO_PAGES = "one shopper pays on two pages"
    TWO_LANES = "one code at two lanes"
    SPENT_CODE = "a spent code shown again"
    PHONE_AND_CONSOLE = "phone and console act at once"
    MESSAGE_LOST = "message lost"
    MESSAGE_REPEATED = "message repeated"
    MESSAGE_LATE = "message late"
    MESSAGE_OVERTAKEN = "message overtaken"
    NOTICE_REPEATED = "acquirer's notice comes again"
    NOTICE_OVERTAKEN = "acquirer's notice comes after a later one"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One planned fault. `steps` is how many steps or writes after `at_s`; `amount` seconds, or of a clock."""

    number: int
    at_s: float
    kind: Kind
    who: int
    steps: int
    amount: float

    def __str__(self) -> str:
        about = f"machine {self.who}, step {self.steps}, {self.amount:.2f}"
        return f"{self.number}: at {self.at_s:.1f} s: {self.kind} ({about})"


_FIRST_S, _LAST_S = 3.0, 50.0
_FAULTS_PER_DAY = (6, 24)
_CONSEQUENCES = frozenset({
    Kind.MESSAGE_LOST, Kind.MESSAGE_REPEATED, Kind.MESSAGE_LATE, Kind.MESSAGE_OVERTAKEN, Kind.NOTICE_REPEATED,
    Kind.NOTICE_OVERTAKEN,
})  # fmt: skip
"""Not planned one by one: they happen in bad air, or are the acquirer's habit."""
_PLANNED = tuple(kind for kind in Kind if kind not in _CONSEQUENCES)
_MOST_STEPS = 400
_CLOCK_JUMP_S = (0.5, 3 * 3600.0)
_STORM = Weather(lost=0.15, repeated=0.15, late=0.25, late_s=4.0, delay_s=0.05)


def plan_faults(seed: int) -> list[Fault]:
    """Return the faults of a seed's day, in order of time."""
    dice = Random(f"{seed}/faults")
    count = dice.randint(*_FAULTS_PER_DAY)
    times = sorted(dice.uniform(_FIRST_S, _LAST_S) for _ in range(count))
    return [
        Fault(
            number=number, at_s=at_s, kind=dice.choice(_PLANNED), who=dice.randrange(16),
            steps=dice.randrange(_MOST_STEPS), amount=dice.random(),
        )
        for number, at_s in enumerate(times, start=1)
    ]  # fmt: skip


class Faults:
    """Strikes a stage with planned faults; `struck` counts by kind what really happened."""

    def __init__(self, stage: Stage, planned: Sequence[Fault]) -> None:
        self.struck: Counter[Kind] = Counter()
        self._stage, self._planned = stage, planned
        self._armed: list[Fault] = []
        """Wait for a shopper's next wish of a kind."""
        self._mends: list[Callable[[], None]] = []
        self._rivals = 0
        self._helpers: set[asyncio.Future[None]] = set()
        stage.beside = self._beside
        stage.scenery.on_scan = self._scanned
        self._noticed: set[str] = set()
        self._newest_notice_ms = 0
        stage.acquirer.merchant = self._notice

    async def run(self) -> None:
        for fault in self._planned:
            await asyncio.sleep(max(0.0, fault.at_s - self._stage.loop.time()))
            self._stage.trace.note("fault", str(fault))
            _STRIKES[fault.kind](self, fault)

    def heal(self) -> None:
        """Everything works from now on."""
        stage = self._stage
        self._armed.clear()
        stage.air.weather = Weather()
        if not stage.air.broker_up:
            stage.air.start_broker()
        stage.acquirer.offline = False
        for machine in stage.machines:
            machine.clock.set_ahead(0)
            machine.platter.stop_at(0)
        for mend in self._mends:
            mend()
        self._mends.clear()
        for station in (stage.store.station, *(cart.station for cart in stage.carts)):
            if station:
                station.reach()
        for cart in stage.carts:
            self._soon(stage.store.ask(lambda desk, cart=cart: _put_back(desk, cart.cart)))  # type: ignore[misc]
        self.struck[Kind.MESSAGE_LOST] += stage.air.lost
        self.struck[Kind.MESSAGE_REPEATED] += stage.air.repeated
        self.struck[Kind.MESSAGE_LATE] += stage.air.late
        self.struck[Kind.MESSAGE_OVERTAKEN] += stage.air.overtaken

    def _soon(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._helpers.add(task)
        task.add_done_callback(self._helpers.discard)

    # ── deaths ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _machine(self, fault: Fault) -> Machine:
        stage = self._stage
        if fault.kind.startswith("cart"):
            return stage.carts[fault.who % len(stage.carts)]
        return stage.store if fault.kind.startswith("store") else stage.acquirer

    def _kill(self, fault: Fault, *, power: bool = False) -> None:
        machine = self._machine(fault)

        def strike() -> None:
            if machine.kill(_dark_s(fault), power=power):
                self.struck[fault.kind] += 1

        self._stage.loop.intrude(fault.steps, strike)

    def _cut_power(self, fault: Fault) -> None:
        """Half of the cuts strike at a write, where there is most to lose."""
        if fault.steps % 2:
            self._kill(fault, power=True)
        else:
            self._kill_at_write(fault, power=True)

    def _kill_at_write(self, fault: Fault, *, power: bool = False) -> None:
        machine = self._machine(fault)

        def struck() -> None:
            self.struck[fault.kind] += 1

        machine.kill_at_write(1 + fault.steps % 23, _dark_s(fault), power=power, struck=struck)

    # ── disks ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _fill_disk(self, fault: Fault) -> None:
        machine = self._machine(fault)
        platter = machine.platter
        before, platter.full = platter.refused, True
        machine.excuse(_spell_s(fault))

        def mend() -> None:
            self.struck[fault.kind] += platter.refused > before
            platter.full = False

        self._mend_later(mend, _spell_s(fault))

    def _exchange_disk(self, fault: Fault) -> None:
        machine = self._machine(fault)

        def strike() -> None:
            if machine.exchange_disk(_dark_s(fault)):
                self.struck[fault.kind] += 1

        self._stage.loop.intrude(fault.steps, strike)

    def _fail_disk(self, fault: Fault) -> None:
        machine = self._machine(fault)
        platter = machine.platter
        failing = "fail_next_sync" if fault.steps % 2 else "fail_next_write"
        setattr(platter, failing, True)
        machine.excuse(_spell_s(fault))

        def mend() -> None:
            self.struck[fault.kind] += not getattr(platter, failing)
            setattr(platter, failing, False)

        self._mend_later(mend, _spell_s(fault))

    def _mend_later(self, mend: Callable[[], None], after_s: float) -> None:
        """Mend something in a while, or when everything heals, whichever comes first."""
        self._mends.append(mend)

        def due() -> None:
            if mend in self._mends:
                self._mends.remove(mend)
                mend()

        self._stage.loop.call_later(after_s, due)

    # ── the network ──────────────────────────────────────────────────────────────────────────────────────────────

    def _kill_broker(self, fault: Fault) -> None:
        air = self._stage.air
        if not air.broker_up:
            return
        air.stop_broker(remembers=fault.kind is Kind.BROKER_KILLED)
        self.struck[fault.kind] += 1
        self._stage.loop.call_later(_spell_s(fault), lambda: None if air.broker_up else air.start_broker())

    def _part_cart(self, fault: Fault) -> None:
        self._stage.carts[fault.who % len(self._stage.carts)].part(_spell_s(fault))
        self.struck[fault.kind] += 1

    def _part_store(self, fault: Fault) -> None:
        self._stage.store.part(_spell_s(fault))
        self.struck[fault.kind] += 1

    def _storm(self, fault: Fault) -> None:
        air = self._stage.air
        air.weather = _STORM
        self.struck[fault.kind] += 1
        self._stage.loop.call_later(_spell_s(fault) * 2, lambda: setattr(air, "weather", Weather()))

    # ── clocks ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _set_clock(self, fault: Fault) -> None:
        least, most = _CLOCK_JUMP_S
        jump_s = least * (most / least) ** fault.amount * (1 if fault.steps % 2 else -1)
        self._machine(fault).clock.set_ahead(round(jump_s * 1_000))
        self.struck[fault.kind] += 1

    # ── money ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _script(self, fault: Fault) -> None:
        method = _METHODS[fault.kind]
        self._stage.acquirer.scripted.append((method, lambda: self.struck.update([fault.kind])))

    def _take_offline(self, fault: Fault) -> None:
        acquirer = self._stage.acquirer
        acquirer.offline = True
        self.struck[fault.kind] += 1
        self._stage.loop.call_later(_spell_s(fault), lambda: setattr(acquirer, "offline", False))

    # ── people at the same moment ────────────────────────────────────────────────────────────────────────────────

    def _arm(self, fault: Fault) -> None:
        self._armed.append(fault)

    def _take(self, *kinds: Kind) -> Fault | None:
        found = next((fault for fault in self._armed if fault.kind in kinds), None)
        if found is not None:
            self._armed.remove(found)
            self.struck[found.kind] += 1
            self._stage.trace.note("fault", f"{found.number} strikes: {found.kind}")
        return found

    def _beside(self, wish: str, shopper: ShopperId, detail: str) -> Sequence[Awaitable[object]]:
        """Return what others do at the moment of a shopper's wish."""
        store = self._stage.store
        if wish == "bind" and self._take(Kind.TWO_PHONES):
            self._rivals += 1
            return [self._rival(DirectPhone(store, 1_000 + self._rivals), detail)]
        if wish == "pay" and self._take(Kind.TWO_PAGES):
            return [
                store.ask(lambda desk: desk.pay(shopper, detail, f"other-page-{len(self._noticed)}-{self._rivals}")),
                store.ask(lambda desk: desk.freeze(shopper)),
            ]
        if wish in {"pay", "checkout"} and self._take(Kind.PHONE_AND_CONSOLE):
            staff = StaffId("manager")
            carts = [cart.cart for cart in self._stage.carts]
            return [
                *(store.ask(lambda desk, cart=cart: desk.set_withdrawn(cart, staff, True)) for cart in carts),  # type: ignore[misc]
                *(store.ask(lambda desk, cart=cart: desk.explain_weight(cart, staff)) for cart in carts),  # type: ignore[misc]
                store.ask(lambda desk: desk.thaw(shopper)),
                self._put_back_later(carts),
            ]
        return ()

    async def _notice(self, notice: Notice) -> bool:
        if notice.notice in self._noticed:
            self.struck[Kind.NOTICE_REPEATED] += 1
        elif notice.at_ms < self._newest_notice_ms:
            self.struck[Kind.NOTICE_OVERTAKEN] += 1
        self._noticed.add(notice.notice)
        self._newest_notice_ms = max(self._newest_notice_ms, notice.at_ms)
        return await self._stage.store.take_notice(notice)

    async def _rival(self, phone: DirectPhone, code: str) -> None:
        try:
            await phone.bind(code)
        finally:
            await asyncio.sleep(2)
            await phone.hand_back()

    async def _put_back_later(self, carts: Sequence[CartId]) -> None:
        await asyncio.sleep(3)
        for cart in carts:
            await self._stage.store.ask(lambda desk, cart=cart: _put_back(desk, cart))  # type: ignore[misc]

    def _scanned(self, lane: str, text: str) -> None:
        loop, lanes = self._stage.loop, self._stage.store.lanes
        if self._take(Kind.TWO_LANES):
            for other in lanes:
                if other.lane != lane:
                    loop.call_later(0.3, other.show, text)
        if self._take(Kind.SPENT_CODE):
            for pause_s in (8.0, 15.0, 30.0):
                loop.call_later(pause_s, lanes[0].show, text)


async def _put_back(desk: Desk, cart: CartId) -> None:
    """Put a cart back into service."""
    try:
        await desk.set_withdrawn(cart, StaffId("manager"), False)
    except RefusedError:
        return


def _dark_s(fault: Fault) -> float:
    return 0.05 + 4 * fault.amount**2


def _spell_s(fault: Fault) -> float:
    return 0.5 + 12 * fault.amount


_METHODS = {
    Kind.CHARGE_LOST: Method.TIMEOUT_BEFORE,
    Kind.ANSWER_LOST: Method.TIMEOUT_AFTER,
    Kind.CHARGE_FAILS: Method.ERROR_500,
    Kind.CHARGE_PARTIAL: Method.INSUFFICIENT,
}
_STRIKES: dict[Kind, Callable[[Faults, Fault], None]] = {
    Kind.CART_KILLED: Faults._kill,  # noqa: SLF001 - its own table
    Kind.STORE_KILLED: Faults._kill,  # noqa: SLF001
    Kind.ACQUIRER_KILLED: Faults._kill,  # noqa: SLF001
    Kind.CART_KILLED_AT_WRITE: Faults._kill_at_write,  # noqa: SLF001
    Kind.STORE_KILLED_AT_WRITE: Faults._kill_at_write,  # noqa: SLF001
    Kind.ACQUIRER_KILLED_AT_WRITE: Faults._kill_at_write,  # noqa: SLF001
    Kind.CART_POWER_CUT: Faults._cut_power,  # noqa: SLF001
    Kind.STORE_POWER_CUT: Faults._cut_power,  # noqa: SLF001
    Kind.ACQUIRER_POWER_CUT: Faults._cut_power,  # noqa: SLF001
    Kind.CART_DISK_FULL: Faults._fill_disk,  # noqa: SLF001
    Kind.STORE_DISK_FULL: Faults._fill_disk,  # noqa: SLF001
    Kind.CART_DISK_EXCHANGED: Faults._exchange_disk,  # noqa: SLF001
    Kind.CART_DISK_ERROR: Faults._fail_disk,  # noqa: SLF001
    Kind.STORE_DISK_ERROR: Faults._fail_disk,  # noqa: SLF001
    Kind.BROKER_KILLED: Faults._kill_broker,  # noqa: SLF001
    Kind.BROKER_FORGETS: Faults._kill_broker,  # noqa: SLF001
    Kind.CART_PARTED: Faults._part_cart,  # noqa: SLF001
    Kind.STORE_PARTED: Faults._part_store,  # noqa: SLF001
    Kind.STORM: Faults._storm,  # noqa: SLF001
    Kind.CART_CLOCK: Faults._set_clock,  # noqa: SLF001
    Kind.STORE_CLOCK: Faults._set_clock,  # noqa: SLF001
    Kind.CHARGE_LOST: Faults._script,  # noqa: SLF001
    Kind.ANSWER_LOST: Faults._script,  # noqa: SLF001
    Kind.CHARGE_FAILS: Faults._script,  # noqa: SLF001
    Kind.CHARGE_PARTIAL: Faults._script,  # noqa: SLF001
    Kind.ACQUIRER_OFFLINE: Faults._take_offline,  # noqa: SLF001
    Kind.TWO_PHONES: Faults._arm,  # noqa: SLF001
    Kind.TWO_PAGES: Faults._arm,  # noqa: SLF001
    Kind.TWO_LANES: Faults._arm,  # noqa: SLF001
    Kind.SPENT_CODE: Faults._arm,  # noqa: SLF001
    Kind.PHONE_AND_CONSOLE: Faults._arm,  # noqa: SLF001
}
