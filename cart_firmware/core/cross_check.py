"""Which cell of a platform contradicts the others. Pure: counts in, the place of the suspect out.

A rigid plate on four equal springs cannot warp: whatever lies wherever on it, the two diagonals carry the same sum. So
that difference says nothing about the load and everything about the cells. It cannot say which of the four it was; the
one is named without whose change the others changed least. Two or three cells have no such surplus: there only a cell
that pulls the platform down stands out.
"""

from collections.abc import Sequence

_FOUR = ("front left", "front right", "rear right", "rear left")
_SIGNS = (1, -1, 1, -1)
"""Of the cells in the order of their names around the platform."""
_WARP_KG = 0.4
"""What springs of unequal stiffness and an uneven floor may look like ..."""
_WARP_SHARE = 0.06
"""... and what more of it for each kilogram on the platform. Both are our own choice, to be corrected on real parts."""
_PULL_KG = 2.0
_LASTING_S = 1.0
"""Cells convert at different moments: a rolling cart warps for an instant."""


class CrossCheck:
    """Told all cells' counts above their zeros, in their order around the platform, at `rate_hz`."""

    def __init__(self, cells: int, *, counts_per_kilogram: float, rate_hz: float, zeros: Sequence[int] = ()) -> None:
        """Compare with `zeros`, the cells' counts at calibration; without them, with the first readings."""
        self._cells = cells
        self._kilogram = abs(counts_per_kilogram)
        self._lasting = max(2, round(_LASTING_S * rate_hz))
        self._sound: tuple[int, ...] | None = tuple(zeros) or None
        """Counts when the cells last agreed."""
        self._level_warp = self._warp(self._sound) if self._sound else 0.0
        self._zeros = self._sound
        self._suspect: int | None = None
        self._for = 0

    def judge(self, counts: Sequence[int]) -> int | None:
        """Return the place of the cell that has contradicted the others for a second, or None."""
        now = tuple(counts)
        if self._sound is None:
            self._sound, self._level_warp = now, self._warp(now)
        suspect = self._suspected(now)
        if suspect is None:
            self._sound = now
        self._for = self._for + 1 if suspect is not None and suspect == self._suspect else 0
        self._suspect = suspect
        return suspect if self._for >= self._lasting else None

    def _suspected(self, now: tuple[int, ...]) -> int | None:
        above = self._above_zero(now)
        load = abs(sum(above))
        if self._cells == len(_SIGNS):
            warp = self._warp(now) - self._level_warp
            if abs(warp) > _WARP_KG * self._kilogram + _WARP_SHARE * load:
                return self._alone(now, warp)
        pulls = [-count for count in above]
        strongest = max(range(self._cells), key=pulls.__getitem__)
        return strongest if pulls[strongest] > max(_PULL_KG * self._kilogram, load / 2) else None

    def _alone(self, now: tuple[int, ...], warp: float) -> int:
        """Return the cell that, had it alone gone astray, would leave the least change in all."""
        sound = self._sound or now
        changes = [new - old for new, old in zip(now, sound, strict=True)]

        def left(place: int) -> float:
            return sum(abs(change - (_SIGNS[place] * warp if at == place else 0)) for at, change in enumerate(changes))

        return min(range(self._cells), key=left)

    def _above_zero(self, now: tuple[int, ...]) -> tuple[int, ...]:
        if self._zeros is None:
            return now
        return tuple(count - zero for count, zero in zip(now, self._zeros, strict=True))

    def _warp(self, counts: Sequence[int]) -> float:
        return sum(sign * count for sign, count in zip(_SIGNS, counts, strict=False))


def places(cells: int) -> tuple[str, ...]:
    """Return what people call the cells of a platform, or its corners: four from front left, clockwise from above."""
    return _FOUR if cells == len(_FOUR) else tuple(f"cell {place}" for place in range(1, cells + 1))
