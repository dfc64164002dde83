"""Pictures of products, from the store to the cart's disk: a real store and a real cart, and bad air between them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from random import Random

import cv2
import msgspec
import numpy as np
import pytest

from cart_firmware.devices.picture_folder import PictureFolder
from cart_firmware.perception.reader import Reader
from cart_firmware.services.cart import Cart
from cart_firmware.services.store_link import MqttStoreLink, will
from cart_protocol.codec import decode, encode
from cart_protocol.host.clock import IdMint
from cart_protocol.host.signature import Verifier
from cart_protocol.ids import CartId, ProductId, StoreId
from cart_protocol.link import Received
from cart_protocol.link.outbox import SqliteOutbox
from cart_protocol.messages import Message, PicturesWanted, ProductPicture
from cart_protocol.pricing.price_book import PriceBook
from cart_protocol.product_picture import MOST_AT_ONCE, MOST_BYTES, name_of
from cart_protocol.topics import address, subscriptions_of_cart, subscriptions_of_store
from edge_agent.services.agent import Agent
from edge_agent.services.cart_link import MqttCartLink
from edge_agent.store.journal import SqlJournal
from sim.virtual_time import SeededDice, VirtualTimeLoop
from sim.wires.air import Air, Station, Weather
from tests.cart_firmware.cart_rig import KEY, Rig, on_virtual_time, settings
from tests.cart_firmware.corner_shop import BOOK
from tests.edge_agent.shop_floor import Bank

STORE, C1 = StoreId("s1"), CartId("c1")


def drawn(number: int) -> bytes:
    pixels = np.full((64, 64, 3), (number * 37 % 256, number * 91 % 256, number * 13 % 256), np.uint8)
    return cv2.imencode(".webp", pixels)[1].tobytes()


PICTURES = {name_of(content): content for content in map(drawn, range(3 * MOST_AT_ONCE + 1))}


def book(names: Sequence[str], version: int = BOOK.version) -> PriceBook:
    """The corner shop's book with a product more for each picture."""
    like = BOOK.products[0]
    shown = tuple(
        msgspec.structs.replace(like, id=ProductId(f"{number:014}"), picture=name) for number, name in enumerate(names)
    )
    return msgspec.structs.replace(BOOK, version=version, products=(*BOOK.products, *shown))


class Shop(Rig):
    """One cart with a picture folder, and a store that may have pictures."""

    def __init__(self, loop: VirtualTimeLoop, folder: Path, weather: Weather) -> None:
        (folder / "cart").mkdir()
        super().__init__(loop, folder / "cart")
        self.air = Air(Random("air"), weather)
        self.database = f"sqlite:///{folder / 'store.db'}"
        self._mint = IdMint(self.clock, SeededDice("store"))
        self.leave_free = 0

    async def open(self, sold: PriceBook, pictures: Mapping[str, bytes]) -> None:
        """Start the store, for the first time or again."""
        self.journal = SqlJournal(self.database)
        self.station = self.air.station(subscriptions_of_store(STORE))
        self.overheard = self.air.station(subscriptions_of_store(STORE))
        self._agent = Agent(
            store=STORE, name="Corner shop", journal=self.journal, link=MqttCartLink(self.station, STORE),
            acquirer=Bank(), book=sold, pictures=pictures, clock=self.clock, new_id=self._mint.uuid, sign=KEY.sign,
            verify=Verifier(KEY.public_key()).verify,
        )  # fmt: skip
        self._serving = asyncio.create_task(self._agent.run())
        await asyncio.sleep(1)

    async def close_store(self) -> None:
        self._serving.cancel()
        with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
            await self._serving
        self.station.vanish()
        self.overheard.vanish()
        self.journal.close()

    async def start(self, *, online: bool = True, book: bool = True) -> None:
        del online, book
        self._lives += 1
        self.outbox = SqliteOutbox(self.folder / "outbox", self.capacity, 42, self.disk_reserve)
        self.pictures = PictureFolder(self.folder / "pictures", self.leave_free)
        self.wire = self.air.station(subscriptions_of_cart(STORE, C1), will(STORE, C1))  # type: ignore[assignment]
        self.cart = Cart(
            settings(self.folder), self.clock, IdMint(self.clock, SeededDice(self._lives)), load_cell=self.platform,
            frames=self.camera, reader=Reader(), link=MqttStoreLink(self.wire, STORE, C1),  # type: ignore[arg-type]
            outbox=self.outbox, verify=Verifier(KEY.public_key()).verify, pictures=self.pictures,
        )  # fmt: skip
        self._running = asyncio.create_task(self.cart.run())
        await asyncio.sleep(1)

    def has_all(self, names: Sequence[str]) -> bool:
        return all(self.pictures.content(name) == PICTURES[name] for name in names)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(7_200):
            while not holds():  # noqa: ASYNC110 - a file is not an event
                await asyncio.sleep(1)

    async def questions(self) -> list[PicturesWanted]:
        """What was asked since this was last looked at."""
        messages = await heard_by(self.overheard)
        return [message for message in messages if isinstance(message, PicturesWanted)]


