"""The stage: a whole shop in one process on a virtual clock. The same seed is the same day, to the last event.

The one module that imports both programs. Carts and store are the product's own objects, joined to chips, wires and
people of the simulator where the live shop has processes, sockets and ptys. SQLite is real; the air is `sim.wires.air`.
"""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import cast

import msgspec
import numpy as np
import structlog
from gpiozero.pins.mock import MockFactory, MockPin
from rich.console import Console

from cart_firmware.config import Broker, Identity, Screen, Settings
from cart_firmware.devices.hx711_spi import Hx711Spi
from cart_firmware.perception.reader import Reader
from cart_firmware.ports import Frame
from cart_firmware.services.cart import Cart
from cart_firmware.services.store_link import MqttStoreLink, will
from cart_protocol.basket import Basket
from cart_protocol.host.clock import IdMint
from cart_protocol.host.signature import Verifier
from cart_protocol.ids import CartId, LaneId, ShopperId, StaffId, StoreId
from cart_protocol.link.outbox import SqliteOutbox
from cart_protocol.mass import grams
from cart_protocol.money import Money
from cart_protocol.topics import subscriptions_of_cart, subscriptions_of_store
from edge_agent.core.refusals import RefusedError as StoreRefusedError
from edge_agent.devices.eas import RelayDeactivator, RelayEasGate
from edge_agent.devices.scale_8217 import Scale8217 as ScaleDriver
from edge_agent.devices.serial_port import SerialPort
from edge_agent.devices.signature import Signer
from edge_agent.devices.stack_lamp import Sounder, StackLamp
from edge_agent.ports import Charge, ChargeStatus, LaneDevices
from edge_agent.services.agent import Agent
from edge_agent.services.cart_link import MqttCartLink
from edge_agent.services.counter import Counter
from edge_agent.store.journal import SqlJournal
from edge_agent.store.price_book_file import read_price_book
from edge_agent.store.status import Status, read_status
from sim import exit_lane as steel
from sim.acquirer_ledger import Delivery, Ledger, LedgerError
from sim.exit_lane import LANE, ExitLane
from sim.goods import Shelves, Unit
from sim.optics.label import Label, Symbology
from sim.optics.scene import EMPTY, Pass, Scene, render
from sim.phone import PhoneState, RefusedError
from sim.physics.load import LoadSignal
from sim.scoreboard import Check, Ledgers, table, verdict
from sim.shoppers import Tally, Trip, characters
from sim.virtual_time import SeededDice, VirtualClock, VirtualTimeLoop
from sim.wires.air import Air, Station, Weather
from sim.wires.scale_8217 import Scale8217
from sim.wires.spi import LoadCellBus

STORE = StoreId("stage")
_FRAMES_PER_SECOND = 12
_WIDTH, _HEIGHT = 640, 480
_REACH_S = 0.25
_ITEMS = (2, 5)
_LONGEST_DAY_S = 6 * 3600.0
"""Virtual seconds after which a day that does not end is called a failure."""
_SETTLE_S = 60.0


class StagedDay(msgspec.Struct, kw_only=True):
    """How a staged day went."""

    tally: Tally
    ledgers: Ledgers
    status: Status
    checks: list[Check]
    mirrors_agree: bool
    """Every cart's basket equals the store's mirror of it."""
    sentences: list[str]
    """What the lane said aloud."""

    @property
    def good(self) -> bool:
        return all(check.holds for check in self.checks) and self.mirrors_agree


def run(*, trips: int, carts: int, seed: int) -> int:
    """Stage a day and print how it went; return the exit status."""
    console = Console()
    # What the programs log is for their operators; here the verdict speaks.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    day = stage_day(trips=trips, carts=carts, seed=seed)
    for note in day.tally.notes:
        console.print(f"  note: {note}", highlight=False, markup=False)
    rows = [
        (f"{'✓' if check.holds else '✗'} {check.name}", f"{check.seen} (wanted: {check.wanted})")
        for check in day.checks
    ]
    console.print(table("Verdict", [*rows, ("mirrors agree", day.mirrors_agree)]))
    return 0 if day.good else 1


