"""What the counts of any bridge converter must look like, whatever wires they came over."""

from collections.abc import Callable

from cart_firmware.ports import Quality, SaturatedError, StuckError

MicrosecondClock = Callable[[], int]
"""Monotonic microseconds, as cart_protocol.host.clock.Clock.monotonic_us."""

_NEAR_END = 0.98
_STUCK_CONVERSIONS = 16
"""In a row. The HX711's typical noise of 90 nV is a standard deviation of 38 counts at 80 conversions a second
(datasheet, "Electrical Characteristics"): two in a row agree once in a hundred, sixteen never."""


class Plausibility:
    """Judges the counts of one converter, in the order of their conversions."""

    def __init__(self, part: str, *, lowest: int, highest: int) -> None:
        self._part, self._lowest, self._highest = part, lowest, highest
        self._last: int | None = None
        self._repeated = 0

    def judge(self, counts: int) -> Quality:
        """Return how good checked counts are.

        Raises:
            SaturatedError: they are the end of the range.
            StuckError: they were the same sixteen times in a row; the count begins anew.
        """
        self._repeated = self._repeated + 1 if counts == self._last else 1
        self._last = counts
        if not self._lowest < counts < self._highest:
            raise SaturatedError(
                f"{self._part}: {counts} counts is the end of its range; overload, or a broken bridge wire: "
                "unload the platform, then check the cell's four wires"
            )
        if self._repeated >= _STUCK_CONVERSIONS:
            self.forget()
            raise StuckError(
                f"{self._part}: {counts} counts {_STUCK_CONVERSIONS} times in a row; a live converter has noise; "
                "it was reset; check its supply, and exchange it if this comes back"
            )
        near = not self._lowest * _NEAR_END < counts < self._highest * _NEAR_END
        return Quality.NEAR_END if near else Quality.GOOD

    def forget(self) -> None:
        """Begin anew: the converter was reset."""
        self._last, self._repeated = None, 0
