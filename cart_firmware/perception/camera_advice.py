"""What to change about a camera, in plain words with numbers, judged from what it showed.

The limits are those that barcode readers have been measured to have (docs/HARDWARE.md, "Camera, distance, light").
"""

import math
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum

import msgspec
import numpy as np

from cart_firmware.perception.picture_quality import BURNT, Corners, Luma, Quality, quality, stripes
from cart_firmware.perception.reading import Reading

_MODULE_MM = 0.33
"""X-dimension of EAN/UPC at its nominal size (GS1 General Specifications, 5.2.6.1)."""
_FEW_PX, _GOOD_PX, _MANY_PX = 1.8, 2.2, 8.0
"""Per module: usable from; good from; more than helps."""
_SOME_BLUR, _MUCH_BLUR = 0.3, 0.45
"""Standard deviation in modules. zxing-cpp reads all at 0.35, one in ten at 0.45; 0.29 is motion by one module."""
_UNSTEADY = 0.5
"""The sharpest tenth of the pictures as a share of their middle: a lens out of focus is so in all of them."""
_SHARP_PX = 0.7
"""A smear below this is the pixels' own: more modules per pixel help, no lens does."""
_DARK, _DIM = 50, 100
"""Grey level of paper. A fifth of full exposure is 50: two codes of three are read, at a tenth one of three."""
_FLAT, _PALE = 0.25, 0.45
"""Contrast between bars and paper as a share of the paper's brightness."""
_SOME_GLARE, _MUCH_GLARE, _ALL = 0.15, 0.35, 0.85
"""Share of a code's places whose paper is at the sensor's end: 0.23 for a reflection whose radius is a fifth of the
code's width (75 % are read), 0.44 for three tenths (55 %)."""
_SOME_NOISE, _MUCH_NOISE = 0.07, 0.1
"""As a share of the contrast: 85 % of codes are read at 10 of 150 grey levels, 40 % at 20."""
_SEEN_WELL, _SEEN_HALF = 0.8, 0.4
"""Share of pictures with a code in them that are read."""
_SLOW = 0.8
_EDGE_PX = 24
"""Bars that come this near to the picture's rim go on beyond it: as far as `stripes` cannot look."""
_VERY_DARK = 40
_BLINDING = 0.01
"""Share of a picture: a reflection that hides a whole code is that large."""


class Grade(StrEnum):
    GOOD = "good"
    WEAK = "could be better"
    BAD = "bad"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was judged: how it is, and where it is not good, what to do."""

    topic: str
    grade: Grade
    said: str


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a camera beside its pictures."""

    frames_per_second: float
    exposure_us: int = 0
    """0 where the camera chooses."""
    view_deg: float = 66.0
    """Horizontal angle of what the picture shows; only for distances in centimetres. Camera Module 3: 66."""
    unmet: tuple[str, ...] = ()


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to say of one picture."""

    width: int
    bright: float
    """Grey level that all but a hundredth of the picture stays below."""
    blinding: float = 0.0
    """Share of the picture at the sensor's end."""
    text: str = ""
    """What was read; empty where nothing was."""
    corners: tuple[tuple[float, float], ...] = ()
    """Of the largest code that was read, or else of what looks like one; empty where nothing does."""
    quality: Quality | None = None
    cut: bool = False
    """The bars go on beyond the picture's rim."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured, as medians over the pictures with a code, and what to make of it."""

    passed: bool
    frames: int
    in_view: int
    read: int
    frames_per_second: float
    findings: tuple[Finding, ...]
    texts: tuple[str, ...] = ()
    module_px: float | None = None
    blur_modules: float | None = None
    along_modules: float | None = None
    black: float | None = None
    white: float | None = None
    noise: float | None = None
    burnt: float | None = None


