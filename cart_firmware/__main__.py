"""The cart's program: its commands, by the names they are called by."""

import typer

from cart_firmware.commands import camera, goods, recording, scale, serving
from cart_firmware.commands.options import keys
from cart_firmware.config import CameraSettings, Settings
from cart_firmware.core.calibration import CalibrationError
from cart_firmware.core.recording import RecordingError
from cart_firmware.services.camera_check import CameraSilentError
from cart_protocol.host.configuration import ConfigurationError
from cart_protocol.host.plain_errors import explained
from cart_protocol.host.signature import KeyFileError
from cart_protocol.ids import InvalidIdError
from cart_protocol.link.outbox import OutboxError
from cart_protocol.link.settings import LinkError

_EXPLAINED = (
    CalibrationError,
    CameraSilentError,
    ConfigurationError,
    InvalidIdError,
    LinkError,
    OutboxError,
    RecordingError,
    KeyFileError,
)
"""Errors whose text already says what to do; a traceback would only hide it."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The cart's firmware: sees, weighs and recognises what is put in and taken out.",
)
_KEYS = keys("Keys of the configuration file (TOML), those without a value required:", Settings)
for command in (serving.run, serving.check):
    app.command(epilog=_KEYS)(command)
app.command()(serving.status)
app.command()(serving.code)
app.command("camera", epilog=keys("Keys for --set, and what they are without it:", CameraSettings))(camera.look)
app.command()(scale.calibrate)
app.command()(goods.enrol)
app.command("enrol-all")(goods.enrol_all)
app.command()(goods.sight)
app.command("recording")(recording.records)
app.command()(recording.replay)


def main() -> None:
    with explained("cart-firmware", _EXPLAINED):
        app()


if __name__ == "__main__":
    main()
