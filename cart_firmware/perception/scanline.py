"""Reads EAN and UPC from pictures too blurred for decoders that look for edges.

A decoder that looks for edges needs them apart; this one compares the picture with what the camera would have seen of
every valid code, and takes the likeliest:

1. `profile`: the strip's rows become one line of brightness, bars made upright.
2. `alignment.placements`: where guards and digits may lie, for every layout and direction.
3. `View.costs`: how well each pair of neighbouring digits explains its piece of the line, under a given blur.
4. `trellis.best_word`: the valid word (parity, check digit) that explains the whole line best, and the runner-up.
5. `View.refitted`: levels, blur and place are fitted again to that word; then 3 and 4 again.

An estimate is given only where the runner-up is much worse and the code explains nearly all of the line. Strips of
several frames become one line too, if they fit on each other (`fused`).
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, product
from typing import NamedTuple

import cv2
import msgspec
import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from cart_firmware.perception.alignment import Placement, level, placements
from cart_firmware.perception.blur import FLAT_DIGITS, SAMPLES, Blur, Waveform, contrast, sight, smooth_terms
from cart_firmware.perception.ean_model import DIGIT_MODULES, LAYOUTS, Layout, Symbology
from cart_firmware.perception.trellis import DigitCosts, Word, allowed, best_word, cheapest

BLURS = tuple(Blur(sigma, 0.25) for sigma in (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.1)) + tuple(
    Blur(0.3, length) for length in (1.5, 2.0, 2.5, 3.0)
)
"""Focus from sharp to hopeless, then motion; a box of 0.25 modules is the camera's own pixel."""
_FIRST_BLURS = (BLURS[1], BLURS[2], BLURS[3], BLURS[4], BLURS[6], BLURS[8])
"""Tried before any digit is known."""
LEAST_RATIO = {"EAN13": 11.0, "EAN8": 12.0, "UPCE": 12.0}
"""Log-likelihood by which the best word must beat the second best, in nats. On 1,068 photographs, wrong words that pass
all other gates reach 4.0, on degraded copies of them 10.4; a code with its end under a finger has 15.7. Short symbols
are found more easily in what is none: 10.5 once in 4,272 random lines and other linear codes."""
LEAST_FIT = 0.92
"""Correlation of the line with the word's waveform, levels apart. Right words reach 0.92 to 0.99."""
MOST_FLAW = 0.3
"""What the digit that is explained worst may leave unexplained. Of right words 95 in 100 have at most 0.26; the median
of wrong ones that beat their runner-up by 5 nats is 0.5: a wrong digit shows where it stands."""
MOST_DARK_BESIDE = {"EAN13": 0.6, "EAN8": 0.4, "UPCE": 0.4}
"""Share of dark in the quiet zones; a short symbol found within a long one has 0.5."""
MOST_SPREAD = {"EAN13": 1.2, "EAN8": 0.85, "UPCE": 0.85}
"""Blur (modules) beyond which no answer is given: stripes of any origin then look like some short symbol."""
SPAN = (0.48, 0.8)
"""Width of the symbol as a share of the strip's."""
_QUIET = 1
"""Modules of quiet zone on either side that must be light; more may be dirty."""
_NOISE_FLOOR = 4e-4
"""Variance (contrast of sharp modules = 1) of the errors that even a perfect picture is charged with."""
_ROUNDS = 3
_PROMISING = 0.8
"""Correlation after the first fit under which nothing comes of it: answers had 0.83 or more, most lines that gave none
had less."""
_PROMISING_BESIDE = 0.7
"""Dark beside the symbol after the first fit, likewise: answers had up to 0.43."""
_SEEDS = 8
_PURSUED = 3
"""Placements that a word is fitted to, of those whose digits explain the line best."""
_HOPELESS = 0.33
"""What the likeliest digits, valid or not, may leave unexplained of a levelled line for it to be pursued. Of 207 lines
that gave an answer the worst had 0.30; of 1,107 that gave none two thirds have more."""


