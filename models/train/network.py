"""The donor's graph in PyTorch, to be trained: in floats, or rounded as the int8 file rounds."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.train.donor import LEAST_WEIGHT, Donor, Layer, Range, Weights, quantisation


class Tail(nn.Module):
    """The layers from `first` on: their input (batch x channels x height x width) to pooled features (batch x 1280)."""

    def __init__(self, donor: Donor, first: int) -> None:
        super().__init__()
        self._entry, self._layers = donor.layers[first - 1].output, donor.layers[first:]
        self.convolutions = nn.ModuleDict(
            {
                str(layer.output): _convolution(layer, donor.weights[layer.output])
                for layer in self._layers
                if layer.output in donor.weights
            }
        )
        self.ranges: dict[int, Range] = {}
        """Of each activation; int8 is imitated while there are any."""
        self.seen: dict[int, list[Range]] | None = None
        """Ranges met in each batch, while somebody wants to know."""

    def forward(self, activation: Tensor) -> Tensor:
        values = {self._entry: activation}
        for layer in self._layers:
            values[layer.output] = self._step(layer, values)
        return values[self._layers[-1].output]

    def _step(self, layer: Layer, values: dict[int, Tensor]) -> Tensor:
        first = values[layer.inputs[0]]
        if layer.kind == "add":
            result = first + values[layer.inputs[1]]
        elif layer.kind == "pool":
            result = first.float().mean(dim=(2, 3))
        else:
            result = self._convolve(layer, first)
        if self.seen is not None:
            self.seen.setdefault(layer.output, []).append(_observed(result))
        if self.ranges:
            result = rounded(result, *self.ranges[layer.output])
        return result

    def _convolve(self, layer: Layer, value: Tensor) -> Tensor:
        convolution = self.convolutions[str(layer.output)]
        kernel = rounded_kernel(convolution.weight) if self.ranges else convolution.weight
        padding = (kernel.shape[-1] - 1) // 2
        if layer.stride == 2:  # TensorFlow pads what is missing at the right and below first.
            value, padding = functional.pad(value, (0, 1, 0, 1)), 0
        result = functional.conv2d(value, kernel, convolution.bias, layer.stride, padding, groups=convolution.groups)
        return functional.relu6(result) if layer.relu6 else result

    def weights(self) -> dict[int, Weights]:
        """Return the weights as the file stores them."""
        return {
            int(name): Weights(
                kernel=_stored(convolution.weight, depthwise=convolution.groups > 1),
                bias=convolution.bias.detach().cpu().numpy().astype(np.float32),
            )
            for name, convolution in self.convolutions.items()
        }


def rounded(values: Tensor, low: float, high: float) -> Tensor:
    """Return what int8 keeps of values; the gradient passes inside the range, as if nothing were rounded."""
    scale, zero = quantisation(low, high)
    clipped = values.clamp(scale * (-128 - zero), scale * (127 - zero))
    return clipped + (torch.round(clipped / scale) * scale - clipped).detach()


def rounded_kernel(kernel: Tensor) -> Tensor:
    """Return what int8 keeps of a kernel, with a scale per output channel."""
    scales = kernel.detach().abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(LEAST_WEIGHT) / 127
    return kernel + (torch.round(kernel / scales) * scales - kernel).detach()


def _observed(values: Tensor) -> Range:
    flat = values.detach().float().flatten()
    return float(flat.min()), float(flat.max())


def _convolution(layer: Layer, weights: Weights) -> nn.Conv2d:
    kernel = np.transpose(weights.kernel, (3, 0, 1, 2) if layer.kind == "depthwise" else (0, 3, 1, 2))
    outputs, inputs, size, _ = kernel.shape
    groups = outputs if layer.kind == "depthwise" else 1
    convolution = nn.Conv2d(inputs * groups, outputs, size, layer.stride, groups=groups)
    convolution.weight.data = torch.from_numpy(np.ascontiguousarray(kernel)).contiguous(
        memory_format=torch.channels_last
    )
    convolution.bias.data = torch.from_numpy(weights.bias.copy())  # type: ignore[union-attr]
    return convolution


def _stored(kernel: Tensor, *, depthwise: bool) -> NDArray[np.float32]:
    array = kernel.detach().cpu().numpy().astype(np.float32)
    return np.ascontiguousarray(np.transpose(array, (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)))
