"""The skin of goods: its colours, what varies over it, and the marks by which people know it.

Everything is painted by place on the unit globe (per pixel, three arrays of height x width; the third coordinate runs
along the stem), so that it turns with the piece. Skins are height x width x 3: blue, green, red, 0 to 1, before light.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from sim.optics.looks import Looks, Mark, MarkKind, colour

Floats = NDArray[np.float32]
Place = tuple[Floats, Floats, Floats]


def skin_of(looks: Looks, place: Place, dice: np.random.Generator) -> Floats:
    """Return the colour of the skin where each place is seen, height x width x 3, 0 to 1, before any light."""
    skin = np.empty((*place[0].shape, 3), np.float32)
    skin[:] = colour(looks.skin)
    streaks = next((mark for mark in looks.marks if mark.kind is MarkKind.STREAKS), None)
    if looks.other and looks.share:
        sunny = mottle(place, dice, 1.6) * 0.55 + _towards(place, dice)
        sharp = 5.0
        if streaks:
            sunny = sunny + streaks.amount * 0.8 * _lengthwise(place, dice)
            sharp = 4.0
        threshold = 1.15 * (1 - 2 * looks.share)
        _mix(skin, looks.other, 1 / (1 + np.exp(-sharp * (sunny - threshold))))
    if streaks:
        lines = np.clip(_lengthwise(place, dice) * 1.5 - 0.2, 0, 1)
        _mix(skin, streaks.colour, lines * streaks.amount * 0.55)
    for mark in looks.marks:
        if mark.kind in _MARKS:
            _MARKS[mark.kind](skin, mark, place, dice)
    skin *= (1 + looks.uneven * mottle(place, dice, 2.5))[..., None]
    return skin


def _mix(skin: Floats, written: str, share: Floats | NDArray[np.floating]) -> None:
    """Bring a colour into the skin, as far as the share says."""
    skin += (np.array(colour(written), np.float32) - skin) * share[..., None].astype(np.float32)


def mottle(place: Place, dice: np.random.Generator, fineness: float, waves: int = 5) -> Floats:
    """Return a smooth irregular pattern about 0, spread about 0.7: waves in all directions through the globe."""
    ways = dice.normal(size=(waves, 3)).astype(np.float32) * fineness
    total = np.zeros_like(place[0])
    for way, phase in zip(ways, dice.uniform(0, math.tau, waves), strict=True):
        total += np.sin(way[0] * place[0] + way[1] * place[1] + way[2] * place[2] + phase)
    return np.asarray(total / waves**0.5, np.float32)


def _towards(place: Place, dice: np.random.Generator) -> Floats:
    """Return how far each place looks to one side, a sunny one: -1 to 1."""
    way = dice.normal(size=3)
    way[2] = abs(way[2]) * 0.4
    way /= np.linalg.norm(way)
    return np.asarray(way[0] * place[0] + way[1] * place[1] + way[2] * place[2], np.float32)


def _lengthwise(place: Place, dice: np.random.Generator) -> Floats:
    """Return irregular lines from pole to pole, -1 to 1."""
    around = np.arctan2(place[1], place[0])
    total = np.zeros_like(around)
    for waves in (5, 9, 14, 21, 31):
        total += np.sin(waves * around + 1.2 * place[2] * dice.normal() + dice.uniform(0, math.tau))
    return np.asarray(total / 2.6 * np.sqrt(np.maximum(0, 1 - place[2] ** 2)), np.float32)


def _speckles(skin: Floats, mark: Mark, place: Place, dice: np.random.Generator) -> None:
    """Dots where a wave in all directions peaks: as many on the near side as there are on the whole skin."""
    side = skin.shape[0]
    dots = np.zeros(skin.shape[:2], np.float32)
    for _ in range(int(30 + 220 * mark.amount)):
        at = (int(dice.integers(side)), int(dice.integers(side)))
        cv2.circle(dots, at, max(0, round(side / 240 * dice.uniform(0.5, 1.6))), float(dice.uniform(0.4, 1)), -1)
    if side > 48:
        dots = np.asarray(cv2.GaussianBlur(dots, (3, 3), 0), np.float32)
    del place
    _mix(skin, mark.colour, np.clip(dots * (0.4 + 0.6 * mark.amount), 0, 1))


def _pores(skin: Floats, mark: Mark, place: Place, dice: np.random.Generator) -> None:
    del place
    side = skin.shape[0]
    grain = dice.normal(size=(side, side)).astype(np.float32)
    soft = cv2.GaussianBlur(grain, (0, 0), max(0.6, side / 150))
    lit = np.asarray(soft - np.roll(soft, (1, 1), (0, 1)), np.float32)
    lit /= lit.std() + 1e-6
    skin *= (1 + 0.05 * mark.amount * lit)[..., None]
    _mix(skin, mark.colour, np.clip(0.25 * mark.amount * (lit > 1.2), 0, 1))


def _net(skin: Floats, mark: Mark, place: Place, dice: np.random.Generator) -> None:
    lines = np.minimum(np.abs(mottle(place, dice, 9.0, 7)), np.abs(mottle(place, dice, 9.0, 7)))
    _mix(skin, mark.colour, np.exp(-((lines / 0.14) ** 2)) * mark.amount)


def _russet(skin: Floats, mark: Mark, place: Place, dice: np.random.Generator) -> None:
    patches = mottle(place, dice, 4.0) + 0.5 * mottle(place, dice, 14.0) - 0.9 * place[2] * mark.amount
    _mix(skin, mark.colour, 0.75 / (1 + np.exp(-4 * (patches - 1.1 + 1.4 * mark.amount))))


def _eyes(skin: Floats, mark: Mark, place: Place, dice: np.random.Generator) -> None:
    for _ in range(round(4 + 14 * mark.amount)):
        centre = dice.normal(size=3)
        centre /= np.linalg.norm(centre)
        near = sum((each - at) ** 2 for each, at in zip(place, centre, strict=True))
        _mix(skin, mark.colour, 0.6 * np.exp(-np.asarray(near) / dice.uniform(0.002, 0.008)))
    _mix(skin, mark.colour, np.clip(0.25 * mark.amount * mottle(place, dice, 22.0), 0, 1))


def _stripes(skin: Floats, mark: Mark, place: Place, dice: np.random.Generator) -> None:
    around = np.arctan2(place[1], place[0])
    count = int(dice.integers(8, 11))
    lines = np.sin(count * around + 0.5 * mottle(place, dice, 5.0)) + 0.5 * mottle(place, dice, 16.0)
    _mix(skin, mark.colour, np.clip(lines - 0.1, 0, 1) * mark.amount)


def _rings(skin: Floats, mark: Mark, place: Place, dice: np.random.Generator) -> None:
    across = np.zeros_like(place[2])
    for _ in range(14):
        at, wide = dice.uniform(-1, 1), dice.uniform(0.006, 0.02)
        partly = np.clip(0.6 + 0.8 * np.sin(np.arctan2(place[1], place[0]) + dice.uniform(0, math.tau)), 0, 1)
        across += np.exp(-(((place[2] - at) / wide) ** 2)) * partly
    _mix(skin, mark.colour, np.clip(across, 0, 1) * mark.amount * 0.6)


def _fuzz(skin: Floats, mark: Mark, place: Place, dice: np.random.Generator) -> None:
    del place
    side = skin.shape[0]
    hair = dice.normal(size=(side, side)).astype(np.float32)
    hair = np.asarray(cv2.GaussianBlur(hair, (0, 0), 0.5, None, max(0.8, side / 110)), np.float32)
    _mix(skin, mark.colour, np.clip(hair / (hair.std() + 1e-6) * 0.35, 0, 1) * mark.amount)


def _veins(skin: Floats, mark: Mark, place: Place, dice: np.random.Generator) -> None:
    lines = np.minimum(np.abs(mottle(place, dice, 3.2, 6)), np.abs(mottle(place, dice, 5.5, 6)))
    _mix(skin, mark.colour, np.exp(-((lines / 0.10) ** 2)) * mark.amount)


_MARKS = {
    MarkKind.SPECKLES: _speckles, MarkKind.PORES: _pores, MarkKind.NET: _net, MarkKind.RUSSET: _russet,
    MarkKind.EYES: _eyes, MarkKind.STRIPES: _stripes, MarkKind.RINGS: _rings, MarkKind.FUZZ: _fuzz,
    MarkKind.VEINS: _veins,
}  # fmt: skip
