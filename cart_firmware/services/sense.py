"""The two sensors: readings of the load cell to steps, frames of the camera to products shown."""

import asyncio
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from cart_firmware.core.acceptance import Symbol
from cart_firmware.core.decision import Passed, Way
from cart_firmware.core.health import Health
from cart_firmware.core.scanning import Refused, Scanner, Shown
from cart_firmware.core.weighing import Step, Weigher
from cart_firmware.ports import (
    DisagreementError,
    Frame,
    FrameError,
    FrameSource,
    Imu,
    ImuError,
    LoadCell,
    LoadCellError,
    RateError,
    Sample,
    SaturatedError,
    SilentError,
    SlowClockError,
    StuckError,
    WrongGainError,
)
from cart_firmware.services.observations import Loaded, Observation, Seen, Stepped
from cart_firmware.services.recorder import Recorder
from cart_protocol.basket import Fault
from cart_protocol.host.clock import Clock
from cart_protocol.mass import Mass

_LOG = structlog.get_logger("sense")
_REPORT_US = 1_000_000
"""The load between steps is reported this often while it is quiet."""
_CAMERA_AGAIN_S = 1.0
_LEAN_US = 50_000
_LEAN_AGAIN_US = 1_000_000
"""How often the accelerometer is asked, and when again after it failed: it helps, but nothing waits for it."""
_TILT_DOUBTED = "TiltDoubted"
_FAULTS: dict[type[LoadCellError], Fault] = {
    FrameError: Fault.LOAD_CELL_LOST_FRAMES,
    SlowClockError: Fault.LOAD_CELL_SLOW_CLOCK,
    WrongGainError: Fault.LOAD_CELL_WRONG_GAIN,
    RateError: Fault.LOAD_CELL_WRONG_RATE,
    SilentError: Fault.LOAD_CELL_SILENT,
    StuckError: Fault.LOAD_CELL_STUCK,
    DisagreementError: Fault.LOAD_CELLS_DISAGREE,
}
"""How a reading that must not be used is called on the console; one that is saturated has its own rule."""
_LEAVES_WINDOW = (FrameError, SlowClockError)
"""A single lost reading is a gap, and gaps are the weigher's business; after the others the load may have changed."""

Submit = Callable[[Observation], None]
Luma = NDArray[np.uint8]
Planes = NDArray[np.uint8]
"""See ports.Colour."""


class Reading(Protocol):
    """What a barcode reader found (cart_firmware.perception.reading.Reading)."""

    @property
    def payload(self) -> bytes: ...
    @property
    def symbology(self) -> str: ...
    @property
    def likelihood(self) -> float | None: ...


class BarcodeReader(Protocol):
    """Pixels to readings; may keep a core busy for tens of milliseconds."""

    def read(self, luma: Luma, /) -> Sequence[Reading]: ...


class Crop(Protocol):
    @property
    def at_us(self) -> int: ...
    @property
    def luma(self) -> Luma: ...
    @property
    def planes(self) -> Planes | None: ...


class Passage(Protocol):
    """What went over the rim (cart_firmware.perception.hands.Passage)."""

    @property
    def from_us(self) -> int: ...
    @property
    def until_us(self) -> int: ...
    @property
    def way(self) -> Way: ...
    @property
    def crops(self) -> Sequence[Crop]: ...
    @property
    def put(self) -> Crop | None: ...
    @property
    def taken(self) -> Crop | None: ...


class HandWatch(Protocol):
    """Pixels to passages; some milliseconds at most."""

    def see(self, at_us: int, luma: Luma, planes: Planes | None, /) -> Passage | None: ...


class RecogniseGoods(Protocol):
    """Has the goods of a passage named (cart_firmware.services.recognise.Recognise.passed)."""

    def __call__(self, passage: Passage, *, limited: bool) -> None: ...


