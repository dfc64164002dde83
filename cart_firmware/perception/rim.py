"""The line over which hands reach into the cart, in a picture."""

import msgspec
import numpy as np
from numpy.typing import NDArray

Distances = NDArray[np.float32]


class Rim(msgspec.Struct, frozen=True):
    """A straight line through two points, in shares of the picture's width and height; inside is to its left.

    Whoever goes from the first point to the second has the inside of the cart on the left: from left to right, it is
    what is above the line.
    """

    from_x: float = 0.0
    from_y: float = 0.69
    to_x: float = 1.0
    to_y: float = 0.69

    def depth(self, width: int, height: int) -> Distances:
        """Return how far inside each pixel is, in pixels; outside it is negative.

        Raises:
            ValueError: the two points are one.
        """
        along = np.array([(self.to_x - self.from_x) * width, (self.to_y - self.from_y) * height])
        length = float(np.hypot(*along))
        if length < 1:
            raise ValueError(f"a rim from ({self.from_x}, {self.from_y}) to itself; name two points of the line")
        columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        across = along[1] * (columns - self.from_x * width) - along[0] * (rows - self.from_y * height)
        return np.asarray(across / length, np.float32)

    def along(self, width: int, height: int) -> Distances:
        """Return how far along the line each pixel is, in pixels, from the first point's foot on."""
        right, down = self.inward(width, height)
        columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        return np.asarray(rows * right - columns * down, np.float32)

    def inward(self, width: int, height: int) -> tuple[float, float]:
        """Return the direction inwards, of length one, in pixels right and down."""
        along = np.array([(self.to_x - self.from_x) * width, (self.to_y - self.from_y) * height])
        right, down = along / np.hypot(*along)
        return float(down), -float(right)
