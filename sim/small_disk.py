"""A small disk of its own for one folder, which can be filled and emptied: a tmpfs, where we may mount one."""

import contextlib
import os
import shutil
from pathlib import Path

from sim.processes import ProcessFailedError, run_once

_BALLAST = ".ballast"
_PIECE = bytes(1 << 16)


class SmallDisk:
    """The disk under `folder`. What stands in the folder before moves onto it.

    Raises:
        OSError: see `mount`.
    """

    def __init__(self, folder: Path, mebibytes: int) -> None:
        self._folder = folder
        self._mebibytes = mebibytes
        self.mounted = False

    @staticmethod
    def possible() -> bool:
        """Return whether this user may mount at all."""
        return os.geteuid() == 0 and shutil.which("mount") is not None

    async def mount(self) -> bool:
        """Put the disk there; return whether the kernel let us. Nothing has a file of the folder open."""
        kept = self._folder.with_name(self._folder.name + ".before")
        self._folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self._folder, kept)
        try:
            await run_once(["mount", "-t", "tmpfs", "-o", f"size={self._mebibytes}m", "tmpfs", str(self._folder)])
        except ProcessFailedError:
            return False
        else:
            self.mounted = True
            shutil.copytree(kept, self._folder, dirs_exist_ok=True)
            return True
        finally:
            shutil.rmtree(kept)

    def fill(self) -> None:
        """Leave no room at all. Twice is once."""
        with (self._folder / _BALLAST).open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
            while ballast.write(_PIECE):
                pass

    def free(self) -> None:
        """Give the room back. Twice is once."""
        (self._folder / _BALLAST).unlink(missing_ok=True)

    async def unmount(self) -> None:
        """Take the disk away with all that is on it. May be called on one that was never mounted."""
        if self.mounted:
            with contextlib.suppress(ProcessFailedError):
                await run_once(["umount", "--lazy", str(self._folder)])
            self.mounted = False
