"""A platform on several load cells, each with a converter of its own: one load cell to everybody else."""

from collections.abc import Sequence

from cart_firmware.core.cross_check import CrossCheck, places
from cart_firmware.ports import DisagreementError, LoadCell, LoadCellError, Quality, Sample

_TOGETHER = 1.5
"""Conversion times within which conversions of different cells belong to one moment."""


class Platform:
    """Sums its cells and names the one that fails or contradicts the others; fulfils ports.LoadCell.

    Args:
        cells: in their order around the platform; four from front left, clockwise seen from above.
        check: what the cells' counts must agree on.
        trims: factor of each cell's counts, from the corner check; without any, one.
    """

    def __init__(self, cells: Sequence[LoadCell], check: CrossCheck, trims: Sequence[float] = ()) -> None:
        self.rate_hz = min(cell.rate_hz for cell in cells)
        self._cells, self._check = tuple(cells), check
        self._trims = tuple(trims) or (1.0,) * len(self._cells)
        self.names = places(len(self._cells))
        self._together_us = round(_TOGETHER * 1_000_000 / self.rate_hz)
        self._held: dict[int, Sample] = {}

    def poll(self, now_us: int) -> Sample | None:
        """Return the sum of one conversion of each cell, or None until all have one.

        Raises:
            LoadCellError: what one cell's driver raised, with the cell's name; the others were polled all the same.
            DisagreementError: what the named cell says cannot be.
        """
        failed: LoadCellError | None = None
        for place, cell in enumerate(self._cells):
            try:
                sample = cell.poll(now_us)
            except LoadCellError as error:
                self._held.clear()
                failed = failed or _named(error, self.names[place])
                continue
            if sample is not None:
                self._held[place] = sample
        if failed is not None:
            raise failed
        return self._sum()

    def close(self) -> None:
        for cell in self._cells:
            cell.close()

    def _sum(self) -> Sample | None:
        if len(self._held) < len(self._cells):
            return None
        samples = [self._held[place] for place in range(len(self._cells))]
        at_us = max(sample.at_us for sample in samples)
        if at_us - min(sample.at_us for sample in samples) > self._together_us:
            return None
        self._held.clear()
        parts = tuple(round(sample.counts * trim) for sample, trim in zip(samples, self._trims, strict=True))
        if (suspect := self._check.judge(parts)) is not None:
            raise _named(
                DisagreementError(
                    f"counts of the cells are {', '.join(map(str, parts))}, which no rigid platform gives; look "
                    "for what jams it or lies under it, then calibrate or exchange the cell"
                ),
                self.names[suspect],
            )
        near = any(sample.quality is Quality.NEAR_END for sample in samples)
        return Sample(at_us, sum(parts), Quality.NEAR_END if near else Quality.GOOD, parts)


def _named(error: LoadCellError, cell: str) -> LoadCellError:
    named = type(error)(f"{cell}: {error}")
    named.cell = cell
    return named
