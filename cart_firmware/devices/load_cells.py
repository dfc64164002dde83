"""Opens the load cell that the configuration names."""

import re
from typing import cast

from cart_firmware.config import LoadCellSettings
from cart_firmware.devices.hx711_spi import SPI_HERTZ, Hx711Spi, SpiBus
from cart_firmware.ports import LoadCell
from cart_protocol.host.class_path import is_class_path, open_class_path
from cart_protocol.host.configuration import ConfigurationError

_CHIP_SELECT = re.compile(r"(?P<bus>\d+)\.(?P<chip>\d+)")
_RATES = (10, 80)
"""Conversions per second that the RATE pin can select (HX711 datasheet)."""


def open_load_cell(settings: LoadCellSettings) -> LoadCell:
    """Return the load cell, opened; it takes its first conversion some settling time after the first poll.

    Raises:
        ConfigurationError: the device cannot be opened as written; the text says what to do.
    """
    driver, _, place = settings.device.partition(":")
    if driver != "hx711-spi":
        raise ConfigurationError(f"load_cell.device: no driver {driver!r}; write 'hx711-spi:BUS.CHIP'")
    if settings.rate_hz not in _RATES:
        raise ConfigurationError(f"load_cell.rate_hz: {settings.rate_hz}; an HX711 converts 10 or 80 times a second")
    return Hx711Spi(_open_bus(place), settings.rate_hz)


def _open_bus(place: str) -> SpiBus:
    if chip_select := _CHIP_SELECT.fullmatch(place):
        return _open_spidev(int(chip_select["bus"]), int(chip_select["chip"]))
    if not is_class_path(place):
        raise ConfigurationError(
            f"load_cell.device: {place!r} is no SPI bus; write 'hx711-spi:0.0', "
            "or 'hx711-spi:package.module:callable?key=value'"
        )
    bus = open_class_path(place)
    if not (callable(getattr(bus, "xfer2", None)) and callable(getattr(bus, "close", None))):
        raise ConfigurationError(f"load_cell.device: {place!r}: a {type(bus).__name__} has no xfer2() and close()")
    return cast("SpiBus", bus)


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
