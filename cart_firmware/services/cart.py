"""A whole cart but for its devices and its screen: what the program and the stage build alike."""

import asyncio
from importlib.metadata import PackageNotFoundError, version

import msgspec

from cart_firmware.config import Settings
from cart_firmware.core.health import Health
from cart_firmware.core.prompts import Prompt, lesson
from cart_firmware.core.recording import FusionSettings, WeigherSettings
from cart_firmware.core.scanning import Scanner
from cart_firmware.core.tilt import LEVEL
from cart_firmware.ports import Frame, FrameSource, Imu, LoadCell, Outbox, PictureShelf, Recordings, StoreLink
from cart_firmware.services.fetch_pictures import FetchPictures
from cart_firmware.services.fuse import Address, Fuse
from cart_firmware.services.lesson import Lessons
from cart_firmware.services.memory import Memory
from cart_firmware.services.price_book import Verify
from cart_firmware.services.recognise import Recognise
from cart_firmware.services.recorder import Recorder
from cart_firmware.services.report import Status, status_of
from cart_firmware.services.send_record import Draw, SendRecord, undrawn
from cart_firmware.services.sense import BarcodeReader, Eye, HandWatch, Scale
from cart_firmware.services.show import ShowCase
from cart_firmware.services.sight import Sights
from cart_firmware.services.sync import Sync
from cart_firmware.services.watch import Loop, Watch
from cart_protocol.host.clock import Clock, IdMint
from cart_protocol.host.service_manager import ServiceManager

_CLOSE_S = 1.5
"""For taking leave of the store and ending the camera's program: SIGTERM is answered within two seconds."""


