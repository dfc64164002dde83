"""The cart's program: the only place that builds devices, memory and wire, and joins them to the services."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import cv2
import msgspec
import numpy as np
import structlog
import typer
from rich.live import Live

from cart_firmware.config import CameraSettings, HandsSettings, Settings
from cart_firmware.core.calibration import (
    Calibration,
    CalibrationError,
    CalibrationRecord,
    Limits,
    Outcome,
    RefusedError,
    calibrated,
    compare,
)
from cart_firmware.core.recording import RecordingError
from cart_firmware.core.tilt import Axes
from cart_firmware.devices import calibration_file, segment_ring, sight_files
from cart_firmware.devices.accelerometers import open_imu
from cart_firmware.devices.cameras import open_frame_source
from cart_firmware.devices.load_cells import open_load_cell
from cart_firmware.devices.opencv_camera import PICTURES
from cart_firmware.devices.picture_folder import PictureFolder
from cart_firmware.devices.segment_ring import SegmentRing
from cart_firmware.devices.sight_files import SightFolder
from cart_firmware.perception.camera_advice import Look, Setting, Verdict
from cart_firmware.perception.embedder import Picture
from cart_firmware.perception.hands import Hands
from cart_firmware.perception.picture_quality import Luma
from cart_firmware.perception.reader import Reader
from cart_firmware.perception.rim import Rim
from cart_firmware.screen import certificate, drawing, replay_report
from cart_firmware.screen.camera_view import Album, plain, table
from cart_firmware.screen.drawn_apart import drawn_apart
from cart_firmware.screen.enrol_report import Told
from cart_firmware.screen.enrol_report import plain as plain_lesson
from cart_firmware.screen.server import ScreenServer
from cart_firmware.screen.terminal import Terminal
from cart_firmware.screen.timeline import Timeline
from cart_firmware.services import replay as replaying
from cart_firmware.services import report
from cart_firmware.services.calibrate import Session, feel_upright
from cart_firmware.services.camera_check import Bound, CameraCheck, CameraSilentError
from cart_firmware.services.cart import Cart, software
from cart_firmware.services.enrol import Enrolment, learned_together, same_as, watch
from cart_firmware.services.price_book import PriceBookRefusedError, accept
from cart_firmware.services.sight import Sights
from cart_firmware.services.store_link import MqttStoreLink, will
from cart_protocol.gs1.check_digit import Gs1Error
from cart_protocol.gs1.gtin import gtin_of
from cart_protocol.gs1.restricted import plu
from cart_protocol.host.clock import Clock, HostClock, HostDice, IdMint
from cart_protocol.host.configuration import ConfigurationError, read
from cart_protocol.host.logs import configure
from cart_protocol.host.plain_errors import explained
from cart_protocol.host.service_manager import ServiceManager
from cart_protocol.host.signature import KeyFileError, Verifier
from cart_protocol.ids import InvalidIdError, LessonId, ProductId, SessionId, cart_id, store_id
from cart_protocol.link.mqtt import MqttLink
from cart_protocol.link.outbox import OutboxError, SqliteOutbox
from cart_protocol.link.settings import LinkError, MqttSettings, TlsFiles
from cart_protocol.mass import Mass, grams, kilograms
from cart_protocol.messages import LessonLearned
from cart_protocol.pricing.price_book import Prices
from cart_protocol.sight import MOST_SHOTS
from cart_protocol.sight import Verdict as LessonVerdict
from cart_protocol.topics import subscriptions_of_cart

_OUTBOX = "outbox.sqlite"
_PLU_DIGITS = 5
_RECORDING = "recording"
_DISK_RESERVE = 2 << 20
"""Holds the outbox's reserve of urgent events several times over: some 12 KiB of log each, at worst."""
_EPOCHS = 2**53 - 1
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


def _keys(settings: type[msgspec.Struct], table: str = "") -> Iterator[str]:
    """Return one paragraph per table of the configuration file: its keys and what they are without one."""
    fields = msgspec.structs.fields(settings)
    plain = [field for field in fields if not _is_table(field.type)]
    described = (field.name if field.required else f"{field.name} = {_shown(field.default)}" for field in plain)
    yield f"\\[{table}]  {', '.join(described)}" if table else ", ".join(described)
    for field in fields:
        if _is_table(field.type):
            yield from _keys(field.type, field.name)


