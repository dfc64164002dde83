"""What a cart's camera sees while nobody shows it anything, and while somebody does: frames made from a seed.

Idle frames look at a shelf over a floor, a little out of focus; busy ones are the simulator's hand that holds up packs.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from sim.optics.label import Label, Symbology
from sim.optics.scene import EMPTY, Pass, Scene, render

Picture = NDArray[np.uint8]
Frames = Iterator[Picture]

FRAMES_PER_SECOND = 20
NOISE = 2.5
"""Standard deviation of the sensor's noise, in grey levels, fresh in every frame: a small sensor in shop light."""
_SLIDE_SHARE = 0.018
"""Share of the frame's width by which the view of a pushed cart moves in a frame: 0.5 m/s before a view of 1.4 m."""
_PACKS = (
    Label("400638133393", Symbology.EAN13, "PENS"),
    Label("9638507", Symbology.EAN8, "MINTS"),
    Label("03600029145", Symbology.UPCA, "TISSUES"),
    Label("0123456", Symbology.UPCE, "COLA"),
    Label("(01)04012345678901", Symbology.DATABAR, "PEARS"),
    Label("(01)90614141000015(3103)000482(15)270131", Symbology.DATABAR_EXPANDED, "CHEESE", ("0.482 kg",)),
    Label("https://id.example.org/01/04006381333931/10/A7", Symbology.QR, "PENS"),
    Label("(01)04012345678901", Symbology.CODE128, "CASE"),
)
_PASS_S, _PAUSE_S = 1.6, 0.4
_MODULE_PX = 2.4
"""At 640 columns; a wider frame is a finer picture of the same view."""


def idle_still(width: int, height: int, frames: int, seed: int) -> Frames:
    """Yield one view over and over: a cart at rest."""
    dice = np.random.default_rng(seed)
    view = _aisle(width, height, width, dice)
    for _ in range(frames):
        yield _noisy(view, dice)


def idle_moving(width: int, height: int, frames: int, seed: int) -> Frames:
    """Yield a view that slides by: a cart on its way."""
    dice = np.random.default_rng(seed)
    step = round(width * _SLIDE_SHARE)
    view = _aisle(width, height, width + step * frames, dice)
    for number in range(frames):
        yield _noisy(view[:, number * step : number * step + width], dice)


def busy(width: int, height: int, frames: int, seed: int) -> Frames:
    """Yield hands that hold up one pack after the other, tilted, trembling and blurred as hands do."""
    dice = np.random.default_rng(seed)
    for number in range(frames):
        turn, at_s = divmod(number / FRAMES_PER_SECOND, _PASS_S + _PAUSE_S)
        held = Scene(label=_PACKS[int(turn) % len(_PACKS)], module_px=_MODULE_PX * width / 640, noise=NOISE)
        view = Pass(scene=held, at_s=0.0, duration_s=_PASS_S, seed=seed + int(turn))
        scene = view.at(at_s) if at_s < _PASS_S else EMPTY
        yield render(scene, width, height, dice)


SCENES: dict[str, Callable[[int, int, int, int], Frames]] = {
    "idle, still": idle_still,
    "idle, moving": idle_moving,
    "busy": busy,
}
"""Each called with width, height, the number of frames, and a seed."""


def _aisle(frame_width: int, height: int, width: int, dice: np.random.Generator) -> Picture:
    """Return so wide a stretch of shelf over floor, as a camera of this frame sees it."""
    view = np.empty((height, width), np.uint8)
    rail = height // 22
    boards = np.linspace(0, height * 0.72, 4).astype(int)
    for top, foot in pairwise(boards):
        _stock(view[top : foot - rail], frame_width, dice)
        _price_rail(view[foot - rail : foot], frame_width, dice)
    _pave(view[boards[-1] :], dice)
    shade = np.linspace(1.05, 0.7, height)[:, None]
    blurred = cv2.GaussianBlur(view, (0, 0), 1.2 * frame_width / 640)  # a shelf is farther away than the focus
    return np.clip(blurred * shade, 0, 255).astype(np.uint8)


def _stock(board: Picture, frame_width: int, dice: np.random.Generator) -> None:
    """Fill a board with packs: rows of equal ones, each with its print."""
    at, (height, width) = 0, board.shape
    while at < width:
        pack_width, pack_height = frame_width // int(dice.integers(7, 16)), int(height * dice.uniform(0.7, 1.0))
        ground, ink = (int(tone) for tone in dice.integers(40, 230, 2))
        name = "".join(chr(letter) for letter in dice.integers(65, 91, int(dice.integers(4, 9))))
        board[:, at:] = 35
        for _ in range(int(dice.integers(1, 6))):
            pack = board[height - pack_height :, at : at + pack_width]
            pack[:] = ground
            _print(pack, name, ink)
            cv2.rectangle(pack, (0, 0), (pack_width, pack.shape[0]), 20, max(1, frame_width // 640))
            at += pack_width + 2


def _print(pack: Picture, name: str, ink: int) -> None:
    size = pack.shape[1] / (20 * len(name))
    for row, scale in ((0.3, 1.0), (0.45, 0.6), (0.6, 0.6), (0.85, 0.5)):
        place = (pack.shape[1] // 20, int(pack.shape[0] * row))
        cv2.putText(pack, name, place, cv2.FONT_HERSHEY_SIMPLEX, size * scale, ink, 1, cv2.LINE_AA)


def _price_rail(rail: Picture, frame_width: int, dice: np.random.Generator) -> None:
    rail[:] = 205
    for at in range(0, rail.shape[1], frame_width // 8):
        ticket = rail[2:-2, at + 4 : at + frame_width // 12]
        ticket[:] = 245
        price = f"{dice.integers(0, 20)}.{dice.integers(10, 99)}"
        cv2.putText(ticket, price, (2, ticket.shape[0] - 4), cv2.FONT_HERSHEY_SIMPLEX, rail.shape[0] / 40, 30, 1)


def _pave(floor: Picture, dice: np.random.Generator) -> None:
    """Speckled tiles with joints."""
    floor[:] = np.clip(dice.normal(150, 18, floor.shape), 0, 255).astype(np.uint8)
    for at in range(0, floor.shape[1], max(1, floor.shape[0] * 2 // 3)):
        cv2.line(floor, (at, 0), (at - floor.shape[0], floor.shape[0]), 105, 2)


def _noisy(view: Picture, dice: np.random.Generator) -> Picture:
    grain = dice.normal(0, NOISE, view.shape).astype(np.float32)
    return np.asarray(np.clip(view + grain, 0, 255).round(), np.uint8)