def look(luma: Luma, readings: Sequence[Reading]) -> Look:
    """Return what there is to say of a picture and of what a reader found in it. Some 10 ms where it found nothing."""
    height, width = luma.shape
    sample = luma[::4, ::4]
    bright, blinding = float(np.percentile(sample, 99)), float(np.mean(sample >= BURNT))
    if readings:
        largest = max(readings, key=lambda each: _size(each.corners))
        judged = quality(luma, largest.corners, largest.symbology, largest.payload)
        text = largest.payload.decode("ascii", errors="replace")
        return Look(
            width=width, bright=bright, blinding=blinding, text=text, corners=tuple(largest.corners), quality=judged
        )
    if (corners := stripes(luma)) is None:
        return Look(width=width, bright=bright, blinding=blinding)
    return Look(
        width=width,
        bright=bright,
        blinding=blinding,
        corners=tuple(corners),
        quality=quality(luma, corners, "", b""),
        cut=any(not (_EDGE_PX < x < width - _EDGE_PX and _EDGE_PX < y < height - _EDGE_PX) for x, y in corners),
    )


def judge(looks: Sequence[Look], seconds: float, setting: Setting) -> Verdict:
    """Return what the pictures of some seconds say of a camera. Passed is what nothing bad was found about."""
    seen = [each for each in looks if each.quality is not None]
    read = [each for each in looks if each.text]
    rate = (len(looks) - 1) / seconds if len(looks) > 1 and seconds > 0 else 0.0
    medians = _Medians(seen or read, looks, setting)
    findings = tuple(_findings(medians, len(read), rate))
    return Verdict(
        passed=bool(looks) and not any(each.grade is Grade.BAD for each in findings),
        frames=len(looks),
        in_view=len(seen),
        read=len(read),
        frames_per_second=round(rate, 1),
        findings=findings,
        texts=tuple(sorted({each.text for each in read})),
        **medians.figures(),
    )


class _Medians:
    """The middle of what was measured over the pictures in which there was something like a code."""

    def __init__(self, seen: Sequence[Look], looks: Sequence[Look], setting: Setting) -> None:
        self.seen, self.looks, self.setting = seen, looks, setting
        self.width = looks[-1].width if looks else 0
        self.blinding = _middle([each.blinding for each in looks]) or 0.0
        self.bright = _middle([each.bright for each in looks]) or 0.0
        self.cut = sum(each.cut for each in seen)
        found = [each.quality for each in seen if each.quality is not None]
        self.module_px = _middle([each.module_px for each in found])
        self.blur_px = _middle([each.blur_px for each in found]) or 0.0
        self.sharpest_px = float(np.percentile([each.blur_px for each in found], 10)) if found else 0.0
        self.along_px = _middle([each.along_px for each in found])
        self.black = _middle([each.black for each in found]) or 0.0
        self.white = _middle([each.white for each in found]) or 0.0
        self.noise = _middle([each.noise for each in found]) or 0.0
        self.burnt = _middle([each.burnt for each in found]) or 0.0
        self.contrast = max(1.0, self.white - self.black)

    def figures(self) -> dict[str, float]:
        """Return those of the medians that belong in a verdict."""
        if not self.seen:
            return {}
        measured = {
            "module_px": self.module_px, "blur_modules": self.modules(self.blur_px),
            "along_modules": self.modules(self.along_px), "black": self.black, "white": self.white,
            "noise": self.noise, "burnt": self.burnt,
        }  # fmt: skip
        return {key: round(value, 2) for key, value in measured.items() if value is not None}

    def modules(self, pixels: float | None) -> float | None:
        """Return a length in modules, or None where either is not known."""
        return None if pixels is None or not self.module_px else pixels / self.module_px

    @property
    def distance_cm(self) -> float | None:
        """About how far the code is, if it is of nominal size and the lens sees the angle it is said to."""
        if not self.module_px:
            return None
        focal_px = self.width / 2 / math.tan(math.radians(self.setting.view_deg) / 2)
        return focal_px * _MODULE_MM / self.module_px / 10


# ── findings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _findings(found: _Medians, read: int, rate: float) -> Iterator[Finding]:
    """Yield what was found, what matters most first."""
    if not found.seen:
        yield _nothing_seen(found)
    else:
        reading = _reading(found, read)
        yield reading
        # Whatever is read nevertheless leaves little room for worse, and is no reason to refuse a camera.
        yield from (_at_least_weak(each) if reading.grade is Grade.GOOD else each for each in _causes(found, read))
    yield from _pace(found, rate)
    yield from (Finding("settings", Grade.WEAK, each) for each in found.setting.unmet)


