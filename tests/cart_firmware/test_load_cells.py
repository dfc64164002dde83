"""What every load cell does, whatever its converter and wires: one suite, on the chips, edge by edge."""

import pytest

from bench import load_cells
from bench.load_cell_rigs import DOUT, MILLIVOLTS, PD_SCK, RIGS, Conditions, Rig
from cart_firmware.ports import (
    FrameError,
    LoadCellError,
    Quality,
    RateError,
    SaturatedError,
    SilentError,
    SlowClockError,
    StuckError,
    WrongGainError,
)
from sim.chips.hx711 import PartialFrame
from tests.cart_firmware.wire_vectors import RecordingPins, vectors

OVERLOAD_MV = 60.0
RECOVERY_S = 2.0
STARTS_S = 1.5
"""The slowest: a NAU7802 at 10 a second warms up and calibrates itself first."""
HX711_ON_WIRES = ("hx711-spi", "hx711-bitbang", "hx711-package")


def gains(name: str) -> tuple[int, ...]:
    return (128,) if name == "hx711-package" else (128, 64)


KINDS = [(name, rate_hz, gain) for name in RIGS for rate_hz in (80, 10) for gain in gains(name)]


@pytest.fixture(params=KINDS, ids=lambda kind: "-".join(map(str, kind)))
def rig(request: pytest.FixtureRequest) -> Rig:
    name, rate_hz, gain = request.param
    return RIGS[name](Conditions(rate_hz=rate_hz, gain=gain))


def full_scale_mv(rig: Rig, gain: int) -> float:
    return 1_500.0 / gain if rig.name == "nau7802" else 20.0 * 128 / gain


class TestLoadCell:
    def test_exactly_what_was_converted_comes_through_at_any_load(self, rig: Rig) -> None:
        rig.run(STARTS_S)
        for millivolts in (MILLIVOLTS, 0.0, -MILLIVOLTS, 1e-4, 9.0):
            rig.bridge.value = millivolts
            samples = rig.run(20 / rig.cell.rate_hz)
            assert len(samples) >= 15
            assert samples[-1].counts == pytest.approx(samples[-2].counts, abs=2_000), "noise, and no more"
        assert (rig.wrong, rig.errors) == (0, [])

    def test_as_many_come_as_the_part_converts_and_each_once(self, rig: Rig) -> None:
        rig.run(STARTS_S)
        samples = rig.run(2.0)
        assert len(samples) == pytest.approx(2 * rig.cell.rate_hz, abs=3)
        times = [sample.at_us for sample in samples]
        assert times == sorted(set(times))
        assert {sample.quality for sample in samples} == {Quality.GOOD}

    def test_overload_is_saturation_and_the_cell_goes_on(self, rig: Rig) -> None:
        rig.run(STARTS_S)
        rig.bridge.value = OVERLOAD_MV
        assert rig.run(0.3)[2:] == []
        assert rig.named() == {"SaturatedError"}
        rig.bridge.value = MILLIVOLTS
        rig.run(0.3)
        rig.errors.clear()
        assert len(rig.run(1.0)) > 5
        assert (rig.wrong, rig.errors) == (0, [])

    def test_unplugged_it_is_silent_and_it_is_back_two_seconds_after_the_plug(self, rig: Rig) -> None:
        rig.run(STARTS_S)
        rig.unplug()
        assert rig.run(3.0) == []
        assert "SilentError" in rig.named()
        assert "check" in str(next(error for error in rig.errors if isinstance(error, SilentError)))
        rig.replug()
        assert rig.run(RECOVERY_S), "a reading, in time"
        rig.errors.clear()
        assert rig.run(1.0)
        assert (rig.wrong, rig.errors) == (0, [])

    @pytest.mark.parametrize("share", [0.02, 0.31, 0.5, 0.77, 0.96, 1.02])
    def test_a_plug_pulled_within_a_reading_gives_no_wrong_value(self, rig: Rig, share: float) -> None:
        rig.run(STARTS_S)
        rig.unplug_soon(max(1, round(share * rig.bits)))
        rig.run(3 / rig.cell.rate_hz)
        rig.replug()
        assert rig.run(RECOVERY_S)
        assert rig.wrong == 0

    def test_a_converter_that_hangs_is_stuck(self, rig: Rig) -> None:
        rig.run(STARTS_S)
        rig.jam()
        rig.run(30 / rig.cell.rate_hz)
        assert any(isinstance(error, StuckError) for error in rig.errors)

    def test_near_the_end_of_the_range_a_reading_says_so(self, rig: Rig) -> None:
        rig.run(STARTS_S)
        saturated, quiet = set[Quality](), 0
        while not rig.errors:
            rig.bridge.value += 0.05
            saturated |= {sample.quality for sample in rig.run(1 / rig.cell.rate_hz)}
            quiet += 1
        assert Quality.NEAR_END in saturated
        assert rig.named() == {"SaturatedError"}


