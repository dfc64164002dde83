"""From the configuration to an accelerometer; the only place that knows which there are."""

from cart_firmware.config import ImuSettings
from cart_firmware.devices.imu import PARTS, I2cImu
from cart_firmware.devices.load_cells import open_i2c
from cart_firmware.ports import Imu
from cart_protocol.host.configuration import ConfigurationError


def open_imu(settings: ImuSettings) -> Imu | None:
    """Return the accelerometer, None where the configuration names none.

    Raises:
        ConfigurationError: the device cannot be what is written; the text says what to write.
    """
    if not settings.device:
        return None
    name, _, place = settings.device.partition(":")
    if name not in PARTS:
        known = ", ".join(f"'{part}:BUS'" for part in PARTS)
        raise ConfigurationError(f"imu.device: {settings.device!r} is no accelerometer we know; write {known}")
    return I2cImu(open_i2c(place, "imu.device"), PARTS[name])
