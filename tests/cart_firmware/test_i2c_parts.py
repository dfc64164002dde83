"""The converter and the accelerometers on I2C: registers of the data sheets, and what a lost supply does to them."""

from collections.abc import Callable
from typing import Any

import pytest

from cart_firmware.devices.imu import PARTS, I2cImu
from cart_firmware.devices.nau7802 import Nau7802
from cart_firmware.ports import ImuError
from sim.chips.accelerometer import LSM6DSO, MPU6050
from sim.wires.i2c import Part, RegisterBus
from tests.cart_firmware.wire_vectors import vectors

NAU7802 = vectors("nau7802")
CHIPS: dict[str, Callable[[Callable[[], tuple[float, float, float]]], Part]] = {
    "mpu6050": MPU6050,
    "lsm6": LSM6DSO,
}


class Recording:
    """A bus that says what it is told to, and records what was written."""

    def __init__(self, answers: dict[int, list[int]]) -> None:
        self.answers = answers
        self.written: list[tuple[str, str]] = []

    def read_byte_data(self, address: int, register: int, /) -> int:
        return self.read_i2c_block_data(address, register, 1)[0]

    def write_byte_data(self, address: int, register: int, value: int, /) -> None:
        assert address == 0x2A or address in {part.address for part in PARTS.values()}
        self.written.append((f"{register:02x}", f"{value:02x}"))
        self.answers[register] = [value]

    def read_i2c_block_data(self, address: int, register: int, length: int, /) -> list[int]:
        del address
        return self.answers[register][:length]

    def close(self) -> None:
        self.answers.clear()


def test_a_nau7802_is_powered_up_as_its_data_sheet_says() -> None:
    bus = Recording({2: [0x30]})
    cell = Nau7802(bus, 80, lambda: 0)
    for tick in range(60):
        assert cell.poll(tick * 6_250) is None
    assert bus.written == [(step["register"], step["value"]) for step in NAU7802["power_up"]]


@pytest.mark.parametrize("conversion", NAU7802["conversions"], ids=lambda conversion: conversion["bytes"])
def test_the_three_bytes_of_a_conversion_are_signed(conversion: dict[str, Any]) -> None:
    bus = Recording({2: [0x30]})
    cell = Nau7802(bus, 80, lambda: 0)
    for tick in range(60):
        cell.poll(tick * 6_250)
    bus.answers |= {2: [0x30], 0: [0xBE, 0x2F, 0x30], 0x12: list(bytes.fromhex(conversion["bytes"]))}
    samples = [cell.poll((60 + tick) * 6_250) for tick in range(8)]
    assert samples[-1] is not None
    assert samples[-1].counts == conversion["counts"]


# ── accelerometers ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("reading", vectors("imu")["readings"], ids=lambda reading: reading["bytes"])
def test_pinned_axes_decode(reading: dict[str, Any]) -> None:
    part = PARTS[reading["part"]]
    imu = I2cImu(Recording({part.who_am_i: [part.says[0]], part.axes: list(bytes.fromhex(reading["bytes"]))}), part)
    felt = imu.read(7)
    assert [felt.x, felt.y, felt.z] == reading["micro_g"]
    assert felt.at_us == 7


@pytest.mark.parametrize("name", PARTS)
def test_gravity_is_felt_along_the_axis_that_points_up(name: str) -> None:
    imu = I2cImu(RegisterBus(CHIPS[name](lambda: (0.0, 0.05, 0.998))), PARTS[name])
    readings = [imu.read(tick) for tick in range(100)]
    assert sum(reading.y for reading in readings) / 100 == pytest.approx(50_000, abs=1_500)
    assert sum(reading.z for reading in readings) / 100 == pytest.approx(998_000, abs=2_000)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_was_without_power_is_set_up_anew_and_its_reading_not_used(name: str) -> None:
    bus = RegisterBus(CHIPS[name](lambda: (0.0, 0.0, 1.0)))
    imu = I2cImu(bus, PARTS[name])
    imu.read(0)
    bus.unplug()
    with pytest.raises(ImuError, match="no answer at address"):
        imu.read(1)
    bus.replug()
    assert imu.read(2).z == pytest.approx(1_000_000, abs=20_000)
    bus.unplug()
    bus.replug()
    with pytest.raises(ImuError, match="it lost power"):
        imu.read(3)
    assert imu.read(4).z == pytest.approx(1_000_000, abs=20_000)


def test_another_part_at_the_address_is_refused() -> None:
    with pytest.raises(ImuError, match="says it is 0x71, expected 0x68"):
        I2cImu(Recording({0x75: [0x71]}), PARTS["mpu6050"]).read(0)
