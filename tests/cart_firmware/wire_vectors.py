"""Bytes and edges from data sheets, and parts that record what a driver does to them."""

import json
from pathlib import Path
from typing import Any

from cart_firmware.devices.hx711_bitbang import PinWire

_FOLDER = Path(__file__).parents[1] / "contract" / "vectors"


def vectors(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


class RecordingPins:
    """The API of RPi.GPIO on two pins; DOUT says one of `bits` after another."""

    BCM, IN, OUT, LOW, PUD_UP = 11, 1, 0, 0, 22

    def __init__(self, *, dout: int, pd_sck: int, bits: list[int]) -> None:
        self._names = {dout: "DOUT", pd_sck: "PD_SCK"}
        self._pins = (dout, pd_sck)
        self._bits = iter(bits)
        self.done: list[str] = []

    def wire(self, pulses: int) -> PinWire:
        dout, pd_sck = self._pins
        return PinWire(self, lambda: 0, dout=dout, pd_sck=pd_sck, pulses=pulses)

    def setmode(self, mode: int, /) -> None:
        self.done.append(f"mode {mode}")

    def setup(self, channel: int, direction: int, /, *, pull_up_down: int = 20, initial: int = -1) -> None:
        self.done.append(f"{self._names[channel]} {direction} {pull_up_down} {initial}")

    def output(self, channel: int, value: int, /) -> None:
        self.done.append(f"{self._names[channel]} {value}")

    def input(self, channel: int, /) -> int:
        self.done.append(f"{self._names[channel]} ?")
        return next(self._bits)

    def cleanup(self, channel: list[int], /) -> None:
        self.done.append(f"cleanup {channel}")
