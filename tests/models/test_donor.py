"""The donor's batch norms folded into its convolutions, and the int8 file of a graph, against plain arithmetic."""

from collections.abc import Mapping, Sequence

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from cart_firmware.perception.embedder import Embedder, about_the_middle
from models.train.donor import PICTURE, PICTURE_SCALE, PICTURE_ZERO, Donor, Layer, Weights, folded
from models.train.network_file import kernel_scales, network_file, quantisation

Floats = NDArray[np.float32]
SMALL = (
    Layer("conv", (PICTURE,), 1, stride=2, relu6=True),
    Layer("conv", (1,), 2, relu6=True),
    Layer("depthwise", (2,), 3, relu6=True),
    Layer("conv", (3,), 4),
    Layer("add", (4, 1), 5),
    Layer("depthwise", (5,), 6, stride=2, relu6=True),
    Layer("conv", (6,), 7, relu6=True),
)
"""One of each operator, with kernels of 3 and 5 pixels, as EfficientNet-Lite has them."""
SHAPES = {1: (8, 3, 3, 3), 2: (16, 1, 1, 8), 3: (1, 5, 5, 16), 4: (8, 1, 1, 16), 6: (1, 5, 5, 8), 7: (24, 1, 1, 8)}


@pytest.fixture
def weights() -> dict[int, Weights]:
    dice = np.random.default_rng(1)
    return {
        output: Weights(
            kernel=(dice.normal(size=shape) * 1.5 / np.sqrt(np.prod(shape[1:]))).astype(np.float32),
            bias=dice.normal(size=max(shape[0], shape[3] if shape[0] == 1 else 0)).astype(np.float32) * 0.5,
        )
        for output, shape in SHAPES.items()
    }


def picture_of(side: int) -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (side, side, 3), dtype=np.uint8)


def answer(network: bytes, picture: NDArray[np.uint8]) -> Floats:
    interpreter = Interpreter(model_content=network, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None])
    interpreter.invoke()
    result = interpreter.get_output_details()[0]
    scale, zero = result["quantization"] if result["dtype"] == np.int8 else (1, 0)
    values = interpreter.get_tensor(result["index"])[0].squeeze().astype(np.float32)
    return np.asarray((values - zero) * scale, np.float32)


def computed(layers: Sequence[Layer], weights: Mapping[int, Weights], picture: NDArray[np.uint8]) -> dict[int, Floats]:
    """Every activation (height x width x channels) in floats, by the definition of a convolution."""
    values: dict[int, Floats] = {PICTURE: (picture.astype(np.float32) - PICTURE_ZERO) * PICTURE_SCALE}
    for layer in layers:
        value = values[layer.inputs[0]]
        if layer.kind == "add":
            values[layer.output] = value + values[layer.inputs[1]]
        else:
            values[layer.output] = convolved(layer, weights[layer.output], value)
    return values


