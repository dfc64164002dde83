"""A network as an int8 TensorFlow Lite file, written by ourselves.

Schema: TensorFlow Lite's schema.fbs; int8 arithmetic: "TensorFlow Lite 8-bit quantization specification".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from models.train.donor import PICTURE, PICTURE_SCALE, PICTURE_ZERO, Floats, Layer, Range, Weights

LEAST_WEIGHT = 1e-4
"""For which a channel without weights is taken; smaller, and a bias of 6 would not fit into 32 bits."""
_MOST = 2**31 - 1
_OPERATORS = {
    "conv": (schema.BuiltinOperator.CONV_2D, 3),
    "depthwise": (schema.BuiltinOperator.DEPTHWISE_CONV_2D, 3),
    "add": (schema.BuiltinOperator.ADD, 2),
    "entry": (schema.BuiltinOperator.QUANTIZE, 1),
    "entry in floats": (schema.BuiltinOperator.DEQUANTIZE, 1),
}
"""Code and version of each; the versions are the first that know int8 with a scale per channel."""


def network_file(
    layers: Sequence[Layer], weights: Mapping[int, Weights], ranges: Mapping[int, Range] | None, side: int
) -> bytes:
    """Return the file: RGB bytes, 1 x side x side x 3, to the int8 output of the last layer.

    Args:
        layers: of the graph, in order.
        weights: of its convolutions, by their output.
        ranges: of the outputs of its layers; without, the file computes in floats, to be compared with.
        side: of the picture, in pixels.
    """
    return _Writer(weights, ranges, side).written(layers)


def quantisation(low: float, high: float) -> tuple[float, int]:
    """Return scale and zero point with which int8 covers a range; zero is always met exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    return scale, round(-128 - low / scale)


def kernel_scales(kernel: Floats) -> Floats:
    """Return the scale of each output channel, so that its largest weight is 127 (of a depthwise kernel: last axis).

    A channel without weights has a bias all the same, which has to fit into 32 bits at this scale.
    """
    axes = (1, 2, 3) if kernel.shape[0] > 1 else (0, 1, 2)
    return np.asarray(np.maximum(np.abs(kernel).max(axis=axes), LEAST_WEIGHT) / 127, np.float32)


class _Writer:
    """Adds tensors and operators to one graph."""

    def __init__(self, weights: Mapping[int, Weights], ranges: Mapping[int, Range] | None, side: int) -> None:
        self._weights, self._ranges = weights, ranges
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._buffers = [schema.BufferT()]
        self._codes: dict[str, int] = {}
        self._scale: dict[int, float] = {}
        self._shape: dict[int, list[int]] = {}
        self._tensor_of: dict[int, int] = {}
        shape = [1, side, side, 3]
        picture = self._tensor("picture", schema.TensorType.UINT8, shape, [PICTURE_SCALE], PICTURE_ZERO)
        self._graph.inputs = [picture]
        entry = self._activation(PICTURE, shape, PICTURE_SCALE, PICTURE_ZERO - 128)
        self._operator("entry in floats" if ranges is None else "entry", [picture], entry)

    def written(self, layers: Sequence[Layer]) -> bytes:
        for layer in layers:
            self._add(layer)
        self._graph.outputs = [self._tensor_of[layers[-1].output]]
        model = schema.ModelT()
        model.version, model.description = 3, "cartwright"
        model.subgraphs, model.buffers, model.operatorCodes = [self._graph], self._buffers, []
        for kind in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode, code.version = _OPERATORS[kind]
            code.deprecatedBuiltinCode = code.builtinCode
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(1 << 22)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _add(self, layer: Layer) -> None:
        sources = [self._tensor_of[number] for number in layer.inputs]
        batch, height, width, channels = self._shape[layer.inputs[0]]
        options: Any = None
        if layer.kind == "add":
            options, kind = schema.AddOptionsT(), schema.BuiltinOptions.AddOptions
        else:
            weights = self._weights[layer.output]
            options, kind = _convolution_options(layer)
            sources += self._stored(layer, weights)
            height, width = (-(-size // layer.stride) for size in (height, width))
            channels = len(weights.bias)
        shape = [batch, height, width, channels]
        low_and_high = (0.0, 1.0) if self._ranges is None else self._ranges[layer.output]
        output = self._activation(layer.output, shape, *quantisation(*low_and_high))
        self._operator(layer.kind, sources, output, options, kind)

    def _stored(self, layer: Layer, weights: Weights) -> list[int]:
        """Return the tensors of rounded weights and biases."""
        kernel, biases = weights.kernel, weights.bias
        if self._ranges is None:
            return [
                self._constant(f"{name} {layer.output}", schema.TensorType.FLOAT32, values)
                for name, values in (("kernel", kernel), ("bias", biases))
            ]
        scales = kernel_scales(kernel)
        along, axis = ((-1, 1, 1, 1), 0) if layer.kind == "conv" else ((1, 1, 1, -1), 3)
        rounded = np.clip(np.round(kernel / scales.reshape(along)), -127, 127).astype(np.int8)
        bias_scales = scales.astype(np.float64) * self._scale[layer.inputs[0]]
        bias = np.clip(np.round(biases / bias_scales), -_MOST, _MOST).astype(np.int32)
        return [
            self._constant(f"kernel {layer.output}", schema.TensorType.INT8, rounded, scales, axis),
            self._constant(f"bias {layer.output}", schema.TensorType.INT32, bias, bias_scales),
        ]

    def _activation(self, number: int, shape: list[int], scale: float, zero: int) -> int:
        self._scale[number], self._shape[number] = scale, shape
        floats = self._ranges is None
        kind = schema.TensorType.FLOAT32 if floats else schema.TensorType.INT8
        self._tensor_of[number] = self._tensor(f"activation {number}", kind, shape, [] if floats else [scale], zero)
        return self._tensor_of[number]

    def _constant(
        self, name: str, kind: int, values: NDArray[Any], scales: NDArray[Any] | None = None, axis: int = 0
    ) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self._buffers.append(buffer)
        place = self._tensor(name, kind, list(values.shape), [] if scales is None else scales, 0, axis=axis)
        self._graph.tensors[place].buffer = len(self._buffers) - 1
        return place

    def _tensor(self, name: str, kind: int, shape: list[int], scales: Any, zero: int, *, axis: int = 0) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape, tensor.buffer = name, kind, shape, 0
        if len(scales):
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.asarray(scales, np.float32)
            tensor.quantization.zeroPoint = np.full(len(scales), zero, np.int64)
            tensor.quantization.quantizedDimension = axis
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _operator(self, name: str, inputs: list[int], output: int, options: Any = None, kind: int = 0) -> None:
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault(name, len(self._codes))
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self._graph.operators.append(operator)


def _convolution_options(layer: Layer) -> tuple[Any, int]:
    if layer.kind != "conv":
        options, kind = schema.DepthwiseConv2DOptionsT(), schema.BuiltinOptions.DepthwiseConv2DOptions
        options.depthMultiplier = 1
    else:
        options, kind = schema.Conv2DOptionsT(), schema.BuiltinOptions.Conv2DOptions
    options.padding = schema.Padding.SAME
    options.strideW = options.strideH = layer.stride
    options.dilationWFactor = options.dilationHFactor = 1
    activation = schema.ActivationFunctionType
    options.fusedActivationFunction = activation.RELU6 if layer.relu6 else activation.NONE
    return options, kind
