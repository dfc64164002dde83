"""The basket is the fold of the cart's events, the same on the cart and in the store."""

import copy

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.basket import (
    Basket,
    BasketFrozen,
    BasketThawed,
    CartEvent,
    CodeOffered,
    CommandRefused,
    Fault,
    FaultsChanged,
    ItemScanned,
    LineAdded,
    LineRemoved,
    LoadSettled,
    Phase,
    ScanAbandoned,
    ScanRefused,
    SessionBegan,
    SessionEnded,
    WeightExplained,
    WeightUnexplained,
    Withdrawn,
    evolve,
)
from cart_protocol.mass import Mass, Variance, grams
from cart_protocol.money import Money
from cart_protocol.pricing.line import LinePrice
from cart_protocol.pricing.price_book import SoldBy
from tests.strategies import values_of

PRICE = LinePrice(
    unit=Money(119, "EUR"),
    sold_by=SoldBy.PIECE,
    total=Money(119, "EUR"),
    tax=Money(8, "EUR"),
    tax_class="reduced",
    book_version=1,
)


def began(session: str = "s1") -> SessionBegan:
    return SessionBegan(session=session, command="k1")


def scanned(scan: str) -> ItemScanned:
    return ItemScanned(scan=scan, product="milk", name="Milk", text="4006381333931", symbology="]E0")


def added(line: str, scan: str) -> LineAdded:
    return LineAdded(
        line=line, scan=scan, product="milk", name="Milk", quantity=1, mass=grams(1_062), price=PRICE, tagged=False
    )


def after(*events: CartEvent) -> Basket:
    basket = Basket()
    for event in events:
        evolve(basket, event)
    return basket


def test_a_new_cart_is_nobodys_and_empty() -> None:
    assert after() == Basket()
    assert Basket().phase is Phase.IDLE


def test_the_newest_code_counts_until_somebody_takes_the_cart() -> None:
    offered = after(CodeOffered(code="AAAAAA"), CodeOffered(code="7K3M9Q"))
    assert (offered.phase, offered.code) == (Phase.IDLE, "7K3M9Q")
    taken = after(CodeOffered(code="7K3M9Q"), began())
    assert (taken.phase, taken.session, taken.code) == (Phase.SHOPPING, "s1", "")


def test_scanned_goods_wait_for_their_weight() -> None:
    waiting = after(began(), scanned("a"), scanned("b"))
    assert list(waiting.pending) == ["a", "b"]
    assert not waiting.lines
    weighed = after(began(), scanned("a"), scanned("b"), added("l1", "a"))
    assert list(weighed.pending) == ["b"]
    assert [line.mass for line in weighed.lines.values()] == [grams(1_062)]
    assert weighed.line_prices() == [PRICE]


def test_what_never_reached_the_scale_is_forgotten() -> None:
    assert after(began(), scanned("a"), ScanAbandoned(scan="a")).pending == {}


def test_given_two_milks_when_one_is_lifted_one_line_is_left() -> None:
    basket = after(
        began(),
        scanned("a"),
        added("l1", "a"),
        scanned("b"),
        added("l2", "b"),
        LineRemoved(line="l1", mass=grams(1_062)),
    )
    assert list(basket.lines) == ["l2"]


def test_an_unexplained_step_stands_until_it_is_explained_and_its_number_is_never_used_again() -> None:
    asking = after(began(), WeightUnexplained(number=1, step=grams(250)), WeightUnexplained(number=2, step=grams(-9)))
    assert [step.step for step in asking.unexplained.values()] == [grams(250), grams(-9)]
    evolve(asking, WeightExplained(number=1, by="scan"))
    assert list(asking.unexplained) == [2]
    evolve(asking, WeightExplained(number=2, by="staff"))
    assert (asking.unexplained, asking.steps) == ({}, 2)


def test_a_frozen_basket_waits_for_nothing_and_thaws_as_it_was() -> None:
    frozen = after(
        began(),
        scanned("a"),
        added("l1", "a"),
        scanned("b"),
        BasketFrozen(command="k2", settled=grams(1_062), variance=Variance(9)),
    )
    assert (frozen.phase, frozen.settled, frozen.variance) == (Phase.FROZEN, grams(1_062), 9)
    assert (list(frozen.lines), frozen.pending) == (["l1"], {})
    evolve(frozen, BasketThawed(command="k3"))
    assert (frozen.phase, list(frozen.lines)) == (Phase.SHOPPING, ["l1"])


def test_when_the_shopper_leaves_the_cart_forgets_everything_of_theirs() -> None:
    basket = after(
        began(),
        scanned("a"),
        added("l1", "a"),
        scanned("b"),
        WeightUnexplained(number=1, step=grams(5)),
        FaultsChanged(faults=(Fault.CAMERA_SILENT,)),
        SessionEnded(session="s1", reason="left"),
    )
    assert (basket.phase, basket.session) == (Phase.IDLE, None)
    assert (basket.lines, basket.pending, basket.unexplained) == ({}, {}, {})
    assert basket.faults == (Fault.CAMERA_SILENT,), "the cart's own troubles stay"
    assert basket.steps == 1


def test_faults_load_and_withdrawal_are_remembered() -> None:
    basket = after(
        FaultsChanged(faults=(Fault.CHARGING, Fault.NO_PRICE_BOOK)),
        FaultsChanged(faults=(Fault.CHARGING,)),
        LoadSettled(settled=grams(31), variance=Variance(4)),
        Withdrawn(command="k9", withdrawn=True),
    )
    assert basket.faults == (Fault.CHARGING,)
    assert (basket.settled, basket.variance) == (grams(31), 4)
    assert basket.withdrawn
    evolve(basket, Withdrawn(command="k10", withdrawn=False))
    assert not basket.withdrawn


@pytest.mark.parametrize(
    "event",
    [
        ScanRefused(text="123", symbology="]E0", reason="unknown-product"),
        CommandRefused(command="k1", reason="busy"),
        LineRemoved(line="nobody", mass=Mass(1)),
        ScanAbandoned(scan="nobody"),
        WeightExplained(number=99, by="staff"),
    ],
)
def test_refusals_and_things_that_are_not_there_change_nothing(event: CartEvent) -> None:
    basket = after(began(), scanned("a"), added("l1", "a"), scanned("b"))
    before = copy.deepcopy(basket)
    evolve(basket, event)
    assert basket == before


EVENTS = st.lists(values_of(CartEvent), max_size=12)


@given(EVENTS)
def test_any_event_applies_to_any_basket_and_both_sides_agree(events: list[CartEvent]) -> None:
    on_cart, in_store = Basket(), Basket()
    for event in events:
        evolve(on_cart, event)
        evolve(in_store, msgspec.json.decode(msgspec.json.encode(event), type=CartEvent))
    assert on_cart == in_store


@given(EVENTS, EVENTS)
def test_a_snapshot_continues_as_the_whole_history_would(before: list[CartEvent], later: list[CartEvent]) -> None:
    whole = after(*before)
    restored = msgspec.json.decode(msgspec.json.encode(whole), type=Basket)
    for event in later:
        evolve(whole, event)
        evolve(restored, event)
    assert restored == whole


@given(EVENTS)
def test_a_free_cart_holds_nobodys_goods(events: list[CartEvent]) -> None:
    basket = after(*events, SessionEnded(session="s1", reason="left"))
    assert (basket.session, basket.lines, basket.pending, basket.unexplained) == (None, {}, {}, {})
