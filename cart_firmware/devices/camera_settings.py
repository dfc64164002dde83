"""What was asked of a camera beside what it does; and where the part of a picture lies that was asked for."""

from collections.abc import Mapping

import msgspec

from cart_firmware.config import CameraSettings
from cart_protocol.host.configuration import ConfigurationError

SETTLED = 10
"""Pictures after which a camera should do what it was asked: libcamera applies a control some frames later."""

_TOLERANCE = 0.1
"""Share by which a setting may be off: sensors expose whole lines (IMX219: 19 us) and have gains in steps."""
_STEP = {"exposure_us": 50.0, "gain": 0.1, "focus": 0.1}
"""What is near enough in any case. V4L2 counts exposures in 100 us (V4L2_CID_EXPOSURE_ABSOLUTE)."""
_UNSET = msgspec.structs.asdict(CameraSettings())


def asked(settings: CameraSettings) -> dict[str, float]:
    """Return the settings that are not left to the camera."""
    wanted = {"exposure_us": settings.exposure_us or None, "gain": settings.gain or None, "focus": settings.focus}
    return {key: float(value) for key, value in wanted.items() if value is not None}


def unmet(wanted: Mapping[str, float], done: Mapping[str, float | None]) -> tuple[str, ...]:
    """Return a sentence for each setting that is missed; in `done`, None is a control that the camera does not have."""
    return tuple(
        f"{key}: asked {value:g}, but {_did(done[key])}"
        for key, value in wanted.items()
        if key in done and not _met(key, value, done[key])
    )


def ignored(settings: CameraSettings, why: str) -> tuple[str, ...]:
    """Return a sentence for each setting of exposure, gain and focus that was made for a camera that has none."""
    return tuple(f"{key}: asked {value:g}, but {why}" for key, value in asked(settings).items() if value != _UNSET[key])


def in_pixels(
    region: tuple[float, float, float, float], width: int, height: int, left: int = 0, top: int = 0
) -> tuple[int, int, int, int]:
    """Return left, top, width and height of a region of an area of pixels; at least one pixel each way."""
    x, wide = _stretch(region[0], region[2], width)
    y, high = _stretch(region[1], region[3], height)
    return left + x, top + y, wide, high


def check_region(region: tuple[float, float, float, float]) -> None:
    """Raises ConfigurationError where a region is empty or reaches out of the picture."""
    left, top, width, height = region
    if width <= 0 or height <= 0 or left + width > 1 or top + height > 1:
        raise ConfigurationError(
            f"camera.region: {list(region)} is no part of a picture; write [left, top, width, height] as shares of it, "
            "such as [0.25, 0.25, 0.5, 0.5] for the middle"
        )


def _stretch(start: float, share: float, length: int) -> tuple[int, int]:
    begin = min(round(start * length), length - 1)
    return begin, min(max(1, round(share * length)), length - begin)


def _met(key: str, wanted: float, done: float | None) -> bool:
    return done is not None and abs(done - wanted) <= max(_TOLERANCE * wanted, _STEP[key])


def _did(done: float | None) -> str:
    return "the camera cannot set it" if done is None else f"the camera does {done:g}"
