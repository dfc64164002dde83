"""The exchange over a wire that does its worst: whole carts and stores around it, killed at any instant."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cart_protocol.basket import Basket, Position, evolve
from cart_protocol.codec import decode, encode
from cart_protocol.exchange import (
    Adopt,
    Deliver,
    Effect,
    Exchange,
    PruneThrough,
    Role,
    Send,
    SendEvents,
    SendSnapshot,
)
from cart_protocol.ids import Epoch
from cart_protocol.messages import (
    Ack,
    Events,
    Message,
    Recorded,
    Snapshot,
    StoreBirth,
)
from tests.cart_protocol.stream_facts import NEVER, SECOND, at, recorded

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
        raise AssertionError("the exchange does not come to rest")

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
    with pytest.raises(AssertionError, match=r"pruned|lost|rest"):
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
