"""HX711 on two pins, clocked by software over the API of RPi.GPIO (RPi.GPIO itself, rpi-lgpio, or a look-alike).

Software cannot promise a short pulse, but it can see afterwards that one was long: each time PD_SCK was high is
measured around both pin accesses, which is never less than the truth. One that may have reached 50 us (HX711 datasheet,
T3; above 60 us the chip powers down) costs the reading and a reset. rpi-lgpio needs 120 to 250 us for a pulse on small
boards (its issue 2): there only SPI works, and the error says so.
"""

from typing import Protocol

from cart_firmware.devices.converter import MicrosecondClock
from cart_firmware.devices.hx711 import PULSES, Hx711, checked
from cart_firmware.ports import FrameError, SlowClockError

LONGEST_HIGH_US = 49
"""By a clock of whole microseconds: the truth is below 50, the most that the datasheet allows (T3)."""
_POWER_DOWN_US = 100
"""Datasheet: above 60 us."""


class Gpio(Protocol):
    """What we use of the module RPi.GPIO; levels are 0 and 1."""

    BCM: int
    IN: int
    OUT: int
    LOW: int
    PUD_UP: int

    def setmode(self, mode: int, /) -> None: ...
    def setup(self, channel: int, direction: int, /, *, pull_up_down: int = ..., initial: int = ...) -> None: ...
    def output(self, channel: int, value: int, /) -> None: ...
    def input(self, channel: int, /) -> int: ...
    def cleanup(self, channel: list[int], /) -> None: ...


class PinWire:
    """hx711.Wire over two pins by their BCM numbers; frames have `pulses` pulses."""

    def __init__(self, gpio: Gpio, clock: MicrosecondClock, *, dout: int, pd_sck: int, pulses: int) -> None:
        self._gpio, self._clock, self._dout, self._pd_sck, self._pulses = gpio, clock, dout, pd_sck, pulses
        gpio.setmode(gpio.BCM)
        gpio.setup(pd_sck, gpio.OUT, initial=gpio.LOW)
        # Pulled up, a lost chip is silent; floating, it would be noise.
        gpio.setup(dout, gpio.IN, pull_up_down=gpio.PUD_UP)

    def ready(self) -> bool:
        return not self._gpio.input(self._dout)

    def frame(self) -> int:
        output, read, clock, dout, pd_sck = self._gpio.output, self._gpio.input, self._clock, self._dout, self._pd_sck
        word = 0
        for pulse in range(1, self._pulses + 1):
            before_us = clock()
            output(pd_sck, 1)
            output(pd_sck, 0)
            high_us = clock() - before_us
            if high_us > LONGEST_HIGH_US:
                raise SlowClockError(
                    f"HX711: pulse {pulse} was high for up to {high_us} us, at most {LONGEST_HIGH_US} are safe; the "
                    "reading was discarded and the chip power-cycled; where this is frequent, wire it to SPI"
                )
            word = word << 1 | (1 if read(dout) else 0)
        if not read(dout):
            raise FrameError(
                f"HX711: DOUT was low after pulse {self._pulses}, must be high until the next conversion; clock edges "
                "went astray, or it was unplugged; the chip was power-cycled; check the wires"
            )
        return checked(word, self._pulses)

    def power_cycle(self) -> None:
        # Reading a pin passes the time: sleeping could last a whole scheduler's turn.
        self._gpio.output(self._pd_sck, 1)
        began_us = self._clock()
        while self._clock() - began_us < _POWER_DOWN_US:
            self._gpio.input(self._dout)
        self._gpio.output(self._pd_sck, 0)

    def close(self) -> None:
        self._gpio.cleanup([self._pd_sck, self._dout])


def hx711_bitbang(
    gpio: Gpio, dout: int, pd_sck: int, rate_hz: float, clock: MicrosecondClock, *, gain: int = 128
) -> Hx711:
    """Return the load cell behind an HX711 on two pins."""
    wire = PinWire(gpio, clock, dout=dout, pd_sck=pd_sck, pulses=PULSES[gain])
    return Hx711(wire, rate_hz, clock, gain=gain)