def _is_table(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _shown(value: object) -> str:
    match value:
        case None:
            return "(not set)"
        case str():
            return f'"{value}"'
        case tuple():
            return str(list(value)).replace("[", "\\[")  # rich takes a bare bracket for a style
        case _:
            return str(value)


_KEYS = "\n\n".join(("Keys of the configuration file (TOML), those without a value required:", *_keys(Settings)))

_CAMERA_KEYS = "\n\n".join(("Keys for --set, and what they are without it:", *_keys(CameraSettings)))
_UNWATCHED_S = 10.0

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The cart's firmware: sees, weighs and recognises what is put in and taken out.",
)
Config = Annotated[Path, typer.Option("--config", help="The cart's configuration file (cart.toml).")]


def main() -> None:
    with explained("cart-firmware", _EXPLAINED):
        app()


@app.command(epilog=_KEYS)
def run(
    config: Config,
    verbose: Annotated[bool, typer.Option(help="Also log what only developers want to know.")] = False,
) -> None:
    """Serve shoppers until SIGTERM or Ctrl-C."""
    configure(verbose)
    asyncio.run(_serve(_checked(config)))


@app.command(epilog=_KEYS)
def check(config: Config) -> None:
    """Say whether the configuration and all files it names can be used. Touches no device."""
    settings = _checked(config)
    Verifier.load(settings.price_book_key)
    for file in (settings.broker.authority, settings.broker.certificate, settings.broker.key):
        if not file.is_file():
            raise ConfigurationError(f"{config}: {file} is not there; correct the path or copy the file")
    typer.echo(f"{config}: good. Cart {settings.identity.cart} of store {settings.identity.store}.")


