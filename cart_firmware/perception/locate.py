"""Where bars could be: places of a picture whose brightness changes strongly, to and fro, and in one direction only.

The structure tensor says so. Its three sums (gx*gx, gy*gy, gx*gy) over small cells give the energy of the changes,
their main direction, and their coherence: 1 where all changes point the same way, as across bars; 0 where they point
everywhere, as in print and foliage. The plain sums of gx and gy are nearly nothing where dark and light alternate, and
much at the edge of a label or a shelf. Coherent, energetic, alternating cells that touch and point alike are a region.
"""

import math
from collections.abc import Iterator

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.reading import Picture

_LONG_SIDE = 400
"""Pictures are looked at reduced to at most this many pixels on the long side: bars of 1.1 px still show there."""
_CELL = 4
_COHERENT = 0.55
_ENERGETIC = 0.35
"""Share of the picture's own strong energy (97th percentile, as amplitude) that a cell of bars must have."""
_STRONG_SHARE = 0.97
_LEAST_AMPLITUDE = 12.0
"""Sobel amplitude of the noise and of the faint shading of any camera, rms per pixel; weaker cells are blank."""
_ONE_WAY = 0.12
"""Share of the energy that is left when changes are summed with their signs: a lone edge keeps about a fifth."""
_SECTORS = 16
_DIRECTIONS = 4
_LEAST_SHARE = 0.15
_ALIKE = math.cos(math.radians(2 * 17))
_FILLED = 0.6
_PATCHES = 3
_LEAST_CELLS = 5
_LEAST_LENGTH = 20.0
"""Pixels of the reduced picture."""


class Region(msgspec.Struct, frozen=True):
    """A bar-like place: centre (x, y) in pixels of the picture, `angle` of the line across the bars (radians)."""

    x: float
    y: float
    angle: float
    across: float
    """Extent across the bars, in pixels: about the length of the code."""
    along: float
    """Extent along the bars, in pixels: about their height."""
    weight: float
    """Energy that the region has in all; more is likelier."""

    def filling(self, cells: int) -> float:
        """Return the share of the rectangle that so many cells cover."""
        return cells * _CELL**2 / (self.across * self.along)


def locate(luma: Picture, limit: int = 3) -> tuple[Region, ...]:
    """Return the most bar-like regions of a picture (height x width, uint8), strongest first, at most `limit`."""
    divisor = max(1, math.ceil(max(luma.shape) / _LONG_SIDE))
    small = luma if divisor == 1 else _reduced(luma, divisor)
    rows, columns = small.shape[0] // _CELL, small.shape[1] // _CELL
    if rows < 3 or columns < 3:
        return ()
    cells = _Cells(small, rows, columns)
    found = list[Region]()
    for direction in cells.directions():
        found += (region for region in cells.regions(direction) if region.across >= _LEAST_LENGTH)
    distinct = list[Region]()
    for region in sorted(found, key=lambda one: -one.weight):
        if len(distinct) < limit and not any(_same_place(region, other) for other in distinct):
            distinct.append(region)
    return tuple(_enlarged(region, divisor) for region in distinct)


