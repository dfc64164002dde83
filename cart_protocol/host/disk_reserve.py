"""Room on a disk that is laid by in good times and given back when the disk is full, so that work under way can end."""

import os
from pathlib import Path


class DiskReserve:
    """A file of `size` bytes at `path`, really allocated. It survives restarts and holds nothing.

    Args:
        path: on the disk whose room is kept; its folder must exist.
        size: bytes; 0 keeps nothing.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size = path, size

    @property
    def held(self) -> bool:
        """Whether the room is laid by; always so where none is to be."""
        return self._found() >= self._size

    def lay_by(self) -> bool:
        """Take the room; return whether it is held now. A disk that has not that much is left as it was."""
        if self.held:
            return True
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(descriptor, 0, self._size)
        except OSError:
            self._path.unlink(missing_ok=True)
            return False
        finally:
            os.close(descriptor)
        return True

    def give_back(self) -> bool:
        """Give the room back to the disk; return whether there was any."""
        had_any = self._found() > 0
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            return False
        return had_any

    def _found(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0
