"""Scenes before a cart's camera, and their pictures: a hand with a pack under shop light, or a photograph.

`render` draws one frame in luminance, `render_colours` its colours; `pass_by` is the hand that brings a pack into view,
turns it and takes it away. The degradations are those of reference/barcode, section 3: rotation, tilt, motion blur,
defocus, noise, light, glare.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from random import Random

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from sim.optics.basket import Inside, coloured, painted
from sim.optics.hands import Reach, seen
from sim.optics.label import Label, Luma, face
from sim.optics.things import NEUTRAL, Planes, Thing

_FOCAL_SHARE = 1.1
"""Focal length as a share of the frame's width: about 49 degrees of view."""
_TILE_SPARE = 96
"""Pixels by which a noise tile is larger than the frame, so that its place can vary."""
_NOISE_STEPS = 4
"""Noise is drawn in quarters of a grey level."""
_SKIN = 168
_GREATEST_ENLARGEMENT = 2.0
_BASKET_SEED = 11
_ARRIVE_SHARE = 0.22
_LEAVE_SHARE = 0.22


class Scene(msgspec.Struct, frozen=True, kw_only=True, tag="scene"):
    """What is in view. With neither label nor photograph the camera sees the basket."""

    label: Label | None = None
    photograph: str | None = None
    """Path of an image that fills the frame in place of the rendered basket."""
    x: float = 0.5
    """Centre of the pack, share of the frame's width."""
    y: float = 0.5
    rotation_deg: float = 0.0
    tilt_deg: float = 0.0
    """About an axis along the bars: foreshortens the modules."""
    nod_deg: float = 0.0
    """About an axis across the bars."""
    module_px: float = 2.4
    """Pixels per module at the centre, before tilt."""
    motion_px: float = 0.0
    """Length of the motion blur."""
    motion_deg: float = 0.0
    """Its direction: 0 is along the frame's rows."""
    defocus_px: float = 0.0
    """Radius of the circle of confusion."""
    noise: float = 4.0
    """Sensor noise, standard deviation in grey levels."""
    light: float = 1.0
    """Share of full exposure, without gain."""
    glare: float = 0.0
    """Radius of a lamp's reflection, share of the code's width."""
    inside: Inside | None = None
    """What lies in the basket, and who reaches in; without it, an empty one that fills the view."""


EMPTY = Scene()
"""Nothing in view but the basket."""


class Pass(msgspec.Struct, frozen=True, kw_only=True, tag="pass"):
    """A hand holds up `scene` from `at_s` (absolute) for `duration_s`, and takes it away; then the basket again."""

    scene: Scene
    at_s: float
    duration_s: float = 1.6
    seed: int = 1

    def at(self, time_s: float) -> Scene:
        """Return what is in view at `time_s`."""
        return pass_by(self.scene, self.duration_s, self.seed)(time_s - self.at_s)


class Reaching(msgspec.Struct, frozen=True, kw_only=True, tag="reaching"):
    """Hands put things into the basket and take them out; before and after, what lies there then."""

    lying: tuple[Thing, ...]
    """Before any of them came."""
    reaches: tuple[Reach, ...]

    def at(self, time_s: float) -> Scene:
        """Return what is in view at `time_s`."""
        return Scene(inside=seen(self.lying, self.reaches, time_s))


View = Scene | Pass | Reaching


def seen_at(view: View, time_s: float) -> Scene:
    """Return what is in view at `time_s`, of something that moves or stands still."""
    return view if isinstance(view, Scene) else view.at(time_s)


@lru_cache(maxsize=64)
def pass_by(scene: Scene, duration_s: float, seed: int) -> Callable[[float], Scene]:
    """Return the scene over the seconds of one pass; before and after it, the empty basket.

    A pack comes in from one side in the first fifth, is held and slowly turned, and leaves in the last fifth. A
    photograph stands still but for a trembling of its noise.
    """
    basket = Scene(inside=scene.inside)
    if scene.photograph is not None:
        return lambda since_s: scene if 0 <= since_s < duration_s else basket
    hand = _Hand(scene, duration_s, Random(seed))
    return lambda since_s: hand.at(since_s) if 0 <= since_s < duration_s else basket