def _causes(found: _Medians, read: int) -> Iterator[Finding]:
    light = _light(found)
    yield light
    if read or light.grade is not Grade.BAD:
        # In bad light what was not read is not measured well either.
        for judged in _JUDGES:
            yield from judged(found)


def _at_least_weak(finding: Finding) -> Finding:
    return msgspec.structs.replace(finding, grade=Grade.WEAK) if finding.grade is Grade.BAD else finding


def _nothing_seen(found: _Medians) -> Finding:
    if found.bright < _VERY_DARK:
        return Finding(
            "light", Grade.BAD,
            f"the picture is dark: its brightest parts are at {found.bright:.0f} of 255, 150 and more are wanted; is "
            "the lens covered, is the LED lit? Otherwise raise exposure_us or gain",
        )  # fmt: skip
    if found.blinding > _BLINDING:
        return Finding(
            "light", Grade.BAD,
            f"no code to be seen, and {found.blinding:.0%} of the picture is blinding white: over-exposed, or a lamp "
            "is mirrored in the pack. Lower exposure_us or gain; move the lamp to the side or put paper before it",
        )  # fmt: skip
    return Finding(
        "code", Grade.BAD,
        f"no code in any of {len(found.looks)} pictures; hold a pack with an EAN code flat and still before the "
        "camera, 10 to 20 cm away",
    )  # fmt: skip


def _reading(found: _Medians, read: int) -> Finding:
    share = read / len(found.seen)
    grade = Grade.GOOD if share >= _SEEN_WELL else Grade.WEAK if share >= _SEEN_HALF else Grade.BAD
    said = f"{read} of {len(found.seen)} pictures with a code in them were read ({share:.0%})"
    return Finding("reading", grade, said if grade is Grade.GOOD else f"{said}; {_SEEN_WELL:.0%} are wanted, see below")


def _distance(found: _Medians) -> Iterator[Finding]:
    if 2 * found.cut > len(found.seen):
        yield Finding(
            "distance", Grade.BAD,
            "the code reaches out of the picture; go farther away, or hold it to the middle, so that all its bars and "
            "a margin show",
        )  # fmt: skip
    elif (pixels := found.module_px) is None:
        return
    elif pixels < _GOOD_PX:
        grade, word = (Grade.BAD, "too far") if pixels < _FEW_PX else (Grade.WEAK, "somewhat far")
        yield Finding(
            "distance", grade,
            f"{pixels:.1f} px per module, {_GOOD_PX:g} are wanted and {_FEW_PX:g} needed: {word}. "
            f"{_nearer(found, pixels / _GOOD_PX)}, or take a larger picture (width = {_wider(found, pixels)})",
        )  # fmt: skip
    elif pixels > _MANY_PX:
        yield Finding(
            "distance", Grade.WEAK,
            f"{pixels:.1f} px per module, {_GOOD_PX:g} are enough: too near. A small turn takes the code out of the "
            f"picture; go to {pixels / (2 * _GOOD_PX):.1f} times the distance",
        )  # fmt: skip
    else:
        yield Finding("distance", Grade.GOOD, f"{pixels:.1f} px per module")


def _nearer(found: _Medians, share: float) -> str:
    there = f"Come to {share:.0%} of the distance"
    away = found.distance_cm
    return there if away is None else f"{there} (about {away * (1 - share):.0f} cm nearer, from about {away:.0f} cm)"


def _wider(found: _Medians, pixels: float) -> int:
    return 64 * math.ceil(found.width * _GOOD_PX / pixels / 64)


def _smear(found: _Medians) -> Iterator[Finding]:
    if not found.module_px:
        return
    modules = found.blur_px / found.module_px
    if modules <= _SOME_BLUR or found.blur_px < _SHARP_PX:
        yield Finding("sharpness", Grade.GOOD, f"edges are smeared over {modules:.2f} modules")
        return
    grade = Grade.BAD if modules > _MUCH_BLUR else Grade.WEAK
    said = f"edges are smeared over {modules:.2f} modules, {_SOME_BLUR:g} is good and more than {_MUCH_BLUR:g} is lost"
    yield Finding("sharpness", grade, f"{said}: {_cause(found, modules)}")


