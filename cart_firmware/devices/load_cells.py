"""Opens the load cell, or the several, that the configuration names."""

import importlib
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from cart_firmware.config import LoadCellSettings
from cart_firmware.core.cross_check import CrossCheck
from cart_firmware.devices.converter import MicrosecondClock
from cart_firmware.devices.hx711_bitbang import Gpio, hx711_bitbang
from cart_firmware.devices.hx711_iio import FolderReadings, Hx711Iio
from cart_firmware.devices.hx711_package import hx711_package
from cart_firmware.devices.hx711_spi import SPI_HERTZ, SpiBus, hx711_spi
from cart_firmware.devices.i2c import I2cBus
from cart_firmware.devices.nau7802 import RATES as NAU7802_RATES
from cart_firmware.devices.nau7802 import Nau7802
from cart_firmware.devices.platform import Platform
from cart_firmware.ports import LoadCell
from cart_protocol.host.class_path import is_class_path, open_class_path
from cart_protocol.host.configuration import ConfigurationError

_CHIP_SELECT = re.compile(r"(?P<bus>\d+)\.(?P<chip>\d+)")
_PINS = re.compile(r"(?P<dout>\d+),(?P<pd_sck>\d+)(?:@(?P<gpio>.+))?")
_HX711_RATES = (10, 80)
"""Conversions per second that the RATE pin can select (HX711 datasheet)."""
_IIO = Path("/sys/bus/iio/devices")


def open_load_cell(settings: LoadCellSettings, clock: MicrosecondClock) -> LoadCell:
    """Return the load cell, opened; it takes its first conversion some settling time after the first poll.

    Raises:
        ConfigurationError: a device cannot be opened as written; the text says what to do.
    """
    if not settings.cells:
        return _open(settings.device, settings, clock)
    cells = [_open(device, settings, clock) for device in settings.cells]
    for key, given in (("trims", settings.trims), ("zeros", settings.zeros)):
        if given and len(given) != len(cells):
            raise ConfigurationError(f"load_cell.{key}: {len(given)} for {len(cells)} cells; calibrate again")
    check = CrossCheck(
        len(cells),
        counts_per_kilogram=settings.counts_per_kilogram,
        rate_hz=settings.rate_hz,
        zeros=settings.zeros,
    )
    return Platform(cells, check, settings.trims)


def open_i2c(place: str, key: str) -> I2cBus:
    """Return the I2C bus of that number, or that a class path opens. `key` of the configuration stands in errors."""
    if not place.isdecimal():
        return cast("I2cBus", _opened(place, "I2C bus", ("read_byte_data", "write_byte_data", "close"), key))
    try:
        import smbus2  # noqa: PLC0415 - wanted on a Raspberry Pi only
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{key}: the package smbus2 is not installed; on the Pi: pip install 'cartwright[pi]'"
        ) from error
    try:
        return cast("I2cBus", smbus2.SMBus(int(place)))
    except OSError as error:
        raise ConfigurationError(
            f"{key}: /dev/i2c-{place}: {error.strerror}; enable I2C (raspi-config, Interface Options) and join the "
            "group 'i2c'"
        ) from error


def _open(device: str, settings: LoadCellSettings, clock: MicrosecondClock) -> LoadCell:
    driver, _, place = device.partition(":")
    if driver not in _DRIVERS:
        raise ConfigurationError(f"load_cell.device: no driver {driver!r}; write {', '.join(_FORMS)}")
    open_device, rates, gains = _DRIVERS[driver]
    for key, value, possible in (("rate_hz", settings.rate_hz, rates), ("gain", settings.gain, gains)):
        if value not in possible:
            raise ConfigurationError(
                f"load_cell.{key}: {value}; {driver} can do {' or '.join(map(str, possible))}: correct it"
            )
    return open_device(place, settings, clock)


def _open_spi(place: str, settings: LoadCellSettings, clock: MicrosecondClock) -> LoadCell:
    if chip_select := _CHIP_SELECT.fullmatch(place):
        bus = _open_spidev(int(chip_select["bus"]), int(chip_select["chip"]))
    else:
        bus = cast("SpiBus", _opened(place, "SPI bus", ("xfer2", "close"), "load_cell.device"))
    return hx711_spi(bus, settings.rate_hz, clock, gain=settings.gain)


