"""One cart of the stage: its firmware on a disk and a radio that can fail, and the same cart in a shopper's hands."""

import asyncio
from pathlib import Path

from cart_firmware.config import Broker, Identity, LoadCellSettings, Screen, Settings, Weighing
from cart_firmware.core.touch import Add, Choose
from cart_firmware.ports import FrameSource
from cart_firmware.services.cart import Cart
from cart_firmware.services.sense import BarcodeReader
from cart_firmware.services.store_link import MqttStoreLink, will
from cart_protocol.basket import Basket
from cart_protocol.host.clock import IdMint
from cart_protocol.host.signature import Verifier
from cart_protocol.ids import CartId
from cart_protocol.pricing.price_book import Product
from cart_protocol.topics import subscriptions_of_cart
from sim.disk import Platter
from sim.goods import Unit
from sim.stage.machine import Life, Machine, Main
from sim.stage.scene import STORE, Scenery
from sim.stage.senses import Senses, ShortSenses, WholeSenses
from sim.stage.witness import WitnessedOutbox
from sim.virtual_time import SeededDice

_OUTBOX_CAPACITY = 10_000


class StagedCart(Machine):
    """A cart's firmware, and sim.shoppers.CartAtHand. The outbox in `folder` is as the last program left it."""

    def __init__(
        self, number: int, folder: Path, platter: Platter, scenery: Scenery, verifier: Verifier, *, whole: bool
    ) -> None:
        name = f"c{number}"
        super().__init__(name, scenery.loop, platter, dice=scenery.dice(f"{name}/death"), trace=scenery.trace)
        self.cart = CartId(name)
        self.senses: Senses = (WholeSenses if whole else ShortSenses)(scenery.loop, number)
        self._scenery, self._verifier = scenery, verifier
        self._outbox_path = folder / "outbox.db"
        self._dice_at_hand = scenery.dice(name)
        self._on_platform: list[Unit] = []
        self._starts = 0
        self._outbox: WitnessedOutbox | None = None
        self._firmware: Cart | None = None

    # ── the machine ──────────────────────────────────────────────────────────────────────────────────────────────

    def _build(self, life: Life) -> Main:
        del life
        self._starts += 1
        scenery = self._scenery
        dice = SeededDice(f"{scenery.seed}/{self.name}/{self._starts}")
        self._outbox = WitnessedOutbox(
            self._outbox_path, _OUTBOX_CAPACITY, 1 + self._starts, scenery.witness, self.cart
        )
        self.station = scenery.air.station(subscriptions_of_cart(STORE, self.cart), will(STORE, self.cart))
        camera: tuple[FrameSource, BarcodeReader] = self.senses.camera(self.clock)
        self._firmware = Cart(
            _settings(self.name, self.senses), self.clock, IdMint(self.clock, dice),
            load_cell=self.senses.load_cell(self.clock), frames=camera[0], reader=camera[1],
            hands=self.senses.hands(),
            link=MqttStoreLink(self.station, STORE, self.cart), outbox=self._outbox, verify=self._verifier.verify,
        )  # fmt: skip
        return self._firmware.run()

    def _stop(self) -> None:
        if self.life and self.life.main:
            self.life.main.cancel()

    def _silence(self) -> None:
        if self.station:
            self.station.vanish()

    def _release(self) -> None:
        if self._outbox:
            self._outbox.close()

    def _exchange_disk(self) -> None:
        super()._exchange_disk()
        self._scenery.witness.disk_exchanged(self.cart)

    @property
    def unacknowledged(self) -> int:
        outbox = self._outbox
        return outbox.position.seq - outbox.acknowledged if outbox else 0

    @property
    def recorded(self) -> int:
        return self._outbox.position.seq if self._outbox else 0

    def basket(self) -> Basket:
        return self._firmware.fuse.basket if self._firmware else Basket()

    # ── in a shopper's hands ─────────────────────────────────────────────────────────────────────────────────────

    async def read_code(self) -> str | None:
        if not (self._firmware and self.life and self.life.alive):
            return None
        return self._firmware.show_case.view().code_url.rpartition("code=")[2] or None

    async def present(self, unit: Unit, seconds: float) -> None:
        self.senses.show(unit, seconds, self._dice_at_hand.randrange(1 << 30))
        await asyncio.sleep(seconds)

    async def answer(self, what: str) -> bool:
        if self._firmware and self.life and self.life.alive:
            for tile in self._firmware.show_case.view().tiles:
                if tile.what == what:
                    self._firmware.fuse.touch(Choose(key=tile.key))
                    return True
        return False

    async def look_up(self, product: Product) -> None:
        if self._firmware and self.life and self.life.alive:
            self._firmware.fuse.touch(Add(product=product.id))

    def put(self, unit: Unit) -> None:
        self._on_platform.append(unit)
        self.senses.put(unit)

    def take(self, unit: Unit) -> None:
        self._on_platform.remove(unit)
        self.senses.take(unit)

    def roll(self, seconds: float) -> None:
        now_s = self._loop.time()
        self.senses.roll(now_s, now_s + seconds)

    def empty(self) -> None:
        if self._on_platform:
            self.senses.empty(self._on_platform)
            self._on_platform.clear()


def _settings(cart: str, senses: Senses) -> Settings:
    nowhere = Path("/nonexistent")  # the stage's wire needs no certificates
    return Settings(
        identity=Identity(cart=cart, store=STORE, phone_page="https://stage.example/phone"),
        broker=Broker(host="stage", authority=nowhere, certificate=nowhere, key=nowhere),
        state=nowhere, price_book_key=nowhere, screen=Screen(port=0),
        load_cell=LoadCellSettings(rate_hz=senses.rate_hz), weighing=Weighing(window_ms=senses.window_ms),
    )  # fmt: skip
