"""What wakes the pages: one number that grows with every change anybody could see, and whom each change concerns."""

import asyncio
from collections.abc import Collection, Iterable

_REMEMBERED = 20_000
"""Carts and shoppers of whom we know when they were last concerned; of the others it is assumed to be just now."""


class Changes:
    """A revision and those who wait for the next one, or for the next one of their own."""

    def __init__(self) -> None:
        self.revision = 1
        self._all_at = 1
        """The last revision that concerned everybody."""
        self._at: dict[str, int] = {}
        self._everybody: dict[asyncio.Event, None] = {}
        self._waiting: dict[str, dict[asyncio.Event, None]] = {}

    def bump(self, concerned: Iterable[str] | None = None) -> None:
        """Something visible changed: wake those whom it concerns (carts, shoppers), and all who wait for anything."""
        self.revision += 1
        _wake(self._everybody)
        if concerned is None:
            self._all_at = self.revision
            self._at.clear()
            for events in self._waiting.values():
                _wake(events)
            return
        for key in concerned:
            self._at[key] = self.revision
            _wake(self._waiting.get(key, {}))
        if len(self._at) > _REMEMBERED:
            self._all_at = self.revision
            self._at.clear()

    async def after(self, revision: int, concerning: Collection[str] = ()) -> int:
        """Return the current revision once something happened after `revision`, to any of `concerning` if given."""
        while self._last(concerning) <= revision:
            places = [self._waiting.setdefault(key, {}) for key in concerning] or [self._everybody]
            happened = asyncio.Event()
            for place in places:
                place[happened] = None
            try:
                await happened.wait()
            finally:
                for place in places:
                    place.pop(happened, None)
                for key in concerning:
                    if not self._waiting.get(key, True):
                        del self._waiting[key]
        return self.revision

    def _last(self, concerning: Collection[str]) -> int:
        if not concerning:
            return self.revision
        return max(self._all_at, *(self._at.get(key, 0) for key in concerning))


def _wake(waiting: Iterable[asyncio.Event]) -> None:
    """In the order in which they came to wait: a day on the virtual clock repeats itself exactly."""
    for event in waiting:
        event.set()
