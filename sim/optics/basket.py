"""The inside of a cart's basket as its camera sees it: goods that lie there, arms that reach over the rim, the floor.

Places and sizes are shares of the frame's width, x to the right and y down; what is below `RIM` is outside.
"""

import math
from functools import lru_cache

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from sim.optics.label import Luma

RIM = 0.52
"""Where the rim lies in the picture, and with it the line that a cart is configured with (0.69 of the height)."""
FOOT = 0.75
"""The foot of a picture of four to three."""
_RIM_TONE, _WIRE_TONE, _FLOOR_TONE = 205, 180, 128
_MESH = 0.35
"""Share of the floor's light that comes through the basket's mesh."""
_FLOOR_LENGTH = 4096
_TEXTURES = 512

Place = tuple[float, float]


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


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """An arm from its elbow, out of view, to the palm; with what it carries beyond the fingers."""

    elbow: Place
    palm: Place
    width: float = 0.13
    """Of the sleeve; the hand is somewhat narrower."""
    sleeve: int = 70
    skin: int = 165
    seed: int = 1
    carried: Thing | None = None
    smear: Place = (0.0, 0.0)
    """How far it moves while the shutter is open."""
    shade: float = 0.0
    """Share of the light that its shadow takes."""


class Inside(msgspec.Struct, frozen=True, kw_only=True):
    """All that is in view but a pack that is held up."""

    things: tuple[Thing, ...] = ()
    moving: tuple[Thing, ...] = ()
    """Goods in motion; drawn after those at rest."""
    arms: tuple[Arm, ...] = ()
    floor: float = 0.0
    """How far the cart has rolled."""
    shake: Place = (0.0, 0.0)
    """By how much the camera is off its place."""


