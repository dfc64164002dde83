"""The store of the stage: the edge agent's services on a journal, a radio and lanes that can fail; and its phones."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cart_protocol.basket import Basket
from cart_protocol.host.clock import IdMint
from cart_protocol.ids import CartId, ShopperId, StaffId
from cart_protocol.pricing.price_book import PriceBook
from cart_protocol.topics import subscriptions_of_store
from edge_agent.core.refusals import RefusedError as StoreRefusedError
from edge_agent.devices.signature import Signer
from edge_agent.ports import Acquirer
from edge_agent.services.agent import Agent
from edge_agent.services.cart_link import MqttCartLink
from edge_agent.services.counter import Counter
from edge_agent.services.record import RecorderStoppedError
from sim.acquirer_notices import Notice
from sim.disk import Platter
from sim.phone import PhoneState, RefusedError
from sim.stage.lane import StagedLane
from sim.stage.machine import GoneError, Life, Machine, Main
from sim.stage.scene import STORE, Scenery
from sim.stage.witness import WitnessedJournal
from sim.virtual_time import SeededDice

_Result = TypeVar("_Result")
_AGAIN_S = 0.5
"""How soon a phone or a console asks again after its connection broke."""
_LOOK_S = 2.0
"""A phone looks again after so long, even if nothing told it that anything changed."""


class StagedStore(Machine):
    """The edge agent's process, and the attendant at its console (sim.exit_lane.Attendant)."""

    def __init__(
        self, folder: Path, platter: Platter, scenery: Scenery, *, signer: Signer, book: PriceBook,
        acquirer: Acquirer, lanes: int,
    ) -> None:  # fmt: skip
        super().__init__("store", scenery.loop, platter, dice=scenery.dice("store/death"), trace=scenery.trace)
        self.database = f"sqlite:///{folder / 'store.db'}"
        self._folder = folder
        self.lanes = [StagedLane(str(number), scenery, self) for number in range(2, 2 + lanes)]
        self.repeated = 0
        """Events that arrived again, over all lives."""
        self._scenery, self._signer, self._book, self._acquirer = scenery, signer, book, acquirer
        self._starts = 0
        self._agent: Agent | None = None
        self._journal: WitnessedJournal | None = None

    # ── the machine ──────────────────────────────────────────────────────────────────────────────────────────────

    def _build(self, life: Life) -> Main:
        del life
        self._starts += 1
        scenery = self._scenery
        mint = IdMint(self.clock, SeededDice(f"{scenery.seed}/store/{self._starts}"))
        self._journal = WitnessedJournal(self.database, scenery.witness)
        self.station = scenery.air.station(subscriptions_of_store(STORE))
        self._agent = Agent(
            store=STORE, name="Staged Market", journal=self._journal, link=MqttCartLink(self.station, STORE),
            acquirer=self._acquirer, book=self._book, clock=self.clock, new_id=mint.uuid, sign=self._signer.sign,
            verify=self._signer.verifier.verify, lanes=[lane.devices() for lane in self.lanes], acquirer_timeout_s=3.0,
        )  # fmt: skip
        return self._agent.run()

    def _stop(self) -> None:
        if self._agent:
            self._agent.stop()

    def _silence(self) -> None:
        if self.station:
            self.station.vanish()
        for lane in self.lanes:
            lane.drop()

    def _release(self) -> None:
        if self._agent:
            self.repeated += self._agent.ingest.repeated
            self._agent = None
        if self._journal:
            self._journal.close()
        for lane in self.lanes:
            lane.drop()

    # ── its counter, over a network that breaks with the program ─────────────────────────────────────────────────

    @property
    def counter(self) -> Counter | None:
        return self._agent.counter if self._agent and self.life and self.life.alive else None

    async def ask(self, wish: Callable[[Counter], Coroutine[Any, Any, _Result]]) -> _Result:
        """Have a wish fulfilled, however often the connection breaks meanwhile: every wish may be repeated.

        Raises:
            RefusedError: edge_agent's, as the counter raised it.
        """
        while True:
            counter = self.counter
            if counter is not None:
                try:
                    return await self.serve(partial(wish, counter))
                except (GoneError, RecorderStoppedError):
                    pass
            await asyncio.sleep(_AGAIN_S)

    async def take_notice(self, notice: Notice) -> bool:
        """Take what the acquirer tells (sim.stage.acquirer); return whether anybody was there to take it."""
        agent = self._agent
        if agent is None or self.counter is None:
            return False
        agent.settle.noticed(notice.key)
        return True

    def mirror(self, cart: CartId) -> Basket | None:
        """Return the running store's mirror of a cart's basket."""
        return self._agent.recorder.shop.mirror(cart).basket if self._agent else None

    def in_doubt(self) -> int:
        """Return how many payments wait for an answer."""
        return len(self._agent.recorder.shop.tenders.all_in_doubt()) if self._agent else 0

    def files(self) -> list[Path]:
        """Return what the store has on its disk."""
        return [file for file in self._folder.iterdir() if file.is_file()]

    async def resolve_all(self, where: str, *, goods_paid: bool) -> int:
        """The attendant, at the console's own counter."""
        counter = self.counter
        if counter is None:
            return 0
        cards = [card for card in counter.console().incidents if card.where == where and not card.resolved_by]
        for card in cards:
            let_through = goods_paid and card.may_let_through
            try:
                await self.ask(
                    lambda counter, card=card, let_through=let_through: counter.resolve(  # type: ignore[misc]
                        card.incident, StaffId("attendant"), let_through=let_through
                    )
                )
            except StoreRefusedError:
                continue  # it no longer waits there; the shopper scans again
        return len(cards)


