"""Where bars could be: places of a picture whose brightness changes strongly, to and fro, and in one direction only.

The structure tensor says so. Its three sums (gx*gx, gy*gy, gx*gy) over small cells give the energy of the changes,
their main direction, and their coherence: 1 where all changes point the same way, as across bars; 0 where they point
everywhere, as in print and foliage. The plain sums of gx and gy are nearly nothing where dark and light alternate, and
much at the edge of a label or a shelf. Coherent, energetic, alternating cells that touch and point alike are a region.
"""

import math
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.reading import Corners, Picture

_CELL = 4
_STRONG_SHARE = 0.97
_ONE_WAY = 0.12
"""Share of the energy that is left when changes are summed with their signs: a lone edge keeps about a fifth."""
_SECTORS = 16
_DIRECTIONS = 4
_LEAST_SHARE = 0.15
_ALIKE = math.cos(math.radians(2 * 17))
_FILLED = 0.6
_PATCHES = 3
_IN_LINE = math.cos(math.radians(2 * 10))
_WIDEST_GAP = 0.4
"""Of the length of both halves together."""
_LEAST_CELLS = 5
_LEAST_SWING = 8
"""A swing has at least this part of the difference between the darkest and the lightest place."""
_LEAST_SWINGS = 10
_LEAST_LENGTH = 20.0
"""Pixels of the reduced picture."""


class Sieve(msgspec.Struct, frozen=True):
    """What passes for bars."""

    long_side: int
    """Pictures are looked at reduced to at most this many pixels on the long side."""
    coherent: float
    """Share of a cell's energy that must point one way."""
    energetic: float
    """Share of the picture's own strong energy (97th percentile, as amplitude) that a cell must have."""
    amplitude: float
    """Sobel amplitude, rms per pixel, under which a cell is blank: noise and faint shading."""


CLEAR = Sieve(400, 0.55, 0.35, 12.0)
"""Bars of 1.1 pixels of the reduced picture still show."""
FAINT = Sieve(200, 0.7, 0.15, 6.0)
"""Half the resolution has half the noise, and bars that are blurred into each other still alternate."""


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

    def outline(self) -> Corners:
        """Return the rectangle's corners; which of them is the symbol's top left is not known."""
        across = np.array([math.cos(self.angle), math.sin(self.angle)]) * self.across / 2
        along = np.array([-math.sin(self.angle), math.cos(self.angle)]) * self.along / 2
        offsets = (-across - along, across - along, across + along, along - across)
        first, second, third, fourth = ((round(self.x + float(dx)), round(self.y + float(dy))) for dx, dy in offsets)
        return (first, second, third, fourth)

    def filling(self, cells: int) -> float:
        """Return the share of the rectangle that so many cells cover."""
        return cells * _CELL**2 / (self.across * self.along)


class _Patch(NamedTuple):
    """Cells that touch and point alike."""

    energy: float
    """Of all of them."""
    cells: NDArray[np.bool_]


def locate(luma: Picture, sieve: Sieve = CLEAR, limit: int = 3) -> tuple[Region, ...]:
    """Return the most bar-like regions of a picture (height x width, uint8), strongest first, at most `limit`."""
    divisor = max(1, math.ceil(max(luma.shape) / sieve.long_side))
    small = luma if divisor == 1 else _reduced(luma, divisor)
    rows, columns = small.shape[0] // _CELL, small.shape[1] // _CELL
    if rows < 3 or columns < 3:
        return ()
    cells = _Cells(small, sieve, rows, columns)
    patches = [patch for direction in cells.directions() for patch in cells.patches(direction)]
    distinct = list[Region]()
    for patch in sorted(patches, key=lambda one: -one.energy):
        for region in cells.regions(patch):
            new = not any(_same_place(region, other) for other in distinct)
            if new and region.across >= _LEAST_LENGTH and len(distinct) < limit and _alternates(small, region):
                distinct.append(region)
        if len(distinct) == limit:
            break
    return tuple(_enlarged(region, divisor) for region in (*_joined(distinct), *distinct)[:limit])


