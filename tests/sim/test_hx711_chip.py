"""The converter chip, read by a small reader of the test's own: over edges, and over the SPI bus."""

import statistics
from random import Random
from typing import Literal

import pytest

from sim.chips.hx711 import HX711Chip, PartialFrame
from sim.physics.load import LoadSignal
from sim.wires.spi import LoadCellBus

COUNTS_PER_MV = 2**23 / 20
EXTRA_PULSES = {128: 1, 32: 2, 64: 3}


class Time:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def chip_at(
    millivolts: float, *, rate_hz: Literal[10, 80] = 80, partial: PartialFrame = PartialFrame.RELOAD
) -> tuple[HX711Chip, Time]:
    time = Time()
    return HX711Chip(lambda _: millivolts, time, rate_hz=rate_hz, partial=partial), time


def clock_out(chip: HX711Chip, time: Time, pulses: int) -> list[int]:
    bits = []
    for _ in range(pulses):
        chip.pd_sck(1)
        time.now_s += 1e-6
        bits.append(chip.dout())
        chip.pd_sck(0)
        time.now_s += 1e-6
    return bits


def signed(bits: list[int]) -> int:
    word = int("".join(map(str, bits[:24])), 2)
    return word - 2**24 if word >> 23 else word


def read(chip: HX711Chip, time: Time, gain: int = 128) -> int:
    while chip.dout():
        time.now_s += 1e-4
    bits = clock_out(chip, time, 24 + EXTRA_PULSES[gain])
    assert set(bits[24:]) == {1}
    return signed(bits)


def power_cycle(chip: HX711Chip, time: Time) -> None:
    chip.pd_sck(1)
    time.now_s += 61e-6
    chip.pd_sck(0)


@pytest.mark.parametrize(("rate_hz", "settling_s"), [(10, 0.4), (80, 0.05)])
def test_the_first_conversion_waits_for_the_settling_time(rate_hz: Literal[10, 80], settling_s: float) -> None:
    chip, time = chip_at(5.0, rate_hz=rate_hz)
    time.now_s = settling_s - 1e-6
    assert chip.dout() == 1
    time.now_s = settling_s
    assert chip.dout() == 0


@pytest.mark.parametrize(("rate_hz", "noise_nv"), [(10, 50), (80, 90)])
def test_counts_follow_the_bridge_with_the_noise_of_the_datasheet(rate_hz: Literal[10, 80], noise_nv: float) -> None:
    chip, time = chip_at(-3.0, rate_hz=rate_hz)
    counts = [read(chip, time) for _ in range(400)]
    one_nv = COUNTS_PER_MV / 1e6
    assert statistics.mean(counts) == pytest.approx(-3.0 * COUNTS_PER_MV, abs=20 * one_nv)
    assert statistics.stdev(counts) == pytest.approx(noise_nv * one_nv, rel=0.15)
    assert time.now_s == pytest.approx(400 / rate_hz, rel=0.02)


def test_the_number_of_pulses_selects_gain_and_input_of_the_next_conversion() -> None:
    chip, time = chip_at(4.0)
    assert read(chip, time, gain=64) == pytest.approx(4.0 * COUNTS_PER_MV, abs=200)
    assert read(chip, time, gain=32) == pytest.approx(2.0 * COUNTS_PER_MV, abs=200)
    assert read(chip, time) == pytest.approx(0, abs=200), "channel B is not connected"
    assert read(chip, time) == pytest.approx(4.0 * COUNTS_PER_MV, abs=200)


def test_a_new_gain_costs_a_settling_time() -> None:
    chip, time = chip_at(1.0)
    read(chip, time)
    started = time.now_s
    read(chip, time)
    assert time.now_s - started == pytest.approx(1 / 80, abs=3e-4)
    read(chip, time, gain=64)
    started = time.now_s
    read(chip, time, gain=64)
    assert time.now_s - started == pytest.approx(1 / 80 + 0.05, abs=3e-4)


def test_a_clock_line_held_high_longer_than_sixty_microseconds_resets_to_gain_128() -> None:
    chip, time = chip_at(4.0)
    read(chip, time, gain=64)
    power_cycle(chip, time)
    started = time.now_s
    assert chip.resets == 1
    assert read(chip, time) == pytest.approx(4.0 * COUNTS_PER_MV, abs=200)
    assert time.now_s - started > 0.05


