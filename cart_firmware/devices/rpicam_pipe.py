"""A camera that is another program: it writes I420 pictures to its output.

By default that program is rpicam-vid: no binary coupling to libcamera's Python, and a camera stack that crashes takes
its own process down and not ours (measured, reference/hardware, section 1: 0.9 ms per 1280x720 picture).
"""

import asyncio
import fcntl
import math
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import cast

import numpy as np
import structlog

from cart_firmware.config import CameraSettings
from cart_firmware.devices.camera_settings import SETTLED, asked, ignored, unmet
from cart_firmware.devices.newest_frame import NewestFrame
from cart_firmware.devices.picture import Picture, cropped
from cart_firmware.ports import Colour, Frame
from cart_protocol.host.clock import Clock

_log = structlog.get_logger(__name__)

_STDOUT, _STDERR = 1, 2
_PIPE_BYTES = 1 << 20
"""Room in the kernel for at least one picture (/proc/sys/fs/pipe-max-size: an unprivileged process may have 1 MiB)."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
_PATIENCE_S = 1.0
"""How long a program may take to end when asked to, before it is killed."""
_REPORT = "cartwright exp %exp ag %ag lp %lp"
"""rpicam-vid writes this for every picture to its standard error, with what it did in place of the names."""
_REPORTED = re.compile(r"cartwright exp ([\d.]+) ag ([\d.]+) lp (-?[\d.]+)$")
_LAST_WORDS, _LONGEST_WORDS = 20, 8_192
"""Lines and bytes that are kept of what a program said last."""


def rpicam_command(settings: CameraSettings) -> list[str]:
    """Return the command line that makes rpicam-vid write I420 pictures to its output for ever.

    Names of the options: raspberrypi/rpicam-apps, core/options.cpp. Its noise filter is off: it smears fine bars, and a
    reader that sums along the bars does better than any filter of single pixels.
    """
    command = [
        "rpicam-vid", "--nopreview", "--timeout", "0", "--flush", "--codec", "yuv420",
        "--width", str(settings.width), "--height", str(settings.height),
        "--framerate", str(settings.frames_per_second), "--denoise", "off", "--info-text", _REPORT,
    ]  # fmt: skip
    if settings.exposure_us:
        command += ["--shutter", str(settings.exposure_us)]
    if settings.gain:
        command += ["--gain", f"{settings.gain:g}"]
    if settings.focus is not None:
        command += ["--autofocus-mode", "manual", "--lens-position", f"{settings.focus:g}"]
    if settings.region != CameraSettings().region:
        command += ["--roi", ",".join(f"{share:g}" for share in settings.region)]
    return [*command, "--output", "-"]


def rpicam_report(line: str) -> dict[str, float | None] | None:
    """Return what rpicam-vid says that it did for a picture, or None where a line is something else."""
    if not (said := _REPORTED.match(line.strip())):
        return None
    exposure_us, gain, focus = (float(number) for number in said.groups())
    # A camera without a lens that moves has no position to report (core/frame_info.hpp: -1).
    return {"exposure_us": exposure_us, "gain": gain, "focus": None if focus < 0 else focus}


class PictureCutter:
    """Cuts a byte stream of I420 pictures of one size. No I/O.

    I420 is height x width bytes of brightness, then two planes of colour of a quarter of that each.
    """

    def __init__(self, width: int, height: int) -> None:
        self._shape = (height, width)
        self._half = (2, (height + 1) // 2, (width + 1) // 2)
        self._bright = width * height
        self._whole = self._bright + math.prod(self._half)
        self._picture = np.empty(self._whole, np.uint8)
        self._have = 0

    @property
    def progress(self) -> tuple[int, int]:
        """How many bytes of a picture have come that is not yet whole, and how many a whole one has."""
        return self._have, self._whole

    def feed(self, data: bytes) -> Iterator[Picture]:
        """Yield each picture that `data` completes; it is the caller's own."""
        view = memoryview(data)
        while view:
            step = min(len(view), self._whole - self._have)
            self._picture[self._have : self._have + step] = np.frombuffer(view[:step], np.uint8)
            self._have += step
            view = view[step:]
            if self._have == self._whole:
                bright, coloured = self._picture[: self._bright], self._picture[self._bright :]
                yield Picture(bright.reshape(self._shape), Colour(coloured.reshape(self._half), limited=True))
                self._picture, self._have = np.empty(self._whole, np.uint8), 0


