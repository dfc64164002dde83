"""A camera that is another program: it writes I420 pictures to its output and we take the brightness plane.

By default that program is rpicam-vid: no binary coupling to libcamera's Python, and a camera stack that crashes takes
its own process down and not ours (measured, reference/hardware, section 1: 0.9 ms per 1280x720 picture).
"""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from typing import cast

import numpy as np
import structlog
from numpy.typing import NDArray

from cart_firmware.config import CameraSettings
from cart_firmware.devices.newest_frame import NewestFrame
from cart_firmware.ports import Frame
from cart_protocol.host.clock import Clock

_log = structlog.get_logger(__name__)

_STDOUT, _STDERR = 1, 2
_PIPE_BYTES = 1 << 20
"""Room in the kernel for at least one picture (/proc/sys/fs/pipe-max-size: an unprivileged process may have 1 MiB)."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
_PATIENCE_S = 1.0
"""How long a program may take to end when asked to, before it is killed."""
_LAST_WORDS, _LONGEST_WORDS = 20, 8_192
"""Lines and bytes that are kept of what a program said last."""


def rpicam_command(settings: CameraSettings) -> list[str]:
    """Return the command line that makes rpicam-vid write I420 pictures to its output for ever."""
    return [
        "rpicam-vid", "--nopreview", "--timeout", "0", "--flush", "--codec", "yuv420",
        "--width", str(settings.width), "--height", str(settings.height),
        "--framerate", str(settings.frames_per_second), "--output", "-",
    ]  # fmt: skip


class PictureCutter:
    """Cuts a byte stream of I420 pictures of one size and keeps the brightness planes. No I/O.

    I420 is height x width bytes of brightness, then two planes of colour of a quarter of that each.
    """

    def __init__(self, width: int, height: int) -> None:
        self._shape = (height, width)
        self._bright = width * height
        self._whole = self._bright + 2 * (((width + 1) // 2) * ((height + 1) // 2))
        self._plane = np.empty(self._bright, np.uint8)
        self._have = 0

    def feed(self, data: bytes) -> Iterator[NDArray[np.uint8]]:
        """Yield each picture that `data` completes (height x width, uint8, the caller's own)."""
        view = memoryview(data)
        while view:
            step = min(len(view), self._whole - self._have)
            if bright := min(step, self._bright - self._have) if self._have < self._bright else 0:
                self._plane[self._have : self._have + bright] = np.frombuffer(view[:bright], np.uint8)
            self._have += step
            view = view[step:]
            if self._have == self._whole:
                yield self._plane.reshape(self._shape)
                self._plane, self._have = np.empty(self._bright, np.uint8), 0


class PipeCamera:
    """Runs `command` and shows its pictures; starts it again, later and later, whenever it ends. A ports.FrameSource.

    The program is started by the first iteration of `frames()`, which ends only when the camera is closed.
    """

    def __init__(self, command: Sequence[str], width: int, height: int, clock: Clock) -> None:
        self._command = tuple(command)
        self._size = (width, height)
        self._clock = clock
        self._newest = NewestFrame()
        self._keeper: asyncio.Task[None] | None = None
        self.restarts = 0
        self.last_words = ""
        """What the program last said on its standard error when it ended."""

    @property
    def dropped(self) -> int:
        """Pictures that came while the one before was not yet taken."""
        return self._newest.dropped

    async def frames(self) -> AsyncIterator[Frame]:
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep_running(), name="camera")
        async for frame in self._newest.frames():
            yield frame

    async def close(self) -> None:
        """End the program and every iteration. Harmless when repeated."""
        self._newest.close()
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper

    async def _keep_running(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            showed, how = await self._run_once()
            pause_s = _FIRST_PAUSE_S if showed else min(2 * pause_s, _LONGEST_PAUSE_S)
            self.restarts += 1
            _log.warning("camera.ended", program=self._command[0], how=how, said=self.last_words, again_in_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _run_once(self) -> tuple[bool, str]:
        """Run the program until it ends; return whether it showed anything, and how it ended."""
        loop = asyncio.get_running_loop()
        try:
            transport, protocol = await loop.subprocess_exec(
                lambda: _Program(PictureCutter(*self._size), self._take), *self._command, stdin=None
            )
        except OSError as error:
            self.last_words = str(error)
            return False, "could not be started"
        _widen(transport)
        try:
            await protocol.ended.wait()
        finally:
            await _end(transport, protocol)
            self.last_words = protocol.last_words()
        return protocol.pictures > 0, f"exit status {transport.get_returncode()}"

    def _take(self, luma: NDArray[np.uint8]) -> None:
        self._newest.put(Frame(self._clock.monotonic_us(), luma))


class _Program(asyncio.SubprocessProtocol):
    """The child as the event loop sees it. Its output is always read, so it never waits for a slow consumer."""

    def __init__(self, cutter: PictureCutter, take: Callable[[NDArray[np.uint8]], None]) -> None:
        self.pictures = 0
        self.ended = asyncio.Event()
        self._cutter = cutter
        self._take = take
        self._said = b""
        """The newest of what it said; a line may come in several portions."""

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == _STDOUT:
            for luma in self._cutter.feed(data):
                self.pictures += 1
                self._take(luma)
        elif fd == _STDERR:
            self._said = (self._said + data)[-_LONGEST_WORDS:]

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # the exit status says more
        self.ended.set()

    def last_words(self) -> str:
        return "\n".join(self._said.decode(errors="replace").splitlines()[-_LAST_WORDS:])


def _widen(transport: asyncio.SubprocessTransport) -> None:
    pipe = cast("asyncio.ReadTransport", transport.get_pipe_transport(_STDOUT)).get_extra_info("pipe")
    with suppress(OSError):  # a smaller pipe works as well, with more wake-ups
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


async def _end(transport: asyncio.SubprocessTransport, program: _Program) -> None:
    """Ask the program to end, then make it; returns when it is gone and its pipes are closed."""
    try:
        if transport.get_returncode() is None:
            transport.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(program.ended.wait(), _PATIENCE_S)
    finally:
        transport.close()
    await program.ended.wait()
