"""The one place that builds a cart: devices, memory and wire from its settings, joined to the services."""

import asyncio
import contextlib
import signal
from pathlib import Path

import msgspec
import structlog

from cart_firmware.config import HandsSettings, Settings
from cart_firmware.core.calibration import Calibration
from cart_firmware.devices import calibration_file, sight_files
from cart_firmware.devices.accelerometers import open_imu
from cart_firmware.devices.cameras import open_frame_source
from cart_firmware.devices.load_cells import open_load_cell
from cart_firmware.devices.picture_folder import PictureFolder
from cart_firmware.devices.segment_ring import SegmentRing
from cart_firmware.devices.sight_files import SightFolder
from cart_firmware.perception.hands import Hands
from cart_firmware.perception.reader import Reader
from cart_firmware.perception.rim import Rim
from cart_firmware.screen.drawn_apart import drawn_apart
from cart_firmware.screen.server import ScreenServer
from cart_firmware.services import report
from cart_firmware.services.cart import Cart
from cart_firmware.services.price_book import PriceBookRefusedError, accept
from cart_firmware.services.sight import Sights
from cart_firmware.services.store_link import MqttStoreLink, will
from cart_protocol.host.clock import Clock, HostClock, HostDice, IdMint
from cart_protocol.host.configuration import ConfigurationError, read
from cart_protocol.host.service_manager import ServiceManager
from cart_protocol.host.signature import Verifier
from cart_protocol.ids import cart_id, store_id
from cart_protocol.link.mqtt import MqttLink
from cart_protocol.link.outbox import OutboxInUseError, SqliteOutbox
from cart_protocol.link.settings import MqttSettings, TlsFiles
from cart_protocol.pricing.price_book import Prices
from cart_protocol.topics import subscriptions_of_cart

_OUTBOX = "outbox.sqlite"
RECORDING = "recording"
"""Folder of the flight recorder, within the state folder."""
_DISK_RESERVE = 2 << 20
"""Holds the outbox's reserve of urgent events several times over: some 12 KiB of log each, at worst."""
_EPOCHS = 2**53 - 1
_STARTS_WITHIN_S = 15
"""From the outbox on: devices are opened, and the network is read."""


async def serve(settings: Settings) -> None:
    """Build the cart and run it until SIGTERM or SIGINT."""
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


def checked(config: Path) -> Settings:
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


def stopped(config: Path, holding: str) -> Settings:
    """Return the settings in a file of a cart that does not run.

    Args:
        config: the file.
        holding: what the caller needs and a running cart has in use.

    Raises:
        ConfigurationError: they are wrong, or the cart runs.
    """
    settings = checked(config)
    if asyncio.run(report.ask(settings.state)):
        raise ConfigurationError(f"{config}: the cart runs and {holding}; stop it: systemctl stop cartwright-cart")
    return settings


async def status(settings: Settings) -> report.Status:
    """Return how the cart is doing, asked of the running program or read from its memory.

    Raises:
        ConfigurationError: it never ran.
    """
    if running := await report.ask(settings.state):
        return running
    if not (settings.state / _OUTBOX).exists():
        raise ConfigurationError(f"state: {settings.state} has no {_OUTBOX}: this cart never ran; start it first")
    try:
        with contextlib.closing(_outbox(settings, HostDice())) as outbox:
            return report.status_of(settings.identity.cart, outbox.basket(), outbox.position, outbox.acknowledged)
    except OutboxInUseError:
        # It has begun to run since we asked, and answers when all its devices are open.
        for _ in range(_STARTS_WITHIN_S):
            if running := await report.ask(settings.state):
                return running
            await asyncio.sleep(1)
        raise


def kept_prices(settings: Settings) -> Prices | None:
    """Return the prices that the cart has kept, None where it has none that can be used."""
    if not (settings.state / _OUTBOX).exists():
        return None
    with contextlib.closing(_outbox(settings, HostDice())) as outbox:
        issue = outbox.price_book()
    try:
        return accept(issue, Verifier.load(settings.price_book_key).verify, present=None) if issue else None
    except PriceBookRefusedError:
        return None


def sights(settings: Settings) -> Sights:
    """Return what the cart knows by sight, with what its store taught."""
    embedder, knowledge = sight_files.load(settings.recognition)
    return Sights(embedder, knowledge, Verifier.load(settings.price_book_key).verify, SightFolder(settings.state))


def watched_rim(settings: HandsSettings) -> Rim | None:
    """Return where hands come in, if they are watched."""
    return Rim(*settings.rim) if settings.watch else None


def ring(settings: Settings) -> SegmentRing:
    """Return the flight recorder's ring."""
    bounds = settings.recorder
    return SegmentRing(settings.state / RECORDING, bounds.size_mib << 20, bounds.leave_free_mib << 20)


def _outbox(settings: Settings, dice: HostDice) -> SqliteOutbox:
    try:
        settings.state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"state: {settings.state}: {error.strerror}; name a folder we may write to") from error
    epoch = int.from_bytes(dice.token_bytes(8)) % _EPOCHS + 1
    return SqliteOutbox(settings.state / _OUTBOX, settings.outbox_capacity, epoch, _DISK_RESERVE)


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


def _cart(
    settings: Settings, clock: Clock, dice: HostDice, *, outbox: SqliteOutbox, service_manager: ServiceManager,
    pictures: PictureFolder,
) -> Cart:  # fmt: skip
    store, cart, broker = store_id(settings.identity.store), cart_id(settings.identity.cart), settings.broker
    rim = watched_rim(settings.hands)
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
        sights=sights(settings) if settings.recognition.use else None,
        service_manager=service_manager,
        recordings=ring(settings) if settings.recorder.size_mib else None,
        draw=drawn_apart,
        pictures=pictures,
    )