# ── what only some can show ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", HX711_ON_WIRES)
@pytest.mark.parametrize(("configured", "strapped"), [(80, 10), (10, 80)])
def test_a_rate_strap_that_is_not_as_configured_is_named(name: str, configured: int, strapped: int) -> None:
    rig = RIGS[name](Conditions(rate_hz=configured, strapped_hz=strapped))  # type: ignore[arg-type]
    rig.run(3.0)
    assert any(isinstance(error, RateError) for error in rig.errors)
    assert rig.wrong == 0


@pytest.mark.parametrize("name", HX711_ON_WIRES)
def test_a_chip_that_restarts_between_two_readings_is_never_read_at_the_wrong_gain(name: str) -> None:
    rig = RIGS[name](Conditions(gain=gains(name)[-1]))
    rig.run(STARTS_S)
    for _ in range(20):
        rig.unplug()
        rig.replug()
        rig.run(0.3)
    assert rig.named() == {"WrongGainError"}
    assert rig.wrong == 0
    assert len(rig.run(1.0)) > 75


@pytest.mark.parametrize("name", ["hx711-bitbang", "hx711-package"])
def test_where_every_pulse_is_slow_the_error_says_to_use_spi(name: str) -> None:
    rig = RIGS[name](Conditions())
    rig.run(0.2)
    gpio = rig.gpio
    assert gpio is not None
    gpio.access_s = 60e-6  # rpi-lgpio on a small board: 120 to 250 us for a pulse
    rig.run(2.0)
    assert any(isinstance(error, SlowClockError) and "SPI" in str(error) for error in rig.errors)
    assert rig.wrong == 0


@pytest.mark.parametrize("name", HX711_ON_WIRES)
@pytest.mark.parametrize("partial", PartialFrame)
def test_held_up_pin_accesses_give_no_wrong_value(name: str, partial: PartialFrame) -> None:
    row = load_cells.held_up_row(name, Conditions(gain=gains(name)[-1], partial=partial, preempt_every=200), 3_000)
    assert row["wrong"] == 0
    assert row["good"] > 1_500


def test_the_package_alone_gives_wrong_values_under_the_same_conditions() -> None:
    """What the fence is for; without this, the test above would prove nothing."""
    assert load_cells.package_alone(Conditions(preempt_every=200), 3_000)["wrong"] > 10


@pytest.mark.parametrize("name", RIGS)
def test_a_plug_pulled_at_any_edge_is_named_on_the_console_and_back_in_two_seconds(name: str) -> None:
    row = load_cells.unplugged(name, Conditions(), edges=7)
    assert (row["wrong"], row["unnamed"], row["lost"]) == (0, 0, 0)
    assert row["recovered_s"] <= RECOVERY_S
    assert "load-cell-silent" in row["named"]


def test_a_late_poll_costs_a_reading_and_nothing_else() -> None:
    """A busy Python program polls late: the next conversion may come up under the frame."""
    for late_us in range(0, 30_000, 500):
        rig = RIGS["hx711-bitbang"](Conditions(gain=64))
        rig.run(0.5)
        rig.time.take(late_us / 1e6)
        rig.run(0.5)
        assert rig.wrong == 0


# ── on the wire ──────────────────────────────────────────────────────────────────────────────────────────────────────

HX711 = vectors("hx711")


def test_on_pins_a_frame_is_the_edges_of_the_data_sheet() -> None:
    for gain, pulses in HX711["pins"]["pulses"].items():
        pins = RecordingPins(dout=DOUT, pd_sck=PD_SCK, bits=[0] * 24 + [1] * 4)
        wire = pins.wire(pulses)
        pins.done.clear()
        assert wire.frame() == 0
        assert pins.done == HX711["pins"]["pulse"] * pulses + HX711["pins"]["after"], gain


@pytest.mark.parametrize("late", [1, 25, 27])
def test_a_check_bit_that_is_low_refuses_the_frame(late: int) -> None:
    bits = [0] * 24 + [1] * 4
    bits[24 + {1: 0, 25: 1, 27: 3}[late]] = 0
    with pytest.raises(FrameError):
        RecordingPins(dout=DOUT, pd_sck=PD_SCK, bits=bits).wire(27).frame()


def test_errors_are_all_load_cell_errors() -> None:
    assert all(
        issubclass(error, LoadCellError)
        for error in (FrameError, RateError, SaturatedError, SilentError, SlowClockError, StuckError, WrongGainError)
    )
