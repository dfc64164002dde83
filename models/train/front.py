"""The donor's first layers: they stay as they are, and run in int8 by LiteRT, as on the cart."""

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from torch import Tensor

from models.train.donor import Donor


class Front:
    """Pictures to the activation that training begins with. Ten times as fast as PyTorch, and rounded as it will be."""

    def __init__(self, donor: Donor, layers: int) -> None:
        self._donor, self._layers = donor, layers
        self._interpreters: dict[int, Interpreter] = {}

    def __call__(self, pictures: NDArray[np.uint8]) -> Tensor:
        """Return batch x channels x height x width for a batch x side x side x 3, RGB."""
        interpreter = self._interpreter(pictures.shape[1])
        entry, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]
        found = np.empty((len(pictures), *result["shape"][1:]), np.int8)
        for place, picture in enumerate(pictures):
            interpreter.set_tensor(entry, picture[None])
            interpreter.invoke()
            found[place] = interpreter.get_tensor(result["index"])[0]
        scale, zero = result["quantization"]
        return torch.from_numpy((found.astype(np.float32) - zero) * np.float32(scale)).permute(0, 3, 1, 2)

    def _interpreter(self, side: int) -> Interpreter:
        if side not in self._interpreters:
            interpreter = Interpreter(model_content=self._donor.front(self._layers, side), num_threads=1)
            interpreter.allocate_tensors()
            self._interpreters[side] = interpreter
        return self._interpreters[side]
