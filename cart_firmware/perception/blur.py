"""How a blurred camera sees a row of modules: every sample is a weighted sum of the modules around it.

Blur is a Gaussian (focus, lens, the pixel itself) joined with a box (motion during the exposure), both in modules.
What a sample at x sees of module j is the blur's cumulative function at x - j less that at x - j - 1; so the waveform
of a symbol is its row of modules times a matrix, exactly, with no rendering at a finer scale.
"""

import math
from functools import lru_cache

import msgspec
import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from cart_firmware.perception.ean_model import DIGIT_MODULES, DIGITS, SET_A

SAMPLES = 4
"""Samples per module of every profile that is compared with a waveform."""

Waveform = NDArray[np.float32]


class Blur(msgspec.Struct, frozen=True):
    """Standard deviation of the Gaussian and length of the box, in modules."""

    gaussian: float
    box: float

    @property
    def spread(self) -> float:
        """Standard deviation of both together, in modules."""
        return math.hypot(self.gaussian, self.box / math.sqrt(12))


def _normal_cumulative(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the normal distribution's cumulative function within 1e-7 (Abramowitz and Stegun, 26.2.17)."""
    t = 1 / (1 + 0.2316419 * np.abs(x))
    polynomial = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    upper = _normal_density(x) * polynomial
    return np.where(x > 0, 1 - upper, upper)


def _normal_density(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-np.square(x) / 2) / math.sqrt(2 * math.pi)


def _integral_of_normal(x: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Return the antiderivative of the normal distribution's cumulative function."""
    z = x / sigma
    integral: NDArray[np.float64] = x * _normal_cumulative(z) + sigma * _normal_density(z)
    return integral


def cumulative(x: NDArray[np.float64], blur: Blur) -> NDArray[np.float64]:
    """Return how much of a sharp dark edge at 0 the camera sees from x on, 0 to 1."""
    half = blur.box / 2
    return (_integral_of_normal(x + half, blur.gaussian) - _integral_of_normal(x - half, blur.gaussian)) / blur.box


@lru_cache(maxsize=1024)
def sight(blur: Blur, modules: int, samples: int, begin: float, per_module: int = SAMPLES) -> Waveform:
    """Return the matrix (modules x samples) of what each sample sees of each module; `begin` is the first one's place.

    Sample i lies at (i + 0.5) / per_module + begin, in modules from the row's start. Shared: do not write to it.
    """
    first = per_module * (modules - 1)
    x = (np.arange(-first, samples) + 0.5) / per_module + begin
    of_one = (cumulative(x, blur) - cumulative(x - 1, blur)).astype(np.float32)  # the same for all, moved along
    return np.asarray(of_one[first + np.arange(samples) - per_module * np.arange(modules)[:, None]], np.float32)


@lru_cache(maxsize=32)
def smooth_terms(samples: int, terms: int) -> Waveform:
    """Return Chebyshev polynomials over a row of samples, by which brightness or place may vary: samples x terms."""
    return chebyshev.chebvander(np.linspace(-1, 1, samples), terms - 1).astype(np.float32)


FLAT_DIGITS = DIGITS.reshape(-1, DIGIT_MODULES)
"""The modules of the 30 digits: those of sets A, B, C in turn."""


@lru_cache(maxsize=64)
def contrast(blur: Blur) -> float:
    """Return the standard deviation that this blur leaves of a row of random digits; 0.5 without blur."""
    digits = np.random.default_rng(0).integers(0, 10, 40)  # a fixed sample of digits, not a random result
    row = np.concatenate([DIGITS[SET_A, digit] for digit in digits])
    seen = row @ sight(blur, row.size, row.size * SAMPLES, 0.0)
    return float(np.std(seen[8 * SAMPLES : -8 * SAMPLES]))
