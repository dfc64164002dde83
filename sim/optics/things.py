"""Things as a camera sees them from above, each turned as it lies: painted goods, and plain shapes with some print.

Brightness and colours are drawn apart, as a camera's I420 has them. Sizes and places are shares of the frame's width.
"""

from functools import lru_cache

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from sim.optics.goods_paint import Light
from sim.optics.goods_shots import Handling, heap
from sim.optics.label import Luma
from sim.optics.looks import Looks

NEUTRAL = 128
"""Of chrominance: no colour."""
FRAME_MM = 600.0
"""What the frame is wide, where things lie."""
SHORTEST, LONGEST = 0.08, 0.34
"""Of things, as shares of the frame's width."""
_SHOP_LAMP = Light(right=-0.15, down=-0.2, near=1.0)
"""Lamps hang above a cart, as its camera does."""
_TEXTURES, _PAINTED = 512, 128

Planes = NDArray[np.uint8]
"""Cb and Cr (ITU-R BT.601, limited range): 2 x half the frame's height x half its width."""


class Thing(msgspec.Struct, frozen=True):
    """One pack or fruit: where its centre lies, how it is turned, and what it looks like."""

    x: float
    y: float
    length: float
    width: float
    turn_deg: float = 0.0
    tone: int = 120
    """Grey level of its ground."""
    contrast: int = 60
    """Grey levels between its ground and its print."""
    seed: int = 1
    round: bool = False
    looks: Looks | None = None
    """What it is, where it is more than a plain shape: painted from `seed` into a square of `length`, in place of the
    tone and print above."""
    pieces: int = 1
    bag: bool = False
    """A clear one, around the pieces."""


class _Look(msgspec.Struct, frozen=True):
    """A thing's face, turned no way: brightness and cover, and at half the size its colours and their cover."""

    luma: Luma
    cover: Luma
    blue: Luma
    red: Luma
    colour_cover: Luma


def lay(frame: Luma, thing: Thing) -> None:
    """Draw a thing's brightness into a frame."""
    width = frame.shape[1]
    look = _look(thing, width)
    turn, box = _turn(thing, look.cover.shape, width, frame.shape)
    if box is not None:
        blend(frame[box], _moved(look.luma, turn, frame[box].shape), _moved(look.cover, turn, frame[box].shape, 0))


def colour_in(planes: Planes, thing: Thing) -> None:
    """Lay a thing's colours, or its grey, into planes that have half the frame's size."""
    shape = planes.shape[1:]
    look = _look(thing, 2 * shape[1])
    turn, box = _turn(thing, look.colour_cover.shape, shape[1], shape)
    if box is not None:
        cover = _moved(look.colour_cover, turn, planes[0][box].shape, 0)
        for plane, colours in zip(planes, (look.blue, look.red), strict=True):
            blend(plane[box], _moved(colours, turn, plane[box].shape), cover)


def _look(thing: Thing, width: int) -> _Look:
    """Return a thing's face in a frame of that width."""
    size = max(4, round(thing.length * width)), max(4, round(thing.width * width))
    if thing.looks is not None:
        return _painted_look(thing.looks, thing.pieces, thing.seed, size[0], bag=thing.bag)
    print_, outline = _texture(size, thing.tone, thing.contrast, thing.seed, round_=thing.round)
    half = _halved(outline)
    grey = np.full_like(half, NEUTRAL)
    return _Look(print_, outline, grey, grey, half)


def _turn(
    thing: Thing, face: tuple[int, ...], width: int, frame: tuple[int, ...]
) -> tuple[NDArray[np.float64], tuple[slice, slice] | None]:
    """Return how a thing's face is moved into that part of a frame in which it is, and the part; None where in none."""
    size = face[1], face[0]
    turn = np.asarray(cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), -thing.turn_deg, 1.0), np.float64)
    turn[:, 2] += (thing.x * width - size[0] / 2, thing.y * width - size[1] / 2)
    left, top, right, foot = _box(turn, size, frame)
    if right - left < 2 or foot - top < 2:
        return turn, None
    turn[:, 2] -= (left, top)
    return turn, (slice(top, foot), slice(left, right))


