"""The HX711 load-cell converter, whatever carries its two wires: when it is read, and when it is believed.

A frame proves little about itself: one to three bits at its end must be 1, and an unplugged line is 1 as well. What
proves it is the chip's own clock. A conversion counts only when the next one comes on time: a chip that was unplugged,
lost power or switched its input in between pauses for its settling time. Likewise a frame counts only when it was
over before the next conversion could have replaced the word under it. Constants: Avia Semiconductor, "HX711 24-Bit ADC
for Weigh Scales", pages 3 to 5; reasons: docs/decisions/0019.
"""

from enum import Enum, auto
from typing import Protocol

from cart_firmware.devices.converter import MicrosecondClock, Plausibility
from cart_firmware.ports import (
    FrameError,
    RateError,
    Sample,
    SilentError,
    SlowClockError,
    StuckError,
    WrongGainError,
)

DATA_PULSES = 24
PULSES = {128: 25, 32: 26, 64: 27}
"""Pulses of a frame by the gain (and input: 32 is channel B) that they select for the next conversion."""

_HIGHEST, _LOWEST = 0x7FFFFF, -0x800000
"""The output saturates at these codes when the input leaves the 24-bit range."""
_SETTLING = 4.0
"""Conversion times after a reset or a change of gain: 50 ms at 80 per second, 400 ms at 10 per second."""
_SHORTEST = 0.8
"""Share of a conversion time after which the next may be ready: the chip's oscillator has some tolerance."""
_PAUSE = 2.0
"""Conversion times without data that a converting chip cannot take."""
_PUNCTUAL = 3.0
"""A restarted chip cannot have its next conversion within so many conversion times."""
_SETTLED_BY = 6.0
"""Conversion times after a reset when a chip that is there has its first conversion."""
_OTHER_RATE = 6.5
"""A pause this long is no settling: the chip is strapped for 10 and not for 80 (eight conversion times)."""
_SILENT = 10.0
_FIRST_US = 600_000
"""How long the first conversion after a reset may take: settling at 10 per second, whatever rate was configured."""


class Wire(Protocol):
    """PD_SCK and DOUT. Errors leave the chip in a state that only `power_cycle` ends."""

    def ready(self) -> bool:
        """Return whether DOUT is low: a conversion waits."""

    def frame(self) -> int:
        """Clock out the conversion that waits; return its signed counts.

        Raises:
            FrameError: a check bit was not 1, or DOUT did not go high after the frame.
            SlowClockError: a pulse was too long.
        """

    def power_cycle(self) -> None:
        """Hold PD_SCK high for longer than 60 us and let it fall: reset, channel A, gain 128."""

    def close(self) -> None: ...


class _State(Enum):
    UNKNOWN = auto()
    """Power-cycle before anything else is believed."""
    SETTLING = auto()
    SELECTING = auto()
    """The gain was changed: what comes within the settling time is thrown away."""
    CONVERTING = auto()


