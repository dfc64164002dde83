"""Where in a profile an EAN/UPC symbol may lie, before any digit is known.

Every digit is tried at every place, at every width of a module; what each digit costs where it fits best is then joined
to whole symbols (start guard, digits, centre guard, digits, end guard) by dynamic programming. Each piece may lie up to
one sample nearer to or farther from the one before than its nominal width, so a symbol on a bottle, whose modules grow
narrow to its sides, is followed as well as a flat one.
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.blur import FLAT_DIGITS, Blur, Waveform, cumulative, sight
from cart_firmware.perception.ean_model import DIGIT_MODULES, LAYOUTS, SET_A, SET_B, SET_C, Layout

BLUR = Blur(0.6, 0.25)
"""What is expected before anything is known: between a picture in focus and one that is not."""
_SAMPLES = 2
"""Samples per module here; places need only be right within a quarter of a module."""
_STEP = 1.05
"""Ratio of neighbouring module widths that are tried."""
_DRIFT_COST = 1.0
"""Price of one sample of drift, in squared contrast: keeps the path straight where the picture says nothing."""
_NEVER = np.float32(1e6)
_NORM_MODULES = 21
"""Width of the window, in modules, over which brightness and contrast are levelled: three digits."""
_LEVEL_NOISE = 4.0
"""Variance below which a flat piece of a profile is not blown up: 2 grey levels."""
_DIGIT_SAMPLES = DIGIT_MODULES * _SAMPLES
_PAD = 4 * _SAMPLES
_LIGHT = np.float32(-1.0)
_DIRECTIONS = 2


class Placement(msgspec.Struct, frozen=True):
    """A symbol's supposed place in a profile."""

    layout: Layout
    cost: float
    """Squared difference per sample from the best digits at every place, of a levelled profile (variance 1)."""
    modules: NDArray[np.float64]
    """Borders of guards and digits, in modules from the start guard's first bar."""
    columns: NDArray[np.float64]
    """The same borders in columns of the profile; falling where the symbol stands on its head."""


def level(profile: Waveform, window: int) -> Waveform:
    """Return the profile with local mean 0 and local standard deviation 1, dark positive."""
    size = (window | 1, 1)
    row = profile[None].astype(np.float32)
    row = row - cv2.blur(row, size, borderType=cv2.BORDER_REFLECT)
    variance = cv2.blur(np.square(row), size, borderType=cv2.BORDER_REFLECT)
    levelled: Waveform = (-row / np.sqrt(variance + _LEVEL_NOISE))[0]
    return levelled


def placements(profile: Waveform, least: float, most: float, limit: int) -> list[Placement]:
    """Return the best placements, best first: at most one per layout and direction, at most `limit`.

    `least` and `most` bound the symbol's width in columns.
    """
    searches = [_Search(profile, layout, least / layout.modules, most / layout.modules) for layout in LAYOUTS]
    ends = sorted((end for search in searches for end in search.ends()), key=lambda end: end[0])
    return [search.placement(cost, turned, row, place) for cost, search, turned, row, place in ends[:limit]]


class _Piece(NamedTuple):
    """One guard or digit in the order of the symbol."""

    samples: int
    """From its begin to the next piece's."""
    bits: str
    """Its modules, or none for a digit."""
    sets: tuple[int, ...]
    """For a digit: which sets it may be from."""


