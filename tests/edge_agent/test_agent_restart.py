"""A dead agent that starts again is the same shop, whenever it died."""

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cart_protocol.basket import Phase
from cart_protocol.ids import IncidentId, ShopperId, StaffId
from edge_agent.core.events import Fact, IncidentRaised, TenderCaptured
from edge_agent.core.refusals import RefusedError
from edge_agent.core.shop import Shop
from edge_agent.core.views import PhonePhase
from edge_agent.services.record import Recorder, RecorderStoppedError
from edge_agent.store.journal import JournalError, SqlJournal
from tests.edge_agent.shop_floor import ALICE, BOB, MILK, Cart, ShopFloor, play


class PowerCutError(Exception):
    """The agent dies at this instant."""


def state_of(shop: Shop) -> dict[str, Any]:
    """All that a shop knows, as comparable values."""
    return {
        "carts": shop.carts, "bindings": shop.bindings.by_session, "live": shop.bindings.live(),
        "orders": shop.orders.by_id, "tenders": shop.tenders.by_id, "in doubt": shop.tenders.all_in_doubt(),
        "tokens": shop.tokens.by_id, "incidents": shop.incidents.by_id, "commands": shop.commands._open,
        "counts": vars(shop.counts), "book": shop.books.latest.book if shop.books.latest else None,
    }  # fmt: skip


async def a_busy_shop(floor: ShopFloor) -> None:
    await floor.paid("c1", ALICE)
    await floor.leave(ALICE)
    await floor.frozen("c2", BOB)
    floor.bank.mood = "down"
    await floor.agent.counter.pay(BOB, "card", "k")
    cart = await floor.cart("c3")
    cart.deaf = True
    await floor.agent.counter.set_withdrawn(cart.cart, StaffId("mia"), True)
    bad = IncidentRaised(incident=IncidentId("i"), key="k", where="here", cause="test", sentence="Look.")
    await floor.agent.recorder.submit(lambda *_: [bad])
    await floor.quiet()


