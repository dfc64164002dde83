"""Cameras that OpenCV opens: a V4L2 device, a video file, a folder of pictures."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import structlog

from cart_firmware.config import CameraSettings
from cart_firmware.devices.camera_settings import asked, ignored, unmet
from cart_firmware.devices.picture import Picture, cropped, from_bgr
from cart_firmware.ports import Frame
from cart_protocol.host.clock import Clock
from cart_protocol.host.configuration import ConfigurationError

_log = structlog.get_logger(__name__)

_EXPOSURE_MANUAL = 1
"""V4L2_EXPOSURE_MANUAL (videodev2, v4l2_exposure_auto_type); OpenCV passes the number through."""
_PROPERTY = {
    "exposure_us": (cv2.CAP_PROP_EXPOSURE, 100),  # V4L2_CID_EXPOSURE_ABSOLUTE counts 100 us
    "gain": (cv2.CAP_PROP_GAIN, 1),
    "focus": (cv2.CAP_PROP_FOCUS, 1),
}
"""Settings, OpenCV's properties, and what one step of those is; gain and focus are the driver's own numbers."""

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".pgm")


class V4l2Device:
    """Camera number N of the machine, for BlockingCamera."""

    def __init__(self, number: int, settings: CameraSettings) -> None:
        self.name = f"v4l2:{number}"
        self._number = number
        self._settings = settings
        self.unmet: tuple[str, ...] = ()
        self._capture = self._open()
        if not self._capture.isOpened():
            raise ConfigurationError(
                f"camera.device: camera {number} does not open; 'v4l2-ctl --list-devices' lists those there are, "
                "and the group 'video' may use them"
            )

    def read(self) -> Picture | None:
        picture = _next_of(self._capture)
        return None if picture is None else cropped(picture, self._settings.region)

    def reopen(self) -> None:
        self._capture.release()
        self._capture = self._open()

    def close(self) -> None:
        self._capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(self._number, cv2.CAP_V4L2)
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._settings.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._settings.height)
        capture.set(cv2.CAP_PROP_FPS, self._settings.frames_per_second)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if capture.isOpened():
            self.unmet = adjust(capture, self._settings)
        return capture


class Properties(Protocol):
    """The part of cv2.VideoCapture by which a camera is adjusted."""

    def set(self, prop: int, value: float, /) -> bool: ...
    def get(self, prop: int, /) -> float: ...


def adjust(capture: Properties, settings: CameraSettings) -> tuple[str, ...]:
    """Set exposure, gain and focus of a V4L2 camera; return what it does not honour, its frame's size included."""
    wanted, done = asked(settings), dict[str, float | None]()
    if settings.exposure_us:
        capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, _EXPOSURE_MANUAL)
    if settings.focus is not None:
        capture.set(cv2.CAP_PROP_AUTOFOCUS, 0)
    for key, value in wanted.items():
        prop, unit = _PROPERTY[key]
        taken = capture.set(prop, math.ceil(value / unit) if value < unit else round(value / unit))
        done[key] = capture.get(prop) * unit if taken else None
    return *unmet(wanted, done), *_other_size(capture, settings)


def _other_size(capture: Properties, settings: CameraSettings) -> tuple[str, ...]:
    width, height = round(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    if (width, height) == (settings.width, settings.height):
        return ()
    return (f"width, height: asked {settings.width}x{settings.height}, but the camera does {width}x{height}",)


class VideoFile:
    """A film as a camera, at its own speed, over and over. A picture waits for its consumer."""

    complaint = ""

    def __init__(self, path: Path, settings: CameraSettings, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._region = settings.region
        self.unmet = ignored(settings, "a film is as it was taken")
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise ConfigurationError(f"camera.device: {path} is no film that can be read; name an existing video file")
        speed = self._capture.get(cv2.CAP_PROP_FPS)
        self._period_s = 1 / speed if speed > 0 else 1 / settings.frames_per_second
        self._in_use = asyncio.Lock()
        self._closed = False

    async def frames(self) -> AsyncIterator[Frame]:
        async for _ in _ticks(self._period_s):
            async with self._in_use:
                if self._closed or (picture := await self._next()) is None:
                    return
            yield cropped(picture, self._region).frame(self._clock.monotonic_us())

    async def close(self) -> None:
        async with self._in_use:
            self._closed = True
            self._capture.release()

    async def _next(self) -> Picture | None:
        if (picture := await asyncio.to_thread(_next_of, self._capture)) is None:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            picture = await asyncio.to_thread(_next_of, self._capture)
        return picture


class PictureFolder:
    """The pictures of a folder in the order of their names, one per frame, over and over, each in its own size."""

    complaint = ""

    def __init__(self, folder: Path, settings: CameraSettings, clock: Clock) -> None:
        self._clock = clock
        self._period_s = 1 / settings.frames_per_second
        self._paths = _pictures_in(folder)
        self._region = settings.region
        self.unmet = ignored(settings, "pictures are as they were taken")
        self._closed = False
        self.unreadable = 0
        """Files that looked like pictures and were none."""

    async def frames(self) -> AsyncIterator[Frame]:
        shown = 0
        async for tick in _ticks(self._period_s):
            path = self._paths[tick % len(self._paths)]
            picture = await asyncio.to_thread(_picture_in, path)
            if self._closed:
                return
            if picture is not None:
                shown += 1
                yield cropped(picture, self._region).frame(self._clock.monotonic_us())
            elif self._skip(path) >= len(self._paths) and not shown:
                raise ConfigurationError(f"camera.device: none of the pictures in {path.parent} can be read")

    async def close(self) -> None:
        self._closed = True

    def _skip(self, path: Path) -> int:
        self.unreadable += 1
        _log.warning("camera.unreadable-picture", path=str(path))
        return self.unreadable


def _pictures_in(folder: Path) -> Sequence[Path]:
    if not folder.is_dir():
        raise ConfigurationError(f"camera.device: {folder} is no folder; name an existing one after 'folder:'")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
    if not paths:
        raise ConfigurationError(f"camera.device: {folder} has no pictures ({', '.join(PICTURES)})")
    return paths


async def _ticks(period_s: float) -> AsyncIterator[int]:
    """Count 0, 1, 2 …, one per period; after a pause of the consumer it goes on from there, without catching up."""
    loop = asyncio.get_running_loop()
    due, tick = loop.time(), 0
    while True:
        await asyncio.sleep(max(0.0, due - loop.time()))
        yield tick
        due, tick = max(due + period_s, loop.time()), tick + 1


def _next_of(capture: cv2.VideoCapture) -> Picture | None:
    """Return the next picture, or None when there is none. Blocks until the camera has one."""
    found, pixels = capture.read()
    return from_bgr(np.asarray(pixels, np.uint8)) if found else None


def _picture_in(path: Path) -> Picture | None:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return None if pixels is None else from_bgr(np.asarray(pixels, np.uint8))