class Estimate(msgspec.Struct, frozen=True):
    """The likeliest code of a strip."""

    digits: str
    """13 digits for EAN-13, UPC-A ('0' before) and UPC-E (expanded); 8 for EAN-8."""
    symbology: Symbology
    """What was printed."""
    ratio: float
    """Log-likelihood ratio against the second best valid code, in nats."""
    fit: float
    """Correlation of the line with the code's waveform, 0 to 1."""
    blur: float
    """Spread (standard deviation) of the blur in modules."""
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
    flaw: float = 1.0
    """What the digit that is explained worst leaves unexplained, as a share of the symbol's own variance."""

    def costs(self) -> DigitCosts:
        """Return half the squared errors of all digits, in units of the variance: negative log-likelihoods."""
        scale = np.array([0.5 / SAMPLES / self.variance], dtype=np.float32)
        costs = _costs(self.dark[None], _sights(self.layout, (self.blur,)), scale)
        pairs = tuple(_tempered(pair[0]) for pair in costs.pairs)
        return DigitCosts(_tempered(costs.first[0]), pairs, _tempered(costs.last[0]))

    def refitted(self, word: Word) -> "View":
        """Return the view with place, blur and levels fitted to a word."""
        row = self.layout.row(word.family, word.digits)
        before = _levelled(_at(self.line, self.columns), row, (self.blur,))
        columns = self.columns + _shift(self.line, self.columns, before)
        after = _levelled(_at(self.line, columns), row, BLURS)
        return View(
            self.line, self.layout, columns, after.blur, after.dark, after.variance, after.levels, after.fit, after.flaw
        )


class Reading(msgspec.Struct, frozen=True):
    """A word and the view that it was fitted to."""

    view: View
    word: Word

    @property
    def quiet(self) -> float:
        """Return how dark the line is beside the symbol, 0 to 1: the darker side."""
        return _beside(self.view)

    @property
    def ratio(self) -> float:
        """Return the log-likelihood ratio against the second best word."""
        return self.word.runner_up - self.word.cost

    def sure(self) -> bool:
        """Return whether the code may be told to anybody."""
        name = self.view.layout.name
        return (
            self.ratio >= LEAST_RATIO[name]
            and self.view.fit >= LEAST_FIT
            and self.view.flaw <= MOST_FLAW
            and self.quiet <= MOST_DARK_BESIDE[name]
            and self.view.blur.spread <= MOST_SPREAD[name]
        )

    def estimate(self) -> Estimate:
        """Return it as others see it."""
        view = self.view
        ends = np.interp((0.0, view.layout.modules), _places(view.layout), view.columns)
        return Estimate(
            digits=view.layout.gtin(self.word.family, self.word.digits),
            symbology=view.layout.symbology(self.word.family),
            ratio=self.ratio,
            fit=view.fit,
            blur=view.blur.spread,
            module_px=abs(float(ends[1] - ends[0])) / view.layout.modules,
            columns=(float(ends[0]), float(ends[1])),
        )


def decode(strips: Sequence[NDArray[np.uint8]]) -> Estimate | None:
    """Return the EAN or UPC that rectified strips show, or None where that is not sure.

    A strip is a picture (rows x columns, uint8) with its bars upright, 2-6 columns per module, that holds the whole
    symbol, either way up, over `SPAN` of its width. Strips after the first count as far as they show the same code.
    """
    sure = (reading.estimate() for reading in read(fused([profile(strip) for strip in strips])) if reading.sure())
    return next(sure, None)


def prepare() -> None:
    """Make the tables of all blurs and layouts, which `decode` would make when it first needs each."""
    for layout, blur in product(LAYOUTS, BLURS):
        _sights(layout, (blur,))
        _whole((blur,), layout.modules, _places(layout).size)