def test_state_after_replay_is_state_before(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await a_busy_shop(floor)
        with SqlJournal(floor.database) as journal:
            again = Recorder(journal, floor.clock)
            again.replay()
        before = state_of(floor.agent.recorder.shop)
        assert state_of(again.shop) == before
        assert all(before.values()), "the story fills every part of the shop"

    play(tmp_path, story)


def test_a_payment_in_the_air_when_the_agent_died_is_asked_about_and_charged_once(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.frozen()
        floor.bank.mood = "silent-after"
        paying = asyncio.create_task(floor.agent.counter.pay(ALICE, "card", "k"))
        await floor.quiet(0.5)
        await floor.kill()
        with pytest.raises(RecorderStoppedError):
            await floor.agent.recorder.submit(lambda *_: [])
        paying.cancel()
        floor.bank.mood = "good"
        await floor.open()
        await floor.quiet(5)
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.PAID
        assert len(floor.bank.charges) == 1, "asked, not charged again"

    play(tmp_path, story)


def test_an_intent_that_never_reached_the_acquirer_is_charged_under_its_own_key(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.frozen()
        floor.bank.mood = "silent-before"
        paying = asyncio.create_task(floor.agent.counter.pay(ALICE, "card", "k"))
        await floor.quiet(0.5)
        await floor.kill()
        paying.cancel()
        floor.bank.mood = "good"
        await floor.open()
        await floor.quiet(5)
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.PAID
        assert len(set(floor.bank.charges)) == 1
        assert len(floor.bank.captured) == 1

    play(tmp_path, story)


def test_a_command_from_before_the_restart_still_reaches_its_cart(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.cart()
        cart.deaf = True
        await floor.agent.counter.set_withdrawn(cart.cart, StaffId("mia"), True)
        await floor.kill()
        cart.deaf = False
        await floor.open()
        await floor.quiet(5)
        assert cart.basket.withdrawn

    play(tmp_path, story)


def test_a_paid_order_without_its_token_gets_one_after_the_restart(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.frozen()

        def die_with_the_capture(facts: Sequence[Fact]) -> None:
            if any(isinstance(fact.event, TenderCaptured) for fact in facts):
                raise PowerCutError

        floor.agent.recorder.listen(die_with_the_capture)
        paying = asyncio.create_task(floor.agent.counter.pay(ALICE, "card", "k"))
        await floor.quiet(1)
        paying.cancel()
        assert floor._running is not None
        with pytest.RaisesGroup(PowerCutError, flatten_subgroups=True):
            await floor._running
        assert floor.agent.counter.phone(ALICE).exit_token is None
        await floor.restart()
        await floor.quiet(1)
        assert floor.agent.counter.phone(ALICE).exit_token

    play(tmp_path, story)


def test_a_journal_that_cannot_be_written_ends_the_agent_and_loses_nothing_of_the_cart(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        assert floor._journal is not None
        floor._journal.close()
        cart.put_in(MILK)
        await floor.quiet(1)
        assert floor._running is not None
        with pytest.RaisesGroup(JournalError, flatten_subgroups=True):
            await floor._running
        assert cart.acknowledged < len(cart.outbox)
        await floor.open()
        await floor.quiet(60)
        assert cart.acknowledged == len(cart.outbox)
        assert cart.basket.phase is Phase.SHOPPING
        assert len(floor.agent.counter.phone(ALICE).lines) == 1

    play(tmp_path, story)


# ── random days ──────────────────────────────────────────────────────────────────────────────────────────────────


class Day:
    """Three shoppers, three carts, a bad radio, a moody bank and an agent that dies."""

    def __init__(self, floor: ShopFloor, dice: Random) -> None:
        self.floor, self.dice = floor, dice
        self.shoppers = [ShopperId(f"p{n}") for n in range(3)]
        self.carts: list[Cart] = []
        self.wishes: list[asyncio.Task[object]] = []
        self.keys = 0

    async def live(self, steps: int) -> None:
        self.carts = [await self.floor.cart(f"c{n}") for n in range(3)]
        for _ in range(steps):
            getattr(self, self.dice.choice(self.DEEDS))()
            await self.floor.quiet(self.dice.choice([0.0, 0.0, 0.01, 1.0, 7.0]))
            if self.dice.random() < 0.05:
                await self.floor.restart()
            self.check()
        await self.end()

    async def end(self) -> None:
        """Everything works again: nothing may stay open."""
        self.floor.wire.lossy = lambda: False
        self.floor.bank.mood = "good"
        for cart in self.carts:
            if not cart.connected:
                cart.find_radio()
        await self.floor.quiet(200)
        results = await asyncio.gather(*self.wishes, return_exceptions=True)
        faults = [
            r for r in results if isinstance(r, Exception) and not isinstance(r, RefusedError | RecorderStoppedError)
        ]
        assert faults == []
        self.check()
        shop = self.floor.agent.recorder.shop
        assert shop.tenders.all_in_doubt() == []
        for cart in self.carts:
            assert shop.mirror(cart.cart).basket == cart.basket
            bound = shop.bindings.on_cart(cart.cart)
            assert cart.basket.session == (bound.session if bound else None)
            assert cart.acknowledged == len(cart.outbox)

    def check(self) -> None:
        shop, bank = self.floor.agent.recorder.shop, self.floor.bank
        live = shop.bindings.live()
        assert len({b.cart for b in live}) == len({b.shopper for b in live}) == len(live)
        for order in shop.orders.by_id.values():
            captured = [
                bank.captured[t.tender].minor for t in shop.tenders.of_order(order.id) if t.tender in bank.captured
            ]
            assert sum(captured) <= order.placed.total.minor, "nobody is charged twice"
            if not order.stands:
                assert sum(captured) == 0, "nobody pays for a void order"
        for token in shop.tokens.by_id.values():
            paid = sum(
                bank.captured[t.tender].minor for t in shop.tenders.of_order(token.order) if t.tender in bank.captured
            )
            assert paid == shop.orders.by_id[token.order].placed.total.minor, "no exit for an unpaid order"

    DEEDS = (*["go_on"] * 14, *["put"] * 3, "bind", "freeze", "thaw", "pay", "hand_back", "radio", "noise", "mood")

    def go_on(self) -> None:
        """A shopper does what the phone suggests."""
        shopper = self.someone()
        counter = self.floor.agent.counter
        match counter.phone(shopper).phase:
            case PhonePhase.UNBOUND | PhonePhase.GOODBYE:
                self.wish(counter.bind(shopper, self.dice.choice(self.carts).code))
            case PhonePhase.SHOPPING:
                self.wish(counter.freeze(shopper))
            case PhonePhase.TO_PAY:
                self.keys += 1
                self.wish(counter.pay(shopper, "card", f"k{self.keys}"))
            case PhonePhase.PAID:
                self.wish(self.floor.leave(shopper))

    def wish(self, wish: Coroutine[Any, Any, object]) -> None:
        self.wishes.append(asyncio.create_task(wish))

    def someone(self) -> ShopperId:
        return self.dice.choice(self.shoppers)

    def bind(self) -> None:
        self.wish(self.floor.agent.counter.bind(self.someone(), self.dice.choice(self.carts).code))

    def put(self) -> None:
        cart = self.dice.choice(self.carts)
        if cart.basket.phase is Phase.SHOPPING:
            cart.put_in(MILK)

    def freeze(self) -> None:
        self.wish(self.floor.agent.counter.freeze(self.someone()))

    def thaw(self) -> None:
        self.wish(self.floor.agent.counter.thaw(self.someone()))

    def pay(self) -> None:
        self.keys += self.dice.randint(0, 1)
        self.wish(self.floor.agent.counter.pay(self.someone(), "card", f"k{self.keys}"))

    def hand_back(self) -> None:
        self.wish(self.floor.agent.counter.hand_back(self.someone()))

    def radio(self) -> None:
        cart = self.dice.choice(self.carts)
        (cart.lose_radio if cart.connected else cart.find_radio)()

    def noise(self) -> None:
        share = self.dice.choice([0.0, 0.0, 0.0, 0.2, 0.5])
        self.floor.wire.lossy = lambda: self.dice.random() < share

    def mood(self) -> None:
        self.floor.bank.mood = self.dice.choice(
            ["good", "good", "good", "declines", "partial", "silent-before", "silent-after", "broken"]
        )


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_on_a_day_the_books_hold(tmp_path: Path, seed: int) -> None:
    async def story(floor: ShopFloor) -> None:
        await Day(floor, Random(seed)).live(400)
        counts = floor.agent.recorder.shop.counts
        assert counts.exits >= 1, "a day on which nothing happens proves nothing"

    play(tmp_path, story)
