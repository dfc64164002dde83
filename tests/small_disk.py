"""A disk of a few megabytes that can really be full: a tmpfs of its own, for root only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_STEP = 64 << 10


class SmallDisk:
    """A mounted tmpfs; `fill` takes its room with a file of no use, `empty` gives that back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    @property
    def free(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Take all room but `leave` bytes, to the page."""
        with self._ballast.open("ab") as file:
            while (room := self.free - leave) >= 4096:
                file.write(bytes(min(_STEP, room - room % 4096)))
                file.flush()

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a tmpfs at a new `folder`; skips the test where we may not."""
    folder.mkdir()
    mounting = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "cartwright-test", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounting.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounting.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
