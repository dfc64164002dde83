"""A whole cart on a virtual clock: real reader, outbox and exchange; only steel, light and the wire are stood in."""

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import msgspec
import numpy as np
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from cart_firmware.config import Broker, Identity, ImuSettings, RecorderSettings, Settings
from cart_firmware.devices.picture import from_bgr
from cart_firmware.devices.segment_ring import SegmentRing
from cart_firmware.perception.reader import Reader
from cart_firmware.ports import Colour, Frame, Heard, Imu, LinkDown, LinkUp, LoadCellError, Sample, Unreadable
from cart_firmware.services.cart import Cart
from cart_firmware.services.sense import HandWatch
from cart_firmware.services.sight import Sights
from cart_protocol.basket import Basket, Position, evolve
from cart_protocol.exchange import Adopt, Deliver, Exchange, Role, Send
from cart_protocol.host.clock import IdMint
from cart_protocol.host.signature import Verifier
from cart_protocol.ids import CommandId, Epoch, Seq
from cart_protocol.link.outbox import SqliteOutbox
from cart_protocol.messages import (
    BeginSession,
    CartMessage,
    Command,
    Events,
    Instruction,
    LessonLearned,
    LessonShown,
    Presence,
    PriceBookIssue,
    Recorded,
    StoreBirth,
    StoreMessage,
)
from cart_protocol.pricing.learned_mass import NOTHING_LEARNED, LearnedMasses
from cart_protocol.pricing.price_book import PriceBook
from sim.virtual_time import SeededDice, VirtualClock, VirtualTimeLoop
from tests.cart_firmware.corner_shop import BOOK, SESSION

COUNTS_PER_GRAM = 83.88608
_Result = TypeVar("_Result")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


class Platform:
    """A load cell that answers 80 times a second with what lies on it, half a gram of noise, or an error."""

    rate_hz = 80.0

    def __init__(self) -> None:
        self.grams = 0.0
        self.error: LoadCellError | None = None
        self.closed = False
        self._dice = Random(7)
        self._next_us = 0

    def poll(self, now_us: int) -> Sample | None:
        if self.error:
            raise self.error
        if now_us < self._next_us:
            return None
        self._next_us = now_us + 12_500
        return Sample(now_us, round((self.grams + self._dice.gauss(0, 0.45)) * COUNTS_PER_GRAM))

    def close(self) -> None:
        self.closed = True


class Camera:
    """Fifteen pictures a second of the code that is held before it."""

    unmet = ()
    complaint = ""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._empty = np.full((240, 320), 200, np.uint8)
        self._picture: NDArray[np.uint8] = self._empty
        self._colour: Colour | None = None
        self.garbled = False
        self.dark = False
        """Shows nothing at all."""

    def show(self, code: str | None) -> None:
        self._picture, self._colour = self._empty if code is None else _drawn(code), None

    def paint(self, pixels: NDArray[np.uint8]) -> None:
        """Show a picture in colour (BGR)."""
        shown = from_bgr(pixels)
        self._picture, self._colour = shown.luma, shown.colour

    async def frames(self) -> AsyncIterator[Frame]:
        while True:
            await asyncio.sleep(1 / 15)
            if self.dark:
                continue
            garbled = np.zeros((2, 2, 2, 2), np.uint8)
            yield Frame(self._clock.monotonic_us(), garbled if self.garbled else self._picture, self._colour)

    async def close(self) -> None:
        pass


