"""Reads EAN and UPC from pictures too blurred for decoders that look for edges.

A decoder that looks for edges needs them apart; this one compares the picture with what the camera would have seen of
every valid code, and takes the likeliest:

1. `profile`: the strip's rows become one line of brightness, bars made upright.
2. `alignment.placements`: where guards and digits may lie, for every layout and direction.
3. `View.costs`: how well each pair of neighbouring digits explains its piece of the line, under a given blur.
4. `trellis.best_word`: the valid word (parity, check digit) that explains the whole line best, and the runner-up.
5. `View.refitted`: levels, blur and place are fitted again to that word; then 3 and 4 again.

An estimate is given only where the runner-up is much worse and the code explains nearly all of the line. Views of the
same code (frames, bands of rows) are joined by adding what they say in step 3.
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import msgspec
import numpy as np
from numpy.polynomial import Polynomial, chebyshev
from numpy.typing import NDArray

from cart_firmware.perception.alignment import Placement, level, placements
from cart_firmware.perception.blur import FLAT_DIGITS, SAMPLES, Blur, Waveform, contrast, sight
from cart_firmware.perception.ean_model import DIGIT_MODULES, Layout, Symbology
from cart_firmware.perception.trellis import DigitCosts, Word, best_word, cheapest

BLURS = tuple(Blur(sigma, 0.25) for sigma in (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.1)) + tuple(
    Blur(0.3, length) for length in (1.5, 2.0, 2.5, 3.0)
)
"""Focus from sharp to hopeless, then motion; a box of 0.25 modules is the camera's own pixel."""
LEAST_RATIO = 10.0
"""Log-likelihood by which the best word must beat the second best, in nats. On photographs and random symbols alike,
wrong words that also fit well stay below 9."""
LEAST_FIT = 0.955
"""Correlation of the line with the word's waveform, levels apart, below which no answer is given. Right words of
blurred photographs reach 0.95 to 0.99; those found in text, QR and other linear symbols stay below 0.95."""
MOST_DARK_BESIDE = 0.4
"""Share of dark in the quiet zones above which no answer is given: a short symbol found within a long one has 0.5."""
MOST_SPREAD = {"EAN13": 1.2, "EAN8": 0.8, "UPCE": 0.8}
"""Blur (modules) beyond which no answer is given: stripes of any origin then look like some short symbol."""
SPAN = (0.5, 0.97)
"""Width of the symbol as a share of the strip's."""
_QUIET = 1
"""Modules of quiet zone on either side that must be light; more may be dirty."""
_NOISE_FLOOR = 4e-4
"""Variance (contrast of sharp modules = 1) of the errors that even a perfect picture is charged with."""
_ROUNDS = 3
_SEEDS = 4


class Estimate(msgspec.Struct, frozen=True):
    """The likeliest code of a strip."""

    digits: str
    """13 digits for EAN-13, UPC-A ('0' before) and UPC-E (expanded); 8 for EAN-8."""
    symbology: Symbology
    """What was printed."""
    ratio: float
    """Log-likelihood ratio against the second best valid code, in nats."""
    fit: float
    """Correlation of the line with the code's waveform, 0 to 1; the least of several strips."""
    blur: float
    """Spread (standard deviation) of the blur in modules; of the first strip."""
    module_px: float
    """Mean width of a module in columns of the first strip."""
    columns: tuple[float, float]
    """Where the symbol begins and ends in the first strip; the first is greater when it stands on its head."""


class View(msgspec.Struct, frozen=True):
    """One strip's line, with a belief about how the symbol lies in it and how it was seen."""

    line: Waveform
    layout: Layout
    columns: NDArray[np.float64]
    """Place of every sample in the line."""
    blur: Blur
    dark: Waveform
    """What share of dark each sample's brightness stands for: 0 light, 1 dark."""
    variance: float
    """Of the errors of `dark`."""
    levels: tuple[float, float] = (255.0, 0.0)
    """Mean brightness that light and dark would have without blur."""
    fit: float = 0.0

    def costs(self) -> DigitCosts:
        """Return half the squared errors of all digits, in units of the variance: negative log-likelihoods."""
        return _costs(self.dark, _sights(self.layout, self.blur), 0.5 / SAMPLES / self.variance)

    def refitted(self, word: Word) -> "View":
        """Return the view with place, blur and levels fitted to a word."""
        row = self.layout.row(word.family, word.digits)
        before = _levelled(_at(self.line, self.columns), row, (self.blur,))
        columns = self.columns + _shift(self.line, self.columns, before)
        after = _levelled(_at(self.line, columns), row, BLURS)
        return View(self.line, self.layout, columns, after.blur, after.dark, after.variance, after.levels, after.fit)