def _alternates(small: Picture, region: Region) -> bool:
    """Return whether brightness goes up and down along the middle of a region, as often as half a code has bars."""
    across = np.array([math.cos(region.angle), math.sin(region.angle)])
    along = np.array([-across[1], across[0]])
    size = (round(region.across), 5)
    start = np.array([region.x, region.y]) - across * (size[0] - 1) / 2 - along * (size[1] - 1) / 2
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(
        small, np.column_stack([across, along, start]), size, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    profile = laid.sum(axis=0, dtype=np.int32)
    return swings(profile, (int(profile.max()) - int(profile.min())) / _LEAST_SWING) >= _LEAST_SWINGS


def swings(profile: NDArray[np.int32] | NDArray[np.float64], least: float) -> int:
    """Return how often a line goes from dark to light or back, by more than `least`."""
    slope = np.sign(np.diff(profile))
    turns = profile[np.flatnonzero(slope[1:] != slope[:-1]) + 1]
    return int(np.count_nonzero(np.abs(np.diff(turns)) > least))


def _joined(regions: list[Region]) -> Iterator[Region]:
    """Yield what two regions could be halves of: a code with glare, a fold or a finger across it."""
    for one, other in combinations(regions, 2):
        cosine, sine = math.cos(one.angle), math.sin(one.angle)
        dx, dy = other.x - one.x, other.y - one.y
        across, along = dx * cosine + dy * sine, dy * cosine - dx * sine
        gap = abs(across) - (one.across + other.across) / 2
        alike = math.cos(2 * (one.angle - other.angle)) > _IN_LINE
        beside = abs(along) < max(one.along, other.along) / 2
        if not (alike and beside and -_LEAST_LENGTH < gap < _WIDEST_GAP * (one.across + other.across)):
            continue
        left, right = min(-one.across / 2, across - other.across / 2), max(one.across / 2, across + other.across / 2)
        middle = (left + right) / 2
        yield Region(
            x=one.x + middle * cosine - along / 2 * sine,
            y=one.y + middle * sine + along / 2 * cosine,
            angle=one.angle,
            across=right - left,
            along=min(one.along, other.along),
            weight=one.weight + other.weight,
        )


def _reduced(luma: Picture, divisor: int) -> Picture:
    size = (luma.shape[1] // divisor, luma.shape[0] // divisor)
    small = cv2.resize(luma[: size[1] * divisor, : size[0] * divisor], size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


class _Cells:
    """The picture as cells of bars, each with its direction. All lengths in pixels of the reduced picture."""

    def __init__(self, small: Picture, sieve: Sieve, rows: int, columns: int) -> None:
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
        strong = max(sieve.amplitude**2, sieve.energetic**2 * float(np.partition(self.energy.ravel(), place)[place]))
        self.barred = (
            (self.energy > strong) & (spread > sieve.coherent * self.energy) & (one_way**2 < _ONE_WAY * self.energy)
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

    def patches(self, direction: float) -> list[_Patch]:
        """Return the patches of cells that point this way, give or take a sector and a half, the largest ones."""
        towards = self._cosine * math.cos(2 * direction) + self._sine * math.sin(2 * direction)
        return self._connected(self.barred & (towards > _ALIKE))

    def _connected(self, mask: NDArray[np.bool_]) -> list[_Patch]:
        closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        _, labels, boxes, _ = cv2.connectedComponentsWithStats(closed, connectivity=4)
        large = np.argsort(-boxes[1:, cv2.CC_STAT_AREA])[:_PATCHES] + 1
        energy = np.bincount(labels.ravel(), weights=self.energy.ravel())
        return [
            _Patch(float(energy[label]), labels == label)
            for label in large
            if boxes[label, cv2.CC_STAT_AREA] >= _LEAST_CELLS
            and max(boxes[label, cv2.CC_STAT_WIDTH], boxes[label, cv2.CC_STAT_HEIGHT]) * _CELL >= _LEAST_LENGTH
        ]

    def regions(self, patch: _Patch) -> Iterator[Region]:
        """Yield the rectangle around a patch; where it is hardly filled, first those around its strong parts."""
        rows, columns = np.nonzero(patch.cells)
        region = self._region(rows, columns)
        if region.filling(len(rows)) < _FILLED:
            # Something fainter hangs on to it: what is left of it above its own mean.
            mean = patch.energy / len(rows)
            for part in self._connected(patch.cells & (self.energy > mean)):
                yield self._region(*np.nonzero(part.cells))
        yield region

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
    """Return a region of a reduced picture as one of the picture."""
    return Region(
        x=region.x * factor,
        y=region.y * factor,
        angle=region.angle,
        across=region.across * factor,
        along=region.along * factor,
        weight=region.weight,
    )
