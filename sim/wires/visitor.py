"""A plug-in's end of the street: a thread that keeps calling until the world answers, and hears what it says.

It runs inside the product's processes, so it must never hold them up: sending drops the line rather than wait for it.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable

import msgspec

from sim.wires import notices

_PATIENCE_S = 0.5
"""Between two attempts to reach the street."""


class Visitor:
    """One connection to the street, mended whenever it breaks.

    Args:
        street: path of the world's socket; it may appear later, vanish and come back.
        hello: said first on every connection.
        heard: called in the visitor's thread with every notice of the world.
        state: what to say again after `hello` on every new connection.
    """

    def __init__(
        self,
        street: str,
        hello: notices.Hello,
        heard: Callable[[notices.FromWorld], None],
        state: Callable[[], Iterable[notices.FromProduct]] = tuple,
    ) -> None:
        self._street = street
        self._hello = hello
        self._heard = heard
        self._state = state
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self.breaks = 0
        """Attempts and connections that failed."""
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._stay, name=f"street-{hello.part}-{hello.of}", daemon=True)
        self._thread.start()

    def say(self, notice: notices.FromProduct) -> None:
        """Tell the world, if it listens; `state` tells it on the next connection otherwise. Never waits."""
        with self._lock:
            if self._line is not None:
                self._send(self._line, notice)

    def close(self) -> None:
        """Leave the street. May be repeated; not from within `heard`."""
        self._leaving.set()
        with self._lock:
            if self._line is not None:
                _hang_up(self._line)
        self._thread.join(timeout=2 * _PATIENCE_S)

    def _stay(self) -> None:
        while not self._leaving.is_set():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                try:
                    line.connect(self._street)
                    self._greet(line)
                    self._listen(line)
                except (OSError, msgspec.DecodeError):
                    self.breaks += 1  # no street (yet), or its last line was cut: call again
                finally:
                    with self._lock:
                        self._line = None
            self._leaving.wait(_PATIENCE_S)

    def _greet(self, line: socket.socket) -> None:
        with self._lock:
            if self._leaving.is_set():
                return
            self._line = line
            self._send(line, self._hello)
            for notice in self._state():
                self._send(line, notice)

    def _listen(self, line: socket.socket) -> None:
        with line.makefile("rb") as lines:
            for text in lines:
                self._heard(notices.from_world(text))

    def _send(self, line: socket.socket, notice: notices.FromProduct) -> None:
        text = notices.encode(notice) + notices.END
        try:
            complete = line.send(text, socket.MSG_DONTWAIT) == len(text)
        except OSError:
            complete = False
        if not complete:
            _hang_up(line)


def _hang_up(line: socket.socket) -> None:
    """End the connection; the thread that listens on it notices."""
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