def _reduced(luma: Picture, divisor: int) -> Picture:
    size = (luma.shape[1] // divisor, luma.shape[0] // divisor)
    small = cv2.resize(luma[: size[1] * divisor, : size[0] * divisor], size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


class _Cells:
    """The picture as cells of bars, each with its direction. All lengths in pixels of the reduced picture."""

    def __init__(self, small: Picture, rows: int, columns: int) -> None:
        gx, gy = (np.asarray(part, np.int16) for part in cv2.spatialGradient(small[: rows * _CELL, : columns * _CELL]))
        size = (columns, rows)

        def mean(part: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.float32)

        def product(one: NDArray[np.int16], other: NDArray[np.int16]) -> NDArray[np.float32]:
            whole = np.asarray(cv2.multiply(one, other, dtype=cv2.CV_32F), np.float32)
            return np.asarray(cv2.blur(mean(whole), (3, 3)), np.float32)

        xx, yy, xy = product(gx, gx), product(gy, gy), product(gx, gy)
        self.energy = xx + yy
        along_x, along_y = xx - yy, 2 * xy
        spread = cv2.magnitude(along_x, along_y)
        one_way = cv2.magnitude(*(cv2.blur(mean(part.astype(np.float32)), (5, 5)) for part in (gx, gy)))
        place = int(_STRONG_SHARE * self.energy.size)
        strong = max(_LEAST_AMPLITUDE**2, _ENERGETIC**2 * float(np.partition(self.energy.ravel(), place)[place]))
        self.barred = (
            (self.energy > strong) & (spread > _COHERENT * self.energy) & (one_way**2 < _ONE_WAY * self.energy)
        )
        spread[spread == 0] = 1
        self._cosine, self._sine = along_x / spread, along_y / spread  # of twice the direction's angle

    def directions(self) -> Iterator[float]:
        """Yield the main directions across bars (radians, modulo pi), by the energy of the cells that point so."""
        if np.count_nonzero(self.barred) < _LEAST_CELLS:
            return
        twice = np.arctan2(self._sine[self.barred], self._cosine[self.barred])
        sectors = np.floor(twice * (_SECTORS / (2 * np.pi))).astype(np.intp) % _SECTORS
        energy = np.bincount(sectors, weights=np.sqrt(self.energy[self.barred]), minlength=_SECTORS)
        energy += np.roll(energy, -1)  # of a sector and the next: a direction at a border is not cut in two
        least = energy.max() * _LEAST_SHARE
        for _ in range(_DIRECTIONS):
            best = int(np.argmax(energy))
            if energy[best] < least or energy[best] <= 0:
                return
            yield (best + 1) * np.pi / _SECTORS
            energy[[best - 1, best, (best + 1) % _SECTORS]] = 0

    def regions(self, direction: float) -> Iterator[Region]:
        """Yield the patches of cells that point this way, give or take a sector and a half, the largest ones."""
        towards = self._cosine * math.cos(2 * direction) + self._sine * math.sin(2 * direction)
        for patch in self._patches(self.barred & (towards > _ALIKE)):
            region = self._region(*patch)
            if region.filling(len(patch[0])) < _FILLED:
                # Something fainter hangs on to it: what is left of it above its own mean.
                strong = np.zeros_like(self.barred)
                strong[patch] = self.energy[patch] > float(np.mean(self.energy[patch]))
                for part in self._patches(strong):
                    yield self._region(*part)
            yield region

    def _patches(self, mask: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the rows and columns of the largest connected patches."""
        closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        _, labels, boxes, _ = cv2.connectedComponentsWithStats(closed, connectivity=4)
        for label in np.argsort(-boxes[1:, cv2.CC_STAT_AREA])[:_PATCHES] + 1:
            left, top, width, height, cells = boxes[label]
            if cells < _LEAST_CELLS or max(width, height) * _CELL < _LEAST_LENGTH:
                continue
            rows, columns = np.nonzero(labels[top : top + height, left : left + width] == label)
            yield rows + top, columns + left

    def _region(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Region:
        energy = self.energy[rows, columns]
        weights = np.sqrt(energy)
        angle = 0.5 * math.atan2(
            float((self._sine[rows, columns] * energy).sum()), float((self._cosine[rows, columns] * energy).sum())
        )
        x, y = (columns + 0.5) * _CELL, (rows + 0.5) * _CELL
        cosine, sine = math.cos(angle), math.sin(angle)
        across, along = x * cosine + y * sine, y * cosine - x * sine
        left, right = float(across.min()) - _CELL / 2, float(across.max()) + _CELL / 2
        along.sort()
        top, bottom = along[len(along) // 20], along[-1 - len(along) // 20]
        u, v = (left + right) / 2, float(top + bottom) / 2
        return Region(
            x=u * cosine - v * sine,
            y=u * sine + v * cosine,
            angle=angle,
            across=right - left,
            along=max(float(bottom - top), _CELL),
            weight=float(weights.sum()),
        )


def _same_place(region: Region, other: Region) -> bool:
    """Whether the centre of `region` lies within `other`."""
    dx, dy = region.x - other.x, region.y - other.y
    cosine, sine = math.cos(other.angle), math.sin(other.angle)
    return abs(dx * cosine + dy * sine) < other.across / 2 and abs(dy * cosine - dx * sine) < other.along / 2


def _enlarged(region: Region, factor: int) -> Region:
    return Region(
        region.x * factor, region.y * factor, region.angle, region.across * factor, region.along * factor, region.weight
    )
