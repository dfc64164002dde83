"""A bench to put a cart's program on: an HX711 on a fake SPI bus and a camera's pipe, both led by files."""

import sys
import time
from pathlib import Path

import numpy as np
import zxingcpp

from sim.chips.hx711 import HX711Chip

WIDTH, HEIGHT, FRAMES_PER_SECOND = 640, 480, 15
_MILLIVOLTS_PER_GRAM = 10 / 50_000
"""A 50 kg cell of 2 mV/V at 5 V."""


class FileBus:
    """An SPI bus with an HX711 whose bridge is loaded with the grams that a file says."""

    max_speed_hz = 1_000_000

    def __init__(self, file: str) -> None:
        self._file = Path(file)
        self._now_s = time.monotonic()
        self._chip = HX711Chip(self._millivolts, lambda: self._now_s)

    def xfer2(self, data: list[int]) -> list[int]:
        self._now_s = max(self._now_s, time.monotonic())
        return [self._byte(value) for value in data]

    def close(self) -> None:
        pass

    def _byte(self, value: int) -> int:
        read = 0
        for shift in range(7, -1, -1):
            self._chip.pd_sck(value >> shift & 1)
            self._now_s += 5e-7
            read = read << 1 | self._chip.dout()
            self._now_s += 5e-7
        return read

    def _millivolts(self, _: float) -> float:
        return float(self._file.read_text() or 0) * _MILLIVOLTS_PER_GRAM


def connect(file: str) -> FileBus:
    return FileBus(file)


def film(file: Path) -> None:
    """Write I420 frames of the EAN-13 code that a file says, or of nothing, to standard output."""
    while True:
        frame = np.full((HEIGHT, WIDTH), 200, np.uint8)
        if code := file.read_text():
            drawn = np.array(zxingcpp.create_barcode(code, zxingcpp.BarcodeFormat.EAN13).to_image(scale=3))
            frame[100 : 100 + drawn.shape[0], 50 : 50 + drawn.shape[1]] = drawn
        sys.stdout.buffer.write(frame.tobytes() + bytes([128]) * (WIDTH * HEIGHT // 2))
        sys.stdout.buffer.flush()
        time.sleep(1 / FRAMES_PER_SECOND)


if __name__ == "__main__":
    film(Path(sys.argv[1]))
