"""A Raspberry Pi camera through the picamera2 library, for those who prefer it to a pipe from rpicam-vid.

Not verified on a Raspberry Pi: written from the picamera2 manual (sections 4.2 "Configuring", 6.1 "Capturing arrays").
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cart_firmware.config import CameraSettings
from cart_protocol.host.configuration import ConfigurationError


class Camera(Protocol):
    """The part of picamera2.Picamera2 that we use."""

    def create_video_configuration(self, *, main: Mapping[str, object], controls: Mapping[str, object]) -> object: ...
    def configure(self, configuration: object, /) -> object: ...
    def start(self) -> object: ...
    def capture_array(self, name: str, /) -> NDArray[np.uint8]: ...
    def stop(self) -> object: ...
    def close(self) -> object: ...


def open_picamera2() -> Camera:
    """Return the first camera of the machine.

    Raises:
        ConfigurationError: picamera2 or libcamera is missing, or there is no camera.
    """
    try:
        from picamera2 import Picamera2  # noqa: PLC0415 - exists on a Raspberry Pi only
    except ImportError as error:
        raise ConfigurationError(
            f"camera.device: picamera2 cannot be imported ({error}); on the Pi: pip install 'cartwright[pi]' in a "
            "virtual environment with --system-site-packages, or set camera.device to 'rpicam'"
        ) from error
    try:
        camera: Camera = Picamera2()
    except (IndexError, RuntimeError) as error:
        raise ConfigurationError(
            "camera.device: picamera2 finds no camera; check its cable with 'rpicam-hello --list-cameras'"
        ) from error
    return camera


class Picamera2Device:
    """One picamera2 camera, started; for BlockingCamera."""

    name = "picamera2"

    def __init__(self, camera: Camera, settings: CameraSettings) -> None:
        self._camera = camera
        self._size = (settings.width, settings.height)
        camera.configure(
            camera.create_video_configuration(
                main={"size": self._size, "format": "YUV420"}, controls={"FrameRate": settings.frames_per_second}
            )
        )
        camera.start()

    def read(self) -> NDArray[np.uint8] | None:
        width, height = self._size
        picture = self._camera.capture_array("main")
        # The three planes stand below each other, and rows may be padded on the right.
        return np.ascontiguousarray(picture[:height, :width])

    def reopen(self) -> None:
        self._camera.stop()
        self._camera.start()

    def close(self) -> None:
        self._camera.stop()
        self._camera.close()