class Reading(msgspec.Struct, frozen=True):
    """What a group of views says together."""

    views: tuple[View, ...]
    word: Word

    @property
    def fit(self) -> float:
        """Return the correlation of the worst view."""
        return min(view.fit for view in self.views)

    @property
    def quiet(self) -> float:
        """Return how dark the line is beside the symbol, 0 to 1: the darker side of the worst view."""
        return max(_beside(view) for view in self.views)

    @property
    def ratio(self) -> float:
        """Return the log-likelihood ratio against the second best word."""
        return self.word.runner_up - self.word.cost

    def sure(self) -> bool:
        """Return whether the code may be told to anybody."""
        return (
            self.ratio >= LEAST_RATIO
            and self.fit >= LEAST_FIT
            and self.quiet <= MOST_DARK_BESIDE
            and all(view.blur.spread <= MOST_SPREAD[view.layout.name] for view in self.views)
        )

    def estimate(self) -> Estimate:
        """Return it as others see it."""
        view = self.views[0]
        ends = np.interp((0.0, view.layout.modules), _places(view.layout), view.columns)
        return Estimate(
            digits=view.layout.gtin(self.word.family, self.word.digits),
            symbology=view.layout.symbology(self.word.family),
            ratio=self.ratio,
            fit=self.fit,
            blur=view.blur.spread,
            module_px=abs(float(ends[1] - ends[0])) / view.layout.modules,
            columns=(float(ends[0]), float(ends[1])),
        )


def decode(strips: Sequence[NDArray[np.uint8]]) -> Estimate | None:
    """Return the EAN or UPC that rectified strips show, or None where that is not sure.

    A strip is a picture (rows x columns, uint8) with its bars upright, 2-6 columns per module, that holds the whole
    symbol, either way up, over `SPAN` of its width. All strips show the same code.
    """
    best = max((reading for reading in read(strips) if reading.sure()), key=lambda each: each.ratio, default=None)
    return None if best is None else best.estimate()


def read(strips: Sequence[NDArray[np.uint8]]) -> Iterator[Reading]:
    """Yield the readings that strips allow, one for each likely placement, sure or not."""
    lines = [profile(strip) for strip in strips]
    seeds = [_seeds(line) for line in lines]
    layouts = {view.layout.name for views in seeds for view, _ in views}
    for name in layouts:
        mine = [[view for view, _ in views if view.layout.name == name] for views in seeds]
        if all(mine):
            for rank in range(2 if len(strips) == 1 else 1):
                yield _settle([views[min(rank, len(views) - 1)] for views in mine])


def _seeds(line: Waveform) -> list[tuple[View, float]]:
    """Return first views of a line with what they leave unexplained, best first."""
    least, most = (share * line.size for share in SPAN)
    views = [_first_view(line, placement) for placement in placements(line, least, most)]
    return sorted(views, key=lambda seed: seed[1])[:_SEEDS]


def _settle(views: list[View]) -> Reading:
    """Return the word on which the views agree, after fitting them to it."""
    word = _joint_word(views)
    for _ in range(_ROUNDS):
        views = [view.refitted(word) for view in views]
        word = _joint_word(views)
    return Reading(tuple(view.refitted(word) for view in views), word)


def _joint_word(views: Sequence[View]) -> Word:
    first, *others = (view.costs() for view in views)
    return best_word(views[0].layout, sum(others, start=first))


_BESIDE = 4
"""Modules on either side of the symbol that should be light. GS1 asks for 7 to 11; labels keep fewer."""


def _beside(view: View) -> float:
    """Return the mean share of dark in the quiet zones, that of the darker side."""
    places = _places(view.layout)
    pitch = (view.columns[-1] - view.columns[0]) / (places[-1] - places[0])
    reach = (np.arange(_BESIDE * SAMPLES) + 0.5) / SAMPLES * pitch
    ends = np.interp((0.0, view.layout.modules), places, view.columns)
    sides = (_at(view.line, ends[0] - reach), _at(view.line, ends[1] + reach))
    light, dark = view.levels
    return max(float(np.mean(light - side)) for side in sides) / max(light - dark, _LEAST_STEP)


# ── from a strip to a line ───────────────────────────────────────────────────────────────────────────────────────


_BANDS = 8


