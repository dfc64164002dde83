"""What `cart-firmware camera` shows: a table on the terminal, and pictures with what the reader saw drawn into them."""

from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table

from cart_firmware.perception.camera_advice import Grade, Look, Verdict
from cart_firmware.perception.picture_quality import Luma
from cart_firmware.perception.rim import Rim
from cart_protocol.host.clock import Clock
from cart_protocol.host.configuration import ConfigurationError

_STYLE = {Grade.GOOD: "green", Grade.WEAK: "yellow", Grade.BAD: "bold red"}
_READ, _UNREAD = (0, 200, 0), (0, 140, 255)
"""Colours (blue, green, red) of the outline of what was read, and of what only looks like a code."""
_RIM = (255, 160, 0)
_EVERY_US = 1_000_000
_MOST = 100


def table(verdict: Verdict) -> Table:
    """Return what was found, one line for each, for a terminal."""
    shown = Table(title=_summary(verdict), box=box.SIMPLE, title_justify="left", show_header=False)
    for finding in verdict.findings:
        style = _STYLE[finding.grade]
        shown.add_row(finding.topic, f"[{style}]{finding.grade.value}[/]", finding.said)
    return shown


def plain(verdict: Verdict) -> str:
    """Return the same without colours or columns, and whether it will do."""
    lines = [f"{each.topic}: {each.grade.value}: {each.said}" for each in verdict.findings]
    ending = (
        "the camera will do" if verdict.passed else "the camera will not do yet: change what is bad, best from the top"
    )
    return "\n".join([_summary(verdict), *lines, ending])


def _summary(verdict: Verdict) -> str:
    counted = f"{verdict.frames} pictures, {verdict.in_view} with a code in view, {verdict.read} read"
    return f"{counted}: {', '.join(verdict.texts)}" if verdict.texts else counted


class Album:
    """Keeps a picture a second in a folder, the code's outline and what was found drawn in; the first hundred.

    Args:
        folder: is made where there is none.
        clock: for the second.
        rim: drawn in, where hands are watched.

    Raises:
        ConfigurationError: nothing can be written there.
    """

    def __init__(self, folder: Path, clock: Clock, rim: Rim | None = None) -> None:
        self._folder, self._clock, self._rim = folder, clock, rim
        self._kept = 0
        self._due_us = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"--save {folder}: {error.strerror}; name a folder we may write to") from error

    def show(self, luma: Luma, look: Look, verdict: Verdict) -> None:
        """Keep this picture, if it is time for one."""
        if self._kept >= _MOST or self._clock.monotonic_us() < self._due_us:
            return
        self._kept += 1
        self._due_us = self._clock.monotonic_us() + _EVERY_US
        path = self._folder / f"camera-{self._kept:03}.png"
        if not cv2.imwrite(str(path), drawn(luma, look, verdict, self._rim)):
            raise ConfigurationError(f"--save {path}: cannot be written; is the disk full?")


def drawn(luma: Luma, look: Look, verdict: Verdict, rim: Rim | None = None) -> NDArray[np.uint8]:
    """Return a picture in colour with the code's outline, its text, what is not good, and the rim."""
    picture = cv2.cvtColor(luma, cv2.COLOR_GRAY2BGR)
    if rim is not None:
        _draw_rim(picture, rim)
    colour = _READ if look.text else _UNREAD
    if look.corners:
        outline = np.array(look.corners).round().astype(np.int32)
        cv2.polylines(picture, [outline], isClosed=True, color=colour, thickness=2)
        _write(picture, look.text or "not read", (int(outline[:, 0].min()), int(outline[:, 1].min()) - 6), colour)
    wrong = [f"{each.topic}: {each.grade.value}" for each in verdict.findings if each.grade is not Grade.GOOD]
    for number, line in enumerate([_summary(verdict), *wrong]):
        _write(picture, line, (6, 18 + 20 * number), (255, 255, 255))
    return cast("NDArray[np.uint8]", picture)


def _draw_rim(picture: "cv2.typing.MatLike", rim: Rim) -> None:
    """Draw the line over which hands come, and on which side the inside of the cart is."""
    height, width = picture.shape[:2]
    ends = [(round(x * width), round(y * height)) for x, y in ((rim.from_x, rim.from_y), (rim.to_x, rim.to_y))]
    right, down = rim.inward(width, height)
    middle = ((ends[0][0] + ends[1][0]) // 2, (ends[0][1] + ends[1][1]) // 2)
    inwards = (round(middle[0] + 40 * right), round(middle[1] + 40 * down))
    cv2.line(picture, ends[0], ends[1], _RIM, 2)
    cv2.arrowedLine(picture, middle, inwards, _RIM, 2)
    _write(picture, "inside", (inwards[0] + 6, inwards[1]), _RIM)


def _write(picture: "cv2.typing.MatLike", line: str, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    legible = line.encode("ascii", "replace").decode()
    at = (place[0], max(14, place[1]))
    for thickness, ink in ((3, (0, 0, 0)), (1, colour)):
        cv2.putText(picture, legible, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, ink, thickness, cv2.LINE_AA)
