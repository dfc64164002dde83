"""A lane's hardware from its settings: the one place that knows which driver a word in the configuration means."""

from collections.abc import Callable
from typing import TypeVar

from cart_protocol.ids import LaneId
from cart_protocol.mass import grams
from edge_agent.config import LaneSettings
from edge_agent.devices.code_scanner import open_scanner
from edge_agent.devices.eas import RelayDeactivator, RelayEasGate
from edge_agent.devices.espeak import open_speaker
from edge_agent.devices.gpio import open_pins
from edge_agent.devices.scale_8217 import open_scale
from edge_agent.devices.stack_lamp import Sounder, StackLamp
from edge_agent.ports import CodeScanner, DeviceError, LaneDevices, Scale

_Device = TypeVar("_Device")


def open_lane(settings: LaneSettings) -> LaneDevices:
    """Return the devices of a lane, all outputs off. Call it inside the running event loop.

    Serial devices are opened when first used, so that a lane starts, and says what it lacks, with one unplugged.

    Raises:
        DeviceError: a setting names no driver, or the pins cannot be had.
        ConfigurationError: the class path of the pins cannot be opened.
    """
    division = grams(settings.division_g)
    scales: dict[str, Callable[[str], Scale]] = {"8217": lambda path: open_scale(path, division)}
    scanners: dict[str, Callable[[str], CodeScanner]] = {"serial": open_scanner}
    scale = _chosen("scale", settings.scale, scales)
    scanner = _chosen("scanner", settings.scanner, scanners)
    speaker = open_speaker(settings.speaker)
    pins = open_pins(settings.pins)
    return LaneDevices(
        lane=LaneId(settings.lane),
        scale=scale,
        scanner=scanner,
        deactivator=RelayDeactivator(settings.deactivator_pin, pins),
        gate=RelayEasGate(
            barrier_pin=settings.barrier_pin,
            alarm_pin=settings.alarm_input_pin,
            passage_pin=settings.passage_input_pin,
            pins=pins,
        ),
        lights=StackLamp(green=settings.green_pin, amber=settings.amber_pin, red=settings.red_pin, pins=pins),
        tone=Sounder(settings.tone_pin, pins),
        speaker=speaker,
    )


def _chosen(what: str, text: str, drivers: dict[str, Callable[[str], _Device]]) -> _Device:
    name, colon, where = text.partition(":")
    if name not in drivers or not colon or not where:
        known = ", ".join(f"'{driver}:PATH'" for driver in drivers)
        raise DeviceError(f"{what} {text!r}: no such driver; write {known}")
    return drivers[name](where)
