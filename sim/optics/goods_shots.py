"""Goods as a cart's camera meets them: a few pieces in a hand, in a clear bag or by themselves; and their portraits.

Everything follows from looks and a seed: pose, size, lamp, number of pieces, ground, and what a hand covers.
"""

import math
from functools import lru_cache

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from sim.optics.goods_paint import Light, Sprite, laid, piece, turned
from sim.optics.looks import Looks, Shape, colour
from sim.optics.pack_paint import PACKS

Picture = NDArray[np.uint8]
"""Height x width x 3, blue, green, red."""

_ALONE = frozenset({*PACKS, Shape.BANANAS, Shape.BERRIES, Shape.VINE, Shape.BUNCH, Shape.HEAD, Shape.FLORETS})
"""Sold as one: two of them are seldom in a hand."""
_SKINS = ("#e3b899", "#d8a27c", "#c08a63", "#8d5d3e", "#5e3b28")
PORTRAIT = 192
"""Pixels of a portrait: twice those of a tile on a cart's screen."""
_POSED_SEED = 3
_SLIM = 2.5
"""Goods longer than this lie beside each other."""


class Handling(msgspec.Struct, frozen=True, kw_only=True):
    """How goods are carried."""

    pieces: int = 1
    bag: bool = False
    """A clear one."""
    hand: bool = True
    """A hand is seen that holds them."""


def handling(looks: Looks, dice: np.random.Generator, most: int = 6) -> Handling:
    """Return how somebody carries such goods."""
    alone = looks.shape in _ALONE or looks.size_mm > 130
    pieces = 1 if alone else 1 + int((most - 0.01) * dice.uniform() ** 2)  # one or two more often than a bagful
    return Handling(pieces=pieces, bag=pieces > 2 and bool(dice.uniform() < 0.7), hand=bool(dice.uniform() < 0.6))


def heap(looks: Looks, seed: int, side: int, how: Handling, *, light: Light | None = None) -> Sprite:
    """Return so many pieces beside and upon each other, in their bag if they have one; without the hand."""
    dice = np.random.default_rng([seed, 21])
    picture = np.zeros((side, side, 4), np.uint8)
    if _as_one(looks, how):
        return piece(looks, seed, side, light=light)
    size = round(side * _size_in_heap(how.pieces))
    slim = looks.stretch > _SLIM
    for x, y in _spots(how.pieces, size / side, slim, dice):
        one = piece(looks, int(dice.integers(1 << 30)), size, light=light, posed=slim)
        _cast_shadow(picture, one, round(x * side - size / 2), round(y * side - size / 2))
        laid(picture, one, round(x * side - size / 2), round(y * side - size / 2))
    if slim:
        picture = turned(picture, dice.uniform(0, 360))
    if how.bag:
        _wrap(picture, dice)
    return picture


def shot(looks: Looks, seed: int, side: int = 160, *, most: int = 6) -> Picture:
    """Return one picture as a cart cuts it out of its camera's frames: side x side, the goods about its middle.

    Args:
        looks: of the product.
        seed: of everything else.
        side: in pixels.
        most: how many pieces a shopper takes at once.
    """
    dice = np.random.default_rng([seed, 22])
    how = handling(looks, dice, most)
    light = Light(dice.uniform(-0.8, 0.8), dice.uniform(-0.9, 0.2), dice.uniform(0.5, 1.0))
    ground, person = _ground(dice, side), int(dice.integers(1 << 30))
    size = round(side * dice.uniform(0.75, 1.02) * (1.2 if looks.stretch > _SLIM and looks.shape not in PACKS else 1.0))
    goods = heap(looks, seed, size, how, light=light)
    left, top = (round((side - size) / 2 + side * 0.04 * dice.normal()) for _ in range(2))
    picture = np.dstack([ground, np.full((side, side), 255, np.uint8)])
    if how.hand:
        _palm(picture, np.random.default_rng(person), (left + size / 2) / side, (top + size / 2) / side, size / side)
    _cast_shadow(picture, goods, left, top)
    laid(picture, goods, left, top)
    if how.hand:
        _fingers(picture, np.random.default_rng(person), (left + size / 2) / side, (top + size / 2) / side, size / side)
    return _filmed(picture[..., :3], dice)


@lru_cache(maxsize=512)
def portrait(looks: Looks, side: int = PORTRAIT) -> bytes:
    """Return a product's picture for price lists and tiles: a WebP of side x side pixels on a transparent ground."""
    _, webp = cv2.imencode(".webp", piece(looks, _POSED_SEED, side, posed=True), [cv2.IMWRITE_WEBP_QUALITY, 85])
    return bytes(webp)


