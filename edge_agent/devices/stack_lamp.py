"""The lane's stack lamp and sounder: one switched line each."""

from cart_protocol.host.pins import Pins
from edge_agent.devices.gpio import Output
from edge_agent.ports import LampColour


class StackLamp:
    """Green, amber and red, at most one lit."""

    def __init__(self, *, green: int, amber: int, red: int, pins: Pins) -> None:
        self._lamps = {
            LampColour.GREEN: Output("green lamp", green, pins),
            LampColour.AMBER: Output("amber lamp", amber, pins),
            LampColour.RED: Output("red lamp", red, pins),
        }

    def show(self, colour: LampColour) -> None:
        for lit, lamp in self._lamps.items():
            lamp.set(lit is colour)

    def close(self) -> None:
        for lamp in self._lamps.values():
            lamp.close()


class Sounder:
    """A buzzer that sounds while its line is on."""

    def __init__(self, pin: int, pins: Pins) -> None:
        self._buzzer = Output("sounder", pin, pins)

    def sound(self, on: bool) -> None:
        self._buzzer.set(on)

    def close(self) -> None:
        self._buzzer.close()
