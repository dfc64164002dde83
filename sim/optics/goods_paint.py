"""Pieces of goods, painted: a surface, its colours and marks, one lamp. Everything follows from looks and a seed.

Pictures are side x side x 4 (blue, green, red, how far it covers), uint8. Lengths on a piece are shares of half its
length; on its surface every point has a place on the unit globe, the third coordinate along the stem.

These are drawings. What is measured on them tells of the machinery that looks at them, not of goods in a shop.
"""

import math

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from sim.optics.looks import Looks, Mark, MarkKind, Shape, colour
from sim.optics.pack_paint import PACKS, pack
from sim.optics.skins import Floats, skin_of
from sim.optics.surfaces import MARGIN, Stem, Surface, seen

Sprite = NDArray[np.uint8]

_AMBIENT = 0.42
_LAMP = (-0.45, -0.55, 0.70)
"""Where a portrait's lamp is: to the left and above, before the picture."""
_BERRIES = 38


class Light(msgspec.Struct, frozen=True):
    """Where the lamp is, seen from the piece: right, down, towards the camera. Any length."""

    right: float = _LAMP[0]
    down: float = _LAMP[1]
    near: float = _LAMP[2]


def piece(looks: Looks, seed: int, side: int, *, light: Light | None = None, posed: bool = False) -> Sprite:
    """Return one piece as large as fits, turned as the seed says; `posed` shows it as a price list would."""
    dice = np.random.default_rng([seed, 11])
    light = light or Light()
    if looks.shape in PACKS:
        return pack(looks, seed, side, posed=posed)
    if looks.shape in _CLUSTERS:
        return _CLUSTERS[looks.shape](looks, dice, side, light, posed)
    looks = _individual(looks, dice)
    surface, stem = seen(looks, dice, side, posed=posed)
    picture = _lit(skin_of(looks, surface.place, dice), surface, light, looks.gloss)
    sprite = _sprite(picture, surface.cover)
    if looks.shape is Shape.MUSHROOM:
        return sprite
    _draw_stem(sprite, looks, stem, dice)
    return sprite


def laid(below: Sprite, above: Sprite, left: int, top: int) -> None:
    """Lay one sprite upon another, in place; what is outside is cut off."""
    height, width = above.shape[:2]
    rows = slice(max(0, top), min(below.shape[0], top + height))
    columns = slice(max(0, left), min(below.shape[1], left + width))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    over = above[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left].astype(np.float32)
    under = below[rows, columns].astype(np.float32)
    share = over[..., 3:] / 255
    rest = under[..., 3:] / 255 * (1 - share)
    both = share + rest
    mixed = (over[..., :3] * share + under[..., :3] * rest) / np.maximum(both, 1e-6)
    below[rows, columns] = np.concatenate([mixed, both * 255], axis=2).round().astype(np.uint8)


def turned(sprite: Sprite, degrees: float) -> Sprite:
    """Return a sprite turned about its middle."""
    side = sprite.shape[0]
    turn = cv2.getRotationMatrix2D((side / 2 - 0.5, side / 2 - 0.5), degrees, 1.0)
    # Colours are weighed with what they cover, so that no dark seam is drawn in from beyond the edge.
    cover = sprite[..., 3:].astype(np.float32)
    weighed = np.concatenate([sprite[..., :3] * (cover / 255), cover], axis=2)
    moved = np.asarray(cv2.warpAffine(weighed, turn, (side, side)), np.float32)
    moved[..., :3] /= np.maximum(moved[..., 3:] / 255, 1e-3)
    return np.clip(moved.round(), 0, 255).astype(np.uint8)


# ── from product to piece ────────────────────────────────────────────────────────────────────────────────────────────


def _individual(looks: Looks, dice: np.random.Generator) -> Looks:
    """Return the looks of one piece of a product."""
    vary = looks.vary
    return msgspec.structs.replace(
        looks,
        skin=_varied(looks.skin, vary, dice),
        other=_varied(looks.other, vary, dice) if looks.other else "",
        share=float(np.clip(looks.share + looks.ripeness * dice.normal(), 0, 1)) if looks.share else 0.0,
        stretch=looks.stretch * (1 + 0.05 * dice.normal()),
        bend=looks.bend * (1 + 0.3 * dice.normal()),
    )