def test_fifty_microseconds_are_still_a_pulse() -> None:
    chip, time = chip_at(4.0)
    time.now_s = 1.0
    chip.pd_sck(1)
    time.now_s += 50e-6
    chip.pd_sck(0)
    assert chip.resets == 0


def test_powered_down_it_keeps_the_data_line_high() -> None:
    chip, time = chip_at(4.0)
    time.now_s = 1.0
    chip.pd_sck(1)
    time.now_s += 1.0
    assert chip.dout() == 1


@pytest.mark.parametrize(("millivolts", "counts"), [(25.0, 2**23 - 1), (-25.0, -(2**23)), (float("inf"), 2**23 - 1)])
def test_overload_and_a_broken_wire_saturate(millivolts: float, counts: int) -> None:
    chip, time = chip_at(millivolts)
    assert read(chip, time) == counts


def test_unplugged_its_line_is_pulled_up_and_replugged_it_powers_up() -> None:
    chip, time = chip_at(4.0)
    read(chip, time, gain=64)
    chip.unplug()
    time.now_s += 1.0
    assert set(clock_out(chip, time, 25)) == {1}
    chip.replug()
    assert chip.dout() == 1
    assert read(chip, time) == pytest.approx(4.0 * COUNTS_PER_MV, abs=200)


def test_a_broken_off_frame_reloads_at_the_next_conversion() -> None:
    chip, time = chip_at(4.0, partial=PartialFrame.RELOAD)
    time.now_s = 1.0
    clock_out(chip, time, 10)
    time.now_s += 1 / 80
    assert read(chip, time) == pytest.approx(4.0 * COUNTS_PER_MV, abs=200)


def test_or_the_frame_stays_stuck_until_a_reset() -> None:
    chip, time = chip_at(4.0, partial=PartialFrame.STUCK)
    time.now_s = 1.0
    whole = clock_out(chip, time, 10)
    time.now_s += 1.0
    whole += clock_out(chip, time, 14)
    assert signed(whole) == pytest.approx(4.0 * COUNTS_PER_MV, abs=200)
    clock_out(chip, time, 5)
    power_cycle(chip, time)
    assert read(chip, time) == pytest.approx(4.0 * COUNTS_PER_MV, abs=200)


def test_a_reader_that_slept_finds_the_latest_conversion() -> None:
    chip, time = chip_at(0.0)
    chip._millivolts = lambda at_s: at_s
    time.now_s = 3.0 + 0.001
    assert read(chip, time) == pytest.approx(3.0 * COUNTS_PER_MV, abs=0.0126 * COUNTS_PER_MV)


# ── over SPI ─────────────────────────────────────────────────────────────────────────────────────────────────────


def spi_read(bus: LoadCellBus) -> int:
    """Twenty-five pulses of `10` and idle zeros: 7 bytes; the data bit stands in the low half of each pulse."""
    sent = [0xAA] * 6 + [0x80]
    bits = "".join(f"{byte:08b}" for byte in bus.xfer2(sent))
    pulses = [int(bits[2 * pulse + 1]) for pulse in range(25)]
    assert pulses[24] == 1
    return signed(pulses)


def test_two_thousand_reads_over_spi_are_all_good_however_long_the_bus_pauses() -> None:
    dice, time = Random(3), Time()
    load = LoadSignal(seed=1)
    load.put(0.5, 1_234_000)
    bus = LoadCellBus(load, time)
    kilograms = []
    while len(kilograms) < 2_000:
        time.now_s += dice.choice([0.0005, 0.001, 0.002])
        if bus.xfer2([0]) == [0]:
            kilograms.append((time.now_s, spi_read(bus) / 83_886.08))
    resting = [kilogram for at_s, kilogram in kilograms if at_s > 2.5]
    assert statistics.mean(resting) == pytest.approx(1.234, abs=0.002)
    assert max(abs(kilogram - statistics.mean(resting)) for kilogram in resting) < 0.004
    assert bus.chip.resets == 0


def test_eighty_microseconds_of_ones_on_the_bus_reset_the_chip() -> None:
    time = Time()
    bus = LoadCellBus(LoadSignal(), time)
    time.now_s = 1.0
    bus.xfer2([0xFF] * 10 + [0])
    assert bus.chip.resets == 1


def test_a_conversion_that_ends_within_an_idle_byte_shows_in_its_later_bits() -> None:
    time = Time()
    bus = LoadCellBus(LoadSignal(), time)
    time.now_s = 0.05 - 4e-6
    assert bus.xfer2([0]) == [0b1111_0000]