def _moved(face: Luma, turn: NDArray[np.float64], shape: tuple[int, ...], beyond: int | None = None) -> Luma:
    """Return a face turned into a part of that shape; beyond its edge it goes on as it ends, or is as said."""
    size = shape[1], shape[0]
    if beyond is None:
        return np.asarray(cv2.warpAffine(face, turn, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)
    return np.asarray(cv2.warpAffine(face, turn, size, borderValue=beyond), np.uint8)


@lru_cache(maxsize=_PAINTED)
def _painted_look(looks: Looks, pieces: int, seed: int, side: int, *, bag: bool) -> _Look:
    """Return painted goods in a camera's planes; colours go on beyond the edge, so that no seam is drawn."""
    sprite = heap(looks, seed, side, Handling(pieces=pieces, bag=bag, hand=False), light=_SHOP_LAMP)
    cover = sprite[..., 3:].astype(np.float32) / 255
    near = max(1.0, side / 24)
    spread = cv2.GaussianBlur(np.dstack([sprite[..., :3] * cover, cover]), (0, 0), near)
    beyond = spread[..., :3] / np.maximum(spread[..., 3:], 1e-3)
    filled = np.where(cover > 0.5, sprite[..., :3], beyond).clip(0, 255).astype(np.uint8)
    split = cv2.cvtColor(filled, cv2.COLOR_BGR2YCrCb).astype(np.float32)
    luma = (16 + split[..., 0] * (219 / 255)).astype(np.uint8)  # limited range: ITU-R BT.601, section 2.5
    red, blue = ((NEUTRAL + (split[..., of] - 128) * (224 / 255)).astype(np.uint8) for of in (1, 2))
    outline = np.ascontiguousarray(sprite[..., 3])
    return _Look(luma, outline, _halved(blue), _halved(red), _halved(outline))


def _halved(face: Luma) -> Luma:
    size = max(2, face.shape[1] // 2), max(2, face.shape[0] // 2)
    return np.asarray(cv2.resize(face, size, interpolation=cv2.INTER_AREA), np.uint8)


def mark(mask: Luma, thing: Thing) -> None:
    """Mark what a thing covers, 255."""
    look = _look(thing, mask.shape[1])
    turn, box = _turn(thing, look.cover.shape, mask.shape[1], mask.shape)
    if box is not None:
        part = mask[box]
        part[_moved(look.cover, turn, part.shape, 0) > 0] = 255


def blend(part: Luma, above: "cv2.typing.MatLike", mask: "cv2.typing.MatLike") -> None:
    """Put one picture on another, as dense as the mask says."""
    cover = cv2.multiply(above, mask, scale=1 / 255)
    cv2.multiply(part, cv2.bitwise_not(mask), dst=part, scale=1 / 255)
    cv2.add(part, cover, dst=part)


def _box(turn: NDArray[np.float64], size: tuple[int, int], frame: tuple[int, ...]) -> tuple[int, int, int, int]:
    corners = turn @ np.array([[0, size[0], size[0], 0], [0, 0, size[1], size[1]], [1, 1, 1, 1]], np.float64)
    left, top = np.floor(corners.min(axis=1)).astype(int) - 1
    right, foot = np.ceil(corners.max(axis=1)).astype(int) + 1
    return max(0, int(left)), max(0, int(top)), min(frame[1], int(right)), min(frame[0], int(foot))


@lru_cache(maxsize=_TEXTURES)
def _texture(size: tuple[int, int], tone: int, contrast: int, seed: int, *, round_: bool) -> tuple[Luma, Luma]:
    """Return a thing's face, with print or bloom on it and shaded towards its edges, and its outline."""
    length, width = size
    dice = np.random.default_rng([seed, 3])
    face = np.full((width, length), tone, np.float32)
    for _ in range(int(dice.integers(3, 9))):
        at = (int(dice.integers(length)), int(dice.integers(width)))
        spread = (max(1, int(length * dice.uniform(0.05, 0.3))), max(1, int(width * dice.uniform(0.03, 0.2))))
        level = tone + contrast * dice.uniform(-1, 1)
        if dice.random() < 0.5:
            cv2.rectangle(face, at, (at[0] + spread[0], at[1] + spread[1]), float(level), -1)
        else:
            cv2.ellipse(face, at, spread, float(dice.uniform(0, 180)), 0, 360, float(level), -1)
    outline = np.zeros((width, length), np.uint8)
    if round_:
        cv2.ellipse(outline, (length // 2, width // 2), (length // 2 - 1, width // 2 - 1), 0, 0, 360, 255, -1)
    else:
        outline[1:-1, 1:-1] = 255
    rows = np.abs(np.linspace(-1, 1, width))[:, None]
    columns = np.abs(np.linspace(-1, 1, length))[None, :]
    face *= 1.0 - 0.15 * np.maximum(rows, columns) ** 4
    return np.clip(face, 0, 255).astype(np.uint8), outline
