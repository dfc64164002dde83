"""The host's clocks and the mint of ids: the only place that reads either. Everything else is handed them."""

import secrets
import time
from pathlib import Path
from typing import Protocol

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Base 32 without I, L, O, U (Crockford): what people can read off a screen and type."""


class Clock(Protocol):
    """Time as the services see it; the stage passes a virtual one."""

    def monotonic_us(self) -> int: ...
    def wall_ms(self) -> int: ...
    def synchronised(self) -> bool: ...
    def boot(self) -> str: ...


class HostClock:
    """The machine's own clocks."""

    def __init__(self) -> None:
        self._boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else "unknown"

    def monotonic_us(self) -> int:
        return time.monotonic_ns() // 1_000

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def synchronised(self) -> bool:
        return _SYNCHRONISED.exists()

    def boot(self) -> str:
        return self._boot


class Dice(Protocol):
    """A source of random bytes: the operating system's, or the stage's seeded one."""

    def token_bytes(self, count: int, /) -> bytes: ...


class HostDice:
    def token_bytes(self, count: int, /) -> bytes:
        return secrets.token_bytes(count)


class IdMint:
    """Makes ids: UUIDv7 (RFC 9562, section 5.7), so that they sort by when they were made; and short codes."""

    def __init__(self, clock: Clock, dice: Dice) -> None:
        self._clock = clock
        self._dice = dice

    def uuid(self) -> str:
        """Return a new id, 32 lower-case hexadecimal digits."""
        stamp = self._clock.wall_ms() & (1 << 48) - 1
        rand = int.from_bytes(self._dice.token_bytes(10))
        value = stamp << 80 | 0x7 << 76 | (rand >> 68 & 0xFFF) << 64 | 0b10 << 62 | rand & (1 << 62) - 1
        return f"{value:032x}"

    def code(self, length: int) -> str:
        """Return `length` random characters that people can read aloud (5 bits each)."""
        return "".join(_CROCKFORD[byte & 31] for byte in self._dice.token_bytes(length))
