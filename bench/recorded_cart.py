"""A whole cart with its flight recorder on, on virtual time, in a trip that sim/trips made: for bench/replay and cart.

The load cell gives the trip's conversions, the accelerometer its readings, and the camera frames without pixels: what
the reader would have found in them is given instead. Shoppers answer some of what the cart asks, and say on its screen
what they are about to take out and what is their own.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random

import msgspec
import numpy as np

from cart_firmware.config import Broker, Identity, ImuSettings, LoadCellSettings, RecorderSettings, Settings
from cart_firmware.core.touch import Choose, Container, Remove, Touch
from cart_firmware.devices.segment_ring import SegmentRing
from cart_firmware.perception.reading import Reading
from cart_firmware.ports import Acceleration, Frame, Heard, ImuError, LinkUp, Sample
from cart_firmware.services.cart import Cart
from cart_protocol.basket import Basket, CartEvent, Position
from cart_protocol.gs1.check_digit import check_digit
from cart_protocol.host.clock import IdMint
from cart_protocol.ids import CommandId, Epoch, ProductId, Seq, SessionId
from cart_protocol.mass import Mass, grams, sigma
from cart_protocol.messages import (
    BeginSession,
    CartTime,
    Command,
    EndSession,
    Freeze,
    Instruction,
    PriceBookIssue,
    Recorded,
)
from cart_protocol.money import Money
from cart_protocol.pricing.price_book import PriceBook, Product, SoldBy, TaxClass
from sim.trips import How, Scan, Trip
from sim.trips.signal import COUNTS_PER_GRAM
from sim.virtual_time import SeededDice, VirtualClock, VirtualTimeLoop

FRAMES_PER_SECOND = 30
_SHOWN_S = 0.25
_BEFORE_S = 3.0
"""The cart starts, gets its prices and is bound before the trip begins."""
_PICTURE = np.zeros((2, 2), np.uint8)
_NOWHERE = ((0, 0), (1, 0), (1, 1), (0, 1))
SESSION = SessionId("trip")


def play(trip: Trip, seed: int, folder: Path) -> Basket:
    """Play a trip on a cart that records into `folder`; return the basket at its end."""
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(_played(loop, trip, seed, folder))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _played(loop: VirtualTimeLoop, trip: Trip, seed: int, folder: Path) -> Basket:
    clock = VirtualClock(loop)
    link, shopper = _Link(), _Shopper(trip, Random(f"{seed}/shopper"))
    cart = Cart(
        _settings(trip), clock, IdMint(clock, SeededDice(seed)), load_cell=_Cell(trip), imu=_Imu(trip),
        frames=_Camera(clock), reader=_Reader(trip.scans, clock), link=link, outbox=_Outbox(),
        verify=lambda *_: True, recordings=SegmentRing(folder, 1 << 30, 0),
    )  # fmt: skip
    async with asyncio.TaskGroup() as group:
        running = group.create_task(cart.run())
        basket = await _shopped(trip, cart, clock, link, shopper)
        running.cancel()
    return basket


async def _shopped(trip: Trip, cart: Cart, clock: VirtualClock, link: "_Link", shopper: "_Shopper") -> Basket:
    link.say(LinkUp())
    link.say(Heard(_issue(trip.scans)))
    await asyncio.sleep(1)
    link.order("begin", BeginSession(session=SESSION, code=cart.fuse.basket.code))
    await asyncio.sleep(_BEFORE_S - 1)
    await shopper.shop(cart, clock)
    link.order("freeze", Freeze(session=SESSION))
    await asyncio.sleep(4)
    basket = cart.fuse.basket
    link.order("end", EndSession(session=SESSION, reason="left"))
    await asyncio.sleep(2)
    return basket


def _settings(trip: Trip) -> Settings:
    nowhere = Path("/nonexistent")  # this wire needs no certificates
    return Settings(
        identity=Identity(cart="c1", store="bench", phone_page="https://bench.example/phone"),
        broker=Broker(host="bench", authority=nowhere, certificate=nowhere, key=nowhere),
        state=nowhere, price_book_key=nowhere, imu=ImuSettings(device="trip", up=trip.felt.up_ug),
        load_cell=LoadCellSettings(counts_per_kilogram=COUNTS_PER_GRAM * 1_000), recorder=RecorderSettings(),
    )  # fmt: skip


def _at_us(at_s: float) -> int:
    return round((at_s + _BEFORE_S) * 1e6)


class _Cell:
    """The trip's conversions when they are due; before it, an empty platform."""

    rate_hz = 80.0

    def __init__(self, trip: Trip) -> None:
        self._at_us = (trip.felt.at_us + _at_us(0)).tolist()
        self._counts = trip.felt.counts.tolist()
        self._next = 0

    def poll(self, now_us: int) -> Sample | None:
        if self._next < len(self._at_us) and self._at_us[self._next] > now_us:
            return Sample(now_us, self._counts[0]) if self._next == 0 and now_us % 12_500 < 6_250 else None
        if self._next >= len(self._at_us):
            return Sample(now_us, self._counts[-1]) if now_us % 12_500 < 6_250 else None
        self._next += 1
        return Sample(self._at_us[self._next - 1], self._counts[self._next - 1])

    def close(self) -> None:
        """It is screwed to the cart."""


