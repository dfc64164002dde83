"""A machine's digital pins: a gpiozero factory, chosen by name."""

import importlib
from typing import Any

import gpiozero

from cart_protocol.host.class_path import is_class_path, open_class_path

Pins = Any
"""A gpiozero pin factory; gpiozero ships no types."""

_FACTORIES = {
    "lgpio": ("gpiozero.pins.lgpio", "LGPIOFactory"),
    "pigpio": ("gpiozero.pins.pigpio", "PiGPIOFactory"),
    "native": ("gpiozero.pins.native", "NativeFactory"),
}


class PinsError(Exception):
    """The pins cannot be had; the text says why and what to do."""


def open_pins(name: str) -> Pins:
    """Return a gpiozero pin factory: 'lgpio', 'pigpio', 'native', or what a class path returns.

    Named explicitly, since gpiozero's own choice falls back in silence to whatever it can import.

    Raises:
        PinsError: the back-end is not installed or finds no pins here.
        ConfigurationError: the class path cannot be opened.
    """
    if is_class_path(name):
        return open_class_path(name)
    if name not in _FACTORIES:
        known = ", ".join(_FACTORIES)
        raise PinsError(f"pins {name!r}: unknown; name one of {known}, or 'package.module:callable?key=value'")
    module, factory = _FACTORIES[name]
    try:
        return getattr(importlib.import_module(module), factory)()
    except ImportError as error:
        raise PinsError(f"pins {name!r}: {error}; install the extra: pip install 'cartwright[pi]'") from error
    except (gpiozero.GPIOZeroError, OSError) as error:
        raise PinsError(f"pins {name!r}: {error}; is this a Raspberry Pi, and are we in group gpio?") from error
