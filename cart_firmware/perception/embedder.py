"""A crop to the pooled features of an int8 network, by LiteRT.

The network gives a grid of features; here they are pooled by a bell about the middle. As the network's last layer,
a convolution as large as its picture, the same took a tenth of the time of a crop (decision 39).
"""

from collections.abc import Sequence

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""Height x width x 3, BGR, as cameras and OpenCV give them."""
Floats = NDArray[np.float32]

MIDDLE = 0.7
"""Standard deviation of the bell by which features are pooled, in halves of a side: what is meant lies in the middle of
a picture, and other goods around it (decision 36)."""


class Embedder:
    """Runs one network. Not for two threads at once.

    Args:
        model: a TensorFlow Lite file: RGB bytes, 1 x side x side x 3, to a square grid of features in
            int8, 1 x places x places x features. Floats are taken, too: measuring compares with them.
        threads: of LiteRT; the cart's other processors are busy with codes.

    Raises:
        ValueError: this is no such file.
    """

    def __init__(self, model: bytes, threads: int = 1) -> None:
        self._interpreter = Interpreter(model_content=model, num_threads=threads)
        self._interpreter.allocate_tensors()
        entry, result = self._interpreter.get_input_details()[0], self._interpreter.get_output_details()[0]
        shape = [int(size) for size in entry["shape"]]
        if len(shape) != 4 or shape[0] != 1 or shape[1] != shape[2] or shape[3] != 3 or entry["dtype"] != np.uint8:
            raise ValueError(f"the network takes {entry['dtype'].__name__} {shape}, not uint8 [1, side, side, 3]")
        grid = [int(size) for size in result["shape"]]
        if len(grid) != 4 or grid[0] != 1 or grid[1] != grid[2]:
            raise ValueError(f"the network gives {grid}, not a square grid of features [1, places, places, features]")
        self._bell = about_the_middle(grid[1]).reshape(-1)
        self._entry, self._result = entry["index"], result["index"]
        scale, zero = result["quantization"] if result["dtype"] == np.int8 else (1.0, 0)
        self._scale, self._zero = np.float32(scale), int(zero)
        self.side = shape[1]
        """Height and width of what the network sees, in pixels."""
        self.width = grid[3]
        """Number of features."""

    def features(self, crop: Picture) -> Floats:
        """Return the features of the largest square about a crop's middle. Equal crops have equal features."""
        self._interpreter.set_tensor(self._entry, seen(crop, self.side)[None])
        self._interpreter.invoke()
        grid = self._interpreter.get_tensor(self._result).reshape(-1, self.width)
        return np.asarray((self._bell @ grid.astype(np.float32) - self._zero) * self._scale, np.float32)

    def all_features(self, crops: Sequence[Picture]) -> Floats:
        """Return crops x features."""
        return np.stack([self.features(crop) for crop in crops]) if crops else np.zeros((0, self.width), np.float32)


def about_the_middle(places: int) -> Floats:
    """Return how much each place of a grid (places x places) weighs when features are pooled; they add up to one."""
    away = (np.arange(places) - (places - 1) / 2) / (places / 2)
    bell = np.exp(-((away / MIDDLE) ** 2) / 2)
    weights = np.outer(bell, bell)
    return np.asarray(weights / weights.sum(), np.float32)


def seen(crop: Picture, side: int) -> Picture:
    """Return the largest square about a crop's middle in RGB, scaled to `side` pixels; averaged where it gets smaller.

    Raises:
        ValueError: this is no picture in three colours.
    """
    if crop.ndim != 3 or crop.shape[2] != 3 or not crop.size:
        raise ValueError(f"a crop of shape {crop.shape}: expected height x width x 3 (BGR), at least one pixel")
    height, width = crop.shape[:2]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    way = cv2.INTER_AREA if least > side else cv2.INTER_LINEAR
    square = cv2.resize(crop[top : top + least, left : left + least], (side, side), interpolation=way)
    return np.asarray(cv2.cvtColor(square, cv2.COLOR_BGR2RGB), np.uint8)