class DirectPhone:
    """A phone at the counter itself, without pages (sim.phone.Phone); `beside` says what others do at its wishes."""

    def __init__(
        self, store: StagedStore, number: int, beside: "Beside | None" = None, *, forget_me: bool = False
    ) -> None:
        self.shopper = ShopperId(f"shopper-{number}")
        self._number = number
        self._forget_me = forget_me
        self._store = store
        self._payments = 0
        self._beside = beside

    async def bind(self, code: str) -> None:
        await self._ask("bind", lambda counter: counter.bind(self.shopper, code), code)

    async def hand_back(self) -> None:
        await self._ask("hand-back", lambda counter: counter.hand_back(self.shopper))

    async def checkout(self) -> None:
        await self._ask("checkout", lambda counter: counter.freeze(self.shopper))

    async def pay(self, method: str) -> None:
        self._payments += 1
        method = "card" if method == "test_ok" else method  # what goes wrong beyond that, the acquirer's script says
        key = f"page-{self._number}-{self._payments}"
        await self._ask("pay", lambda counter: counter.pay(self.shopper, method, key), method)

    async def until(self, condition: Callable[[PhoneState], bool], timeout_s: float) -> PhoneState | None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            life, state = self._store.life, self._state()
            if state is not None and condition(state):
                return state
            left = deadline - loop.time()
            if left <= 0:
                return None
            await self._changed(life, state, min(left, _LOOK_S))

    async def put_away(self) -> None:
        """The visit is over: some want to be forgotten."""
        if self._forget_me:
            with contextlib.suppress(RefusedError):  # whoever has not paid or not left cannot be
                await self._ask("forget", lambda counter: counter.forget(self.shopper))

    async def _changed(self, life: Life | None, state: PhoneState | None, patience_s: float) -> None:
        counter = self._store.counter
        if counter is None or state is None or life is not self._store.life:
            await asyncio.sleep(min(_AGAIN_S, patience_s))
            return
        try:
            async with asyncio.timeout(patience_s):
                await counter.wait_for_change(state.revision)
        except TimeoutError:
            pass

    def _state(self) -> PhoneState | None:
        counter = self._store.counter
        if counter is None:
            return None
        return msgspec.convert(msgspec.to_builtins(counter.phone(self.shopper)), PhoneState)

    async def _ask(self, kind: str, wish: Callable[[Counter], Coroutine[Any, Any, object]], detail: str = "") -> None:
        beside = self._beside(kind, self.shopper, detail) if self._beside else ()
        others = [asyncio.create_task(_quietly(other)) for other in beside]
        try:
            await self._store.ask(wish)
        except StoreRefusedError as refusal:
            raise RefusedError(refusal.reason, refusal.sentence) from refusal
        finally:
            if others:
                await asyncio.gather(*others)


Beside = Callable[[str, ShopperId, str], Sequence[Awaitable[object]]]
"""(kind of wish, who, detail) -> what others do at the same moment."""


async def _quietly(other: Awaitable[object]) -> None:
    """Somebody else's wish: that it is refused is their affair."""
    try:
        await other
    except (StoreRefusedError, RefusedError):
        return
