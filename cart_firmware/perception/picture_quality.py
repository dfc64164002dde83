"""How well a code was photographed: pixels per module, smear across and along its bars, light, noise.

Plain arithmetic on brightness and a code's four corners. A code is looked at through a strip: the quadrangle of its
corners drawn upright, bars as columns, one pixel of the strip per pixel of the picture across the bars.

What smear does to a reader is a matter of modules, not of pixels: divide `blur_px` by `module_px`.
"""

import math
import re
from collections.abc import Iterator, Sequence

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
Corners = Sequence[tuple[float, float]]
"""Of a code, as a reader gives them: left and right end of its top, then right and left end of its foot."""

_SUPPRESSIBLE = re.compile(rb"0[01](\d\d[012]0000\d{3}|\d{3}00000\d\d|\d{4}00000\d|\d{5}0000[5-9])\d")
"""What may have been UPC-E, in 13 digits (GS1 General Specifications, 5.2.2.4.2)."""
BURNT = 250
"""Grey level from which on a pixel is taken for one at the sensor's end: lenses and filters round the top off."""
_BAND, _GROUPS = (0.25, 0.75), 4
"""Part of a code's height that is looked at, and the rows into which it is summed. Corners are a pixel or so wrong;
summed in one piece, that would smear the bars."""
_ROWS = 16
_LONGEST = 1_536
"""Pixels of the longest strip; a code that fills a 1920 frame is looked at through somewhat larger pixels."""
_OWN_SMEAR = 1 / 6
"""Variance in square pixels that drawing a strip adds by interpolating (two taps at a fraction f: f(1-f))."""
_AROUND = 1.5
"""Height of the surroundings in which edges along the bars are looked for: bars' ends, digits, the label's rim."""
_STRIPES_PX = 12
"""Half the size of the windows in which bars are looked for."""
_CANDIDATES = 5
_LEAST_EDGES = 14
"""Of bars that can still be told apart, fewer than any retail code has (UPC-E: 34), since blur merges some."""
_LEAST_CONTRAST = 8.0
"""Grey levels below which nothing is taken for print."""


class Quality(msgspec.Struct, frozen=True):
    """What a picture of one code is like. Grey levels are 0 to 255."""

    module_px: float | None
    """Pixels per module across the bars, or None where the kind of code does not tell how many it has."""
    blur_px: float
    """Standard deviation of the smear of an edge across the bars."""
    along_px: float | None
    """The same along the bars, or None where nothing near the code has an edge that way."""
    black: float
    white: float
    noise: float
    """Standard deviation of single pixels."""
    burnt: float
    """Share of places in and near the code whose paper is at the sensor's end: near 1 where all is over-exposed."""

    @property
    def contrast(self) -> float:
        """Grey levels between bars and spaces."""
        return self.white - self.black

    @property
    def blur_modules(self) -> float | None:
        return None if self.module_px is None else self.blur_px / self.module_px


def sharpness(luma: Luma, corners: Corners) -> float:
    """Return which share of a code's contrast its steepest edges cross within one pixel: 1 is as sharp as can be.

    0 where the corners enclose nothing. Takes some 70 us on one x86 core.
    """
    profiles = _profiles(luma, corners)
    return 0.0 if profiles is None else _steepness(profiles)


def quality(luma: Luma, corners: Corners, symbology: str, payload: bytes) -> Quality | None:
    """Return what the picture of a code is like, or None where the corners enclose nothing.

    Args:
        luma: height x width, uint8.
        corners: of the code, in pixels.
        symbology: AIM identifier, such as ']E0'; '' where the code was not read, which counts as EAN-13.
        payload: what was read.
    """
    profiles = _profiles(luma, corners)
    if profiles is None:
        return None
    across, _ = _extent(corners)
    # Four rows in one, so that noise does not pass for contrast.
    face = cv2.resize(
        _strip(luma, corners, _BAND, (192, 48), cv2.INTER_NEAREST), (192, 12), interpolation=cv2.INTER_AREA
    )
    black, white = (float(level) for level in np.percentile(face, (10, 90)))
    modules = _modules(profiles.mean(axis=0), list(_widths(symbology, payload)))
    return Quality(
        module_px=across / modules if modules else None,
        blur_px=_blur(_steepness(profiles)),
        along_px=_blur_along(luma, corners, white - black),
        black=black,
        white=white,
        noise=noise(luma, corners),
        burnt=_burnt(_wider(luma, corners)),
    )