class Cart:
    """Owns the devices it is given from now on: `run` closes them when it ends, however it ends."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        mint: IdMint,
        *,
        load_cell: LoadCell,
        frames: FrameSource,
        reader: BarcodeReader,
        link: StoreLink,
        outbox: Outbox,
        verify: Verify,
        imu: Imu | None = None,
        hands: HandWatch | None = None,
        service_manager: ServiceManager | None = None,
        recordings: Recordings | None = None,
        draw: Draw = undrawn,
        pictures: PictureShelf | None = None,
        sights: Sights | None = None,
    ) -> None:
        self._cart_id, self._load_cell, self._frames = settings.identity.cart, load_cell, frames
        self._imu = imu
        self._service_manager = service_manager or ServiceManager({})
        memory, health, scanner = Memory(outbox), Health(started_us=clock.monotonic_us()), Scanner()
        self.recorder = Recorder(
            recordings,
            clock,
            cart=settings.identity.cart,
            software=software(),
            segment_bytes=settings.recorder.segment_kib << 10,
        )
        self.show_case = ShowCase(settings.identity.cart)
        self.fuse = Fuse(
            memory,
            clock,
            mint,
            scanner=scanner,
            health=health,
            show_case=self.show_case,
            address=Address(settings.identity.cart, settings.identity.phone_page),
            verify=verify,
            settings=fusion_settings(settings),
            recorder=self.recorder,
        )
        # One that was never read on level floor would correct slopes that are none.
        upright = imu if any(settings.imu.up) else None
        weighing = weigher_settings(settings, load_cell.rate_hz)
        weigher = weighing.weigher(self.fuse.load)
        self.recorder.join(weighing, weigher, scanner, self.fuse.decider)
        self.scale = Scale(load_cell, weigher, health, clock, self.fuse.submit, recorder=self.recorder, imu=upright)
        self.sights = sights
        self.lessons = (
            Lessons(link, sights, clock, phase=lambda: self.fuse.basket.phase, prices=lambda: self.fuse.prices)
            if sights
            else None
        )
        self._recognise = Recognise(sights, self.fuse.submit, lambda: self.fuse.prices) if sights else None
        self.eye = Eye(
            frames,
            reader,
            scanner,
            health=health,
            clock=clock,
            submit=self.fuse.submit,
            recorder=self.recorder,
            hands=hands,
            onlook=self.lessons.onlook if self.lessons else _unwatched,
            recognise=self._recognise.passed if self._recognise else None,
        )
        self.send_record = SendRecord(link, self.recorder, draw)
        self._pictures: FetchPictures | None = None
        if pictures is not None:
            self._pictures = FetchPictures(
                link, pictures, clock, prices=lambda: self.fuse.prices, offline=lambda: self.sync.offline
            )
        self.sync = Sync(
            link,
            memory,
            clock,
            truth=self.fuse.truth,
            submit=self.fuse.submit,
            record_wanted=self.send_record.wanted,
            picture=self._pictures.heard if self._pictures else lambda _: None,
            software=software(),
            lessons=self.lessons,
        )
        self.fuse.join(grown=self.sync.grown, offline=lambda: self.sync.offline, lesson=self._lesson)
        loops: dict[str, Loop] = {"scale": self.scale, "camera": self.eye, "fuse": self.fuse, "sync": self.sync}
        self.watch = Watch(self._service_manager, clock, loops)

    async def run(self) -> None:
        """Run until cancelled."""
        try:
            await self.fuse.start()
            self._service_manager.ready("serving")
            async with asyncio.TaskGroup() as group:
                loops = (self.fuse, self.scale, self.eye, self.sync, self.watch, self.recorder, self.send_record)
                for loop in loops:
                    group.create_task(loop.run(), name=type(loop).__name__.lower())
                if self._pictures:
                    group.create_task(self._pictures.run(), name="pictures")
                if self.lessons:
                    group.create_task(self.lessons.run(), name="lessons")
                if self._recognise:
                    group.create_task(self._recognise.run(), name="recognise")
        finally:
            self._service_manager.stopping()
            await self._close()

    def _lesson(self) -> Prompt | None:
        """Return what the screen says while a product is being shown to the cart."""
        now = self.lessons.now if self.lessons else None
        if now is None:
            return None
        name, showing = now
        return lesson(name, shots=showing.shots, wanted=showing.wanted, seen=showing.seen)

    def status(self) -> Status:
        """Return how the cart is doing now."""
        basket = self.fuse.basket
        known = status_of(self._cart_id, basket, self.fuse.position, self.sync.acknowledged)
        return msgspec.structs.replace(
            known,
            running=True,
            offline=self.sync.offline,
            book_version=self.show_case.view().book_version,
            load_mg=self.scale.level,
            load=self.scale.shown,
            zero_mg=self.scale.drift,
            codes_refused=self.eye.refused,
            readings_failed=self.scale.failures,
            frames_read=self.eye.frames_read,
            frames_failed=self.eye.frames_failed,
            camera_unmet=self._frames.unmet,
            messages_unreadable=self.sync.unreadable,
            price_books_refused=self.fuse.refused_books,
            sight_version=self.sights.version if self.sights else 0,
            sights_refused=self.sights.refused if self.sights else 0,
            records_lost=self.recorder.lost,
        )

    async def _close(self) -> None:
        self._load_cell.close()
        if self._imu:
            self._imu.close()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.gather(
                    self.sync.close(), self._frames.close(), self.recorder.flush(), return_exceptions=True
                )
        except TimeoutError:
            pass  # whoever does not end in time is ended with us


def _unwatched(_frame: Frame) -> bool:
    """Nobody else looks at the camera's pictures."""
    return False


def weigher_settings(settings: Settings, rate_hz: float) -> WeigherSettings:
    """Return what a weigher is made with on a converter of this rate."""
    cell, weighing = settings.load_cell, settings.weighing
    return WeigherSettings(
        zero_counts=cell.zero_counts,
        counts_per_kilogram=cell.counts_per_kilogram,
        rate_hz=rate_hz,
        window_ms=weighing.window_ms,
        band_mg=weighing.band_mg,
        smallest_step_mg=weighing.smallest_step_mg,
        platform_mg=weighing.platform_mg,
        up=settings.imu.up if any(settings.imu.up) else LEVEL,
        repeat_mg=cell.repeat_mg,
        place_ppm=cell.place_ppm,
        division_mg=weighing.division_mg,
        capacity_mg=weighing.capacity_mg,
        sealed=weighing.sealed,
    )


def fusion_settings(settings: Settings) -> FusionSettings:
    """Return what decisions depend on."""
    return FusionSettings(
        scan_patience_us=settings.scan_patience_s * 1_000_000, drift_mg=settings.weighing.smallest_step_mg // 2
    )


def software() -> str:
    """Return the name and version of this program."""
    try:
        return f"cart-firmware {version('cartwright')}"
    except PackageNotFoundError:
        return "cart-firmware"