def read(line: Waveform) -> Iterator[Reading]:
    """Yield what a line says for each likely placement, sure or not, the likeliest placements first."""
    least, most = (share * line.size for share in SPAN)
    views = [_first_view(line, placement) for placement in placements(line, least, most, _SEEDS)]
    for cost, view in sorted(views, key=lambda seed: seed[0])[:_PURSUED]:
        if cost <= _HOPELESS:
            yield _settle(view)


def _settle(view: View) -> Reading:
    """Return the word that the view shows, after fitting the view to it for as long as that is promising."""
    word = best_word(view.layout, view.costs())
    for _ in range(_ROUNDS):
        view = view.refitted(word)
        if view.fit < _PROMISING or _beside(view) > _PROMISING_BESIDE:
            break
        before, word = word, best_word(view.layout, view.costs())
        if word.digits == before.digits and word.family == before.family:
            break
    return Reading(view, word)


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


@lru_cache(maxsize=8)
def _leanings(columns: int) -> NDArray[np.intp]:
    """Return where, in a strip of bands laid end to end, the columns lie that stand above each other: for each lean."""
    reach = max(2, columns // 40)
    lean = np.rint(np.arange(-reach, reach + 1)[:, None] * np.linspace(-0.5, 0.5, _BANDS)).astype(np.intp)
    places = np.clip(np.arange(columns) + lean[:, :, None], 0, columns - 1)
    return np.asarray(places + columns * np.arange(_BANDS)[:, None])


def profile(strip: NDArray[np.uint8]) -> Waveform:
    """Return the mean brightness along the bars, after the shear that keeps most contrast."""
    rows, columns = strip.shape
    bands = cv2.resize(strip.astype(np.float32), (columns, min(_BANDS, rows)), interpolation=cv2.INTER_AREA)
    if len(bands) < _BANDS:
        return np.asarray(bands.mean(0), dtype=np.float32)
    lines = bands.take(_leanings(columns)).mean(1)
    best = int(np.square(np.diff(lines, axis=1)).sum(1).argmax())
    return np.asarray(lines[best], dtype=np.float32)


_SCALES = np.arange(0.94, 1.0601, 0.005)
"""Sizes of one strip in another; a locator's ends differ by some modules from frame to frame."""
_CORE = 0.7
"""Share of a line, its middle, that is looked for in another."""
_SAME = 0.6
"""Correlation from which two lines show the same code. Different codes reach 0.5."""


def fused(lines: Sequence[Waveform]) -> Waveform:
    """Return the mean of the first line and of what others, shifted, scaled and turned, show of the same code."""
    first = lines[0]
    total, weight = first.copy(), np.ones(first.size, np.float32)
    for other in lines[1:]:
        columns = _registered(first, other)
        if columns is not None:
            seen, columns = _laid_on(first, other, columns)
            inside = (columns >= 0) & (columns <= other.size)
            total[inside] += seen[inside]
            weight[inside] += 1
    return total / weight


_LAYING_ROUNDS = 2
_LAYING_TERMS = 4
_MOST_MOVE = 2.0
"""Columns; the search before leaves about one at the ends."""


def _laid_on(first: Waveform, other: Waveform, columns: NDArray[np.float64]) -> tuple[Waveform, NDArray[np.float64]]:
    """Return what `other` shows in the place of each column of `first`, as bright, and where: found within a fraction.

    A quarter of a module between two blurred lines would blur their mean further.
    """
    smooth = smooth_terms(first.size, _LAYING_TERMS)
    seen = _as_bright(first, _at(other, columns))
    for _ in range(_LAYING_ROUNDS):
        pull = smooth * np.gradient(seen)[:, None]
        moves = smooth @ np.linalg.lstsq(pull, first - seen)[0]
        columns = columns + np.clip(moves, -_MOST_MOVE, _MOST_MOVE) * np.gradient(columns)
        seen = _as_bright(first, _at(other, columns))
    return seen, columns


def _as_bright(first: Waveform, seen: Waveform) -> Waveform:
    """Return a line with the brightness and the contrast of another."""
    about = seen - seen.mean()
    gain = float(about @ first) / max(float(about @ about), 1e-6)
    return np.asarray(first.mean() + gain * about, dtype=np.float32)


def _registered(first: Waveform, other: Waveform) -> NDArray[np.float64] | None:
    """Return where each column of `first` lies in `other`, or None where they do not show the same."""
    best, found = _SAME, None
    for scale, turned in product(_SCALES, (False, True)):
        core = int(_CORE * scale * min(first.size, other.size / scale))
        begin = (other.size - core / scale) / 2
        places = begin + (np.arange(core) + 0.5) / scale
        part = _at(other, places[::-1] if turned else places)
        match = cv2.matchTemplate(first[None], part[None], cv2.TM_CCOEFF_NORMED)[0]
        shift = int(match.argmax())
        if match[shift] > best:
            columns = begin + (np.arange(first.size) + 0.5 - shift) / scale
            best, found = float(match[shift]), other.size - columns if turned else columns
    return found


def _at(line: Waveform, columns: NDArray[np.float64]) -> Waveform:
    """Return a line's brightness at places that lie between its columns; column i has its centre at i + 0.5."""
    return np.interp(columns - 0.5, np.arange(line.size), line).astype(np.float32)


# ── from a line to costs of digits ───────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=8)
def _places(layout: Layout) -> NDArray[np.float64]:
    """Return the place of every sample, in modules from the start guard's first bar."""
    return (np.arange((layout.modules + 2 * _QUIET) * SAMPLES) + 0.5) / SAMPLES - _QUIET


class _Pairs(NamedTuple):
    """Neighbouring digits that have the same sets and the same guard, or none, between them."""

    cut: NDArray[np.intp]
    """pairs x samples: the line from each first digit's centre to the second one's."""
    guard: Waveform
    tails: Waveform
    """... x digits x samples: the second half of the first digit."""
    heads: Waveform
    """... x digits x samples: the first half of the second digit."""
    gram: Waveform
    """... x digits x digits: the energy of both together."""


class _Sights(NamedTuple):
    """What half digits look like under some blurs; all waveforms have an axis of blurs first."""

    first: Waveform
    """From the symbol's edge to the first digit's centre, the start guard added."""
    last: Waveform
    pairs: tuple[_Pairs, ...]
    """In the order of the symbol."""


@lru_cache(maxsize=128)
def _sights(layout: Layout, blurs: tuple[Blur, ...]) -> _Sights:
    half, digit = DIGIT_MODULES / 2, DIGIT_MODULES * SAMPLES
    edge = int((layout.start.size + half + _QUIET) * SAMPLES)
    close = int((layout.end.size + half + _QUIET) * SAMPLES)
    sets = [allowed(layout, k) for k in range(layout.digits)]
    first = _digits_from(blurs, edge, edge / SAMPLES - half)[:, sets[0]]
    last = _digits_from(blurs, close, -half)[:, sets[-1]]
    pairs = []
    kinds = [(sets[k], sets[k + 1], k + 1 == layout.left) for k in range(layout.digits - 1)]
    for (mine, its, across), group in groupby(enumerate(kinds), key=lambda pair: pair[1]):
        guard = layout.centre if across else layout.centre[:0]
        samples = digit + guard.size * SAMPLES
        starts = [int((layout.digit_starts[k] + half + _QUIET) * SAMPLES) for k, _ in group]
        tails = _digits_from(blurs, samples, -half)[:, mine]
        heads = _digits_from(blurs, samples, samples / SAMPLES - half)[:, its]
        gram = np.square(tails).sum(2)[:, :, None] + np.square(heads).sum(2)[:, None] + 2 * tails @ heads.mT
        cut = np.array(starts)[:, None] + np.arange(samples)
        pairs.append(_Pairs(cut, _row_from(blurs, guard, samples, half), tails, heads, gram[:, None]))
    return _Sights(
        first + _row_from(blurs, layout.start, edge, _QUIET)[:, None],
        last + _row_from(blurs, layout.end, close, half)[:, None],
        tuple(pairs),
    )


def _digits_from(blurs: Sequence[Blur], samples: int, begin: float) -> Waveform:
    """Return all 30 digits in a window of the line, for each blur; they begin `begin` modules after it does."""
    return np.stack([FLAT_DIGITS @ sight(blur, DIGIT_MODULES, samples, -begin) for blur in blurs])


def _row_from(blurs: Sequence[Blur], row: Waveform, samples: int, begin: float) -> Waveform:
    return np.stack([row @ sight(blur, row.size, samples, -begin) for blur in blurs])


_PATIENCE = 8.0
"""Nats up to which the errors of a piece count nearly in full; a piece that fits costs about 3.5."""


def _tempered(costs: Waveform) -> Waveform:
    """Return the costs of a piece of the line so that one which no digit explains (glare, dirt) says little."""
    return np.asarray(_PATIENCE * np.log1p(costs / _PATIENCE), dtype=np.float32)


def _costs(dark: NDArray[np.floating], sights: _Sights, scale: Waveform) -> DigitCosts:
    """Return the squared errors of all digits, times `scale`; `dark` is blurs x samples, `scale` has one per blur."""
    scale = scale[:, None]
    first = np.square(dark[:, None, : sights.first.shape[2]] - sights.first).sum(2) * scale
    last = np.square(dark[:, None, -sights.last.shape[2] :] - sights.last).sum(2) * scale
    pairs: list[Waveform] = []
    for kind in sights.pairs:
        seen = dark[:, kind.cut] - kind.guard[:, None]
        energy = np.square(seen).sum(2)[:, :, None]
        tails, heads = energy - 2 * seen @ kind.tails.mT, -2 * seen @ kind.heads.mT
        errors = (kind.gram + tails[..., None] + heads[:, :, None]) * scale[..., None, None]
        pairs.extend(errors.swapaxes(0, 1))
    return DigitCosts(first, tuple(pairs), last)


# ── from a placement to a view, and from a word to a better one ──────────────────────────────────────────────────


def _first_view(line: Waveform, placement: Placement) -> tuple[float, View]:
    """Return the view of a placement, with the blur under which some digits, valid or not, fit best, and that cost."""
    layout = placement.layout
    columns = _smoothing(layout, tuple(placement.modules)) @ placement.columns
    levelled = level(_at(line, columns), 21 * SAMPLES)
    sharpness = _contrasts(_FIRST_BLURS)
    dark = 0.5 + sharpness[:, None] * levelled
    scale = np.asarray(1 / np.square(sharpness) / levelled.size, dtype=np.float32)
    costs = cheapest(_costs(dark, _sights(layout, _FIRST_BLURS), scale))
    best = int(costs.argmin())
    variance = max(float(costs[best] * sharpness[best] ** 2), _NOISE_FLOOR)
    return float(costs[best]), View(line, layout, columns, _FIRST_BLURS[best], dark[best], variance)


@lru_cache(maxsize=8)
def _smoothing(layout: Layout, borders: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the matrix that makes places of all samples out of places of the borders, as a polynomial between them."""
    terms = min(4, len(borders) - 3) + 1
    middle = layout.modules / 2
    known = chebyshev.chebvander(np.array(borders) / middle - 1, terms - 1)
    return np.asarray(chebyshev.chebvander(_places(layout) / middle - 1, terms - 1) @ np.linalg.pinv(known))


@lru_cache(maxsize=8)
def _contrasts(blurs: tuple[Blur, ...]) -> Waveform:
    return np.array([contrast(blur) for blur in blurs], dtype=np.float32)


class _Levels(NamedTuple):
    """A word's waveform fitted to what was seen."""

    blur: Blur
    dark: Waveform
    variance: float
    levels: tuple[float, float]
    fit: float
    flaw: float
    model: Waveform
    """Brightness of every sample as the word explains it."""


_LEAST_STEP = 1.0
"""Grey levels from dark to light that a line is taken to have at least."""
_LEVEL_TERMS = 3
"""Brightness and contrast vary along the symbol as parabolas do."""


@lru_cache(maxsize=64)
def _whole(blurs: tuple[Blur, ...], modules: int, samples: int) -> Waveform:
    """Return what the samples of a whole symbol see of its modules, the blurs side by side."""
    return np.concatenate([sight(blur, modules, samples, -_QUIET) for blur in blurs], axis=1)


def _levelled(seen: Waveform, row: Waveform, blurs: tuple[Blur, ...]) -> _Levels:
    """Return the blur and the levels with which a row of modules explains what was seen best."""
    waves = (row @ _whole(blurs, row.size, seen.size)).reshape(len(blurs), seen.size)
    smooth = smooth_terms(seen.size, _LEVEL_TERMS)
    level_terms = np.broadcast_to(smooth, (len(waves), *smooth.shape))
    terms = np.concatenate([level_terms, smooth * waves[..., None], (waves * (1 - waves))[..., None]], axis=2)
    gram = terms.mT @ terms + _RIDGE * seen.size * np.eye(terms.shape[2], dtype=np.float32)
    parts = np.linalg.solve(gram, terms.mT @ seen[:, None])[:, :, 0]
    models = (terms @ parts[:, :, None])[:, :, 0]
    errors = np.square(models - seen).mean(1)
    best = int(errors.argmin())
    light, step = smooth @ parts[best, :_LEVEL_TERMS], smooth @ parts[best, _LEVEL_TERMS:-1]
    typical = max(float(np.sqrt(np.mean(np.square(step)))), _LEAST_STEP)
    bend = float(np.clip(parts[best, -1] / -typical, -_MOST_BEND, _MOST_BEND))
    dark = _straightened((seen - light) / np.minimum(step, -0.3 * typical), bend)
    variance = max(float(errors[best]) / typical**2, _NOISE_FLOOR)
    fit = math.sqrt(max(0.0, 1 - float(errors[best]) / max(_unlevelled(seen, smooth), 1e-6)))
    levels = (float(light.mean()), float((light + step).mean()))
    flaw = _flaw(np.square(seen - models[best])) / typical**2 / contrast(blurs[best]) ** 2
    return _Levels(blurs[best], dark.astype(np.float32), variance, levels, fit, flaw, models[best])


def _flaw(errors: Waveform) -> float:
    """Return the greatest mean of errors over a stretch as long as a digit."""
    sums = np.concatenate([[0.0], np.cumsum(errors)])
    window = DIGIT_MODULES * SAMPLES
    return float((sums[window:] - sums[:-window]).max() / window)


_RIDGE = np.float32(1e-6)
"""Share of the samples' number that keeps the equations solvable where a line is flat."""
_MOST_BEND = 0.7


def _straightened(share: NDArray[np.floating], bend: float) -> Waveform:
    """Return the share of dark w of which the camera's tone curve (or ink that spreads) made w + bend * w * (1 - w)."""
    if abs(bend) < 1e-3:
        return share
    root = np.sqrt(np.maximum((1 + bend) ** 2 - 4 * bend * share, 0.01))
    return np.asarray(((1 + bend) - root) / (2 * bend), dtype=np.float32)


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
    smooth = smooth_terms(columns.size, _SHIFT_TERMS)
    pull = smooth * slope[:, None]
    moves = np.linalg.solve(pull.T @ pull + _STIFFNESS * float(np.square(slope).sum() + 1e-6), pull.T @ error)
    limit = 0.4 * abs(float(columns[-1] - columns[0])) / columns.size * SAMPLES
    return np.clip(smooth @ moves, -limit, limit)
