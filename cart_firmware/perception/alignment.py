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
"""Ratio of neighbouring module widths that are tried; drift makes up for the rest."""
_DRIFT_COST = 1.0
"""Price of one sample of drift, in squared contrast: keeps the path straight where the picture says nothing."""
_HOPELESS = 0.47
"""Cost from which a placement is not worth a closer look. On strips of photographs those that gave a sure answer reach
0.455, half of them 0.25; of those that gave none two thirds have more."""
_RIVALS = 3
"""Places per layout and direction: under strong blur a symbol looks nearly as good one digit farther on."""
_APART = 3
"""Modules from one such place to the next."""
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
    """Return the best placements, best first, at most `limit`; none that is hopeless.

    `least` and `most` bound the symbol's width in columns.
    """
    searches = [_Search(profile, layout, least / layout.modules, most / layout.modules) for layout in LAYOUTS]
    ends = sorted((end for search in searches for end in search.ends()), key=lambda end: end[0])
    return [search.placement(cost, turned, row, place) for cost, search, turned, row, place in ends[:limit]]


class _Guard(NamedTuple):
    bits: str
    light_before: bool
    """One module of the quiet zone belongs to the start guard, one to the end guard."""
    light_after: bool


class _Piece(NamedTuple):
    """One guard or digit in the order of the symbol."""

    samples: int
    """From its begin to the next piece's."""
    guard: _Guard | None = None
    sets: tuple[int, ...] = ()
    """For a digit: which sets it may be from."""


class _Search:
    """All places of one layout in a profile, at module widths from `narrow` to `wide` columns."""

    def __init__(self, profile: Waveform, layout: Layout, narrow: float, wide: float) -> None:
        self._layout = layout
        self._pieces = _pieces(layout)
        self._widths = np.geomspace(narrow, wide, math.ceil(math.log(wide / narrow) / math.log(_STEP)) + 1)
        lines = _at_widths(profile, self._widths)
        self._samples = lines.shape[1]
        self._ways = _ways(self._pieces, _Scores(lines, tuple(piece.guard for piece in self._pieces if piece.guard)))
        self._begins = _begins(self._pieces)

    def ends(self) -> Iterator[tuple[float, "_Search", int, int, int]]:
        """Yield the cheapest ends that lie apart and are not hopeless, at most `_RIVALS` for each direction.

        An end is its cost per sample, self, direction, row, and place of the last piece.
        """
        scale = _SAMPLES * (self._layout.modules + 2)
        columns = self._widths[:, None] * np.arange(self._ways[-1].shape[2])
        for turned in range(_DIRECTIONS):
            costs = self._ways[-1][turned]
            for _ in range(_RIVALS):
                row, place = divmod(int(costs.argmin()), costs.shape[1])
                cost = float(costs[row, place]) / scale
                if cost >= _HOPELESS:
                    break
                yield cost, self, turned, row, self._begins[-1] + place
                near = np.abs(columns - columns[row, place]) < _APART * _SAMPLES * self._widths[row]
                costs = np.where(near, np.inf, costs)

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
        steps = zip(self._ways[:-1], self._begins[:-1], self._pieces[:-1], strict=True)
        for way, first, piece in reversed(list(steps)):
            before = borders[-1] - piece.samples
            near = way[turned, row, before - 1 - first : before + 2 - first] + np.array([_DRIFT_COST, 0, _DRIFT_COST])
            borders.append(before - 1 + int(near.argmin()))
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

    def __init__(self, lines: Waveform, guards: tuple[_Guard, ...]) -> None:
        rows, samples = lines.shape
        self.places = samples - _DIGIT_SAMPLES + 1
        windows = np.empty((_DIGIT_SAMPLES, rows, self.places), dtype=np.float32)
        for sample in range(_DIGIT_SAMPLES):
            windows[sample] = lines[:, sample : sample + self.places]
        self._sums = np.zeros((rows, samples + 1), dtype=np.float32)
        np.cumsum(np.square(lines), axis=1, out=self._sums[:, 1:])
        templates, offset = _templates(guards)
        match = (templates @ windows.reshape(_DIGIT_SAMPLES, -1)).reshape(-1, rows, self.places)
        digits = match[: offset.size].reshape(2, 10, rows, self.places)
        half_energy = offset.reshape(2, 10, 1, 1)
        (light_a, light_b), (dark_a, dark_b) = (digits - half_energy).max(1), -(digits + half_energy).min(1)
        self._best = {
            SET_A: self._join(light_a, dark_b),
            SET_B: self._join(light_b, dark_a),
            SET_C: self._join(dark_a, light_b),
        }
        self._guards = dict(zip(guards, match[offset.size :].reshape(-1, 2, rows, self.places), strict=True))
        whole = self._energy(0, _DIGIT_SAMPLES)
        self._whole = self._join(whole, whole)

    @staticmethod
    def _join(ahead: Waveform, backwards: Waveform) -> Waveform:
        return np.stack([ahead, backwards[:, ::-1]])

    def _energy(self, begin: int, end: int) -> Waveform:
        """Return the sum of squares from sample `begin` of every window up to sample `end`."""
        return self._sums[:, end : end + self.places] - self._sums[:, begin : begin + self.places]

    def digit(self, sets: tuple[int, ...]) -> Waveform:
        """Return the squared error of the best digit of any of the sets."""
        best = self._best[sets[0]]
        for chosen in sets[1:]:
            best = np.maximum(best, self._best[chosen])
        return self._whole - 2 * best

    def guard(self, guard: _Guard) -> Waveform:
        """Return the squared error of a guard."""
        template = _guard_template(guard)
        size = template.size
        ahead, backwards = self._guards[guard]
        first, last = self._energy(0, size), self._energy(_DIGIT_SAMPLES - size, _DIGIT_SAMPLES)
        return self._join(first - 2 * ahead, last - 2 * backwards) + np.float32(np.square(template).sum())


