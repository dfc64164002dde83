"""Mettler-Toledo 8217 scales ("weight only"): the wire, without I/O, and a scale that speaks it over a serial port.

9600 baud, 7 data bits, even parity. The host sends one letter; the scale answers `STX WW.WWW CR` (kilograms, `N` before
CR when net) or `STX ? s CR` with a status character while it has no valid weight. There is no checksum: a weight counts
only when it is read twice alike (services.lane). Source: PSC Magellan 8500 service manual, pp. 39-45.
"""

import asyncio
import re

from cart_protocol.mass import Mass
from edge_agent.devices.serial_port import SerialPort, SerialSettings
from edge_agent.ports import DeviceError, Weight

WEIGH = b"W"
"""Asks for one weight."""

STX, CR = 0x02, 0x0D
_NO_WEIGHT = ord("?")
_MOTION, _OVER_CAPACITY, _UNDER_ZERO, _NET = 1 << 0, 1 << 1, 1 << 2, 1 << 5
# Bits 3 and 4 (zero capture range, centre of zero) say nothing about validity. Bit 6 is "always 1" in Mettler's manual
# and "bad command" elsewhere, and bit 7 is parity, so neither is looked at.
_KILOGRAMS = re.compile(rb"(\d{2})\.(\d{3})(N?)")
_LONGEST = 7
"""Characters between STX and CR: 'WW.WWWN'."""
_ANSWER_S = 0.5
"""A scale answers W within one display update (about 0.1 s)."""


class Reader:
    """Bytes to weights, in any portions. What is no frame is counted in `garbled` and dropped, never guessed at."""

    def __init__(self) -> None:
        self.garbled = 0
        self._frame: bytearray | None = None

    def feed(self, received: bytes) -> Weight | None:
        """Return the newest weight that these bytes complete, or None while they complete none."""
        newest: Weight | None = None
        for byte in received:
            newest = self._take(byte) or newest
        return newest

    def _take(self, byte: int) -> Weight | None:
        if self._frame is None:
            self._start(byte)
            return None
        if byte == CR and self._frame != bytes([_NO_WEIGHT]):  # '?' is followed by a status, whatever its value
            frame, self._frame = bytes(self._frame), None
            return self._interpret(frame)
        if byte == STX and self._frame != bytes([_NO_WEIGHT]):
            self.garbled += 1
            self._frame = bytearray()
            return None
        self._frame.append(byte)
        if len(self._frame) > _LONGEST:
            self.garbled += 1
            self._frame = None
        return None

    def _start(self, byte: int) -> None:
        if byte == STX:
            self._frame = bytearray()
        else:
            self.garbled += 1

    def _interpret(self, frame: bytes) -> Weight | None:
        if found := _KILOGRAMS.fullmatch(frame):
            return Weight(mass=Mass(int(found[1] + found[2]) * 1_000), net=bool(found[3]))
        if len(frame) == 2 and frame[0] == _NO_WEIGHT:
            return _status(frame[1])
        self.garbled += 1
        return None


def _status(bits: int) -> Weight:
    return Weight(
        mass=None,
        in_motion=bool(bits & _MOTION),
        over_capacity=bool(bits & _OVER_CAPACITY),
        under_zero=bool(bits & _UNDER_ZERO),
        net=bool(bits & _NET),
    )


class Scale8217:
    """An 8217 scale on a serial port. `division` is its verification scale interval e.

    Every weighing is a fresh question and answer; the port is opened by the first one, and again after it was lost.
    """

    def __init__(self, port: SerialPort, division: Mass) -> None:
        self.division = division
        self._port = port

    async def weigh(self) -> Weight:
        return await asyncio.to_thread(self._ask)

    async def close(self) -> None:
        await asyncio.to_thread(self._port.close)

    def _ask(self) -> Weight:
        answer = self._port.ask(WEIGH, bytes([CR]))
        reader = Reader()
        weight = reader.feed(answer)
        if weight is None and answer == bytes([STX, _NO_WEIGHT, CR]):  # the status itself was CR; read on
            weight = reader.feed(self._port.read_until(bytes([CR])))
        if weight is None:
            seen = f"answered {answer!r}" if answer else f"was silent for {_ANSWER_S} s"
            raise DeviceError(f"scale at {self._port.path} {seen}; expected an 8217 weight: check cable and protocol")
        return weight


def open_scale(path: str, division: Mass) -> Scale8217:
    """Return the scale at a serial device path; nothing is opened before the first weighing."""
    settings = SerialSettings(baud=9600, data_bits=7, parity="E", timeout_s=_ANSWER_S)
    return Scale8217(SerialPort(path, settings), division)
