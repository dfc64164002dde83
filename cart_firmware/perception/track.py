"""One code over several frames: strips in which each frame alone was too blurred or too noisy are read together."""

from collections import deque
from collections.abc import Iterator

from cart_firmware.perception.decoders import Likeliest
from cart_firmware.perception.look import STRIP_COLUMNS, Look
from cart_firmware.perception.reading import Picture
from cart_firmware.perception.stages import Attempt, in_frame

_TOGETHER = 3
"""Strips that are read together: each one more adds less, and is older."""


class Track:
    """The stage that reads the strongest region of a frame together with those of the frames before.

    Strips that do not fit on the newest one are not used (scanline.fused).
    """

    name = "strip-joined"
    nanoseconds = 200.0
    goes_on = False

    def __init__(self) -> None:
        self._strips = deque[Picture](maxlen=_TOGETHER - 1)

    def attempts(self, look: Look) -> Iterator[Attempt]:
        """Yield the reading of this frame's strip with the earlier ones, and keep it for the frames to come."""
        if not look.barred:
            return
        strip = look.strip(look.barred[0], STRIP_COLUMNS)
        together = (strip.luma, *self._strips)
        if len(together) > 1:
            pixels = sum(luma.size for luma in together)
            yield Attempt(pixels, lambda: in_frame(Likeliest().read(*together), strip))
        self._strips.appendleft(strip.luma)

    def forget(self) -> None:
        """Begin anew: what was before the camera has been read."""
        self._strips.clear()
