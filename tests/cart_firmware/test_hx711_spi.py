"""The HX711 over SPI against bytes of the data sheet's timing, and what only this wiring can show."""

import pytest

from cart_firmware.devices.hx711 import Hx711
from cart_firmware.devices.hx711_spi import FRAMES, POWER_CYCLE, READY_TEST, decode, hx711_spi
from cart_firmware.ports import FrameError, SilentError
from tests.cart_firmware.wire_vectors import vectors

HX711 = vectors("hx711")


def test_the_bytes_on_the_wire_are_those_of_the_wiring() -> None:
    sent = HX711["spi_sent"]
    assert READY_TEST.hex() == sent["ready_test"]
    assert POWER_CYCLE.hex() == sent["power_cycle"]
    assert {str(pulses): frame.hex() for pulses, frame in FRAMES.items()} == sent["frame"]


@pytest.mark.parametrize("answer", HX711["spi_answers"], ids=lambda answer: f"{answer['pulses']}-{answer['miso']}")
def test_pinned_answers_decode(answer: dict[str, object]) -> None:
    assert decode(bytes.fromhex(str(answer["miso"])), int(str(answer["pulses"]))) == answer["counts"]


@pytest.mark.parametrize("answer", HX711["spi_refused"], ids=lambda answer: f"{answer['pulses']}-{answer['miso']}")
def test_pinned_nonsense_is_refused(answer: dict[str, object]) -> None:
    with pytest.raises(FrameError, match=str(answer["because"])):
        decode(bytes.fromhex(str(answer["miso"])), int(str(answer["pulses"])))


class PulledDown:
    """A bus whose MISO is pulled down, as GPIO 9 is after power-on, and nobody on it."""

    closed = False

    def xfer2(self, data: list[int], /) -> list[int]:
        return [0] * len(data)

    def close(self) -> None:
        self.closed = True


def polled(cell: Hx711, seconds: float) -> list[Exception]:
    errors: list[Exception] = []
    for tick in range(round(seconds * 160)):
        try:
            assert cell.poll(tick * 6_250) is None
        except (FrameError, SilentError) as error:
            errors.append(error)
    return errors


def test_an_empty_bus_that_is_pulled_down_is_silence_and_no_weight() -> None:
    errors = polled(hx711_spi(PulledDown(), 80, lambda: 0), 2.0)
    assert errors
    assert {type(error) for error in errors} == {SilentError}
    assert "10 kOhm" in str(errors[0])


def test_a_bus_that_fails_is_silence() -> None:
    class Failing(PulledDown):
        def xfer2(self, data: list[int], /) -> list[int]:
            raise OSError(5, f"Input/output error after {len(data)} bytes")

    errors = polled(hx711_spi(Failing(), 80, lambda: 0), 0.1)
    assert {type(error) for error in errors} == {SilentError}


def test_closing_closes_the_bus() -> None:
    bus = PulledDown()
    hx711_spi(bus, 80, lambda: 0).close()
    assert bus.closed
