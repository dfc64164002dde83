"""The shop's counter: all that shoppers and staff can ask for, and the pictures they see. Called by pages and stage."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from cart_protocol.ids import CartId, IncidentId, OrderId, RecordId, ShopperId, StaffId
from edge_agent.core import binding, cart_record, command, console_picture, erasure, incident, order, payment, picture
from edge_agent.core.events import NewId, StoreEvent
from edge_agent.core.folds import About, Order, Stage, TenderState
from edge_agent.core.picture import Surroundings
from edge_agent.core.refusals import NoRoomError, PaymentRefusedError, StaffRefusedError
from edge_agent.core.views import ConsoleView, LaneCard, PhoneView, RecordView
from edge_agent.services.fetch_records import FetchRecords
from edge_agent.services.ingest import Ingest
from edge_agent.services.levels import Levels
from edge_agent.services.presence import Presence
from edge_agent.services.record import Decide, Recorder
from edge_agent.services.sight_desk import SightDesk
from edge_agent.services.teach import Teach

_Recorded = TypeVar("_Recorded")
PATIENCE_S = binding.ANSWER_MS / 1_000
"""How long a person waits for a cart's answer."""
_BREATH_S = 0.1
"""Between two looks over the whole shop."""


class Counter:
    """One call is one wish of a person; it returns when it came true and raises RefusedError when it cannot.

    Every wish may be repeated: what is already so stays so. `pay_patience_s` is how long `pay` waits for the acquirer
    before it returns with the payment still open (the phone then shows so). While the journal has no room, every wish
    raises NoRoomError at once.
    """

    def __init__(
        self, store: str, recorder: Recorder, *, presence: Presence, ingest: Ingest, levels: Levels,
        fetch_records: FetchRecords, teach: Teach,
        new_id: NewId, lane_cards: Callable[[], tuple[LaneCard, ...]], pay_patience_s: float,
    ) -> None:  # fmt: skip
        self._store = store
        self._recorder = recorder
        self._presence = presence
        self._ingest = ingest
        self._levels = levels
        self._fetch_records = fetch_records
        self._new_id = new_id
        self._lane_cards = lane_cards
        self._pay_patience_s = pay_patience_s
        self.sight = SightDesk(recorder, presence, teach, new_id=new_id, wish=self._wish, around=self._around)

    # ── shoppers ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def bind(self, shopper: ShopperId, code: str) -> CartId:
        """Give this shopper the cart that shows `code` ('c1-7K3M9Q'), once the cart agreed.

        Raises:
            BindRefusedError: unknown-code, has-cart, busy, faulty, charging, withdrawn, offline, no-room, no-answer, or
                whatever else the cart refuses with.
        """
        if self._levels.door_closed and self._recorder.shop.bindings.of(shopper) is None:
            raise binding.refusal("no-room")
        await self._wish(
            lambda shop, now_ms: binding.request(
                shop, shopper, code, online=self._presence.online, now_ms=now_ms, new_id=self._new_id
            )
        )
        bound = self._recorder.shop.bindings.latest_of[shopper]
        if not await self._until(lambda: bound.stage is not Stage.REQUESTED, PATIENCE_S):
            await self._wish(lambda shop, _: binding.give_up(shop, bound.session))
        if bound.stage is not Stage.BOUND:
            raise binding.refusal(bound.reason)
        return bound.cart

    async def hand_back(self, shopper: ShopperId) -> None:
        """Part from the cart; goods stay in it and nothing is charged.

        Raises:
            OrderRefusedError: paid (the goods leave by the exit lane).
        """
        await self._wish(lambda shop, now_ms: binding.hand_back(shop, shopper, now_ms=now_ms, new_id=self._new_id))

    async def freeze(self, shopper: ShopperId) -> OrderId:
        """Close the basket and return the order that the cart's freeze made of it.

        Raises:
            OrderRefusedError: no-cart, offline, empty, pending, unexplained, no-answer, or whatever else the cart
                refuses with.
        """
        await self._wish(
            lambda shop, now_ms: order.freeze(
                shop, shopper, online=self._presence.online, now_ms=now_ms, new_id=self._new_id
            )
        )
        shop = self._recorder.shop
        bound = shop.bindings.latest_of[shopper]
        answered = await self._until(
            lambda: shop.orders.of_session(bound.session) is not None or bound.freezing is None, PATIENCE_S
        )
        if not answered:
            await self._wish(lambda shop, _: order.no_answer(shop, bound.session))
        placed = shop.orders.of_session(bound.session)
        if placed is None:
            raise order.refusal(bound.freeze_problem or bound.reason)
        return placed.id

    async def thaw(self, shopper: ShopperId) -> None:
        """Keep shopping: the unpaid order is void.

        Raises:
            OrderRefusedError: no-cart, paying or paid.
        """
        await self._wish(lambda shop, now_ms: order.thaw(shop, shopper, now_ms=now_ms, new_id=self._new_id))

    async def pay(self, shopper: ShopperId, method: str, key: str) -> None:
        """Pay what is outstanding. The same `key` again, or a second page meanwhile, shares the first one's outcome.

        Returns when the order is paid, or while the acquirer has not answered (the phone shows which).

        Raises:
            PaymentRefusedError: no-order, unknown-method or declined.
        """
        due = self._order_of(shopper)
        await self._wish(lambda shop, _: payment.submit(shop, due.id, method=method, page_key=key, new_id=self._new_id))
        shop = self._recorder.shop
        tender = payment.by_page_key(shop, due.id, key) or shop.tenders.in_doubt(due.id)
        if tender is not None:
            await self._until(lambda: tender.state is not TenderState.SUBMITTED, self._pay_patience_s)
            if tender.state is TenderState.DECLINED:
                raise PaymentRefusedError("declined", picture.declined_sentence(tender.reason))
        if payment.is_paid(shop, due):
            await self._until(lambda: shop.tokens.of_order(due.id) is not None, PATIENCE_S)

    async def forget(self, shopper: ShopperId) -> None:
        """Keep nothing that leads to this shopper. Somebody we know nothing of is forgotten already.

        Raises:
            ErasureRefusedError: has-cart, paying, unpaid or not-left.
            NoRoomError: the disk is full; nothing was changed.
        """
        self._refuse_when_full()
        await self._unless_full(self._recorder.forget(shopper, erasure.pseudonym_for(shopper, self._new_id)))

    # ── staff ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def resolve(self, incident_id: IncidentId, staff: StaffId, *, let_through: bool = False) -> None:
        """Close an incident; with `let_through`, the lane that holds its order opens: staff checked the goods.

        Raises:
            StaffRefusedError: unknown-incident; not-at-lane (no order of this incident waits to be let through).
        """
        await self._wish(
            lambda shop, _: (
                incident.let_through(shop, incident_id, staff, self._lane_cards())
                if let_through
                else incident.resolve(shop, incident_id, staff)
            )
        )

    async def set_withdrawn(self, cart: CartId, staff: StaffId, withdrawn: bool) -> None:
        """Take a cart out of service, or put it back. Returns when the cart was told; the console shows when it did.

        Raises:
            StaffRefusedError: unknown-cart or in-use.
        """
        await self._wish(
            lambda shop, now_ms: command.set_withdrawn(
                shop, cart, staff, withdrawn=withdrawn, now_ms=now_ms, new_id=self._new_id
            )
        )

    async def explain_weight(self, cart: CartId, staff: StaffId) -> None:
        """Tell a cart that staff looked into it and its unexplained weight is in order.

        Raises:
            StaffRefusedError: unknown-cart or not-in-use.
        """
        await self._wish(
            lambda shop, now_ms: command.explain_weight(shop, cart, staff, now_ms=now_ms, new_id=self._new_id)
        )

    async def ask_cart(self, cart: CartId, staff: StaffId) -> RecordId:
        """Have a cart send what it recorded of its newest session; return where that is, or will be.

        Raises:
            StaffRefusedError: unknown-cart, no-session, forgotten or too-many.
        """
        await self._wish(lambda shop, _: cart_record.ask_cart(shop, cart, staff, self._new_id))
        return self._newest(cart_record.of_cart(self._recorder.shop, cart))

    async def ask_about(self, incident_id: IncidentId, staff: StaffId) -> RecordId:
        """Have the cart that an alarm is about send what it recorded of it.

        Raises:
            StaffRefusedError: unknown-incident, no-cart, forgotten or too-many.
        """
        await self._wish(lambda shop, _: cart_record.ask_about(shop, incident_id, staff, self._new_id))
        shop = self._recorder.shop
        return self._newest(cart_record.of_incident(shop, shop.incidents.by_id[incident_id]))

    async def ask_again(self, record: RecordId, staff: StaffId) -> RecordId:
        """Have the same record sent once more; the one that is here stays until then.

        Raises:
            StaffRefusedError: unknown-record, forgotten or too-many.
        """
        known = self._recorder.shop.records.by_id.get(record)
        await self._wish(lambda shop, _: cart_record.ask_again(shop, record, staff, self._new_id))
        return self._newest(known.about if known else None)

    # ── pictures ─────────────────────────────────────────────────────────────────────────────────────────────────

    def phone(self, shopper: ShopperId) -> PhoneView:
        return picture.phone(self._recorder.shop, shopper, self._around())

    def console(self) -> ConsoleView:
        shop, around, lanes = self._recorder.shop, self._around(), self._lane_cards()
        return ConsoleView(
            revision=around.revision, store=self._store, now_ms=around.now_ms,
            broker_online=self._presence.broker_online, carts=console_picture.cart_cards(shop, around),
            lanes=lanes, incidents=console_picture.incident_cards(shop, lanes),
            counters=console_picture.counters(
                shop, repeated=self._ingest.repeated, gaps=self._ingest.gaps,
                unreadable=self._ingest.strangers.unreadable,
                unknown_fields=self._ingest.strangers.unknown_fields,
            ),
            levels=self._levels.cards(),
        )  # fmt: skip

    def record(self, record: RecordId) -> RecordView | None:
        """Return what is known of a cart's record; None where it is not here (any more)."""
        parts, days = self._fetch_records.parts(record), self._fetch_records.days
        return console_picture.record_view(self._recorder.shop, record, self._around(), parts=parts, days=days)

    async def record_picture(self, record: RecordId) -> bytes:
        """Return the picture of a record (PNG), nothing where there is none."""
        body, picture = await self._body_of(record)
        return body[:picture]

    async def record_file(self, record: RecordId) -> bytes:
        """Return the file that `cart-firmware replay` reads, nothing where there is none."""
        body, picture = await self._body_of(record)
        return body[picture:]

    async def wait_for_change(self, revision: int, shopper: ShopperId | None = None) -> int:
        """Return the shop's revision once it is above `revision`. May be cancelled at any time.

        With `shopper`, only what may concern this shopper's page counts. Without, who looks over the whole shop is told
        at most ten times a second.
        """
        changes = self._recorder.changes
        if shopper is None:
            await asyncio.sleep(_BREATH_S)
            return await changes.after(revision)
        binding = self._recorder.shop.bindings.of(shopper)
        return await changes.after(revision, (shopper, binding.cart) if binding else (shopper,))

    # ── inner parts ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _wish(self, decide: Decide) -> tuple[StoreEvent, ...]:
        """Have a wish recorded; whoever waits while the journal runs out of room is told so instead of left waiting.

        Raises:
            NoRoomError: now or meanwhile. The decision may still be recorded later: wishes may be repeated.
        """
        self._refuse_when_full()
        return await self._unless_full(self._recorder.submit(decide))

    async def _unless_full(self, recording: Coroutine[object, object, _Recorded]) -> _Recorded:
        answer = asyncio.ensure_future(recording)
        answer.add_done_callback(_heard)
        changes = self._recorder.changes
        while not answer.done():
            change = asyncio.ensure_future(changes.after(changes.revision))
            either: set[asyncio.Future[Any]] = {answer, change}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            change.cancel()
            if not answer.done():
                self._refuse_when_full()
        return await answer

    def _refuse_when_full(self) -> None:
        if self._recorder.full:
            raise NoRoomError

    def _newest(self, about: About | None) -> RecordId:
        known = self._recorder.shop.records.about(about) if about else None
        if known is None:
            raise StaffRefusedError("unknown-record", "This record is not here any more.")
        return known.asked.record

    async def _body_of(self, record: RecordId) -> tuple[bytes, int]:
        known = self._recorder.shop.records.by_id.get(record)
        if known is None or known.kept is None:
            return b"", 0
        return await self._recorder.record(record), known.kept.picture

    def _order_of(self, shopper: ShopperId) -> Order:
        shop = self._recorder.shop
        bound = shop.bindings.latest_of.get(shopper)
        due = shop.orders.of_session(bound.session) if bound else None
        if due is None:
            raise PaymentRefusedError("no-order", "There is nothing to pay. Please close your cart first.")
        return due

    def _around(self) -> Surroundings:
        return Surroundings(
            store=self._store, revision=self._recorder.changes.revision, now_ms=self._recorder.time.now_ms(),
            online=frozenset(self._presence.online),
        )  # fmt: skip

    async def _until(self, done: Callable[[], bool], patience_s: float) -> bool:
        """Wait until a commit made `done` true; return whether it did in time."""
        changes = self._recorder.changes
        try:
            async with asyncio.timeout(patience_s):
                while not done():
                    await changes.after(changes.revision)
        except TimeoutError:
            return done()
        return True


def _heard(answer: "asyncio.Future[Any]") -> None:
    """Nobody may be left to hear of a late refusal."""
    if not answer.cancelled():
        answer.exception()