def painted(inside: Inside, width: int, height: int, basket: int = 1) -> Luma:
    """Return the picture, without noise: height x width, uint8. `basket` is the seed of steel and floor."""
    frame = _at_rest(inside.things, width, height, basket, round(inside.floor * width)).copy()
    for thing in inside.moving:
        _lay(frame, thing)
    for arm in inside.arms:
        _reach(frame, arm)
    if inside.shake != (0.0, 0.0):
        shift = np.array([[1, 0, inside.shake[0] * width], [0, 1, inside.shake[1] * width]], np.float64)
        frame = np.asarray(cv2.warpAffine(frame, shift, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    return frame


def held(arm: Arm) -> Thing | None:
    """Return what an arm carries, where it is now: beyond the fingers, in the arm's direction."""
    thing = arm.carried
    if thing is None:
        return None
    x, y = _along(arm, grip(arm.width, thing))
    turn = math.degrees(math.atan2(arm.palm[1] - arm.elbow[1], arm.palm[0] - arm.elbow[0]))
    return msgspec.structs.replace(thing, x=x, y=y, turn_deg=turn + thing.turn_deg)


def grip(arm_width: float, thing: Thing) -> float:
    """Return how far a carried thing's centre is beyond the palm's."""
    return 0.42 * arm_width + 0.38 * thing.length


# ── steel, goods and floor ───────────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=8)
def _at_rest(things: tuple[Thing, ...], width: int, height: int, basket: int, rolled: int) -> Luma:
    ground, mesh, wires, wire_tone = _steel(width, height, basket)
    rows = (np.arange(height) + rolled) % _FLOOR_LENGTH
    floor = _floor(width, basket)[rows]
    seen = cv2.addWeighted(ground, 1.0, cv2.multiply(floor, mesh, scale=1 / 255), 1.0, 0)
    frame: Luma = np.asarray(cv2.copyTo(wire_tone, wires, seen), np.uint8)
    for thing in things:
        _lay(frame, thing)
    top = round(RIM * width)
    tube = max(3, width // 60)
    frame[top : top + tube] = _RIM_TONE
    cv2.line(frame, (0, top + tube), (width, top + tube), 60, max(1, tube // 3))
    frame.setflags(write=False)
    return frame


@lru_cache(maxsize=4)
def _steel(width: int, height: int, basket: int) -> tuple[Luma, Luma, Luma, Luma]:
    """Return the basket's own light, the floor's share in every pixel, where wires are, and their tone."""
    dice = np.random.default_rng([basket, 1])
    coarse = dice.normal(70, 18, (height // 40 + 2, width // 40 + 2)).astype(np.float32)
    ground = np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)
    mesh = np.full((height, width), round(255 * _MESH), np.uint8)
    outside = slice(round(RIM * width), height)
    ground[outside] = 0
    mesh[outside] = 255
    wires = np.zeros((height, width), np.uint8)
    pitch = width / dice.uniform(14, 24)
    for number in range(int(width / pitch) + 1):
        x = round((number + 0.5) * pitch)
        cv2.line(wires, (x, 0), (x + width // 40, outside.start), 255, max(1, width // 300), cv2.LINE_AA)
    for number in range(int(outside.start / pitch / 1.5) + 1):
        y = round(number * pitch * 1.5)
        cv2.line(wires, (0, y), (width, y + width // 60), 255, max(1, width // 300), cv2.LINE_AA)
    tones = np.full((height, width), round(dice.uniform(140, 200)), np.uint8)
    return ground, mesh, wires, tones


@lru_cache(maxsize=4)
def _floor(width: int, basket: int) -> Luma:
    """Return speckled tiles with joints, as long as a stretch of aisle, to be rolled over."""
    dice = np.random.default_rng([basket, 2])
    tone = dice.uniform(90, 160)
    floor = np.clip(dice.normal(tone, 16, (_FLOOR_LENGTH // 2, width // 2)), 0, 255).astype(np.uint8)
    floor = np.asarray(cv2.resize(floor, (width, _FLOOR_LENGTH), interpolation=cv2.INTER_LINEAR), np.uint8)
    tile = width // 2
    for row in range(0, _FLOOR_LENGTH, tile):
        cv2.line(floor, (0, row), (width, row + width // 20), tone * 0.6, max(2, width // 120))
    for column in range(width // 5, width, tile):
        cv2.line(floor, (column, 0), (column, _FLOOR_LENGTH), tone * 0.6, max(2, width // 120))
    return floor


# ── goods ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _lay(frame: Luma, thing: Thing) -> None:
    width = frame.shape[1]
    size = max(4, round(thing.length * width)), max(4, round(thing.width * width))
    print_, outline = _texture(size, thing.tone, thing.contrast, thing.seed, round_=thing.round)
    turn = np.asarray(cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), -thing.turn_deg, 1.0), np.float64)
    turn[:, 2] += (thing.x * width - size[0] / 2, thing.y * width - size[1] / 2)
    left, top, right, foot = _box(turn, size, frame.shape)
    if right - left < 2 or foot - top < 2:
        return
    turn[:, 2] -= (left, top)
    part = frame[top:foot, left:right]
    shape = (right - left, foot - top)
    face = cv2.warpAffine(print_, turn, shape, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(outline, turn, shape)
    _blend(part, face, mask)


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


# ── arms ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _reach(frame: Luma, arm: Arm) -> None:
    """Draw an arm, what it carries, the smear of its motion and its shadow."""
    layer, mask = frame.copy(), np.zeros_like(frame)
    thing = held(arm)
    if thing is not None:
        _lay(layer, thing)
        _lay(mask, msgspec.structs.replace(thing, tone=255, contrast=0, seed=0))
        mask[mask > 0] = 255
    _draw_arm(layer, mask, arm)
    box = cv2.boundingRect(mask)
    if not box[2]:
        return
    width, height = frame.shape[1], frame.shape[0]
    if arm.shade:
        _shade(frame, mask, arm.shade)
    reach = math.ceil(math.hypot(*arm.smear) * width) + 2
    left, top = max(0, box[0] - reach), max(0, box[1] - reach)
    right, foot = min(width, box[0] + box[2] + reach), min(height, box[1] + box[3] + reach)
    part = np.s_[top:foot, left:right]
    kernel = _line(round(arm.smear[0] * width), round(arm.smear[1] * width))
    if kernel is not None:
        _blend(frame[part], cv2.filter2D(layer[part], -1, kernel), cv2.filter2D(mask[part], -1, kernel))
    else:
        frame[part] = cv2.copyTo(layer[part], mask[part], frame[part])


def _draw_arm(layer: Luma, mask: Luma, arm: Arm) -> None:
    width = layer.shape[1]
    scale = arm.width * width
    wrist, knuckles = _along(arm, -0.55 * arm.width), _along(arm, 0.25 * arm.width)
    elbow = _pixel(arm.elbow, width)
    grain = np.random.default_rng([arm.seed, 4])
    for picture, sleeve, skin in ((layer, arm.sleeve, arm.skin), (mask, 255, 255)):
        cv2.line(picture, elbow, _pixel(wrist, width), sleeve, max(3, round(scale)), cv2.LINE_AA)
        cv2.circle(picture, _pixel(arm.palm, width), max(2, round(0.42 * scale)), skin, -1, cv2.LINE_AA)
        if arm.carried is None:
            _fingers(picture, arm, skin, 0.5)
        else:
            _fingers(picture, arm, skin - 8 if picture is layer else skin, 0.12)
        cv2.line(picture, _pixel(wrist, width), _pixel(knuckles, width), skin, max(2, round(0.62 * scale)), cv2.LINE_AA)
    for _ in range(6):  # folds of the sleeve
        x, y = _along(arm, -arm.width * grain.uniform(0.6, 5))
        fold = max(4, round(0.3 * scale))
        tone = int(np.clip(arm.sleeve + grain.integers(-25, 25), 0, 255))
        cv2.ellipse(
            layer, _pixel((x, y), width), (fold, max(1, fold // 5)), float(grain.uniform(0, 180)), 0, 360, tone, -1
        )


def _fingers(picture: Luma, arm: Arm, tone: int, length: float) -> None:
    width = picture.shape[1]
    across = math.atan2(arm.palm[1] - arm.elbow[1], arm.palm[0] - arm.elbow[0]) + math.pi / 2
    for finger in (-0.3, -0.1, 0.1, 0.3):
        side = finger * arm.width
        root, tip = _along(arm, 0.2 * arm.width), _along(arm, (0.35 + length * (1 - abs(finger))) * arm.width)
        ends = [_pixel((x + side * math.cos(across), y + side * math.sin(across)), width) for x, y in (root, tip)]
        cv2.line(picture, ends[0], ends[1], tone, max(2, round(0.16 * arm.width * width)), cv2.LINE_AA)


def _shade(frame: Luma, mask: Luma, share: float) -> None:
    """Darken what lies beside an arm, softly: lamps are large."""
    small = cv2.resize(mask, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    shift = np.array([[1, 0, small.shape[1] * 0.05], [0, 1, small.shape[1] * 0.03]], np.float64)
    soft = cv2.GaussianBlur(cv2.warpAffine(small, shift, small.shape[::-1]), (0, 0), small.shape[1] * 0.03)
    light = cv2.resize(255 - (soft * share).astype(np.uint8), frame.shape[::-1], interpolation=cv2.INTER_LINEAR)
    cv2.multiply(frame, light, dst=frame, scale=1 / 255)


def _blend(part: Luma, above: "cv2.typing.MatLike", mask: "cv2.typing.MatLike") -> None:
    """Put one picture on another, as dense as the mask says."""
    cover = cv2.multiply(above, mask, scale=1 / 255)
    cv2.multiply(part, cv2.bitwise_not(mask), dst=part, scale=1 / 255)
    cv2.add(part, cover, dst=part)


@lru_cache(maxsize=512)
def _line(right: int, down: int) -> NDArray[np.float32] | None:
    """Return the kernel of a motion by so many pixels, or None where there is none to see."""
    size = 2 * max(abs(right), abs(down)) // 2 + 1
    if size < 2:
        return None
    size |= 1
    kernel = np.zeros((size, size), np.float32)
    middle = size // 2
    ends = [(middle + round(sign * right / 2), middle + round(sign * down / 2)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _along(arm: Arm, beyond: float) -> Place:
    """Return the place so far beyond the palm, in the arm's direction."""
    dx, dy = arm.palm[0] - arm.elbow[0], arm.palm[1] - arm.elbow[1]
    length = math.hypot(dx, dy) or 1.0
    return arm.palm[0] + beyond * dx / length, arm.palm[1] + beyond * dy / length


def _pixel(place: Place, width: int) -> tuple[int, int]:
    return round(place[0] * width), round(place[1] * width)
