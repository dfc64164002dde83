"""HX711 through the kernel's driver (drivers/iio/adc/hx711.c): two files below /sys/bus/iio/devices/iio:deviceN.

`in_voltage0_raw` is offset binary. Reading it blocks until the chip has a conversion: 12 to 20 ms at 80 per second, and
two seconds (two waits of one, and a reset between them) before it fails with EIO because the chip is gone. So a thread
reads, and `poll` takes what it found. The kernel keeps pulses short by holding interrupts off; it looks at no bit after
the data, so a reading counts only when the next one comes soon after it.
"""

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cart_firmware.devices.converter import MicrosecondClock, Plausibility
from cart_firmware.ports import LoadCellError, Sample, SilentError, WrongGainError

RAW, SCALE = "in_voltage0_raw", "in_voltage0_scale"
_OFFSET = 0x800000
_SOON = 3.0
"""Conversion times: the kernel asks DOUT each 10 ms, so at 80 per second a reading may take two conversion times."""
_RESTART, _RESTART_US = 4.0, 150_000
"""A pause in conversion times, and at least so long that our thread was not merely kept waiting."""
_SILENT = 10.0
_PAUSE_S = 0.1
"""After a failed read: a file that is gone fails at once."""

Outcome = int | LoadCellError
"""Counts, or why there are none."""


class Readings(Protocol):
    """Where outcomes come from, each with the time at which it was complete (microseconds)."""

    def take(self) -> tuple[int, Outcome] | None:
        """Return the oldest that was not taken yet, or None."""

    def close(self) -> None: ...


class Hx711Iio:
    """A load cell behind the kernel's driver; fulfils ports.LoadCell."""

    def __init__(self, readings: Readings, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self._readings = readings
        self._conversion_us = 1_000_000 / rate_hz
        self._plausibility = Plausibility("HX711 (kernel)", lowest=-_OFFSET, highest=_OFFSET - 1)
        self._pending: Sample | None = None
        self._heard_us: int | None = None

    def poll(self, now_us: int) -> Sample | None:
        """Return the reading before the one that just came.

        Raises:
            SilentError: the kernel gave up, or nothing came in ten conversion times.
            WrongGainError: the chip paused as for a restart, or the scale is another than it was at the start.
            SaturatedError, StuckError: as for any converter.
        """
        taken = self._readings.take()
        if taken is None:
            self._mind_silence(now_us)
            return None
        at_us, outcome = taken
        self._heard_us = now_us
        if isinstance(outcome, LoadCellError):
            self._pending = None
            self._plausibility.forget()
            raise outcome
        confirmed, self._pending = self._pending, Sample(at_us, outcome)
        gap_us = at_us - confirmed.at_us if confirmed is not None else 0
        if gap_us > max(_RESTART * self._conversion_us, _RESTART_US):
            raise WrongGainError(
                f"HX711 (kernel): paused for {gap_us / 1_000:.0f} ms, expected a conversion each "
                f"{self._conversion_us / 1_000:.0f} ms: it restarted; check its supply and the plugs"
            )
        if confirmed is None or gap_us > _SOON * self._conversion_us:
            return None
        return Sample(confirmed.at_us, confirmed.counts, self._plausibility.judge(confirmed.counts))

    def close(self) -> None:
        self._readings.close()

    def _mind_silence(self, now_us: int) -> None:
        if self._heard_us is None:
            self._heard_us = now_us
        silent_us = now_us - self._heard_us
        if silent_us >= _SILENT * self._conversion_us:
            self._heard_us, self._pending = now_us, None
            raise SilentError(
                f"HX711 (kernel): no reading for {silent_us / 1_000:.0f} ms at {self.rate_hz:g} per second; the kernel "
                "tries again; check the chip's supply and wires"
            )


class FolderReadings:
    """Reads a device's folder in a thread that ends with `close`, or with the program where a read hangs."""

    def __init__(self, folder: Path, clock: MicrosecondClock) -> None:
        self._read = raw_reader(folder)
        self._clock = clock
        self._outcomes = deque[tuple[int, Outcome]](maxlen=16)
        self._closing = threading.Event()
        threading.Thread(target=self._keep_reading, name="load cell", daemon=True).start()

    def take(self) -> tuple[int, Outcome] | None:
        return self._outcomes.popleft() if self._outcomes else None

    def close(self) -> None:
        self._closing.set()

    def _keep_reading(self) -> None:
        while not self._closing.is_set():
            try:
                self._outcomes.append((self._clock(), self._read()))
            except LoadCellError as error:
                self._outcomes.append((self._clock(), error))
                self._closing.wait(_PAUSE_S)


def raw_reader(folder: Path) -> Callable[[], int]:
    """Return what reads one conversion from a device's folder, blocking; it raises LoadCellErrors.

    Raises:
        OSError: the folder has no scale.
    """
    scale = (folder / SCALE).read_text()

    def read() -> int:
        try:
            raw, scale_now = (folder / RAW).read_text(), (folder / SCALE).read_text()
        except OSError as error:
            raise SilentError(
                f"HX711 (kernel): {folder / RAW}: {error.strerror}; the chip gave no conversion in two seconds, or its "
                "driver is gone; check the wires, and dmesg"
            ) from error
        if scale_now != scale:
            raise WrongGainError(
                f"HX711 (kernel): the scale is {scale_now.strip()} and was {scale.strip()}; somebody changed "
                f"{folder / SCALE}: write it back, or restart the cart and calibrate"
            )
        return int(raw) - _OFFSET

    return read
