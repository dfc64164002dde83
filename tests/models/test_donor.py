"""The network's file, read into floats and written back. The shipped one stands in for the donor: it has its graph."""

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from models.train.donor import Donor, Weights, kernel_scales, quantisation

NETWORK = (Path(__file__).parents[2] / "models" / "produce" / "network.tflite").read_bytes()
STREAM = 64
"""Channels after the layers that stay the donor's."""


def answer(network: bytes, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    interpreter = Interpreter(model_content=network, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None])
    interpreter.invoke()
    result = interpreter.get_output_details()[0]
    scale, zero = result["quantization"]
    return np.asarray((interpreter.get_tensor(result["index"]).astype(np.float32) - zero) * scale, np.float32)


@pytest.fixture(scope="module")
def donor() -> Donor:
    return Donor(NETWORK)


@pytest.fixture(scope="module")
def picture(donor: Donor) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (donor.side, donor.side, 3), dtype=np.uint8)


def test_weights_that_were_only_read_give_the_same_network(donor: Donor, picture: NDArray[np.uint8]) -> None:
    again = donor.retrained(donor.weights, donor.ranges(), donor.side)
    assert np.array_equal(answer(again, picture), answer(NETWORK, picture))


def test_other_weights_and_ranges_arrive_within_their_rounding(donor: Donor, picture: NDArray[np.uint8]) -> None:
    last = donor.layers[-2].output
    weights = donor.weights[last]
    doubled = Weights(kernel=weights.kernel * 0.5, bias=weights.bias * 0.5)
    before = answer(NETWORK, picture)
    after = answer(donor.retrained({last: doubled}, {}, donor.side), picture)
    # ReLU6 cuts the donor's features off at 6; what is below is halved.
    low = before < 1
    assert np.abs(after[low] - before[low] / 2).max() < 0.05


def test_the_first_layers_alone_give_their_activation(donor: Donor, picture: NDArray[np.uint8]) -> None:
    front = answer(donor.front(24, donor.side), picture)
    assert front.shape == (1, donor.side // 16, donor.side // 16, STREAM)


def test_a_network_for_larger_pictures_has_as_many_features(donor: Donor, picture: NDArray[np.uint8]) -> None:
    larger = donor.retrained({}, {}, donor.side + 32)
    wide = np.pad(picture, ((16, 16), (16, 16), (0, 0)), mode="reflect")
    assert answer(larger, wide).shape == answer(NETWORK, picture).shape


def test_a_side_that_cannot_be_halved_five_times_is_refused(donor: Donor) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        donor.retrained({}, {}, 230)


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
