"""The configured load cell is opened, or refused with a remedy."""

import errno
import importlib.util
import os
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest

from bench.load_cell_rigs import Bridge
from cart_firmware.config import ImuSettings, LoadCellSettings
from cart_firmware.devices.accelerometers import open_imu
from cart_firmware.devices.hx711_iio import RAW, SCALE, FolderReadings, raw_reader
from cart_firmware.devices.load_cells import open_load_cell
from cart_firmware.devices.platform import Platform
from cart_firmware.ports import Sample, SilentError, WrongGainError
from cart_protocol.host.configuration import ConfigurationError
from sim.chips.accelerometer import MPU6050
from sim.chips.hx711 import HX711Chip
from sim.chips.nau7802 import NAU7802Chip
from sim.wires.i2c import RegisterBus
from sim.wires.rpi_gpio import GpioModule, WireTime
from sim.wires.spi import LoadCellBus

PATIENCE_S = 20.0


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> WireTime:
    """A package of somebody else that class paths can name: buses and pins with chips on them."""
    now = WireTime()
    chips = ModuleType("test_parts")
    gpio = GpioModule(now)
    gpio.attach(HX711Chip(Bridge().millivolts, now), dout=5, pd_sck=6)
    chips.spi = lambda cart="": LoadCellBus(Bridge(), now)  # type: ignore[attr-defined]  # noqa: ARG005
    chips.gpio = lambda: gpio  # type: ignore[attr-defined]
    chips.i2c = lambda: RegisterBus(NAU7802Chip(Bridge().millivolts, now))  # type: ignore[attr-defined]
    chips.tilted = lambda: RegisterBus(MPU6050(lambda: (0.052, 0.0, 0.998)))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "test_parts", chips)
    return now


def opened(settings: LoadCellSettings, now: WireTime) -> list[Sample]:
    cell = open_load_cell(settings, now.microseconds)
    samples = []
    for _ in range(400):
        now.take(0.5 / cell.rate_hz)
        if sample := cell.poll(now.microseconds()):
            samples.append(sample)
    cell.close()
    return samples


@pytest.mark.usefixtures("parts")
def test_an_accelerometer_is_opened_where_one_is_named() -> None:
    imu = open_imu(ImuSettings(device="mpu6050:test_parts:tilted"))
    assert imu is not None
    assert imu.read(0).x == pytest.approx(52_000, abs=10_000)
    assert open_imu(ImuSettings()) is None


@pytest.mark.parametrize("device", ["adxl345:1", "1", "mpu6050"])
def test_an_accelerometer_nobody_knows_is_refused_with_what_to_write(device: str) -> None:
    with pytest.raises(ConfigurationError, match=r"imu\.device"):
        open_imu(ImuSettings(device=device))


@pytest.mark.parametrize(
    "device", ["hx711-spi:test_parts:spi?cart=c7", "hx711-bitbang:5,6@test_parts:gpio", "nau7802:test_parts:i2c"]
)
def test_a_class_path_stands_where_the_bus_or_the_pins_would(device: str, parts: WireTime) -> None:
    assert opened(LoadCellSettings(device=device), parts)