def stage_day(
    *,
    trips: int,
    carts: int,
    seed: int,
    weather: Weather | None = None,
    during: "Callable[[Stage], object] | None" = None,
) -> StagedDay:
    """Run a day on a virtual clock. `during` may plan mischief: it is called once when the shop is open."""
    loop = VirtualTimeLoop()
    with tempfile.TemporaryDirectory(prefix="cartwright-stage-") as folder:
        try:
            return loop.run_until_complete(_day(Stage(loop, Path(folder), carts, seed, weather), trips, during))
        finally:
            loop.close()


async def _day(stage: "Stage", trips: int, during: "Callable[[Stage], object] | None") -> StagedDay:
    async with asyncio.timeout(_LONGEST_DAY_S):
        await stage.open()
        if during:
            during(stage)
        await stage.trade(trips)
        return await stage.close(trips)


# ── the shop ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Stage:
    """One shop with everything in it."""

    def __init__(self, loop: VirtualTimeLoop, folder: Path, carts: int, seed: int, weather: Weather | None) -> None:
        self.loop = loop
        self.tally = Tally()
        self._seed = seed
        self._dice = Random(seed)
        self._clock = VirtualClock(loop)
        self._mint = IdMint(self._clock, SeededDice(f"{seed}/store"))
        self.air = Air(Random(f"{seed}/air"), weather)
        self._book = read_price_book(Path(str(files("edge_agent").joinpath("catalogue", "demo.toml"))))
        self._shelves = Shelves(self._book)
        self._database = f"sqlite:///{folder / 'store.db'}"
        self._journal = SqlJournal(self._database)
        self._acquirer = Ledger(folder / "acquirer.db", self._clock.wall_ms)
        self._signer = Signer.create(folder / "signing.key")
        self._verifier = self._signer.verifier
        self._pins = StagePins(loop)
        self._scanner = StageScanner()
        self._speaker = StageSpeaker()
        self.lane = ExitLane(self._pins, self._scanner.scan, self)
        self.carts = [StagedCart(number, folder, self) for number in range(1, carts + 1)]
        self._programs: list[asyncio.Task[None]] = []
        self._mischief: list[asyncio.Task[None]] = []

    @property
    def clock(self) -> VirtualClock:
        return self._clock

    @property
    def verifier(self) -> Verifier:
        return self._verifier

    def dice(self, name: str) -> Random:
        return Random(f"{self._seed}/{name}")

    async def open(self) -> None:
        self.lane.plug()
        self._agent = Agent(
            store=STORE, name="Staged Market", journal=self._journal,
            link=MqttCartLink(self.air.station(subscriptions_of_store(STORE)), STORE),
            acquirer=StageAcquirer(self._acquirer), book=self._book, clock=self._clock, new_id=self._mint.uuid,
            sign=self._signer.sign, verify=self._verifier.verify, lanes=[self._lane_devices()], acquirer_timeout_s=3.0,
        )  # fmt: skip
        self._programs = [asyncio.create_task(self._agent.run(), name="store")]
        for cart in self.carts:
            cart.start()
        await asyncio.sleep(5)

    def meanwhile(self, mischief: Coroutine[object, object, None]) -> None:
        """Let something else happen beside the trade; it is over when the shop closes."""
        self._mischief.append(asyncio.create_task(mischief))

    def _lane_devices(self) -> LaneDevices:
        scale = Scale8217(self.lane.grams, clock=self.loop.time)
        return LaneDevices(
            lane=LaneId(LANE), scale=ScaleDriver(cast("SerialPort", StageSerialLine(scale.feed)), grams(5)),
            scanner=self._scanner,
            deactivator=RelayDeactivator(steel.DEACTIVATOR, self._pins.factory),
            gate=RelayEasGate(barrier_pin=steel.BARRIER, alarm_pin=steel.ALARM_INPUT, passage_pin=steel.PASSAGE_INPUT,
                              pins=self._pins.factory),
            lights=StackLamp(green=steel.GREEN, amber=steel.AMBER, red=steel.RED, pins=self._pins.factory),
            tone=Sounder(steel.TONE, self._pins.factory), speaker=self._speaker,
        )  # fmt: skip

    async def trade(self, trips: int) -> None:
        crowd = characters(trips, self._dice)

        async def one_cart(cart: StagedCart) -> None:
            while crowd:
                mine, character = len(crowd), crowd.pop()
                await Trip(
                    character=character,
                    shelves=self._shelves,
                    phone=DirectPhone(self._agent.counter, mine),
                    cart=cart,
                    lane=self.lane,
                    tally=self.tally,
                    dice=self.dice(f"shopper {mine}"),
                    items=self.dice(f"list {mine}").randint(*_ITEMS),
                ).run()
                await asyncio.sleep(1)

        async def everybody() -> None:
            await asyncio.gather(*(one_cart(cart) for cart in self.carts))

        trading = asyncio.create_task(everybody())
        done, _ = await asyncio.wait({trading, *self._programs}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # a program that ended, or a fault of a shopper's, ends the day with its error

    async def close(self, trips: int) -> StagedDay:
        """Wait until all is acknowledged, stop, and compare the books."""
        for mischief in self._mischief:
            mischief.cancel()
        await asyncio.gather(*self._mischief, return_exceptions=True)
        for cart in self.carts:
            cart.wake()
        deadline = self.loop.time() + _SETTLE_S
        # An outbox has no event for "empty", and virtual time is free.
        while any(cart.unacknowledged for cart in self.carts) and self.loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(1)
        mirrors_agree = all(
            cart.basket() == self._agent.recorder.shop.mirror(CartId(cart.name)).basket for cart in self.carts
        )
        recorded, unacknowledged = sum(c.recorded for c in self.carts), sum(c.unacknowledged for c in self.carts)
        repeated = self._agent.ingest.repeated
        for cart in self.carts:
            await cart.stop()
        self._agent.stop()
        await asyncio.gather(*self._programs)
        self._journal.close()
        status = read_status(self._database)
        acquirer = self._acquirer.totals()
        ledgers = Ledgers(
            store_paid_minor=status.paid_minor, store_orders_minor=status.orders_minor, recorded=recorded,
            acquirer_minor=acquirer.captured_minor - acquirer.refunded_minor, committed=status.cart_events,
            unacknowledged=unacknowledged, repeated=repeated, duplicates=status.duplicates,
        )  # fmt: skip
        return StagedDay(
            tally=self.tally, ledgers=ledgers, status=status, checks=verdict(self.tally, ledgers, trips),
            mirrors_agree=mirrors_agree, sentences=self._speaker.said,
        )  # fmt: skip

    async def resolve_all(self, where: str, *, goods_paid: bool) -> int:
        """The attendant (sim.exit_lane.Attendant), at the console's own counter."""
        cards = [
            card for card in self._agent.counter.console().incidents if card.where == where and not card.resolved_by
        ]
        for card in cards:
            let_through = goods_paid and card.may_let_through
            await self._agent.counter.resolve(card.incident, StaffId("attendant"), let_through=let_through)
        return len(cards)


# ── one cart ─────────────────────────────────────────────────────────────────────────────────────────────────────


class StagedCart:
    """A cart's firmware on its chip and camera, and the same cart in a shopper's hands (sim.shoppers.CartAtHand)."""

    def __init__(self, number: int, folder: Path, stage: Stage) -> None:
        self.name = f"c{number}"
        self._stage = stage
        self._outbox_path = folder / f"{self.name}.db"
        self._load = LoadSignal(seed=number)
        self._on_platform: list[int] = []
        self._view: Pass | Scene = EMPTY
        self._dice = stage.dice(self.name)
        self._frame_dice = np.random.default_rng(number)
        self._mint = IdMint(stage.clock, SeededDice(f"{self._dice.random()}"))
        self._station: Station | None = None
        self._starts = 0

    def start(self) -> None:
        """Switch the firmware on; its outbox is as it was left."""
        self._starts += 1
        cart = CartId(self.name)
        self._outbox = SqliteOutbox(self._outbox_path, 10_000, 1 + self._starts)
        self._station = self._stage.air.station(subscriptions_of_cart(STORE, cart), will(STORE, cart))
        bus = LoadCellBus(self._load, self._stage.loop.time, seed=self._starts)
        self._firmware = Cart(
            _settings(self.name), self._stage.clock, self._mint, load_cell=Hx711Spi(bus, 80), frames=self,
            reader=Reader(),
            link=MqttStoreLink(self._station, STORE, cart), outbox=self._outbox, verify=self._stage.verifier.verify,
        )  # fmt: skip
        self._program = asyncio.create_task(self._firmware.run(), name=self.name)

    async def crash(self, dark_s: float) -> None:
        """Lose power in the middle of whatever it does, stay dark, and start again."""
        if self._station:
            self._station.vanish()
        await self.stop()
        await asyncio.sleep(dark_s)
        self.start()

    def wake(self) -> None:
        """Switch it on if it is dark."""
        if self._program.done():
            self.start()

    def part(self, away_s: float) -> None:
        """Roll into a corner without radio for a while."""
        station = self._station
        if station:
            station.part()
            self._stage.loop.call_later(away_s, station.connect)

    async def stop(self) -> None:
        self._program.cancel()
        await asyncio.gather(self._program, return_exceptions=True)
        self._outbox.close()

    @property
    def recorded(self) -> int:
        return self._outbox.position.seq

    @property
    def unacknowledged(self) -> int:
        return self._outbox.position.seq - self._outbox.acknowledged

    def basket(self) -> Basket:
        return self._outbox.basket()

    # ── its camera (cart_firmware.ports.FrameSource) ─────────────────────────────────────────────────────────────

    async def frames(self) -> AsyncIterator[Frame]:
        while True:
            await asyncio.sleep(1 / _FRAMES_PER_SECOND)
            view = self._view
            scene = view.at(self._stage.loop.time()) if isinstance(view, Pass) else view
            luma = render(scene, _WIDTH, _HEIGHT, self._frame_dice)
            yield Frame(at_us=self._stage.clock.monotonic_us(), luma=luma)

    async def close(self) -> None:
        """The camera stays screwed to the cart."""

    # ── in a shopper's hands ─────────────────────────────────────────────────────────────────────────────────────

    async def read_code(self) -> str | None:
        url = self._firmware.show_case.view().code_url
        return url.rpartition("code=")[2] or None

    async def present(self, unit: Unit, seconds: float) -> None:
        label = Label(payload=unit.code, symbology=Symbology(unit.symbology), name=unit.name)
        self._view = Pass(
            scene=Scene(label=label),
            at_s=self._stage.loop.time(),
            duration_s=seconds,
            seed=self._dice.randrange(1 << 30),
        )
        await asyncio.sleep(seconds)

    def put(self, unit: Unit) -> None:
        self._on_platform.append(unit.mass_mg)
        self._load.put(self._stage.loop.time() + _REACH_S, unit.mass_mg)

    def take(self, unit: Unit) -> None:
        self._on_platform.remove(unit.mass_mg)
        self._load.take(self._stage.loop.time() + _REACH_S, unit.mass_mg)

    def roll(self, seconds: float) -> None:
        now_s = self._stage.loop.time()
        self._load.roll(now_s, now_s + seconds)

    def empty(self) -> None:
        if self._on_platform:
            self._load.take(self._stage.loop.time() + _REACH_S, sum(self._on_platform))
            self._on_platform.clear()


def _settings(cart: str) -> Settings:
    nowhere = Path("/nonexistent")  # the stage's wire needs no certificates
    return Settings(
        identity=Identity(cart=cart, store=STORE, phone_page="https://stage.example/phone"),
        broker=Broker(host="stage", authority=nowhere, certificate=nowhere, key=nowhere),
        state=nowhere, price_book_key=nowhere, screen=Screen(port=0),
    )  # fmt: skip


# ── the parts that stand where the live shop has a wire ──────────────────────────────────────────────────────────


class DirectPhone:
    """A phone at the counter itself, without pages (sim.phone.Phone)."""

    def __init__(self, counter: Counter, number: int) -> None:
        self._counter = counter
        self._shopper = ShopperId(f"shopper-{number}")
        self._payments = 0

    async def bind(self, code: str) -> None:
        await self._ask(self._counter.bind(self._shopper, code))

    async def hand_back(self) -> None:
        await self._ask(self._counter.hand_back(self._shopper))

    async def checkout(self) -> None:
        await self._ask(self._counter.freeze(self._shopper))

    async def pay(self, method: str) -> None:
        self._payments += 1
        await self._ask(self._counter.pay(self._shopper, method, f"{self._shopper}-{self._payments}"))

    async def until(self, condition: Callable[[PhoneState], bool], timeout_s: float) -> PhoneState | None:
        try:
            async with asyncio.timeout(timeout_s):
                while not condition(state := self._state()):
                    await self._counter.wait_for_change(state.revision)
        except TimeoutError:
            return None
        return state

    async def put_away(self) -> None:
        """Nothing to close."""

    def _state(self) -> PhoneState:
        return msgspec.json.decode(msgspec.json.encode(self._counter.phone(self._shopper)), type=PhoneState)

    async def _ask(self, wish: "asyncio.Future[object] | object") -> None:
        try:
            await wish  # type: ignore[misc]
        except StoreRefusedError as refusal:
            raise RefusedError(refusal.reason, refusal.sentence) from refusal


class StageAcquirer:
    """The test acquirer without HTTP (edge_agent.ports.Acquirer): lost answers are UNKNOWN, as over the wire."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def charge(self, key: str, amount: Money, method: str) -> Charge:
        await asyncio.sleep(0.05)
        try:
            record = self._ledger.charge(key, amount.minor, amount.currency, method)
        except LedgerError as error:
            refused = ChargeStatus.REFUSED if error.status == 400 else ChargeStatus.UNKNOWN
            return Charge(status=refused, amount=Money(0, amount.currency), reason=error.code)
        if record.delivery in {Delivery.LOST, Delivery.ERROR}:
            await asyncio.sleep(3)
            return Charge(status=ChargeStatus.UNKNOWN, amount=Money(0, amount.currency), reason=record.delivery.value)
        return _answered(record.status, record.captured, record.currency, record.reference, record.reason)

    async def query(self, key: str, amount: Money) -> Charge:
        await asyncio.sleep(0.05)
        try:
            record = self._ledger.query(key)
        except LedgerError as error:
            found = ChargeStatus.NOT_FOUND if error.status == 404 else ChargeStatus.UNKNOWN
            return Charge(status=found, amount=Money(0, amount.currency), reason=error.code)
        return _answered(record.status, record.captured, record.currency, record.reference, record.reason)


def _answered(status: str, captured: int, currency: str, reference: str, reason: str) -> Charge:
    known = {"captured": ChargeStatus.CAPTURED, "declined": ChargeStatus.DECLINED}
    return Charge(
        status=known.get(status, ChargeStatus.UNKNOWN),
        amount=Money(captured, currency),
        reference=reference,
        reason=reason,
    )


class StagePins:
    """Mock pins of gpiozero under the product's own device code (sim.exit_lane.Wires)."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self.factory = MockFactory()
        self._loop = loop
        self._last: dict[int, bool] = {}
        self._callbacks: dict[int, list[Callable[[bool], None]]] = {}

    def on_output(self, pin: int, callback: Callable[[bool], None]) -> None:
        self._callbacks.setdefault(pin, []).append(callback)
        self._look(pin)

    def level(self, pin: int) -> bool:
        return bool(self._pin(pin).state)

    def drive(self, pin: int, level: bool) -> None:
        line = self._pin(pin)
        (line.drive_high if level else line.drive_low)()
        line.clear_states()  # MockPin remembers every change for ever

    def _look(self, pin: int) -> None:
        """Notice changes of an output as the steel would: a hundred times a second."""
        level = self.level(pin)
        if level != self._last.get(pin, False):
            self._last[pin] = level
            for callback in self._callbacks.get(pin, ()):
                callback(level)
        self._loop.call_later(0.01, self._look, pin)

    def _pin(self, pin: int) -> MockPin:
        return self.factory.pin(pin)


class StageScanner:
    """The order scanner's codes, without its line (edge_agent.ports.CodeScanner)."""

    def __init__(self) -> None:
        self._codes: asyncio.Queue[str] = asyncio.Queue()

    def scan(self, text: str) -> None:
        self._codes.put_nowait(text)

    async def read(self) -> str:
        return await self._codes.get()

    async def close(self) -> None:
        """Nothing to close."""


class StageSpeaker:
    """Remembers what was said (edge_agent.ports.Speaker)."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def say(self, sentence: str) -> None:
        self.said.append(sentence)
        await asyncio.sleep(2)


class StageSerialLine:
    """A serial line without a port: what the driver asks, the instrument answers."""

    path = "stage"

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer

    def ask(self, request: bytes, terminator: bytes) -> bytes:
        del terminator
        return self._answer(request)

    def read_until(self, terminator: bytes) -> bytes:
        del terminator
        return b""

    def close(self) -> None:
        """Nothing to close."""
