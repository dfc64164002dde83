"""The store as one whole: its services joined over ports that somebody else opened: __main__, or the stage."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import structlog

from cart_protocol.host.clock import Clock
from cart_protocol.ids import LaneId, StoreId, TokenId
from cart_protocol.mass import ZERO
from cart_protocol.pricing.price_book import PriceBook
from edge_agent.config import Limits
from edge_agent.core import exit_check, exit_token
from edge_agent.core.events import NewId
from edge_agent.core.exit_token import Claims, Sign, Verify
from edge_agent.core.folds import Order
from edge_agent.core.views import LaneCard
from edge_agent.ports import Acquirer, CartLink, Journal, LaneDevices, StoreRoom
from edge_agent.services import gauges
from edge_agent.services.bind import Bind
from edge_agent.services.counter import Counter
from edge_agent.services.fetch_records import FetchRecords
from edge_agent.services.fleet import Fleet
from edge_agent.services.hand_out_pictures import HandOutPictures
from edge_agent.services.ingest import Ingest
from edge_agent.services.lane import Lane
from edge_agent.services.levels import Levels
from edge_agent.services.presence import Presence
from edge_agent.services.publish_prices import PublishPrices
from edge_agent.services.publish_sight import PublishSight
from edge_agent.services.record import Recorder, Take
from edge_agent.services.settle import Settle
from edge_agent.services.teach import Teach

_PAY_MARGIN_S = 1.0
"""What committing an answer may take on top of the acquirer's own time."""
_LIMITS = Limits()
_NO_PICTURES: Mapping[str, bytes] = MappingProxyType({})