class PipeCamera:
    """Runs `command` and shows its pictures; starts it again, later and later, whenever it ends. A ports.FrameSource.

    The program is started by the first iteration of `frames()`, which ends only when the camera is closed.
    """

    def __init__(self, command: Sequence[str], settings: CameraSettings, clock: Clock) -> None:
        self._command = tuple(command)
        self._size = (settings.width, settings.height)
        self._region = settings.region
        self._clock = clock
        self._newest = NewestFrame()
        self._keeper: asyncio.Task[None] | None = None
        self.unmet: tuple[str, ...] = ignored(settings, "a program behind a pipe has settings of its own")
        """Settings that the camera does not honour; see ports.FrameSource."""
        self.complaint = ""
        """How the program ended last, and what it said; see ports.FrameSource."""
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
            self.complaint = f"{self._command[0]}: {how}: {self.last_words or 'it said nothing'}"
            _log.warning("camera.ended", program=self._command[0], how=how, said=self.last_words, again_in_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _run_once(self) -> tuple[bool, str]:
        """Run the program until it ends; return whether it showed anything, and how it ended."""
        loop = asyncio.get_running_loop()
        try:
            transport, protocol = await loop.subprocess_exec(
                lambda: _Program(PictureCutter(*self._size), self._take, self._heard), *self._command, stdin=None
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
        return protocol.pictures > 0, f"exit status {transport.get_returncode()}{protocol.cut_short()}"

    def _take(self, picture: Picture) -> None:
        self._newest.put(cropped(picture, self._region).frame(self._clock.monotonic_us()))

    def _heard(self, line: str) -> bool:
        """Return whether a line that the program said was meant for us, and not for people."""
        del line
        return False


class RpicamCamera(PipeCamera):
    """rpicam-vid, which shows the asked part of its sensor itself and says what it does for every picture."""

    def __init__(self, settings: CameraSettings, clock: Clock, command: Sequence[str] = ()) -> None:
        super().__init__(command or rpicam_command(settings), settings, clock)
        self._region = CameraSettings().region
        self._asked = asked(settings)
        self._reports = 0
        self.unmet = ()

    def _heard(self, line: str) -> bool:
        if (report := rpicam_report(line)) is None:
            return False
        self._reports += 1
        if self._reports >= SETTLED:
            self._compare(report)
        return True

    def _compare(self, report: Mapping[str, float | None]) -> None:
        if (found := unmet(self._asked, report)) and not self.unmet:
            _log.warning("camera.not-as-asked", unmet=found)
        self.unmet = found


class _Program(asyncio.SubprocessProtocol):
    """The child as the event loop sees it. Its output is always read, so it never waits for a slow consumer."""

    def __init__(self, cutter: PictureCutter, take: Callable[[Picture], None], heard: Callable[[str], bool]) -> None:
        self.pictures = 0
        self.ended = asyncio.Event()
        self._cutter = cutter
        self._take = take
        self._heard = heard
        self._begun = b""
        """A line of which the end has not come yet."""
        self._said = b""
        """The newest of what it said; a line may come in several portions."""

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == _STDOUT:
            for picture in self._cutter.feed(data):
                self.pictures += 1
                self._take(picture)
        elif fd == _STDERR:
            *lines, self._begun = (self._begun + data)[-_LONGEST_WORDS:].split(b"\n")
            kept = [line for line in lines if not self._heard(line.decode(errors="replace"))]
            self._said = b"\n".join([self._said, *kept])[-_LONGEST_WORDS:]

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # the exit status says more
        self.ended.set()

    def last_words(self) -> str:
        said = b"\n".join([self._said, self._begun]).decode(errors="replace").strip()
        return "\n".join(said.splitlines()[-_LAST_WORDS:])

    def cut_short(self) -> str:
        """Return in words that the last picture was not whole, or nothing."""
        have, whole = self._cutter.progress
        return f" after {have} of the {whole} bytes of a picture; is it of another size?" if have else ""


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