def convolved(layer: Layer, weights: Weights, value: Floats) -> Floats:
    size, stride = weights.kernel.shape[1], layer.stride
    extent = -(-value.shape[0] // stride)
    missing = max((extent - 1) * stride + size - value.shape[0], 0)
    padded = np.pad(value, [(missing // 2, missing - missing // 2)] * 2 + [(0, 0)])
    result = np.zeros((extent, extent, len(weights.bias)), np.float32) + weights.bias
    for row in range(size):
        for column in range(size):
            piece = padded[row::stride, column::stride][:extent, :extent]
            kernel = weights.kernel[:, row, column]
            result += piece * kernel[0] if layer.kind == "depthwise" else piece @ kernel.T
    return np.clip(result, 0, 6) if layer.relu6 else result


def test_a_file_in_floats_computes_the_same_as_the_definition(weights: dict[int, Weights]) -> None:
    got = answer(network_file(SMALL, weights, None, 35), picture_of(35))
    assert got == pytest.approx(computed(SMALL, weights, picture_of(35))[7], abs=1e-4)


@pytest.mark.parametrize("side", [32, 33, 35, 40])
def test_a_file_computes_what_its_weights_say(weights: dict[int, Weights], side: int) -> None:
    values = computed(SMALL, weights, picture_of(side))
    ranges = {layer.output: (float(values[layer.output].min()), float(values[layer.output].max())) for layer in SMALL}
    got = answer(network_file(SMALL, weights, ranges, side), picture_of(side))
    wanted = values[7]
    assert got.shape == wanted.shape == (-(-side // 4), -(-side // 4), 24)
    assert np.corrcoef(got.ravel(), wanted.ravel())[0, 1] > 0.995
    assert np.abs(got - wanted).max() < 0.1


def test_the_first_layers_alone_give_their_activation(weights: dict[int, Weights]) -> None:
    values = computed(SMALL, weights, picture_of(32))
    ranges = {layer.output: (float(values[layer.output].min()), float(values[layer.output].max())) for layer in SMALL}
    front = answer(network_file(SMALL[:5], weights, ranges, 32), picture_of(32))
    assert np.abs(front - values[5]).max() < 0.25


def test_a_range_that_is_too_narrow_cuts_what_lies_outside(weights: dict[int, Weights]) -> None:
    ranges = dict.fromkeys(range(1, 8), (-0.5, 0.5))
    assert answer(network_file(SMALL, weights, ranges, 32), picture_of(32)).max() <= 0.501


@pytest.mark.parametrize("floats", [False, True])
def test_a_cart_pools_the_grid_of_a_file_about_its_middle(weights: dict[int, Weights], *, floats: bool) -> None:
    picture = picture_of(40)
    values = computed(SMALL, weights, picture)
    ranges = {layer.output: (float(values[layer.output].min()), float(values[layer.output].max())) for layer in SMALL}
    embedder = Embedder(network_file(SMALL, weights, None if floats else ranges, 40))
    got = embedder.features(np.ascontiguousarray(picture[:, :, ::-1]))
    wanted = (values[7] * about_the_middle(10)[:, :, None]).sum(axis=(0, 1))
    assert (embedder.side, embedder.width) == (40, 24)
    assert got == pytest.approx(wanted, abs=1e-4 if floats else 0.05)


def test_a_network_that_gives_no_grid_is_refused(weights: dict[int, Weights]) -> None:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(network_file(SMALL, weights, None, 32), 0))
    graph = model.subgraphs[0]
    graph.outputs = [next(place for place, tensor in enumerate(graph.tensors) if tensor.name == b"bias 7")]
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(ValueError, match=r"gives \[24\], not a square grid"):
        Embedder(bytes(builder.Output()))


def stored(dice: np.random.Generator) -> dict[str, NDArray[np.generic]]:
    """What PyTorch would store of EfficientNet-Lite0 with four channels everywhere."""
    found: dict[str, NDArray[np.generic]] = {}

    def convolution(name: str, norm: str, inputs: int, size: int) -> None:
        found[f"{name}.weight"] = dice.normal(size=(4, inputs, size, size))
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{norm}.{part}"] = dice.uniform(0.5, 2, 4)

    convolution("_conv_stem", "_bn0", 3, 3)
    for block in range(16):
        if block:
            convolution(f"_blocks.{block}._expand_conv", f"_blocks.{block}._bn0", 4, 1)
        convolution(f"_blocks.{block}._depthwise_conv", f"_blocks.{block}._bn1", 1, 3)
        convolution(f"_blocks.{block}._project_conv", f"_blocks.{block}._bn2", 4, 1)
    convolution("_conv_head", "_bn1", 4, 1)
    return found


@pytest.fixture
def donor() -> Donor:
    return folded(stored(np.random.default_rng(3)))


def test_a_batch_norm_is_part_of_its_convolution(donor: Donor) -> None:
    parts = stored(np.random.default_rng(3))
    value = np.random.default_rng(4).normal(size=(6, 6, 3)).astype(np.float32)
    kernel = np.transpose(np.asarray(parts["_conv_stem.weight"], np.float32), (0, 2, 3, 1))
    bare = convolved(Layer("conv", (0,), 1, stride=2), Weights(kernel, np.zeros(4, np.float32)), value)
    mean, variance, gain, shift = (
        np.asarray(parts[f"_bn0.{part}"], np.float64) for part in ("running_mean", "running_var", "weight", "bias")
    )
    wanted = np.clip((bare - mean) / np.sqrt(variance + 1e-3) * gain + shift, 0, 6)
    assert convolved(donor.layers[0], donor.weights[1], value) == pytest.approx(wanted, abs=1e-4)


def test_the_graph_halves_the_picture_five_times_and_adds_within_stages(donor: Donor) -> None:
    assert np.prod([layer.stride for layer in donor.layers]) == 32
    # 16 blocks in 7 stages: all but the first of a stage add what they were given.
    assert sum(layer.kind == "add" for layer in donor.layers) == 9
    assert [layer.output for layer in donor.layers] == list(range(1, 59))
    assert (donor.layers[-1].kind, donor.layers[-1].relu6) == ("conv", True)


def test_a_missing_weight_is_named() -> None:
    parts = stored(np.random.default_rng(3))
    del parts["_blocks.7._project_conv.weight"]
    with pytest.raises(KeyError, match=r"_blocks\.7\._project_conv"):
        folded(parts)


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-3.0, 5.0), (1.0, 2.0), (-2.0, -1.0)])
def test_zero_is_met_exactly(low: float, high: float) -> None:
    scale, zero = quantisation(low, high)
    assert -128 <= zero <= 127
    assert scale * (127 - zero) >= high - scale
    assert scale * (-128 - zero) <= low + scale


def test_a_kernel_is_rounded_by_at_most_half_a_step_of_its_own_channel() -> None:
    kernel = (
        np.random.default_rng(2).normal(size=(8, 1, 1, 16)).astype(np.float32)
        * np.logspace(-3, 1, 8)[:, None, None, None]
    )
    scales = kernel_scales(kernel.astype(np.float32)).reshape(-1, 1, 1, 1)
    assert (np.abs(np.round(kernel / scales) * scales - kernel) <= scales / 2 + 1e-9).all()
    assert np.abs(kernel / scales).max() == pytest.approx(127, rel=1e-5)
