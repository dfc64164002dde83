"""An I2C bus with parts on it, as smbus2.SMBus shows it. Lines are pulled up: a lost part reads all ones."""

import errno
from typing import Protocol


class Part(Protocol):
    address: int

    def read(self, register: int, /) -> int: ...
    def write(self, register: int, value: int, /) -> None: ...
    def power_on(self) -> None: ...


class RegisterBus:
    """Parts may be unplugged between transfers, or within one."""

    def __init__(self, *parts: Part) -> None:
        self._parts = {part.address: part for part in parts}
        self._plugged = True
        self.bytes_left: int | None = None
        """After so many bytes read the plug comes out, in mid-transfer; None: it stays."""

    def unplug(self) -> None:
        """Take every part off the bus. May be repeated."""
        self._plugged = False

    def replug(self) -> None:
        """Put them back: they power up. May be repeated."""
        if not self._plugged:
            self._plugged, self.bytes_left = True, None
            for part in self._parts.values():
                part.power_on()

    def read_byte_data(self, address: int, register: int) -> int:
        return self.read_i2c_block_data(address, register, 1)[0]

    def read_i2c_block_data(self, address: int, register: int, length: int) -> list[int]:
        part = self._part(address)
        return [self._byte(part, register + place) for place in range(length)]

    def write_byte_data(self, address: int, register: int, value: int) -> None:
        self._part(address).write(register, value)

    def close(self) -> None:
        """Let go of the bus. May be repeated."""

    def _part(self, address: int) -> Part:
        if not self._plugged or address not in self._parts:
            raise OSError(errno.EREMOTEIO, "Remote I/O error")
        return self._parts[address]

    def _byte(self, part: Part, register: int) -> int:
        if self.bytes_left is not None:
            if self.bytes_left == 0:
                self._plugged = False
            self.bytes_left -= 1
        return part.read(register) if self._plugged else 0xFF
