"""Brings every recorded event to the store, and the store's commands and prices to the cart."""

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from cart_firmware.core.session import expiry_us
from cart_firmware.ports import Heard, LinkDown, LinkUp, StoreLink, Unreadable
from cart_firmware.services.lesson import Lessons
from cart_firmware.services.memory import Memory
from cart_firmware.services.observations import BookIssued, Commanded, Observation
from cart_protocol.basket import Basket, Position
from cart_protocol.exchange import (
    CartState,
    Effect,
    Exchange,
    LocalProtocolError,
    OutboxFullError,
    PruneThrough,
    Role,
    Send,
    SendEvents,
    SendSnapshot,
)
from cart_protocol.host.clock import Clock
from cart_protocol.messages import (
    Birth,
    CartMessage,
    Command,
    Events,
    LessonKept,
    LessonWanted,
    Presence,
    PriceBookIssue,
    ProductPicture,
    RecordWanted,
    Refusal,
    SightIssue,
    Snapshot,
    StoreBirth,
    StoreMessage,
)

_LOG = structlog.get_logger("sync")
_OFFLINE_AFTER_US = 3_000_000
"""A store that is asked where it stands answers in milliseconds; a longer silence is shown to the shopper."""
_LOOK_AGAIN_S = 1.0
_RECEIVE_AGAIN_S = 1.0
_MOST_WAITING = 1_000
"""Messages taken from the link and not looked at; more wait there, where they are bounded too."""


class _Grown(msgspec.Struct, frozen=True):
    """The outbox holds more."""


class Truth(msgspec.Struct, frozen=True):
    """The basket and the last event that led to it."""

    position: Position
    basket: Basket


