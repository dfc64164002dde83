"""Where in a profile an EAN/UPC symbol may lie, before any digit is known.

Every digit is tried at every place, at every width of a module; what each digit costs where it fits best is then joined
to whole symbols (start guard, digits, centre guard, digits, end guard) by dynamic programming. Each piece may lie up to
one sample nearer to or farther from the one before than its nominal width, so a symbol on a bottle, whose modules grow
narrow to its sides, is followed as well as a flat one.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from cart_firmware.perception.blur import FLAT_DIGITS, SAMPLES, Blur, Waveform, cumulative, sight
from cart_firmware.perception.ean_model import DIGIT_MODULES, LAYOUTS, SET_A, SET_B, SET_C, Layout

COARSE_BLURS = (Blur(0.45, 0.25), Blur(0.85, 0.25))
"""One for pictures in focus, one for pictures that are not."""
_STEP = 1.035
"""Ratio of neighbouring module widths that are tried: one sample over one digit, which drift makes up for."""
_DRIFT_COST = 0.8
"""Price of one sample of drift, in squared contrast: keeps the path straight where the picture says nothing."""
_NEVER = np.float32(1e6)
_NORM_MODULES = 21
"""Width of the window, in modules, over which brightness and contrast are levelled: three digits."""
_DIGIT_SAMPLES = DIGIT_MODULES * SAMPLES
_BOTH = slice(None)


class Placement(msgspec.Struct, frozen=True):
    """A symbol's supposed place in a profile."""

    layout: Layout
    blur: Blur
    cost: float
    """Squared difference per sample from the best digits at every place; noise alone gives about 0.4."""
    modules: NDArray[np.float64]
    """Borders of guards and digits, in modules from the start guard's first bar."""
    columns: NDArray[np.float64]
    """The same borders in columns of the profile; falling where the symbol stands on its head."""


class _Piece(NamedTuple):
    """One guard or digit in the order of the symbol."""

    samples: int
    """From its begin to the next piece's."""
    bits: str
    """Its modules, or none for a digit."""
    sets: slice
    """For a digit: which of the 30 it may be."""


def level(profile: Waveform, window: int) -> Waveform:
    """Return the profile with local mean 0 and local standard deviation 1, dark positive."""
    size = (window | 1, 1)
    row = profile[None].astype(np.float32)
    row = row - cv2.blur(row, size, borderType=cv2.BORDER_REFLECT)
    variance = cv2.blur(np.square(row), size, borderType=cv2.BORDER_REFLECT)
    levelled: Waveform = (-row / np.sqrt(variance + _LEVEL_NOISE))[0]
    return levelled


_LEVEL_NOISE = 4.0
"""Variance below which a flat piece of a profile is not blown up: 2 grey levels."""


def placements(profile: Waveform, least: float, most: float, layouts: Sequence[Layout] = LAYOUTS) -> list[Placement]:
    """Return the best placement per layout, direction and coarse blur, best first.

    `least` and `most` bound the symbol's width in columns.
    """
    found = [
        placement
        for layout in layouts
        for placement in _of_layout(profile, layout, least / layout.modules, most / layout.modules)
    ]
    return sorted(found, key=lambda placement: placement.cost)


def _of_layout(profile: Waveform, layout: Layout, narrow: float, wide: float) -> list[Placement]:
    widths = np.geomspace(narrow, wide, math.ceil(math.log(wide / narrow) / math.log(_STEP)) + 1)
    upright = _at_widths(profile, widths)
    both = np.concatenate([upright, upright[:, ::-1]])
    windows = sliding_window_view(both, _DIGIT_SAMPLES, axis=1)
    energy = np.square(windows).sum(-1)
    found: list[Placement] = []
    for number, blur in enumerate(COARSE_BLURS):
        templates = _digit_templates()[number]
        costs = energy[..., None] + np.square(templates).sum(1) - 2 * (windows @ templates.T)
        ways = _ways(layout, blur, both, costs)
        ends = ways[-1].reshape(2, widths.size, -1)
        for turned in (False, True):
            row, end = np.unravel_index(int(ends[int(turned)].argmin()), ends.shape[1:])
            borders = _trace(layout, [way[row + turned * widths.size] for way in ways], int(end))
            columns = borders * widths[row] / SAMPLES
            if turned:
                columns = both.shape[1] * widths[row] / SAMPLES - columns
            cost = float(ends[int(turned), row, end]) / SAMPLES / (layout.modules + 2)
            found.append(Placement(layout, blur, cost, _borders(layout), columns))
    return found


def _at_widths(profile: Waveform, widths: NDArray[np.float64]) -> Waveform:
    """Return the levelled profile resampled for each width of a module; -1 (light) beyond its end."""
    samples = int(profile.size / widths[0] * SAMPLES)
    places = (np.arange(samples) + 0.5) / SAMPLES
    columns = np.arange(profile.size) + 0.5
    rows = [
        np.interp(places * width, columns, level(profile, int(_NORM_MODULES * width)), right=-1.0) for width in widths
    ]
    return np.stack(rows).astype(np.float32)