def _open_spidev(bus: int, chip: int) -> SpiBus:
    try:
        import spidev  # noqa: PLC0415 - exists on a Raspberry Pi only
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "load_cell.device: the package spidev is not installed; on the Pi: pip install 'cartwright[pi]'"
        ) from error
    device = spidev.SpiDev()
    try:
        device.open(bus, chip)
    except OSError as error:
        raise ConfigurationError(
            f"load_cell.device: /dev/spidev{bus}.{chip}: {error.strerror}; "
            "enable SPI (raspi-config, Interface Options) and join the group 'spi'"
        ) from error
    device.max_speed_hz = SPI_HERTZ
    device.mode = 0
    return cast("SpiBus", device)


def _open_bitbang(place: str, settings: LoadCellSettings, clock: MicrosecondClock) -> LoadCell:
    dout, pd_sck, named = _pins(place)
    gpio = cast("Gpio", _opened(named, "GPIO module", ("setup", "output", "input"), "load_cell.device")) if named else (
        _imported("RPi.GPIO", "RPi.GPIO (to Pi 4) or rpi-lgpio (Pi 5)")
    )  # fmt: skip
    return hx711_bitbang(gpio, dout, pd_sck, settings.rate_hz, clock, gain=settings.gain)


def _open_package(place: str, settings: LoadCellSettings, clock: MicrosecondClock) -> LoadCell:
    dout, pd_sck, _ = _pins(place)
    gpio = _imported("RPi.GPIO", "RPi.GPIO (to Pi 4) or rpi-lgpio (Pi 5)")
    package = _imported("hx711", "hx711")
    cleanup = partial(gpio.cleanup, [pd_sck, dout])
    return hx711_package(package.HX711, dout, pd_sck, settings.rate_hz, clock, cleanup=cleanup)


def _open_iio(place: str, settings: LoadCellSettings, clock: MicrosecondClock) -> LoadCell:
    folder = _IIO / place  # an absolute path stays what it is
    try:
        return Hx711Iio(FolderReadings(folder, clock), settings.rate_hz)
    except OSError as error:
        raise ConfigurationError(
            f"load_cell.device: {error.filename}: {error.strerror}; load the kernel's driver (modprobe hx711, with an "
            f"overlay that names the pins), and see ls {_IIO}"
        ) from error


def _open_nau7802(place: str, settings: LoadCellSettings, clock: MicrosecondClock) -> LoadCell:
    return Nau7802(open_i2c(place, "load_cell.device"), settings.rate_hz, clock, gain=settings.gain)


_Opener = Callable[[str, LoadCellSettings, MicrosecondClock], LoadCell]
_DRIVERS: dict[str, tuple[_Opener, tuple[int, ...], tuple[int, ...]]] = {
    "hx711-spi": (_open_spi, _HX711_RATES, (128, 64, 32)),
    "hx711-bitbang": (_open_bitbang, _HX711_RATES, (128, 64, 32)),
    "hx711-iio": (_open_iio, _HX711_RATES, (128, 64, 32)),
    "hx711-package": (_open_package, _HX711_RATES, (128,)),
    "nau7802": (_open_nau7802, tuple(NAU7802_RATES), (1, 2, 4, 8, 16, 32, 64, 128)),
}
"""By the name before the colon: what opens it, conversions per second, gains."""
_FORMS = (
    "'hx711-spi:BUS.CHIP'", "'hx711-bitbang:DOUT,SCK'", "'hx711-iio:iio:device0'", "'hx711-package:DOUT,SCK'",
    "'nau7802:BUS'",
)  # fmt: skip


def _pins(place: str) -> tuple[int, int, str]:
    if not (pins := _PINS.fullmatch(place)):
        raise ConfigurationError(
            f"load_cell.device: {place!r} is no pair of pins; write their BCM numbers as DOUT,SCK: 'hx711-bitbang:5,6'"
        )
    return int(pins["dout"]), int(pins["pd_sck"]), pins["gpio"] or ""


def _opened(place: str, what: str, methods: tuple[str, ...], key: str) -> object:
    if not is_class_path(place):
        raise ConfigurationError(
            f"{key}: {place!r} is no {what}; write {', '.join(_FORMS)}, or name another {what} by "
            "'package.module:callable?key=value'"
        )
    found = open_class_path(place)
    if missing := [method for method in methods if not callable(getattr(found, method, None))]:
        lacks = " and ".join(f"{method}()" for method in missing)
        raise ConfigurationError(f"{key}: {place!r}: a {type(found).__name__} has no {lacks}; it is no {what}")
    return found


def _imported(module: str, packages: str) -> Any:  # noqa: ANN401 - a module without types
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError) as error:  # RPi.GPIO raises RuntimeError where there is no Raspberry Pi
        raise ConfigurationError(
            f"load_cell.device: {module}: {error}; on the Pi: pip install {packages}, or wire it to SPI"
        ) from error
