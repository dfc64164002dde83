"""One frame under examination: what several stages of the reader share, found when the first of them asks."""

from functools import cached_property

from cart_firmware.perception.locate import CLEAR, FAINT, Region, Sieve, locate
from cart_firmware.perception.reading import Picture
from cart_firmware.perception.strip import Strip, levelled, rectify

STRIP_COLUMNS = 480
"""About 3.7 columns per module of an EAN-13 whose ends were found: what the decoders like best."""
_REGIONS = 4


class Look:
    """A frame, its bar-like regions, and their strips."""

    def __init__(self, luma: Picture) -> None:
        self.luma = luma
        self._strips: dict[tuple[Region, int], Strip] = {}

    @cached_property
    def barred(self) -> tuple[Region, ...]:
        """The regions in which bars follow each other as in a symbol, strongest first."""
        return self._found(CLEAR)

    @cached_property
    def faint(self) -> tuple[Region, ...]:
        """The same by a coarser and more tolerant search: low contrast, much blur, the picture's edge."""
        return self._found(FAINT)

    def _found(self, sieve: Sieve) -> tuple[Region, ...]:
        found = locate(self.luma, sieve, _REGIONS)
        return tuple(level for region in found if (level := levelled(self.luma, region)))

    def strip(self, region: Region, columns: int) -> Strip:
        key = (region, columns)
        if key not in self._strips:
            self._strips[key] = rectify(self.luma, region, columns)
        return self._strips[key]
