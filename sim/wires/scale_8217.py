"""A Mettler-Toledo 8217 exit scale: the protocol as the instrument speaks it, and the serial line it hangs on.

Source: reference/hardware, section 3 (PSC Magellan 8500 service manual pp. 39 to 45; Odoo's probe). 9600 7E1, commands
without terminator, answers STX … CR.
"""

import asyncio
from collections.abc import Callable
from enum import IntFlag
from pathlib import Path

from cart_protocol.host.clock import HostClock
from sim.wires.port import SerialPort

_STX = b"\x02"
_CR = b"\r"
_ZERO_SHARE = 0.02
"""Zero setting reaches this share of the capacity around the zero of power-up (OIML R 76-1, 4.5.1)."""
_OVER_DIVISIONS = 9
"""No indication above capacity and this many divisions (OIML R 76-1, 4.2.3)."""
_TARE_PATIENCE_S = 0.150
"""A T without digits for this long was a platform tare; the same delay as the instrument's answer."""
_TARE_DIGITS = 5
_LIVELY_S = 0.050
"""How often the instrument looks at its platform by itself."""
_ALL_PASSED = b"@"
_NOT_TESTED = b"\x00"


class Status(IntFlag):
    """The status byte; bit 6 is always one, bit 7 is the parity that the UART takes off."""

    MOTION = 0x01
    OVER_CAPACITY = 0x02
    UNDER_ZERO = 0x04
    OUT_OF_ZERO_RANGE = 0x08
    CENTRE_OF_ZERO = 0x10
    NET = 0x20
    ALWAYS = 0x40


_NO_WEIGHT = Status.MOTION | Status.OVER_CAPACITY | Status.UNDER_ZERO


