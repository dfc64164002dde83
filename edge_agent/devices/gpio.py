"""The agent's digital pins: a gpiozero factory chosen by name, and outputs whose failures are DeviceErrors."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gpiozero

from cart_protocol.host.class_path import is_class_path, open_class_path
from edge_agent.ports import DeviceError

_BOUNCE_S = 0.02
"""Relay contacts bounce for a few milliseconds."""

Pins = Any
"""A gpiozero pin factory; gpiozero ships no types."""

_FACTORIES = {
    "lgpio": ("gpiozero.pins.lgpio", "LGPIOFactory"),
    "pigpio": ("gpiozero.pins.pigpio", "PiGPIOFactory"),
    "native": ("gpiozero.pins.native", "NativeFactory"),
}


def open_pins(name: str) -> Pins:
    """Return a gpiozero pin factory: 'lgpio', 'pigpio', 'native', or what a class path returns.

    Named explicitly, since gpiozero's own choice falls back in silence to whatever it can import.

    Raises:
        DeviceError: the back-end is not installed or finds no pins here.
    """
    if is_class_path(name):
        return open_class_path(name)
    if name not in _FACTORIES:
        known = ", ".join(_FACTORIES)
        raise DeviceError(f"pins {name!r}: unknown; name one of {known}, or 'package.module:callable?key=value'")
    module, factory = _FACTORIES[name]
    try:
        return getattr(importlib.import_module(module), factory)()
    except ImportError as error:
        raise DeviceError(f"pins {name!r}: {error}; install the extra: pip install 'cartwright[pi]'") from error
    except (gpiozero.GPIOZeroError, OSError) as error:
        raise DeviceError(f"pins {name!r}: {error}; is this a Raspberry Pi, and are we in group gpio?") from error


@contextmanager
def named_faults(what: str) -> Iterator[None]:
    """Turn gpiozero's and the kernel's errors into a DeviceError that says which part of the lane failed."""
    try:
        yield
    except (gpiozero.GPIOZeroError, OSError) as error:
        raise DeviceError(f"{what}: {error}; check the wiring and that nobody else uses the pin") from error


class Output:
    """One switched line, low at first. It stays what it was last set to; a closed one is low."""

    def __init__(self, what: str, pin: int, pins: Pins) -> None:
        self._what = f"{what} on GPIO{pin}"
        with named_faults(self._what):
            self._line = gpiozero.OutputDevice(pin, initial_value=False, pin_factory=pins)

    def set(self, on: bool) -> None:
        """Raises DeviceError when the pin cannot be driven."""
        with named_faults(self._what):
            self._line.value = on

    def close(self) -> None:
        self._line.close()


class Contact:
    """One dry contact to ground, with the Pi's pull-up: closed is active. `closed` is called in gpiozero's thread."""

    def __init__(self, what: str, pin: int, pins: Pins, closed: Callable[[], None]) -> None:
        with named_faults(f"{what} on GPIO{pin}"):
            self._button = gpiozero.Button(pin, pull_up=True, bounce_time=_BOUNCE_S, pin_factory=pins)
            self._button.when_pressed = closed

    @property
    def is_closed(self) -> bool:
        return bool(self._button.is_pressed)

    def close(self) -> None:
        self._button.close()
