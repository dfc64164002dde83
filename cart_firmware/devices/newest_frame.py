"""One place for one picture: a camera puts, whoever is ready takes, and what nobody took is replaced and counted."""

import asyncio
from collections.abc import AsyncIterator

from cart_firmware.ports import Frame


class NewestFrame:
    """Hands the newest frame to one consumer at a time. Not for threads: everything happens in one event loop."""

    def __init__(self) -> None:
        self.dropped = 0
        """Frames that were replaced before anybody took them."""
        self._frame: Frame | None = None
        self._changed = asyncio.Event()
        self._closed = False

    def put(self, frame: Frame) -> None:
        self.dropped += self._frame is not None
        self._frame = frame
        self._changed.set()

    def close(self) -> None:
        """End every iteration; a frame that still waits is not delivered."""
        self._closed = True
        self._changed.set()

    async def frames(self) -> AsyncIterator[Frame]:
        while True:
            await self._changed.wait()
            if self._closed:
                return
            frame, self._frame = self._frame, None
            self._changed.clear()
            if frame is not None:
                yield frame
