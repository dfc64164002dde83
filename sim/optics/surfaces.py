"""The near side of goods as geometry: what a camera sees of round things and of rods, before any colour.

A surface has, for every pixel of a square, how far the piece covers it, the way it faces (right, down, towards the
camera) and its place on the unit globe, whose third coordinate runs along the stem. Lengths are shares of half a piece.
"""

import math
from functools import lru_cache

import msgspec
import numpy as np

from sim.optics.looks import Looks, Shape
from sim.optics.skins import Floats, Place, mottle

MARGIN = 1.06
"""How much wider the picture is than the piece."""


class Surface(msgspec.Struct):
    """What of a piece is seen: per pixel, height x width."""

    cover: Floats
    """0 to 1."""
    normal: Place
    place: Place
    shade: Floats
    """Of dents and grooves, 0 to 1."""


class Stem(msgspec.Struct):
    """Where a stem is to be drawn, in shares of half a piece: its root, and the way it points."""

    x: float
    y: float
    right: float
    down: float
    near: float


def seen(looks: Looks, dice: np.random.Generator, side: int, *, posed: bool) -> tuple[Surface, Stem | None]:
    match looks.shape:
        case Shape.ROD:
            return _rod(looks, dice, side, posed=posed)
        case Shape.PEPPER:
            return _globe(looks, _pose(dice, 0.5, posed=posed), dice, side, lobes=int(dice.integers(3, 5)))
        case _ if looks.taper or looks.stretch > 1.12:
            return _globe(looks, _pose(dice, 0.6, posed=posed), dice, side)
        case _:
            return _globe(looks, _pose(dice, 1.0, posed=posed), dice, side)


def _pose(dice: np.random.Generator, tumbling: float, *, posed: bool) -> Floats:
    """Return a rotation. With little tumbling the stem's axis stays near the picture's plane."""
    spin = dice.uniform(0, math.tau)
    if posed:
        lean, turn = 0.35, math.radians(dice.uniform(-12, 12))
    else:
        lean = math.asin(dice.uniform(-1, 1)) * tumbling
        turn = dice.uniform(0, math.tau)
    # The stem's axis (third) points up in the picture when nothing is turned: (0, -1, 0).
    about = _about_third(spin)
    upright = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)
    tilt = np.array([[1, 0, 0], [0, math.cos(lean), math.sin(lean)], [0, -math.sin(lean), math.cos(lean)]], np.float32)
    return np.asarray(_about_third(turn) @ tilt @ upright @ about, np.float32)


def _about_third(angle: float) -> Floats:
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], np.float32)


@lru_cache(maxsize=16)
def _grid(side: int) -> tuple[Floats, Floats]:
    half = (np.arange(side, dtype=np.float32) - (side - 1) / 2) / (side / 2) * MARGIN
    x, y = np.meshgrid(half, half)
    return x, y


def _globe(
    looks: Looks, turn: Floats, dice: np.random.Generator, side: int, lobes: int = 0
) -> tuple[Surface, Stem | None]:
    """Return an ellipsoid about its stem's axis, narrowed, dented, lobed and lumpy by pushing at what is seen of it."""
    x, y = _grid(side)
    long = max(1.0, looks.stretch)
    semi = np.array([1 / long, 1 / long, looks.stretch / long], np.float32)
    along = turn[:2, 2]
    flat = float(np.hypot(*along))  # how far the axis lies in the picture
    ax, ay = (along / flat) if flat > 1e-3 else np.array([0.0, -1.0])
    u, v = x * ax + y * ay, x * ay - y * ax
    reach = float(np.sqrt((semi[2] * flat) ** 2 + (semi[0] ** 2) * (1 - flat**2)))
    share = np.clip(u / reach, -1, 1)
    if looks.taper:
        v = v / (1 - looks.taper * flat * _smooth((share + 0.25) / 1.1))
    if looks.dent:
        middle = v / (0.30 * semi[0])
        notch = looks.dent * flat * np.exp(-(middle**2))
        u = np.where(u > 0, u * (1 + notch), u * (1 + 0.6 * notch))
    if lobes and looks.dent:
        v = v / (1 + 0.05 * np.cos(lobes * 2.2 * share))
    if looks.lumpy:
        around = np.arctan2(y, x)
        waves = sum(dice.normal() / (k**0.8) * np.cos(k * around + dice.uniform(0, math.tau)) for k in range(2, 6))
        bulge = 1 + looks.lumpy * np.asarray(waves, np.float32)
        u, v = u / bulge, v / bulge
    x, y = u * ax + v * ay, u * ay - v * ax
    inner = turn @ np.diag(1 / semi**2) @ turn.T
    b = inner[0, 2] * x + inner[1, 2] * y
    c = inner[0, 0] * x * x + 2 * inner[0, 1] * x * y + inner[1, 1] * y * y - 1
    under = b * b - inner[2, 2] * c
    z = (-b + np.sqrt(np.maximum(under, 0))) / inner[2, 2]
    cover = np.clip(under / inner[2, 2] * side / 5 + 0.5, 0, 1).astype(np.float32)
    normal = _unit(*(inner[row, 0] * x + inner[row, 1] * y + inner[row, 2] * z for row in range(3)))
    back = turn.T / semi[:, None]
    place = _unit(*(back[row, 0] * x + back[row, 1] * y + back[row, 2] * z for row in range(3)))
    shade = np.ones_like(x)
    if looks.dent:
        hollow = np.exp(-np.maximum(0, 1 - place[2]) / 0.05)
        shade -= min(0.75, 3.2 * looks.dent) * hollow
        shade -= min(0.4, 1.5 * looks.dent) * np.exp(-np.maximum(0, 1 + place[2]) / 0.03)
    if lobes:
        around = np.arctan2(place[1], place[0])
        groove = np.abs(np.cos(lobes * around / 2)) * np.sqrt(np.maximum(0, 1 - place[2] ** 2))
        shade -= 0.5 * np.exp(-groove / 0.16) * (np.abs(place[2]) < 0.98)
        swell = 0.5 * np.sin(lobes * around)
        right, down = turn[0, 0], turn[1, 0]
        normal = _unit(normal[0] + swell * right * 0.6, normal[1] + swell * down * 0.6, normal[2])
    top = turn[:, 2] * semi[2] * (1 - 0.55 * looks.dent)
    stem = Stem(float(top[0]), float(top[1]), float(turn[0, 2]), float(turn[1, 2]), float(turn[2, 2]))
    return Surface(cover, normal, place, shade.astype(np.float32)), stem