def _varied(written: str, spread: float, dice: np.random.Generator) -> str:
    lightness = 1 + spread * dice.normal()
    tints = 1 + 0.4 * spread * dice.normal(size=3)
    blue, green, red = np.clip(np.array(colour(written)) * lightness * tints, 0, 1)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


# ── light ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _lit(skin: Floats, surface: Surface, light: Light, gloss: float) -> Floats:
    way = np.array([light.right, light.down, light.near], np.float32)
    way /= np.linalg.norm(way)
    nx, ny, nz = surface.normal
    facing = way[0] * nx + way[1] * ny + way[2] * nz
    half = (way + np.array([0, 0, 1], np.float32)) / np.linalg.norm(way + np.array([0, 0, 1], np.float32))
    shine = np.maximum(0, half[0] * nx + half[1] * ny + half[2] * nz)
    bright = _AMBIENT + (1 - _AMBIENT) * 1.15 * np.maximum(0, 0.12 + 0.88 * facing)
    bright *= 0.78 + 0.22 * np.maximum(0, nz)  # less light comes to what turns away from the camera
    bright *= surface.shade
    lit = skin * bright[..., None]
    lit += (gloss * (0.55 * shine**38 + 0.16 * shine**9))[..., None]
    return np.asarray(lit, np.float32)


def _sprite(picture: Floats, cover: Floats) -> Sprite:
    sprite = np.empty((*cover.shape, 4), np.uint8)
    sprite[..., :3] = np.clip(picture * 255, 0, 255)
    sprite[..., 3] = np.clip(cover * 255, 0, 255)
    return sprite


