"""A shop for tests: the real agent on a real SQLite journal, small honest carts on an in-memory wire, virtual time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cart_protocol.basket import (
    Basket,
    BasketFrozen,
    BasketThawed,
    CartEvent,
    CodeOffered,
    CommandRefused,
    Fault,
    FaultsChanged,
    ItemScanned,
    LineAdded,
    Phase,
    Position,
    SessionBegan,
    SessionEnded,
    WeightExplained,
    Withdrawn,
    evolve,
)
from cart_protocol.codec import decode, encode
from cart_protocol.exchange import Exchange, PruneThrough, Role, Send, SendEvents, SendSnapshot
from cart_protocol.host.clock import IdMint
from cart_protocol.ids import CartId, CommandId, Epoch, LaneId, LineId, ProductId, ScanId, Seq, ShopperId, StoreId
from cart_protocol.mass import Mass, Variance, grams
from cart_protocol.messages import (
    BeginSession,
    CartMessage,
    CartTime,
    Command,
    EndSession,
    Events,
    ExplainWeight,
    Freeze,
    LessonKept,
    LessonWanted,
    Presence,
    PriceBookIssue,
    Recorded,
    SetWithdrawn,
    SightIssue,
    Snapshot,
    StoreMessage,
    Thaw,
)
from cart_protocol.money import Money, zero
from cart_protocol.pricing.line import price_line
from cart_protocol.pricing.price_book import PriceBook, Prices, Product, SoldBy, TaxClass
from cart_protocol.sight import TaughtGoods
from edge_agent.core import payment
from edge_agent.ports import Charge, ChargeStatus, Heard, LinkDown, LinkUp, Unreadable
from edge_agent.services.agent import Agent
from edge_agent.store.journal import SqlJournal
from sim.virtual_time import SeededDice, VirtualClock, VirtualTimeLoop

Result = TypeVar("Result")
STORE = StoreId("test")
MILK, CHEESE, RAZOR = ProductId("04000000000013"), ProductId("plu:00042"), ProductId("04000000000020")
ALICE, BOB = ShopperId("alice"), ShopperId("bob")


def euros(text: str) -> Money:
    whole, _, cents = text.partition(".")
    return Money(int(whole) * 100 + int((cents + "00")[:2]), "EUR")


def a_price_book(version: int = 1, milk: str = "1.20") -> PriceBook:
    food, other = TaxClass(code="A", name="7 %", basis_points=700), TaxClass(code="B", name="19 %", basis_points=1900)
    piece = {"sold_by": SoldBy.PIECE, "mass_variance": Variance(9_000_000), "department": "shop"}
    return PriceBook(
        version=version, currency="EUR", valid_from_ms=0, tax_classes=(food, other),
        products=(
            Product(id=MILK, name="Milk", price=euros(milk), tax_class="A", mass=grams(1030), **piece),
            Product(id=RAZOR, name="Razor", price=euros("9.99"), tax_class="B", mass=grams(80), tagged=True, **piece),
            Product(
                id=CHEESE, name="Cheese", price=euros("19.90"), tax_class="A", sold_by=SoldBy.KILOGRAM, mass=Mass(0),
                mass_variance=Variance(0), department="counter",
            ),
        ),
    )  # fmt: skip


class Wire:
    """edge_agent.ports.CartLink to carts in the same process. Everything passes through the codec."""

    def __init__(self) -> None:
        self.carts: dict[CartId, Cart] = {}
        self.sent: list[tuple[CartId | None, StoreMessage]] = []
        self.lossy: Callable[[], bool] = lambda: False
        """Asked for every message in either direction: is this one lost?"""
        self._arrived: asyncio.Queue[LinkUp | LinkDown | Heard | Unreadable] = asyncio.Queue()
        self._retained: dict[type[StoreMessage], StoreMessage] = {}

    def send(self, message: StoreMessage, cart: CartId | None = None) -> None:
        self.sent.append((cart, message))
        if isinstance(message, PriceBookIssue | SightIssue):
            self._retained[type(message)] = message
        payload = encode(message)
        for known in self.carts.values() if cart is None else filter(None, [self.carts.get(cart)]):
            if known.connected and not self.lossy():
                asyncio.get_running_loop().call_soon(known.hear, decode(payload).message)

    async def receive(self) -> LinkUp | LinkDown | Heard | Unreadable:
        return await self._arrived.get()

    def drain(self) -> list[LinkUp | LinkDown | Heard | Unreadable]:
        return [self._arrived.get_nowait() for _ in range(self._arrived.qsize())]

    async def close(self) -> None:
        pass

    def broker_accepts(self) -> None:
        self._arrived.put_nowait(LinkUp())

    def broker_lost(self) -> None:
        self._arrived.put_nowait(LinkDown("gone"))

    def joined(self, cart: "Cart") -> None:
        self.carts[cart.cart] = cart
        for message in self._retained.values():
            cart.hear(message)

    def up(self, cart: CartId, message: CartMessage) -> None:
        if not self.lossy():
            self.arrive(Heard(cart, decode(encode(message)).message))  # type: ignore[arg-type]

    def arrive(self, what: Heard | Unreadable) -> None:
        self._arrived.put_nowait(what)

    def unsubscribe(self) -> None:
        """A new agent has a new queue, as a new process has a new connection."""
        self._arrived = asyncio.Queue()

    def commands(self, kind: type) -> list[Command]:
        return [
            message
            for _, message in self.sent
            if isinstance(message, Command) and isinstance(message.instruction, kind)
        ]


class Cart:
    """What a cart does at its wire: the real exchange over an outbox in memory, commands done once, the real prices."""

    def __init__(self, name: str, wire: Wire, clock: VirtualClock, mint: IdMint, epoch: int = 1) -> None:
        self.cart = CartId(name)
        self.basket = Basket()
        self.connected = False
        self.deaf = False
        """Hears commands and does nothing."""
        self.refuses = ""
        """Refuses every command with this reason."""
        self.prices: Prices | None = None
        self.network = ""
        """By which it knows goods by sight; such a cart takes lessons."""
        self.sight: TaughtGoods | None = None
        self.lessons: list[LessonWanted | LessonKept] = []
        """What it heard of them."""
        self._wire, self._clock, self._mint = wire, clock, mint
        self._epoch = epoch
        self.outbox: list[Recorded] = []
        self._exchange = Exchange(Role.CART, Position(epoch=Epoch(epoch), seq=Seq(0)))
        self._answered: dict[CommandId, CartEvent] = {}
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def code(self) -> str:
        return f"{self.cart}-{self.basket.code}"

    @property
    def acknowledged(self) -> int:
        return self._exchange.acknowledged

    def switch_on(self, *, offer: bool = True) -> None:
        self.connected = True
        self._wire.joined(self)
        self.present()
        self._carry_out(self._exchange.connected(self._clock.monotonic_us()))
        if offer:
            self.do(CodeOffered(code=self._mint.code(6)))

    def lose_radio(self) -> None:
        self.connected = False
        self._exchange.disconnected()
        self._wire.up(self.cart, Presence(online=False))

    def find_radio(self) -> None:
        self.connected = True
        self.present()
        self._carry_out(self._exchange.connected(self._clock.monotonic_us()))

    def present(self) -> None:
        """Say how it is."""
        version = self.sight.version if self.sight else 0
        said = Presence(
            online=True, sight_network=self.network, sight_version=version, takes_lessons=bool(self.network)
        )
        self._up(said)

    def say(self, message: CartMessage) -> None:
        """Say something that is no part of delivery."""
        self._up(message)

    def do(self, *events: CartEvent) -> None:
        for event in events:
            evolve(self.basket, event)
            at = CartTime(
                boot="b", monotonic_us=self._clock.monotonic_us(), wall_ms=self._clock.wall_ms(), synchronised=True
            )
            self.outbox.append(Recorded(seq=Seq(len(self.outbox) + 1), at=at, event=event))
        self._carry_out(self._exchange.recorded(len(self.outbox), self._clock.monotonic_us()))

    def put_in(
        self, product: ProductId, mass: Mass | None = None, *, marked: Money | None = None, charge: Money | None = None
    ) -> LineId:
        """Scan and put in. `charge` is what a cart with a wrong price would say."""
        assert self.prices is not None
        known = self.prices[product]
        scan, line = ScanId(self._mint.uuid()), LineId(self._mint.uuid())
        weighed = mass if mass is not None else known.mass
        price = price_line(self.prices, known, mass=weighed, marked=marked)
        if charge is not None:
            price = msgspec.structs.replace(price, total=charge)
        self.do(
            ItemScanned(scan=scan, product=product, name=known.name, text=product, symbology="EAN-13", marked=marked),
            LineAdded(
                line=line,
                scan=scan,
                product=product,
                name=known.name,
                quantity=1,
                mass=weighed,
                price=price,
                tagged=known.tagged,
            ),
        )
        return line

    def hear(self, message: StoreMessage) -> None:
        if not self.connected:
            return
        if isinstance(message, PriceBookIssue):
            self.prices = Prices(msgspec.json.decode(message.book, type=PriceBook))
        if isinstance(message, SightIssue):
            self.sight = msgspec.json.decode(message.goods, type=TaughtGoods)
            self.present()
        if isinstance(message, LessonWanted | LessonKept):
            self.lessons.append(message)
        if isinstance(message, Command) and not self.deaf:
            self._obey(message)
        self._carry_out(self._exchange.receive(message, self._clock.monotonic_us()))

    def _obey(self, command: Command) -> None:
        if command.id in self._answered or command.expires_ms <= self._clock.wall_ms():
            return
        answer = CommandRefused(command=command.id, reason=self.refuses) if self.refuses else self._answer(command)
        self._answered[command.id] = answer
        self.do(answer)
        if isinstance(answer, SessionEnded):
            self.do(CodeOffered(code=self._mint.code(6)))

    def _answer(self, command: Command) -> CartEvent:
        basket, mine = self.basket, self.basket.session
        answer: CartEvent = CommandRefused(command=command.id, reason="not-now")
        match command.instruction:
            case BeginSession(session=session, code=code) if basket.phase is Phase.IDLE and code == basket.code:
                answer = SessionBegan(session=session, command=command.id)
            case EndSession(session=session, reason=reason) if session == mine:
                answer = SessionEnded(session=session, reason=reason, command=command.id)
            case Freeze(session=session) if session == mine and basket.phase is Phase.SHOPPING:
                settled = Mass(sum(line.mass for line in basket.lines.values()))
                answer = BasketFrozen(command=command.id, settled=settled, variance=Variance(4_000_000))
            case Thaw(session=session) if session == mine and basket.phase is Phase.FROZEN:
                answer = BasketThawed(command=command.id)
            case SetWithdrawn(withdrawn=withdrawn):
                answer = Withdrawn(command=command.id, withdrawn=withdrawn)
            case ExplainWeight() if basket.unexplained:
                answer = WeightExplained(number=next(iter(basket.unexplained)), by="staff")
        return answer

    def _carry_out(self, effects: list[Any]) -> None:
        for effect in effects:
            match effect:
                case Send(message=message):
                    self._up(message)
                case SendEvents(after=after, through=through):
                    self._up(Events(epoch=Epoch(self._epoch), events=tuple(self.outbox[after:through])))
                case SendSnapshot(answers=answers):
                    position = Position(epoch=Epoch(self._epoch), seq=Seq(len(self.outbox)))
                    self._up(Snapshot(position=position, basket=self.basket, answers=answers))
                case PruneThrough():
                    pass
        self._set_alarm()

    def _up(self, message: CartMessage) -> None:
        if self.connected:
            self._wire.up(self.cart, message)

    def _set_alarm(self) -> None:
        if self._alarm:
            self._alarm.cancel()
        due_us = self._exchange.next_deadline_us()
        if due_us is not None and self.connected:
            wait_s = max(0, due_us - self._clock.monotonic_us()) / 1e6
            self._alarm = asyncio.get_running_loop().call_later(
                wait_s, lambda: self._carry_out(self._exchange.tick(self._clock.monotonic_us()))
            )


class Bank:
    """edge_agent.ports.Acquirer in memory: idempotent by key, and as unreliable as told. Its ledger is the truth."""

    def __init__(self) -> None:
        self.captured: dict[str, Money] = {}
        self.declined: dict[str, str] = {}
        self.charges: list[str] = []
        self.mood = "good"
        """'good', 'declines', 'partial', 'silent-before', 'silent-after', 'broken', or 'down' (queries too)."""

    async def charge(self, key: str, amount: Money, method: str) -> Charge:
        assert method
        self.charges.append(key)
        match self.mood:
            case "silent-before" | "down":
                await asyncio.sleep(3_600)
            case "broken":
                raise OSError("connection reset")
            case "declines" if key not in self.captured:
                self.declined[key] = "insufficient-funds"
            case "partial" if key not in self.captured:
                self.captured[key] = Money(amount.minor // 2, amount.currency)
            case _ if key not in self.declined:
                self.captured.setdefault(key, amount)
        if self.mood == "silent-after":
            await asyncio.sleep(3_600)
        return self._answer(key, amount)

    async def query(self, key: str, amount: Money) -> Charge:
        if self.mood == "down":
            await asyncio.sleep(3_600)
        return self._answer(key, amount)

    def total(self) -> Money:
        return sum(self.captured.values(), start=zero("EUR"))

    def _answer(self, key: str, amount: Money) -> Charge:
        if key in self.captured:
            return Charge(status=ChargeStatus.CAPTURED, amount=self.captured[key], reference=f"ref-{key[-6:]}")
        if key in self.declined:
            return Charge(status=ChargeStatus.DECLINED, amount=zero(amount.currency), reason=self.declined[key])
        return Charge(status=ChargeStatus.NOT_FOUND, amount=zero(amount.currency))


class ShopFloor:
    """One store on `folder`'s database; the agent can be killed and started again, carts and bank live on."""

    def __init__(self, folder: Path, loop: VirtualTimeLoop, **options: int) -> None:
        self.database = f"sqlite:///{folder / 'store.db'}"
        self.clock = VirtualClock(loop)
        self.mint = IdMint(self.clock, SeededDice(7))
        self.wire = Wire()
        self.bank = Bank()
        self.book = a_price_book()
        self._options = options
        self._running: asyncio.Task[None] | None = None
        self._journal: SqlJournal | None = None
        self.agent: Agent

    async def open(self) -> None:
        """Start the agent, as after a boot."""
        self.wire.unsubscribe()
        self._journal = SqlJournal(self.database)
        self.agent = Agent(
            store=STORE, name="Test Shop", journal=self._journal, link=self.wire, acquirer=self.bank, book=self.book,
            clock=self.clock, new_id=self.mint.uuid, sign=lambda _: bytes(64), verify=lambda *_: True,
            acquirer_timeout_s=3.0, **self._options,
        )  # fmt: skip
        self._running = asyncio.create_task(self.agent.run())
        self.wire.broker_accepts()
        await self.quiet()

    async def kill(self) -> None:
        """End the agent at whatever it is doing."""
        assert self._running is not None
        assert self._journal is not None
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
            await self._running
        self._journal.close()

    async def restart(self) -> None:
        await self.kill()
        await self.open()

    async def cart(self, name: str = "c1", *, offer: bool = True) -> Cart:
        """Switch a free cart on and wait until the shop knows it."""
        cart = Cart(name, self.wire, self.clock, self.mint)
        cart.switch_on(offer=offer)
        await self.quiet()
        return cart

    async def bound(self, name: str = "c1", shopper: ShopperId = ALICE) -> Cart:
        cart = await self.cart(name)
        await self.agent.counter.bind(shopper, cart.code)
        return cart

    async def frozen(self, name: str = "c1", shopper: ShopperId = ALICE) -> Cart:
        """A bound cart with two milks, closed: 2.40 to pay."""
        cart = await self.bound(name, shopper)
        cart.put_in(MILK)
        cart.put_in(MILK)
        await self.quiet()
        await self.agent.counter.freeze(shopper)
        return cart

    async def paid(self, name: str = "c1", shopper: ShopperId = ALICE) -> Cart:
        cart = await self.frozen(name, shopper)
        await self.agent.counter.pay(shopper, "card", f"key-{name}")
        return cart

    async def leave(self, shopper: ShopperId = ALICE, lane: str = "lane-2") -> None:
        """What the lane records when the shopper passed the gate."""
        shop = self.agent.recorder.shop
        order = shop.orders.of_session(shop.bindings.latest_of[shopper].session)
        assert order is not None
        token = shop.tokens.of_order(order.id)
        assert token is not None
        await self.agent.recorder.submit(
            lambda shop, now_ms: payment.burn(shop, token.token, LaneId(lane), now_ms=now_ms, new_id=self.mint.uuid)
        )
        await self.quiet()

    async def quiet(self, seconds: float = 0.01) -> None:
        """Let everything that is on its way arrive."""
        await asyncio.sleep(seconds)


def fault(*faults: Fault) -> FaultsChanged:
    return FaultsChanged(faults=faults)


def play(folder: Path, story: Callable[[ShopFloor], Awaitable[Result]], **options: int) -> Result:
    """Run a story in a shop on a virtual clock and return what it returns."""
    loop = VirtualTimeLoop()

    async def whole() -> Result:
        floor = ShopFloor(folder, loop, **options)
        await floor.open()
        try:
            return await story(floor)
        finally:
            await floor.kill()

    try:
        return loop.run_until_complete(whole())
    finally:
        loop.close()
