"""What is on a disk when the power goes: all that was synced, and any part of what was not.

The model (no I/O): a write, truncation, creation or deletion is certain once its file was synced; until then it may be
there, be missing, or be there in part, a sector at a time, in any order. That is what SQLite asks of a file system and
no more ("Atomic Commit In SQLite", section 2): a sector holds its old or its new content, bytes beside a write stay
as they were, and a sync that succeeded is the truth. A disk that lies about syncs is not modelled.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random

import msgspec

SECTOR = 512


class Write(msgspec.Struct, frozen=True):
    offset: int
    content: bytes


class Truncate(msgspec.Struct, frozen=True):
    size: int


class Create(msgspec.Struct, frozen=True):
    """A name that was not there; its file is empty."""


class Delete(msgspec.Struct, frozen=True):
    pass


Change = Write | Truncate | Create | Delete
Unsynced = Sequence[tuple[str, Change]]
"""What was done to which file, oldest first."""
Files = dict[str, bytes]
"""What a program finds: content by name."""
Pick = Callable[[Unsynced], Unsynced]
"""Which of the unsynced changes reached the disk."""


class Surface:
    """The files of one disk: certain content, and changes in order that are not certain yet."""

    def __init__(self) -> None:
        self._certain: dict[str, bytearray] = {}
        self._unsynced: list[tuple[str, Change]] = []
        self._sizes: dict[str, int] = {}

    @property
    def unsynced(self) -> Unsynced:
        return self._unsynced

    def size(self, name: str) -> int | None:
        """Return the size of a file as programs see it; None where there is none."""
        return self._sizes.get(name)

    def total(self) -> int:
        return sum(self._sizes.values())

    def names(self) -> set[str]:
        """Return every name that a crash may bring to light."""
        return {*self._certain, *self._sizes}

    def hold(self, name: str, content: bytes) -> None:
        """Take a file as it is found, all of it certain; what was known under this name is forgotten."""
        self._unsynced = [(owner, change) for owner, change in self._unsynced if owner != name]
        self._certain[name], self._sizes[name] = bytearray(content), len(content)

    def change(self, name: str, change: Change) -> None:
        self._unsynced.append((name, change))
        match change:
            case Write(offset=offset, content=content):
                self._sizes[name] = max(self._sizes[name], offset + len(content))
            case Truncate(size=size):
                self._sizes[name] = size
            case Create():
                self._sizes[name] = 0
            case Delete():
                self._sizes.pop(name, None)

    def sync(self, name: str) -> None:
        """Make all changes of a file certain.

        With the first sync of a new file, so is every name in its folder: SQLite syncs the folder of a new log or
        journal, and ext4, XFS and btrfs do so for any file.
        """
        if (name, Create()) in self._unsynced:
            self._sync_names(_folder(name))
        kept: list[tuple[str, Change]] = []
        for owner, change in self._unsynced:
            if owner == name:
                _apply(self._certain, name, change)
            else:
                kept.append((owner, change))
        self._unsynced = kept

    def _sync_names(self, folder: str) -> None:
        kept: list[tuple[str, Change]] = []
        for owner, change in self._unsynced:
            if _folder(owner) == folder and isinstance(change, Create | Delete):
                kept = [earlier for earlier in kept if earlier[0] != owner]  # of a file that is gone now
                _apply(self._certain, owner, change)
            else:
                kept.append((owner, change))
        self._unsynced = kept

    def now(self) -> Files:
        """Return what programs read: nothing is lost as long as the power stays."""
        return self.after(everything)

    def after(self, pick: Pick) -> Files:
        """Return what is found when the power went and only the picked changes had reached the disk."""
        found = {name: bytearray(content) for name, content in self._certain.items()}
        for name, change in pick(self._unsynced):
            _apply(found, name, change)
        return {name: bytes(content) for name, content in found.items()}


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _apply(files: dict[str, bytearray], name: str, change: Change) -> None:
    match change:
        case Create():
            files[name] = bytearray()
        case Delete():
            files.pop(name, None)
        case Write(offset=offset, content=content) if name in files:
            file = files[name]
            if offset > len(file):
                file.extend(bytes(offset - len(file)))
            file[offset : offset + len(content)] = content
        case Truncate(size=size) if name in files:
            file = files[name]
            del file[size:]
            file.extend(bytes(size - len(file)))
        case _:  # a change of a file whose creation is lost is lost with it
            pass


# ── which changes survive ────────────────────────────────────────────────────────────────────────────────────────


def nothing(_: Unsynced) -> Unsynced:
    return ()


def everything(unsynced: Unsynced) -> Unsynced:
    return unsynced


def first(count: int) -> Pick:
    return lambda unsynced: unsynced[:count]


def all_but(index: int) -> Pick:
    return lambda unsynced: [*unsynced[:index], *unsynced[index + 1 :]]


def torn(dice: Random) -> Pick:
    """Keep each sector of each write, and each other change, as the dice say, and not in the order of writing."""

    def pick(unsynced: Unsynced) -> Unsynced:
        kept = dice.random()
        return [
            (name, part)
            for name, change in unsynced
            for part in (sectors(change) if isinstance(change, Write) else (change,))
            if isinstance(change, Create) or dice.random() < kept
        ]

    return pick


def any_of(dice: Random) -> Pick:
    """Pick one of the ways above."""

    def pick(unsynced: Unsynced) -> Unsynced:
        ways = (nothing, everything, first(dice.randint(0, len(unsynced))), torn(dice), torn(dice))
        return dice.choice(ways)(unsynced)

    return pick


def sectors(write: Write) -> Iterator[Write]:
    """Cut a write where the disk's sectors end."""
    begin, end = write.offset, write.offset + len(write.content)
    while begin < end:
        stop = min(end, (begin // SECTOR + 1) * SECTOR)
        yield Write(begin, write.content[begin - write.offset : stop - write.offset])
        begin = stop
