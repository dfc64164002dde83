"""A serial port as lane devices need it: exclusive, opened when first used and again after it was unplugged.

Blocking: call it in a thread. Modem lines are left alone: pseudo-terminals and some USB adapters have none.
"""

import termios
import threading
from collections.abc import Callable
from typing import Literal

import msgspec
import serial

from edge_agent.ports import DeviceError


class SerialSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the device was set to. Defaults are those of scanners in serial mode."""

    baud: int = 9600
    data_bits: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"


class SerialPort:
    """One port. Every failure is a DeviceError and closes it, so that the next call opens it afresh.

    Calls from several threads take turns; `close` waits for the one in progress.
    """

    def __init__(self, path: str, settings: SerialSettings) -> None:
        self.path = path
        self._settings = settings
        self._port: serial.Serial | None = None
        self._turn = threading.Lock()

    def ask(self, request: bytes, terminator: bytes, timeout_s: float) -> bytes:
        """Drop what nobody asked for, send `request`, and return the answer up to and with `terminator`.

        Returns early what came when `timeout_s` has passed, perhaps nothing.

        Raises:
            DeviceError: the port is missing, taken or was unplugged.
        """
        return self._guarded(lambda port: _ask(port, request, terminator, timeout_s))

    def read_until(self, terminator: bytes, timeout_s: float) -> bytes:
        """Return bytes up to and with `terminator`, or what came in `timeout_s`. Raises DeviceError like `ask`."""
        return self._guarded(lambda port: _read_until(port, terminator, timeout_s))

    def read_some(self, timeout_s: float) -> bytes:
        """Return what has come, waiting at most `timeout_s` for the first byte. Raises DeviceError like `ask`."""
        return self._guarded(lambda port: _read_some(port, timeout_s))

    def close(self) -> None:
        with self._turn:
            self._drop()

    def _guarded(self, use: Callable[[serial.Serial], bytes]) -> bytes:
        with self._turn:
            try:
                return use(self._opened())
            except (serial.SerialException, termios.error, OSError, TypeError) as error:
                # termios.error is no OSError; TypeError is what pyserial raises when the port vanishes inside a read.
                self._drop()
                raise DeviceError(f"serial port {self.path}: {error}; is it plugged in, and free?") from error

    def _opened(self) -> serial.Serial:
        if self._port is None:
            self._port = serial.Serial(
                self.path,
                self._settings.baud,
                bytesize=self._settings.data_bits,
                parity=self._settings.parity,
                exclusive=True,
                write_timeout=1.0,
            )
        return self._port

    def _drop(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.close()


def _ask(port: serial.Serial, request: bytes, terminator: bytes, timeout_s: float) -> bytes:
    port.reset_input_buffer()
    port.write(request)
    return _read_until(port, terminator, timeout_s)


def _read_until(port: serial.Serial, terminator: bytes, timeout_s: float) -> bytes:
    _set_timeout(port, timeout_s)
    return bytes(port.read_until(terminator))


def _read_some(port: serial.Serial, timeout_s: float) -> bytes:
    _set_timeout(port, timeout_s)
    first = bytes(port.read(1))
    return first + bytes(port.read(port.in_waiting)) if first else first


def _set_timeout(port: serial.Serial, timeout_s: float) -> None:
    if port.timeout != timeout_s:  # assigning it makes pyserial configure the whole port again
        port.timeout = timeout_s
