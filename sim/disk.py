"""A disk that can fail, beneath programs that do not know: every SQLite file of this process below a chosen folder.

The product's own code runs on it unchanged, whether it opens SQLite itself or through SQLAlchemy.

    with Disk() as disk:
        platter = disk.under(folder)              # one machine's disk
        outbox = SqliteOutbox(folder / "outbox.db", 100, epoch_source=1)
        platter.stop_at(7, on_stop=machine_died.set)
        ...                                       # the seventh operation from now on is the last; then only I/O errors
        platter.cut_power(dice)                   # the folder holds what a power cut may leave
        outbox = SqliteOutbox(folder / "outbox.db", 100, epoch_source=2)

Other files than SQLite's are written through and never fail. No sync reaches the machine's own disk: `sim.surface`
says what a sync is worth.
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Self

from sim.sqlite_vfs import OpenedFile, RealFile, Vfs
from sim.surface import Change, Create, Delete, Files, Surface, Truncate, Write, any_of, everything, sectors

Step = tuple[str, Change | None] | tuple[None, object]
"""A step of a recording: a change, a sync (no change), or what `Platter.mark` was given (no name)."""


class Platter:
    """One machine's disk: the SQLite files below one folder. Made by `Disk.under`.

    After `kill` or `cut_power`, whatever the earlier life still has open is dead for good; its code may close it at any
    time, but must not open it anew.

    Attributes:
        full: nothing may grow: a write that needs room fails with SQLITE_FULL.
        capacity: bytes for all files together, or None; likewise.
        fail_next_write: the next write or truncation fails with SQLITE_IOERR and changes nothing; then False again.
        fail_next_sync: the next sync fails and makes nothing certain; then False again.
        refused: writes so far for which there was no room.
        writes: writes, truncations and deletions so far.
        syncs: syncs so far.
    """

    def __init__(self, folder: str) -> None:
        self.full = self.fail_next_write = self.fail_next_sync = False
        self.capacity: int | None = None
        self.refused = self.writes = self.syncs = 0
        self._folder = folder
        self._surface = Surface()
        self._inodes: dict[str, int] = {}
        self._files: set[_PlatterFile] = set()
        self._closed_by_the_dead: set[str] = set()
        self._life = 0
        self._stopped = False
        self._left = 0
        self._on_stop: Callable[[], None] | None = None
        self._dice: Random | None = None
        self._recording: list[Step] | None = None

    # ── what may go wrong ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def stopped(self) -> bool:
        """Whether the machine is dead: every operation fails with SQLITE_IOERR and changes nothing."""
        return self._stopped

    def stop(self) -> None:
        """Let the machine die now. Its code may run on, but can do no more harm. Twice is once."""
        self._stopped, self._left = True, 0

    def stop_at(self, operations: int, on_stop: Callable[[], None] | None = None, dice: Random | None = None) -> None:
        """Let the machine die in the n-th write, truncation, sync or deletion from now; 0 takes the order back.

        That operation is the last to happen, but its caller hears of an error. `on_stop` is called within it, on
        whichever thread writes, from inside SQLite: note it there and return. With `dice`, a last write may be cut
        short at the end of any sector.
        """
        self._left, self._on_stop, self._dice = operations, on_stop, dice

    def kill(self) -> None:
        """Make ready for the next start after the program was killed: what it wrote is there, synced or not."""
        self._restart(self._surface.after(everything), certain=False)

    def cut_power(self, dice: Random) -> None:
        """Make ready for the next start after a power cut: what was synced is there, and any part of the rest."""
        self._restart(self._surface.after(any_of(dice)), certain=True)

    def exchange(self) -> None:
        """Make ready for the next start with another disk in place of this one: an empty one."""
        self._restart({}, certain=True)

    def _restart(self, files: Files, *, certain: bool) -> None:
        """Put new files in the place of the old: whoever has an old one open still writes no more and locks nothing."""
        in_use = {file.name for file in self._files}
        for name in self._surface.names():
            if certain or name in in_use:
                self._put(name, files.get(name))
        if certain:
            self._surface = Surface()
            for name, content in files.items():
                self._surface.hold(name, content)
        self._life += 1
        self._files.clear()
        self._stopped = False
        self.stop_at(0)

    def _put(self, name: str, content: bytes | None) -> None:
        path = Path(name)
        # The index of a WAL is memory that its users share; SQLite makes it anew from the WAL.
        path.with_name(path.name + "-shm").unlink(missing_ok=True)
        if content is None:
            path.unlink(missing_ok=True)
            return
        new = path.with_name(path.name + ".new")
        new.write_bytes(content)
        new.replace(path)
        self._inodes[name] = path.stat().st_ino

    # ── what was written ─────────────────────────────────────────────────────────────────────────────────────────

    def files(self) -> Files:
        """Return what SQLite's files hold now, by absolute path."""
        return self._surface.now()

    def record(self) -> list[Step]:
        """Return a list that every operation from now on is added to. A later call begins a new one."""
        self._recording = []
        return self._recording

    def mark(self, what: object) -> None:
        """Note in the recording that this was promised to somebody now."""
        if self._recording is not None:
            self._recording.append((None, what))

    # ── what SQLite asks for; each returns its result code ───────────────────────────────────────────────────────

    def open(self, name: str, really: Callable[[], int]) -> tuple[int, OpenedFile | None]:
        if self._stopped:
            return sqlite3.SQLITE_CANTOPEN, None
        self._closed_by_the_dead.clear()
        path = Path(name)
        existed = path.exists()
        code = really()
        if code != 0:
            return code, None
        status = path.stat()
        if not existed:
            self._note(name, Create())
        elif (self._surface.size(name), self._inodes.get(name)) != (status.st_size, status.st_ino):
            self._surface.hold(name, path.read_bytes())
        self._inodes[name] = status.st_ino
        file = _PlatterFile(self, name, self._life)
        self._files.add(file)
        return code, file

    def closed(self, file: "_PlatterFile") -> None:
        self._files.discard(file)
        # SQLite deletes a log or journal by name, right after it closed it: one of an earlier life is not to find ours.
        if file.life == self._life:
            self._closed_by_the_dead.discard(file.name)
        else:
            self._closed_by_the_dead.add(file.name)

    def write(self, file: "_PlatterFile", write: Write, real: RealFile) -> int:
        if self._dead(file) or self._spend_write_failure():
            return sqlite3.SQLITE_IOERR_WRITE
        if not self._room(write.offset + len(write.content) - (self._surface.size(file.name) or 0)):
            self.refused += 1
            return sqlite3.SQLITE_FULL
        self.writes += 1
        last = self._is_last()
        done = _cut_short(write, self._dice) if last and self._dice else write
        code = real.write(done.content, done.offset) if done.content else sqlite3.SQLITE_OK
        if code == sqlite3.SQLITE_OK and done.content:
            self._note(file.name, done)
        return sqlite3.SQLITE_IOERR_WRITE if last else code

    def truncate(self, file: "_PlatterFile", size: int, real: RealFile) -> int:
        if self._dead(file) or self._spend_write_failure():
            return sqlite3.SQLITE_IOERR_TRUNCATE
        self.writes += 1
        last = self._is_last()
        code = real.truncate(size)
        if code == sqlite3.SQLITE_OK:
            self._note(file.name, Truncate(size))
        return sqlite3.SQLITE_IOERR_TRUNCATE if last else code

    def sync(self, file: "_PlatterFile") -> int:
        failed, self.fail_next_sync = self.fail_next_sync, False
        if self._dead(file) or failed:
            return sqlite3.SQLITE_IOERR_FSYNC
        self.syncs += 1
        last = self._is_last()
        self._make_certain(file.name)
        return sqlite3.SQLITE_IOERR_FSYNC if last else sqlite3.SQLITE_OK

    def delete(self, name: str, really: Callable[[], int], *, synced: bool) -> int:
        if self._stopped or name in self._closed_by_the_dead:
            return sqlite3.SQLITE_IOERR_DELETE
        self.writes += 1
        last = self._is_last()
        code = really()
        if code == sqlite3.SQLITE_OK:
            self._note(name, Delete())
            if synced:
                self._make_certain(name)
        return sqlite3.SQLITE_IOERR_DELETE if last else code

    def _note(self, name: str, change: Change) -> None:
        self._surface.change(name, change)
        if self._recording is not None:
            self._recording.append((name, change))

    def _make_certain(self, name: str) -> None:
        self._surface.sync(name)
        if self._recording is not None:
            self._recording.append((name, None))

    def _dead(self, file: "_PlatterFile") -> bool:
        return self._stopped or file.life != self._life

    def _spend_write_failure(self) -> bool:
        failed, self.fail_next_write = self.fail_next_write, False
        return failed

    def _room(self, growth: int) -> bool:
        if growth <= 0:
            return True
        return not self.full and (self.capacity is None or self._surface.total() + growth <= self.capacity)

    def _is_last(self) -> bool:
        """Count an operation; return whether the machine dies in it."""
        if self._left == 0:
            return False
        self._left -= 1
        if self._left == 0:
            self._stopped = True
            if self._on_stop is not None:
                self._on_stop()
        return self._stopped