def test_several_cells_are_one_platform(parts: WireTime) -> None:
    one = opened(LoadCellSettings(device="hx711-spi:test_parts:spi"), parts)
    four = opened(LoadCellSettings(cells=("hx711-spi:test_parts:spi",) * 4), parts)
    assert four[-1].counts == pytest.approx(4 * one[-1].counts, rel=1e-3)
    cell = open_load_cell(LoadCellSettings(cells=("hx711-spi:test_parts:spi",) * 4), parts.microseconds)
    assert isinstance(cell, Platform)
    assert cell.names[2] == "rear right"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (LoadCellSettings(device="hx711:5"), "no driver 'hx711'; write 'hx711-spi:BUS.CHIP'"),
        (LoadCellSettings(device="hx711-spi:zero"), "'zero' is no SPI bus"),
        (LoadCellSettings(device="hx711-spi:0.0", rate_hz=20), "10 or 80"),
        (LoadCellSettings(device="hx711-spi:0.0", gain=100), "128 or 64 or 32"),
        (LoadCellSettings(device="hx711-package:5,6", gain=64), "hx711-package can do 128"),
        (LoadCellSettings(device="hx711-spi:types:SimpleNamespace?a=b"), "no xfer2() and close()"),
        (LoadCellSettings(device="hx711-bitbang:5"), "write their BCM numbers as DOUT,SCK"),
        (LoadCellSettings(device="hx711-bitbang:5,6@types:SimpleNamespace"), "no setup() and output() and input()"),
        (LoadCellSettings(device="hx711-iio:iio:device99"), "modprobe hx711"),
        (LoadCellSettings(device="nau7802:types:SimpleNamespace"), "it is no I2C bus"),
        (LoadCellSettings(cells=("hx711-spi:test_parts:spi",) * 2, trims=(1.0,)), "1 for 2 cells; calibrate again"),
    ],
)
@pytest.mark.usefixtures("parts")
def test_what_cannot_be_opened_is_refused_with_a_remedy(settings: LoadCellSettings, said: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        open_load_cell(settings, lambda: 0)
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("module", "device", "remedy"),
    [
        ("spidev", "hx711-spi:0.0", r"pip install 'cartwright\[pi\]'"),
        ("smbus2", "nau7802:1", r"pip install 'cartwright\[pi\]'"),
        ("RPi", "hx711-bitbang:5,6", "pip install RPi.GPIO"),
        ("RPi", "hx711-package:5,6", "pip install RPi.GPIO"),
    ],
)
def test_on_a_machine_without_the_package_the_error_names_it(module: str, device: str, remedy: str) -> None:
    if importlib.util.find_spec(module) is not None:
        pytest.skip(f"{module} is installed here")
    with pytest.raises(ConfigurationError, match=remedy):
        open_load_cell(LoadCellSettings(device=device), lambda: 0)


# ── the kernel's files ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_kernels_number_is_offset_binary_and_a_changed_scale_is_refused(tmp_path: Path) -> None:
    (tmp_path / SCALE).write_text("0.000023283\n")
    (tmp_path / RAW).write_text("8388608\n")
    read = raw_reader(tmp_path)
    assert read() == 0
    (tmp_path / RAW).write_text("8492123\n")
    assert read() == 103_515
    (tmp_path / SCALE).write_text("0.000046566\n")
    with pytest.raises(WrongGainError, match=r"is 0\.000046566 and was 0\.000023283"):
        read()
    (tmp_path / RAW).unlink()
    with pytest.raises(SilentError, match=os.strerror(errno.ENOENT)):
        read()


def test_a_thread_waits_for_the_kernel_so_that_nobody_else_does(tmp_path: Path) -> None:
    (tmp_path / SCALE).write_text("0.000023283\n")
    os.mkfifo(tmp_path / RAW)  # blocks its reader until something is written, as the kernel's file does
    now_us = iter(range(0, 1_000_000_000, 12_500))
    readings = FolderReadings(tmp_path, lambda: next(now_us))
    assert readings.take() is None
    found = []
    for counts in (1, 2, 3):
        (tmp_path / RAW).write_text(f"{0x800000 + counts}\n")
        found.append(_until(readings))
    readings.close()
    assert [counts for _, counts in found] == [1, 2, 3]
    _let_go(tmp_path / RAW)


def _until(readings: FolderReadings) -> tuple[int, object]:
    deadline = time.monotonic() + PATIENCE_S
    while (taken := readings.take()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return taken


def _let_go(fifo: Path) -> None:
    """Let the thread's last read end."""
    fifo.write_text("8388608\n")
    deadline = time.monotonic() + PATIENCE_S
    while any(thread.name == "load cell" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.001)