class SmallStore:
    """The other end of the wire: commits what comes, mirrors it, and says what it is told to say."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._exchange = Exchange(Role.STORE, Position(epoch=Epoch(0), seq=Seq(0)))
        self._links = list[Wire]()
        self.basket = Basket()
        self.events = list[Recorded]()
        self.presence = list[bool]()
        self.low_on = list[tuple[str, ...]]()
        self.said = Presence(online=False)
        """What the cart said last of itself."""
        self.heard = list[CartMessage]()
        """All of it but events."""
        self.deaf = False
        """Hears who is there and nothing else, as a store whose disk is full."""

    @property
    def kinds(self) -> list[str]:
        return [type(recorded.event).__name__ for recorded in self.events]

    def of(self, kind: type[_Result]) -> list[_Result]:
        return [recorded.event for recorded in self.events if isinstance(recorded.event, kind)]

    def connect(self, wire: "Wire") -> None:
        self._links = [wire]

    def say(self, message: StoreMessage) -> None:
        for link in self._links:
            link.deliver(message)

    def order(self, name: str, instruction: Instruction, *, life_ms: int = 5_000) -> None:
        sent_ms = self._clock.wall_ms()
        self.say(Command(id=CommandId(name), expires_ms=sent_ms + life_ms, instruction=instruction, sent_ms=sent_ms))

    def hear(self, message: CartMessage) -> None:
        if isinstance(message, Presence):
            self.said = message
            self.presence.append(message.online)
            self.low_on.append(message.low_on)
        if not isinstance(message, Events):
            self.heard.append(message)
        if self.deaf or isinstance(message, LessonShown | LessonLearned):
            return
        for effect in self._exchange.receive(message, self._clock.monotonic_us()):
            match effect:
                case Send(message=answer):
                    self.say(answer)  # type: ignore[arg-type]
                case Deliver(epoch=epoch, events=events):
                    self.events += events
                    for recorded in events:
                        evolve(self.basket, recorded.event)
                    self._commit(Position(epoch=epoch, seq=events[-1].seq))
                case Adopt(snapshot=snapshot):
                    self.basket = snapshot.basket
                    self._commit(snapshot.position)

    def _commit(self, position: Position) -> None:
        for effect in self._exchange.committed(position, self._clock.monotonic_us()):
            if isinstance(effect, Send):
                self.say(effect.message)  # type: ignore[arg-type]


class Wire:
    """cart_firmware.ports.StoreLink to a SmallStore, which can be cut."""

    def __init__(self, store: SmallStore) -> None:
        self._store = store
        self._inbox = asyncio.Queue[LinkUp | LinkDown | Heard | Unreadable]()
        self.up = False

    def plug_in(self) -> None:
        self.up = True
        self._store.connect(self)
        self._inbox.put_nowait(LinkUp())
        self.deliver(StoreBirth(wall_ms=0))

    def cut(self) -> None:
        self.up = False
        self._inbox.put_nowait(LinkDown("cut"))

    def garble(self) -> None:
        self._inbox.put_nowait(Unreadable("cartwright/v1/s/all/nonsense", "no such topic"))

    def deliver(self, message: StoreMessage) -> None:
        if self.up:
            self._inbox.put_nowait(Heard(message))

    def send(self, message: CartMessage) -> None:
        if self.up:
            self._store.hear(message)

    async def receive(self) -> LinkUp | LinkDown | Heard | Unreadable:
        return await self._inbox.get()

    async def close(self) -> None:
        self.up = False


class Rig:
    """One cart, its world and its store. `start`, `kill` and `start` again as often as the test likes."""

    def __init__(self, loop: VirtualTimeLoop, folder: Path, capacity: int = 1_000, disk_reserve: int = 0) -> None:
        self.clock = VirtualClock(loop)
        self.folder, self.capacity, self.disk_reserve = folder, capacity, disk_reserve
        self.platform, self.camera, self.store = Platform(), Camera(self.clock), SmallStore(self.clock)
        self.imu: Imu | None = None
        self.bounds = (1 << 20, 0)
        """Of the flight recorder: bytes, and bytes to be left free."""
        self.segment_kib = 1_024
        self.ring_folder: Path | None = None
        """On a disk of its own, where the test wants one."""
        self.hands: HandWatch | None = None
        self.sights: Callable[[], Sights] | None = None
        """Makes what the cart knows by sight, anew for each life."""
        self._lives = 0

    async def start(self, *, online: bool = True, book: bool = True) -> None:
        self._lives += 1
        self.ring = SegmentRing(self.ring_folder or self.folder / "recording", *self.bounds)
        self.outbox = SqliteOutbox(self.folder / "outbox", self.capacity, 42, self.disk_reserve)
        self.wire = Wire(self.store)
        self.cart = Cart(
            settings(self.folder, self.segment_kib), self.clock, IdMint(self.clock, SeededDice(self._lives)),
            load_cell=self.platform, imu=self.imu, frames=self.camera, reader=Reader(), link=self.wire,
            outbox=self.outbox, verify=Verifier(KEY.public_key()).verify, recordings=self.ring,
            hands=self.hands, sights=self.sights() if self.sights else None,
        )  # fmt: skip
        self._running = asyncio.create_task(self.cart.run())
        if online:
            self.wire.plug_in()
        if online and book:
            self.store.say(issue(BOOK))
        await asyncio.sleep(2)

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])
        self.outbox.close()

    async def kill(self) -> None:
        """As kill -9 or a power cut leaves it: what is in the files at this moment, and nothing that comes after."""
        left = self.folder.parent / f"{self.folder.name}-{self._lives}"
        shutil.copytree(self.folder, left)
        self.wire.up = False
        await self.stop()
        self.folder = left

    async def scan(self, code: str) -> None:
        self.camera.show(code)
        await asyncio.sleep(0.6)
        self.camera.show(None)

    async def put(self, grams: float) -> None:
        self.platform.grams += grams
        await asyncio.sleep(1)

    async def buy(self, code: str, grams: float) -> None:
        await self.scan(code)
        await self.put(grams)
        await asyncio.sleep(1)

    async def begin(self) -> None:
        self.store.order("begin", BeginSession(session=SESSION, code=self.cart.fuse.basket.code))
        await asyncio.sleep(0.5)

    @property
    def names(self) -> list[str]:
        return [line.name for line in self.cart.fuse.basket.lines.values()]

    @property
    def sentence(self) -> str:
        return self.cart.show_case.view().prompt.sentence


def settings(folder: Path, segment_kib: int = 1_024) -> Settings:
    return Settings(
        identity=Identity(cart="c1", store="s1", phone_page="https://shop.example/phone"),
        broker=Broker(host="localhost", authority=folder / "ca", certificate=folder / "crt", key=folder / "key"),
        state=folder,
        imu=ImuSettings(up=(0, 0, 1_000_000)),
        price_book_key=folder / "key",
        recorder=RecorderSettings(segment_kib=segment_kib),
    )


def issue(book: PriceBook, *, key: Ed25519PrivateKey = KEY, learned: LearnedMasses = NOTHING_LEARNED) -> PriceBookIssue:
    def signed(text: bytes) -> str:
        return base64.b64encode(key.sign(text)).decode()

    text, masses = msgspec.json.encode(book), msgspec.json.encode(learned)
    return PriceBookIssue(
        version=book.version,
        book=text.decode(),
        signature=signed(text),
        learned=masses.decode(),
        learned_signature=signed(masses),
    )


def on_virtual_time(story: Callable[[VirtualTimeLoop], Coroutine[Any, Any, _Result]]) -> _Result:
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(story(loop))
    finally:
        for task in (left := asyncio.all_tasks(loop)):
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _drawn(code: str) -> NDArray[np.uint8]:
    picture = np.full((240, 320), 200, np.uint8)
    kind = zxingcpp.BarcodeFormat.QRCode if code.startswith("https:") else zxingcpp.BarcodeFormat.EAN13
    drawn = np.array(zxingcpp.create_barcode(code, kind).to_image(scale=2))
    height, width = min(120, drawn.shape[0]), min(300, drawn.shape[1])
    picture[60 : 60 + height, 10 : 10 + width] = drawn[:height, :width]
    return picture