@app.command()
def status(
    config: Config,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print how the cart is doing: asked of the running program, or read from its memory where none runs."""
    found = asyncio.run(_status(_checked(config)))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        return
    for name in found.__struct_fields__:
        typer.echo(f"{name.replace('_', ' '):<20} {_read_aloud(getattr(found, name))}")


@app.command()
def code(config: Config) -> None:
    """Print what a shopper's phone needs to take this cart: the address in the QR on its screen."""
    settings = _checked(config)
    found = asyncio.run(_status(settings))
    if not found.code:
        typer.echo(f"cart-firmware: the cart is {found.phase} and offers no code", err=True)
        raise typer.Exit(1)
    typer.echo(f"{settings.identity.phone_page}?code={found.cart}-{found.code}")


@app.command(name="camera", epilog=_CAMERA_KEYS)
def look_through_camera(  # noqa: PLR0917 - the options of a command
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
    kept = _checked(config) if config else None
    settings = _with(kept.camera if kept else CameraSettings(), changes or [])
    rim = _rim(kept.hands) if kept else None
    watched = sys.stdout.isatty() and not as_json
    bound = Bound(frames, seconds if frames or seconds or watched else _UNWATCHED_S)
    setting = Setting(frames_per_second=settings.frames_per_second, exposure_us=settings.exposure_us, view_deg=view)
    verdict = asyncio.run(_check_camera(settings, setting, bound, rim=rim, save=save, watched=watched))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(verdict) + b"\n")
    else:
        typer.echo(plain(verdict))
    raise typer.Exit(0 if verdict.passed else 1)


@app.command()
def calibrate(  # noqa: PLR0917 - the options of a command
    config: Config,
    masses: Annotated[
        list[float],
        typer.Option("--mass", help="A known mass in kilograms; say it once for each. Two or more find a wrong one."),
    ],
    corner_mass: Annotated[
        float | None, typer.Option(help="Mass for the corners in kilograms; by default the middle of the masses.")
    ] = None,
    corners: Annotated[bool, typer.Option(help="Weigh in each corner as well.")] = True,
    repeats: Annotated[int, typer.Option(min=0, max=20, help="How often the first mass is weighed again.")] = 3,
    by: Annotated[str, typer.Option(help="Who calibrates; stands on the certificate.")] = "",
    corner_limit: Annotated[float, typer.Option(help="Grams by which a corner may differ.")] = 10.0,
    new_cell: Annotated[bool, typer.Option(help="Do not compare with the last calibration.")] = False,
    verbose: Annotated[bool, typer.Option(help="Also log what only developers want to know.")] = False,
) -> None:
    """Calibrate the scale with known masses: asks for each, waits until it rests, and prints a certificate.

    Stop the cart first; it holds the load cell. What is found is kept in the state folder and used from the next start.

    Exit status: 0 calibrated, 2 refused; then nothing was changed.
    """
    configure(verbose)
    settings = _checked(config)
    if asyncio.run(report.ask(settings.state)):
        raise ConfigurationError(
            f"{config}: the cart runs and holds its load cell; stop it: systemctl stop cartwright-cart"
        )
    known = sorted(kilograms(mass) for mass in masses)
    if known[0] <= 0:
        raise RefusedError(f"--mass: {min(masses):g} kg; a known mass is above zero")
    corner = (kilograms(corner_mass) if corner_mass else known[len(known) // 2]) if corners else Mass(0)
    limits = Limits(corner=grams(corner_limit))
    clock = HostClock()
    cell = open_load_cell(msgspec.structs.replace(settings.load_cell, trims=(), zeros=()), clock.monotonic_us)
    with contextlib.closing(cell):
        session = Session(
            cell,
            clock,
            time.sleep,
            Terminal(),
            counts_per_kilogram=settings.load_cell.counts_per_kilogram,
            limits=limits,
        )
        outcome = calibrated(session.weigh(known, corner_mass=corner, repeats=repeats), limits)
    up = _upright(settings, clock)
    last = None if new_cell else calibration_file.load(settings.state)
    if last is not None:
        compare(outcome, last.counts_per_kilogram)
    record = _record(settings, outcome, limits, by, clock, up=up)
    kept = calibration_file.keep(settings.state, record, certificate.page(record))
    typer.echo(f"\n{certificate.plain(record)}\n\nKept. To print: {kept}")


@app.command()
def enrol(  # noqa: PLR0917 - the options of a command
    number: Annotated[str, typer.Argument(help="The product's PLU (five digits) or GTIN, as in the price book.")],
    config: Config,
    shots: Annotated[int, typer.Option(min=1, max=MOST_SHOTS, help="How many shots to take.")] = 5,
    files: Annotated[
        list[Path] | None, typer.Option("--from", help="A picture instead of the camera; say it once for each.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
    verbose: Annotated[bool, typer.Option(help="Also log what only developers want to know.")] = False,
) -> None:
    """Show a product to the camera, so that carts know it by sight: says what to do, and how the test of it went.

    Stop the cart first; it holds the camera. What was learned goes to the store when the cart runs again; there staff
    decide on the console whether all carts are taught it. No picture is kept.

    Exit status: 0 learned, 1 the shots do not look like one another and nothing was kept, 2 there is no picture.
    """
    configure(verbose)
    settings = _checked(config)
    if asyncio.run(report.ask(settings.state)):
        raise ConfigurationError(
            f"{config}: the cart runs and holds its camera; stop it: systemctl stop cartwright-cart"
        )
    product = _product(number)
    sights, prices, clock = _sights(settings), _kept_prices(settings), HostClock()
    found = prices.find(product) if prices else None
    if prices and not found:
        typer.echo(f"{product} is not in this cart's price book; the store will ask for it to be put there", err=True)
    enrolment = Enrolment(sights, product, len(files) if files else shots, same_as(product, prices))
    name = found.name if found else number
    if files:
        _add_files(enrolment, files)
    else:
        asyncio.run(_show(settings.camera, enrolment, Told(name)))
    learned = enrolment.result()
    if learned.verdict is not LessonVerdict.SCATTERED:
        lesson = LessonId(IdMint(clock, HostDice()).uuid())
        SightFolder(settings.state).keep_lesson(LessonLearned(lesson=lesson, learned=learned))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(learned) + b"\n")
    else:
        typer.echo(plain_lesson(learned, name))
    raise typer.Exit(1 if learned.verdict is LessonVerdict.SCATTERED else 0)


@app.command("enrol-all")
def enrol_all(
    pictures: Annotated[Path, typer.Argument(help="Folder of pictures (00042_1.png, 00042_2.png, 4006381333931.jpg).")],
    config: Config,
    verbose: Annotated[bool, typer.Option(help="Also log what only developers want to know.")] = False,
) -> None:
    """Have carts know by sight every product of which a folder has pictures, each named by PLU or GTIN.

    Show goods as carts see them: lying in a cart, without a hand. Otherwise as `enrol`; the cart is stopped.

    Exit status: 0 all learned, 1 the pictures of some do not look like one another; those were not kept. 2 no picture.
    """
    configure(verbose)
    settings = _checked(config)
    if asyncio.run(report.ask(settings.state)):
        raise ConfigurationError(f"{config}: the cart runs; stop it: systemctl stop cartwright-cart")
    shots = _pictures_of(pictures)
    prices, folder, mint = _kept_prices(settings), SightFolder(settings.state), IdMint(HostClock(), HostDice())
    scattered = 0
    for learned in learned_together(_sights(settings), shots, prices):
        product = learned.taught.product
        found = prices.find(product) if prices else None
        typer.echo(plain_lesson(learned, found.name if found else product))
        if learned.verdict is LessonVerdict.SCATTERED:
            scattered += 1
        else:
            folder.keep_lesson(LessonLearned(lesson=LessonId(mint.uuid()), learned=learned))
    typer.echo(
        f"{len(shots) - scattered} of {len(shots)} products learned; the store hears of them when the cart runs."
    )
    raise typer.Exit(1 if scattered else 0)


@app.command()
def sight(
    config: Config,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List what the cart knows by sight: names for the price book's key `sight`, and products the store taught."""
    configure(verbose=False)
    known = _sights(_checked(config))
    if as_json:
        said = {"network": known.network, "version": known.version, "names": known.knowledge.index.names}
        sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
        return
    typer.echo(f"network {known.network[:12]}, taught: version {known.version}")
    for name in known.knowledge.index.names:
        typer.echo(name)


@app.command()
def recording(
    config: Config,
    session: Annotated[str | None, typer.Option(help="Only this session.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write the session's record to one file, for 'replay'.")] = None,
    erase: Annotated[bool, typer.Option("--erase", help="Delete the session's record. Stop the cart first.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List what the flight recorder holds; keep or erase the record of one session.

    Exit status: 0 done, 2 there is no such record.
    """
    settings = _checked(config)
    folder = settings.state / _RECORDING
    if (save or erase) and session is None:
        raise RecordingError("--save and --erase need --session; without either, 'cart-firmware recording' lists them")
    if erase and asyncio.run(report.ask(settings.state)):
        raise RecordingError(f"{config}: the cart runs and writes its record; stop it: systemctl stop cartwright-cart")
    if save and session:
        _write(save, segment_ring.record_of(folder, lambda header, _: header.session == session))
    if erase and session:
        typer.echo(f"{_ring(settings).erase(SessionId(session))} segments erased")
    listed = [each for each in segment_ring.listed(folder) if session in (None, each.session)]
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode({"segments": listed}) + b"\n")
        return
    for each in listed:
        typer.echo(replay_report.row(each))


@app.command()
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


# ── the composition ──────────────────────────────────────────────────────────────────────────────────────────────────


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


def _rim(settings: HandsSettings) -> Rim | None:
    """Return where hands come in, if they are watched."""
    return Rim(*settings.rim) if settings.watch else None


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


def _upright(settings: Settings, clock: Clock) -> Axes | None:
    """Return what the accelerometer reads on level floor, None on a cart without one."""
    imu = open_imu(settings.imu)
    if imu is None:
        return None
    with contextlib.closing(imu):
        return feel_upright(imu, clock, time.sleep, Terminal())


def _record(
    settings: Settings, outcome: Outcome, limits: Limits, by: str, clock: Clock, *, up: Axes | None
) -> CalibrationRecord:
    made = datetime.fromtimestamp(clock.wall_ms() // 1_000, UTC)
    return CalibrationRecord(
        cart=settings.identity.cart, devices=calibration_file.devices(settings.load_cell),
        rate_hz=settings.load_cell.rate_hz, gain=settings.load_cell.gain, made_at=made.isoformat(), made_by=by,
        zero_counts=outcome.zero_counts, counts_per_kilogram=outcome.counts_per_kilogram, trims=outcome.trims,
        zeros=outcome.zeros, up=up, figures=outcome.figures, limits=limits,
    )  # fmt: skip


def _calibrated(settings: Settings) -> Settings:
    """Return the settings with the calibration that is kept, if there is one."""
    log, record = structlog.get_logger("cart-firmware"), calibration_file.load(settings.state)
    if record is None:
        log.warning("the scale is not calibrated", do="cart-firmware calibrate")
        return settings
    found = calibration_file.apply(record, settings.load_cell, settings.identity.cart)
    imu = calibration_file.apply_upright(record, settings.imu)
    if imu.device and not any(imu.up):
        log.warning("slopes are not corrected: the accelerometer was not calibrated", do="cart-firmware calibrate")
    return msgspec.structs.replace(settings, load_cell=found, imu=imu)


async def _serve(settings: Settings) -> None:
    settings = _calibrated(settings)
    clock, dice, service_manager = HostClock(), HostDice(), ServiceManager()
    log = structlog.get_logger("cart-firmware")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with contextlib.closing(_outbox(settings, dice)) as outbox:
        if outbox.replaced:
            log.error("the outbox was damaged; a new one begins", kept=str(outbox.replaced))
        pictures = PictureFolder(settings.state / "pictures")
        cart = _cart(settings, clock, dice, outbox=outbox, service_manager=service_manager, pictures=pictures)
        screen = ScreenServer(cart.show_case, cart.fuse, settings.screen, clock, pictures)
        log.info("serving", cart=settings.identity.cart, screen=screen.address)
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(cart.run(), name="cart"),
                group.create_task(screen.serve(), name="screen"),
                group.create_task(report.serve(settings.state, cart.status), name="report"),
            ]
            await stop.wait()
            screen.close()
            for task in running:
                task.cancel()
    log.info("stopped")


def _cart(
    settings: Settings, clock: Clock, dice: HostDice, *, outbox: SqliteOutbox, service_manager: ServiceManager,
    pictures: PictureFolder,
) -> Cart:  # fmt: skip
    store, cart, broker = store_id(settings.identity.store), cart_id(settings.identity.cart), settings.broker
    rim = _rim(settings.hands)
    link = MqttLink(
        MqttSettings(
            host=broker.host,
            port=broker.port,
            tls=TlsFiles(authority=broker.authority, certificate=broker.certificate, key=broker.key),
            keepalive_s=broker.keepalive_s,
        ),
        client_id=cart,
        subscriptions=subscriptions_of_cart(store, cart),
        will=will(store, cart),
    )
    return Cart(
        settings,
        clock,
        IdMint(clock, dice),
        load_cell=open_load_cell(settings.load_cell, clock.monotonic_us),
        imu=open_imu(settings.imu),
        frames=open_frame_source(settings.camera, clock),
        reader=Reader(now=lambda: clock.monotonic_us() / 1e6),
        hands=Hands(rim) if rim else None,
        link=MqttStoreLink(link, store, cart),
        outbox=outbox,
        verify=Verifier.load(settings.price_book_key).verify,
        sights=_sights(settings) if settings.recognition.use else None,
        service_manager=service_manager,
        recordings=_ring(settings) if settings.recorder.size_mib else None,
        draw=drawn_apart,
        pictures=pictures,
    )


def _sights(settings: Settings) -> Sights:
    """Return what the cart knows by sight, with what its store taught."""
    embedder, knowledge = sight_files.load(settings.recognition)
    return Sights(embedder, knowledge, Verifier.load(settings.price_book_key).verify, SightFolder(settings.state))


def _product(number: str) -> ProductId:
    """Return the catalogue key of a number as staff read it."""
    if len(number) == _PLU_DIGITS and number.isdecimal():
        return plu(number)
    try:
        return ProductId(gtin_of(number))
    except Gs1Error as error:
        raise ConfigurationError(f"{number}: {error}; give a PLU of five digits, or a GTIN") from error


def _kept_prices(settings: Settings) -> Prices | None:
    """Return the prices that the cart has kept, None where it has none that can be used."""
    if not (settings.state / _OUTBOX).exists():
        return None
    with contextlib.closing(_outbox(settings, HostDice())) as outbox:
        issue = outbox.price_book()
    try:
        return accept(issue, Verifier.load(settings.price_book_key).verify, present=None) if issue else None
    except PriceBookRefusedError:
        return None


def _add_files(enrolment: Enrolment, files: list[Path]) -> None:
    if len(files) > MOST_SHOTS:
        raise ConfigurationError(f"--from: {len(files)} pictures; {MOST_SHOTS} are the most")
    for file in files:
        enrolment.add(_picture(file))


def _pictures_of(folder: Path) -> dict[ProductId, list[Picture]]:
    """Return the pictures of a folder, by the product that each is named after."""
    files = sorted(file for file in folder.glob("*") if file.suffix.lower() in PICTURES)
    if not files:
        raise ConfigurationError(f"{folder}: no pictures ({', '.join(PICTURES)}); name a folder that has some")
    found = dict[ProductId, list[Picture]]()
    for file in files:
        shots = found.setdefault(_product(file.stem.partition("_")[0]), [])
        if len(shots) == MOST_SHOTS:
            raise ConfigurationError(f"{file}: more than {MOST_SHOTS} pictures of a product; take some away")
        shots.append(_picture(file))
    return found


def _picture(file: Path) -> Picture:
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if picture is None:
        raise ConfigurationError(f"{file}: no picture that can be read; name a JPEG or PNG file")
    return np.asarray(picture, np.uint8)


async def _show(settings: CameraSettings, enrolment: Enrolment, told: Told) -> None:
    camera = open_frame_source(settings, HostClock())
    try:
        await watch(camera, enrolment, told.tell)
    finally:
        await camera.close()


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}; name a file in a folder we may write to") from error


def _ring(settings: Settings) -> SegmentRing:
    bounds = settings.recorder
    return SegmentRing(settings.state / _RECORDING, bounds.size_mib << 20, bounds.leave_free_mib << 20)


def _outbox(settings: Settings, dice: HostDice) -> SqliteOutbox:
    try:
        settings.state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"state: {settings.state}: {error.strerror}; name a folder we may write to") from error
    epoch = int.from_bytes(dice.token_bytes(8)) % _EPOCHS + 1
    return SqliteOutbox(settings.state / _OUTBOX, settings.outbox_capacity, epoch, _DISK_RESERVE)


async def _status(settings: Settings) -> report.Status:
    if running := await report.ask(settings.state):
        return running
    if not (settings.state / _OUTBOX).exists():
        raise ConfigurationError(f"state: {settings.state} has no {_OUTBOX}: this cart never ran; start it first")
    try:
        with contextlib.closing(_outbox(settings, HostDice())) as outbox:
            return report.status_of(settings.identity.cart, outbox.basket(), outbox.position, outbox.acknowledged)
    except OutboxError:
        # It has begun to run since we asked.
        if running := await report.ask(settings.state):
            return running
        raise


def _checked(config: Path) -> Settings:
    """Return the settings in a file, or raise what is wrong with them."""
    settings = read(config, Settings)
    cart_id(settings.identity.cart)
    store_id(settings.identity.store)
    cell, weighing = settings.load_cell, settings.weighing
    Calibration(zero_counts=cell.zero_counts, counts_per_kilogram=cell.counts_per_kilogram)
    if settings.hands.rim[:2] == settings.hands.rim[2:]:
        raise ConfigurationError(f"{config}: hands.rim names one point twice; name two points of the line")
    positive = {
        "weighing.window_ms": weighing.window_ms, "weighing.band_mg": weighing.band_mg,
        "weighing.smallest_step_mg": weighing.smallest_step_mg, "outbox_capacity": settings.outbox_capacity,
        "scan_patience_s": settings.scan_patience_s, "broker.keepalive_s": settings.broker.keepalive_s,
    }  # fmt: skip
    for key, value in positive.items():
        if value <= 0:
            raise ConfigurationError(f"{config}: {key} is {value}; it must be above zero")
    return settings


def _read_aloud(value: object) -> str:
    match value:
        case dict():
            return ", ".join(f"{key} {count}" for key, count in value.items()) or "none"
        case tuple():
            return ", ".join(str(each) for each in value) or "none"
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)


if __name__ == "__main__":
    main()