def heap_mm(looks: Looks, how: Handling) -> float:
    """Return how wide such a heap is."""
    return looks.size_mm if _as_one(looks, how) else looks.size_mm / _size_in_heap(how.pieces)


def _as_one(looks: Looks, how: Handling) -> bool:
    return looks.shape is Shape.BANANAS or (how.pieces == 1 and not how.bag)  # however many, they hang together


# ── several pieces ───────────────────────────────────────────────────────────────────────────────────────────────────


def _size_in_heap(pieces: int) -> float:
    """Return how large one of so many is, as a share of the heap."""
    return {1: 0.9, 2: 0.62, 3: 0.54, 4: 0.5, 5: 0.46}.get(pieces, 0.42)


def _spots(pieces: int, size: float, slim: bool, dice: np.random.Generator) -> list[tuple[float, float]]:
    """Return where the middles of pieces lie, from the back to the front."""
    if slim:
        return [(0.5 + 0.03 * dice.normal(), 0.5 + 0.11 * (number - (pieces - 1) / 2)) for number in range(pieces)]
    reach = 0.5 - size / 2
    turn = dice.uniform(0, math.tau)
    ring = pieces if pieces < 5 else pieces - 1
    spots = [
        (
            0.5 + reach * math.cos(turn + math.tau * number / ring),
            0.5 + reach * math.sin(turn + math.tau * number / ring),
        )
        for number in range(ring)
    ]
    if pieces == 1:
        spots = [(0.5, 0.5)]
    if ring < pieces:
        spots.append((0.5, 0.5))
    return [(x + 0.02 * dice.normal(), y + 0.02 * dice.normal()) for x, y in spots]


