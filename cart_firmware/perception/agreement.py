"""Whether a picture really shows the EAN or UPC code that a decoder read in it.

Decoders that look for edges give wrong codes with a valid check digit: bars misjudged twice, a short symbol found in
one half of a long one, a line of shelf edge. Once a code is known, the picture can be asked about that code alone:

1. `_Line.seen`: the brightness along the answer's corners, and some way beyond both ends.
2. `_placed`: where the code's own waveform lies in it, piece by piece: the corners may be off, the label bent.
3. `_judged`: levels, blur and place are fitted; does any other digit explain its place better, are both sides light?

Where a line disagrees, others through the same symbol are asked: corners may name only some rows, half the symbol, or
the wrong end first, and dirt or glare may lie on one line and not on the next.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import cv2
import msgspec
import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from cart_firmware.perception.blur import FLAT_DIGITS, SAMPLES, Blur, Waveform, sight, smooth_terms
from cart_firmware.perception.ean_model import DIGIT_MODULES, Layout, Symbology, encode
from cart_firmware.perception.reading import Corners, Picture

LEAST_NATS = 4.0
"""Below this a code is not taken for shown. Measured on what zxing-cpp and libzbar said of the labelled photographs, of
blurred, turned, noisy and covered copies of them, and of drawn symbols: of 201 wrong answers all but one stay below
this or the limits that follow; so do all of 1444 valid codes that differ from a right answer in one digit and the check
digit. Of zxing-cpp's right answers 2.2 % stay below too on photographs (creased bags, foils, sides of bottles), 0.7 %
on the copies; of libzbar's 6 and 15 %, most of them for its corners. So it is evidence, and no proof against a code."""
LEAST_FIT = 0.5
"""Below this one digit is not to be seen: of right answers that reach LEAST_NATS, all but 1 in 500 have more."""
MOST_DARK_BESIDE = 0.4
"""As in scanline: a short symbol found within a long one has 0.5."""
SURE_NATS = 20.0
"""From here on an EAN-13 needs no quiet zone: nothing printed contains one, and bags and shrink film cut it short."""

_BLURS = (Blur(0.25, 0.5), Blur(0.5, 0.5), Blur(0.8, 0.5), Blur(1.1, 0.5), Blur(0.3, 1.6), Blur(0.4, 2.4))
"""Focus from sharp to hopeless, then motion; a box of half a module is a camera's pixel at 2 pixels per module."""
_ROUGH = 1
"""The blur with which a code is sought, before its own is known."""
_SIDE = 7
"""Modules of quiet zone on either side that are looked at; GS1 General Specifications, 5.2.3.4, ask for 7 to 11."""
_SLACK = 4
"""Modules by which the symbol may lie beside the corners; 3 % of an EAN-13 are 2.9."""
_REACH = _SLACK * SAMPLES
_PIECES = 8
_DIGITS = 10


class Agreement(msgspec.Struct, frozen=True):
    """How well a picture shows a code: that of the line which shows it best."""

    nats: float
    """Log-likelihood of the code against others, that of the two weakest digits: valid codes differ in two or more.
    Negative where other digits explain the picture better."""
    fit: float
    """Correlation of the line with the code's waveform around the digit where it is least, -1 to 1."""
    beside: float
    """Share of dark beside the symbol, that of the darker side: 0 as light as its spaces, 1 as dark as its bars."""
    long: bool = False
    """Whether it is an EAN-13 or UPC-A: no longer symbol contains one."""

    @property
    def shown(self) -> bool:
        """Return whether the line shows the code's bars, be it as a part of something longer."""
        return self.nats >= LEAST_NATS and self.fit >= LEAST_FIT

    @property
    def agrees(self) -> bool:
        """Return whether the picture shows the code."""
        return self.shown and (self.beside <= MOST_DARK_BESIDE or (self.long and self.nats >= SURE_NATS))


NONE = Agreement(nats=-math.inf, fit=0.0, beside=1.0)
"""Of a picture that shows nothing of the code, or of digits that are no valid code."""