class Scale:
    """Polls the load cell at twice its rate, the accelerometer twenty times a second, and feeds the weigher."""

    def __init__(
        self,
        cell: LoadCell,
        weigher: Weigher,
        health: Health,
        clock: Clock,
        submit: Submit,
        *,
        recorder: Recorder,
        imu: Imu | None = None,
    ) -> None:
        self._cell, self._weigher, self._health, self._clock, self._submit = cell, weigher, health, clock, submit
        self._recorder, self._imu = recorder, imu
        self._lean_due_us = 0
        self._pause_s = 0.5 / cell.rate_hz
        self._reported_us = 0
        self._reported_quiet = False
        self._failing = ""
        self.turned_us: int | None = None
        """When the load cell last gave a usable reading."""
        self.failures: dict[str, int] = {}
        """Readings that must not be used, by error."""

    @property
    def level(self) -> Mass:
        """The load above the calibrated zero, when it was last quiet."""
        return self._weigher.level

    @property
    def shown(self) -> str:
        """What the scale may show of the load now."""
        return self._weigher.indication.text

    @property
    def drift(self) -> Mass:
        """How far the zero has moved since the start."""
        return self._weigher.drift

    async def run(self) -> None:
        while True:
            pause_s = self.poll()
            await asyncio.sleep(pause_s)

    def poll(self) -> float:
        """Take a reading if there is one; return how many seconds to wait for the next."""
        now_us = self._clock.monotonic_us()
        if self._imu and now_us >= self._lean_due_us:
            self._lean_due_us = now_us + self._feel(self._imu, now_us)
        try:
            sample = self._cell.poll(now_us)
        except LoadCellError as error:
            self._failed(error, now_us)
            return self._pause_s
        if sample is not None:
            self._weigh(sample)
        return self._pause_s

    def _feel(self, imu: Imu, now_us: int) -> int:
        """Ask the accelerometer; return in how many microseconds to ask again."""
        try:
            felt = imu.read(now_us)
        except ImuError as error:
            kind = type(error).__name__
            if kind not in self.failures:
                _LOG.warning("accelerometer not usable: slopes are not corrected", seen=str(error))
            self.failures[kind] = self.failures.get(kind, 0) + 1
            self._recorder.failed(now_us, kind, interrupts=False)
            return _LEAN_AGAIN_US
        self._recorder.leaned(felt.at_us, felt.x, felt.y, felt.z)
        self._weigher.feel(felt.at_us, felt.x, felt.y, felt.z)
        if self._weigher.doubts_tilt and _TILT_DOUBTED not in self.failures:
            self.failures[_TILT_DOUBTED] = 1
            _LOG.warning("accelerometer contradicts the scale: slopes are not corrected", do="cart-firmware calibrate")
        return _LEAN_US

    def _weigh(self, sample: Sample) -> None:
        if self._failing:
            _LOG.info("load cell works again", after=self._failing)
            self._failing = ""
        self._health.weighed(sample.at_us)
        self.turned_us = sample.at_us
        self._health.drifting = self._weigher.suspicious
        self._recorder.converted(sample.at_us, sample.counts)
        if step := self._weigher.feed(sample.at_us, sample.counts):
            self._submit(Stepped(step))
            _log_step(step)
        due = self._weigher.quiet and sample.at_us - self._reported_us >= _REPORT_US
        if due or self._weigher.quiet is not self._reported_quiet:
            self._report(sample.at_us)

    def _failed(self, error: LoadCellError, now_us: int) -> None:
        kind = f"{type(error).__name__} ({error.cell})" if error.cell else type(error).__name__
        self.failures[kind] = self.failures.get(kind, 0) + 1
        if kind != self._failing:
            _LOG.warning("load cell reading not usable", error=kind, seen=str(error))
            self._failing = kind
        if isinstance(error, SaturatedError):
            self._health.saturated(now_us)
        else:
            self._health.reading_failed(now_us, _FAULTS.get(type(error), Fault.LOAD_CELL_UNRELIABLE))
        interrupts = not isinstance(error, _LEAVES_WINDOW)
        self._recorder.failed(now_us, kind, interrupts=interrupts)
        if not interrupts:
            return
        self._weigher.interrupt()
        if self._reported_quiet:
            self._report(now_us)

    def _report(self, at_us: int) -> None:
        weigher = self._weigher
        self._reported_us, self._reported_quiet = at_us, weigher.quiet
        self._submit(Loaded(at_us, weigher.level, weigher.variance, weigher.quiet))


