"""The exchange, by its table and over a wire that does its worst."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import get_args

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cart_protocol.basket import Basket, Position, WeightUnexplained, evolve
from cart_protocol.codec import decode, encode
from cart_protocol.exchange import (
    CART_TABLE,
    Adopt,
    CartState,
    Deliver,
    Effect,
    Exchange,
    LocalProtocolError,
    PruneThrough,
    Role,
    Send,
    SendEvents,
    SendSnapshot,
)
from cart_protocol.ids import CommandId, Epoch, Seq, SessionId
from cart_protocol.mass import Mass
from cart_protocol.messages import (
    Ack,
    Birth,
    CartMessage,
    CartTime,
    Command,
    Events,
    Message,
    Presence,
    PriceBookIssue,
    Recorded,
    Refusal,
    Snapshot,
    SnapshotRequest,
    StoreBirth,
    StoreMessage,
    Thaw,
)

AT = CartTime(boot="b", monotonic_us=1, wall_ms=1, synchronised=True)
NEVER = Position(epoch=Epoch(0), seq=Seq(0))
SECOND = 1_000_000


def at(epoch: int, seq: int) -> Position:
    return Position(epoch=Epoch(epoch), seq=Seq(seq))


def recorded(epoch: int, seq: int) -> Recorded:
    """Every event leaves its own mark in the basket, so that equal baskets mean equal histories."""
    return Recorded(seq=Seq(seq), at=AT, event=WeightUnexplained(number=seq, step=Mass(epoch)))


def batch(epoch: int, first: int, last: int) -> Events:
    return Events(epoch=Epoch(epoch), events=tuple(recorded(epoch, seq) for seq in range(first, last + 1)))


# ── a whole cart and a whole store around the exchange: what is durable survives crash() ─────────────────────────


@dataclass
class Cart:
    epoch: int
    make: Callable[..., Exchange] = Exchange
    seq: int = 0
    acknowledged: int = 0
    outbox: list[Recorded] = field(default_factory=list)
    basket: Basket = field(default_factory=Basket)
    sent: list[Message] = field(default_factory=list)
    up: bool = False
    exchange: Exchange = field(init=False)

    def __post_init__(self) -> None:
        self.crash()

    def crash(self) -> None:
        self.up = False
        self.exchange = self.make(Role.CART, at(self.epoch, self.seq), acknowledged=self.acknowledged, window=64)

    def connect(self, now: int) -> None:
        self.up = True
        self.perform(self.exchange.connected(now))

    def disconnect(self) -> None:
        self.up = False
        self.exchange.disconnected()

    def record(self, now: int) -> None:
        self.seq += 1
        event = recorded(self.epoch, self.seq)
        self.outbox.append(event)
        evolve(self.basket, event.event)
        self.perform(self.exchange.recorded(self.seq, now))

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(message=message):
                    self.sent.append(message)
                case SendEvents(after=after, through=through):
                    if held := tuple(event for event in self.outbox if after < event.seq <= through):
                        self.sent.append(Events(epoch=Epoch(self.epoch), events=held))
                case SendSnapshot(answers=answers):
                    basket = decode(encode(Snapshot(position=NEVER, basket=self.basket))).message
                    assert isinstance(basket, Snapshot)
                    position = at(self.epoch, self.seq)
                    self.sent.append(Snapshot(position=position, basket=basket.basket, answers=answers))
                case PruneThrough(seq=seq):
                    self.acknowledged = max(self.acknowledged, seq)
                    self.outbox = [event for event in self.outbox if event.seq > seq]
                case _:
                    pytest.fail(f"a cart cannot {effect}")


@dataclass
class Store:
    make: Callable[..., Exchange] = Exchange
    position: Position = NEVER
    log: list[tuple[int, int]] = field(default_factory=list)
    """(epoch, seq) as committed; an adopted snapshot is an entry (epoch, -seq)."""
    mirror: Basket = field(default_factory=Basket)
    waiting: list[Deliver | Adopt] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    exchange: Exchange = field(init=False)

    def __post_init__(self) -> None:
        self.crash()

    def crash(self) -> None:
        self.waiting.clear()
        self.exchange = self.make(Role.STORE, self.position)
        self.sent.append(StoreBirth(wall_ms=1))

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(message=message):
                    self.sent.append(message)
                case Deliver() | Adopt():
                    self.waiting.append(effect)
                case _:
                    pytest.fail(f"a store cannot {effect}")

    def commit(self, now: int) -> None:
        """Everything that waits, in one transaction."""
        if not self.waiting:
            return
        for work in self.waiting:
            match work:
                case Deliver(epoch=epoch, events=events):
                    for event in events:
                        evolve(self.mirror, event.event)
                        self.log.append((epoch, event.seq))
                    self.position = at(epoch, events[-1].seq)
                case Adopt(snapshot=snapshot):
                    self.mirror, self.position = snapshot.basket, snapshot.position
                    self.log.append((self.position.epoch, -self.position.seq))
        self.waiting.clear()
        self.perform(self.exchange.committed(self.position, now))


@dataclass
class Shop:
    cart: Cart
    store: Store = field(default_factory=Store)
    now: int = 0
    up: list[Message] = field(default_factory=list)
    down: list[Message] = field(default_factory=list)
    carried: int = 0

    def collect(self) -> None:
        """What was sent is on the wire if there is one; without a connection it is gone."""
        if self.cart.up:
            self.up += self.cart.sent
            self.down += self.store.sent
        self.cart.sent.clear()
        self.store.sent.clear()

    def carry_up(self, place: int = 0) -> None:
        self.carried += 1
        self.store.perform(self.store.exchange.receive(self.up.pop(place), self.now))

    def carry_down(self, place: int = 0) -> None:
        self.carried += 1
        self.cart.perform(self.cart.exchange.receive(self.down.pop(place), self.now))

    def wait(self) -> None:
        """Until the cart's patience ends."""
        deadline = self.cart.exchange.next_deadline_us()
        if deadline is not None:
            self.now = max(self.now, deadline)
            self.cart.perform(self.cart.exchange.tick(self.now))

    def heal(self) -> None:
        """From now on the wire is perfect; go on until nothing is left to say."""
        self.cart.connect(self.now)
        self.collect()
        for _ in range(10_000):
            if self.up:
                self.carry_up()
            elif self.down:
                self.carry_down()
            elif self.store.waiting:
                self.store.commit(self.now)
            elif self.cart.exchange.next_deadline_us() is not None:
                self.wait()
            else:
                return
            self.collect()
        pytest.fail("the exchange does not come to rest")

    # the checker: what must hold at every instant, and what must hold in the end

    def check_safety(self) -> None:
        committed = self.store.position
        if committed.epoch == self.cart.epoch:
            assert self.cart.acknowledged <= committed.seq, "pruned from the outbox and not committed"
        else:
            assert self.cart.acknowledged == 0, "pruned from the outbox and not committed"
        assert self.cart.acknowledged + len(self.cart.outbox) == self.cart.seq
        last = None
        for epoch, seq in self.store.log:
            if seq > 0:
                assert (epoch, seq - 1) == last or (seq == 1 and last is None), "lost, repeated or out of order"
            last = (epoch, abs(seq))

    def check_rest(self) -> None:
        self.check_safety()
        assert self.store.position == at(self.cart.epoch, self.cart.seq) or self.cart.seq == 0
        assert self.store.mirror == self.cart.basket
        assert not self.cart.outbox

    def check_each_once(self) -> None:
        each = [(self.cart.epoch, seq) for seq in range(1, self.cart.seq + 1)]
        assert self.store.log == each, "lost, repeated or skipped"