@lru_cache(maxsize=1)
def _digit_templates() -> Waveform:
    """Return what digits look like where nothing is known of their neighbours: blur x 30 x samples, contrast 1."""
    return np.stack([_standard(_alone(blur), blur) for blur in COARSE_BLURS])


def _alone(blur: Blur) -> Waveform:
    seen = sight(blur, DIGIT_MODULES, _DIGIT_SAMPLES, 0.0)
    alone: Waveform = FLAT_DIGITS @ seen + (1 - seen.sum(0)) / 2
    return alone


def _standard(waveform: Waveform, blur: Blur) -> Waveform:
    """Return a waveform in the units of `level`."""
    return np.asarray((waveform - 0.5) / np.sqrt(np.mean(np.square(_alone(blur) - 0.5))), dtype=np.float32)


@lru_cache(maxsize=32)
def _guard_template(bits: str, blur: Blur, light_before: bool, light_after: bool) -> Waveform:
    """Return a guard's waveform; one module of quiet zone belongs to it on the side where it is light."""
    row = np.array([int(bit) for bit in bits], dtype=np.float32)
    samples = (row.size + light_before + light_after) * SAMPLES
    begin = -float(light_before)
    x = (np.arange(samples) + 0.5) / SAMPLES + begin
    unknown = np.zeros(samples)
    if not light_before:
        unknown += 1 - cumulative(x, blur)
    if not light_after:
        unknown += cumulative(x - row.size, blur)
    return _standard((row @ sight(blur, row.size, samples, begin) + unknown / 2).astype(np.float32), blur)


@lru_cache(maxsize=8)
def _pieces(layout: Layout) -> tuple[_Piece, ...]:
    def text(bits: Waveform) -> str:
        return "".join(str(int(bit)) for bit in bits)

    pieces = [_Piece((layout.start.size + 1) * SAMPLES, text(layout.start), _BOTH)]
    for k in range(layout.digits):
        if k == layout.left and layout.centre.size:
            pieces.append(_Piece(layout.centre.size * SAMPLES, text(layout.centre), _BOTH))
        sets = layout.sets[:, k]
        pieces.append(_Piece(_DIGIT_SAMPLES, "", slice(10 * int(sets.min()), 10 * int(sets.max()) + 10)))
    pieces.append(_Piece((layout.end.size + 1) * SAMPLES, text(layout.end), _BOTH))
    return tuple(pieces)


def _borders(layout: Layout) -> NDArray[np.float64]:
    """Return the pieces' borders in modules, from the start guard's first bar to the end guard's last."""
    widths = [piece.samples / SAMPLES for piece in _pieces(layout)]
    widths[0] -= 1
    widths[-1] -= 1
    return np.concatenate([[0.0], np.cumsum(widths)])


def _ways(layout: Layout, blur: Blur, profiles: Waveform, costs: Waveform) -> list[Waveform]:
    """Return for each piece the cheapest way to have it begin at each sample: rows x samples."""
    cheapest = {sets: costs[..., 10 * sets[0] : 10 * sets[1] + 10].min(-1) for sets in _SETS}
    pieces = _pieces(layout)
    ways: list[Waveform] = []
    for number, piece in enumerate(pieces):
        if piece.bits:
            template = _guard_template(piece.bits, blur, number == 0, number == len(pieces) - 1)
            cost = _distance(profiles, template)
        else:
            cost = cheapest[piece.sets.start // 10, piece.sets.stop // 10 - 1]
        ways.append(_onward(ways[-1], pieces[number - 1].samples, cost) if ways else cost)
    return ways


_SETS = ((SET_A, SET_A), (SET_A, SET_B), (SET_C, SET_C))


def _distance(profiles: Waveform, template: Waveform) -> Waveform:
    windows = sliding_window_view(profiles, template.size, axis=1)
    return np.asarray(np.square(windows).sum(-1) + np.square(template).sum() - 2 * (windows @ template))


def _onward(ways: Waveform, advance: int, cost: Waveform) -> Waveform:
    """Return the cheapest ways to the next piece, `advance` samples on or one more or less."""
    reached = np.full(cost.shape, _NEVER, dtype=np.float32)
    for drift in (0, -1, 1):
        part = reached[:, advance + drift : advance + drift + ways.shape[1]]
        np.minimum(part, ways[:, : part.shape[1]] + np.float32(_DRIFT_COST * abs(drift)), out=part)
    return reached + cost


def _trace(layout: Layout, ways: Sequence[Waveform], end: int) -> NDArray[np.float64]:
    """Return the borders of all pieces, in samples, of the cheapest way that has the last piece begin at `end`."""
    pieces = _pieces(layout)
    borders = [end + pieces[-1].samples - SAMPLES, end]
    for way, piece in zip(ways[-2::-1], pieces[-2::-1], strict=True):
        before = [borders[-1] - piece.samples - drift for drift in (0, -1, 1)]
        reachable = [place for place in before if 0 <= place < way.size]
        borders.append(min(reachable, key=lambda place: float(way[place]) + _DRIFT_COST * (place != before[0])))
    borders[-1] += SAMPLES
    return np.array(borders[::-1], dtype=np.float64)
