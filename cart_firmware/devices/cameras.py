"""Opens the camera that the configuration names."""

import shlex
import shutil
from pathlib import Path

import structlog

from cart_firmware.config import CameraSettings
from cart_firmware.devices.blocking_camera import BlockingCamera
from cart_firmware.devices.camera_settings import check_region
from cart_firmware.devices.lamp import LitCamera
from cart_firmware.devices.opencv_camera import PictureFolder, V4l2Device, VideoFile
from cart_firmware.devices.picamera2_camera import Picamera2Device, open_picamera2
from cart_firmware.devices.rpicam_pipe import PipeCamera, RpicamCamera
from cart_firmware.ports import FrameSource
from cart_protocol.host.clock import Clock
from cart_protocol.host.configuration import ConfigurationError

_log = structlog.get_logger(__name__)

_STRIDE = 64
"""Rows that the camera pads come garbled (raspberrypi/rpicam-apps #857: 2028 pixels wide). Rows of a multiple of 64
should need no padding on any Pi; not verified on one."""


def open_frame_source(settings: CameraSettings, clock: Clock) -> FrameSource:
    """Return the camera, with its lamp if it has one; programs and threads start with the first iteration of frames.

    Raises:
        ConfigurationError: the device cannot be opened as written; the text says what to do.
    """
    if settings.width <= 0 or settings.height <= 0 or settings.frames_per_second <= 0:
        raise ConfigurationError("camera: width, height and frames_per_second must be above zero")
    check_region(settings.region)
    camera = _camera(settings, clock)
    if camera.unmet:
        _log.warning("camera.not-as-asked", device=settings.device, unmet=camera.unmet)
    return LitCamera(camera, settings.lamp) if settings.lamp else camera


def _camera(settings: CameraSettings, clock: Clock) -> FrameSource:
    driver, _, place = settings.device.partition(":")
    match driver:
        case "rpicam" if not place:
            return _rpicam(settings, clock)
        case "picamera2" if not place:
            return BlockingCamera(Picamera2Device(open_picamera2(), settings), clock)
        case "v4l2" if place.isdecimal():
            return BlockingCamera(V4l2Device(int(place), settings), clock)
        case "file" if place:
            return VideoFile(Path(place), settings, clock)
        case "folder" if place:
            return PictureFolder(Path(place), settings, clock)
        case "pipe" if place:
            return _pipe(_words(place), settings, clock)
        case _:
            raise ConfigurationError(
                f"camera.device: {settings.device!r} is none of 'rpicam', 'picamera2', 'v4l2:0', 'file:VIDEO', "
                "'folder:DIR', 'pipe:COMMAND'"
            )


def _rpicam(settings: CameraSettings, clock: Clock) -> FrameSource:
    if settings.width % _STRIDE or settings.height % 2:
        raise ConfigurationError(
            f"camera: rpicam needs a width that is a multiple of {_STRIDE} and an even height, "
            f"not {settings.width}x{settings.height}; 640x480, 1280x720 and 1920x1080 will do"
        )
    if shutil.which("rpicam-vid") is None:
        raise ConfigurationError(
            "camera.device: rpicam-vid is not installed; on the Pi: apt install rpicam-apps-lite; "
            "elsewhere name another camera, such as 'v4l2:0'"
        )
    return RpicamCamera(settings, clock)


def _pipe(command: list[str], settings: CameraSettings, clock: Clock) -> FrameSource:
    if shutil.which(command[0]) is None:
        raise ConfigurationError(f"camera.device: there is no program {command[0]!r} to run; correct its path")
    return PipeCamera(command, settings, clock)


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigurationError(f"camera.device: {command!r}: {error}; quote it as a shell would") from error
    if not words:
        raise ConfigurationError("camera.device: 'pipe:' needs a command")
    return words
