"""From the wire to the journal: each cart's events exactly once, in order, acknowledged after the commit."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import msgspec
import structlog

from cart_protocol.basket import Position
from cart_protocol.exchange import Adopt, Deliver, Effect, Exchange, LocalProtocolError, Role, Send
from cart_protocol.host.clock import Clock
from cart_protocol.ids import CartId, Epoch, Seq
from cart_protocol.messages import (
    Ack,
    Birth,
    CartMessage,
    LessonLearned,
    LessonShown,
    PicturesWanted,
    Presence,
    Recorded,
    RecordPart,
    RecordUnavailable,
    Refusal,
    Snapshot,
    SnapshotRequest,
    StoreBirth,
)
from edge_agent.core import incident
from edge_agent.core.events import CartReported, CartSnapshotAdopted, Fact, NewId, StoreEvent
from edge_agent.core.report import replaced, reported
from edge_agent.core.shop import Shop
from edge_agent.core.views import SightCart
from edge_agent.ports import CartLink, Heard, LinkDown, LinkUp, Unreadable
from edge_agent.services.presence import Presence as PresenceBoard
from edge_agent.services.record import Recorder

_TURN = 256
"""Events taken before everybody else gets a turn: some 2 ms."""
_LONGEST_REASON = 300
"""What of a stranger's error text travels back and is shown."""
_MOST_WAITING = 10_000
"""With more than this waiting to be recorded, a message that could not be read is counted and no longer an alarm."""

_Report = tuple[CartId, Epoch, Recorded]


class Strangers(msgspec.Struct):
    """What arrived and could not be used, or was more than we know."""

    unreadable: int = 0
    unknown_fields: int = 0
    not_heard: int = 0
    """Messages of carts that were too many: see `most_strangers`."""