def profile(strip: NDArray[np.uint8]) -> Waveform:
    """Return the mean brightness along the bars, after the shear that keeps most contrast."""
    rows, columns = strip.shape
    bands = cv2.resize(strip.astype(np.float32), (columns, min(_BANDS, rows)), interpolation=cv2.INTER_AREA)
    if len(bands) < _BANDS:
        return np.asarray(bands.mean(0), dtype=np.float32)
    reach = max(2, columns // 40)
    lean = np.rint(np.arange(-reach, reach + 1)[:, None] * np.linspace(-0.5, 0.5, _BANDS)).astype(np.intp)
    places = np.clip(np.arange(columns) + lean[:, :, None], 0, columns - 1)
    lines = bands[np.arange(_BANDS)[None, :, None], places].mean(1)
    best = int(np.square(np.diff(lines, axis=1)).sum(1).argmax())
    return np.asarray(lines[best], dtype=np.float32)


def _at(line: Waveform, columns: NDArray[np.float64]) -> Waveform:
    """Return a line's brightness at places that lie between its columns; column i has its centre at i + 0.5."""
    return np.interp(columns - 0.5, np.arange(line.size), line).astype(np.float32)


# ── from a line to costs of digits ───────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=8)
def _places(layout: Layout) -> NDArray[np.float64]:
    """Return the place of every sample, in modules from the start guard's first bar."""
    return (np.arange((layout.modules + 2 * _QUIET) * SAMPLES) + 0.5) / SAMPLES - _QUIET


class _Sights(NamedTuple):
    """Waveforms of half digits as one blur shows them, and where the line is cut for them."""

    first: Waveform
    """30 x samples from the edge to the first digit's centre, the start guard added."""
    last: Waveform
    pieces: tuple[tuple[NDArray[np.intp], NDArray[np.intp], Waveform, Waveform, Waveform, Waveform], ...]
    """For ordinary pairs, then for that around the centre guard: which, samples, guard, tails, heads, their Gram."""


@lru_cache(maxsize=64)
def _sights(layout: Layout, blur: Blur) -> _Sights:
    half, digit = DIGIT_MODULES / 2, DIGIT_MODULES * SAMPLES
    edge = int((layout.start.size + half + _QUIET) * SAMPLES)
    close = int((layout.end.size + half + _QUIET) * SAMPLES)
    first = _digits_from(blur, edge, edge / SAMPLES - half) + _row_from(blur, layout.start, edge, _QUIET)
    last = _digits_from(blur, close, -half) + _row_from(blur, layout.end, close, half)
    centres = ((layout.digit_starts + half + _QUIET) * SAMPLES).astype(np.intp)
    order = np.arange(layout.digits - 1)
    across = (order == layout.left - 1) & (layout.centre.size > 0)
    pieces = []
    for which, guard in ((order[~across], layout.centre[:0]), (order[across], layout.centre)):
        if which.size:
            samples = digit + guard.size * SAMPLES
            tails = _digits_from(blur, samples, -half)
            heads = _digits_from(blur, samples, samples / SAMPLES - half)
            gram = np.square(tails).sum(1)[:, None] + np.square(heads).sum(1) + 2 * tails @ heads.T
            cut = centres[which][:, None] + np.arange(samples)
            pieces.append((which, cut, _row_from(blur, guard, samples, half), tails, heads, gram))
    return _Sights(first, last, tuple(pieces))


def _digits_from(blur: Blur, samples: int, begin: float) -> Waveform:
    """Return all 30 digits in a window of the line; they begin `begin` modules after it does."""
    return FLAT_DIGITS @ sight(blur, DIGIT_MODULES, samples, -begin)


def _row_from(blur: Blur, row: Waveform, samples: int, begin: float) -> Waveform:
    return row @ sight(blur, row.size, samples, -begin)


def _costs(dark: Waveform, sights: _Sights, scale: float) -> DigitCosts:
    """Return the squared errors of all digits, times `scale`."""
    first = np.square(dark[: sights.first.shape[1]] - sights.first).sum(1)
    last = np.square(dark[-sights.last.shape[1] :] - sights.last).sum(1)
    pairs = np.empty((sum(len(which) for which, *_ in sights.pieces), 30, 30), dtype=np.float32)
    for which, cut, guard, tails, heads, gram in sights.pieces:
        seen = dark[cut] - guard
        before, after = seen @ tails.T, seen @ heads.T
        energy = np.square(seen).sum(1)
        pairs[which] = energy[:, None, None] - 2 * before[:, :, None] - 2 * after[:, None, :] + gram
    return DigitCosts(first * scale, pairs * scale, last * scale)


# ── from a placement to a view, and from a word to a better one ──────────────────────────────────────────────────


def _first_view(line: Waveform, placement: Placement) -> tuple[View, float]:
    """Return the view of a placement, with the blur under which some digits, valid or not, fit best, and that cost."""
    layout = placement.layout
    degree = min(4, placement.modules.size - 3)
    columns = Polynomial.fit(placement.modules, placement.columns, degree)(_places(layout))
    levelled = level(_at(line, columns), 21 * SAMPLES)
    trials = []
    for blur in BLURS:
        sharpness = contrast(blur)
        dark = (0.5 + sharpness * levelled).astype(np.float32)
        cost = cheapest(layout, _costs(dark, _sights(layout, blur), 1 / np.square(sharpness) / dark.size))
        trials.append((View(line, layout, columns, blur, dark, max(cost * sharpness**2, _NOISE_FLOOR)), cost))
    return min(trials, key=lambda trial: trial[1])


class _Levels(NamedTuple):
    """A word's waveform fitted to what was seen."""

    blur: Blur
    dark: Waveform
    variance: float
    levels: tuple[float, float]
    fit: float
    model: Waveform
    """Brightness of every sample as the word explains it."""


_LEAST_STEP = 1.0
"""Grey levels from dark to light that a line is taken to have at least."""
_LEVEL_TERMS = 3
"""Brightness and contrast vary along the symbol as parabolas do."""


@lru_cache(maxsize=16)
def _smooth(samples: int, terms: int) -> Waveform:
    """Return Chebyshev polynomials over the symbol: samples x terms."""
    return chebyshev.chebvander(np.linspace(-1, 1, samples), terms - 1).astype(np.float32)


def _levelled(seen: Waveform, row: Waveform, blurs: Sequence[Blur]) -> _Levels:
    """Return the blur and the levels with which a row of modules explains what was seen best."""
    waves = np.stack([row @ sight(blur, row.size, seen.size, -_QUIET) for blur in blurs])
    smooth = _smooth(seen.size, _LEVEL_TERMS)
    terms = np.concatenate([np.broadcast_to(smooth, (len(waves), *smooth.shape)), smooth * waves[:, :, None]], axis=2)
    gram = terms.transpose(0, 2, 1) @ terms
    parts = np.linalg.solve(gram, terms.transpose(0, 2, 1) @ seen[:, None])[:, :, 0]
    models = (terms @ parts[:, :, None])[:, :, 0]
    errors = np.square(models - seen).mean(1)
    best = int(errors.argmin())
    light, step = smooth @ parts[best, :_LEVEL_TERMS], smooth @ parts[best, _LEVEL_TERMS:]
    typical = max(float(np.sqrt(np.mean(np.square(step)))), _LEAST_STEP)
    dark = (seen - light) / np.minimum(step, -0.3 * typical)
    variance = max(float(errors[best]) / typical**2, _NOISE_FLOOR)
    fit = math.sqrt(max(0.0, 1 - float(errors[best]) / max(_unlevelled(seen, smooth), 1e-6)))
    levels = (float(light.mean()), float((light + step).mean()))
    return _Levels(blurs[best], dark.astype(np.float32), variance, levels, fit, models[best])


def _unlevelled(seen: Waveform, smooth: Waveform) -> float:
    """Return the variance that levels alone, without any code, leave unexplained."""
    level_only = smooth @ np.linalg.solve(smooth.T @ smooth, smooth.T @ seen)
    return float(np.square(seen - level_only).mean())


_SHIFT_TERMS = 6
_STIFFNESS = np.diag([1e-6, 1e-6, 0.02, 0.05, 0.1, 0.2])
"""How unlikely bends of each order are, against the evidence of the whole line."""


def _shift(line: Waveform, columns: NDArray[np.float64], levels: _Levels) -> NDArray[np.float64]:
    """Return by how many columns to move each sample, smoothly, so that the line comes closer to the model."""
    slope = _at(line, columns + 0.5) - _at(line, columns - 0.5)
    error = levels.model - _at(line, columns)
    smooth = _smooth(columns.size, _SHIFT_TERMS)
    pull = smooth * slope[:, None]
    moves = np.linalg.solve(pull.T @ pull + _STIFFNESS * float(np.square(slope).sum() + 1e-6), pull.T @ error)
    limit = 0.4 * abs(float(columns[-1] - columns[0])) / columns.size * SAMPLES
    return np.clip(smooth @ moves, -limit, limit)