def noise(luma: Luma, corners: Corners) -> float:
    """Return the standard deviation of single pixels in and around a code.

    By the median of what the Laplacian of J. Immerkaer (Fast Noise Variance Estimation, 1996) leaves, which takes out
    edges that run straight; the median takes out what edges are left.
    """
    points = np.asarray(corners, np.float64)
    around = (points.max() - points.min()) / 4
    left, top = np.maximum(points.min(axis=0) - around, 0).astype(int)
    right, foot = np.maximum(points.max(axis=0) + around, 0).astype(int)
    part = luma[top:foot, left:right]
    if min(part.shape) < 8:
        return 0.0
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    left_over = cv2.filter2D(part, cv2.CV_32F, kernel)[1:-1, 1:-1]
    inside = part[1:-1, 1:-1]
    # What is black or burnt has no noise to show.
    shown = left_over[(inside > 2) & (inside < BURNT)]
    return float(np.median(np.abs(shown))) / 0.6745 / 6 if shown.size else 0.0


def stripes(luma: Luma) -> Corners | None:
    """Return the corners of what looks most like bars, read or not, or None where nothing does.

    By the structure tensor: where gradients are strong and all lie in one direction. Takes some milliseconds.
    """
    across = cv2.Sobel(luma, cv2.CV_32F, 1, 0)
    along = cv2.Sobel(luma, cv2.CV_32F, 0, 1)
    window = (2 * _STRIPES_PX + 1,) * 2
    xx, yy, xy = (
        np.asarray(cv2.boxFilter(product, -1, window), np.float32)
        for product in (across * across, along * along, across * along)
    )
    energy = xx + yy
    coherent = np.hypot(xx - yy, 2 * xy) / (energy + 1)
    likely = (coherent > 0.6) & (energy > 8 * _LEAST_CONTRAST**2)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(likely.astype(np.uint8))
    by_size = sorted(range(1, count), key=lambda each: -int(stats[each, cv2.CC_STAT_AREA]))[:_CANDIDATES]
    found = (_trimmed(luma, _quadrangle(labels == each, xx, yy, xy)) for each in by_size)
    return next((corners for corners in found if _has_bars(luma, corners)), None)


def _quadrangle(
    part: NDArray[np.bool_], xx: NDArray[np.float32], yy: NDArray[np.float32], xy: NDArray[np.float32]
) -> Corners:
    """Return the corners of a part of the picture, its width along the gradients."""
    turn = 0.5 * math.atan2(2 * float(xy[part].sum()), float((xx[part] - yy[part]).sum()))
    right, down = np.array([math.cos(turn), math.sin(turn)]), np.array([-math.sin(turn), math.cos(turn)])
    points = np.argwhere(part)[:, ::-1]
    wide, high = points @ right, points @ down
    # The windows of the tensor reach over the rim by half their size.
    (left, width), (top, height) = _span(wide), _span(high)
    return [
        tuple((x * right + y * down).tolist()) for x, y in ((left, top), (width, top), (width, height), (left, height))
    ]


