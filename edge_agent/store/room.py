"""The disk under the journal: how much room is left, what the journal takes, and a reserve for trips under way.

Only a SQLite journal has a disk that we can see. PostgreSQL's belongs to its own machine and is watched there.
"""

import os
from pathlib import Path

from sqlalchemy import make_url

from cart_protocol.host.disk_reserve import DiskReserve
from edge_agent.ports import Room

NEEDED_TO_OPEN = 1 << 20
"""Bytes that SQLite takes to open a journal: its shared-memory file, and the head of its write-ahead log."""


class JournalRoom:
    """edge_agent.ports.StoreRoom of the journal at a SQLAlchemy address; nothing to measure where it is not SQLite.

    Args:
        address: as the journal's own.
        reserve: bytes to lay by beside the journal.
    """

    def __init__(self, address: str, reserve: int) -> None:
        url = make_url(address)
        named = url.database if url.get_backend_name() == "sqlite" else None
        self._file = Path(named) if named and named != ":memory:" else None
        self._reserve = DiskReserve(self._beside(".reserve"), reserve if self._file else 0)

    def measure(self) -> Room | None:
        """Return the sizes now, or None where there is no disk to see."""
        if self._file is None:
            return None
        try:
            disk = os.statvfs(self._file.parent)
        except OSError:
            return None
        return Room(
            free=disk.f_bavail * disk.f_frsize, journal=_size(self._file), log=_size(self._beside("-wal")),
            reserve_held=self._reserve.held,
        )  # fmt: skip

    def prepare(self) -> None:
        """Before the journal is opened: on a disk that is full to the last byte, give the reserve back."""
        room = self.measure()
        if room is not None and room.free < NEEDED_TO_OPEN:
            self._reserve.give_back()

    def lay_by(self) -> bool:
        return self._reserve.lay_by()

    def give_back(self) -> bool:
        return self._reserve.give_back()

    def _beside(self, suffix: str) -> Path:
        file = self._file or Path("none")
        return file.with_name(file.name + suffix)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