class Hx711:
    """A load cell behind an HX711. `poll` it at least as often as it converts; fulfils ports.LoadCell.

    Args:
        wire: whatever clocks the chip.
        rate_hz: as the RATE pin is strapped.
        clock: the one that `poll` is told the time of; read again at the end of a frame.
        gain: 128 or 64 of channel A, or 32 of channel B; the wire's frames select it.
    """

    def __init__(self, wire: Wire, rate_hz: float, clock: MicrosecondClock, *, gain: int = 128) -> None:
        self.rate_hz = rate_hz
        self._wire, self._clock, self._gain = wire, clock, gain
        self._conversion_us = round(1_000_000 / rate_hz)
        self._plausibility = Plausibility("HX711", lowest=_LOWEST, highest=_HIGHEST)
        self._state = _State.UNKNOWN
        self._since_us = 0
        """When this state began; while converting, when the last conversion was found ready."""
        self._not_before_us = 0
        """The earliest time at which the conversion that waits, or comes next, can have been finished."""
        self._absent_us = 0
        """When DOUT was last seen high."""
        self._held_low = False
        self._late_told = False
        """Whether it was said that the first conversion after this reset is late."""
        self._long_pauses = 0
        """In a row: one is a plug that came out for a moment, two are another rate."""
        self._pending: Sample | None = None
        """Read, but not yet confirmed by the next conversion's coming on time."""

    def poll(self, now_us: int) -> Sample | None:
        """Return the conversion before the one that just came; None while the chip settles or converts.

        Raises:
            FrameError, SlowClockError: the frame is not to be trusted. The chip was power-cycled.
            WrongGainError, RateError: it paused as a chip does that restarted, or is strapped for another rate.
            SaturatedError: the conversion is at its end; the chip goes on.
            StuckError: the same counts over and over. The chip was power-cycled.
            SilentError: no conversion came in ten conversion times. The chip was power-cycled.
        """
        try:
            return self._turn(now_us)
        except (FrameError, SlowClockError, StuckError):
            self._power_cycle(now_us)
            raise
        except OSError as error:
            self._state, self._pending = _State.UNKNOWN, None
            raise SilentError(f"HX711: its bus fails: {error}; check that the interface is enabled") from error

    def close(self) -> None:
        self._wire.close()

    # ── states ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _turn(self, now_us: int) -> Sample | None:
        if self._state is _State.UNKNOWN:
            self._power_cycle(now_us)
            return None
        if not self._wire.ready():
            self._absent(now_us)
            return None
        match self._state:
            case _State.SETTLING:
                self._settled(now_us)
            case _State.SELECTING:
                self._selecting(now_us)
            case _:
                return self._conversion(now_us)
        return None

    def _absent(self, now_us: int) -> None:
        """DOUT is high: note what that says about the next conversion, and about the last."""
        self._absent_us = self._not_before_us = now_us
        waited_us = now_us - self._since_us
        if self._state is _State.CONVERTING and waited_us > _PAUSE * self._conversion_us:
            self._pending = None
        silent = (
            f"HX711: no conversion for {waited_us / 1_000:.0f} ms at {self.rate_hz:g} per second; "
            "check its supply and both wires"
        )
        patience_us = _SILENT * self._conversion_us
        if self._state is not _State.CONVERTING:
            patience_us = max(patience_us, _FIRST_US)
            if waited_us >= _SETTLED_BY * self._conversion_us and not self._late_told:
                self._late_told = True
                raise SilentError(f"{silent}; it is waited for")
        if waited_us >= patience_us:
            self._power_cycle(now_us)
            raise SilentError(f"{silent}; the chip was power-cycled")

    def _settled(self, now_us: int) -> None:
        if self._held_low:
            self._power_cycle(now_us)
            raise SilentError(
                "HX711: DOUT stays low through a reset, while a chip that lives holds it high; unplugged (the pin "
                "pulls down), shorted, or PD_SCK is open; check both wires, and fit 10 kOhm from DOUT to 3.3 V"
            )
        settling_us = self._clock() - self._since_us
        if settling_us < _SETTLING * _SHORTEST * self._conversion_us:
            self._select(now_us)
            raise RateError(
                f"HX711: settled in {settling_us / 1_000:.0f} ms, expected {self._ms(_SETTLING)}; RATE is strapped "
                f"for more than {self.rate_hz:g} conversions per second: correct load_cell.rate_hz, or the strap"
            )
        self._select(now_us)

    def _select(self, now_us: int) -> None:
        """Read and throw away: of unknown gain, or not settled. From here on the gain is ours."""
        self._wire.frame()
        self._plausibility.forget()
        self._pending = None
        self._state = _State.CONVERTING if self._gain == 128 else _State.SELECTING
        self._since_us, self._not_before_us = now_us, self._clock()

    def _selecting(self, now_us: int) -> None:
        self._wire.frame()
        self._not_before_us = self._clock()
        if now_us - self._since_us >= _SETTLING * _SHORTEST * self._conversion_us:
            self._state, self._since_us = _State.CONVERTING, now_us

    def _conversion(self, now_us: int) -> Sample | None:
        conversion_us = self._conversion_us
        pause_us = self._absent_us - self._since_us
        if pause_us > _PAUSE * conversion_us:
            self._select(now_us)  # at once: later, the next conversion could come up under the frame
            self._name_pause(pause_us)
        if now_us - self._since_us > _PUNCTUAL * conversion_us:
            # Nobody looked: the chip may have restarted meanwhile. Its next frames are judged as after a reset.
            self._select(now_us)
            return None
        if self._clock() < self._not_before_us:
            raise FrameError(
                f"HX711: ready {(now_us - self._since_us) / 1_000:.1f} ms after the last conversion, "
                f"expected {self._ms(1)}; clock edges went astray, or RATE is strapped for more than "
                f"{self.rate_hz:g} per second; the chip was power-cycled"
            )
        counts = self._wire.frame()
        confirmed, self._pending = self._pending, Sample(now_us, counts)
        ended_us, next_us = self._clock(), self._not_before_us + round(_SHORTEST * conversion_us)
        if ended_us >= next_us:
            self._pending = None  # the next conversion may have come up under this frame
        self._since_us, self._not_before_us = now_us, max(next_us, ended_us)
        if confirmed is None:
            return None
        self._long_pauses = 0
        return Sample(confirmed.at_us, confirmed.counts, self._plausibility.judge(confirmed.counts))

    def _name_pause(self, pause_us: int) -> None:
        seen = f"HX711: paused for more than {pause_us / 1_000:.0f} ms, expected a conversion each {self._ms(1)}"
        self._long_pauses += pause_us >= _OTHER_RATE * self._conversion_us
        if self._long_pauses > 1:
            raise RateError(
                f"{seen}; RATE is strapped for fewer than {self.rate_hz:g} conversions per second: "
                "correct load_cell.rate_hz, or the strap"
            )
        raise WrongGainError(
            f"{seen}; it restarted at gain 128 or switched its input; the gain {self._gain} is selected again; "
            "check its supply and the plugs"
        )

    def _power_cycle(self, now_us: int) -> None:
        self._wire.power_cycle()
        self._held_low = self._wire.ready()
        self._plausibility.forget()
        self._pending = None
        self._state, self._late_told = _State.SETTLING, False
        self._since_us = self._not_before_us = now_us

    def _ms(self, conversions: float) -> str:
        return f"{conversions * self._conversion_us / 1_000:.0f} ms"


def signed(code: int) -> int:
    """Return 24 bits in two's complement as a number."""
    return code - ((code & 0x800000) << 1)


def checked(word: int, pulses: int) -> int:
    """Return the signed counts in the bits of a whole frame, first bit highest.

    Raises:
        FrameError: the bits after the data are not all 1.
    """
    extra = pulses - DATA_PULSES
    ones = (1 << extra) - 1
    if word & ones != ones:
        raise FrameError(
            f"HX711: bits 25 to {pulses} after {word >> extra:#08x} were {word & ones:0{extra}b}, must be 1; clock "
            "edges went astray, or DOUT is held low; the chip was power-cycled; check the wires"
        )
    return signed(word >> extra)
