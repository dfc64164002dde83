"""The cart's rule of acceptance on photographs, in a shop that sells all their codes and 20,000 others.

Half of the others are neighbours of the true codes, since a shop sells whole families of products; the rest come from
makers of their own, in runs as well. A cart sees a pack for several frames: three are made of one photograph, the
second and third moved by part of a pixel and with fresh noise. That is less than a hand does to a pack, and so a hard
trial of a rule that counts on repetition: what is misread once tends to be misread again.
"""

from collections.abc import Callable, Iterable

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.core.acceptance import Evidence
from cart_firmware.perception.evidence import with_evidence
from cart_firmware.perception.look import Look
from cart_firmware.perception.reading import Reading
from cart_protocol.gs1.check_digit import check_digit
from cart_protocol.gs1.gtin import expand_upc_e
from measure.photographs import RETAIL, Code, Photograph

OTHERS = 20_000
SEED = 4
_FRAMES = 3
_FRAME_US = 50_000
_NOISE = 2.5
_NEIGHBOURHOOD = 500
"""Item numbers up or down from a true one."""
_MAKERS = 250
_SHARES = {"EAN13": 0.45, "UPCA": 0.4, "EAN8": 0.075, "UPCE": 0.075}


class Verdict(msgspec.Struct, frozen=True):
    """What the cart would have charged for."""

    at_once: frozenset[Code]
    """At the first frame."""
    codes: frozenset[Code]
    """At any of the frames."""


def catalogue(photographs: Iterable[Photograph], seed: int = SEED) -> frozenset[Code]:
    """Return all codes of the photographs, and the others, all valid."""
    true = {_charged(code) for one in photographs for code in one.expected | one.present}
    gtins = sorted(text for kind, text in true if kind == "gtin")
    dice = np.random.default_rng(seed)
    others = set[Code]()
    for _ in range(OTHERS // 2 if gtins else 0):
        body = int(str(dice.choice(gtins))[:-1]) + int(dice.integers(-_NEIGHBOURHOOD, _NEIGHBOURHOOD + 1))
        others |= {_gtin(f"{max(body, 1):013d}")} - true
    makers = [
        (kind, int(dice.integers(10**6, 10**7)))
        for kind in dice.choice(list(_SHARES), _MAKERS, p=list(_SHARES.values()))
    ]
    while len(others) < OTHERS:
        kind, maker = makers[dice.integers(_MAKERS)]
        others |= {_numbered(str(kind), maker, int(dice.integers(2 * _NEIGHBOURHOOD)))} - true
    return frozenset(true | others)


def judge(
    luma: NDArray[np.uint8],
    read: Callable[[NDArray[np.uint8]], Iterable[Reading]],
    code_of: Callable[[Reading], Code],
    sold: frozenset[Code],
    dice: np.random.Generator,
) -> Verdict:
    """Return what the rule makes of a photograph, looked at for three frames."""
    evidence, taken, at_once = Evidence(), set[Code](), frozenset[Code]()
    for number in range(_FRAMES):
        frame = _again(luma, dice) if number else luma
        look = Look(frame)
        readings = [with_evidence(look, reading) for reading in read(frame)]
        likelihoods = {(one.symbology, one.payload): one.likelihood for one in readings if one.likelihood is not None}
        symbols = {(one.symbology, one.payload): _charged(code_of(one)) for one in readings}
        evidence.saw(number * _FRAME_US, symbols, likelihoods)
        taken |= {code for symbol, code in symbols.items() if code in sold and evidence.accepts(symbol, known=True)}
        if number == 0:
            at_once = frozenset(taken)
    return Verdict(at_once, frozenset(taken))


def _charged(code: Code) -> Code:
    """Of an element string, the catalogue has only the GTIN."""
    kind, text = code
    return ("gtin", text[2:16]) if kind == "ai" and text.startswith("01") and len(text) >= 16 else code


def charged(codes: Iterable[Code]) -> frozenset[Code]:
    """Return codes as the catalogue has them."""
    return frozenset(map(_charged, codes))


def accepted(verdict: Verdict, photograph: Photograph) -> bool:
    return bool(verdict.codes & charged(photograph.expected))


def accepted_at_once(verdict: Verdict, photograph: Photograph) -> bool:
    return bool(verdict.at_once & charged(photograph.expected))


def accepted_false(verdict: Verdict, photograph: Photograph) -> list[Code]:
    """Return the wrong products that would have been charged."""
    there = charged(photograph.expected | photograph.present)
    return sorted(code for code in verdict.codes if code[0] in RETAIL and code not in there)


def _again(luma: NDArray[np.uint8], dice: np.random.Generator) -> NDArray[np.uint8]:
    """The same picture a moment later."""
    across, down = dice.uniform(-0.5, 0.5, 2)
    shift = np.array([[1, 0, across], [0, 1, down]], np.float32)
    moved = cv2.warpAffine(luma, shift, luma.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.clip(moved + dice.normal(0, _NOISE, luma.shape), 0, 255).round().astype(np.uint8)


def _gtin(body: str) -> Code:
    return ("gtin", (body + check_digit(body)).zfill(14))


def _numbered(kind: str, maker: int, item: int) -> Code:
    if kind == "EAN13":
        return _gtin(f"{400 + maker % 100}{maker % 10_000:04d}{item:05d}")
    if kind == "UPCA":
        return _gtin(f"0{maker % 10**6:06d}{item:05d}".zfill(12))
    if kind == "EAN8":
        return _gtin(f"4{maker % 1_000:03d}{item % 1_000:03d}")
    expanded = expand_upc_e(f"0{maker % 1_000:03d}{item % 1_000:03d}0")
    return _gtin(expanded[:-1])