class Ingest:
    """One Exchange (role STORE) per cart, starting from the committed position.

    Args:
        most_strangers: carts that speak and have never reported anything; one more is counted and not listened to.
    """

    def __init__(
        self, link: CartLink, recorder: Recorder, presence: PresenceBoard, clock: Clock, new_id: NewId,
        *, most_strangers: int = 10_000,
    ) -> None:  # fmt: skip
        self.strangers = Strangers()
        self._link = link
        self._recorder = recorder
        self._presence = presence
        self._clock = clock
        self._new_id = new_id
        self._most_strangers = most_strangers
        self._on_up: list[Callable[[], None]] = []
        self._hear_record: Callable[[CartId, RecordPart | RecordUnavailable], None] = lambda *_: None
        self._hear_pictures: Callable[[CartId, PicturesWanted], None] = lambda *_: None
        self._hear_lesson: Callable[[CartId, LessonShown | LessonLearned], None] = lambda *_: None
        self._reports: list[_Report] = []
        """Accepted and not yet handed over."""
        self._exchanges = {
            cart: Exchange(Role.STORE, Position(epoch=Epoch(epoch), seq=Seq(seq)))
            for cart, (epoch, seq) in recorder.positions().items()
        }
        self._log = structlog.get_logger("ingest")
        recorder.listen(self._committed)

    def on_up(self, announce: Callable[[], None]) -> None:
        """Have `announce` called whenever the broker accepts us: retained state is a cache and is published anew."""
        self._on_up.append(announce)

    def on_record(self, hear: Callable[[CartId, RecordPart | RecordUnavailable], None]) -> None:
        """Have `hear` told of what carts answer when they are asked for their records."""
        self._hear_record = hear

    def on_pictures(self, hear: Callable[[CartId, PicturesWanted], None]) -> None:
        """Have `hear` told when a cart asks for pictures of products."""
        self._hear_pictures = hear

    def on_lesson(self, hear: Callable[[CartId, LessonShown | LessonLearned], None]) -> None:
        """Have `hear` told of what carts say of products that are shown to them."""
        self._hear_lesson = hear

    def took_over(self, positions: Mapping[CartId, tuple[int, int]]) -> None:
        """Go on with further carts where their streams are committed."""
        for cart, (epoch, seq) in positions.items():
            self._exchanges[cart] = Exchange(Role.STORE, Position(epoch=Epoch(epoch), seq=Seq(seq)))

    def greet(self) -> None:
        """Have every cart say anew where it stands."""
        self._link.send(StoreBirth(wall_ms=self._recorder.time.now_ms()))

    @property
    def repeated(self) -> int:
        return sum(exchange.counts.repeated for exchange in self._exchanges.values())

    @property
    def gaps(self) -> int:
        return sum(exchange.counts.gaps for exchange in self._exchanges.values())

    @property
    def never_reported(self) -> int:
        """Carts that spoke and of which nothing was ever committed."""
        return max(0, len(self._exchanges) - len(self._recorder.shop.carts))

    def _is_one_too_many(self, heard: Heard) -> bool:
        """Whether a cart is new to us at a time when too many are: each would cost memory for as long as we run."""
        if heard.cart in self._exchanges:
            return False
        present = len(self._presence.online) - len(self._recorder.shop.carts)
        unknown = present if isinstance(heard.message, Presence) else self.never_reported
        return unknown >= self._most_strangers

    async def run(self) -> NoReturn:
        """Take what arrived, all of it, and hand it to the recorder; pages get their turn in between."""
        while True:
            self._take(await self._link.receive())
            for item in self._link.drain():
                self._take(item)
                if len(self._reports) >= _TURN:
                    self._hand_over()
                    await asyncio.sleep(0)
            self._hand_over()

    def _take(self, item: LinkUp | LinkDown | Heard | Unreadable) -> None:
        match item:
            case Heard():
                self._heard(item)
            case LinkUp():
                self._up()
            case LinkDown(reason):
                self._log.warning("broker-lost", reason=reason)
                self._presence.broker(online=False)
            case Unreadable():
                self._unreadable(item)

    def _up(self) -> None:
        self._presence.broker(online=True)
        self.greet()
        for announce in self._on_up:
            announce()
        self._log.info("broker-accepted-us")

    def _heard(self, heard: Heard) -> None:
        if self._is_one_too_many(heard):
            self.strangers.not_heard += 1
            return
        if heard.unknown_fields:
            self.strangers.unknown_fields += len(heard.unknown_fields)
            self._log.warning("unknown-fields", cart=heard.cart, fields=heard.unknown_fields)
        match heard.message:
            case Presence():
                self._present(heard.cart, heard.message)
                return
            case RecordPart() | RecordUnavailable():
                self._hear_record(heard.cart, heard.message)
                return
            case PicturesWanted():
                self._hear_pictures(heard.cart, heard.message)
                return
            case LessonShown() | LessonLearned():
                self._hear_lesson(heard.cart, heard.message)
                return
            case Birth():
                self._presence.said(heard.cart, online=True)
        self._exchange(heard.cart, heard.message)

    def _present(self, cart: CartId, said: Presence) -> None:
        self._presence.said(cart, online=said.online)
        if not said.online:
            return
        self._presence.can(cart, send_records=said.sends_records)
        self._presence.knows(
            SightCart(
                cart=cart, network=said.sight_network, version=said.sight_version, takes_lessons=said.takes_lessons
            )
        )
        self._low_on(cart, said.low_on)

    def _exchange(self, cart: CartId, message: CartMessage) -> None:
        exchange = self._exchanges.get(cart)
        if exchange is None:
            exchange = self._exchanges[cart] = Exchange(Role.STORE, Position(epoch=Epoch(0), seq=Seq(0)))
        try:
            effects = exchange.receive(message, self._clock.monotonic_us())
        except LocalProtocolError as error:
            self._unreadable(Unreadable(cart, type(message).__name__, str(error)))
            return
        self._carry_out(cart, effects)

    def _carry_out(self, cart: CartId, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(message=(Ack() | SnapshotRequest()) as message):
                    self._link.send(message, cart)
                case Deliver(epoch=epoch, events=events):
                    self._reports += [(cart, epoch, recorded) for recorded in events]
                case Adopt(snapshot=snapshot):
                    self._replace(cart, snapshot)

    def _hand_over(self) -> None:
        """Give the recorder what the carts reported, in the order in which it was accepted."""
        if self._reports:
            self._recorder.post_each(self._report, self._reports)
            self._reports = []

    def _report(self, shop: Shop, _: int, report: _Report) -> list[StoreEvent]:
        return reported(shop, *report, self._new_id)

    def _replace(self, cart: CartId, snapshot: Snapshot) -> None:
        self._log.warning("snapshot-adopted", cart=cart, epoch=snapshot.position.epoch, seq=snapshot.position.seq)
        self._hand_over()  # what was accepted before is recorded before
        self._recorder.post(lambda shop, _: replaced(shop, cart, snapshot, self._new_id))

    def _committed(self, facts: Sequence[Fact]) -> None:
        """Acknowledge what is on the disk now, once per cart."""
        ends: dict[CartId, Position] = {}
        for fact in facts:
            match fact.event:
                case CartReported(cart=cart, epoch=epoch, recorded=recorded):
                    ends[cart] = Position(epoch=epoch, seq=recorded.seq)
                case CartSnapshotAdopted(cart=cart, position=position):
                    ends[cart] = position
        now_us = self._clock.monotonic_us()
        for cart, position in ends.items():
            self._carry_out(cart, self._exchanges[cart].committed(position, now_us))

    def _low_on(self, cart: CartId, low_on: tuple[str, ...]) -> None:
        """Have an alarm raised or ended when a cart says so; every connection says it again."""
        if bool(low_on) != self._recorder.shop.incidents.is_open(incident.low_on_key(cart)):
            self._recorder.post(lambda shop, _: incident.cart_low_on(shop, cart, low_on, self._new_id))

    def _unreadable(self, unreadable: Unreadable) -> None:
        """Count it, tell its sender, show it to staff once; what the cart could not tell us stays in its outbox."""
        self.strangers.unreadable += 1
        cart, reason = unreadable.cart, unreadable.reason[:_LONGEST_REASON]
        self._log.warning("unreadable", cart=cart, topic=unreadable.topic, reason=reason)
        if cart is not None:
            self._link.send(Refusal(reason=reason), cart)
        if self._recorder.waiting >= _MOST_WAITING:
            return
        where = f"cart {cart}" if cart else "broker"
        self._recorder.post(lambda shop, _: incident.raise_once(
            shop, key=f"unreadable/{cart or 'broker'}", where=where, cause="unreadable-message", cart=cart,
            sentence="A message could not be read. Is this cart's software newer than the store's?",
            evidence=(unreadable.topic, reason), new_id=self._new_id,
        ))  # fmt: skip
