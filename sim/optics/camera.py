"""A camera as a child process: I420 frames on standard output, as `rpicam-vid --codec yuv420 -o -` writes them.

`python -m sim.optics.camera --socket S --cart C --width W --height H --fps N`. The street says what is in view; before
it does, and when it is gone, the camera sees the basket or the last scene.
"""

import argparse
import os
import sys
import time
import zlib

import cv2
import msgspec
import numpy as np

from cart_protocol.host.clock import HostClock
from sim.optics.label import UnprintableError
from sim.optics.scene import EMPTY, View, render, render_colours, seen_at
from sim.wires import notices
from sim.wires.visitor import Visitor

_STANDARD_OUTPUT = 1

_view = msgspec.json.Decoder(View).decode


class CameraEye:
    """What one camera sees, as the street tells it.

    Args:
        width: of the frame, even.
        height: of the frame, even.
        seed: of the sensor's noise.
    """

    def __init__(self, width: int, height: int, seed: int = 1) -> None:
        if width % 2 or height % 2:
            raise ValueError(f"{width}x{height}: I420 needs an even width and height")
        self._width = width
        self._height = height
        self._dice = np.random.default_rng(seed)
        self._view: View = EMPTY

    def show(self, view: View) -> None:
        """Look at this from now on."""
        self._view = view

    def hear(self, notice: notices.FromWorld) -> None:
        """Take a notice of the street."""
        if isinstance(notice, notices.View):
            self.show(_view(notice.scene))

    def frame(self, time_s: float) -> tuple[memoryview, memoryview]:
        """Return one I420 frame at `time_s` (monotonic): luminance, and both chrominance planes."""
        scene = seen_at(self._view, time_s)
        try:
            luma = render(scene, self._width, self._height, self._dice)
        except (UnprintableError, FileNotFoundError) as error:
            sys.stderr.write(f"camera: {error}\n")
            self._view = scene = EMPTY
            luma = render(EMPTY, self._width, self._height, self._dice)
        return luma.data.cast("B"), render_colours(scene, self._width, self._height).data.cast("B")


def run(socket: str, cart: str, width: int, height: int, frames_per_second: int) -> None:
    """Write frames until nobody reads them any more. A frame that comes late is not made up for."""
    cv2.setNumThreads(1)
    clock = HostClock()
    eye = CameraEye(width, height, seed=zlib.crc32(cart.encode()))
    visitor = Visitor(socket, notices.Hello("camera", cart), eye.hear)
    due_us = clock.monotonic_us()
    try:
        while True:
            due_us = max(due_us + 1_000_000 // frames_per_second, clock.monotonic_us())
            time.sleep(max(0, due_us - clock.monotonic_us()) / 1e6)
            for plane in eye.frame(clock.monotonic_us() / 1e6):
                _write(plane)
    except (BrokenPipeError, KeyboardInterrupt):
        pass  # the reader left, or the whole demo was stopped
    finally:
        visitor.close()


def _write(data: memoryview) -> None:
    while data:
        data = data[os.write(_STANDARD_OUTPUT, data) :]


def main() -> None:
    """Run one camera from the command line."""
    parser = argparse.ArgumentParser(
        description="Write the I420 frames of one simulated cart camera to standard output."
    )
    parser.add_argument("--socket", required=True, help="the street: path of the world's socket")
    parser.add_argument("--cart", required=True, help="id of the cart whose camera this is")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--fps", type=int, default=15, help="frames per second")
    given = parser.parse_args()
    run(given.socket, given.cart, given.width, given.height, given.fps)


if __name__ == "__main__":
    main()