class _Imu:
    def __init__(self, trip: Trip) -> None:
        self._at_us = (trip.felt.imu_at_us + _at_us(0)).tolist()
        self._felt = trip.felt.imu_ug.tolist()
        self._next = 0

    def read(self, now_us: int) -> Acceleration:
        while self._next < len(self._at_us) and self._at_us[self._next] <= now_us:
            self._next += 1
        if self._next == 0:
            raise ImuError("the trip has not begun")
        return Acceleration(now_us, *self._felt[self._next - 1])

    def close(self) -> None:
        """Likewise."""


class _Camera:
    unmet = ()
    complaint = ""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    async def frames(self) -> AsyncIterator[Frame]:
        while True:
            await asyncio.sleep(1 / FRAMES_PER_SECOND)
            yield Frame(self._clock.monotonic_us(), _PICTURE)

    async def close(self) -> None:
        """Likewise."""


class _Reader:
    """What a reader would have found in the picture that was not taken."""

    def __init__(self, scans: Sequence[Scan], clock: VirtualClock) -> None:
        self._shown = [(_at_us(scan.at_s), _code(scan)) for scan in scans if scan.how is How.SHOWN]
        self._clock = clock

    def read(self, _luma: object, /) -> Sequence[Reading]:
        now_us = self._clock.monotonic_us()
        while self._shown and now_us > self._shown[0][0] + _SHOWN_S * 1e6:
            self._shown.pop(0)
        if not self._shown or now_us < self._shown[0][0]:
            return ()
        return (Reading(self._shown[0][1].encode(), "]E0", _NOWHERE),)


class _Shopper:
    """Answers four of five questions by the first tile, and says on the screen what the trip says."""

    def __init__(self, trip: Trip, dice: Random) -> None:
        self._seconds, self._dice = trip.seconds, dice
        self._said = [scan for scan in trip.scans if scan.how is not How.SHOWN]

    async def shop(self, cart: Cart, clock: VirtualClock) -> None:
        while clock.monotonic_us() < _at_us(self._seconds):
            await asyncio.sleep(1)
            while self._said and _at_us(self._said[0].at_s) <= clock.monotonic_us():
                cart.fuse.touch(_touch(self._said.pop(0), cart))
            if (tiles := cart.show_case.view().tiles) and self._dice.random() < 0.2:
                cart.fuse.touch(Choose(key=tiles[0].key))


class _Link:
    """cart_firmware.ports.StoreLink to a store that only says what it is told to."""

    def __init__(self) -> None:
        self._inbox = asyncio.Queue[LinkUp | Heard]()

    def say(self, what: LinkUp | Heard) -> None:
        self._inbox.put_nowait(what)

    def order(self, name: str, instruction: Instruction) -> None:
        self.say(Heard(Command(id=CommandId(name), expires_ms=60_000, instruction=instruction, sent_ms=0)))

    def send(self, _message: object) -> None:
        """Nobody listens."""

    async def receive(self) -> LinkUp | Heard:
        return await self._inbox.get()

    async def close(self) -> None:
        """Nothing to close."""


class _Outbox:
    """cart_firmware.ports.Outbox that keeps nothing but where it stands: what is measured is not SQLite."""

    def __init__(self) -> None:
        self.position = Position(epoch=Epoch(1), seq=Seq(0))
        self.acknowledged = 0

    def basket(self) -> Basket:
        return Basket()

    def record(
        self, events: Sequence[CartEvent], at: CartTime, basket: Basket, *, urgent: bool = False
    ) -> list[Recorded]:
        del basket, urgent
        first = self.position.seq + 1
        found = [Recorded(seq=Seq(first + place), at=at, event=event) for place, event in enumerate(events)]
        self.position = Position(epoch=self.position.epoch, seq=found[-1].seq)
        return found

    def load(self, _after: int, _limit: int) -> list[Recorded]:
        return []

    def prune(self, _through: int) -> None:
        """Nothing is kept."""

    def low_on(self) -> tuple[str, ...]:
        return ()

    def has_room(self) -> bool:
        return True

    def spares(self, _places: int) -> bool:
        return True

    def price_book(self) -> PriceBookIssue | None:
        return None

    def keep_price_book(self, _issue: PriceBookIssue) -> None:
        """Nothing is kept."""

    def answer(self, _command: str) -> bool:
        return False


def _touch(said: Scan, cart: Cart) -> Touch:
    if said.how is How.OWN:
        return Container()
    product = _product_id(said)
    return Remove(lines=tuple(line.line for line in cart.fuse.basket.lines.values() if line.product == product))


def _code(scan: Scan) -> str:
    digits = f"400{scan.product:09d}"
    return digits + check_digit(digits)


def _product_id(scan: Scan) -> ProductId:
    return ProductId(f"0{_code(scan)}")


def _issue(scans: Sequence[Scan]) -> PriceBookIssue:
    products = {_product_id(scan): _product(scan) for scan in scans}
    book = PriceBook(
        version=1, currency="EUR", valid_from_ms=0,
        tax_classes=(TaxClass(code="food", name="Food", basis_points=700),), products=tuple(products.values()),
    )  # fmt: skip
    signature = base64.b64encode(bytes(64)).decode()
    return PriceBookIssue(version=1, book=msgspec.json.encode(book).decode(), signature=signature)


def _product(scan: Scan) -> Product:
    return Product(
        id=_product_id(scan), name=f"Product {scan.product}", sold_by=SoldBy.PIECE,
        price=Money(59 + scan.product % 1_900, "EUR"), tax_class="food", mass=Mass(scan.nominal_mg),
        mass_variance=sigma(grams(max(2.0, scan.nominal_mg / 1e6 * 5))), department="shelf",
    )  # fmt: skip