def agreement(luma: Picture, corners: Corners, digits: str) -> Agreement | None:
    """Return how well the picture shows a code at a decoder's corners; None where those lie too close to tell.

    `digits`: 13 for EAN-13, UPC-A ('0' before) and UPC-E (expanded; tried as both where it can be printed as both), 8
    for EAN-8. The corners may be those of one row, of half the symbol, or begin at any end of it; libzbar at times
    gives those of a single bar. Any other digits, and those with a wrong check digit, have no agreement: NONE.
    """
    if max(math.dist(corners[0], corners[1]), math.dist(corners[1], corners[2])) < _LEAST_ACROSS:
        return None
    best = NONE
    words = [word for symbology in _SYMBOLOGIES.get(len(digits), ()) if (word := _expected(digits, symbology))]
    for outline in _outlines(np.array(corners, np.float64)) if words else ():
        located = False
        for line, word in product(_lines(*outline), words):
            found, likeness = _judged(line.seen(luma, word.layout), word)
            if found.agrees or (found.shown and not found.long):
                return found
            best = max(best, found, key=lambda each: each.nats)
            located = located or likeness >= _LOCATED
        if located:
            break
    return best


_LOCATED = 0.7
"""Likeness (see `_placed`) from which on the symbol need not be sought another way round: half of the right ones have
0.88 or more, nine tenths of those looked at the wrong way round less than 0.55."""
_LONG = 12
"""Digits with bars of EAN-13. A short symbol may lie in a long one: a line that shows what follows ends the search."""
_SYMBOLOGIES: dict[int, tuple[Symbology, ...]] = {13: ("EAN13", "UPCE"), 8: ("EAN8",)}


# ── the lines that are asked ─────────────────────────────────────────────────────────────────────────────────────