# ── the wire does its worst: hypothesis chooses what happens next, and shrinks what went wrong ───────────────────

PICK = st.integers(min_value=0, max_value=1_000_000)


class WorstWire(RuleBasedStateMachine):
    """Loss, repetition, any order, crashes at both ends. Within one outbox's life every event is committed once."""

    cart: Callable[..., Exchange] = Exchange
    store: Callable[..., Exchange] = Exchange

    def __init__(self) -> None:
        super().__init__()
        self.shop = Shop(Cart(epoch=7, make=type(self).cart), Store(make=type(self).store))

    @rule(messages=st.integers(min_value=1, max_value=6), commits=st.booleans())
    def a_good_moment(self, messages: int, commits: bool) -> None:
        """Without some of these, hardly any event would ever arrive."""
        if not self.shop.cart.up:
            self.shop.cart.connect(self.shop.now)
        for _ in range(messages):
            self.shop.collect()
            if self.shop.down:
                self.shop.carry_down()
            elif self.shop.up:
                self.shop.carry_up()
            if commits:
                self.shop.store.commit(self.shop.now)

    @rule(count=st.integers(min_value=1, max_value=90))
    def record(self, count: int) -> None:
        for _ in range(count):
            self.shop.cart.record(self.shop.now)

    @rule()
    def connect(self) -> None:
        self.shop.cart.connect(self.shop.now)

    @rule()
    def disconnect(self) -> None:
        self.shop.collect()
        self.shop.cart.disconnect()

    @precondition(lambda self: self.shop.up)
    @rule(place=PICK)
    def carry_up(self, place: int) -> None:
        self.shop.carry_up(place % len(self.shop.up))

    @precondition(lambda self: self.shop.down)
    @rule(place=PICK)
    def carry_down(self, place: int) -> None:
        self.shop.carry_down(place % len(self.shop.down))

    @precondition(lambda self: self.shop.up)
    @rule(place=PICK)
    def lose_up(self, place: int) -> None:
        self.shop.up.pop(place % len(self.shop.up))

    @precondition(lambda self: self.shop.down)
    @rule(place=PICK)
    def lose_down(self, place: int) -> None:
        self.shop.down.pop(place % len(self.shop.down))

    @precondition(lambda self: self.shop.up or self.shop.down)
    @rule(place=PICK)
    def repeat(self, place: int) -> None:
        for wire in (self.shop.up, self.shop.down):
            if wire:
                wire.append(wire[place % len(wire)])

    @rule(micros=st.integers(min_value=1, max_value=40 * SECOND))
    def time_passes(self, micros: int) -> None:
        self.shop.now += micros
        self.shop.cart.perform(self.shop.cart.exchange.tick(self.shop.now))

    @rule()
    def commit(self) -> None:
        self.shop.store.commit(self.shop.now)

    @rule()
    def kill_cart(self) -> None:
        self.shop.collect()
        self.shop.cart.crash()

    @rule()
    def kill_store(self) -> None:
        self.shop.collect()
        self.shop.store.crash()

    @invariant()
    def nothing_pruned_uncommitted_nothing_skipped(self) -> None:
        self.shop.collect()
        self.shop.check_safety()

    def teardown(self) -> None:
        self.shop.heal()
        self.shop.check_rest()
        self.shop.check_each_once()