class Disk:
    """Puts itself beneath this process's SQLite while installed; only files opened meanwhile are its business.

    One disk at a time. Files still open when it leaves go on without it.
    """

    def __init__(self) -> None:
        self._platters: dict[str, Platter] = {}

    def install(self) -> Self:
        """Put the disk beneath SQLite.

        Raises:
            VfsError: this Python's SQLite cannot be reached, or another disk is installed.
        """
        Vfs.only().serve(self)
        return self

    def uninstall(self) -> None:
        """Leave. What went wrong in an `on_stop`, out of everybody's sight, is raised here."""
        Vfs.only().give_back()

    def __enter__(self) -> Self:
        return self.install()

    def __exit__(self, *_: object) -> None:
        self.uninstall()

    def under(self, folder: Path) -> Platter:
        """Return the platter of a folder and all below it, the same one each time; the nearest folder counts."""
        path = os.path.realpath(folder)
        return self._platters.setdefault(path, Platter(path))

    def open(self, name: str, really: Callable[[], int]) -> tuple[int, OpenedFile | None]:
        platter = self._platter(name)
        return platter.open(name, really) if platter else (really(), None)

    def delete(self, name: str, really: Callable[[], int], *, synced: bool) -> int:
        platter = self._platter(name)
        return platter.delete(name, really, synced=synced) if platter else really()

    def _platter(self, name: str) -> Platter | None:
        above = [folder for folder in self._platters if name.startswith(folder + os.sep)]
        return self._platters[max(above, key=len)] if above else None


class _PlatterFile:
    """One open file; it dies with the life of the machine in which it was opened."""

    def __init__(self, platter: Platter, name: str, life: int) -> None:
        self.name, self.life = name, life
        self._platter = platter

    def write(self, content: bytes, offset: int, real: RealFile) -> int:
        return self._platter.write(self, Write(offset, content), real)

    def truncate(self, size: int, real: RealFile) -> int:
        return self._platter.truncate(self, size, real)

    def sync(self) -> int:
        return self._platter.sync(self)

    def closed(self) -> None:
        self._platter.closed(self)


def _cut_short(write: Write, dice: Random) -> Write:
    """Return what of a write happened before the machine died in it."""
    parts = list(sectors(write))
    return Write(write.offset, b"".join(part.content for part in parts[: dice.randint(0, len(parts))]))
