"""A serial port as lane devices need it: exclusive, opened when first used and again after it was unplugged.

Blocking: call it in a thread. Modem lines are left alone: pseudo-terminals and some USB adapters have none.
"""

import errno
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
    timeout_s: float
    """How long a read waits; fixed, since pyserial configures the whole port anew to change it."""


class SerialPort:
    """One port. Every failure is a DeviceError and closes it, so that the next call opens it afresh.

    Calls from several threads take turns; `close` waits for the one in progress.
    """

    def __init__(self, path: str, settings: SerialSettings) -> None:
        self.path = path
        self._settings = settings
        self._port: serial.Serial | None = None
        self._turn = threading.Lock()

    def ask(self, request: bytes, terminator: bytes) -> bytes:
        """Drop what nobody asked for, send `request`, and return the answer up to and with `terminator`.

        Returns what came when the timeout has passed, perhaps nothing.

        Raises:
            DeviceError: the port is missing, taken or was unplugged.
        """
        return self._guarded(lambda port: _ask(port, request, terminator))

    def read_until(self, terminator: bytes) -> bytes:
        """Return bytes up to and with `terminator`, or what came before the timeout. Raises DeviceError like `ask`."""
        return self._guarded(lambda port: bytes(port.read_until(terminator)))

    def read_some(self) -> bytes:
        """Return what has come, waiting at most the timeout for the first byte. Raises DeviceError like `ask`."""
        return self._guarded(_read_some)

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
            try:
                self._port = self._open(self._settings.data_bits, self._settings.parity)
            except termios.error as error:
                if error.args[0] != errno.EINVAL:
                    raise
                # No UART there: the pseudo-terminal of a serial server knows no parity and hands bytes on as they are.
                self._port = self._open(8, "N")
        return self._port

    def _open(self, data_bits: int, parity: str) -> serial.Serial:
        return serial.Serial(
            self.path,
            self._settings.baud,
            bytesize=data_bits,
            parity=parity,
            timeout=self._settings.timeout_s,
            write_timeout=self._settings.timeout_s,
            exclusive=True,
        )

    def _drop(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.close()


def _ask(port: serial.Serial, request: bytes, terminator: bytes) -> bytes:
    port.reset_input_buffer()
    port.write(request)
    return bytes(port.read_until(terminator))


def _read_some(port: serial.Serial) -> bytes:
    first = bytes(port.read(1))
    return first + bytes(port.read(port.in_waiting)) if first else first
