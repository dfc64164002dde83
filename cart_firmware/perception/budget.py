"""Time for one frame: what may still begin, by what it cost lately."""

from collections.abc import Callable

import msgspec

Seconds = float

_MEMORY = 0.2
"""Weight of the newest cost in the running estimate."""


class Cost(msgspec.Struct):
    """What a stage takes: a running estimate of the seconds per megapixel, on this machine and under its load."""

    per_megapixel: Seconds

    def of(self, pixels: int) -> Seconds:
        return self.per_megapixel * pixels / 1e6

    def learn(self, pixels: int, took: Seconds) -> None:
        """Follow upwards at once and downwards slowly: a stage that was once slow is trusted less for a while."""
        seen = took / max(pixels, 1) * 1e6
        weight = 1.0 if seen > self.per_megapixel else _MEMORY
        self.per_megapixel += weight * (seen - self.per_megapixel)


class Budget:
    """The deadline of one frame."""

    def __init__(self, seconds: Seconds, now: Callable[[], Seconds]) -> None:
        self._now = now
        self._began = now()
        self._seconds = seconds

    @property
    def left(self) -> Seconds:
        return self._seconds - (self._now() - self._began)

    def allows(self, cost: Cost, pixels: int) -> bool:
        return cost.of(pixels) <= self.left