class WorstDay(WorstWire):
    """On top of that, disks: replaced in the cart, restored from an older copy in the store."""

    def __init__(self) -> None:
        super().__init__()
        self.copy = NEVER, [], Basket()  # type: tuple[Position, list[tuple[int, int]], Basket]

    @rule()
    def replace_cart_disk(self) -> None:
        self.shop.collect()
        self.shop.cart = Cart(epoch=self.shop.cart.epoch + 1)

    @rule()
    def copy_store(self) -> None:
        mirror = decode(encode(Snapshot(position=NEVER, basket=self.shop.store.mirror))).message
        assert isinstance(mirror, Snapshot)
        self.copy = self.shop.store.position, list(self.shop.store.log), mirror.basket

    @rule()
    def restore_store(self) -> None:
        self.shop.collect()
        position, log, mirror = self.copy
        self.shop.store = Store(position=position, log=list(log), mirror=mirror)
        self.copy_store()

    @invariant()
    def nothing_pruned_uncommitted_nothing_skipped(self) -> None:
        self.shop.collect()  # a store that went back may lack what was pruned: only the end can be checked

    def teardown(self) -> None:
        self.shop.heal()
        self.shop.check_rest()


THOROUGH = settings(
    max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_everything_recorded_is_committed_once_whatever_the_wire_does() -> None:
    run_state_machine_as_test(WorstWire, settings=THOROUGH)


def test_store_and_cart_agree_again_after_replaced_and_restored_disks() -> None:
    run_state_machine_as_test(WorstDay, settings=THOROUGH)


class ClearsOnSending(Exchange):
    """The mistake measured in reference/messaging, section 3.1: taking the broker's PUBACK for the store's Ack."""

    def connected(self, now_us: int) -> list[Effect]:
        return self._clear(super().connected(now_us))

    def recorded(self, seq: int, now_us: int) -> list[Effect]:
        return self._clear(super().recorded(seq, now_us))

    def receive(self, message: Message, now_us: int) -> list[Effect]:
        return self._clear(super().receive(message, now_us))

    def _clear(self, effects: list[Effect]) -> list[Effect]:
        return effects + [PruneThrough(effect.through) for effect in effects if isinstance(effect, SendEvents)]


class AcknowledgesOnDelivery(Exchange):
    """The same mistake at the other end: "I have it" before it is committed."""

    def receive(self, message: Message, now_us: int) -> list[Effect]:
        effects = super().receive(message, now_us)
        delivered = any(isinstance(effect, Deliver) for effect in effects)
        return [*effects, Send(Ack(position=self.accepted))] if delivered else effects


class CommitsTwice(Exchange):
    """A store that does not skip what it has."""

    def receive(self, message: Message, now_us: int) -> list[Effect]:
        effects = super().receive(message, now_us)
        if isinstance(message, Events) and message.epoch == self.accepted.epoch:
            return [Deliver(message.epoch, message.events) if isinstance(e, Deliver) else e for e in effects]
        return effects


@pytest.mark.parametrize(
    ("cart", "store"), [(ClearsOnSending, Exchange), (Exchange, AcknowledgesOnDelivery), (Exchange, CommitsTwice)]
)
def test_the_checker_catches_mistakes(cart: Callable[..., Exchange], store: Callable[..., Exchange]) -> None:
    mistaken = type("Mistaken", (WorstWire,), {"cart": cart, "store": store})
    quick = settings(THOROUGH, max_examples=500, database=None, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError, match=r"pruned|lost"):
        run_state_machine_as_test(mistaken, settings=quick)


@pytest.mark.parametrize("seed", range(12))
def test_a_long_day_on_a_bad_wire(seed: int) -> None:
    """Thousands of events: 10 % lost, 10 % repeated, reordered; cart and store killed now and then."""
    dice = random.Random(seed)
    shop = Shop(Cart(epoch=1))
    shop.cart.connect(0)
    while shop.cart.seq < 1_500:
        shop.now += dice.randrange(20_000)
        shop.cart.perform(shop.cart.exchange.tick(shop.now))
        for _ in range(dice.randrange(6)):
            shop.cart.record(shop.now)
        shop.collect()
        for wire, carry in ((shop.up, shop.carry_up), (shop.down, shop.carry_down)):
            for _ in range(dice.randrange(4)):
                if not wire:
                    continue
                fate, place = dice.random(), dice.randrange(min(len(wire), 3))
                if fate < 0.1:
                    wire.pop(place)
                    continue
                if fate < 0.2:
                    wire.append(wire[place])
                carry(place)
                shop.collect()
        if dice.random() < 0.5:
            shop.store.commit(shop.now)
        if dice.random() < 0.003:
            shop.cart.crash()
        if dice.random() < 0.003:
            shop.store.crash()
        if not shop.cart.up and dice.random() < 0.1:
            shop.cart.connect(shop.now)
        shop.check_safety()
    shop.heal()
    shop.check_rest()
    shop.check_each_once()


# ── one thing at a time ──────────────────────────────────────────────────────────────────────────────────────────


def flowing(seq: int = 0, acknowledged: int = 0, window: int = 256) -> Exchange:
    cart = Exchange(Role.CART, at(1, seq), acknowledged=acknowledged, software="cart 1", window=window)
    cart.connected(0)
    cart.receive(Ack(position=at(1, acknowledged)), 0)
    return cart


def test_a_cart_that_connects_says_what_it_has_and_waits_for_the_answer() -> None:
    cart = Exchange(Role.CART, at(3, 9), acknowledged=4, software="cart 1")
    assert cart.connected(0) == [Send(Birth(position=at(3, 9), oldest=Seq(5), software="cart 1"))]
    assert cart.recorded(10, 0) == []
    assert cart.receive(Ack(position=at(3, 6)), 1) == [PruneThrough(6), SendEvents(after=6, through=10)]
    assert cart.receive(Ack(position=at(3, 10)), 2) == [PruneThrough(10)]
    assert cart.next_deadline_us() is None


def test_the_first_flight_is_small_and_grows_with_each_acknowledgement_up_to_the_window() -> None:
    cart = Exchange(Role.CART, at(1, 1_000), window=100)
    cart.connected(0)
    assert cart.receive(Ack(position=at(1, 0)), 0) == [SendEvents(after=0, through=32)]
    assert cart.receive(Ack(position=at(1, 32)), 0)[1:] == [SendEvents(after=32, through=96)]
    assert cart.receive(Ack(position=at(1, 96)), 0)[1:] == [SendEvents(96, 160), SendEvents(160, 196)]


def test_an_acknowledgement_of_what_was_never_recorded_is_nonsense_and_answered_with_a_birth() -> None:
    cart = flowing(seq=5)
    assert cart.receive(Ack(position=at(1, 6)), 0) == [Send(Birth(position=at(1, 5), oldest=Seq(1), software="cart 1"))]
    assert cart.counts.nonsense == 1
    assert cart.receive(Ack(position=at(1, 6)), 0) == [], "one question is enough: its timer runs"
    assert cart.acknowledged == 0


def test_an_acknowledgement_of_another_outbox_never_prunes() -> None:
    cart = flowing(seq=5)
    effects = cart.receive(Ack(position=at(2, 5)), 0)
    assert [type(effect) for effect in effects] == [Send]
    assert cart.acknowledged == 0


def test_a_gap_makes_the_cart_go_back_once_however_often_it_is_told() -> None:
    cart = flowing(seq=5)
    assert cart.receive(Ack(position=at(1, 2)), 1) == [PruneThrough(2)]
    assert cart.receive(Ack(position=at(1, 2)), 2) == [SendEvents(after=2, through=5)]
    assert cart.receive(Ack(position=at(1, 2)), 3) == []
    assert cart.receive(Ack(position=at(1, 5)), 4) == [PruneThrough(5)]


def test_a_second_answer_to_a_birth_is_no_gap() -> None:
    cart = flowing(seq=5)
    assert cart.receive(Ack(position=at(1, 0)), 1) == []


def test_a_store_birth_is_answered_at_once_even_when_the_cart_had_given_up_hope() -> None:
    cart = flowing(seq=5)
    for _ in range(9):
        cart.tick(cart.next_deadline_us() or 0)
    effects = cart.receive(StoreBirth(wall_ms=1), 10**9)
    assert effects == [Send(Birth(position=at(1, 5), oldest=Seq(1), software="cart 1"))]
    assert cart.next_deadline_us() == 10**9 + SECOND


def test_without_an_answer_the_cart_asks_ever_more_rarely_and_repeats_no_event() -> None:
    cart = flowing(seq=5)
    waits, now = [], 0
    for _ in range(9):
        due = cart.next_deadline_us() or 0
        effects = cart.tick(due)
        assert [type(effect) for effect in effects] == [Send]
        waits.append((due - now) // SECOND)
        now = due
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert cart.counts.timeouts == 9


def test_the_patience_follows_the_store_up_and_down() -> None:
    cart, now = flowing(), 0
    for seq in range(1, 40):  # a store that takes three seconds
        cart.recorded(seq, now)
        now += 3 * SECOND
        cart.receive(Ack(position=at(1, seq)), now)
    cart.recorded(40, now)
    assert 3 * SECOND < (cart.next_deadline_us() or 0) - now < 5 * SECOND
    for seq in range(40, 140):  # and now five milliseconds
        cart.recorded(seq, now)
        now += 5_000
        cart.receive(Ack(position=at(1, seq)), now)
    cart.recorded(140, now)
    assert (cart.next_deadline_us() or 0) - now == 200_000


def test_while_a_commit_runs_the_store_answers_no_birth_because_the_commit_will() -> None:
    store = Exchange(Role.STORE, at(1, 0))
    assert store.receive(batch(1, 1, 3), 0) == [Deliver(Epoch(1), batch(1, 1, 3).events)]
    assert store.receive(Birth(position=at(1, 3), oldest=Seq(1), software=""), 0) == []
    assert store.committed(at(1, 3), 0) == [Send(Ack(position=at(1, 3)))]


def test_a_batch_that_overlaps_is_taken_from_where_the_store_stands() -> None:
    store = Exchange(Role.STORE, at(1, 2))
    assert store.receive(batch(1, 1, 4), 0) == [Deliver(Epoch(1), batch(1, 3, 4).events)]
    assert store.receive(batch(1, 1, 4), 0) == [], "a repetition is not acknowledged again"
    assert store.repeated == 6


def test_a_gap_is_counted_and_answered_with_what_is_committed() -> None:
    store = Exchange(Role.STORE, at(1, 2))
    assert store.receive(batch(1, 4, 5), 0) == [Send(Ack(position=at(1, 2)))]
    assert store.gaps == 1


def test_a_new_cart_with_all_its_history_needs_no_snapshot() -> None:
    store = Exchange(Role.STORE, NEVER)
    birth = Birth(position=at(9, 4), oldest=Seq(1), software="")
    assert store.receive(birth, 0) == [Send(Ack(position=at(9, 0)))]
    assert store.receive(batch(9, 1, 4), 0) == [Deliver(Epoch(9), batch(9, 1, 4).events)]


@pytest.mark.parametrize(
    "birth",
    [
        Birth(position=at(2, 4), oldest=Seq(1), software=""),
        Birth(position=at(1, 90), oldest=Seq(12), software=""),
        Birth(position=at(1, 9), oldest=Seq(3), software=""),
    ],
    ids=["another outbox", "pruned beyond us", "went back"],
)
def test_a_birth_that_does_not_continue_where_the_store_stands_is_answered_by_asking_for_all(birth: Birth) -> None:
    store = Exchange(Role.STORE, at(1, 10))
    assert store.receive(birth, 0) == [Send(SnapshotRequest(position=at(1, 10)))]
    snapshot = Snapshot(position=birth.position, basket=Basket(), answers=at(1, 10))
    assert store.receive(snapshot, 0) == [Adopt(snapshot)]
    assert store.receive(snapshot, 0) == [], "the same snapshot again changes nothing"
    assert store.committed(birth.position, 0) == [Send(Ack(position=birth.position))]


def test_events_of_an_outbox_the_store_does_not_know_make_the_cart_introduce_itself() -> None:
    store, cart = Exchange(Role.STORE, NEVER), flowing(seq=5)
    [answer] = store.receive(batch(1, 1, 5), 0)
    assert answer == Send(Ack(position=NEVER))
    assert cart.receive(Ack(position=NEVER), 0) == [Send(Birth(position=at(1, 5), oldest=Seq(1), software="cart 1"))]


def test_events_recorded_after_the_snapshot_follow_it() -> None:
    store = Exchange(Role.STORE, at(1, 10))
    store.receive(Birth(position=at(2, 4), oldest=Seq(1), software=""), 0)
    store.receive(Snapshot(position=at(2, 6), basket=Basket(), answers=at(1, 10)), 0)
    assert store.receive(batch(2, 5, 8), 0) == [Deliver(Epoch(2), batch(2, 7, 8).events)]
    assert store.committed(at(2, 8), 0) == [Send(Ack(position=at(2, 8)))]


def test_a_late_birth_of_a_cart_that_goes_on_costs_no_event() -> None:
    store = Exchange(Role.STORE, at(1, 10))
    assert store.receive(Birth(position=at(1, 4), oldest=Seq(1), software=""), 0) == [Send(SnapshotRequest(at(1, 10)))]
    live = Snapshot(position=at(1, 12), basket=Basket(), answers=at(1, 10))
    assert store.receive(live, 0) == [Send(Ack(position=at(1, 10)))], "11 and 12 will come one by one"


def test_late_news_of_a_replaced_disk_does_not_take_the_mirror_back() -> None:
    store = Exchange(Role.STORE, at(1, 10))
    old = Snapshot(position=at(1, 10), basket=Basket(), answers=NEVER)
    store.receive(Birth(position=at(2, 3), oldest=Seq(1), software=""), 0)
    store.receive(Snapshot(position=at(2, 3), basket=Basket(), answers=at(1, 10)), 0)
    store.committed(at(2, 3), 0)
    assert store.receive(Birth(position=at(1, 10), oldest=Seq(1), software=""), 0) == [Send(SnapshotRequest(at(2, 3)))]
    assert store.receive(old, 0) == []
    assert store.receive(Snapshot(position=at(2, 5), basket=Basket(), answers=at(2, 3)), 0) == [Send(Ack(at(2, 3)))]


def test_a_snapshot_of_older_software_is_believed_for_another_outbox_but_never_backwards() -> None:
    store = Exchange(Role.STORE, at(1, 10))
    store.receive(Birth(position=at(1, 4), oldest=Seq(1), software=""), 0)
    assert store.receive(Snapshot(position=at(1, 4), basket=Basket()), 0) == []
    store.receive(Birth(position=at(2, 4), oldest=Seq(1), software=""), 0)
    snapshot = Snapshot(position=at(2, 4), basket=Basket())
    assert store.receive(snapshot, 0) == [Adopt(snapshot)]


def test_a_message_the_store_could_not_read_is_kept_and_offered_again_later() -> None:
    cart = flowing(seq=5)
    assert cart.receive(Refusal(reason="version 2"), 0) == []
    assert cart.counts.refused == 1
    assert [type(effect) for effect in cart.tick(SECOND)] == [Send]
    assert cart.receive(Ack(position=at(1, 0)), SECOND) == [SendEvents(after=0, through=5)]


NONSENSE: list[CartMessage] = [
    Events(epoch=Epoch(1), events=()),
    Events(epoch=Epoch(1), events=(recorded(1, 11), recorded(1, 13))),
    Events(epoch=Epoch(1), events=(recorded(1, 0), recorded(1, 1))),
    Events(epoch=Epoch(0), events=(recorded(0, 1),)),
    Birth(position=at(1, 9), oldest=Seq(0), software=""),
    Birth(position=at(1, 9), oldest=Seq(11), software=""),
    Birth(position=at(-1, 9), oldest=Seq(1), software=""),
    Birth(position=at(1, 2**63), oldest=Seq(1), software=""),
    Snapshot(position=at(2**64 - 1, 3), basket=Basket(), answers=at(1, 10)),
    Snapshot(position=at(2, -3), basket=Basket(), answers=at(1, 10)),
]


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_what_contradicts_itself_is_counted_answered_and_survived(nonsense: CartMessage) -> None:
    store = Exchange(Role.STORE, at(1, 10))
    assert store.receive(nonsense, 0) == [Send(Ack(position=at(1, 10)))]
    assert store.counts.nonsense == 1
    assert store.accepted == at(1, 10)


@given(st.lists(st.tuples(st.integers(-2, 4), st.integers(-2, 2**65), st.integers(-2, 9)), max_size=20))
def test_no_number_in_any_message_raises(numbers: list[tuple[int, int, int]]) -> None:
    cart, store = flowing(seq=5), Exchange(Role.STORE, at(1, 2))
    for now, (epoch, seq, other) in enumerate(numbers):
        cart.receive(Ack(position=at(epoch, seq)), now)
        cart.receive(SnapshotRequest(position=at(epoch, seq)), now)
        cart.tick(now * SECOND)
        store.receive(Birth(position=at(epoch, seq), oldest=Seq(other), software=""), now)
        store.receive(Events(epoch=Epoch(epoch), events=(recorded(1, other), recorded(1, other + 1))), now)
        store.receive(Snapshot(position=at(epoch, seq), basket=Basket(), answers=store.accepted), now)
        assert cart.acknowledged <= 5
        assert 0 <= store.accepted.seq < 2**53


# ── our own mistakes raise ───────────────────────────────────────────────────────────────────────────────────────

DOWNWARD: list[StoreMessage] = [
    Ack(position=at(1, 0)),
    SnapshotRequest(position=at(1, 0)),
    Refusal(reason=""),
    StoreBirth(wall_ms=1),
    Command(id=CommandId("1"), expires_ms=1, instruction=Thaw(session=SessionId("s"))),
    PriceBookIssue(version=1, book="", signature=""),
]
UPWARD: list[CartMessage] = [
    Birth(position=at(1, 0), oldest=Seq(1), software=""),
    batch(1, 1, 1),
    Snapshot(position=at(1, 0), basket=Basket()),
    Presence(online=True),
]


def test_every_message_is_listed_for_every_state_or_refused_by_name() -> None:
    assert {type(message) for message in DOWNWARD} == set(get_args(StoreMessage))
    assert {type(message) for message in UPWARD} == set(get_args(CartMessage))
    assert set(CART_TABLE) == {(state, kind) for state in CartState for kind in get_args(StoreMessage)}
    for wrong in UPWARD:
        with pytest.raises(LocalProtocolError, match=type(wrong).__name__):
            flowing().receive(wrong, 0)
    for wrong in DOWNWARD:
        with pytest.raises(LocalProtocolError, match=type(wrong).__name__):
            Exchange(Role.STORE, NEVER).receive(wrong, 0)


def test_misuse_is_named() -> None:
    with pytest.raises(LocalProtocolError, match="event 4 recorded after event 5"):
        flowing(seq=5).recorded(4, 0)
    with pytest.raises(LocalProtocolError, match="was not delivered"):
        Exchange(Role.STORE, at(1, 2)).committed(at(1, 3), 0)
    with pytest.raises(LocalProtocolError, match="acknowledged 6 of 5"):
        Exchange(Role.CART, at(1, 5), acknowledged=6)
    with pytest.raises(LocalProtocolError, match="only the STORE"):
        flowing().committed(at(1, 1), 0)
    with pytest.raises(LocalProtocolError, match="only the CART"):
        Exchange(Role.STORE, NEVER).recorded(1, 0)


# ── no storms ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_five_hundred_carts_and_a_slow_store_that_comes_back_make_no_storm() -> None:
    """The store takes 1 ms per message and 40 ms per commit; each cart holds 100 events from while it was away."""
    carts = [Cart(epoch=1) for _ in range(500)]
    stores = [Store() for _ in carts]
    queue: list[tuple[int, Message]] = []
    for cart in carts:
        for _ in range(100):
            cart.record(0)
        cart.connect(0)
    now, messages, most_in_queue = 0, 0, 0
    while any(cart.outbox for cart in carts):
        for number, cart in enumerate(carts):
            cart.perform(cart.exchange.tick(now))
            for message in stores[number].sent:
                cart.perform(cart.exchange.receive(message, now))
            stores[number].sent.clear()
            queue += [(number, message) for message in cart.sent]
            cart.sent.clear()
        most_in_queue = max(most_in_queue, len(queue))
        taken, queue = queue[:40], queue[40:]
        for number, message in taken:
            stores[number].perform(stores[number].exchange.receive(message, now))
        for number in {number for number, _ in taken}:
            stores[number].commit(now)
        messages += len(taken)
        now += 80_000
        assert now < 600 * SECOND, "the store never catches up"
    repeated = sum(store.exchange.repeated for store in stores)
    assert repeated < 0.2 * 500 * 100, f"{repeated} events came twice"
    assert most_in_queue < 5 * 500
    assert messages < 20 * 500
