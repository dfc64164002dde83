"""A camera's program: writes I420 pictures of an empty counter, then of a fruit that is turned every second.

With the name of a file, the fruit lies as that file says: the number of its side, or nothing.
"""

import sys
import time
from pathlib import Path

import cv2
import numpy as np

from tests.cart_firmware.test_lesson import fruit, table

FRAMES_PER_SECOND = 10
WIDTH, HEIGHT = 320, 240


def i420(picture: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> bytes:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)).tobytes()


def main(file: Path | None) -> None:
    """Write until nobody reads any more."""
    for number in range(1_000_000):
        said = file.read_text(encoding="utf-8").strip() if file else str(number // FRAMES_PER_SECOND - 1)
        turn = int(said or -1)
        sys.stdout.buffer.write(i420(table(number) if turn < 0 else fruit(turn, seed=number)))
        sys.stdout.buffer.flush()
        time.sleep(1 / FRAMES_PER_SECOND)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
