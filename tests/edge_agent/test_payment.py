"""Money: asked once, counted from sums, never twice, whatever the acquirer does."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cart_protocol.basket import Phase, Position
from cart_protocol.ids import CartId, Epoch, LaneId, OrderId, OrderNumber, Seq, SessionId, TenderId, TokenId
from cart_protocol.mass import Mass, Variance
from cart_protocol.money import Money
from edge_agent.core import payment
from edge_agent.core.events import (
    BindRequested,
    Fact,
    OrderPlaced,
    StoreEvent,
    TenderCaptured,
    TenderDeclined,
    TenderRefunded,
    TenderSubmitted,
    TokenBurned,
    TokenIssued,
)
from edge_agent.core.refusals import PaymentRefusedError, RefusedError
from edge_agent.core.shop import Shop
from edge_agent.core.views import PhonePhase
from tests.edge_agent.shop_floor import ALICE, ShopFloor, euros, play

DUE = Money(240, "EUR")


def test_a_paid_order_gets_its_exit_token(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.paid()
        view = floor.agent.counter.phone(ALICE)
        assert view.phase is PhonePhase.PAID
        assert view.exit_token
        assert view.exit_token_expires_ms - floor.clock.wall_ms() == pytest.approx(900_000, abs=1_000)
        assert floor.bank.total() == euros("2.40") == view.paid
        counted = floor.agent.counter.console().counters
        assert (counted.orders_paid, counted.paid) == (1, euros("2.40"))

    play(tmp_path, story)


def test_the_same_page_key_again_has_the_first_outcome(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.frozen()
        pay = floor.agent.counter.pay
        await asyncio.gather(pay(ALICE, "card", "k1"), pay(ALICE, "card", "k1"))
        await pay(ALICE, "card", "k1")
        assert len(floor.bank.charges) == 1

    play(tmp_path, story)


def test_two_pages_paying_at_once_are_one_charge(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.frozen()
        pay = floor.agent.counter.pay
        await asyncio.gather(pay(ALICE, "card", "k1"), pay(ALICE, "wallet", "k2"))
        assert floor.bank.total() == euros("2.40")
        assert len(floor.bank.captured) == 1

    play(tmp_path, story)


def test_a_declined_card_says_so_and_another_may_follow(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.frozen()
        floor.bank.mood = "declines"
        for _ in range(2):  # a double submit hears the same
            with pytest.raises(PaymentRefusedError, match="not enough money"):
                await floor.agent.counter.pay(ALICE, "card", "k1")
        view = floor.agent.counter.phone(ALICE)
        assert view.phase is PhonePhase.TO_PAY
        assert "not enough money" in view.problem
        floor.bank.mood = "good"
        await floor.agent.counter.pay(ALICE, "card", "k2")
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.PAID
        assert floor.bank.total() == euros("2.40")

    play(tmp_path, story)


@pytest.mark.parametrize("mood", ["silent-before", "silent-after", "broken"])
def test_a_lost_answer_is_cleared_by_asking_and_charged_once(tmp_path: Path, mood: str) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.frozen()
        floor.bank.mood = mood
        paying = asyncio.create_task(floor.agent.counter.pay(ALICE, "card", "k1"))
        await floor.quiet(3.5)
        view = floor.agent.counter.phone(ALICE)
        assert view.phase is PhonePhase.PAYING
        assert "not charged twice" in view.problem
        floor.bank.mood = "good"
        await paying
        await floor.quiet(90)
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.PAID
        assert floor.bank.total() == euros("2.40")
        assert len(set(floor.bank.charges)) == 1, "one key for life"

    play(tmp_path, story)


def test_while_money_may_be_moving_nothing_is_cancelled_and_nobody_leaves_unpaid(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.frozen()
        floor.bank.mood = "down"
        await floor.agent.counter.pay(ALICE, "card", "k1")
        for wish in (floor.agent.counter.thaw, floor.agent.counter.hand_back):
            with pytest.raises(RefusedError):
                await wish(ALICE)
        await floor.agent.counter.pay(ALICE, "card", "k2")
        await floor.quiet(3 * 3_600)  # longer than the idle time
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.PAYING
        assert floor.agent.counter.console().counters.payments_unknown == 1
        floor.bank.mood = "good"
        await floor.quiet(60)
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.PAID
        assert floor.bank.total() == euros("2.40")

    play(tmp_path, story)


def test_a_partial_capture_leaves_the_rest_to_pay(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.frozen()
        floor.bank.mood = "partial"
        await floor.agent.counter.pay(ALICE, "card", "k1")
        view = floor.agent.counter.phone(ALICE)
        assert (view.phase, view.paid) == (PhonePhase.TO_PAY, euros("1.20"))
        assert "rest" in view.problem
        with pytest.raises(RefusedError, match="paid"):
            await floor.agent.counter.thaw(ALICE)
        floor.bank.mood = "good"
        await floor.agent.counter.pay(ALICE, "card", "k2")
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.PAID
        assert floor.bank.total() == euros("2.40")

    play(tmp_path, story)


def test_a_paid_cart_leaves_by_the_lane_only(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        cart = await floor.paid()
        with pytest.raises(RefusedError, match="paid"):
            await floor.agent.counter.hand_back(ALICE)
        await floor.leave()
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.GOODBYE
        assert cart.basket.phase is Phase.IDLE
        with pytest.raises(RefusedError, match="spent"):
            await floor.leave()
        assert floor.agent.counter.console().counters.exits == 1
        await floor.agent.counter.bind(ALICE, cart.code)
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.SHOPPING

    play(tmp_path, story)


def test_an_unspent_token_is_renewed_before_it_expires_under_the_same_id(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.paid()
        shop = floor.agent.recorder.shop
        first = next(iter(shop.tokens.by_id.values()))
        first_text, first_expiry = first.text, first.expires_ms
        await floor.quiet(890)
        second = next(iter(shop.tokens.by_id.values()))
        assert list(shop.tokens.by_id) == [first.token]
        assert second.expires_ms > first_expiry
        assert second.text != first_text
        view = floor.agent.counter.phone(ALICE)
        assert view.exit_token == second.text
        await floor.leave()
        await floor.quiet(3_600)
        assert next(iter(shop.tokens.by_id.values())).expires_ms == second.expires_ms, "a spent token is not renewed"

    play(tmp_path, story)


def test_nothing_to_pay_and_unknown_ways_are_refused(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        with pytest.raises(PaymentRefusedError, match="no-order"):
            await floor.agent.counter.pay(ALICE, "card", "k")
        await floor.frozen()
        with pytest.raises(PaymentRefusedError, match="unknown-method"):
            await floor.agent.counter.pay(ALICE, "4242424242424242", "k")
        assert not floor.bank.charges

    play(tmp_path, story)


# ── the ledger by itself ─────────────────────────────────────────────────────────────────────────────────────────


def order_to_pay(due: Money = DUE) -> Shop:
    shop = Shop()
    session, order = SessionId("s"), OrderId("o")
    for event in (
        BindRequested(session=session, shopper=ALICE, cart=CartId("c1"), code="X", command="k", expires_ms=1),  # type: ignore[arg-type]
        OrderPlaced(
            order=order, number=OrderNumber("0000017"), sequence=1, session=session, shopper=ALICE, cart=CartId("c1"),
            frozen_at=Position(epoch=Epoch(1), seq=Seq(1)), lines=(), total=due, taxes=(), settled=Mass(0),
            variance=Variance(0), tags=0,
        ),
    ):  # fmt: skip
        shop.evolve(Fact(0, event))
    return shop


class Ledger(RuleBasedStateMachine):
    """Whatever pages and acquirer do in whatever order: sums are true and there is one charge in the air at most."""

    def __init__(self) -> None:
        super().__init__()
        self.shop = order_to_pay()
        self.order = self.shop.orders.by_id[OrderId("o")]
        self.number = 0
        self.taken = 0
        self.refunded = 0

    def record(self, events: list[StoreEvent]) -> None:
        for event in events:
            self.shop.evolve(Fact(0, event))

    def new_id(self) -> str:
        self.number += 1
        return f"id-{self.number}"

    @rule(key=st.sampled_from(["k1", "k2", "k3", "k4"]))
    def submit(self, key: str) -> None:
        self.record(payment.submit(self.shop, self.order.id, method="card", page_key=key, new_id=self.new_id))

    def tenders(self) -> list[TenderId]:
        return list(self.shop.tenders.by_id)

    @precondition(lambda self: self.tenders())
    @rule(data=st.data(), share=st.sampled_from([0, 1, 50, 100, 120]))
    def capture(self, data: st.DataObject, share: int) -> None:
        tender = self.shop.tenders.by_id[data.draw(st.sampled_from(self.tenders()))]
        amount = tender.amount.minor * share // 100
        if tender.in_doubt:
            self.taken += amount
        self.record(payment.captured(self.shop, tender.tender, Money(amount, "EUR"), "r", self.new_id))

    @precondition(lambda self: self.tenders())
    @rule(data=st.data())
    def decline(self, data: st.DataObject) -> None:
        self.record(payment.declined(self.shop, data.draw(st.sampled_from(self.tenders())), "no"))

    @precondition(lambda self: self.tenders())
    @rule(data=st.data())
    def hear_nothing(self, data: st.DataObject) -> None:
        self.record(payment.unknown(self.shop, data.draw(st.sampled_from(self.tenders())), "timeout"))

    @precondition(lambda self: self.taken > self.refunded)
    @rule()
    def refund(self) -> None:
        tender = next(t for t in self.shop.tenders.by_id.values() if t.captured.minor > t.refunded.minor)
        amount = tender.captured - tender.refunded
        self.refunded += amount.minor
        self.record([TenderRefunded(tender=tender.tender, amount=amount, reference="r")])

    @invariant()
    def sums_are_what_moved(self) -> None:
        assert self.shop.tenders.paid(self.order.id, "EUR").minor == self.taken - self.refunded

    @invariant()
    def paid_means_covered_and_certain(self) -> None:
        in_doubt = [tender for tender in self.shop.tenders.of_order(self.order.id) if tender.in_doubt]
        assert len(in_doubt) <= 1
        covered = self.taken - self.refunded >= DUE.minor
        assert payment.is_paid(self.shop, self.order) == (covered and not in_doubt)

    @invariant()
    def nobody_is_asked_for_more_than_is_due(self) -> None:
        assert all(0 < tender.amount.minor <= DUE.minor for tender in self.shop.tenders.by_id.values())

    @invariant()
    def one_tender_per_page_key(self) -> None:
        keys = [tender.page_key for tender in self.shop.tenders.by_id.values()]
        assert len(keys) == len(set(keys))


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(amounts=st.lists(st.integers(1, 100), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_many_tenders_pay_one_order(amounts: list[int]) -> None:
    shop = order_to_pay(Money(sum(amounts), "EUR"))
    order = shop.orders.by_id[OrderId("o")]
    for number, amount in enumerate(amounts):
        assert not payment.is_paid(shop, order)
        events = payment.submit(shop, order.id, method="card", page_key=str(number), new_id=lambda n=number: f"t{n}")  # type: ignore[misc]
        for event in events:
            shop.evolve(Fact(0, event))
        for event in payment.captured(shop, TenderId(f"t{number}"), Money(amount, "EUR"), "r", lambda: "i"):
            shop.evolve(Fact(0, event))
    assert payment.is_paid(shop, order)


def test_an_order_that_is_covered_is_not_paid_while_another_tender_is_in_doubt() -> None:
    shop = order_to_pay()
    order = shop.orders.by_id[OrderId("o")]
    for tender in ("a", "b"):
        intent = TenderSubmitted(tender=TenderId(tender), order=order.id, amount=DUE, method="card", page_key=tender)
        shop.evolve(Fact(0, intent))
    shop.evolve(Fact(0, TenderCaptured(tender=TenderId("a"), amount=DUE, reference="r")))
    assert not payment.is_paid(shop, order)
    shop.evolve(Fact(0, TenderDeclined(tender=TenderId("b"), reason="no")))
    assert payment.is_paid(shop, order)


def test_a_spent_token_is_never_wanted_again() -> None:
    shop = order_to_pay(Money(0, "EUR"))
    order, token = shop.orders.by_id[OrderId("o")], TokenId("t")
    assert payment.wants_token(shop, order, now_ms=0)
    shop.evolve(Fact(0, TokenIssued(token=token, order=order.id, text="T", issued_ms=0, expires_ms=10)))
    assert payment.wants_token(shop, order, now_ms=9), "about to expire"
    shop.evolve(Fact(9, TokenBurned(token=token, order=order.id, lane=LaneId("l"))))
    assert not payment.wants_token(shop, order, now_ms=11)
