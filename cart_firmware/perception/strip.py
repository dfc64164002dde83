"""Cut a bar-like region out of a picture and lay it straight: bars upright, one code from end to end.

Along the bars nothing changes, so the strip is squeezed there: the mean of many rows has less noise than any of them.
"""

import math

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.locate import Region, swings
from cart_firmware.perception.reading import Corner, Picture

_MARGIN = 0.18
"""Added at each end, as a share of the region: quiet zones, and guard bars that the region missed."""
_MOST_ROWS = 64
_FEWEST_ROWS = 16
_ROUGH_COLUMNS = 320
_ROUGH_ROWS = 64.0
"""Pixels along the bars that are enough to see their direction and their ends: half of a shelf may be one region."""
_MOST_TILT = math.radians(20)
_BUSY = 0.35
_WIDEST_GAP = 16
"""A gap between bars is at most this part of a strip; the widest space of an EAN-13 is a twenty-fourth of it."""
_LEAST_SWINGS = 16
"""Half of the edges of the shortest symbol, UPC-E; print and wood grain rarely have as many in line."""
_NOISE = 0.01
_LEAST_CONTRAST = 12.0
"""Grey levels between the dark and the light of bars that are still worth a look."""


class Strip(msgspec.Struct, frozen=True):
    """A region laid straight. `luma` is rows x columns, uint8; `to_frame` maps (column, row, 1) to frame (x, y)."""

    luma: Picture
    to_frame: NDArray[np.float64]

    def in_frame(self, column: float, row: float) -> Corner:
        x, y = self.to_frame @ (column, row, 1.0)
        return round(x), round(y)


