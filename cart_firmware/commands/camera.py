"""The command that says how well the camera sees."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.live import Live

from cart_firmware import composition
from cart_firmware.config import CameraSettings
from cart_firmware.devices.cameras import open_frame_source
from cart_firmware.perception.camera_advice import Look, Setting, Verdict
from cart_firmware.perception.picture_quality import Luma
from cart_firmware.perception.reader import Reader
from cart_firmware.perception.rim import Rim
from cart_firmware.screen.camera_view import Album, plain, table
from cart_firmware.services.camera_check import Bound, CameraCheck
from cart_protocol.host.clock import HostClock
from cart_protocol.host.configuration import ConfigurationError
from cart_protocol.host.logs import configure

_UNWATCHED_S = 10.0


def look(  # noqa: PLR0917 - the options of a command
    config: Annotated[
        Path | None, typer.Option(help="The cart's configuration file; without one, its defaults.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Another value of a key, such as --set exposure_us=500.")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="End after so many pictures.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="End after so many seconds.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
    save: Annotated[Path | None, typer.Option(help="Keep a picture a second here, with what was seen in it.")] = None,
    view: Annotated[
        float, typer.Option(min=5, max=170, help="Degrees that the picture shows across, for distances in cm.")
    ] = 66.0,
    verbose: Annotated[bool, typer.Option(help="Also log what only developers want to know.")] = False,
) -> None:
    """Hold a barcode before the camera: says how well it is seen, and what to change.

    Stop the cart first; it holds the camera.

    Ends by Ctrl-C, --frames or --seconds (10 where nobody watches on a terminal).

    Exit status: 0 the camera will do, 1 not yet, 2 there is no picture or a setting cannot be used.
    """
    configure(verbose)
    kept = composition.checked(config) if config else None
    settings = _with(kept.camera if kept else CameraSettings(), changes or [])
    rim = composition.watched_rim(kept.hands) if kept else None
    watched = sys.stdout.isatty() and not as_json
    bound = Bound(frames, seconds if frames or seconds or watched else _UNWATCHED_S)
    setting = Setting(frames_per_second=settings.frames_per_second, exposure_us=settings.exposure_us, view_deg=view)
    verdict = asyncio.run(_check_camera(settings, setting, bound, rim=rim, save=save, watched=watched))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(verdict) + b"\n")
    else:
        typer.echo(plain(verdict))
    raise typer.Exit(0 if verdict.passed else 1)


async def _check_camera(
    settings: CameraSettings, setting: Setting, bound: Bound, *, rim: Rim | None, save: Path | None, watched: bool
) -> Verdict:
    clock = HostClock()
    album = Album(save, clock, rim) if save else None
    camera = open_frame_source(settings, clock)
    check = CameraCheck(camera, Reader(), clock, setting)
    with Live(transient=True, auto_refresh=False) if watched else contextlib.nullcontext() as live:

        def show(luma: Luma, seen: Look, lately: Verdict) -> None:
            if live is not None:
                live.update(table(lately), refresh=True)
            if album is not None:
                album.show(luma, seen, lately)

        watching = asyncio.create_task(check.run(bound, show), name="check")
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, watching.cancel)
        try:
            await watching
        except asyncio.CancelledError:
            pass  # Ctrl-C: what was seen so far is judged
        finally:
            await camera.close()
    return check.verdict()


def _with(settings: CameraSettings, changes: list[str]) -> CameraSettings:
    """Return the settings with 'key=value' changes, checked as those of a file are."""
    tree = msgspec.to_builtins(settings)
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or key not in tree:
            raise ConfigurationError(f"--set {change!r}: no such key; write KEY=VALUE, KEY one of {', '.join(tree)}")
        tree[key] = value.split(",") if key == "region" else value
    try:
        return msgspec.convert(tree, CameraSettings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"--set: {error}; correct the value") from error
