"""Any camera whose library blocks until a picture is there: read in a thread, newest only, reopened if silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Protocol

import structlog

from cart_firmware.devices.newest_frame import NewestFrame
from cart_firmware.devices.picture import Picture
from cart_firmware.ports import Frame
from cart_protocol.host.clock import Clock

_log = structlog.get_logger(__name__)

_PAUSE_S = 2.0
"""Between two attempts to open a camera that stopped giving pictures."""
_PATIENCE_S = 3.0
"""How long closing waits for a read that is under way; a driver that hangs longer is left to the end of the process."""


class BlockingDevice(Protocol):
    """What a camera library offers. Never called by two threads at once."""

    name: str
    unmet: tuple[str, ...]
    """Settings that it does not honour; see ports.FrameSource."""

    def read(self) -> Picture | None:
        """Return the next picture, or None when the camera gives none."""

    def reopen(self) -> None: ...
    def close(self) -> None: ...


class BlockingCamera:
    """Turns a blocking device into a ports.FrameSource. Reading starts with the first iteration of `frames()`."""

    def __init__(self, device: BlockingDevice, clock: Clock) -> None:
        self._device = device
        self._clock = clock
        self._newest = NewestFrame()
        self._closing = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._told = device.unmet  # whoever opened it told what was known then
        self.complaint = ""
        """What it said last about showing nothing; see ports.FrameSource."""

    @property
    def unmet(self) -> tuple[str, ...]:
        """Settings that the camera does not honour; see ports.FrameSource."""
        return self._device.unmet

    @property
    def dropped(self) -> int:
        """Pictures that came while the one before was not yet taken."""
        return self._newest.dropped

    async def frames(self) -> AsyncIterator[Frame]:
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep_reading(), name="camera")
        async for frame in self._newest.frames():
            yield frame

    async def close(self) -> None:
        """End every iteration and close the device, after the read that is under way. Harmless when repeated."""
        self._newest.close()
        if self._closing.is_set():
            return
        self._closing.set()
        if self._keeper is not None:
            await asyncio.wait([self._keeper], timeout=_PATIENCE_S)
            if not self._keeper.done():
                _log.warning("camera.hangs", device=self._device.name)
                self._keeper.cancel()
                return
        await asyncio.to_thread(self._device.close)

    async def _keep_reading(self) -> None:
        while not self._closing.is_set():
            picture = await asyncio.to_thread(self._device.read)
            if picture is not None:
                self._newest.put(picture.frame(self._clock.monotonic_us()))
                self._tell()
                continue
            self.complaint = f"{self._device.name} gives no picture"
            _log.warning("camera.silent", device=self._device.name, again_in_s=_PAUSE_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _PAUSE_S)
                return
            await asyncio.to_thread(self._device.reopen)

    def _tell(self) -> None:
        if (unmet := self._device.unmet) != self._told:
            self._told = unmet
            _log.warning("camera.not-as-asked", device=self._device.name, unmet=unmet)