class _Line(NamedTuple):
    """Rows that are averaged: from `start` over `across` (the whole symbol, pixels), `down` apart."""

    start: NDArray[np.float64]
    across: NDArray[np.float64]
    down: NDArray[np.float64]
    rows: int

    def seen(self, luma: Picture, layout: Layout) -> Waveform:
        """Return the brightness, `SAMPLES` per module, from `_SIDE + _SLACK` modules before the symbol."""
        step = self.across / (layout.modules * SAMPLES)
        first = self.start - step * ((_SIDE + _SLACK) * SAMPLES - 0.5) - self.down * ((self.rows - 1) / 2)
        to_frame = np.column_stack([step, self.down, first])
        size = (_samples(layout) + 2 * _REACH, self.rows)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        laid = cv2.warpAffine(luma, to_frame, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(cv2.reduce(laid, 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[0], np.float32)


_LEAST_ACROSS = 30.0
"""Pixels from end to end below which no symbol was ever read: half a pixel per module of the shortest."""
_THIN = 6.0
_QUARTER_TURN = np.array([-1.0, 1.0])


_Outline = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _outlines(corners: NDArray[np.float64]) -> Iterator[_Outline]:
    """Yield the corners in the orders to try: as given, turned round, then along the other sides; long sides first."""
    wide = math.dist(corners[0], corners[1]) >= math.dist(corners[1], corners[2])
    for first in (0, 2, 1, 3) if wide else (1, 3, 0, 2):
        yield corners[first], corners[(first + 1) % 4], corners[(first + 2) % 4], corners[(first + 3) % 4]


def _lines(
    top_left: NDArray[np.float64],
    top_right: NDArray[np.float64],
    bottom_right: NDArray[np.float64],
    bottom_left: NDArray[np.float64],
) -> Iterator[_Line]:
    """Yield the middle, the two edges, a little beside the middle, and the middle as half of a symbol."""
    left, right = (top_left + bottom_left) / 2, (top_right + bottom_right) / 2
    across, down = right - left, (bottom_left + bottom_right - top_left - top_right) / 2
    length = math.hypot(*across)
    if length < _LEAST_ACROSS:
        return
    row = across[::-1] * _QUARTER_TURN / length
    thick = math.hypot(*down) > _THIN
    middle = _Line(left, across, down / 10, 5) if thick else _Line(left, across, row / 2, 3)
    yield middle
    yield _Line(top_left, top_right - top_left, row * 0.7, 3)
    yield _Line(bottom_left, bottom_right - bottom_left, row * 0.7, 3)
    yield _Line(left + 2.5 * row, across, row * 0.7, 3)
    yield _Line(left - 2.5 * row, across, row * 0.7, 3)
    yield middle._replace(across=2 * across)
    yield middle._replace(start=left - across, across=2 * across)


# ── what is expected of a code ───────────────────────────────────────────────────────────────────────────────────


class _Expected(NamedTuple):
    """A code as a camera sees it, and all that is computed once to compare lines with it."""

    layout: Layout
    digits: NDArray[np.intp]
    """Places of its digits in FLAT_DIGITS."""
    pieces: Waveform
    """Its rough waveform in equal pieces, light up, each of mean 0 and sum of squares 1: pieces x samples x 1."""
    terms: Waveform
    """Parabolas, then parabolas times its waveform: blurs x samples x 6."""
    heard: Waveform
    """The terms where they count, turned: blurs x 6 x samples."""
    solve: NDArray[np.float64]
    """From what is heard in a line to the factors of the terms, by least squares: blurs x 6 x 6."""


_LEVEL_TERMS = 3
"""Brightness and contrast vary along the symbol as parabolas do."""


@lru_cache(maxsize=128)
def _expected(digits: str, symbology: Symbology) -> _Expected | None:
    """Return what to expect of a code, or None where it cannot be printed so."""
    try:
        layout, family, word = encode(digits, symbology)
    except ValueError:
        return None
    if layout.name == "UPCE" and layout.prefix[family][0] != "0":
        return None
    row = layout.row(family, word)
    waves = np.stack([row @ sight(blur, row.size, _samples(layout), -_SIDE) for blur in _BLURS])
    smooth = np.broadcast_to(smooth_terms(_samples(layout), _LEVEL_TERMS), (len(waves), _samples(layout), _LEVEL_TERMS))
    terms = np.concatenate([smooth, smooth * waves[:, :, None]], axis=2)
    heard = terms.transpose(0, 2, 1) * _counted(layout)
    first, size = _cut(layout)
    pieces = -waves[_ROUGH, first : first + _PIECES * size].reshape(_PIECES, size)
    pieces -= pieces.mean(1, keepdims=True)
    pieces /= np.linalg.norm(pieces, axis=1, keepdims=True) * math.sqrt(size)
    printed = _DIGITS * layout.sets[family] + np.array(word)
    gram = heard.astype(np.float64) @ terms
    return _Expected(layout, printed, pieces[:, :, None], terms, heard, np.linalg.inv(gram))


def _samples(layout: Layout) -> int:
    return (layout.modules + 2 * _SIDE) * SAMPLES


@lru_cache(maxsize=8)
def _counted(layout: Layout) -> Waveform:
    """Return 1 for the samples that must look as expected: the symbol and a module on either side."""
    counted = np.zeros(_samples(layout), np.float32)
    counted[(_SIDE - 1) * SAMPLES : -(_SIDE - 1) * SAMPLES] = 1
    return counted


def _cut(layout: Layout) -> tuple[int, int]:
    """Return the first sample of the pieces, and the size of each; they begin a module before the symbol."""
    return (_SIDE - 1) * SAMPLES, (layout.modules + 2) * SAMPLES // _PIECES


# ── where the code lies in a line ────────────────────────────────────────────────────────────────────────────────

_LOCAL = (21 * SAMPLES, 1)
"""Samples over which brightness and contrast are taken as even: three digits."""
_BEND = 6
"""Samples by which the shift may differ between neighbouring pieces: 15 % of their length."""
_STRAIN = np.square(np.arange(-_BEND, _BEND + 1, dtype=np.float32))[:, None] / 400
"""What such a difference costs, in units of a piece's correlation."""
_NOWHERE = -1e9
_CURVES = 3
"""Degree of the polynomial through the pieces' shifts."""


_LEAST_LIKENESS = 0.4
"""Mean correlation of the pieces below which a line is not looked at any closer. Of 180 lines that showed a right code
of a photograph, all had 0.49 or more; three quarters of the 857 that did not show it, below 0.45."""


def _placed(line: Waveform, word: _Expected) -> tuple[NDArray[np.float64], float]:
    """Return the place of every sample of the code in a line, `_REACH` more at both ends, and how alike they are."""
    flat = line - cv2.blur(line[None], _LOCAL, borderType=cv2.BORDER_REPLICATE)[0]
    power = cv2.blur(np.square(flat)[None], _LOCAL, borderType=cv2.BORDER_REPLICATE)[0]
    flat /= np.sqrt(np.maximum(power, 0)) + 1
    first, size = _cut(word.layout)
    item = flat.itemsize
    windows = np.ndarray((_PIECES, 2 * _REACH + 1, size), flat.dtype, flat, first * item, (size * item, item, item))
    scores = (windows @ word.pieces)[:, :, 0]
    path = _path(scores)
    likeness = float(scores[np.arange(_PIECES), path].mean())
    return np.arange(line.size) + _between(word.layout) @ (path - _REACH), likeness


def _path(scores: Waveform) -> NDArray[np.intp]:
    """Return the shift of every piece: the way through pieces x shifts that scores most, bends taken off."""
    pieces, shifts = scores.shape
    padded = np.full(shifts + 2 * _BEND, _NOWHERE, np.float32)
    moves = np.ndarray((2 * _BEND + 1, shifts), padded.dtype, padded, 0, (padded.itemsize, padded.itemsize))
    came = np.empty((pieces, shifts), np.intp)
    total = scores[0]
    for piece in range(1, pieces):
        padded[_BEND:-_BEND] = total
        reached = moves - _STRAIN
        came[piece] = reached.argmax(0)
        total = scores[piece] + reached.max(0)
    path = [int(total.argmax())]
    for piece in range(pieces - 1, 0, -1):
        path.append(path[-1] + int(came[piece, path[-1]]) - _BEND)
    return np.array(path[::-1])


@lru_cache(maxsize=8)
def _between(layout: Layout) -> NDArray[np.float64]:
    """Return the matrix from the pieces' shifts to those of a line's samples, by a cubic: samples x pieces."""
    first, size = _cut(layout)
    scale = 2 / _samples(layout)
    centres = (first + size * (np.arange(_PIECES) + 0.5)) * scale - 1
    everywhere = (np.arange(-_REACH, _samples(layout) + _REACH) + 0.5) * scale - 1
    between: NDArray[np.float64] = chebyshev.chebvander(everywhere, _CURVES) @ np.linalg.pinv(
        chebyshev.chebvander(centres, _CURVES)
    )
    return between


def _at(line: Waveform, places: NDArray[np.float64]) -> Waveform:
    return np.interp(places, np.arange(line.size), line).astype(np.float32)


# ── whether it looks as expected ─────────────────────────────────────────────────────────────────────────────────

_ROUNDS = (2, 4)
"""How often place and levels are fitted again, after each search."""
_LEAST_STEP = 4.0
"""Grey levels from dark to light below which a line shows nothing."""
_LEAST_CONTRAST = 0.3
"""Share of its mean contrast that a line is taken to have everywhere."""
_NOISE_FLOOR = 1e-3
"""Variance (contrast of sharp modules = 1) of the errors that even a perfect picture is charged with."""


class _Fitted(NamedTuple):
    """A line as a code explains it."""

    blur: int
    model: Waveform
    light: Waveform
    step: Waveform
    """Brightness from light to dark, along the symbol; negative."""
    error: float
    """Mean square, in grey levels."""


def _judged(line: Waveform, word: _Expected) -> tuple[Agreement, float]:
    """Return how well a line shows a code, and likeness; it is sought a second time if the first does not show it."""
    best, likeness = NONE, 0.0
    places = everywhere = np.arange(line.size, dtype=np.float64)
    for rounds in _ROUNDS:
        moved, likeness = _placed(_at(line, places), word)
        if likeness < _LEAST_LIKENESS:
            break
        places = np.interp(moved, everywhere, places)
        best = max(best, _compared(line, places[_REACH:-_REACH], word, rounds), key=lambda each: each.nats)
        if best.shown:
            break
    return best, likeness


def _compared(line: Waveform, places: NDArray[np.float64], word: _Expected, rounds: int) -> Agreement:
    """Return how well a line shows a code near these places."""
    seen = _at(line, places)
    fitted = _fitted(seen, word)
    for _ in range(rounds):
        places = places + _shift(seen, fitted.model, word.layout)
        seen = _at(line, places)
        fitted = _fitted(seen, word)
    counted = _counted(word.layout) > 0
    typical = -float(fitted.step[counted].mean())
    if typical < _LEAST_STEP:
        return NONE
    step = np.minimum(fitted.step, -_LEAST_CONTRAST * typical)
    variance = max(float(fitted.error) / typical**2, _NOISE_FLOOR)
    return Agreement(
        nats=_nats(((seen - fitted.model) / step).astype(np.float32), word, fitted.blur) / (SAMPLES * variance)
        - _bent(places),
        fit=_worst(seen, fitted.model, word.layout),
        beside=_beside(seen, fitted),
        long=word.layout.digits >= _LONG,
    )


def _fitted(seen: Waveform, word: _Expected) -> _Fitted:
    """Return levels and blur with which the code explains what was seen best."""
    counted = _counted(word.layout)
    heard = (word.heard @ seen)[:, :, None]
    parts = word.solve @ heard
    best = int((parts * heard).sum((1, 2)).argmax())
    factors = parts[best, :, 0].astype(np.float32)
    model = word.terms[best] @ factors
    error = seen - model
    smooth = smooth_terms(_samples(word.layout), _LEVEL_TERMS)
    light, step = smooth @ factors[:_LEVEL_TERMS], smooth @ factors[_LEVEL_TERMS:]
    return _Fitted(best, model, light, step, float(error * error @ counted) / np.count_nonzero(counted))


_SHIFT_TERMS = 8
_STIFFNESS = np.diag([1e-6, 1e-6, 0.003, 0.01, 0.02, 0.04, 0.08, 0.16])
"""How unlikely bends of each order are, against the evidence of the whole line."""
_MOST_SHIFT = 3.0


def _shift(seen: Waveform, model: Waveform, layout: Layout) -> Waveform:
    """Return by how many samples to move each place, smoothly, so that what is seen comes closer to the model."""
    slope = np.zeros_like(seen)
    np.subtract(seen[2:], seen[:-2], out=slope[1:-1])
    slope *= _counted(layout) / 2
    smooth = smooth_terms(_samples(layout), _SHIFT_TERMS)
    pull = smooth * slope[:, None]
    moves = np.linalg.solve(pull.T @ pull + _STIFFNESS * (float(slope @ slope) + 1e-6), (model - seen) @ pull)
    return np.clip(smooth @ moves.astype(np.float32), -_MOST_SHIFT, _MOST_SHIFT)


_AROUND = 1.5
"""Modules before and after a digit in which blur shows it."""


class _Rivals(NamedTuple):
    """The 30 digits as one blur shows them, and how far apart they are."""

    waves: Waveform
    apart: Waveform
    """Half the squared distance of each two: 30 x 30."""
    cut: NDArray[np.intp]
    """The samples around every digit of the layout: digits x samples."""
    barred: Waveform
    """Infinite for digits of a set that is never printed there: digits x 30."""


def _nats(error: Waveform, word: _Expected, blur: int) -> float:
    """Return the log-likelihood by which the two weakest digits beat their best rivals, for a variance of 1."""
    rivals = _rivals(word.layout, blur)
    order = np.arange(word.digits.size)
    likeness = error[rivals.cut] @ rivals.waves.T
    gaps = rivals.apart[word.digits] + likeness[order, word.digits][:, None] - likeness + rivals.barred
    gaps[order, word.digits] = np.inf
    return float(np.partition(gaps.min(1), 1)[:2].sum())


@lru_cache(maxsize=64)
def _rivals(layout: Layout, blur: int) -> _Rivals:
    samples = int((DIGIT_MODULES + 2 * _AROUND) * SAMPLES)
    waves = FLAT_DIGITS @ sight(_BLURS[blur], DIGIT_MODULES, samples, -_AROUND)
    apart = np.square(waves[:, None] - waves).sum(2) / 2
    cut = ((layout.digit_starts + _SIDE - _AROUND) * SAMPLES).astype(np.intp)[:, None] + np.arange(samples)
    printed = (layout.sets[:, :, None] == np.arange(len(FLAT_DIGITS)) // _DIGITS).any(0)
    return _Rivals(waves, apart, cut, np.where(printed, 0, np.inf).astype(np.float32))


_USUAL_BEND = 0.025
"""By which share the width of a module usually differs from one digit to the next: on 242 photographs the greatest
difference along a symbol is 0.013 in the median and 0.063 at the 99th percentile."""


def _bent(places: NDArray[np.float64]) -> float:
    """Return how unlikely the bends are, in nats: some bend makes nearly any digit look like some other."""
    width = DIGIT_MODULES * SAMPLES
    widths = np.diff(places[_SIDE * SAMPLES : -_SIDE * SAMPLES : width])
    changes = np.diff(widths) / widths.mean()
    return float(changes @ changes) / (2 * _USUAL_BEND**2)


def _worst(seen: Waveform, model: Waveform, layout: Layout) -> float:
    """Return the least of the correlations around each digit."""
    cut = _rivals(layout, 0).cut
    both = np.stack([seen[cut], model[cut]])
    both -= both.mean(2, keepdims=True)
    seen_power, model_power = np.square(both).sum(2) + 1.0
    return float(((both[0] * both[1]).sum(1) / np.sqrt(seen_power * model_power)).min())


def _beside(seen: Waveform, fitted: _Fitted) -> float:
    """Return the mean share of dark from one to five modules beside the symbol, that of the darker side.

    Levels are those of the symbol's outer sixths: fitted to the symbol alone, they mean little at its very ends.
    """
    least = _LEAST_CONTRAST * float(fitted.step.mean())
    near, far, end = 1 * SAMPLES, 5 * SAMPLES, _SIDE * SAMPLES
    inner = end + (seen.size - 2 * end) // 6
    sides = ((slice(end - far, end - near), inner), (slice(-end + near, -end + far), -inner))
    return max(
        (float(seen[side].mean()) - float(fitted.light[at])) / min(float(fitted.step[at]), least) for side, at in sides
    )
