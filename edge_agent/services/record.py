"""The one writer: decisions come in, facts go out, and nothing is told to anybody before it is on the disk."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn, ParamSpec, TypeVar

import msgspec
import structlog

from cart_protocol.host.clock import Clock
from cart_protocol.ids import CartId, RecordId, ShopperId
from edge_agent.core import erasure
from edge_agent.core.concerned import concerned
from edge_agent.core.events import CartReported, CartSnapshotAdopted, Fact, StoreEvent
from edge_agent.core.refusals import NoRoomError, RefusedError
from edge_agent.core.shop import Shop
from edge_agent.ports import Journal, JournalFullError
from edge_agent.services.changes import Changes
from edge_agent.services.store_time import StoreTime

Decide = Callable[[Shop, int], Sequence[StoreEvent]]
"""Pure: given the shop and the store's wall clock (ms), return what happens now, or refuse by a named error."""
Take = Callable[[], tuple[Sequence[Fact], dict[CartId, tuple[int, int]]]]
"""Opens a partition of the journal and returns what is in it, and its carts' positions; runs on a thread."""
AfterCommit = Callable[[Sequence[Fact]], None]
"""Told of every committed batch, in order; must not block."""
_GREATEST_BATCH = 4_000
"""Bounds what one commit holds (reference/messaging, section 2.3: 600 to 1,200 reach the plateau)."""
_TURN = 256
"""Facts decided before everybody else gets a turn: some 2 ms."""
_Item = TypeVar("_Item")
_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")
_Answer = asyncio.Future[tuple[StoreEvent, ...]]


class _Submitted(msgspec.Struct, frozen=True):
    """A decision, and who waits for it."""

    decide: Decide
    answer: _Answer


class _Posted(msgspec.Struct, frozen=True):
    """One decision for each item, and nobody waits."""

    decide: Callable[[Shop, int, Any], Sequence[StoreEvent]]
    items: Sequence[Any]


class _Apart(msgspec.Struct, frozen=True):
    """Something that is written between two groups, alone, and who waits for it; `act` returns what happened."""

    act: Callable[[], Awaitable[list[Fact]]]
    answer: _Answer


class _Taking(msgspec.Struct, frozen=True):
    """A partition that is taken over."""

    take: Take
    positions: asyncio.Future[dict[CartId, tuple[int, int]]]


class _Group(msgspec.Struct):
    """What one commit will hold, and whom to answer after it."""

    facts: list[Fact] = []
    answers: list[tuple[_Answer, tuple[StoreEvent, ...]]] = []


FULL_AGAIN_S = 2.0
"""How often a group is tried again for which the journal had no room."""
_log = structlog.get_logger("record")


_REPLAYED = 5_000
"""Facts between two signs of life: some 50 ms."""


class RecorderStoppedError(RuntimeError):
    """The journal could not be written; the agent is ending and will rebuild its state from the journal."""


