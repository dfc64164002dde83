"""The donor: EfficientNet-Lite0 with ImageNet's weights, as convolutions with the batch norms folded in.

The network: R. Liu, "EfficientNet-Lite" (tensorflow/tpu, models/official/efficientnet/lite); its stages: M. Tan,
Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, table 1.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Range = tuple[float, float]
"""Least and greatest value of an activation."""

PICTURE = 0
"""Number of the activation that holds the picture."""
PICTURE_SCALE, PICTURE_ZERO = 1 / 128, 127
"""A byte b of the picture stands for (b - 127) / 128 (lite's main.py: MEAN_RGB, STDDEV_RGB)."""
_SMALL = 1e-3
"""Added to the variance by every batch norm."""
_STAGES = ((1, 1, 1), (2, 2, 6), (2, 2, 6), (3, 2, 6), (3, 1, 6), (4, 2, 6), (1, 1, 6))
"""Blocks, stride of the first, and expansion, of each stage."""


class Layer(msgspec.Struct, frozen=True):
    """One operator. Activations are numbered from the picture on."""

    kind: Literal["conv", "depthwise", "add"]
    inputs: tuple[int, ...]
    output: int
    stride: int = 1
    relu6: bool = False


class Weights(msgspec.Struct):
    """Of one convolution: out x height x width x in (depthwise: 1 x height x width x channels), and one bias each."""

    kernel: Floats
    bias: Floats


class Donor(msgspec.Struct, frozen=True):
    """A graph that ends with a grid of features, and its convolutions by their output."""

    layers: tuple[Layer, ...]
    weights: dict[int, Weights]


def folded(stored: Mapping[str, NDArray[np.generic]]) -> Donor:
    """Return graph and weights of what PyTorch stored of EfficientNet-Lite0. Raises KeyError: a weight is missing."""
    layers: list[Layer] = []
    weights: dict[int, Weights] = {}

    def then(source: int, convolution: str, norm: str, stride: int = 1, *, relu6: bool = True) -> int:
        kernel = np.asarray(stored[f"{convolution}.weight"], np.float64)
        gain, shift, mean, variance = (
            np.asarray(stored[f"{norm}.{part}"], np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        gain = gain / np.sqrt(variance + _SMALL)
        depthwise = convolution.endswith("_depthwise_conv")
        kernel = kernel * gain[:, None, None, None]
        output = len(layers) + 1
        weights[output] = Weights(
            np.ascontiguousarray(np.transpose(kernel, (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)), np.float32),
            np.asarray(shift - mean * gain, np.float32),
        )
        layers.append(Layer("depthwise" if depthwise else "conv", (source,), output, stride, relu6))
        return output

    last = then(PICTURE, "_conv_stem", "_bn0", 2)
    for number, (stride, expansion, again) in enumerate(_blocks()):
        name, entry = f"_blocks.{number}", last
        if expansion > 1:
            last = then(last, f"{name}._expand_conv", f"{name}._bn0")
        last = then(last, f"{name}._depthwise_conv", f"{name}._bn1", stride)
        last = then(last, f"{name}._project_conv", f"{name}._bn2", relu6=False)
        if again:
            layers.append(Layer("add", (last, entry), len(layers) + 1))
            last = len(layers)
    then(last, "_conv_head", "_bn1")
    return Donor(tuple(layers), weights)


def _blocks() -> list[tuple[int, int, bool]]:
    """Return stride and expansion of every block, and whether its input is added to its result."""
    return [
        (1 if again else stride, expansion, bool(again))
        for blocks, stride, expansion in _STAGES
        for again in range(blocks)
    ]