class Sync:
    """The cart's end of the exchange. All of it happens in `run`; `grown` may be called from the same loop."""

    def __init__(
        self,
        link: StoreLink,
        memory: Memory,
        clock: Clock,
        *,
        truth: Callable[[], Truth],
        submit: Callable[[Observation], None],
        record_wanted: Callable[[RecordWanted], None],
        picture: Callable[[ProductPicture], None],
        software: str,
        lessons: Lessons | None = None,
    ) -> None:
        self._link, self._memory, self._clock = link, memory, clock
        self._truth, self._submit, self._record_wanted, self._picture = truth, submit, record_wanted, picture
        self._lessons = lessons
        position = memory.position
        self._exchange = Exchange(Role.CART, position, acknowledged=memory.acknowledged, software=software)
        self._inbox = asyncio.Queue[LinkUp | LinkDown | Heard | Unreadable | _Grown](_MOST_WAITING)
        self._has_grown = False
        self._reached_us: int | None = None
        self._store_ahead_ms: int | None = None
        self._to_prune = 0
        """The store has committed so much of what is still in the outbox; 0 when that is forgotten."""
        self._told_not_pruned = False
        self._link_up = False
        self._told: Presence | None = None
        self.unreadable = 0
        """Messages that were none of ours, or that we could not read."""
        self.turned_us: int | None = None

    @property
    def offline(self) -> bool:
        """Whether the store does not answer at the moment."""
        if self._exchange.state is CartState.FLOWING:
            return False
        return self._reached_us is None or self._clock.monotonic_us() - self._reached_us > _OFFLINE_AFTER_US

    @property
    def acknowledged(self) -> int:
        """The last event that the store has committed."""
        return self._exchange.acknowledged

    def _store_clock_ms(self) -> int | None:
        """Return the store's wall clock, as far as it told us; our own is nobody's measure."""
        if self._store_ahead_ms is None:
            return None
        return self._clock.monotonic_us() // 1_000 + self._store_ahead_ms

    def grown(self) -> None:
        """Tell that something was recorded; told again before it was heard, it is the same news."""
        if not self._has_grown and not self._inbox.full():
            self._inbox.put_nowait(_Grown())  # only to wake the loop
        self._has_grown = True

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._receive())
            group.create_task(self._exchange_messages())

    async def close(self) -> None:
        """Take leave of the store."""
        self._link.send(Presence(online=False))
        await self._link.close()

    async def _receive(self) -> None:
        while True:
            try:
                await self._inbox.put(await self._link.receive())
            except OSError as error:
                _LOG.warning("the link failed", error=str(error))
                await self._inbox.put(LinkDown(str(error)))
                await asyncio.sleep(_RECEIVE_AGAIN_S)

    async def _exchange_messages(self) -> None:
        while True:
            happened = await self._next()
            now_us = self._clock.monotonic_us()
            effects = self._take(happened, now_us) if happened else self._exchange.tick(now_us)
            if self._has_grown:
                self._has_grown = False
                effects += self._exchange.recorded(self._memory.position.seq, now_us)
            for effect in effects:
                await self._carry_out(effect)
            await self._keep_house()
            self.turned_us = self._clock.monotonic_us()
            if self._exchange.state is CartState.FLOWING:
                self._reached_us = self.turned_us

    async def _next(self) -> LinkUp | LinkDown | Heard | Unreadable | _Grown | None:
        try:
            async with asyncio.timeout(self._wait_s()):
                return await self._inbox.get()
        except TimeoutError:
            return None

    def _wait_s(self) -> float:
        deadline_us = self._exchange.next_deadline_us()
        if deadline_us is None:
            return _LOOK_AGAIN_S
        return min(_LOOK_AGAIN_S, max(0.0, (deadline_us - self._clock.monotonic_us()) / 1_000_000))

    def _take(self, happened: LinkUp | LinkDown | Heard | Unreadable | _Grown, now_us: int) -> list[Effect]:
        match happened:
            case _Grown():
                return []
            case LinkUp():
                _LOG.info("link up")
                self._link_up, self._told = True, self._presence()
                return [Send(self._told), *self._exchange.connected(now_us)]
            case LinkDown(reason):
                _LOG.warning("link down", reason=reason)
                self._link_up = False
                self._exchange.disconnected()
                return []
            case Unreadable(topic, reason):
                self.unreadable += 1
                _LOG.warning("unreadable message", topic=topic, reason=reason)
                return []
            case Heard(message, unknown_fields):
                if unknown_fields:
                    _LOG.info("a newer store says more", message=type(message).__name__, fields=unknown_fields)
                return self._hear(message, now_us)

    def _hear(self, message: StoreMessage, now_us: int) -> list[Effect]:
        match message:
            case Command():
                self._submit(Commanded(message, expiry_us(message, now_us, self._store_clock_ms())))
            case PriceBookIssue():
                self._submit(BookIssued(message))
            case RecordWanted():
                self._record_wanted(message)
            case ProductPicture():
                self._picture(message)
            case SightIssue() | LessonWanted() | LessonKept():
                if self._lessons:
                    self._lessons.hear(message)
                if isinstance(message, SightIssue):
                    self._told = None  # it is said again to those who do not say that they have it
            case StoreBirth(wall_ms=wall_ms):
                self._store_ahead_ms = wall_ms - now_us // 1_000
            case Refusal(reason=reason):
                _LOG.error("the store cannot read us", reason=reason)
            case _:
                pass
        return self._exchange.receive(message, now_us)

    async def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send(message=message):
                self._send(message)
            case SendEvents(after=after, through=through):
                loaded = await self._memory.load(after, through - after)
                events = [recorded for recorded in loaded if recorded.seq <= through]
                if events:
                    self._link.send(Events(epoch=self._memory.position.epoch, events=tuple(events)))
            case SendSnapshot(answers=answers):
                truth = self._truth()
                self._link.send(Snapshot(position=truth.position, basket=truth.basket, answers=answers))
            case PruneThrough(seq=seq):
                self._to_prune = seq
            case _:
                raise LocalProtocolError(f"a cart's exchange has no {type(effect).__name__}")

    async def _keep_house(self) -> None:
        """Forget what the store has, and tell it what changed of this cart. On a full disk both are tried again."""
        if self._to_prune:
            try:
                await self._memory.prune(self._to_prune)
            except OutboxFullError as error:
                if not self._told_not_pruned:
                    _LOG.warning("outbox not pruned", through=self._to_prune, reason=str(error))
                self._told_not_pruned = True
            else:
                self._to_prune, self._told_not_pruned = 0, False
        if self._link_up and (present := self._presence()) != self._told:
            if present.low_on:
                _LOG.warning("room runs out", of=present.low_on)
            self._told = present
            self._link.send(present)

    def _presence(self) -> Presence:
        sights = self._lessons.sights if self._lessons else None
        return Presence(
            online=True,
            low_on=self._memory.low_on(),
            sends_records=True,
            sight_network=sights.network if sights else "",
            sight_version=sights.version if sights else 0,
            takes_lessons=sights is not None,
        )

    def _send(self, message: object) -> None:
        if not isinstance(message, CartMessage):
            raise LocalProtocolError(f"a cart does not send {type(message).__name__}")
        if isinstance(message, Birth):
            _LOG.info("birth", epoch=message.position.epoch, seq=message.position.seq, oldest=message.oldest)
        self._link.send(message)
