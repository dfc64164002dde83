"""A Raspberry Pi camera through the picamera2 library, for those who prefer it to a pipe from rpicam-vid.

Not verified on a Raspberry Pi: written from the picamera2 manual (sections 4.2 "Configuring", 5 "Camera controls", 6.1
"Capturing arrays") and libcamera's control_ids_core.yaml.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cart_firmware.config import CameraSettings
from cart_firmware.devices.camera_settings import SETTLED, asked, in_pixels, unmet
from cart_firmware.devices.picture import Picture
from cart_firmware.ports import Colour
from cart_protocol.host.configuration import ConfigurationError

_CONTROL = {"exposure_us": "ExposureTime", "gain": "AnalogueGain", "focus": "LensPosition"}
"""Settings and the names of libcamera's controls, which are also those of a picture's metadata."""
_OFF = 0
"""NoiseReductionModeOff."""
_MANUAL = 1
"""ExposureTimeModeManual, AnalogueGainModeManual."""
_AF_MANUAL = 0
"""AfModeManual."""


class Camera(Protocol):
    """The part of picamera2.Picamera2 that we use."""

    @property
    def camera_controls(self) -> Mapping[str, object]: ...
    @property
    def camera_properties(self) -> Mapping[str, object]: ...
    def create_video_configuration(self, *, main: Mapping[str, object], controls: Mapping[str, object]) -> object: ...
    def configure(self, configuration: object, /) -> object: ...
    def set_controls(self, controls: Mapping[str, object], /) -> object: ...
    def start(self) -> object: ...
    def capture_array(self, name: str, /) -> NDArray[np.uint8]: ...
    def capture_metadata(self) -> Mapping[str, object]: ...
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
        self._asked = asked(settings)
        self._pictures = 0
        camera.configure(camera.create_video_configuration(main={"size": self._size, "format": "YUV420"}, controls={}))
        # What can be set, and where the sensor's picture lies, is known from here on.
        wanted = _controls(settings, camera.camera_properties.get("ScalerCropMaximum"))
        known = camera.camera_controls
        camera.set_controls({name: value for name, value in wanted.items() if name in known})
        missing = {key for key, name in _CONTROL.items() if name not in known}
        self.unmet = unmet(self._asked, dict.fromkeys(missing))
        if settings.region != CameraSettings().region and "ScalerCrop" not in {*wanted} & {*known}:
            self.unmet += ("region: the camera cannot show a part of its picture",)
        camera.start()

    def read(self) -> Picture | None:
        planes = self._camera.capture_array("main")
        self._pictures += 1
        if self._pictures == SETTLED:
            self._compare(self._camera.capture_metadata())
        return self._picture(planes)

    def reopen(self) -> None:
        self._camera.stop()
        self._camera.start()

    def close(self) -> None:
        self._camera.stop()
        self._camera.close()

    def _picture(self, planes: NDArray[np.uint8]) -> Picture:
        """Cut out the three planes, which stand below each other; rows may be padded on the right."""
        width, height = self._size
        luma = np.ascontiguousarray(planes[:height, :width])
        coloured = planes[height : height + height // 2].reshape(2, height // 2, -1)
        return Picture(luma, Colour(np.ascontiguousarray(coloured[:, :, : width // 2]), limited=True))

    def _compare(self, metadata: Mapping[str, object]) -> None:
        said = {key: metadata.get(name) for key, name in _CONTROL.items()}
        done = {key: float(value) for key, value in said.items() if isinstance(value, int | float)}
        self.unmet += unmet(self._asked, done)


def _controls(settings: CameraSettings, whole: object) -> dict[str, object]:
    """Return libcamera's controls for the settings; `whole` is the sensor's ScalerCropMaximum."""
    period_us = round(1e6 / settings.frames_per_second)
    fixed_exposure, fixed_gain = bool(settings.exposure_us), bool(settings.gain)
    controls: dict[str, object] = {
        "FrameDurationLimits": (period_us, period_us),
        "NoiseReductionMode": _OFF,
        "AeEnable": not (fixed_exposure and fixed_gain),
    }
    if fixed_exposure:
        # libcamera before 0.5 takes a time as fixed when it is not 0; later ones want to be told.
        controls |= {"ExposureTimeMode": _MANUAL, "ExposureTime": settings.exposure_us}
    if fixed_gain:
        controls |= {"AnalogueGainMode": _MANUAL, "AnalogueGain": settings.gain}
    if settings.focus is not None:
        controls |= {"AfMode": _AF_MANUAL, "LensPosition": settings.focus}
    if settings.region != CameraSettings().region and isinstance(whole, tuple):
        left, top, width, height = whole
        controls["ScalerCrop"] = in_pixels(settings.region, width, height, left, top)
    return controls
