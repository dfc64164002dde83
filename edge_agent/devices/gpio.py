"""The agent's digital pins: a gpiozero factory chosen by name, and outputs whose failures are DeviceErrors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gpiozero

from cart_protocol.host import pins
from cart_protocol.host.pins import Pins
from edge_agent.ports import DeviceError

_BOUNCE_S = 0.02
"""Relay contacts bounce for a few milliseconds."""


def open_pins(name: str) -> Pins:
    """Return a gpiozero pin factory: 'lgpio', 'pigpio', 'native', or what a class path returns.

    Raises:
        DeviceError: the back-end is not installed or finds no pins here.
        ConfigurationError: the class path cannot be opened.
    """
    try:
        return pins.open_pins(name)
    except pins.PinsError as error:
        raise DeviceError(str(error)) from error


@contextmanager
def named_faults(what: str) -> Iterator[None]:
    """Turn gpiozero's and the kernel's errors into a DeviceError that says which part of the lane failed."""
    try:
        yield
    except (gpiozero.GPIOZeroError, OSError) as error:
        raise DeviceError(f"{what}: {error}; check the wiring and that nobody else uses the pin") from error


class Output:
    """One switched line, low at first. It stays what it was last set to; a closed one is low."""

    def __init__(self, what: str, pin: int, factory: Pins) -> None:
        self._what = f"{what} on GPIO{pin}"
        with named_faults(self._what):
            self._line = gpiozero.OutputDevice(pin, initial_value=False, pin_factory=factory)

    def set(self, on: bool) -> None:
        """Raises DeviceError when the pin cannot be driven."""
        with named_faults(self._what):
            self._line.value = on

    def close(self) -> None:
        self._line.close()


class Contact:
    """One dry contact to ground, with the Pi's pull-up: closed is active. `closed` is called in gpiozero's thread."""

    def __init__(self, what: str, pin: int, factory: Pins, closed: Callable[[], None]) -> None:
        with named_faults(f"{what} on GPIO{pin}"):
            self._button = gpiozero.Button(pin, pull_up=True, bounce_time=_BOUNCE_S, pin_factory=factory)
            self._button.when_pressed = closed

    @property
    def is_closed(self) -> bool:
        return bool(self._button.is_pressed)

    def close(self) -> None:
        self._button.close()