def _cast_shadow(picture: Sprite, above: Sprite, left: int, top: int) -> None:
    """Darken what lies below a piece, softly and a little to the lower right."""
    side = above.shape[0]
    soft = cv2.GaussianBlur(above[..., 3], (0, 0), max(0.8, side / 28))
    shadow = np.zeros_like(above)
    shadow[..., 3] = (0.45 * np.asarray(soft)).astype(np.uint8)
    shift = max(1, side // 30)
    # Only what is there can be darkened: a shadow does not float in the air.
    rows = slice(max(0, top + shift), min(picture.shape[0], top + shift + side))
    columns = slice(max(0, left + shift), min(picture.shape[1], left + shift + side))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    part = picture[rows, columns]
    dark = shadow[
        rows.start - top - shift : rows.stop - top - shift, columns.start - left - shift : columns.stop - left - shift
    ]
    part[..., :3] = (part[..., :3] * (1 - dark[..., 3:] / 255)).astype(np.uint8)


def _wrap(picture: Sprite, dice: np.random.Generator) -> None:
    """Lay a clear bag over the heap: a little haze, folds that catch the light, a knot."""
    side = picture.shape[0]
    film = np.zeros((side, side, 4), np.uint8)
    outline = np.zeros((side, side), np.uint8)
    around = np.linspace(0, math.tau, 24, endpoint=False)
    radius = 0.47 * (1 + 0.05 * dice.normal(size=24))
    points = [
        (round((0.5 + r * math.cos(a)) * side), round((0.5 + r * math.sin(a)) * side))
        for a, r in zip(around, radius, strict=True)
    ]
    cv2.fillPoly(outline, [np.array(points, np.int32)], 255, cv2.LINE_AA)
    film[..., :3] = 235
    film[..., 3] = outline // 9
    light = np.zeros((side, side), np.uint8)
    for _ in range(int(dice.integers(5, 11))):
        start = dice.uniform(0.1, 0.9, 2)
        way = dice.uniform(0, math.tau)
        bends = [start]
        for _ in range(4):
            way += 0.5 * dice.normal()
            bends.append(bends[-1] + dice.uniform(0.05, 0.13) * np.array([math.cos(way), math.sin(way)]))
        line = np.array([[round(x * side), round(y * side)] for x, y in bends], np.int32)
        cv2.polylines(
            light,
            [line],
            isClosed=False,
            color=int(dice.integers(90, 220)),
            thickness=max(1, side // 70),
            lineType=cv2.LINE_AA,
        )
    light = np.asarray(cv2.GaussianBlur(light, (0, 0), max(0.6, side / 160)), np.uint8)
    film[..., 3] = np.maximum(film[..., 3], np.minimum(light, outline))
    laid(picture, film, 0, 0)


# ── hand, ground and camera ──────────────────────────────────────────────────────────────────────────────────────────


def _hand_skin(dice: np.random.Generator) -> NDArray[np.float64]:
    skin = np.array(colour(_SKINS[int(dice.integers(len(_SKINS)))])) * (1 + 0.06 * dice.normal())
    return np.clip(255 * skin, 0, 255)


def _palm(picture: Sprite, dice: np.random.Generator, x: float, y: float, size: float) -> None:
    """Draw the wrist and the palm beneath the goods, from below."""
    side = picture.shape[0]
    skin = _hand_skin(dice)
    lean = 0.35 * dice.normal()
    foot = (round((x + lean) * side), round(1.15 * side))
    middle = (round(x * side), round((y + 0.22 * size) * side))
    wide = round(0.36 * side)
    cv2.line(picture, foot, middle, (*(skin * 0.8), 255.0), wide, cv2.LINE_AA)
    cv2.circle(picture, middle, round(0.36 * size * side), (*(skin * 0.88), 255.0), -1, cv2.LINE_AA)


def _fingers(picture: Sprite, dice: np.random.Generator, x: float, y: float, size: float) -> None:
    """Draw finger tips that reach over the goods' edge, and the thumb."""
    side = picture.shape[0]
    skin = _hand_skin(dice)
    start = dice.uniform(0.1, 0.4) * math.pi
    reach = dice.uniform(0.30, 0.44)
    thick = max(2, round(0.095 * side * dice.uniform(0.8, 1.1)))
    for number in range(int(dice.integers(2, 5))):
        angle = start + 0.27 * number
        root = (x + 0.56 * size * math.cos(angle), y + 0.56 * size * math.sin(angle))
        tip = (x + reach * size * math.cos(angle - 0.12), y + reach * size * math.sin(angle - 0.12))
        ends = [(round(px * side), round(py * side)) for px, py in (root, tip)]
        cv2.line(picture, ends[0], ends[1], (*(skin * 0.72), 255.0), thick + 2, cv2.LINE_AA)
        cv2.line(picture, ends[0], ends[1], (*(skin * 0.98), 255.0), thick, cv2.LINE_AA)
        nail = (round(ends[1][0]), round(ends[1][1]))
        cv2.circle(picture, nail, max(1, thick // 4), (*np.minimum(255, skin * 1.12), 255.0), -1, cv2.LINE_AA)


def _ground(dice: np.random.Generator, side: int) -> Picture:
    """Return what is behind: a wire basket over a floor, a plain wall, or other goods out of focus."""
    tint = np.array([1 + 0.06 * dice.normal(), 1.0, 1 + 0.06 * dice.normal()])
    coarse = dice.normal(dice.uniform(50, 170), dice.uniform(6, 24), (5, 5)).astype(np.float32)
    tone = np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
    ground = np.clip(tone[..., None] * tint, 0, 255)
    kind = dice.uniform()
    if kind < 0.55:
        pitch, shift = side / dice.uniform(3, 7), dice.uniform(0, 1)
        wire = int(dice.integers(130, 220))
        for number in range(-1, 9):
            at = round((number + shift) * pitch)
            cv2.line(ground, (at, 0), (at + side // 12, side), (wire, wire, wire), max(1, side // 60), cv2.LINE_AA)
            cv2.line(ground, (0, at), (side, at + side // 14), (wire, wire, wire), max(1, side // 60), cv2.LINE_AA)
    elif kind < 0.8:
        for _ in range(int(dice.integers(3, 9))):
            hue = (dice.uniform(60, 180) + dice.integers(-35, 36, 3)).tolist()
            middle = (int(dice.integers(side)), int(dice.integers(side)))
            cv2.circle(ground, middle, round(side * dice.uniform(0.08, 0.25)), hue, -1)
        ground = np.asarray(cv2.GaussianBlur(ground, (0, 0), side / 20))
    return np.asarray(np.clip(ground, 0, 255), np.uint8)


def _filmed(picture: Picture, dice: np.random.Generator) -> Picture:
    """Return what a camera makes of it: exposure, the lamp's colour, a little blur or motion, noise."""
    side = picture.shape[0]
    film = picture.astype(np.float32)
    film *= dice.uniform(0.75, 1.12) * (1 + np.array([0.03, 0.0, 0.03]) * dice.normal(size=3))
    blur = abs(dice.normal()) * side / 260
    if blur > 0.3:
        film = np.asarray(cv2.GaussianBlur(film, (0, 0), blur))
    if dice.uniform() < 0.25:
        length = int(dice.integers(2, 2 + max(2, side // 32)))
        kernel = np.zeros((length, length), np.float32)
        if dice.uniform() < 0.5:
            kernel[length // 2] = 1 / length
        else:
            kernel[:, length // 2] = 1 / length
        film = np.asarray(cv2.filter2D(film, -1, kernel))
    film += dice.normal(0, dice.uniform(1, 4), film.shape)
    return np.clip(film, 0, 255).astype(np.uint8)