class Recorder:
    """Runs every decision against one Shop, one after the other, and commits in groups.

    A group is whatever arrived while the last one was being written: no delay is added. Everybody who submitted is
    answered after the commit; a refusal goes to its own submitter only. If the journal cannot be written, `run` raises,
    and with it the agent ends: memory is ahead of the disk then and must not be trusted.

    A journal without room is no such end. `make_room` is asked to find some; where it finds none, `full` is set and the
    same group is tried again until there is: meanwhile nothing is acknowledged, and nothing accepted is lost
    (decision record 0011).
    """

    def __init__(
        self, journal: Journal, clock: Clock, changes: Changes | None = None, *,
        make_room: Callable[[], bool] = lambda: False, partitions: int = 1,
    ) -> None:  # fmt: skip
        self.shop = Shop(partitions)
        self.time = StoreTime(clock)
        self.changes = changes or Changes()
        self._journal = journal
        self._clock = clock
        self._queue: asyncio.Queue[_Submitted | _Posted] = asyncio.Queue()
        self._apart: deque[_Apart] = deque()
        self._takings: deque[_Taking] = deque()
        self._listeners: list[AfterCommit] = []
        self._stopped = False
        self._make_room = make_room
        self._progress: Callable[[], None] = lambda: None
        self._began_us: int | None = None
        self._took_us = 0
        self.commits = 0
        self.refused_posts = 0
        """Posted decisions (nobody waited for them) that were refused."""
        self.traces_left = 0
        """Erasures after which a reader still kept the database from letting go of an old page."""
        self.full = False
        """The journal has no room: what is being written is tried again until it has."""

    @property
    def waiting(self) -> int:
        """Decisions that wait for their turn."""
        return self._queue.qsize()

    @property
    def commit_us(self) -> int:
        """How long the commit under way takes already; between commits, how long the last one took."""
        return self._took_us if self._began_us is None else self._clock.monotonic_us() - self._began_us

    def replay(self, progress: Callable[[], None] = lambda: None) -> int:
        """Rebuild the shop from the journal; call once, before `run`. Return how many facts there were.

        `progress` is called now and then: a long log takes longer than a watchdog, or a lease, may wait.
        """
        count = 0
        for fact in self._journal.replay():
            self.shop.evolve(fact)
            self.time.seen(fact.at_ms)
            count += 1
            if count % _REPLAYED == 0:
                progress()
        return count

    def positions(self) -> dict[CartId, tuple[int, int]]:
        """Return the (epoch, seq) up to which each cart's stream is committed."""
        return self._journal.positions()

    async def record(self, record: RecordId) -> bytes:
        """Return the bytes of a cart's record, read beside what is being written."""
        return await asyncio.to_thread(self._journal.record, record)

    def listen(self, after_commit: AfterCommit) -> None:
        self._listeners.append(after_commit)

    async def submit(self, decide: Decide) -> tuple[StoreEvent, ...]:
        """Return what `decide` decided once it is durable.

        Raises:
            RefusedError: whatever `decide` refused with; nothing was recorded.
            RecorderStoppedError: the journal failed.
        """
        if self._stopped:
            raise RecorderStoppedError("the journal cannot be written; the agent is ending")
        answer: _Answer = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Submitted(decide, answer))
        return await answer

    async def forget(self, shopper: ShopperId, pseudonym: ShopperId) -> None:
        """Return once nothing that we keep leads to `shopper` any more: journal, read tables and memory.

        Raises:
            ErasureRefusedError, NoRoomError: nothing was changed.
            RecorderStoppedError: the journal failed.
        """
        await self._between_groups(lambda: self._erased(shopper, pseudonym))

    async def keep(self, decide: Decide, parts: Sequence[bytes]) -> tuple[StoreEvent, ...]:
        """Return what `decide` decided once it is durable, and with it the bytes of the cart's record that it keeps.

        Raises:
            NoRoomError: nothing was recorded; unlike a submitted decision it is not tried again.
            RecorderStoppedError: the journal failed.
        """
        return await self._between_groups(lambda: self._kept(decide, parts))

    async def _between_groups(self, act: Callable[[], Awaitable[list[Fact]]]) -> tuple[StoreEvent, ...]:
        if self._stopped:
            raise RecorderStoppedError("the journal cannot be written; the agent is ending")
        answer: _Answer = asyncio.get_running_loop().create_future()
        self._apart.append(_Apart(act, answer))
        self.post_each(lambda *_: (), ())  # wakes the loop
        return await answer

    def post(self, decide: Decide) -> None:
        """Queue a decision nobody waits for; listeners hear of its facts after the commit."""
        self.post_each(lambda shop, now_ms, _: decide(shop, now_ms), (None,))

    def post_each(self, decide: Callable[[Shop, int, _Item], Sequence[StoreEvent]], items: Sequence[_Item]) -> None:
        """Queue one decision for each item, in order: as many posts, but cheaper. They go into one group."""
        self._queue.put_nowait(_Posted(decide, items))

    async def take_over(self, take: Take) -> dict[CartId, tuple[int, int]]:
        """Have a further partition's facts applied, between two groups; return its carts' positions.

        Nobody sees the shop with a part of them.

        Raises:
            RecorderStoppedError: the journal failed.
        """
        if self._stopped:
            raise RecorderStoppedError("the journal cannot be written; the agent is ending")
        taking = _Taking(take, asyncio.get_running_loop().create_future())
        self._takings.append(taking)
        self.post(lambda *_: ())  # wakes the loop
        return await taking.positions

    async def run(self, progress: Callable[[], None] = lambda: None, turn_s: float = 5.0) -> NoReturn:
        """Record for ever. `progress` is called whenever the loop turned over, at least every `turn_s` seconds.

        Raises:
            Exception: whatever the journal or a faulty decision raised; the agent must end.
        """
        self._progress = progress
        try:
            while True:
                await self._turn(turn_s)
                while self._apart:
                    await self._do_apart(self._apart.popleft())
                while self._takings:
                    await self._take(self._takings.popleft())
                progress()
        finally:
            self._stopped = True
            self._refuse_waiting()

    async def _turn(self, turn_s: float) -> None:
        try:
            async with asyncio.timeout(turn_s):
                first = await self._queue.get()
        except TimeoutError:
            return
        group = _Group()
        try:
            await self._gather(first, group)
            if group.facts:
                await self._commit(group.facts)
        except BaseException:
            for answer, _ in group.answers:
                _fail(answer)
            raise
        for answer, events in group.answers:
            if not answer.done():
                answer.set_result(events)
        if group.facts:
            self._publish(group.facts)

    async def _take(self, taking: _Taking) -> None:
        facts, positions = await asyncio.to_thread(taking.take)
        for fact in facts:
            self.shop.evolve(fact)
            self.time.seen(fact.at_ms)
        taking.positions.set_result(positions)
        self.changes.bump()

    async def _gather(self, first: _Submitted | _Posted, group: _Group) -> None:
        """Decide what is queued, up to the greatest batch."""
        self._decide(first, group)
        turns = 1
        while not self._queue.empty() and len(group.facts) < _GREATEST_BATCH:
            if len(group.facts) >= turns * _TURN:
                turns += 1
                await asyncio.sleep(0)
            self._decide(self._queue.get_nowait(), group)

    async def _do_apart(self, asked: _Apart) -> None:
        """Write what has to be alone: first the journal, then memory. Between groups: no decision sees half of it."""
        try:
            facts = await asked.act()
        except RefusedError as refusal:
            if not asked.answer.done():
                asked.answer.set_exception(refusal)
            return
        except BaseException:
            _fail(asked.answer)
            raise
        if not asked.answer.done():
            asked.answer.set_result(tuple(fact.event for fact in facts))
        if facts:
            self._publish(facts)

    async def _kept(self, decide: Decide, parts: Sequence[bytes]) -> list[Fact]:
        now_ms = self.time.now_ms()
        facts = [Fact(now_ms, event) for event in decide(self.shop, now_ms)]
        if not facts:
            return []
        try:
            await self._on_thread(self._journal.keep, facts, parts)
        except JournalFullError as error:
            raise NoRoomError from error
        for fact in facts:
            self.shop.evolve(fact)
        return facts

    async def _erased(self, shopper: ShopperId, pseudonym: ShopperId) -> list[Fact]:
        now_ms = self.time.now_ms()
        facts = [Fact(now_ms, event) for event in erasure.forget(self.shop, shopper, pseudonym)]
        if not facts:
            return []
        streams = erasure.streams_of(self.shop, shopper)
        try:
            clean = await self._on_thread(self._journal.forget, shopper, pseudonym, streams, facts)
        except JournalFullError as error:
            raise NoRoomError from error
        if not clean:
            self.traces_left += 1
            _log.warning("old-pages-kept", until="nobody reads the database any more", count=self.traces_left)
        self.shop.rename(shopper, pseudonym)
        for fact in facts:
            self.shop.evolve(fact)
        return facts

    async def _commit(self, facts: Sequence[Fact]) -> None:
        """Write a group, however long it takes until the disk has room for it."""
        self._began_us = self._clock.monotonic_us()
        try:
            while not await self._written(facts):
                self._progress()
                await asyncio.sleep(FULL_AGAIN_S)
            self._took_us = self.commit_us
        finally:
            self._began_us = None

    async def _written(self, facts: Sequence[Fact]) -> bool:
        """Write a group; return False, with nothing written, where the journal has no room and nothing makes any."""
        try:
            await self._on_thread(self._journal.append, facts, _positions(facts))
        except JournalFullError as error:
            if await asyncio.to_thread(self._make_room):
                _log.error("journal-full", facts=len(facts), said=str(error), now="the reserve was given back")
                return await self._written(facts)
            if not self.full:
                _log.error("journal-full", facts=len(facts), said=str(error), now="nothing is recorded")
            self._is_full(full=True)
            return False
        self._is_full(full=False)
        return True

    def _is_full(self, *, full: bool) -> None:
        if full != self.full:
            self.full = full
            self.changes.bump()

    async def _on_thread(
        self, write: Callable[_Given, _Result], *given: _Given.args, **named: _Given.kwargs
    ) -> _Result:
        """Write on a thread; when cancelled meanwhile, wait for the disk first: a thread cannot be called back."""
        writing = asyncio.ensure_future(asyncio.to_thread(write, *given, **named))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing})
            writing.exception()  # retrieved: the process ends anyway, and the next one starts from the journal
            raise

    def _decide(self, asked: _Submitted | _Posted, group: _Group) -> None:
        now_ms = self.time.now_ms()
        if isinstance(asked, _Submitted):
            self._decide_for(asked.decide, asked.answer, now_ms, group)
            return
        for item in asked.items:
            try:
                events = asked.decide(self.shop, now_ms, item)
            except RefusedError:
                self.refused_posts += 1
                continue
            self._apply(events, now_ms, group)

    def _decide_for(self, decide: Decide, answer: _Answer, now_ms: int, group: _Group) -> None:
        try:
            events = tuple(decide(self.shop, now_ms))
        except Exception as error:  # noqa: BLE001 - a refusal, or a faulty decision: it changed nothing, and is told
            if not answer.done():
                answer.set_exception(error)
            return
        self._apply(events, now_ms, group)
        group.answers.append((answer, events))

    def _apply(self, events: Sequence[StoreEvent], now_ms: int, group: _Group) -> None:
        for event in events:
            fact = Fact(now_ms, event)
            self.shop.evolve(fact)
            group.facts.append(fact)

    def _publish(self, facts: Sequence[Fact]) -> None:
        self.commits += 1
        for after_commit in self._listeners:
            after_commit(facts)
        self.changes.bump(self._concerned(facts))

    def _concerned(self, facts: Sequence[Fact]) -> dict[str, None] | None:
        """Return whose pages may look different now, in order; None where it may be anybody's."""
        found: dict[str, None] = {}
        for fact in facts:
            whose = concerned(self.shop, fact.event)
            if whose is None:
                return None
            found[whose] = None
        return found

    def _refuse_waiting(self) -> None:
        for apart in self._apart:
            _fail(apart.answer)
        while not self._queue.empty():
            asked = self._queue.get_nowait()
            if isinstance(asked, _Submitted):
                _fail(asked.answer)
        for taking in self._takings:
            _fail(taking.positions)


def _positions(facts: Sequence[Fact]) -> dict[CartId, tuple[int, int]]:
    """Return how far these facts take each cart's stream."""
    positions: dict[CartId, tuple[int, int]] = {}
    for fact in facts:
        match fact.event:
            case CartReported(cart=cart, epoch=epoch, recorded=recorded):
                positions[cart] = (epoch, recorded.seq)
            case CartSnapshotAdopted(cart=cart, position=position):
                positions[cart] = (position.epoch, position.seq)
    return positions


def _fail(answer: "asyncio.Future[Any]") -> None:
    if not answer.done():
        answer.set_exception(RecorderStoppedError("the journal cannot be written; the agent is ending"))
        answer.exception()  # retrieved: its waiter may be gone already
