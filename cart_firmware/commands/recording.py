"""Commands of the flight recorder: list, save and erase its records, and decide again what was decided."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cart_firmware import composition
from cart_firmware.commands.options import Config
from cart_firmware.core.recording import RecordingError
from cart_firmware.devices import segment_ring
from cart_firmware.screen import drawing, replay_report
from cart_firmware.screen.timeline import Timeline
from cart_firmware.services import replay as replaying
from cart_firmware.services.cart import software
from cart_protocol.ids import SessionId


def records(
    config: Config,
    session: Annotated[str | None, typer.Option(help="Only this session.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write the session's record to one file, for 'replay'.")] = None,
    erase: Annotated[bool, typer.Option("--erase", help="Delete the session's record. Stop the cart first.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List what the flight recorder holds; keep or erase the record of one session.

    Exit status: 0 done, 2 there is no such record.
    """
    if (save or erase) and session is None:
        raise RecordingError("--save and --erase need --session; without either, 'cart-firmware recording' lists them")
    settings = composition.stopped(config, "writes its record") if erase else composition.checked(config)
    folder = settings.state / composition.RECORDING
    if save and session:
        _write(save, segment_ring.record_of(folder, lambda header, _: header.session == session))
    if erase and session:
        typer.echo(f"{composition.ring(settings).erase(SessionId(session))} segments erased")
    listed = [each for each in segment_ring.listed(folder) if session in (None, each.session)]
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode({"segments": listed}) + b"\n")
        return
    for each in listed:
        typer.echo(replay_report.row(each))


def replay(
    record: Annotated[Path, typer.Argument(help="A folder of segments, one segment, or a file that was saved.")],
    session: Annotated[str | None, typer.Option(help="Only this session.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw the timeline into this file.")] = None,
    png: Annotated[Path | None, typer.Option(help="Likewise, as a picture.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Decide again what a cart decided, with what it had perceived, and say where the answers differ.

    Exit status: 0 every decision as recorded, 1 at least one is another, 2 there is nothing that can be replayed.
    """
    found = segment_ring.read(record, lambda header, _: session in (None, header.session))
    if not found.segments:
        raise RecordingError(f"{record}: nothing is recorded of that; 'cart-firmware recording' lists what is")
    drawn = Timeline() if svg or png else None
    replayed = replaying.replay(found, drawn.saw if drawn else None)
    if drawn and svg:
        _write(svg, drawing.svg(drawn.drawing()).encode())
    if drawn and png:
        _write(png, drawing.png(drawn.drawing()))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(replayed) + b"\n")
    else:
        typer.echo(replay_report.said(replayed, software()))
    raise typer.Exit(1 if replayed.differences else 0)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}; name a file in a folder we may write to") from error
