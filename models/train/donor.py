"""The donor's flatbuffer: its convolutions as float arrays, and a new int8 file from retrained ones.

The graph stays the donor's, up to the pooled features; only weights, scales and the side of the picture change. Schema:
TensorFlow Lite's schema.fbs; int8 arithmetic: "TensorFlow Lite 8-bit quantization specification".
"""

import math
from typing import Any, Literal

import flatbuffers
import msgspec
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Range = tuple[float, float]
"""Least and greatest value of an activation."""

_OPERATORS = {
    schema.BuiltinOperator.CONV_2D: "conv",
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: "depthwise",
    schema.BuiltinOperator.ADD: "add",
    schema.BuiltinOperator.MEAN: "pool",
}
LEAST_WEIGHT = 1e-4
"""For which a channel without weights is taken; smaller, and a bias of 6 would not fit into 32 bits."""
_RELU6 = int(schema.ActivationFunctionType.RELU6)


class Layer(msgspec.Struct, frozen=True):
    """One operator. Activations are named by the donor's numbers of their tensors."""

    kind: Literal["conv", "depthwise", "add", "pool"]
    inputs: tuple[int, ...]
    output: int
    stride: int = 1
    relu6: bool = False


class Weights(msgspec.Struct):
    """Of one convolution: out x height x width x in (depthwise: 1 x height x width x channels), and one bias each."""

    kernel: Floats
    bias: Floats


class Donor:
    """A MobileNet as TensorFlow Lite file, int8 with a scale per channel. Raises ValueError for other operators."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        graph = model.subgraphs[0]
        self.side = int(graph.tensors[graph.inputs[0]].shape[1])
        """Height and width of the picture, in pixels."""
        entry = graph.operators[0]
        self.entry = int(entry.outputs[0])
        """The activation that holds the picture."""
        self.picture = _scale_and_zero(graph.tensors[entry.inputs[0]])
        """Scale and zero point of a byte of the picture."""
        self.layers = _layers(model)
        self.weights = _all_weights(model)

    def ranges(self) -> dict[int, Range]:
        """Return the range of every activation, as the donor was calibrated."""
        tensors = schema.ModelT.InitFromPackedBuf(self._content, 0).subgraphs[0].tensors
        return {number: _range(*_scale_and_zero(tensors[number])) for number in self.activations()}

    def activations(self) -> tuple[int, ...]:
        """Return the picture and every layer's output, in order."""
        return self.entry, *(layer.output for layer in self.layers)

    def front(self, layers: int, side: int) -> bytes:
        """Return an int8 file of the first layers alone, as they are, for pictures of `side` pixels."""
        return self._file({}, {}, side, self.layers[layers - 1].output)

    def retrained(self, weights: dict[int, Weights], ranges: dict[int, Range], side: int) -> bytes:
        """Return an int8 file that ends with the pooled features.

        Args:
            weights: of the convolutions that are not the donor's any more, by their output.
            ranges: of the activations whose range is not the donor's any more.
            side: of the picture, in pixels; a multiple of 32.
        """
        return self._file(weights, ranges, side, self.layers[-1].output)

    def _file(self, weights: dict[int, Weights], ranges: dict[int, Range], side: int, last: int) -> bytes:
        if side % 32:
            raise ValueError(f"pictures of {side} px: the network halves them five times; take a multiple of 32")
        model = schema.ModelT.InitFromPackedBuf(self._content, 0)
        graph = model.subgraphs[0]
        for number, reach in ranges.items():
            scale, zero = quantisation(*reach)
            _set_scales(graph.tensors[number], np.array([scale]), zero)
        for number in (graph.inputs[0], *self.activations()):
            shape = graph.tensors[number].shape
            graph.tensors[number].shape = [1, *(_scaled(each, side, self.side) for each in shape[1:3]), shape[3]]
        for operator in graph.operators:
            if int(operator.outputs[0]) in weights:
                _store(model, operator, weights[int(operator.outputs[0])])
        _cut(model, last)
        builder = flatbuffers.Builder(1 << 22)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


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


def _range(scale: float, zero: int) -> Range:
    return scale * (-128 - zero), scale * (127 - zero)