def _cause(found: _Medians, modules: float) -> str:
    if found.sharpest_px < _UNSTEADY * found.blur_px:
        sharpest = found.modules(found.sharpest_px) or 0.0
        return f"it moves, since some pictures are sharp ({sharpest:.2f}). {_shorter(found, modules)}"
    along, along_modules = found.along_px, found.modules(found.along_px)
    if along is None or along_modules is None:
        return f"out of focus, or moved while exposed. {_focus(found)}; {_shorter(found, modules)}"
    # Variances add: what is missing along the bars, three quarters here, is what motion across them put there.
    if along < found.blur_px / 2:
        return f"it moves, since edges along the bars are sharp ({along_modules:.2f}). {_shorter(found, modules)}"
    return f"out of focus, since it is so along the bars too ({along_modules:.2f}). {_focus(found)}"


def _focus(found: _Medians) -> str:
    away = found.distance_cm
    near = f" (about {away:.0f} cm is focus = {100 / away:.1f})" if away else ""
    return f"Set focus to 1 divided by the distance in metres{near}, or turn the lens of a camera without a motor"


def _shorter(found: _Medians, modules: float) -> str:
    exposure_us = found.setting.exposure_us
    if not exposure_us:
        return "Set exposure_us = 660 or less and give more light"
    return f"Expose for {exposure_us * _SOME_BLUR / modules:.0f} us instead of {exposure_us}, and give more light"


def _light(found: _Medians) -> Finding:
    white, contrast = found.white, found.contrast / max(1.0, found.white)
    if found.burnt >= _ALL:
        return Finding(
            "light", Grade.WEAK,
            f"paper is at the sensor's end in {found.burnt:.0%} of the code: over-exposed. Lower exposure_us, which "
            "also freezes motion, or gain",
        )  # fmt: skip
    if found.burnt >= _SOME_GLARE:
        return Finding(
            "light", Grade.BAD if found.burnt >= _MUCH_GLARE else Grade.WEAK,
            f"{found.burnt:.0%} of the code is blinding white and the rest is not: a lamp is mirrored in it. Move the "
            "lamp to the side, put paper before it, or tilt the camera",
        )  # fmt: skip
    if white < _DIM:
        more = 160 / max(1.0, white)
        return Finding(
            "light", Grade.BAD if white < _DARK else Grade.WEAK,
            f"paper is at {white:.0f} of 255, {_DIM} and more are wanted: too dark. Give {more:.1f} times the light "
            "(LED), or raise gain; a longer exposure smears what moves",
        )  # fmt: skip
    if contrast < _PALE:
        return Finding(
            "light", Grade.BAD if contrast < _FLAT else Grade.WEAK,
            f"bars are at {found.black:.0f} and paper at {white:.0f}: {contrast:.0%} contrast, {_PALE:.0%} and more "
            "are wanted. Wipe the lens, keep lamps out of its sight, and try another pack, whose print may be pale",
        )  # fmt: skip
    return Finding("light", Grade.GOOD, f"bars are at {found.black:.0f} and paper at {white:.0f} of 255")


def _grain(found: _Medians) -> Iterator[Finding]:
    share = found.noise / found.contrast
    said = f"noise is {found.noise:.0f} grey levels, {share:.0%} of the contrast"
    if share <= _SOME_NOISE:
        yield Finding("noise", Grade.GOOD, said)
        return
    yield Finding(
        "noise", Grade.BAD if share > _MUCH_NOISE else Grade.WEAK,
        f"{said}; {_SOME_NOISE:.0%} is good. Give more light and lower gain",
    )  # fmt: skip


def _pace(found: _Medians, rate: float) -> Iterator[Finding]:
    asked = found.setting.frames_per_second
    if not rate:
        return
    if rate >= _SLOW * asked:
        yield Finding("pace", Grade.GOOD, f"{rate:.1f} pictures a second are read through")
    else:
        yield Finding(
            "pace", Grade.WEAK,
            f"{rate:.1f} pictures a second are read through of the {asked:g} asked. Look at less (region), take "
            "smaller pictures, or ask for fewer",
        )  # fmt: skip


_JUDGES: tuple[Callable[[_Medians], Iterator[Finding]], ...] = (_distance, _smear, _grain)


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _size(corners: Corners) -> float:
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners
    return abs((x2 - x0) * (y3 - y1) - (x3 - x1) * (y2 - y0)) / 2
