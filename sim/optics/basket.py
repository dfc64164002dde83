"""The inside of a cart's basket as its camera sees it: goods that lie there, arms that reach over the rim, the floor.

Places and sizes are shares of the frame's width, x to the right and y down; what is below `RIM` is outside. Brightness
and colours are drawn apart, as a camera's I420 has them: `painted` and `coloured`, whose shapes are the same.
"""

import math
from functools import lru_cache

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from sim.optics.label import Luma
from sim.optics.things import NEUTRAL, Planes, Thing, blend, colour_in, lay, mark

RIM = 0.52
"""Where the rim lies in the picture, and with it the line that a cart is configured with (0.69 of the height)."""
FOOT = 0.75
"""The foot of a picture of four to three."""
_RIM_TONE, _WIRE_TONE, _FLOOR_TONE = 205, 180, 128
_MESH = 0.35
"""Share of the floor's light that comes through the basket's mesh."""
_FLOOR_LENGTH = 4096

_SKIN_BLUE, _SKIN_RED = 108, 152
"""Of people's hands, whatever their brightness."""
Place = tuple[float, float]


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
        lay(frame, thing)
    for arm in inside.arms:
        _reach(frame, arm)
    if inside.shake != (0.0, 0.0):
        shift = np.array([[1, 0, inside.shake[0] * width], [0, 1, inside.shake[1] * width]], np.float64)
        frame = np.asarray(cv2.warpAffine(frame, shift, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    return frame


def coloured(inside: Inside, width: int, height: int) -> Planes:
    """Return the colours of the same picture: of painted goods and of hands; all else is grey."""
    planes = _colours_at_rest(inside.things, width // 2, height // 2).copy()
    for thing in inside.moving:
        colour_in(planes, thing)
    for arm in inside.arms:
        _colour_arm(planes, arm)
    if inside.shake != (0.0, 0.0):
        size = width // 2, height // 2
        shift = np.array([[1, 0, inside.shake[0] * size[0]], [0, 1, inside.shake[1] * size[0]]], np.float64)
        for plane in planes:
            plane[:] = cv2.warpAffine(plane, shift, size, borderMode=cv2.BORDER_REPLICATE)
    return planes


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
        lay(frame, thing)
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


@lru_cache(maxsize=8)
def _colours_at_rest(things: tuple[Thing, ...], width: int, height: int) -> Planes:
    planes = np.full((2, height, width), NEUTRAL, np.uint8)
    for thing in things:
        colour_in(planes, thing)
    top = round(RIM * width)
    planes[:, top : top + max(2, width // 60)] = NEUTRAL
    planes.setflags(write=False)
    return planes


# ── arms ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _reach(frame: Luma, arm: Arm) -> None:
    """Draw an arm, what it carries, the smear of its motion and its shadow."""
    layer, mask = frame.copy(), np.zeros_like(frame)
    thing = held(arm)
    if thing is not None:
        lay(layer, thing)
        mark(mask, thing)
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
        blend(frame[part], cv2.filter2D(layer[part], -1, kernel), cv2.filter2D(mask[part], -1, kernel))
    else:
        frame[part] = cv2.copyTo(layer[part], mask[part], frame[part])


def _draw_arm(layer: Luma, mask: Luma, arm: Arm) -> None:
    width = layer.shape[1]
    scale = arm.width * width
    grain = np.random.default_rng([arm.seed, 4])
    _limb(layer, arm, arm.sleeve, arm.skin, arm.skin - 8)
    _limb(mask, arm, 255, 255, 255)
    for _ in range(6):  # folds of the sleeve
        x, y = _along(arm, -arm.width * grain.uniform(0.6, 5))
        fold = max(4, round(0.3 * scale))
        tone = int(np.clip(arm.sleeve + grain.integers(-25, 25), 0, 255))
        cv2.ellipse(
            layer, _pixel((x, y), width), (fold, max(1, fold // 5)), float(grain.uniform(0, 180)), 0, 360, tone, -1
        )


def _limb(picture: Luma, arm: Arm, sleeve: int, skin: int, tips: int) -> None:
    """Draw sleeve, palm, fingers and wrist in these tones; `tips` is that of fingers that hold something."""
    width = picture.shape[1]
    scale = arm.width * width
    wrist, knuckles = _along(arm, -0.55 * arm.width), _along(arm, 0.25 * arm.width)
    cv2.line(picture, _pixel(arm.elbow, width), _pixel(wrist, width), sleeve, max(3, round(scale)), cv2.LINE_AA)
    cv2.circle(picture, _pixel(arm.palm, width), max(2, round(0.42 * scale)), skin, -1, cv2.LINE_AA)
    if arm.carried is None:
        _fingers(picture, arm, skin, 0.5)
    else:
        _fingers(picture, arm, tips, 0.12)
    cv2.line(picture, _pixel(wrist, width), _pixel(knuckles, width), skin, max(2, round(0.62 * scale)), cv2.LINE_AA)


def _colour_arm(planes: Planes, arm: Arm) -> None:
    """Colour what an arm covers: its skin, what it carries, and its sleeve grey."""
    width = planes.shape[2]
    layers, mask = planes.copy(), np.zeros_like(planes[0])
    thing = held(arm)
    if thing is not None:
        colour_in(layers, thing)
        mark(mask, thing)
    for layer, skin in zip(layers, (_SKIN_BLUE, _SKIN_RED), strict=True):
        _limb(layer, arm, NEUTRAL, skin, skin)
    _limb(mask, arm, 255, 255, 255)
    kernel = _line(round(arm.smear[0] * width), round(arm.smear[1] * width))
    for plane, layer in zip(planes, layers, strict=True):
        if kernel is not None:
            blend(plane, cv2.filter2D(layer, -1, kernel), cv2.filter2D(mask, -1, kernel))
        else:
            plane[:] = cv2.copyTo(layer, mask, plane)


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
