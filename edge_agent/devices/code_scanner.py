"""Code scanners in serial mode: a line of text per code, ended by CR, LF or both (the usual factory suffix)."""

import asyncio
from collections import deque

from edge_agent.devices.serial_port import SerialPort, SerialSettings

LONGEST = 512
"""An exit token is 192 characters; a line beyond this is noise and is cut."""
_ENDS = b"\r\n"
_SLICE_S = 0.25
"""A read waits no longer, so that stopping the lane never waits for the next shopper."""


class LineReader:
    """Bytes to codes, in any portions. A line that grows beyond LONGEST is dropped and counted in `dropped`."""

    def __init__(self) -> None:
        self.dropped = 0
        self._line = bytearray()
        self._overlong = False

    def feed(self, received: bytes) -> list[str]:
        """Return the codes that these bytes complete. Octets that are no ASCII show as U+FFFD: no code has them."""
        codes: list[str] = []
        for byte in received:
            if byte not in _ENDS:
                self._grow(byte)
            elif self._line or self._overlong:
                codes += self._finish()
        return codes

    def _grow(self, byte: int) -> None:
        if len(self._line) == LONGEST:
            self._overlong = True
        else:
            self._line.append(byte)

    def _finish(self) -> list[str]:
        line, overlong = self._line.decode("ascii", "replace"), self._overlong
        self._line.clear()
        self._overlong = False
        self.dropped += overlong
        return [] if overlong else [line]


class SerialCodeScanner:
    """A scanner on a serial port; opened by the first `read`, and again by the next one after it was unplugged."""

    def __init__(self, port: SerialPort) -> None:
        self._port = port
        self._reader = LineReader()
        self._codes: deque[str] = deque()

    async def read(self) -> str:
        while not self._codes:
            self._codes += self._reader.feed(await asyncio.to_thread(self._port.read_some))
        return self._codes.popleft()

    async def close(self) -> None:
        await asyncio.to_thread(self._port.close)


def open_scanner(path: str) -> SerialCodeScanner:
    """Return the scanner at a serial device path (9600 8N1); nothing is opened before the first read."""
    return SerialCodeScanner(SerialPort(path, SerialSettings(timeout_s=_SLICE_S)))
