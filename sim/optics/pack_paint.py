"""Packs, painted: boxes, bags, tins, bottles, tubs and slices of the counter, in colours and with words of their own.

Pictures are side x side x 4 (blue, green, red, how far it covers), uint8.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from sim.optics.looks import Looks, Shape, colour

Sprite = NDArray[np.uint8]
Floats = NDArray[np.float32]

_PAPER = "#f4f1ea"
_INK = "#2a2a2a"
_OVER = 2
"""Packs are drawn at twice their size: print of one pixel would break up."""


def pack(looks: Looks, seed: int, side: int, *, posed: bool = False) -> Sprite:
    """Return one pack as large as fits. All packs of a product are alike but for how they lie: the seed turns them."""
    dice = np.random.default_rng([seed, 12])
    picture = PACKS[looks.shape](looks, side * _OVER)
    small = np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    return small if posed else _lying(small, dice)


def _lying(picture: Sprite, dice: np.random.Generator) -> Sprite:
    """Turn a pack in the plane, and a little out of it."""
    side = picture.shape[0]
    angle = dice.uniform(0, math.tau)
    across, down = (math.cos(dice.uniform(0, 0.6)) * 0.86 for _ in range(2))
    cos, sin = math.cos(angle), math.sin(angle)
    flat = np.array([[cos * across, -sin * down], [sin * across, cos * down]])
    middle = np.array([side / 2, side / 2])
    turn = np.column_stack([flat, middle - flat @ middle])
    cover = picture[..., 3:].astype(np.float32)
    weighed = np.concatenate([picture[..., :3] * (cover / 255), cover], axis=2)
    moved = np.asarray(cv2.warpAffine(weighed, turn, (side, side), flags=cv2.INTER_AREA), np.float32)
    moved[..., :3] /= np.maximum(moved[..., 3:] / 255, 1e-3)
    return np.clip(moved.round(), 0, 255).astype(np.uint8)


# ── kinds of packs ───────────────────────────────────────────────────────────────────────────────────────────────────


def _box(looks: Looks, side: int) -> Sprite:
    outline = _outline(side, [(_left(looks), 0.04), (_right(looks), 0.04), (_right(looks), 0.96), (_left(looks), 0.96)])
    face = _printed(looks, side, outline, flat=True)
    edge = round(_right(looks) * side)
    face[:, edge - side // 14 : edge] *= 0.72  # the side that turns away
    return _cut(face, outline)


def _bag(looks: Looks, side: int) -> Sprite:
    left, right = _left(looks), _right(looks)
    teeth = [(left + (right - left) * step / 16, 0.04 + 0.012 * (step % 2)) for step in range(17)]
    foot = [(right - (right - left) * step / 16, 0.96 - 0.012 * (step % 2)) for step in range(17)]
    sides = [(right - 0.03, 0.3), (right - 0.02, 0.7)], [(left + 0.02, 0.7), (left + 0.03, 0.3)]
    outline = _outline(side, [*teeth, *sides[0], *foot, *sides[1]])
    face = _printed(looks, side, outline, flat=True)
    x, y = _shares(side)
    folds = 0.09 * np.sin(9 * x + 4 * y) + 0.07 * np.sin(17 * x - 6 * y + 1) + 0.05 * np.sin(23 * y + 5 * x)
    swell = 1.06 - 0.5 * np.abs(x - (left + right) / 2) ** 2 / (right - left) ** 2
    face *= (swell + folds)[..., None]
    face[: round(0.09 * side)] *= 0.85
    return _cut(face, outline)


def _tin(looks: Looks, side: int) -> Sprite:
    left, right = _left(looks), _right(looks)
    outline = np.zeros((side, side), np.uint8)
    cv2.rectangle(outline, _at(side, left, 0.10), _at(side, right, 0.90), 255, -1)
    for y in (0.10, 0.90):
        cv2.ellipse(outline, _at(side, 0.5, y), _at(side, (right - left) / 2, 0.05), 0, 0, 360, 255, -1)
    face = _printed(looks, side, outline, flat=False)
    lid = np.array([205, 205, 208], np.float32) / 255
    cover = np.zeros((side, side), np.uint8)
    cv2.ellipse(cover, _at(side, 0.5, 0.10), _at(side, (right - left) / 2, 0.05), 0, 0, 360, 255, -1)
    face[cover > 0] = lid
    return _cut(face, outline)


def _bottle(looks: Looks, side: int) -> Sprite:
    wide = 0.5 / looks.stretch
    neck = max(0.05, 0.33 * wide)
    points = [
        (0.5 - neck, 0.03), (0.5 + neck, 0.03), (0.5 + neck, 0.22), (0.5 + 0.75 * wide, 0.31), (0.5 + wide, 0.40),
        (0.5 + wide, 0.95), (0.5 - wide, 0.95), (0.5 - wide, 0.40), (0.5 - 0.75 * wide, 0.31), (0.5 - neck, 0.22),
    ]  # fmt: skip
    outline = _outline(side, points)
    face = np.empty((side, side, 3), np.float32)
    face[:] = colour(looks.skin)
    label = np.zeros((side, side), np.uint8)
    cv2.rectangle(label, _at(side, 0.5 - wide, 0.48), _at(side, 0.5 + wide, 0.84), 255, -1)
    face[label > 0] = colour(looks.other or _PAPER)
    _words(face, looks, side, (0.5 - wide, 0.5 + wide), (0.48, 0.84))
    face[: round(0.085 * side)] = np.array(colour(looks.stem or looks.other or _INK)) * 0.9
    return _cut(face * _round(side, 0.5 - wide, 0.5 + wide, glassy=True), outline)


def _tub(looks: Looks, side: int) -> Sprite:
    left, right = _left(looks), _right(looks)
    outline = _outline(side, [(left, 0.14), (right, 0.14), (right - 0.06, 0.94), (left + 0.06, 0.94)])
    face = _printed(looks, side, outline, flat=False)
    lid = np.zeros((side, side), np.uint8)
    cv2.rectangle(lid, _at(side, left - 0.02, 0.06), _at(side, right + 0.02, 0.16), 255, -1)
    face[lid > 0] = np.array(colour(looks.other or _PAPER)) * 0.95
    return _cut(face, np.maximum(outline, lid))


def _slice(looks: Looks, side: int) -> Sprite:
    """A cut piece on the counter's paper."""
    outline = _outline(side, [(0.06, 0.12), (0.95, 0.06), (0.93, 0.92), (0.04, 0.88)])
    face = np.empty((side, side, 3), np.float32)
    face[:] = colour(_PAPER)
    meat = np.zeros((side, side), np.uint8)
    around = np.linspace(0, math.tau, 60, endpoint=False)
    dice = np.random.default_rng([len(looks.skin), *looks.skin.encode()])
    bumps = sum(dice.normal() / k * np.cos(k * around + dice.uniform(0, math.tau)) for k in (2, 3, 4))
    radius = 0.34 * (1 + 0.09 * np.asarray(bumps))
    _fill(
        meat, [(0.5 + 1.1 * r * math.cos(a), 0.5 + 0.8 * r * math.sin(a)) for a, r in zip(around, radius, strict=True)]
    )
    x, y = _shares(side)
    grain = np.sin(30 * (x + 0.25 * np.sin(6 * y)) + 3 * np.sin(9 * y))
    body = np.empty_like(face)
    body[:] = colour(looks.skin)
    fat = np.clip((grain - (1 - 2 * looks.share)) * 2, 0, 1)[..., None] if looks.other else 0.0
    body += (np.array(colour(looks.other or looks.skin), np.float32) - body) * fat
    face[meat > 0] = body[meat > 0]
    return _cut(face, outline)


