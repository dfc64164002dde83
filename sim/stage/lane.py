"""One exit lane of the stage: its steel, mock pins between it and the store's program, and the witness at its gate."""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from gpiozero.pins.mock import MockFactory, MockPin

from cart_protocol.ids import LaneId
from cart_protocol.mass import grams
from edge_agent.devices.eas import RelayDeactivator, RelayEasGate
from edge_agent.devices.scale_8217 import Scale8217 as ScaleDriver
from edge_agent.devices.serial_port import SerialPort
from edge_agent.devices.stack_lamp import Sounder, StackLamp
from edge_agent.ports import LaneDevices
from sim import exit_lane as steel
from sim.exit_lane import Attendant, ExitLane
from sim.stage.scene import Scenery
from sim.stage.witness import Witness
from sim.wires.scale_8217 import Scale8217


class _Closeable(Protocol):
    def close(self) -> None: ...


class StagedLane(ExitLane):
    """A lane as shoppers meet it (sim.shoppers.ExitLane) and as each new run of the store's program finds it."""

    def __init__(self, lane: str, scenery: Scenery, attendant: Attendant) -> None:
        self._pins = StagePins()
        self._codes = StageScanner()
        self.speaker = StageSpeaker()
        super().__init__(self._pins, self._codes.scan, attendant, lane=lane)
        self._scenery = scenery
        self._opened: LaneDevices | None = None
        self._witness: Witness = scenery.witness
        self._loop = scenery.loop
        self._pins.on_output(steel.BARRIER, self._barrier_moved)
        self._pins.on_output(steel.DEACTIVATOR, self._pad_switched)
        self.plug()

    def devices(self) -> LaneDevices:
        """Open the lane's hardware for a program that has just started."""
        scale, pins = Scale8217(self.grams, clock=self._loop.time), self._pins.factory
        self._opened = LaneDevices(
            lane=LaneId(self.lane), scale=ScaleDriver(cast("SerialPort", StageSerialLine(scale.feed)), grams(5)),
            scanner=self._codes,
            deactivator=RelayDeactivator(steel.DEACTIVATOR, pins),
            gate=RelayEasGate(barrier_pin=steel.BARRIER, alarm_pin=steel.ALARM_INPUT, passage_pin=steel.PASSAGE_INPUT,
                              pins=pins),
            lights=StackLamp(green=steel.GREEN, amber=steel.AMBER, red=steel.RED, pins=pins),
            tone=Sounder(steel.TONE, pins), speaker=self.speaker,
        )  # fmt: skip
        return self._opened

    def drop(self) -> None:
        """The program is dead: every relay falls, and what the scanner had read is lost."""
        self._pins.drop()
        if self._opened:
            # gpiozero's buttons each have a thread, which would outlive the program they belonged to.
            for device in (self._opened.deactivator, self._opened.gate, self._opened.lights, self._opened.tone):
                cast("_Closeable", device).close()
            self._opened = None
        self._codes.forget()
        self.plug()

    def scan(self, text: str) -> None:
        self.show(text)
        self._scenery.on_scan(self.lane, text)

    def show(self, text: str) -> None:
        """Hold a code before the scanner, whoever's it is."""
        self._witness.presented(self.lane, text)
        super().scan(text)

    def _contact(self, pin: int) -> None:
        if pin == steel.PASSAGE_INPUT:
            self._witness.walked_through(self.lane)
        super()._contact(pin)

    def _barrier_moved(self, up: bool) -> None:
        if up:
            self._witness.gate_opened(self.lane)
        else:
            self._witness.gate_closed(self.lane)

    def _pad_switched(self, live: bool) -> None:
        if live:
            self._witness.pad_live(self.lane)


class StagePins:
    """Mock pins of gpiozero under the product's own device code (sim.exit_lane.Wires)."""

    def __init__(self) -> None:
        self._callbacks: dict[int, list[Callable[[bool], None]]] = {}
        self._driven: dict[int, bool] = {}
        self._levels: dict[int, bool] = {}
        self.factory = _WatchedFactory(self._changed)

    def on_output(self, pin: int, callback: Callable[[bool], None]) -> None:
        self._callbacks.setdefault(pin, []).append(callback)

    def level(self, pin: int) -> bool:
        return self._levels.get(pin, False)

    def drive(self, pin: int, level: bool) -> None:
        self._driven[pin] = level
        line = self.factory.pin(pin)
        (line.drive_high if level else line.drive_low)()

    def drop(self) -> None:
        """Nobody holds the lines any more: outputs fall, and the next program finds fresh ones."""
        self.factory.deaf = True
        for pin, level in list(self._levels.items()):
            if level and pin not in self._driven:
                self._changed(pin, level=False)
        self.factory = _WatchedFactory(self._changed)
        for pin, level in self._driven.items():
            self.drive(pin, level)

    def _changed(self, pin: int, level: bool) -> None:
        if self._levels.get(pin, False) != level:
            self._levels[pin] = level
            for callback in self._callbacks.get(pin, ()):
                callback(level)


class _WatchedPin(MockPin):  # type: ignore[misc]  # gpiozero ships no types
    """Tells of every change and remembers none: MockPin keeps them all, for ever."""

    def _change_state(self, value: bool) -> bool:
        changed = bool(super()._change_state(value))
        if changed:
            self.clear_states()
            self.factory.changed(self.info.name, level=bool(value))
        return changed


class _WatchedFactory(MockFactory):  # type: ignore[misc]
    def __init__(self, listener: Callable[..., None]) -> None:
        super().__init__(pin_class=_WatchedPin)
        self._listener = listener
        self.deaf = False

    def changed(self, name: str, *, level: bool) -> None:
        if not self.deaf:
            self._listener(int(name.removeprefix("GPIO")), level=level)


class StageScanner:
    """The order scanner's codes, without its line (edge_agent.ports.CodeScanner)."""

    def __init__(self) -> None:
        self._codes: asyncio.Queue[str] = asyncio.Queue()

    def scan(self, text: str) -> None:
        self._codes.put_nowait(text)

    def forget(self) -> None:
        self._codes = asyncio.Queue()

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