async def heard_by(station: Station) -> list[Message]:
    """What has arrived at a station and was not taken yet."""
    found = list[Message]()
    with contextlib.suppress(TimeoutError):
        while True:
            item = await asyncio.wait_for(station.receive(), 0.001)
            if isinstance(item, Received):
                found.append(decode(item.payload).message)
    return found


def tell(folder: Path, story: Callable[[Shop], Awaitable[None]], weather: Weather | None = None) -> None:
    async def told(loop: VirtualTimeLoop) -> None:
        shop = Shop(loop, folder, weather or Weather())
        await story(shop)
        await shop.stop()
        await shop.close_store()

    on_virtual_time(told)


@pytest.mark.parametrize("weather", [Weather(), Weather(lost=0.2, repeated=0.2, late=0.2, late_s=8)])
def test_a_cart_gets_every_picture_of_its_book_once_and_keeps_it_over_a_restart(
    tmp_path: Path, weather: Weather
) -> None:
    async def story(shop: Shop) -> None:
        await shop.open(book(list(PICTURES)), PICTURES)
        await shop.start()
        await shop.until(lambda: shop.has_all(list(PICTURES)))
        assert all(len(question.pictures) <= MOST_AT_ONCE for question in await shop.questions())
        await shop.stop()
        await shop.start()
        await asyncio.sleep(60)
        assert await shop.questions() == [], "what is there is not asked for again"
        assert shop.has_all(list(PICTURES))

    tell(tmp_path, story, weather)


def test_pictures_that_a_store_does_not_have_do_not_keep_the_others_away(tmp_path: Path) -> None:
    """A store whose folder lost files; asked for ever more seldom, and never all the time."""
    names = list(PICTURES)
    gone, there = names[:MOST_AT_ONCE], names[MOST_AT_ONCE:]

    async def story(shop: Shop) -> None:
        await shop.open(book(names), {name: PICTURES[name] for name in there})
        await shop.start()
        await shop.until(lambda: shop.has_all(there))
        await asyncio.sleep(3_600)
        await shop.questions()
        await asyncio.sleep(3_600)
        assert 10 <= len(await shop.questions()) <= 15
        assert not any(name in shop.pictures for name in gone)

    tell(tmp_path, story)


def test_a_new_book_brings_new_pictures_and_takes_away_the_old(tmp_path: Path) -> None:
    names = list(PICTURES)

    async def story(shop: Shop) -> None:
        await shop.open(book(names[:3]), PICTURES)
        await shop.start()
        await shop.until(lambda: shop.has_all(names[:3]))
        await shop.close_store()
        await shop.open(book(names[2:5], BOOK.version + 1), PICTURES)
        await shop.until(lambda: shop.has_all(names[2:5]))
        assert {path.name for path in (shop.folder / "pictures").iterdir()} == set(names[2:5])

    tell(tmp_path, story)


def test_a_damaged_file_is_not_shown_and_fetched_again(tmp_path: Path) -> None:
    name = next(iter(PICTURES))

    async def story(shop: Shop) -> None:
        await shop.open(book([name]), PICTURES)
        await shop.start()
        await shop.until(lambda: shop.has_all([name]))
        (shop.folder / "pictures" / name).write_bytes(PICTURES[name][:20])
        assert shop.pictures.content(name) is None, "a torn picture is not shown"
        await shop.until(lambda: shop.has_all([name]))

    tell(tmp_path, story)


def test_what_nobody_asked_for_and_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    name = next(iter(PICTURES))

    async def story(shop: Shop) -> None:
        await shop.open(book([name]), {})
        await shop.start()
        await asyncio.sleep(5)
        for content in (drawn(200), PICTURES[name] + bytes(MOST_BYTES), b""):
            shop.station.publish(address(ProductPicture, STORE, C1), encode(ProductPicture(data=content)))
        await asyncio.sleep(5)
        assert not (shop.folder / "pictures").exists()
        assert shop.cart.sync.unreadable == 0

    tell(tmp_path, story)


def test_a_disk_without_room_keeps_none_and_the_cart_goes_on(tmp_path: Path) -> None:
    names = list(PICTURES)[:2]

    async def story(shop: Shop) -> None:
        await shop.open(book(names), PICTURES)
        shop.leave_free = 1 << 60
        await shop.start()
        await asyncio.sleep(30)
        assert not shop.has_all(names[:1])
        assert not shop.cart.sync.offline
        await shop.stop()
        shop.leave_free = 0
        await shop.start()
        await shop.until(lambda: shop.has_all(names))

    tell(tmp_path, story)


def test_a_cart_that_asks_without_end_is_answered_twice_a_second(tmp_path: Path) -> None:
    name = next(iter(PICTURES))

    async def story(shop: Shop) -> None:
        await shop.open(book([]), PICTURES)
        await shop.start()
        listener = shop.air.station(subscriptions_of_cart(STORE, CartId("c2")))
        for _ in range(200):
            listener.publish(
                address(PicturesWanted, STORE, CartId("c2")), encode(PicturesWanted(pictures=(name,) * 50))
            )
            await asyncio.sleep(0.01)
        answers = [each for each in await heard_by(listener) if isinstance(each, ProductPicture)]
        assert MOST_AT_ONCE <= len(answers) <= 5 * MOST_AT_ONCE

    tell(tmp_path, story)