class _Hand:
    """One person's way of showing a pack to a camera."""

    def __init__(self, scene: Scene, duration_s: float, dice: Random) -> None:
        self._scene = scene
        self._duration_s = duration_s
        self._side = dice.choice((-1, 1))
        self._turn_deg = dice.uniform(5, 18) * dice.choice((-1, 1))
        self._skew_deg = dice.uniform(-14, 14)
        self._tilt_deg = dice.uniform(-35, 35)
        self._nod_deg = dice.uniform(-30, 30)
        self._near = dice.uniform(0.82, 1.1)
        self._tremor = (dice.uniform(0.8, 3.6), dice.uniform(5, 9), dice.uniform(0, math.tau))
        self._light = dice.uniform(0.6, 1.0)

    def at(self, since_s: float) -> Scene:
        share = since_s / self._duration_s
        away = max(0.0, 1 - share / _ARRIVE_SHARE, (share - (1 - _LEAVE_SHARE)) / _LEAVE_SHARE)
        held = min(1.0, max(0.0, (share - _ARRIVE_SHARE) / (1 - _ARRIVE_SHARE - _LEAVE_SHARE)))
        offset = away * away * 0.75
        speed = 2 * away * 0.75 / (_ARRIVE_SHARE * self._duration_s)
        swing_px, swing_hz, phase = self._tremor
        scene = self._scene
        return msgspec.structs.replace(
            scene,
            x=scene.x + self._side * offset + 0.01 * math.sin(3 * since_s + phase),
            y=scene.y + 0.25 * offset,
            rotation_deg=scene.rotation_deg + self._skew_deg + self._turn_deg * (2 * held - 1) + 25 * away * self._side,
            tilt_deg=scene.tilt_deg + self._tilt_deg * math.cos(math.pi * held),
            nod_deg=scene.nod_deg + self._nod_deg * math.sin(math.pi * held),
            module_px=scene.module_px * (self._near - 0.25 * away),
            # One module per frame and share of width per second: a shutter of about 2 ms at 640 pixels.
            motion_px=scene.motion_px + 1.3 * speed + swing_px * abs(math.sin(swing_hz * since_s + phase)),
            motion_deg=scene.motion_deg + 20 * math.sin(phase),
            defocus_px=scene.defocus_px + 1.6 * away + 0.9 * (1 - held),
            light=scene.light * self._light,
        )


# ── the picture ──────────────────────────────────────────────────────────────────────────────────────────────────


def render(scene: Scene, width: int, height: int, dice: np.random.Generator) -> Luma:
    """Return one frame, height x width, uint8; `dice` decides only about noise.

    Raises:
        FileNotFoundError: the photograph cannot be read.
    """
    if scene.photograph is not None:
        frame = _photograph(scene.photograph, width, height).copy()
    else:
        frame = painted(scene.inside, width, height) if scene.inside else _basket(width, height).copy()
        if scene.label is not None:
            _hold(frame, scene, scene.label)
    if scene.light != 1.0:
        cv2.convertScaleAbs(frame, dst=frame, alpha=scene.light)
    return _with_noise(frame, scene.noise, dice)