PACKS: dict[Shape, Callable[[Looks, int], Sprite]] = {
    Shape.BOX: _box, Shape.BAG: _bag, Shape.TIN: _tin, Shape.BOTTLE: _bottle, Shape.TUB: _tub, Shape.SLICE: _slice,
}  # fmt: skip


# ── print ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _printed(looks: Looks, side: int, outline: NDArray[np.uint8], *, flat: bool) -> Floats:
    """Return a face with a field in the second colour and the words; shaded as a cylinder where it is not flat."""
    face = np.empty((side, side, 3), np.float32)
    face[:] = colour(looks.skin)
    left, right = _left(looks), _right(looks)
    dice = np.random.default_rng([*looks.skin.encode(), *"".join(looks.words).encode()])
    rows = np.flatnonzero(outline.any(axis=1))
    top, foot = rows[0] / side, (rows[-1] + 1) / side
    field = np.zeros((side, side), np.uint8)
    tall = foot - top
    match int(dice.integers(4)):
        case 0:
            cv2.rectangle(field, _at(side, left, top + 0.55 * tall), _at(side, right, foot), 255, -1)
        case 1:
            size = _at(side, 0.4 * (right - left), 0.2 * tall)
            cv2.ellipse(field, _at(side, 0.5, top + 0.70 * tall), size, 0, 0, 360, 255, -1)
        case 2:
            _fill(field, [(left, top + 0.45 * tall), (right, top + 0.65 * tall), (right, foot), (left, foot)])
        case _:
            cv2.circle(field, _at(side, 0.62, top + 0.72 * tall), round(0.3 * (right - left) * side), 255, -1)
    face[field > 0] = colour(looks.other or _PAPER)
    lid = 0.1 if looks.shape is Shape.TIN else 0.0
    _words(face, looks, side, (left, right), (top + (0.06 + lid) * tall, top + (0.46 + lid) * tall))
    return face if flat else face * _round(side, left, right, glassy=False)