class Eye:
    """Reads every frame it has time for, and watches hands in it; what it has no time for, the camera drops."""

    def __init__(
        self,
        frames: FrameSource,
        reader: BarcodeReader,
        scanner: Scanner,
        *,
        health: Health,
        clock: Clock,
        submit: Submit,
        recorder: Recorder,
        hands: HandWatch | None = None,
        onlook: Callable[[Frame], bool] = lambda _: False,
        recognise: RecogniseGoods | None = None,
    ) -> None:
        self._onlook, self._recognise = onlook, recognise
        self._frames, self._reader, self._scanner, self._hands = frames, reader, scanner, hands
        self._health, self._clock, self._submit, self._recorder = health, clock, submit, recorder
        self.turned_us: int | None = None
        """When a frame was last read through."""
        self.frames_read = 0
        self.frames_failed = 0

    @property
    def refused(self) -> dict[str, int]:
        """Codes that were nothing to sell here, by reason."""
        return dict(self._scanner.counts)

    async def run(self) -> None:
        while True:
            try:
                await self._look()
                _LOG.warning("the camera ended", again_in_s=_CAMERA_AGAIN_S)
            except Exception:  # noqa: BLE001 - the one of this loop
                # Whatever a camera's library raises must not end the shopping trip: weigh on, and say it is silent.
                _LOG.exception("the camera failed", again_in_s=_CAMERA_AGAIN_S)
            await asyncio.sleep(_CAMERA_AGAIN_S)

    async def _look(self) -> None:
        async for frame in self._frames.frames():
            shown = self._onlook(frame)
            readings, passage = await self._examine(frame)
            symbols = [_symbol(reading) for reading in readings]
            likelihoods = {_symbol(one): one.likelihood for one in readings if one.likelihood is not None}
            self._health.framed(frame.at_us)
            self.turned_us = self._clock.monotonic_us()
            today = self._today()
            self._recorder.looked(frame.at_us, symbols, likelihoods, today)
            for seen in self._scanner.feed(frame.at_us, symbols, today, likelihoods):
                _log_seen(seen)
                self._submit(Seen(seen))
            if passage is not None:
                self._passed(passage, frame, shown=shown)

    def _passed(self, passage: Passage, frame: Frame, *, shown: bool) -> None:
        """Tell of a hand. Of what staff show to the cart no picture is kept, and nobody asks what it is."""
        self._submit(Passed(passage.from_us, passage.until_us, passage.way))
        _LOG.debug("passage", way=passage.way.value, from_us=passage.from_us, until_us=passage.until_us)
        if shown:
            return
        if self._recognise:
            self._recognise(passage, limited=frame.colour is not None and frame.colour.limited)
        for crop in passage.crops:
            self._recorder.crop(crop.at_us, crop.luma)

    def _today(self) -> dt.date:
        """The shop's day, by the machine's time zone."""
        return dt.datetime.fromtimestamp(self._clock.wall_ms() // 1_000, dt.UTC).astimezone().date()

    async def _examine(self, frame: Frame) -> tuple[Sequence[Reading], Passage | None]:
        try:
            readings, passage = await asyncio.to_thread(self._look_at, frame)
        except (ValueError, TypeError, RuntimeError) as error:  # a garbled frame: wrong shape or type
            self.frames_failed += 1
            _LOG.warning("a frame could not be read", error=str(error), shape=frame.luma.shape)
            return (), None
        self.frames_read += 1
        return readings, passage

    def _look_at(self, frame: Frame) -> tuple[Sequence[Reading], Passage | None]:
        planes = frame.colour.planes if frame.colour else None
        passage = self._hands.see(frame.at_us, frame.luma, planes) if self._hands else None
        return self._reader.read(frame.luma), passage


def _symbol(reading: Reading) -> Symbol:
    return reading.symbology, reading.payload


def _log_step(step: Step) -> None:
    _LOG.debug("step", mass_mg=step.mass, level_mg=step.level, at_us=step.at_us)


def _log_seen(seen: Shown | Refused) -> None:
    if isinstance(seen, Refused):
        _LOG.info("code refused", reason=seen.reason, text=seen.text, symbology=seen.symbology)
    else:
        _LOG.debug("code read", product=seen.product.id, at_us=seen.at_us)