class _Search:
    """All places of one layout in a profile, at module widths from `narrow` to `wide` columns."""

    def __init__(self, profile: Waveform, layout: Layout, narrow: float, wide: float) -> None:
        self._layout = layout
        self._pieces = _pieces(layout)
        self._widths = np.geomspace(narrow, wide, math.ceil(math.log(wide / narrow) / math.log(_STEP)) + 1)
        lines = _at_widths(profile, self._widths)
        self._samples = lines.shape[1]
        self._ways = _ways(self._pieces, _Scores(lines))

    def ends(self) -> Iterator[tuple[float, "_Search", int, int, int]]:
        """Yield for each direction the cheapest end: cost per sample, self, direction, row, place of the last piece."""
        last = self._ways[-1]
        for turned in range(_DIRECTIONS):
            row, place = divmod(int(last[turned].argmin()), last.shape[2])
            cost = float(last[turned, row, place]) / _SAMPLES / (self._layout.modules + 2)
            yield cost, self, turned, row, place

    def placement(self, cost: float, turned: int, row: int, place: int) -> Placement:
        """Return the placement that ends so."""
        borders = self._trace(turned, row, place)
        if turned:
            borders = self._samples - borders
        columns = (borders - _PAD) * self._widths[row] / _SAMPLES
        return Placement(self._layout, cost, _borders(self._layout), columns)

    def _trace(self, turned: int, row: int, place: int) -> NDArray[np.float64]:
        """Return the borders of all pieces, in samples."""
        borders = [place + self._pieces[-1].samples - _SAMPLES, place]
        for way, piece in zip(self._ways[-2::-1], self._pieces[-2::-1], strict=True):
            before = [borders[-1] - piece.samples - drift for drift in (0, -1, 1)]
            costs = [
                float(way[turned, row, begin]) + _DRIFT_COST * (begin != before[0]) if begin >= 0 else math.inf
                for begin in before
            ]
            borders.append(before[costs.index(min(costs))])
        borders[-1] += _SAMPLES
        return np.array(borders[::-1], dtype=np.float64)


def _at_widths(profile: Waveform, widths: NDArray[np.float64]) -> Waveform:
    """Return the levelled profile resampled for each width of a module; light beyond its ends."""
    samples = int(profile.size / widths[0] * _SAMPLES)
    columns = np.arange(profile.size) + 0.5
    middle = level(profile, int(_NORM_MODULES * math.sqrt(widths[0] * widths[-1])))
    places = (np.arange(-_PAD, samples + _PAD) + 0.5) / _SAMPLES * widths[:, None]
    return np.interp(places, columns, middle, left=_LIGHT, right=_LIGHT).astype(np.float32)


class _Scores:
    """How well guards and digits match at every place: costs are direction x width x place.

    The second direction is the line read backwards. There, and for set C, no template is needed of its own: C is the
    complement of A, A backwards the complement of B, B backwards is C. A levelled complement is the negative.
    """

    def __init__(self, lines: Waveform) -> None:
        rows, samples = lines.shape
        places = samples - _DIGIT_SAMPLES + 1
        self._windows = np.empty((_DIGIT_SAMPLES, rows, places), dtype=np.float32)
        for sample in range(_DIGIT_SAMPLES):
            self._windows[sample] = lines[:, sample : sample + places]
        self._energy = np.cumsum(np.square(self._windows), axis=0)
        templates, offset = _digit_templates()
        match = (templates @ self._windows.reshape(_DIGIT_SAMPLES, -1)).reshape(2, 10, rows, places)
        shift = offset.reshape(2, 10, 1, 1)
        light_first, dark_first = (match - shift).max(1), (-match - shift).max(1)
        ahead = {SET_A: light_first[0], SET_B: light_first[1], SET_C: dark_first[0]}
        backwards = {SET_A: dark_first[1], SET_B: dark_first[0], SET_C: light_first[1]}
        self._best = {chosen: self._join(ahead[chosen], backwards[chosen]) for chosen in ahead}
        self._whole = self._join(self._energy[-1], self._energy[-1])

    @staticmethod
    def _join(ahead: Waveform, backwards: Waveform) -> Waveform:
        return np.stack([ahead, backwards[:, ::-1]])

    def digit(self, sets: tuple[int, ...]) -> Waveform:
        """Return the squared error of the best digit of any of the sets."""
        best = self._best[sets[0]]
        for chosen in sets[1:]:
            best = np.maximum(best, self._best[chosen])
        return self._whole - 2 * best

    def guard(self, template: Waveform) -> Waveform:
        """Return the squared error of a guard."""
        windows = self._windows.reshape(_DIGIT_SAMPLES, -1)
        ahead = template @ windows[: template.size]
        backwards = template[::-1] @ windows[-template.size :]
        shape = self._windows.shape[1:]
        energy = self._energy[-1].copy()
        if template.size < _DIGIT_SAMPLES:
            energy -= self._energy[-1 - template.size]
        first = self._energy[template.size - 1]
        costs = self._join(first - 2 * ahead.reshape(shape), energy - 2 * backwards.reshape(shape))
        return costs + np.float32(np.square(template).sum())