def _trimmed(luma: Luma, corners: Corners) -> Corners:
    """Return the corners without what lies beyond the outermost bars: quiet zones, and other print behind them."""
    profiles = _profiles(luma, corners)
    if profiles is None:
        return corners
    steps = np.abs(np.diff(profiles.mean(axis=0)))
    window = max(5, len(steps) // 12)
    busy = np.convolve(steps, np.ones(window) / window, "same")
    bars = np.flatnonzero(busy > 0.3 * np.percentile(busy, 75))
    # At the outermost bar the window is half over what lies beyond, and stays busy for a while after.
    left, right = (bars[0] + window / 4) / len(steps), (bars[-1] + 1 - window / 4) / len(steps)
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners
    return [
        (x + share * dx, y + share * dy)
        for x, y, dx, dy, share in (
            (x0, y0, x1 - x0, y1 - y0, left), (x0, y0, x1 - x0, y1 - y0, right),
            (x3, y3, x2 - x3, y2 - y3, right), (x3, y3, x2 - x3, y2 - y3, left),
        )
    ]  # fmt: skip


def _span(places: NDArray[np.float64]) -> tuple[float, float]:
    low, high = (float(place) for place in np.percentile(places, (2, 98)))
    inset = min(_STRIPES_PX / 2, (high - low) / 4)
    return low + inset, high - inset


def _has_bars(luma: Luma, corners: Corners) -> bool:
    """Return whether brightness goes up and down often enough between these corners for a code."""
    profiles = _profiles(luma, corners)
    if profiles is None:
        return False
    profile = profiles.mean(axis=0)
    low, high = np.percentile(profile, (10, 90))
    if high - low < _LEAST_CONTRAST:
        return False
    side = np.sign(profile - (low + high) / 2)
    return int(np.count_nonzero(np.diff(side[side != 0]))) >= _LEAST_EDGES


# ── the strip ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _extent(corners: Corners) -> tuple[float, float]:
    """Return a code's size across and along its bars, in pixels.

    Readers that work by rows give a quadrangle whose top and foot follow the rows, not the code: its sides do, and the
    width between them is what counts.
    """
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners
    side_x, side_y = (x3 - x0 + x2 - x1) / 2, (y3 - y0 + y2 - y1) / 2
    height = math.hypot(side_x, side_y)
    if height < 1:
        return 0.0, 0.0
    width_x, width_y = (x1 - x0 + x2 - x3) / 2, (y1 - y0 + y2 - y3) / 2
    return abs(width_x * side_y - width_y * side_x) / height + 1, height + 1


def _strip(luma: Luma, corners: Corners, band: tuple[float, float], size: tuple[int, int], way: int) -> Luma:
    """Return a band of the code's height, bars upright, in so many columns and rows."""
    columns, rows = size
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners
    here = np.array([
        (x + share * dx, y + share * dy)
        for x, y, dx, dy, share in (
            (x0, y0, x3 - x0, y3 - y0, band[0]), (x1, y1, x2 - x1, y2 - y1, band[0]),
            (x1, y1, x2 - x1, y2 - y1, band[1]), (x0, y0, x3 - x0, y3 - y0, band[1]),
        )
    ], np.float32)  # fmt: skip
    there = np.array([[0, 0], [columns - 1, 0], [columns - 1, rows - 1], [0, rows - 1]], np.float32)
    turn = cv2.getPerspectiveTransform(here, there)
    strip = cv2.warpPerspective(luma, turn, (columns, rows), flags=way, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(strip, np.uint8)


def _profiles(luma: Luma, corners: Corners) -> NDArray[np.float32] | None:
    """Return the brightness across the bars in some places of a code, or None where there is no code to speak of."""
    across, along = _extent(corners)
    columns = min(_LONGEST, round(across))
    if columns < 16 or along < 2:
        return None
    strip = _strip(luma, corners, _BAND, (columns, _ROWS), cv2.INTER_LINEAR)
    return cv2.resize(strip, (columns, _GROUPS), interpolation=cv2.INTER_AREA).astype(np.float32)


# ── sharpness ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _steepness(profiles: NDArray[np.float32]) -> float:
    """Return which share of the contrast the steepest edges cross in one pixel; the middle of the places.

    The steepest are the upper sixth of all that rise or fall: edges between wide bars and wide spaces, which blur has
    not yet robbed of their height.
    """
    steps = np.abs(profiles[:, 1:] - profiles[:, :-1])
    inner = steps[:, 1:-1]
    peaks = inner * ((inner >= steps[:, :-2]) & (inner >= steps[:, 2:]))
    levels = np.sort(profiles, axis=1)
    few = levels.shape[1] // 24
    contrast = np.maximum(levels[:, -1 - few] - levels[:, few], _LEAST_CONTRAST)
    peaks.sort(axis=1)
    most = (peaks > contrast[:, None] / 8).sum(axis=1)
    shares = sorted(
        float(row[-max(2, count // 6) :].mean()) / float(high)
        for row, count, high in zip(peaks, most, contrast, strict=True)
    )
    return min(1.0, sum(shares[1:-1]) / (len(shares) - 2))


def _blur(steepness: float) -> float:
    """Return the standard deviation, in pixels, of the Gaussian that leaves edges this steep.

    A step smeared by s crosses erf(1 / (2 sqrt(2) s)) of its height within a pixel about its middle; on average over
    where the middle lies, as if s had 1/12 more variance.
    """
    if steepness <= 0.02:
        return 20.0
    low, high = 0.05, 20.0
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(1 / (2 * math.sqrt(2) * middle)) > steepness else (low, middle)
    return math.sqrt(max(0.01, low * low - _OWN_SMEAR))


def _blur_along(luma: Luma, corners: Corners, contrast: float) -> float | None:
    """Return the smear of edges along the bars, of whatever near the code has any."""
    across, along = _extent(corners)
    out = (_AROUND - 1) / 2
    rows, columns = min(_LONGEST, round(along * _AROUND)), min(256, round(across))
    if contrast < _LEAST_CONTRAST or rows < 16:
        return None
    face = _strip(luma, corners, (-out, 1 + out), (columns, rows), cv2.INTER_LINEAR).astype(np.float32)
    face = np.asarray(cv2.blur(face, (3, 1)), np.float32)
    reach = np.ones((min(17, rows | 1), 1), np.uint8)
    span = cv2.dilate(face, reach) - cv2.erode(face, reach)
    steps = np.abs(np.diff(face, axis=0))
    shares = steps / np.maximum(span[:-1], 0.5 * contrast)
    best = np.sort(shares.max(axis=0))
    steep = float(best[-max(2, len(best) // 4) :].mean())
    return _blur(steep) if steep > 0.06 else None


# ── modules ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _modules(profile: NDArray[np.float32], widths: Sequence[float]) -> float | None:
    """Return how many modules a code is wide: of those that it may have, the one in step with its edges."""
    if len(widths) < 2:
        return widths[0] if widths else None
    may_be = np.array(widths)
    edges = np.abs(np.diff(profile))
    at = (np.arange(len(edges)) + 1) / len(profile)
    swing = np.abs(np.exp(2j * np.pi * may_be[:, None] * at[None, :]) @ edges)
    # Whole pixels do not tell n periods from (pixels - n); that an edge is one pixel wide speaks for the fewer.
    swing *= np.sinc(may_be / len(profile)) * (may_be < len(profile))
    return float(may_be[int(np.argmax(swing))])


def _widths(symbology: str, payload: bytes) -> Iterator[float]:
    """Yield how many modules a code of this kind may be wide, without quiet zones.

    GS1 General Specifications 5.2 (EAN/UPC), 5.3 (ITF), 5.4 (GS1-128), 5.5 (DataBar; the corners of DataBar Expanded
    leave out its guards); ISO/IEC 18004 (QR).
    """
    length = len(payload)
    match symbology[:2]:
        case "":
            yield 95
        case "]E" if symbology == "]E4":
            yield 67
        case "]E":
            yield from (95, 51) if _SUPPRESSIBLE.fullmatch(payload) else (95,)
        case "]C":
            yield from (11 * characters + 2 for characters in range(3 + -(-length // 2), 5 + 2 * length))
        case "]I":
            yield 8 * length + 8.5
        case "]e":
            yield from (96, 79, *(17 * each + 15 * -(-each // 2) for each in range(2, 23)))
        case "]Q":
            yield from (21 + 4 * version for version in range(40))
        case _:
            return


# ── light ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _wider(luma: Luma, corners: Corners) -> Luma:
    """Return a code's face with what lies above and below it, about one sample per module.

    A reader that works by rows names the rows that it could read, which may end where a reflection begins.
    """
    across, along = _extent(corners)
    out = 0.25 * across / along
    return _strip(luma, corners, (-out, 1 + out), (96, 96), cv2.INTER_NEAREST)


def _burnt(face: Luma) -> float:
    """Return the share of places in which the paper is at the sensor's end: a good third of what is there."""
    places = face.reshape(8, 12, 8, 12).swapaxes(1, 2).reshape(64, 144)
    return float(np.mean(np.percentile(places, 65, axis=1) >= BURNT))