class Agent:
    """One store. Building it replays the journal; `run` serves until `stop` or cancelled.

    Args:
        store: id and name of the store.
        book: the price book to bring into force at the start.
        pictures: those that it names, for the carts' screens.
        sign: the store's Ed25519 signature, for price books and exit tokens; `verify` checks it.
        lanes: the hardware of each exit lane.
        hold_s: how long each lane keeps its barrier open.
        token_ttl_s: life of an exit token.
        binding_idle_s: after this long without any event a bound cart is handed back.
        acquirer_timeout_s: how long one call to the acquirer may take.
        room: the disk under the journal, where there is one to see.
        limits: what may fill up, and from when on staff hear of it.
        partitions: into how many the carts are divided; the journal is of one or some of them.

    The ports stay the caller's: `run` uses them, and does not close the journal, the link or the acquirer.
    """

    def __init__(
        self, *, store: StoreId, name: str, journal: Journal, link: CartLink, acquirer: Acquirer, book: PriceBook,
        clock: Clock, new_id: NewId, sign: Sign, verify: Verify, key_id: int = 0,
        pictures: Mapping[str, bytes] = _NO_PICTURES, lanes: Sequence[LaneDevices] = (), hold_s: Sequence[float] = (),
        token_ttl_s: int = 900, binding_idle_s: int = 1_800, acquirer_timeout_s: float = 10.0,
        room: StoreRoom | None = None, limits: Limits = _LIMITS, partitions: int = 1,
        progress: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._book = book
        self._progress = progress
        self._stopping = asyncio.Event()
        self.recorder = Recorder(
            journal, clock, make_room=room.give_back if room else lambda: False, partitions=partitions
        )
        replayed = self.recorder.replay(progress)
        structlog.get_logger("agent").info("journal-replayed", facts=replayed)
        self.levels = Levels(self.recorder, new_id, limits, room)
        self.presence = Presence(self.recorder.changes)
        self.ingest = Ingest(link, self.recorder, self.presence, clock, new_id, most_strangers=limits.strangers)
        self._prices = PublishPrices(link, self.recorder, sign)
        self.ingest.on_up(self._prices.announce)
        self.ingest.on_pictures(HandOutPictures(link, pictures, clock).wanted)
        self._fleet = Fleet(link, self.recorder, self.presence, clock)
        self._fetch_records = FetchRecords(
            link, self.recorder, self.presence, clock, limits=limits, has_room=lambda: not self.levels.door_closed
        )
        self.ingest.on_record(self._fetch_records.heard)
        self._sight = PublishSight(link, self.recorder, self.presence, sign)
        self.ingest.on_up(self._sight.announce)
        self._teach = Teach(link, self.recorder, self.presence, clock)
        self.ingest.on_lesson(self._teach.heard)
        self._bind = Bind(self.recorder, self.presence, new_id, binding_idle_s)
        self.settle = Settle(
            self.recorder, acquirer, new_id,
            issue_token=_issuer(store, sign, key_id, token_ttl_s), timeout_s=acquirer_timeout_s,
        )  # fmt: skip
        holds: dict[TokenId, LaneId] = {}
        spans = [*hold_s, *[20.0] * (len(lanes) - len(hold_s))]
        self.lanes = [
            Lane(devices, self.recorder, new_id, store=store, verify=verify, hold_s=span, holds=holds)
            for devices, span in zip(lanes, spans, strict=True)
        ]
        self.counter = Counter(
            name, self.recorder, presence=self.presence, ingest=self.ingest, new_id=new_id,
            levels=self.levels, fetch_records=self._fetch_records, lane_cards=self._lane_cards,
            pay_patience_s=acquirer_timeout_s + _PAY_MARGIN_S, teach=self._teach,
        )  # fmt: skip

        self.levels.watch(gauges.payments(limits), lambda: len(self.recorder.shop.tenders.all_in_doubt()))
        self.levels.watch(gauges.strangers(limits), lambda: self.ingest.never_reported)

    async def run(self) -> None:
        """Serve until `stop`.

        Raises:
            ExceptionGroup: a service failed: the journal cannot be written (JournalError), the price book does not
                follow the one in force (PriceBookRefusedError), or a fault of ours. The process must end.
        """
        async with asyncio.TaskGroup() as tasks:
            recording = tasks.create_task(self.recorder.run(self._progress), name="record")
            await self._prices.adopt(self._book)
            services = [
                tasks.create_task(service, name=name)
                for name, service in (
                    ("ingest", self.ingest.run()), ("fleet", self._fleet.run()), ("bind", self._bind.run()),
                    ("levels", self.levels.run()), ("prices", self._prices.run()), ("settle", self.settle.run()),
                    ("records", self._fetch_records.run()), ("teach", self._teach.run()),
                    ("sight", self._sight.run()),
                    *((f"lane {lane.lane}", lane.run()) for lane in self.lanes),
                )
            ]  # fmt: skip
            await self._stopping.wait()
            await _end(services)
            # Last, so that what the others have just submitted is either on the disk or refused.
            await _end([recording])

    async def take_over(self, take: Take, listen: Callable[[], None]) -> None:
        """Look after a further partition from now on: its past is ours at once, and its carts are asked to greet us.

        `listen` is called when the link may let its carts through.

        Raises:
            RecorderStoppedError: the agent is ending.
        """
        positions = await self.recorder.take_over(take)
        self.ingest.took_over(positions)
        listen()
        self.ingest.greet()
        await self._prices.carry_over()
        structlog.get_logger("agent").info("took-over", carts=len(positions))

    def stop(self) -> None:
        """End `run` in good order; may be called twice."""
        self._stopping.set()

    def _lane_cards(self) -> tuple[LaneCard, ...]:
        return tuple(lane.card() for lane in self.lanes)


def _issuer(store: StoreId, sign: Sign, key_id: int, ttl_s: int) -> Callable[[Order, TokenId, int], tuple[str, int]]:
    """Return what signs exit tokens: the order's expected load, tags and amount, for this store."""

    def issue(order: Order, token: TokenId, now_ms: int) -> tuple[str, int]:
        placed = order.placed
        mass, variance = exit_check.total_of(exit_check.expected_lines(placed.lines, placed.variance))
        claims = Claims(
            store=store, token=token, order=order.id, issued_ms=now_ms, ttl_s=ttl_s, mass=max(mass, ZERO),
            variance=variance, tags=placed.tags, amount=placed.total, key=key_id,
        )  # fmt: skip
        return exit_token.issue(claims, sign), claims.expires_ms

    return issue


async def _end(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