def _scaled(pixels: int, side: int, side_before: int) -> int:
    return math.ceil(int(pixels) * side / side_before)


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _layers(model: Any) -> list[Layer]:
    found: list[Layer] = []
    for operator in model.subgraphs[0].operators[1:]:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = _OPERATORS.get(max(code.builtinCode, code.deprecatedBuiltinCode))
        if kind is None:
            raise ValueError(
                f"operator {code.builtinCode} in the donor: only convolutions, sums and one pooling are known"
            )
        options, ways = operator.builtinOptions, 2 if kind == "add" else 1
        convolution = kind in {"conv", "depthwise"}
        found.append(
            Layer(
                kind=kind,  # type: ignore[arg-type]
                inputs=tuple(int(number) for number in operator.inputs[:ways]),
                output=int(operator.outputs[0]),
                stride=int(options.strideH) if convolution else 1,
                relu6=convolution and int(options.fusedActivationFunction) == _RELU6,
            )
        )
        if kind == "pool":
            return found
    raise ValueError("the donor pools nowhere: it is no MobileNet")


def _all_weights(model: Any) -> dict[int, Weights]:
    graph = model.subgraphs[0]
    kept = {layer.output for layer in _layers(model) if layer.kind in {"conv", "depthwise"}}
    return {
        int(operator.outputs[0]): Weights(*(_floats(model, graph.tensors[number]) for number in operator.inputs[1:3]))
        for operator in graph.operators
        if int(operator.outputs[0]) in kept
    }


def _floats(model: Any, tensor: Any) -> Floats:
    kinds = {schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32}
    raw = bytes(model.buffers[tensor.buffer].data)
    values = np.frombuffer(raw, kinds[tensor.type]).reshape(tensor.shape).astype(np.float32)
    shape = [1] * values.ndim
    shape[tensor.quantization.quantizedDimension] = -1
    return values * np.asarray(tensor.quantization.scale, np.float32).reshape(shape)


def _scale_and_zero(tensor: Any) -> tuple[float, int]:
    return float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _store(model: Any, operator: Any, weights: Weights) -> None:
    """Put rounded weights and biases into the tensors of a convolution; its input has its scale already."""
    source, kernel, bias = (model.subgraphs[0].tensors[number] for number in operator.inputs)
    scales = kernel_scales(weights.kernel)
    along = (-1, 1, 1, 1) if weights.kernel.shape[0] > 1 else (1, 1, 1, -1)
    rounded = np.clip(np.round(weights.kernel / scales.reshape(along)), -127, 127).astype(np.int8)
    _fill(model, kernel, rounded, scales)
    bias_scales = scales.astype(np.float64) * _scale_and_zero(source)[0]
    most = 2**31 - 1
    _fill(model, bias, np.clip(np.round(weights.bias / bias_scales), -most, most).astype(np.int32), bias_scales)


def _fill(model: Any, tensor: Any, values: NDArray[Any], scales: NDArray[Any]) -> None:
    model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    _set_scales(tensor, scales, 0)


def _set_scales(tensor: Any, scales: NDArray[Any], zero: int) -> None:
    quantisation = tensor.quantization
    quantisation.scale = np.asarray(scales, np.float32)
    quantisation.zeroPoint = np.full(len(scales), zero, np.int64)
    quantisation.min = quantisation.max = None


def _cut(model: Any, output: int) -> None:
    """Drop what comes after an activation, and every tensor, buffer and note that nothing needs any more."""
    graph = model.subgraphs[0]
    last = next(at for at, operator in enumerate(graph.operators) if int(operator.outputs[0]) == output)
    graph.operators, graph.outputs = graph.operators[: last + 1], [output]
    used = sorted({int(number) for each in graph.operators for number in (*each.inputs, *each.outputs)})
    place = {number: at for at, number in enumerate(used)}
    graph.tensors = [graph.tensors[number] for number in used]
    for each in graph.operators:
        each.inputs, each.outputs = ([place[int(number)] for number in side] for side in (each.inputs, each.outputs))
    graph.inputs, graph.outputs = ([place[int(number)] for number in side] for side in (graph.inputs, graph.outputs))
    empty = schema.BufferT()
    buffers = [empty]
    for tensor in graph.tensors:
        data = model.buffers[tensor.buffer].data
        tensor.buffer = 0 if data is None or len(data) == 0 else len(buffers)
        if tensor.buffer:
            buffers.append(schema.BufferT())
            buffers[-1].data = data
    model.buffers, model.metadata, model.metadataBuffer = buffers, None, None