def _rod(looks: Looks, dice: np.random.Generator, side: int, *, posed: bool) -> tuple[Surface, Stem | None]:
    """Return a bent rod: along it by arc length, across it by the distance from its middle line."""
    x, y = _grid(side)
    turn = math.radians(dice.uniform(15, 35)) if posed else dice.uniform(0, math.tau)
    u, v = x * math.cos(turn) + y * math.sin(turn), -x * math.sin(turn) + y * math.cos(turn)
    half = 1 / looks.stretch
    bend = looks.bend * dice.choice((-1, 1)) if not posed else looks.bend
    length = 1 - 0.5 * half
    if abs(bend) > 1e-3:
        radius = 1 / (4 * bend)
        middle = v + 0.5 * bend
        out = np.hypot(u, radius - middle)
        s = np.arctan2(u * np.sign(radius), np.abs(radius - middle)) * abs(radius) / (1 + abs(bend) * 0.3)
        t = (abs(radius) - out) * np.sign(radius)
    else:
        s, t = u, v
    share = s / length
    inside = np.clip(share, -1, 1)
    width = half * _rod_profile(inside, looks.taper)
    if looks.lumpy:
        width = width * (1 + looks.lumpy * mottle((inside, inside * 0, inside * 0), dice, 5.0))
    depth = np.minimum(width - np.abs(t), length - np.abs(s))
    t = t / np.maximum(width, 1e-3)
    cover = np.clip(depth * side / 2.1 + 0.5, 0, 1).astype(np.float32)
    t = np.clip(t, -1, 1)
    z = np.sqrt(np.maximum(0, 1 - t * t))
    # Towards the ends the surface turns to the end.
    end = inside * np.abs(inside) ** 5 * 0.8
    across_x, across_y = -math.sin(turn), math.cos(turn)
    angle = s * 4 * bend if abs(bend) > 1e-3 else np.zeros_like(s)
    nx = t * (across_x * np.cos(angle) - across_y * np.sin(-angle)) + end * math.cos(turn)
    ny = t * (across_y * np.cos(angle) + across_x * np.sin(-angle)) + end * math.sin(turn)
    around = np.arcsin(t) + dice.uniform(0, math.tau)
    ring = np.sqrt(np.maximum(0.02, 1 - inside * inside))
    place = (
        (np.cos(around) * ring).astype(np.float32), (np.sin(around) * ring).astype(np.float32),
        inside.astype(np.float32),
    )  # fmt: skip
    tip_angle = 4 * bend * length if abs(bend) > 1e-3 else 0.0
    tip_u = length * 0.99
    tip_v = -0.5 * bend + (2 * bend * length**2 if abs(bend) > 1e-3 else 0.0)
    stem = Stem(
        tip_u * math.cos(turn) - tip_v * math.sin(turn), tip_u * math.sin(turn) + tip_v * math.cos(turn),
        math.cos(turn + tip_angle), math.sin(turn + tip_angle), 0.2,
    )  # fmt: skip
    return Surface(cover, _unit(nx, ny, z), place, np.ones_like(x)), stem


def _rod_profile(share: Floats, taper: float) -> Floats:
    """Return a rod's width along it, 0 to 1. Tapered above 0 thins towards the far end, below 0 towards both."""
    ends = np.sqrt(np.maximum(0, 1 - np.abs(share) ** 8))
    if taper < 0:
        return np.asarray(ends * (1 + taper * np.abs(share) ** 2.5), np.float32)
    return np.asarray(ends * (1 - taper * (0.5 - 0.5 * share) ** 1.3), np.float32)


def _smooth(share: Floats) -> Floats:
    """Return a smooth step from 0 at 0 to 1 at 1."""
    inside = np.clip(share, 0, 1)
    return np.asarray(inside * inside * (3 - 2 * inside), np.float32)


def _unit(x: Floats, y: Floats, z: Floats) -> Place:
    length = np.maximum(np.sqrt(x * x + y * y + z * z), 1e-6)
    return (
        (x / length).astype(np.float32),
        (y / length).astype(np.float32),
        (z / length).astype(np.float32),
    )
