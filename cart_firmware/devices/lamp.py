"""A lamp beside the camera, lit while somebody watches: with its light exposures can be short (docs/HARDWARE.md)."""

from collections.abc import AsyncIterator

import gpiozero

from cart_firmware.ports import Frame, FrameSource
from cart_protocol.host.configuration import ConfigurationError
from cart_protocol.host.pins import PinsError, open_pins


class LitCamera:
    """A ports.FrameSource whose lamp is lit from the first iteration of `frames()` until it is closed."""

    def __init__(self, camera: FrameSource, lamp: str) -> None:
        self._camera = camera
        self._line = _line(lamp)

    @property
    def unmet(self) -> tuple[str, ...]:
        """Settings that the camera does not honour; see ports.FrameSource."""
        return self._camera.unmet

    @property
    def complaint(self) -> str:
        """What the camera said last about showing nothing; see ports.FrameSource."""
        return self._camera.complaint

    async def frames(self) -> AsyncIterator[Frame]:
        self._line.on()
        async for frame in self._camera.frames():
            yield frame

    async def close(self) -> None:
        """Put out the lamp and close the camera. Harmless when repeated."""
        self._line.close()  # the pin becomes an input again: a lamp behind a transistor is dark
        await self._camera.close()


def _line(lamp: str) -> gpiozero.OutputDevice:
    """Return the pin named 'PINS:NUMBER', low."""
    pins, _, number = lamp.rpartition(":")
    if not pins or not number.isdecimal():
        raise ConfigurationError(f"camera.lamp: {lamp!r} is no pin; write its factory and number, such as 'lgpio:18'")
    try:
        return gpiozero.OutputDevice(int(number), initial_value=False, pin_factory=open_pins(pins))
    except PinsError as error:
        raise ConfigurationError(f"camera.lamp: {error}") from error
    except (gpiozero.GPIOZeroError, OSError) as error:
        raise ConfigurationError(
            f"camera.lamp: GPIO{number}: {error}; check the number and that nobody else uses the pin"
        ) from error
