"""What wakes the pages: one number that grows with every change anybody could see."""

import asyncio


class Changes:
    """A revision and those who wait for the next one."""

    def __init__(self) -> None:
        self.revision = 1
        self._next = asyncio.Event()

    def bump(self) -> None:
        """Something visible changed: wake everybody who waits."""
        self.revision += 1
        self._next.set()
        self._next = asyncio.Event()

    async def after(self, revision: int) -> int:
        """Return the current revision once it is above `revision`."""
        while self.revision <= revision:
            await self._next.wait()
        return self.revision