@lru_cache(maxsize=8)
def _templates(guards: tuple[_Guard, ...]) -> tuple[Waveform, Waveform]:
    """Return what is matched with every window, one a row, and half the energy of those that are digits.

    Those are sets A and B as they look where nothing is known of their neighbours. Then follows each guard twice: at a
    window's begin, and backwards at its end.
    """
    digits = _standard(_alone())[: 10 * SET_C]
    rows = []
    for guard in guards:
        template = _guard_template(guard)
        blank = (0, _DIGIT_SAMPLES - template.size)
        rows += [np.pad(template, blank), np.pad(template, blank)[::-1]]
    return np.concatenate([digits, rows]).astype(np.float32), np.square(digits).sum(1) / 2


def _alone() -> Waveform:
    seen = sight(BLUR, DIGIT_MODULES, _DIGIT_SAMPLES, 0.0, _SAMPLES)
    alone: Waveform = FLAT_DIGITS @ seen + (1 - seen.sum(0)) / 2
    return alone


def _standard(waveform: Waveform) -> Waveform:
    """Return a waveform in the units of `level`."""
    return np.asarray((waveform - 0.5) / np.sqrt(np.mean(np.square(_alone() - 0.5))), dtype=np.float32)


@lru_cache(maxsize=32)
def _guard_template(guard: _Guard) -> Waveform:
    """Return a guard's waveform with the module of quiet zone that belongs to it."""
    row = np.array([int(bit) for bit in guard.bits], dtype=np.float32)
    begin = -float(guard.light_before)
    samples = (row.size + guard.light_before + guard.light_after) * _SAMPLES
    x = (np.arange(samples) + 0.5) / _SAMPLES + begin
    unknown = np.zeros(samples)
    if not guard.light_before:
        unknown += 1 - cumulative(x, BLUR)
    if not guard.light_after:
        unknown += cumulative(x - row.size, BLUR)
    return _standard((row @ sight(BLUR, row.size, samples, begin, _SAMPLES) + unknown / 2).astype(np.float32))


@lru_cache(maxsize=8)
def _pieces(layout: Layout) -> tuple[_Piece, ...]:
    def guard(bits: Waveform, *, before: bool = False, after: bool = False) -> _Piece:
        text = "".join(str(int(bit)) for bit in bits)
        return _Piece((bits.size + before + after) * _SAMPLES, _Guard(text, before, after))

    pieces = [guard(layout.start, before=True)]
    for k in range(layout.digits):
        if k == layout.left and layout.centre.size:
            pieces.append(guard(layout.centre))
        pieces.append(_Piece(_DIGIT_SAMPLES, sets=tuple(sorted({int(chosen) for chosen in layout.sets[:, k]}))))
    return (*pieces, guard(layout.end, after=True))


def _borders(layout: Layout) -> NDArray[np.float64]:
    """Return the pieces' borders in modules, from the start guard's first bar to the end guard's last."""
    widths = [piece.samples / _SAMPLES for piece in _pieces(layout)]
    widths[0] -= 1
    widths[-1] -= 1
    return np.concatenate([[0.0], np.cumsum(widths)])


def _begins(pieces: Sequence[_Piece]) -> list[int]:
    """Return the first place of each piece that `_ways` considers: all before it drifted away from the line's begin."""
    return [int(begin) for begin in np.cumsum([0] + [piece.samples + 1 for piece in pieces[:-1]])]


def _ways(pieces: Sequence[_Piece], scores: _Scores) -> list[Waveform]:
    """Return the cheapest way to have each piece at each place: direction x width x place, from `_begins` on."""
    costs = {piece: scores.guard(piece.guard) if piece.guard else scores.digit(piece.sets) for piece in set(pieces)}
    begins = _begins(pieces)
    many = scores.places - begins[-1] + 2 * (len(pieces) - 1)
    ways: list[Waveform] = []
    for number, (piece, begin) in enumerate(zip(pieces, begins, strict=True)):
        here = costs[piece][..., begin : begin + many - 2 * number]
        ways.append(_onward(ways[-1], here) if ways else here)
    return ways


def _onward(ways: Waveform, cost: Waveform) -> Waveform:
    """Return the cheapest ways to the next piece: straight on, or one sample more or less."""
    reached = np.minimum(ways[..., :-2], ways[..., 2:])
    reached += np.float32(_DRIFT_COST)
    np.minimum(reached, ways[..., 1:-1], out=reached)
    reached += cost
    return reached
