"""A serial port whose far end is ours: a pty under a name that stays, which can be pulled out and put back.

A pty is no UART (reference/hardware, section 5): it keeps eight bits and no parity whatever the client asks for, and
it has no speed. So a device with seven data bits sends bit 7 clear, which is what a UART hands to the client, and a
parity error is injected by spoiling a byte. Debian's glibc adds a trap: tcsetattr asking for seven bits or parity fails
with EINVAL when it changes nothing else either, which is what a client sees that opens the line a second time. So the
line forgets its speed (`forget_speed`), and each opening changes something.
"""

import asyncio
import contextlib
import os
import termios
import tty
from collections.abc import Callable
from pathlib import Path

_ISPEED, _OSPEED = 4, 5
"""Places in what tcgetattr returns."""


class SerialPort:
    """The instrument's end of a serial line.

    Args:
        link: the stable name under which clients open the line.
        received: called with the bytes a client sent; what it returns is sent back.
    """

    def __init__(self, link: Path, received: Callable[[bytes], bytes] = lambda _: b"") -> None:
        self._link = link
        self._received = received
        self._ours: int | None = None
        self._kept_open: int | None = None
        self.lost_bytes = 0
        """Bytes that nobody took: a line without flow control drops them."""

    @property
    def plugged(self) -> bool:
        return self._ours is not None

    def plug(self) -> None:
        """Connect the line and make its name. Needs a running loop; may be repeated."""
        if self._ours is not None:
            return
        # Without a client end of our own the master would read EIO after each client's close.
        self._ours, self._kept_open = os.openpty()
        tty.setraw(self._kept_open)
        self.forget_speed()
        os.set_blocking(self._ours, False)
        self._link.parent.mkdir(parents=True, exist_ok=True)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(self._kept_open))
        asyncio.get_running_loop().add_reader(self._ours, self._read)

    def unplug(self) -> None:
        """Pull the line out: an open client gets an I/O error, the name is gone. May be repeated."""
        if self._ours is None or self._kept_open is None:
            return
        asyncio.get_running_loop().remove_reader(self._ours)
        self._link.unlink(missing_ok=True)
        os.close(self._ours)
        os.close(self._kept_open)
        self._ours = self._kept_open = None

    def forget_speed(self) -> None:
        """Set a speed that no instrument has, so that a client's next settings change something."""
        if self._kept_open is not None:
            settings = termios.tcgetattr(self._kept_open)
            settings[_ISPEED] = settings[_OSPEED] = termios.B50
            termios.tcsetattr(self._kept_open, termios.TCSANOW, settings)

    def send(self, data: bytes) -> None:
        """Send bytes, never waiting; what finds no room, or no line, is lost."""
        sent = 0
        if self._ours is not None:
            with contextlib.suppress(BlockingIOError):
                sent = os.write(self._ours, data)
        self.lost_bytes += len(data) - sent

    def _read(self) -> None:
        if self._ours is None:
            return
        with contextlib.suppress(BlockingIOError):
            answer = self._received(os.read(self._ours, 4096))
            if answer:
                self.send(answer)