@lru_cache(maxsize=1)
def _digit_templates() -> tuple[Waveform, Waveform]:
    """Return what sets A and B look like where nothing is known of their neighbours, and half of each one's energy."""
    templates = _standard(_alone())[: 10 * SET_C]
    return templates, np.square(templates).sum(1) / 2


def _alone() -> Waveform:
    seen = sight(BLUR, DIGIT_MODULES, _DIGIT_SAMPLES, 0.0, _SAMPLES)
    alone: Waveform = FLAT_DIGITS @ seen + (1 - seen.sum(0)) / 2
    return alone


def _standard(waveform: Waveform) -> Waveform:
    """Return a waveform in the units of `level`."""
    return np.asarray((waveform - 0.5) / np.sqrt(np.mean(np.square(_alone() - 0.5))), dtype=np.float32)


@lru_cache(maxsize=32)
def _guard_template(bits: str, light_before: bool, light_after: bool) -> Waveform:
    """Return a guard's waveform; one module of quiet zone belongs to it on the side where it is light."""
    row = np.array([int(bit) for bit in bits], dtype=np.float32)
    samples = (row.size + light_before + light_after) * _SAMPLES
    begin = -float(light_before)
    x = (np.arange(samples) + 0.5) / _SAMPLES + begin
    unknown = np.zeros(samples)
    if not light_before:
        unknown += 1 - cumulative(x, BLUR)
    if not light_after:
        unknown += cumulative(x - row.size, BLUR)
    return _standard((row @ sight(BLUR, row.size, samples, begin, _SAMPLES) + unknown / 2).astype(np.float32))


@lru_cache(maxsize=8)
def _pieces(layout: Layout) -> tuple[_Piece, ...]:
    def text(bits: Waveform) -> str:
        return "".join(str(int(bit)) for bit in bits)

    pieces = [_Piece((layout.start.size + 1) * _SAMPLES, text(layout.start), ())]
    for k in range(layout.digits):
        if k == layout.left and layout.centre.size:
            pieces.append(_Piece(layout.centre.size * _SAMPLES, text(layout.centre), ()))
        pieces.append(_Piece(_DIGIT_SAMPLES, "", tuple(sorted({int(chosen) for chosen in layout.sets[:, k]}))))
    pieces.append(_Piece((layout.end.size + 1) * _SAMPLES, text(layout.end), ()))
    return tuple(pieces)


def _borders(layout: Layout) -> NDArray[np.float64]:
    """Return the pieces' borders in modules, from the start guard's first bar to the end guard's last."""
    widths = [piece.samples / _SAMPLES for piece in _pieces(layout)]
    widths[0] -= 1
    widths[-1] -= 1
    return np.concatenate([[0.0], np.cumsum(widths)])


def _ways(pieces: Sequence[_Piece], scores: _Scores) -> list[Waveform]:
    """Return for each piece the cheapest way to have it begin at each place: direction x width x place."""
    digits = {piece.sets: scores.digit(piece.sets) for piece in set(pieces) if piece.sets}
    last = len(pieces) - 1
    ways: list[Waveform] = []
    for number, piece in enumerate(pieces):
        if piece.bits:
            cost = scores.guard(_guard_template(piece.bits, number == 0, number == last))
        else:
            cost = digits[piece.sets]
        ways.append(_onward(ways[-1], pieces[number - 1].samples, cost) if ways else cost)
    return ways


def _onward(ways: Waveform, advance: int, cost: Waveform) -> Waveform:
    """Return the cheapest ways to the next piece, `advance` samples on or one more or less."""
    reach = cost.shape[2] - advance - 1
    drifted = np.minimum(ways[..., :reach], ways[..., 2 : reach + 2])
    drifted += np.float32(_DRIFT_COST)
    reached = np.full(cost.shape, _NEVER, dtype=np.float32)
    np.minimum(ways[..., 1 : reach + 1], drifted, out=reached[..., advance + 1 :])
    reached += cost
    return reached