def _words(face: Floats, looks: Looks, side: int, across: tuple[float, float], down: tuple[float, float]) -> None:
    ground = colour(looks.skin) if looks.shape is not Shape.BOTTLE else colour(looks.other or _PAPER)
    ink = colour(_INK if sum(ground) > 1.5 else "#ffffff")
    rows = max(1, len(looks.words))
    layer = np.zeros(face.shape[:2], np.uint8)
    for number, word in enumerate(looks.words):
        plain = word.encode("ascii", "replace").decode()
        thick = max(1, side // (90 if number == 0 else 170))
        (width, height), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_DUPLEX, 1.0, thick)
        room = (across[1] - across[0]) * side * 0.88
        size = min(room / max(1, width), (down[1] - down[0]) * side / rows * 0.62 / max(1, height))
        middle = (across[0] + across[1]) / 2 * side
        foot = (down[0] + (down[1] - down[0]) * (number + 0.8) / rows) * side
        at = (round(middle - size * width / 2), round(foot))
        cv2.putText(layer, plain, at, cv2.FONT_HERSHEY_DUPLEX, size, 255, thick, cv2.LINE_AA)
    face += (np.array(ink, np.float32) - face) * (layer[..., None] / np.float32(255))


def _round(side: int, left: float, right: float, *, glassy: bool) -> Floats:
    """Return the light on an upright cylinder, with a reflection where it is of glass or plastic."""
    across = (np.linspace(0, 1, side, dtype=np.float32) - (left + right) / 2) / max(1e-3, (right - left) / 2)
    light = 0.45 + 0.62 * np.sqrt(np.maximum(0, 1 - np.clip(across + 0.25, -1, 1) ** 2))
    if glassy:
        light = light + 0.55 * np.exp(-(((across + 0.55) / 0.09) ** 2))
    return np.asarray(light[None, :, None].repeat(side, axis=0), np.float32)


# ── places and colours ───────────────────────────────────────────────────────────────────────────────────────────────


def _left(looks: Looks) -> float:
    return 0.5 - 0.46 / max(1.0, looks.stretch)


def _right(looks: Looks) -> float:
    return 0.5 + 0.46 / max(1.0, looks.stretch)


def _at(side: int, x: float, y: float) -> tuple[int, int]:
    return round(x * side), round(y * side)


def _shares(side: int) -> tuple[Floats, Floats]:
    line = np.linspace(0, 1, side, dtype=np.float32)
    return line[None, :].repeat(side, 0), line[:, None].repeat(side, 1)


def _outline(side: int, points: list[tuple[float, float]]) -> NDArray[np.uint8]:
    mask = np.zeros((side, side), np.uint8)
    _fill(mask, points)
    return mask


def _fill(mask: NDArray[np.uint8], points: list[tuple[float, float]]) -> None:
    corners = np.array([_at(mask.shape[0], x, y) for x, y in points], np.int32)
    cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA)


def _cut(face: Floats, outline: NDArray[np.uint8]) -> Sprite:
    lit = face * (1.08 - 0.2 * np.linspace(0, 1, face.shape[0], dtype=np.float32))[:, None, None]
    return np.dstack([np.clip(lit * 255, 0, 255).astype(np.uint8), outline])