def _draw_stem(sprite: Sprite, looks: Looks, stem: Stem | None, dice: np.random.Generator) -> None:
    if not looks.stem or stem is None or stem.near < -0.25:
        return
    side = sprite.shape[0]
    thick, long = _STEMS.get(looks.shape, (0.045, 0.22))
    if looks.shape is Shape.ROD:
        thick, long = 0.5 / looks.stretch, 0.10
    scale = side / 2 / MARGIN
    root = np.array([stem.x, stem.y])
    way = np.array([stem.right, stem.down]) + 0.15 * dice.normal(size=2)
    tip = root + long * way
    ends = [(round(side / 2 + at[0] * scale), round(side / 2 + at[1] * scale)) for at in (root, tip)]
    shade = np.array(colour(looks.stem)) * 255
    width = max(1, round(thick * scale))
    cv2.line(sprite, ends[0], ends[1], (*(shade * 0.75), 255.0), width, cv2.LINE_AA)
    inner = max(1, width // 2)
    cv2.line(sprite, ends[0], ends[1], (*shade, 255.0), inner, cv2.LINE_AA)
    if looks.shape is Shape.PEPPER:
        cv2.circle(sprite, ends[0], max(1, round(1.1 * width)), (*(shade * 0.9), 255.0), -1, cv2.LINE_AA)
        cv2.line(sprite, ends[0], ends[1], (*shade, 255.0), width, cv2.LINE_AA)


_STEMS = {Shape.PEPPER: (0.13, 0.34)}
"""Thickness and length."""


# ── several at once ──────────────────────────────────────────────────────────────────────────────────────────────────


def _blank(side: int) -> Sprite:
    return np.zeros((side, side, 4), np.uint8)


def _part(
    looks: Looks, side: int, dice: np.random.Generator, light: Light, *, posed: bool = False, **changes: object
) -> Sprite:
    """Return one globe or rod of a cluster."""
    single = msgspec.structs.replace(looks, **changes)
    return piece(single, int(dice.integers(1 << 30)), max(8, side), light=light, posed=posed)


def _stalk(sprite: Sprite, written: str, points: list[tuple[float, float]], width: float) -> None:
    side = sprite.shape[0]
    line = np.array([[round(x * side), round(y * side)] for x, y in points], np.int32)
    shade = np.array(colour(written)) * 255
    for wide, dark in ((width, 0.8), (width * 0.72, 1.0)):
        cv2.polylines(
            sprite, [line], isClosed=False, color=(*(shade * dark), 255.0), thickness=max(1, round(wide * side)),
            lineType=cv2.LINE_AA,
        )  # fmt: skip


def _berries(looks: Looks, dice: np.random.Generator, side: int, light: Light, posed: bool) -> Sprite:
    picture = _blank(side)
    _stalk(picture, looks.stem, [(0.5, 0.22), (0.47, 0.10), (0.56, 0.02)], 0.03)
    size = round(0.21 * side)
    kinds = [_part(looks, size, dice, light, shape=Shape.GLOBE, stem="") for _ in range(5)]
    places = []
    for number in range(_BERRIES):
        down = (number + 0.5) / _BERRIES
        wide = 0.34 * math.sin(math.pi * (0.18 + 0.78 * down)) ** 0.8
        places.append((0.5 + wide * float(np.clip(0.55 * dice.normal(), -1, 1)), 0.20 + 0.64 * down, dice.uniform()))
    for x, y, _ in sorted(places, key=lambda each: each[2]):
        berry = kinds[int(dice.integers(len(kinds)))]
        laid(picture, berry, round(x * side - size / 2), round(y * side - size / 2))
    return picture if posed else turned(picture, dice.uniform(0, 360))


def _vine(looks: Looks, dice: np.random.Generator, side: int, light: Light, posed: bool) -> Sprite:
    picture = _blank(side)
    size = round(0.40 * side)
    spots = [(0.28, 0.30), (0.70, 0.26), (0.32, 0.66), (0.70, 0.64), (0.50, 0.48)][: int(dice.integers(4, 6))]
    for x, y in spots:
        fruit = _part(looks, size, dice, light, shape=Shape.GLOBE, stem="")
        laid(picture, fruit, round(x * side - size / 2), round(y * side - size / 2))
    _stalk(picture, looks.stem, [(0.52, 0.05), (0.48, 0.34), (0.52, 0.60), (0.50, 0.86)], 0.025)
    for x, y in spots:
        _stalk(picture, looks.stem, [(0.5, 0.8 * y + 0.05), (0.5 + 0.6 * (x - 0.5), y)], 0.02)
        for angle in dice.uniform(0, math.tau, 5):
            end = (0.5 + 0.6 * (x - 0.5) + 0.06 * math.cos(angle), y + 0.06 * math.sin(angle))
            _stalk(picture, looks.stem, [(0.5 + 0.6 * (x - 0.5), y), end], 0.012)
    return picture if posed else turned(picture, dice.uniform(0, 360))


def _bananas(looks: Looks, dice: np.random.Generator, side: int, light: Light, posed: bool) -> Sprite:
    """A hand of bananas: the stems together, the fingers fanned out."""
    picture = _blank(side)
    fingers = 3 if posed else int(dice.integers(1, 5))
    for number in range(fingers):
        size = round(0.94 * side)
        one = turned(_part(looks, size, dice, light, posed=True, shape=Shape.ROD), 17 * (number - (fingers - 1) / 2))
        laid(picture, one, (side - size) // 2, round((0.03 + 0.07 * (number - (fingers - 1) / 2)) * side))
    return picture if posed else turned(picture, dice.uniform(0, 360))


def _bunch(looks: Looks, dice: np.random.Generator, side: int, light: Light, posed: bool) -> Sprite:
    picture = _blank(side)
    for _ in range(9):
        x = 0.5 + 0.28 * dice.uniform(-1, 1)
        leaf = msgspec.structs.replace(
            looks, shape=Shape.GLOBE, skin=looks.stem, other="", share=0.0, stretch=2.6, taper=0.3, gloss=0.15,
            stem="", marks=(Mark(MarkKind.VEINS, 0.35, "#b9d98a"),), lumpy=0.05,
        )  # fmt: skip
        size = round(0.42 * side)
        one = turned(piece(leaf, int(dice.integers(1 << 30)), size, light=light, posed=True), 60 * (0.5 - x))
        laid(picture, one, round(x * side - size / 2), round(dice.uniform(-0.02, 0.12) * side))
    size = round(0.30 * side)
    for x, y in ((0.26, 0.62), (0.46, 0.58), (0.66, 0.60), (0.36, 0.78), (0.57, 0.78), (0.74, 0.74)):
        _stalk(picture, "#9fc46a", [(0.5, 0.42), (x, y)], 0.02)
    for x, y in ((0.26, 0.62), (0.46, 0.58), (0.66, 0.60), (0.36, 0.78), (0.57, 0.78), (0.74, 0.74)):
        bulb = _part(looks, size, dice, light, shape=Shape.GLOBE, stem="")
        laid(picture, bulb, round(x * side - size / 2), round(y * side - size / 2))
    return picture if posed else turned(picture, dice.uniform(0, 360))


def _head(looks: Looks, dice: np.random.Generator, side: int, light: Light, posed: bool) -> Sprite:
    picture = _blank(side)
    leaf = msgspec.structs.replace(looks, shape=Shape.GLOBE, stem="", stretch=1.0)
    for ring, (size, count) in enumerate(((0.72, 5), (0.58, 4), (0.46, 3))):
        for number in range(count):
            angle = math.tau * (number / count) + ring + dice.uniform(-0.3, 0.3)
            away = 0.15 * (1 - 0.38 * ring)
            pixels = round(size * side)
            lighter = msgspec.structs.replace(leaf, skin=looks.other if ring == 2 else looks.skin, share=0.0)
            one = piece(lighter, int(dice.integers(1 << 30)), pixels, light=light)
            x, y = 0.5 + away * math.cos(angle), 0.5 + away * math.sin(angle)
            laid(picture, one, round(x * side - pixels / 2), round(y * side - pixels / 2))
    return picture if posed else turned(picture, dice.uniform(0, 360))


def _florets(looks: Looks, dice: np.random.Generator, side: int, light: Light, posed: bool) -> Sprite:
    picture = _blank(side)
    _stalk(picture, looks.stem, [(0.5, 0.55), (0.5, 0.93)], 0.2)
    _stalk(picture, looks.stem, [(0.5, 0.75), (0.3, 0.5)], 0.1)
    _stalk(picture, looks.stem, [(0.5, 0.75), (0.7, 0.5)], 0.1)
    size = round(0.30 * side)
    knob = [_part(looks, size, dice, light, shape=Shape.GLOBE, stem="") for _ in range(4)]
    for ring, count, away in ((0, 9, 0.26), (1, 8, 0.16), (2, 3, 0.06)):
        for number in range(count):
            angle = math.tau * number / count + ring
            x, y = 0.5 + 1.15 * away * math.cos(angle), 0.38 + 0.85 * away * math.sin(angle)
            laid(picture, knob[int(dice.integers(4))], round(x * side - size / 2), round(y * side - size / 2))
    return picture if posed else turned(picture, dice.uniform(0, 360))


def _mushroom(looks: Looks, dice: np.random.Generator, side: int, light: Light, posed: bool) -> Sprite:
    picture = _blank(side)
    cap = msgspec.structs.replace(looks, shape=Shape.GLOBE, stem="", stretch=0.72)
    if posed or dice.uniform() < 0.6:
        _stalk(picture, looks.stem, [(0.5, 0.5), (0.5, 0.86)], 0.26)
        size = round(0.86 * side)
        laid(picture, piece(cap, int(dice.integers(1 << 30)), size, light=light, posed=True), (side - size) // 2,
             round(0.38 * side - size / 2))  # fmt: skip
    else:
        above = msgspec.structs.replace(cap, stretch=1.0)
        size = round(0.9 * side)
        laid(
            picture,
            piece(above, int(dice.integers(1 << 30)), size, light=light),
            (side - size) // 2,
            (side - size) // 2,
        )
    return picture if posed else turned(picture, dice.uniform(0, 360))


_CLUSTERS = {
    Shape.BERRIES: _berries, Shape.VINE: _vine, Shape.BANANAS: _bananas, Shape.BUNCH: _bunch, Shape.HEAD: _head,
    Shape.FLORETS: _florets, Shape.MUSHROOM: _mushroom,
}  # fmt: skip
