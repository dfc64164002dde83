"""A cart of a load run: no load cell, no camera, an outbox in memory; on the wire it is a cart like any other.

It keeps the agreement's own exchange, answers commands once, and shops without end: scan, line, load, and sometimes
something taken out again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from cart_protocol.basket import (
    Basket,
    CartEvent,
    CodeOffered,
    CommandRefused,
    ItemScanned,
    LineAdded,
    LineRemoved,
    LoadSettled,
    Position,
    SessionBegan,
    SessionEnded,
    evolve,
)
from cart_protocol.codec import decode, encode
from cart_protocol.exchange import Effect, Exchange, PruneThrough, Role, Send, SendEvents, SendSnapshot
from cart_protocol.host.clock import Clock, IdMint
from cart_protocol.ids import CartId, CommandId, Epoch, LineId, ScanId, Seq, StoreId
from cart_protocol.link import Down, RawLink, Received, Up
from cart_protocol.mass import Mass, Variance
from cart_protocol.messages import (
    BeginSession,
    CartMessage,
    CartTime,
    Command,
    EndSession,
    Events,
    Presence,
    PriceBookIssue,
    Recorded,
    Snapshot,
)
from cart_protocol.pricing.line import price_line
from cart_protocol.pricing.price_book import Prices, Product, SoldBy
from cart_protocol.topics import BY_MESSAGE, address

_FULL = 30
"""Lines from which on something is taken out for each that is put in."""
_CODE_CHARACTERS = 6


class LoadCart:
    """One cart. `acknowledged_in` is told how long each event waited for the store (microseconds)."""

    def __init__(
        self, cart: CartId, store: StoreId, link: RawLink, *, clock: Clock, mint: IdMint, epoch: int,
        acknowledged_in: Callable[[int], None],
    ) -> None:  # fmt: skip
        self.cart, self.basket = cart, Basket()
        self.recorded = 0
        self._store, self._link, self._clock, self._mint = store, link, clock, mint
        self._epoch = Epoch(epoch)
        self._exchange = Exchange(Role.CART, Position(epoch=self._epoch, seq=Seq(0)), software="load")
        self._outbox = deque[Recorded]()
        self._answered: set[CommandId] = set()
        self._acknowledged_in = acknowledged_in
        self._next: list[CartEvent] = []
        self.up = asyncio.Event()

    @property
    def code(self) -> str:
        return f"{self.cart}-{self.basket.code}"

    @property
    def acknowledged(self) -> int:
        return self._exchange.acknowledged

    @property
    def waiting(self) -> int:
        """Events that the store has not acknowledged."""
        return self.recorded - self._exchange.acknowledged

    async def run(self) -> None:
        """Converse with the store until cancelled."""
        while True:
            self._hear(await self._link.receive())
            for item in self._link.drain():
                self._hear(item)

    def tick(self) -> None:
        """Ask again, where an answer is overdue."""
        deadline_us = self._exchange.next_deadline_us()
        if deadline_us is not None and deadline_us <= (now_us := self._clock.monotonic_us()):
            self._carry_out(self._exchange.tick(now_us))

    def shop(self, prices: Prices, products: Sequence[Product]) -> None:
        """Do the next thing a shopper does: one event."""
        if not self._next:
            self._next = self._another(prices, products)
        self.record(self._next.pop(0))

    def record(self, event: CartEvent) -> None:
        evolve(self.basket, event)
        self.recorded += 1
        now_us = self._clock.monotonic_us()
        at = CartTime(boot="load", monotonic_us=now_us, wall_ms=self._clock.wall_ms(), synchronised=True)
        self._outbox.append(Recorded(seq=Seq(self.recorded), at=at, event=event))
        self._carry_out(self._exchange.recorded(self.recorded, now_us))

    async def close(self) -> None:
        self._send(Presence(online=False))
        await self._link.close()

    # ── shopping ──

    def _another(self, prices: Prices, products: Sequence[Product]) -> list[CartEvent]:
        product = products[self.recorded % len(products)]
        scan, line = ScanId(self._mint.uuid()), LineId(self._mint.uuid())
        scanned = ItemScanned(scan=scan, product=product.id, name=product.name, text=product.id, symbology="EAN-13")
        added = LineAdded(
            line=line, scan=scan, product=product.id, name=product.name, quantity=1, mass=product.mass,
            price=price_line(prices, product), tagged=product.tagged,
        )  # fmt: skip
        load = Mass(self.basket.settled + product.mass)
        events: list[CartEvent] = [scanned, added, LoadSettled(settled=load, variance=Variance(900_000))]
        if len(self.basket.lines) >= _FULL:
            oldest = next(iter(self.basket.lines.values()))
            events += [
                LineRemoved(line=oldest.line, mass=oldest.mass),
                LoadSettled(settled=Mass(load - oldest.mass), variance=Variance(900_000)),
            ]
        return events

    # ── the wire ──

    def _hear(self, item: Up | Down | Received) -> None:
        now_us = self._clock.monotonic_us()
        match item:
            case Up():
                self._send(Presence(online=True))
                self._carry_out(self._exchange.connected(now_us))
                if not self.recorded:
                    self._offer()
                self.up.set()
            case Down():
                self._exchange.disconnected()
            case Received(payload=payload):
                message = decode(payload).message
                if isinstance(message, Command):
                    self._obey(message)
                if not isinstance(message, PriceBookIssue):
                    self._carry_out(self._exchange.receive(message, now_us))

    def _obey(self, command: Command) -> None:
        if command.id in self._answered or command.expires_ms <= self._clock.wall_ms():
            return
        self._answered.add(command.id)
        match command.instruction:
            case BeginSession(session=session, code=code) if code == self.basket.code:
                self.record(SessionBegan(session=session, command=command.id))
            case EndSession(session=session, reason=reason) if session == self.basket.session:
                self.record(SessionEnded(session=session, reason=reason, command=command.id))
                self._offer()
            case _:
                self.record(CommandRefused(command=command.id, reason="not-now"))

    def _offer(self) -> None:
        self.record(CodeOffered(code=self._mint.code(_CODE_CHARACTERS)))

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendEvents(after=after, through=through):
                    events = tuple(self._stored(after, through))
                    if events:
                        self._send(Events(epoch=self._epoch, events=events))
                case PruneThrough(seq=seq):
                    self._prune(seq)
                case Send(message=message) if isinstance(message, CartMessage):
                    self._send(message)
                case SendSnapshot(answers=answers):
                    position = Position(epoch=self._epoch, seq=Seq(self.recorded))
                    self._send(Snapshot(position=position, basket=self.basket, answers=answers))

    def _stored(self, after: int, through: int) -> list[Recorded]:
        if not self._outbox:
            return []
        first = self._outbox[0].seq
        return [self._outbox[seq - first] for seq in range(max(after + 1, first), through + 1)]

    def _prune(self, through: int) -> None:
        now_us = self._clock.monotonic_us()
        while self._outbox and self._outbox[0].seq <= through:
            self._acknowledged_in(now_us - self._outbox.popleft().at.monotonic_us)

    def _send(self, message: CartMessage) -> None:
        row = BY_MESSAGE[type(message)]
        topic = address(type(message), self._store, self.cart)
        self._link.publish(topic, encode(message), qos=row.qos, retain=row.retained, expiry_s=row.max_age_s)


def sold_by_piece(prices: Prices) -> list[Product]:
    """Return what load carts buy: goods with a price of their own."""
    return [product for product in prices.book.products if product.sold_by is SoldBy.PIECE]
