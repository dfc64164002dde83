"""Money outward: every committed intent is put to the acquirer until it answers; paid orders get their exit token.

A tender has one task here for life. The acquirer is asked under the tender's id and no other; when no answer comes the
tender is unknown, and only a query moves it: also after a restart, which finds it in the journal. A notice from the
acquirer is a reason to ask now instead of later, and nothing else.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

import msgspec
import structlog

from cart_protocol.ids import OrderId, TenderId, TokenId
from edge_agent.core import payment
from edge_agent.core.events import (
    Fact,
    NewId,
    OrderPlaced,
    StoreEvent,
    TenderCaptured,
    TenderDeclined,
    TenderSubmitted,
    TokenIssued,
)
from edge_agent.core.folds import Order, Tender
from edge_agent.core.shop import Shop
from edge_agent.ports import Acquirer, Charge, ChargeStatus
from edge_agent.services.record import Recorder

IssueToken = Callable[[Order, TokenId, int], tuple[str, int]]
"""(order, token id, now in ms) -> (signed text, when it expires in ms)."""
FIRST_QUERY_S = 1.0
LONGEST_PAUSE_S = 30.0
RENEWAL_S = 10.0
_LAST_WORDS = frozenset({ChargeStatus.CAPTURED, ChargeStatus.DECLINED})


class Settle:
    """Runs the outward half of payment.

    Args:
        timeout_s: how long one call to the acquirer may take before the tender is unknown.
    """

    def __init__(
        self, recorder: Recorder, acquirer: Acquirer, new_id: NewId, *,
        issue_token: IssueToken, timeout_s: float,
    ) -> None:  # fmt: skip
        self.failures = 0
        """Calls to the acquirer that broke in a way no adapter should let through."""
        self.notices_unknown = 0
        """Notices about something that is no payment of ours."""
        self._recorder = recorder
        self._acquirer = acquirer
        self._new_id = new_id
        self._issue_token = issue_token
        self._timeout_s = timeout_s
        self._submitted: asyncio.Queue[TenderId] = asyncio.Queue()
        self._hints: dict[TenderId, asyncio.Event] = {}
        """One for each tender that has its task here: set when there is a reason to ask the acquirer now."""
        self._log = structlog.get_logger("settle")
        recorder.listen(self._committed)

    async def run(self) -> NoReturn:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew_tokens())
            for tender in self._recorder.shop.tenders.all_in_doubt():
                # Asked by an earlier run, perhaps: the question comes before any charge.
                tasks.create_task(self._settle(tender.tender, asked=True))
            while True:
                tender_id = await self._submitted.get()
                tasks.create_task(self._settle(tender_id, asked=False))

    def noticed(self, key: str) -> bool:
        """Ask the acquirer about this tender now; return whether it was still without an answer.

        A notice proves nothing, so it may come late, twice, out of order or for a stranger's payment: whatever it says,
        only the answer to our own question is recorded.
        """
        tender = TenderId(key)
        hint = self._hints.get(tender)
        if hint is not None:
            hint.set()
        elif tender not in self._recorder.shop.tenders.by_id:
            self.notices_unknown += 1
        return hint is not None

    def _committed(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            match fact.event:
                case TenderSubmitted(tender=tender):
                    self._submitted.put_nowait(tender)
                case TenderCaptured(tender=tender) | TenderDeclined(tender=tender):
                    self._give_token(self._recorder.shop.tenders.by_id[tender].order)
                case OrderPlaced(order=order):
                    self._give_token(order)

    # ── one tender ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _settle(self, tender_id: TenderId, *, asked: bool) -> None:
        if tender_id in self._hints:
            return  # committed while `run` began: it was found in doubt, and is in the queue as well
        self._hints[tender_id] = asyncio.Event()
        try:
            await self._until_answered(self._recorder.shop.tenders.by_id[tender_id], asked=asked)
        finally:
            del self._hints[tender_id]

    async def _until_answered(self, tender: Tender, *, asked: bool) -> None:
        hint = self._hints[tender.tender]
        charge = await (self._query(tender) if asked else self._first_charge(tender))
        pause_s = FIRST_QUERY_S
        while True:
            if charge.status is ChargeStatus.NOT_FOUND:
                # Never seen there. Only the same key may try again: should the first request still be on its way,
                # the acquirer knows it as the same payment.
                charge = await self._charge(tender)
            if await self._concluded(tender, charge):
                return
            await _hinted(hint, pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            charge = await self._query(tender)

    async def _first_charge(self, tender: Tender) -> Charge:
        """Charge under a key that was never used: the only time at which being turned away is an answer."""
        charge = await self._charge(tender)
        if charge.status is ChargeStatus.REFUSED:
            return msgspec.structs.replace(charge, status=ChargeStatus.DECLINED)
        return charge

    async def _concluded(self, tender: Tender, charge: Charge) -> bool:
        """Record what the acquirer said; return whether that was its last word."""
        key, answer = tender.tender, charge

        def decide(shop: Shop, _now_ms: int) -> list[StoreEvent]:
            match answer.status:
                case ChargeStatus.CAPTURED if answer.amount.currency == tender.amount.currency:
                    return payment.captured(shop, key, answer.amount, answer.reference, self._new_id)
                case ChargeStatus.DECLINED:
                    return payment.declined(shop, key, answer.reason or "declined")
            return payment.unknown(shop, key, answer.reason or "no-answer")

        await self._recorder.submit(decide)
        self._log.info("tender", tender=key, order=tender.order, state=tender.state, reason=charge.reason)
        return not tender.in_doubt

    async def _charge(self, tender: Tender) -> Charge:
        """Ask for the money; when a notice comes before the answer, ask what became of it meanwhile."""
        hint = self._hints[tender.tender]
        call = asyncio.ensure_future(
            self._ask(tender, self._acquirer.charge(tender.tender, tender.amount, tender.method))
        )
        try:
            while await _before(call, hint):
                found = await self._query(tender)
                if found.status in _LAST_WORDS:
                    return found
            return await call
        finally:
            call.cancel()

    async def _query(self, tender: Tender) -> Charge:
        # Before the question: a notice that comes while it is under way may be news to its answer.
        self._hints[tender.tender].clear()
        return await self._ask(tender, self._acquirer.query(tender.tender, tender.amount))

    async def _ask(self, tender: Tender, call: Awaitable[Charge]) -> Charge:
        """Return the acquirer's answer; whatever goes wrong on the way there means that we do not know."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await call
        except TimeoutError:
            return Charge(status=ChargeStatus.UNKNOWN, amount=tender.amount, reason="timeout")
        except Exception as error:  # noqa: BLE001 - money may have moved: no failure of an adapter may end in silence
            self.failures += 1
            self._log.error("acquirer-failed", tender=tender.tender, error=repr(error))
            return Charge(status=ChargeStatus.UNKNOWN, amount=tender.amount, reason="failure")

    # ── exit tokens ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _renew_tokens(self) -> NoReturn:
        """Give paid orders their token, also those whose payment an earlier run recorded just before it died."""
        for order_id in list(self._recorder.shop.orders.by_id):
            self._give_token(order_id)
        while True:
            await asyncio.sleep(RENEWAL_S)
            for token in self._recorder.shop.tokens.unburned():
                self._give_token(token.order)

    def _give_token(self, order_id: OrderId) -> None:
        shop, now_ms = self._recorder.shop, self._recorder.time.now_ms()
        order = shop.orders.by_id[order_id]
        if not payment.wants_token(shop, order, now_ms):
            return
        present = shop.tokens.of_order(order_id)
        token = present.token if present else TokenId(self._new_id())
        text, expires_ms = self._issue_token(order, token, now_ms)
        issued = TokenIssued(token=token, order=order_id, text=text, issued_ms=now_ms, expires_ms=expires_ms)
        self._recorder.post(lambda shop, now_ms: payment.issue(shop, order_id, issued, now_ms))


async def _hinted(hint: asyncio.Event, patience_s: float) -> None:
    """Wait for a hint, so long and no longer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            await hint.wait()


async def _before(call: "asyncio.Future[Charge]", hint: asyncio.Event) -> bool:
    """Wait for either; return whether the hint came while the call has no answer."""
    waiting = asyncio.ensure_future(hint.wait())
    try:
        either: set[asyncio.Future[Any]] = {call, waiting}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    return not call.done()