def render_colours(scene: Scene, width: int, height: int) -> Planes:
    """Return the colours of the same frame; grey are labels, photographs and the basket."""
    if scene.photograph is not None or scene.inside is None:
        return _no_colours(width // 2, height // 2)
    planes = coloured(scene.inside, width, height)
    if scene.label is not None:
        _hold_grey(planes, scene, scene.label, (height, width))
    if scene.light != 1.0:
        for plane in planes:
            cv2.convertScaleAbs(plane, dst=plane, alpha=scene.light, beta=NEUTRAL * (1 - scene.light))
    return planes


@lru_cache(maxsize=2)
def _no_colours(width: int, height: int) -> Planes:
    planes = np.full((2, height, width), NEUTRAL, np.uint8)
    planes.setflags(write=False)
    return planes


def _hold_grey(planes: Planes, scene: Scene, label: Label, frame: tuple[int, int]) -> None:
    """Take the colours from where a label is held up; the hand that holds it is drawn grey, too."""
    printed = face(label, max(2, math.ceil(scene.module_px)))
    corners = _corners(_projection(scene, printed.luma.shape, printed.scale, frame), printed.luma.shape) / 2
    for plane in planes:
        cv2.fillConvexPoly(plane, np.round(corners).astype(np.int32), NEUTRAL)
        _draw_hand(plane, corners, NEUTRAL)


def _hold(frame: Luma, scene: Scene, label: Label) -> None:
    """Draw the pack and the hand behind it into the frame."""
    printed = face(label, max(2, math.ceil(scene.module_px)))
    homography = _projection(scene, printed.luma.shape, printed.scale, frame.shape)
    corners = _corners(homography, printed.luma.shape)
    reach = math.ceil(scene.motion_px + 2 * scene.defocus_px) + 3
    left, top = np.floor(corners.min(axis=0)).astype(int) - reach
    right, foot = np.ceil(corners.max(axis=0)).astype(int) + reach
    left, top, right, foot = max(0, left), max(0, top), min(frame.shape[1], right), min(frame.shape[0], foot)
    if right - left < 8 or foot - top < 8:
        return
    _draw_hand(frame, corners)
    part = frame[top:foot, left:right]
    shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], np.float64)
    cv2.warpPerspective(
        printed.luma,
        shift @ homography,
        (right - left, foot - top),
        dst=part,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    if scene.glare:
        _reflect_lamp(part, corners - (left, top), scene.glare * printed.code_width * scene.module_px)
    kernel = _smear(round(scene.motion_px * 4), round(scene.motion_deg / 5), round(scene.defocus_px * 4))
    if kernel is not None:
        part[:] = cv2.filter2D(part, -1, kernel)


def _projection(scene: Scene, shape: tuple[int, ...], scale: int, frame: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the homography from the label's pixels to the frame's: turn, tilt and nod before a pinhole."""
    rows, columns = shape[:2]
    zoom = scene.module_px / scale
    centre = np.array([[zoom, 0, -zoom * columns / 2], [0, zoom, -zoom * rows / 2], [0, 0, 1]])
    turn, tilt, nod = (math.radians(angle) for angle in (scene.rotation_deg, scene.tilt_deg, scene.nod_deg))
    in_plane = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    # The pack's own axes in space, before the turn in the picture plane: x across the bars, y along them.
    across = np.array([math.cos(tilt), 0.0, math.sin(tilt)])
    along = np.array([math.sin(tilt) * math.sin(nod), math.cos(nod), -math.cos(tilt) * math.sin(nod)])
    focal = _FOCAL_SHARE * frame[1]
    plane = np.stack([across, along], axis=1)
    plane[:2] = in_plane @ plane[:2]
    pinhole = np.array(
        [[plane[0, 0], plane[0, 1], 0], [plane[1, 0], plane[1, 1], 0], [plane[2, 0] / focal, plane[2, 1] / focal, 1]]
    )
    place = np.array([[1, 0, scene.x * frame[1]], [0, 1, scene.y * frame[0]], [0, 0, 1]])
    homography: NDArray[np.float64] = place @ pinhole @ centre
    return homography


def _corners(homography: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    rows, columns = shape[:2]
    corners = homography @ np.array([[0, columns, columns, 0], [0, 0, rows, rows], [1, 1, 1, 1]], np.float64)
    seen: NDArray[np.float64] = (corners[:2] / corners[2]).T
    return seen


def _draw_hand(frame: Luma, corners: NDArray[np.float64], skin: int = _SKIN) -> None:
    """Draw the fist that holds the pack by its lower edge, and the arm below it."""
    grip = (corners[2] + corners[3]) / 2
    size = max(12, int(np.linalg.norm(corners[2] - corners[3]) / 4))
    centre = (int(grip[0]), int(grip[1]))
    cv2.line(frame, centre, (centre[0], frame.shape[0] + size), skin - 14 if skin == _SKIN else skin, size)
    cv2.circle(frame, centre, size, skin, -1)


def _reflect_lamp(part: Luma, corners: NDArray[np.float64], radius_px: float) -> None:
    """Burn a round reflection into the middle of the pack."""
    centre = corners.mean(axis=0)
    rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
    square = (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2
    shine = 400 * np.exp(-square / max(1.0, radius_px) ** 2)
    part[:] = np.minimum(255, part + shine).astype(np.uint8)


@lru_cache(maxsize=512)
def _smear(motion_quarters: int, direction_fifths: int, defocus_quarters: int) -> NDArray[np.float32] | None:
    """Return the kernel of a motion and a defocus together, or None when there is nothing to see of them."""
    motion, defocus = motion_quarters / 4, defocus_quarters / 4
    if motion < 0.5 and defocus < 0.5:
        return None
    over = 8
    cells = 2 * (math.ceil(motion / 2 + defocus) + 1) + 1
    size = cells * over
    fine = np.zeros((size, size), np.float32)
    angle = math.radians(direction_fifths * 5)
    for step in np.linspace(-motion / 2, motion / 2, max(2, round(motion * over))):
        centre = (round(size / 2 + step * math.cos(angle) * over), round(size / 2 + step * math.sin(angle) * over))
        spot = np.zeros_like(fine)
        cv2.circle(spot, centre, max(over // 2, round(defocus * over)), 1.0, -1)
        fine += spot
    kernel: NDArray[np.float32] = fine.reshape(cells, over, cells, over).sum(axis=(1, 3)) / fine.sum()
    return kernel


# ── backgrounds and noise, drawn once ────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=4)
def _basket(width: int, height: int) -> Luma:
    """Return the inside of a wire basket under a lamp."""
    dice = np.random.default_rng(_BASKET_SEED)
    coarse = dice.normal(96, 22, (height // 40 + 2, width // 40 + 2)).astype(np.float32)
    basket = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    fall_off = np.linspace(1.15, 0.8, width, dtype=np.float32)[None, :]
    drawn: Luma = np.clip(basket * fall_off, 0, 255).astype(np.uint8)
    for column in range(0, width, max(8, width // 18)):
        cv2.line(drawn, (column, 0), (column + width // 40, height), 188, 2, cv2.LINE_AA)
    for row in range(0, height, max(8, height // 9)):
        cv2.line(drawn, (0, row), (width, row + height // 60), 172, 2, cv2.LINE_AA)
    cv2.GaussianBlur(drawn, (5, 5), 0, dst=drawn)
    drawn.setflags(write=False)
    return drawn


@lru_cache(maxsize=8)
def _photograph(path: str, width: int, height: int) -> Luma:
    """Return a photograph as the frame: scaled to fill it, at most to twice its size, its edges drawn out.

    A grey surround would cut the quiet zones of codes that reach to the photograph's edge.
    """
    read = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    if read is None:
        raise FileNotFoundError(f"{path}: no readable image; check the folder given with --photos")
    picture = np.asarray(read, np.uint8)
    share = min(_GREATEST_ENLARGEMENT, width / picture.shape[1], height / picture.shape[0])
    if share != 1:
        size = (max(1, round(picture.shape[1] * share)), max(1, round(picture.shape[0] * share)))
        how = cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC
        picture = np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)
    top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    foot, right = height - picture.shape[0] - top, width - picture.shape[1] - left
    frame = np.asarray(cv2.copyMakeBorder(picture, top, foot, left, right, cv2.BORDER_REPLICATE), np.uint8)
    frame.setflags(write=False)
    return frame


@lru_cache(maxsize=6)
def _noise(width: int, height: int, quarters: int) -> tuple[Luma, Luma]:
    """Return noise to add and noise to subtract, a little larger than the frame."""
    shape = (height + _TILE_SPARE, width + _TILE_SPARE)
    grain = np.random.default_rng(quarters).normal(0, quarters / _NOISE_STEPS, shape).round()
    return np.clip(grain, 0, 255).astype(np.uint8), np.clip(-grain, 0, 255).astype(np.uint8)


def _with_noise(frame: Luma, noise: float, dice: np.random.Generator) -> Luma:
    quarters = round(noise * _NOISE_STEPS)
    if not quarters:
        return frame
    height, width = frame.shape
    brighter, darker = _noise(width, height, quarters)
    top, left = dice.integers(_TILE_SPARE, size=2)
    place = np.s_[top : top + height, left : left + width]
    cv2.add(frame, brighter[place], dst=frame)
    cv2.subtract(frame, darker[place], dst=frame)
    return frame
