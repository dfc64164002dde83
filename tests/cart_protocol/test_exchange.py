"""The exchange, one message at a time. Over a wire that does its worst: test_exchange_wire."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.basket import Basket
from cart_protocol.exchange import (
    CART_TABLE,
    Adopt,
    CartState,
    Deliver,
    Exchange,
    LocalProtocolError,
    PruneThrough,
    Role,
    Send,
    SendEvents,
)
from cart_protocol.ids import CommandId, Epoch, LessonId, ProductId, RecordId, Seq, SessionId
from cart_protocol.messages import (
    Ack,
    Birth,
    CartMessage,
    Command,
    Events,
    LessonKept,
    LessonLearned,
    LessonShown,
    LessonWanted,
    PicturesWanted,
    Presence,
    PriceBookIssue,
    ProductPicture,
    RecordUnavailable,
    RecordWanted,
    Refusal,
    SightIssue,
    Snapshot,
    SnapshotRequest,
    StoreBirth,
    StoreMessage,
    Thaw,
)
from cart_protocol.parcel import Parcel
from cart_protocol.sight import Learned, Taught, Verdict
from tests.cart_protocol.stream_facts import NEVER, SECOND, at, batch, recorded

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

LEARNED = Learned(
    taught=Taught(product=ProductId("plu:00071"), network_sha256="", shots=1, vector=b""),
    verdict=Verdict.SAFE,
    right=1,
    together=100,
)
DOWNWARD: list[StoreMessage] = [
    Ack(position=at(1, 0)),
    SnapshotRequest(position=at(1, 0)),
    Refusal(reason=""),
    StoreBirth(wall_ms=1),
    Command(id=CommandId("1"), expires_ms=1, instruction=Thaw(session=SessionId("s"))),
    PriceBookIssue(version=1, book="", signature=""),
    RecordWanted(record=RecordId("r"), part=0, most=1),
    ProductPicture(data=b""),
    SightIssue(version=1, goods="", signature=""),
    LessonWanted(lesson=LessonId("l"), product=ProductId("plu:00071"), name="Figs", shots=5),
    LessonKept(lesson=LessonId("l")),
]
UPWARD: list[CartMessage] = [
    Birth(position=at(1, 0), oldest=Seq(1), software=""),
    batch(1, 1, 1),
    Snapshot(position=at(1, 0), basket=Basket()),
    Presence(online=True),
    Parcel(RecordId("r"), b"", b"record", ()).part(0),
    RecordUnavailable(record=RecordId("r"), reason="off", sentence=""),
    PicturesWanted(pictures=()),
    LessonShown(lesson=LessonId("l")),
    LessonLearned(lesson=LessonId("l"), learned=LEARNED),
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
