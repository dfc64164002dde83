"""Every state in which a power cut can leave a store file, and what the product makes of it.

A story's whole work is recorded once, operation by operation, with what was promised to whom in between. Then the power
goes at every point: for each, the states that the disk may be in are put into a folder, the product opens them with its
own classes, and what it finds is held against what had been promised by then. Equal states are opened once. Now and
then the power goes again while the product recovers.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from sim.disk import Disk, Step
from sim.surface import Files, Pick, Surface, all_but, everything, first, nothing, torn

Found_co = TypeVar("Found_co", covariant=True)
Found = TypeVar("Found")
_TORN = 4
"""Torn states at each point; the other kinds are tried all."""
_CREATION = 0.03
_AGAIN = 0.1
"""Share of states in which the power goes a second time, during recovery."""


class Story(Protocol[Found_co]):
    """A store file, what is done with it, and what it owes to whom."""

    def work(self, folder: Path, promise: Callable[[object], None]) -> None:
        """Use the product's class in `folder`; `promise` whatever the product told somebody, at the moment it did."""
        ...

    def find(self, folder: Path) -> Found_co:
        """Open what is there and return all of it. Raise where the product would fail, or calls it damaged."""
        ...

    def go_on(self, folder: Path) -> None:
        """Do something more with what is there. Raise where that fails."""
        ...

    def complaint(self, found: Any, promises: Sequence[Any]) -> str:  # noqa: ANN401 - its own Found, its own promises
        """Return what is wrong with `found` after these promises; '' if nothing is."""
        ...


class Report(msgspec.Struct):
    """What an enumeration did and found."""

    operations: int = 0
    points: int = 0
    states: int = 0
    opened: int = 0
    """Different states, each opened by the product."""
    again: int = 0
    """States in which the power went a second time."""
    complaints: list[str] = []

    def __str__(self) -> str:
        return (
            f"{self.operations} operations, power cut at {self.points} points: {self.states} crash states"
            f" ({self.opened} different, {self.again} cut again while recovering), {len(self.complaints)} bad"
        )


class Enumeration(Generic[Found]):
    """All crash states of one story.

    Args:
        story: what is done.
        folder: for the files; better in memory.
        share: of the points that are tried, by `seed`; from 1 on it is every point.
        pretends: says whether the disk only pretends to sync this file.
        enough: bad states after which the rest is left out, where some are expected.
    """

    def __init__(
        self, story: Story[Found], folder: Path, share: float, *, seed: int = 1,
        pretends: Callable[[str], bool] = lambda _: False, enough: int = sys.maxsize,
    ) -> None:  # fmt: skip
        self._story, self._share, self._pretends, self._enough = story, share, pretends, enough
        self._dice = Random(seed)
        self._recorded, self._found = folder / "recorded", folder / "found"
        self._known: dict[bytes, list[Found | Exception]] = {}
        self._report = Report()

    def run(self) -> Report:
        with Disk() as disk:
            self._disk = disk
            recording = self._record()
            for surface, promises, point in self._points(recording):
                self._cut(surface, promises, point)
                if len(self._report.complaints) >= self._enough:
                    break
        return self._report

    def _record(self) -> list[Step]:
        self._recorded.mkdir()
        platter = self._disk.under(self._recorded)
        recording = platter.record()
        self._story.work(self._recorded, platter.mark)
        self._report.operations = sum(step[0] is not None for step in recording)
        return list(recording)

    def _points(self, recording: Sequence[Step]) -> Iterator[tuple[Surface, Sequence[object], int]]:
        surface, promises = Surface(), list[object]()
        for point, step in enumerate(recording):
            if step[0] is None or step[1] is not None or not self._pretends(step[0]):
                _play(surface, step, promises)
            # The making of a file happens once in its life, and is tried more.
            if self._dice.random() < max(self._share, 0 if promises else _CREATION):
                self._report.points += 1
                yield surface, promises, point

    def _cut(self, surface: Surface, promises: Sequence[object], point: int) -> None:
        for pick in self._picks(surface):
            self._report.states += 1
            files = {Path(name).name: content for name, content in surface.after(pick).items()}
            for found in self._opened(files):
                wrong = repr(found) if isinstance(found, Exception) else self._story.complaint(found, promises)
                if wrong:
                    self._report.complaints.append(f"cut after operation {point}: {wrong}")

    def _picks(self, surface: Surface) -> Iterator[Pick]:
        count = len(surface.unsynced)
        yield nothing
        if count:
            yield everything
            yield from (first(kept) for kept in range(1, count))
            yield from (all_but(lost) for lost in range(count))
            yield from (torn(self._dice) for _ in range(_TORN))

    def _opened(self, files: Files) -> list[Found | Exception]:
        """Return what the product finds in these files, and what it finds when power goes again while it looks."""
        key = _digest(files)
        if key not in self._known:
            self._report.opened += 1
            found, recovery = self._open(files)
            self._known[key] = [found]
            if recovery and self._dice.random() < _AGAIN:
                self._report.again += 1
                self._known[key].append(self._open(self._cut_again(files, recovery))[0])
        return self._known[key]

    def _open(self, files: Files) -> tuple[Found | Exception, Sequence[Step]]:
        self._found.mkdir(exist_ok=True)
        for path in self._found.iterdir():
            path.unlink()
        for name, content in files.items():
            (self._found / name).write_bytes(content)
        recording = self._disk.under(self._found).record()
        try:
            found = self._story.find(self._found)
            recovery = list(recording)
            self._story.go_on(self._found)
        except Exception as error:  # noqa: BLE001 - whatever it is, the product did not open
            return error, ()
        return found, recovery

    def _cut_again(self, files: Files, recovery: Sequence[Step]) -> Files:
        surface = Surface()
        for name, content in files.items():
            surface.hold(os.path.realpath(self._found / name), content)
        for step in recovery[: self._dice.randrange(len(recovery))]:
            _play(surface, step, [])
        after = surface.after(torn(self._dice))
        return {Path(name).name: content for name, content in after.items()}


def _play(surface: Surface, step: Step, promises: list[object]) -> None:
    match step:
        case (None, promise):
            promises.append(promise)
        case (str(name), None):
            surface.sync(name)
        case (str(name), change):
            surface.change(name, change)


def _digest(files: Files) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(files):
        digest.update(f"{name} {len(files[name])} ".encode())
        digest.update(files[name])
    return digest.digest()