def rectify(luma: Picture, region: Region, columns: int, interpolation: int = cv2.INTER_CUBIC) -> Strip:
    """Return the region as a strip of about `columns` columns, at most three and at least half a column per pixel."""
    length = region.across * (1 + 2 * _MARGIN) + 8
    height = max(8.0, region.along * 0.9)
    scale = min(3.0, max(0.5, columns / length))
    fine = max(1.0, scale)
    laid, to_frame = _turned(luma, region, fine, (round(length * fine), round(height)), interpolation)
    size = (max(8, round(length * scale)), min(_MOST_ROWS, max(_FEWEST_ROWS, round(height))))
    if size[0] < laid.shape[1] or size[1] < laid.shape[0]:
        to_frame = to_frame @ _enlarging(laid.shape[1] / size[0], laid.shape[0] / size[1])
        laid = np.asarray(cv2.resize(laid, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Strip(laid, to_frame)


def _turned(
    luma: Picture, region: Region, fine: float, size: tuple[int, int], interpolation: int
) -> tuple[Picture, NDArray[np.float64]]:
    """Cut out with no pixel left unseen, so that what is reduced afterwards is a mean and no sample."""
    cosine, sine = math.cos(region.angle), math.sin(region.angle)
    right, down = np.array([cosine, sine]) / fine, np.array([-sine, cosine])
    origin = np.array([region.x, region.y]) - right * (size[0] - 1) / 2 - down * (size[1] - 1) / 2
    to_frame = np.column_stack([right, down, origin])
    flags = interpolation | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(luma, to_frame, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(laid, np.uint8), to_frame


def levelled(luma: Picture, region: Region) -> Region | None:
    """Return the region with its bars upright and its ends at the outermost bars, or None where nothing alternates.

    The locator's cells are coarse: its direction may be off by some degrees, which smears bars when rows are averaged.
    """
    band = msgspec.structs.replace(region, along=min(region.along, _ROUGH_ROWS))
    strip = rectify(luma, band, _ROUGH_COLUMNS, cv2.INTER_LINEAR)
    if _swings(strip.luma) < _LEAST_SWINGS:
        return None
    gx, gy = cv2.spatialGradient(strip.luma)
    right, down = strip.to_frame[:, 0], strip.to_frame[:, 1]
    across = gx.astype(np.float32) / float(np.hypot(*right))
    along = gy.astype(np.float32) / float(np.hypot(*down))
    tilt = 0.5 * math.atan2(2 * cv2.sumElems(across * along)[0], cv2.sumElems(across**2 - along**2)[0])
    if abs(tilt) > _MOST_TILT:
        tilt = 0.0
    first, last = _ends(np.abs(across).mean(axis=0))
    centre = strip.to_frame @ ((first + last) / 2, (strip.luma.shape[0] - 1) / 2, 1.0)
    return Region(
        x=float(centre[0]),
        y=float(centre[1]),
        angle=region.angle + tilt,
        across=(last - first + 1) * float(np.hypot(*right)),
        along=region.along,
        weight=region.weight,
    )


def _ends(changes: NDArray[np.float32]) -> tuple[int, int]:
    """Return the first and last column of the longest row of bars; `changes` is the mean change at each column."""
    busy = (changes > _BUSY * np.partition(changes, 3 * changes.size // 4)[3 * changes.size // 4]).astype(np.uint8)
    closed = cv2.morphologyEx(busy[None], cv2.MORPH_CLOSE, np.ones((1, changes.size // _WIDEST_GAP), np.uint8))[0]
    edges = np.flatnonzero(np.diff(np.concatenate(([0], closed, [0]))))
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts))
    return int(starts[longest]), int(stops[longest]) - 1


def _enlarging(across: float, down: float) -> NDArray[np.float64]:
    """The map from pixels of a reduced picture to those of the one it was made of; a pixel's centre is its number."""
    return np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])


def sharpened(luma: Picture, amount: float, blur: float) -> Picture:
    """Return a strip with its changes across the bars exaggerated. `blur` in columns."""
    soft = cv2.GaussianBlur(luma, (0, 0), blur, sigmaY=0.5)
    return np.asarray(cv2.addWeighted(luma, 1 + amount, soft, -amount, 0), np.uint8)


def calmed(luma: Picture) -> Picture:
    """Return a strip in which neighbouring rows are averaged: eight bands, each with less noise than a row."""
    columns, rows = luma.shape[1], luma.shape[0]
    bands = cv2.resize(luma, (columns, min(rows, 8)), interpolation=cv2.INTER_AREA)
    return np.repeat(bands, 8, axis=0)


def refocused(luma: Picture, blur: float) -> Picture:
    """Return the strip's bands as they were before a blur across the bars (Gaussian, in columns): Wiener's filter.

    The share of noise is taken as one hundredth, which holds for bands of several rows.
    """
    bands = cv2.resize(luma, (luma.shape[1], min(luma.shape[0], 8)), interpolation=cv2.INTER_AREA).astype(np.float32)
    edge = int(4 * blur) + 8
    padded = np.pad(bands, ((0, 0), (edge, edge)), "edge")
    passed = np.exp(-2 * (np.pi * blur * np.fft.rfftfreq(padded.shape[1])) ** 2)
    spectrum = np.fft.rfft(padded, axis=1) * (passed / (passed**2 + _NOISE))
    sharp = np.fft.irfft(spectrum, n=padded.shape[1], axis=1)[:, edge : edge + luma.shape[1]]
    dark, light = np.percentile(sharp, (2, 98))
    return np.repeat(np.clip((sharp - dark) * (220 / max(1.0, light - dark)) + 18, 0, 255).astype(np.uint8), 8, axis=0)


def _swings(luma: Picture) -> int:
    """Return how often the strip's mean row goes from dark to light or back, by a sixth of its contrast or more.

    An EAN-13 has 60 edges, an EAN-8 44, a UPC-E 34; half of them remain under strong blur.
    """
    profile = luma.mean(axis=0)
    dark, light = np.percentile(profile, (5, 95))
    return 0 if light - dark < _LEAST_CONTRAST else swings(profile, (light - dark) / 6)