class Scale8217:
    """The instrument without its line. Feed it what the host sent; call `tick` now and then.

    Args:
        grams: what lies on the platform now.
        division_g: verification scale interval e.
        capacity_g: Max.
        settle_s: how long the platform must be still before a weight is shown.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        grams: Callable[[], float],
        division_g: int = 5,
        capacity_g: int = 60_000,
        settle_s: float = 0.4,
        clock: Callable[[], float] | None = None,
    ) -> None:
        host = HostClock()
        self._grams = grams
        self._division_g = division_g
        self._capacity_g = capacity_g
        self._settle_s = settle_s
        self._clock = clock or (lambda: host.monotonic_us() / 1e6)
        self._zero_g = 0.0
        self._tare_g = 0
        self._still_g = grams()
        self._still_since = self._clock() - settle_s
        self._echoing = False
        self._tested = _NOT_TESTED
        self._digits: bytes | None = None
        self._tare_since = 0.0
        self._commands: dict[bytes, Callable[[], bytes]] = {
            b"W": self._weight,
            b"Z": self._set_zero,
            b"T": self._begin_tare,
            b"C": self._clear_tare,
            b"A": self._test,
            b"B": self._test_result,
            b"E": self._begin_echo,
            b"\r": bytes,
            b"\n": bytes,
        }

    def feed(self, data: bytes) -> bytes:
        """Return the answer to what the host sent; bit 7 is parity and is ignored."""
        self._look()
        return b"".join(self._take(bytes((byte & 0x7F,))) for byte in data)

    def tick(self) -> bytes:
        """Look at the platform; return the answer to a command whose time has come."""
        self._look()
        if self._digits is not None and self._clock() - self._tare_since >= _TARE_PATIENCE_S:
            return self._end_tare()
        return b""

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, byte: bytes) -> bytes:
        if self._echoing:
            self._echoing = byte != b"F"
            return byte if self._echoing else b""
        if self._digits is None:
            return self._command(byte)
        if byte.isdigit():
            self._digits += byte
            return self._end_tare() if len(self._digits) == _TARE_DIGITS else b""
        return self._end_tare() + self._command(byte)

    def _command(self, byte: bytes) -> bytes:
        command = self._commands.get(byte)
        return command() if command else self._status_answer()

    def _begin_tare(self) -> bytes:
        self._digits, self._tare_since = b"", self._clock()
        return b""

    def _clear_tare(self) -> bytes:
        if not self._status() & Status.MOTION:
            self._tare_g = 0
        return self._status_answer()

    def _test(self) -> bytes:
        self._tested = _ALL_PASSED
        return _STX + _CR

    def _test_result(self) -> bytes:
        result, self._tested = self._tested, _NOT_TESTED
        return _STX + b"?" + result + _CR

    def _begin_echo(self) -> bytes:
        self._echoing = True
        return _STX + b"E" + _CR

    def _weight(self) -> bytes:
        status = self._status()
        if status & _NO_WEIGHT:
            return self._status_answer()
        net = b"N" if status & Status.NET else b""
        return _STX + f"{self._net_g() / 1_000:06.3f}".encode() + net + _CR

    def _set_zero(self) -> bytes:
        if not self._status() & (Status.MOTION | Status.OUT_OF_ZERO_RANGE | Status.NET):
            self._zero_g = self._still_g
        return self._status_answer()

    def _end_tare(self) -> bytes:
        digits, self._digits = self._digits or b"", None
        gross = self._gross_g()
        if len(digits) == _TARE_DIGITS:
            self._tare_g = self._rounded(int(digits))
        elif not digits and not self._status() & (Status.MOTION | Status.OVER_CAPACITY) and gross > 0:
            self._tare_g = gross
        return self._status_answer()

    # ── the platform ─────────────────────────────────────────────────────────────────────────────────────────────

    def _look(self) -> None:
        grams = self._grams()
        if abs(grams - self._still_g) >= self._division_g / 2:
            self._still_since = self._clock()
            self._still_g = grams

    def _rounded(self, grams: float) -> int:
        return round(grams / self._division_g) * self._division_g

    def _gross_g(self) -> int:
        return self._rounded(self._still_g - self._zero_g)

    def _net_g(self) -> int:
        return self._gross_g() - self._tare_g

    def _status(self) -> Status:
        gross = self._still_g - self._zero_g
        conditions = {
            Status.MOTION: self._clock() - self._still_since < self._settle_s,
            Status.OVER_CAPACITY: gross > self._capacity_g + _OVER_DIVISIONS * self._division_g,
            Status.UNDER_ZERO: self._net_g() < 0,
            Status.OUT_OF_ZERO_RANGE: abs(self._still_g) > _ZERO_SHARE * self._capacity_g,
            Status.CENTRE_OF_ZERO: abs(gross) <= self._division_g / 4,
            Status.NET: self._tare_g != 0,
        }
        status = Status.ALWAYS
        for flag, holds in conditions.items():
            if holds:
                status |= flag
        return status

    def _status_answer(self) -> bytes:
        return _STX + b"?" + bytes((self._status(),)) + _CR


class ScalePort:
    """An 8217 on a serial line under a stable name."""

    def __init__(self, scale: Scale8217, link: Path) -> None:
        self._scale = scale
        self._port = SerialPort(link, self._answer)
        self._ticking: asyncio.TimerHandle | None = None
        self._spoilt = 0

    def plug(self) -> None:
        """Connect it. Needs a running loop; may be repeated."""
        self._port.plug()
        if self._ticking is None:
            self._tick()

    def unplug(self) -> None:
        """Pull its cable out; the instrument itself keeps weighing once plugged again. May be repeated."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        self._port.unplug()

    def spoil(self, answers: int = 1) -> None:
        """Let the next answers arrive disturbed.

        A real UART would see the parity error; a pty has no parity, so the bit that flips turns a character into one
        that no answer has.
        """
        self._spoilt += answers

    def _answer(self, data: bytes) -> bytes:
        answer = self._scale.feed(data)
        if answer and self._spoilt:
            self._spoilt -= 1
            return answer[:1] + bytes((answer[1] ^ 0x40,)) + answer[2:]
        return answer

    def _tick(self) -> None:
        self._port.forget_speed()
        late = self._scale.tick()
        if late:
            self._port.send(late)
        self._ticking = asyncio.get_running_loop().call_later(_LIVELY_S, self._tick)
