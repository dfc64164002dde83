"""Watches a camera for a while and says how well codes can be read from it: the work of `cart-firmware camera`."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from itertools import islice
from typing import Protocol

import msgspec

from cart_firmware.perception.camera_advice import Look, Setting, Verdict, judge, look
from cart_firmware.perception.picture_quality import Luma
from cart_firmware.perception.reading import Reading
from cart_firmware.ports import Frame, FrameSource
from cart_protocol.host.clock import Clock

FIRST_S, NEXT_S = 15.0, 5.0
"""How long the first picture and the next may take: cart_firmware.core.health gives a camera as much."""
_HOPELESS_S = 3.0
"""How long a camera that said what is wrong may take to show something nevertheless: programs are started again."""
LATELY = 15
"""Pictures by which the live view judges."""
_MOST = 100_000
"""Looks kept: an hour and a half at 15 a second, some 50 MB. The oldest are forgotten first."""


class CameraSilentError(Exception):
    """The camera shows nothing; the text says what it said and what to do."""


class Reads(Protocol):
    def read(self, luma: Luma, /) -> Sequence[Reading]: ...


class Bound(msgspec.Struct, frozen=True):
    """When a check ends by itself: after so many pictures or seconds, whichever comes first; or never."""

    frames: int | None = None
    seconds: float | None = None


class CameraCheck:
    """Looks at every picture it has time for. `show` is handed each, with what is to be said of it and of the last."""

    def __init__(self, camera: FrameSource, reader: Reads, clock: Clock, setting: Setting) -> None:
        self._camera, self._reader, self._clock, self._setting = camera, reader, clock, setting
        self._looks = deque[Look](maxlen=_MOST)
        self._times_us = deque[int](maxlen=_MOST)

    async def run(self, bound: Bound, show: Callable[[Luma, Look, Verdict], None]) -> None:
        """Watch until the bound is reached; whatever ends it, `verdict` then says what was seen.

        Raises:
            CameraSilentError: no picture came in time.
        """
        async with aclosing(self._frames(bound)) as frames:
            async for frame in frames:
                seen = await asyncio.to_thread(self._look, frame.luma)
                self._looks.append(seen)
                self._times_us.append(self._clock.monotonic_us())
                show(frame.luma, seen, self._judge(LATELY))
                if bound.frames is not None and len(self._looks) >= bound.frames:
                    return

    def verdict(self) -> Verdict:
        return self._judge(_MOST)

    def _judge(self, newest: int) -> Verdict:
        looks = list(islice(reversed(self._looks), newest))[::-1]
        times_us = list(islice(reversed(self._times_us), newest))[::-1]
        seconds = (times_us[-1] - times_us[0]) / 1e6 if times_us else 0.0
        setting = msgspec.structs.replace(self._setting, unmet=self._camera.unmet)
        return judge(looks, seconds, setting)

    def _look(self, luma: Luma) -> Look:
        return look(luma, self._reader.read(luma))

    async def _frames(self, bound: Bound) -> AsyncGenerator[Frame, None]:
        source = aiter(self._camera.frames())
        patience_s = FIRST_S
        while (left_s := self._left_s(bound)) > 0:
            coming = asyncio.ensure_future(anext(source))
            try:
                await self._wait(coming, min(patience_s, left_s))
                if not coming.done():
                    if left_s <= patience_s:
                        return
                    raise CameraSilentError(self._silence())
                yield coming.result()
            except StopAsyncIteration:
                return
            finally:
                coming.cancel()
            patience_s = NEXT_S

    async def _wait(self, coming: "asyncio.Future[Frame]", patience_s: float) -> None:
        """Return when the picture is there, patience is at its end, or the camera says why there will be none."""
        deadline_us = self._clock.monotonic_us() + round(patience_s * 1e6)
        hopeless_us = self._clock.monotonic_us() + round(_HOPELESS_S * 1e6)
        while (now_us := self._clock.monotonic_us()) < deadline_us:
            if self._camera.complaint and now_us >= hopeless_us:
                return
            await asyncio.wait({coming}, timeout=min(_HOPELESS_S / 4, (deadline_us - now_us) / 1e6))
            if coming.done():
                return

    def _left_s(self, bound: Bound) -> float:
        if bound.seconds is None:
            return float("inf")
        if not self._times_us:
            return float("inf")  # the seconds asked for are those of watching; a camera may take its time to start
        return bound.seconds - (self._clock.monotonic_us() - self._times_us[0]) / 1e6

    def _silence(self) -> str:
        said = self._camera.complaint or "it said nothing"
        return (
            f"the camera shows no picture, {self._setting.frames_per_second:g} a second were expected ({said}). End "
            "what else uses the camera ('systemctl stop cartwright-cart'), check its cable ('rpicam-hello "
            "--list-cameras', 'v4l2-ctl --list-devices') and the size that is asked for"
        )
