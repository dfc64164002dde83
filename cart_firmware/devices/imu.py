"""Accelerometers on I2C, MPU-6050 and the LSM6 family: one row of a table for each part.

Sources: InvenSense, "MPU-6000 and MPU-6050 Register Map and Descriptions" (SMPLRT_DIV, CONFIG, ACCEL_CONFIG,
ACCEL_XOUT_H, PWR_MGMT_1, WHO_AM_I); ST, data sheets of LSM6DS3, LSM6DSL and LSM6DSO (WHO_AM_I, CTRL1_XL, CTRL3_C,
OUTX_L_XL; 0.061 mg a count at +-2 g).
"""

import struct

import msgspec

from cart_firmware.devices.i2c import I2cBus
from cart_firmware.ports import Acceleration, ImuError


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of accelerometer is set up and read, at +-2 g. Three axes of 16 bits lie in a row."""

    name: str
    address: int
    who_am_i: int
    """The register that says which part it is ..."""
    says: tuple[int, ...]
    """... and what it may say."""
    setup: tuple[tuple[int, int], ...]
    """Register and value, in order. All are read back with every reading: a part that lost power forgets them."""
    axes: int
    layout: str
    """Of the axes, as struct has it."""
    nano_g_per_count: int


MPU_6050 = Part(
    name="MPU-6050", address=0x68, who_am_i=0x75, says=(0x68,),
    # Clock from the gyroscope and no sleep; 44 Hz filter; 1 kHz / 10 samples; +-2 g.
    setup=((0x6B, 0x01), (0x1A, 0x03), (0x19, 0x09), (0x1C, 0x00)),
    axes=0x3B, layout=">3h", nano_g_per_count=61_035,
)  # fmt: skip
LSM6 = Part(
    name="LSM6", address=0x6A, who_am_i=0x0F, says=(0x69, 0x6A, 0x6C),
    # Whole words only, addresses that count up; 104 Hz, +-2 g.
    setup=((0x12, 0x44), (0x10, 0x40)),
    axes=0x28, layout="<3h", nano_g_per_count=61_000,
)  # fmt: skip
PARTS = {"mpu6050": MPU_6050, "lsm6": LSM6}


class I2cImu:
    """An accelerometer of the table; fulfils ports.Imu."""

    def __init__(self, bus: I2cBus, part: Part) -> None:
        self._bus, self._part = bus, part
        self._ready = False

    def read(self, now_us: int) -> Acceleration:
        """Return the newest reading; the first after a failure may be some milliseconds old."""
        part = self._part
        try:
            if not self._ready:
                self._set_up()
            raw = bytes(self._bus.read_i2c_block_data(part.address, part.axes, 6))
            self._check()
        except OSError as error:
            self._ready = False
            raise ImuError(
                f"{part.name}: no answer at address {part.address:#04x}: {error}; check its wires, and i2cdetect -y 1"
            ) from error
        x, y, z = (count * part.nano_g_per_count // 1_000 for count in struct.unpack(part.layout, raw))
        return Acceleration(at_us=now_us, x=x, y=y, z=z)

    def close(self) -> None:
        self._bus.close()

    def _set_up(self) -> None:
        part = self._part
        said = self._bus.read_byte_data(part.address, part.who_am_i)
        if said not in part.says:
            known = " or ".join(f"{value:#04x}" for value in part.says)
            raise ImuError(f"{part.name}: says it is {said:#04x}, expected {known}; it is another part")
        for register, value in part.setup:
            self._bus.write_byte_data(part.address, register, value)
        self._ready = True

    def _check(self) -> None:
        part = self._part
        for register, value in part.setup:
            if (found := self._bus.read_byte_data(part.address, register)) != value:
                self._ready = False
                raise ImuError(
                    f"{part.name}: register {register:#04x} is {found:#04x}, we wrote {value:#04x}: it lost power, or "
                    "was unplugged while it answered; its settings are written anew; check its plug"
                )
