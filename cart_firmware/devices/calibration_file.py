"""The calibration on the cart's disk: one JSON file in the state folder, replaced as a whole."""

from pathlib import Path

import msgspec

from cart_firmware.config import ImuSettings, LoadCellSettings
from cart_firmware.core.calibration import CalibrationRecord
from cart_firmware.devices import whole_file
from cart_protocol.host.configuration import ConfigurationError

FILE, CERTIFICATE = "calibration.json", "calibration.html"
VERSION = 1


def devices(settings: LoadCellSettings) -> tuple[str, ...]:
    """Return the devices of a load cell, as they stand in its calibration."""
    return settings.cells or (settings.device,)


def load(state: Path) -> CalibrationRecord | None:
    """Return the calibration kept in the state folder, or None where there is none.

    Raises:
        ConfigurationError: it cannot be read, or is of another version; the text says what to do.
    """
    path = state / FILE
    try:
        record = msgspec.json.decode(path.read_bytes(), type=CalibrationRecord)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"{path}: {error}; calibrate again: cart-firmware calibrate") from error
    if record.v != VERSION:
        raise ConfigurationError(f"{path}: version {record.v}, this program knows {VERSION}; calibrate again")
    return record


def keep(state: Path, record: CalibrationRecord, certificate: str) -> Path:
    """Store both durably; a power cut leaves the old calibration or the new one. Return where the certificate lies."""
    whole_file.replace(state / CERTIFICATE, certificate.encode())
    whole_file.replace(state / FILE, msgspec.json.format(msgspec.json.encode(record), indent=2))
    return state / CERTIFICATE


def apply(record: CalibrationRecord, settings: LoadCellSettings, cart: str) -> LoadCellSettings:
    """Return the settings with what the calibration found.

    Raises:
        ConfigurationError: it is a calibration of another cart or load cell, or of other settings.
    """
    was = (record.cart, record.devices, record.rate_hz, record.gain)
    now = (cart, devices(settings), settings.rate_hz, settings.gain)
    for what, then, here in zip(("cart", "device", "rate_hz", "gain"), was, now, strict=True):
        if then != here:
            raise ConfigurationError(
                f"load_cell: the calibration of {record.made_at} is for {what} {then}, and now it is {here}; calibrate "
                f"again (cart-firmware calibrate), or put the old {what} back"
            )
    return msgspec.structs.replace(
        settings, zero_counts=record.zero_counts, counts_per_kilogram=record.counts_per_kilogram,
        trims=record.trims, zeros=record.zeros, repeat_mg=record.figures.repeat or settings.repeat_mg,
        place_ppm=record.figures.place_ppm or settings.place_ppm,
    )  # fmt: skip


def apply_upright(record: CalibrationRecord, settings: ImuSettings) -> ImuSettings:
    """Return the settings with what the calibration found, if it was made with an accelerometer."""
    return settings if record.up is None else msgspec.structs.replace(settings, up=record.up)
