"""A pack that must not be sold: it is not waited for, not added by its weight, and the shopper is told what to do."""

import datetime as dt

from cart_firmware.core import fusion
from cart_firmware.core.prompts import Situation, Tone, prompt
from cart_firmware.core.scanning import Refused, identify
from cart_protocol.basket import ScanAbandoned, ScanRefused
from cart_protocol.gs1.gtin import gtin_of
from cart_protocol.mass import grams
from tests.cart_firmware.corner_shop import MILK, PASTA, Trip, folded, kinds

TODAY = dt.date(2026, 11, 25)


def refuse_milk(trip: Trip) -> list[str]:
    """Show a pack of milk whose use-by date was yesterday."""
    seen = identify(trip.now_us, ("]d2", f"01{gtin_of(MILK)}17261124".encode()), trip.prices, TODAY)
    assert isinstance(seen, Refused)
    return kinds(trip.tell(fusion.scan_seen, seen))


def test_a_refused_pack_put_in_all_the_same_is_not_charged_and_is_asked_about() -> None:
    trip = Trip.begun()
    assert refuse_milk(trip) == ["ScanRefused"]
    trip.put(1_032)
    trip.wait(4)
    assert trip.names == []
    assert [step.step for step in trip.basket.unexplained.values()] == [grams(1_032)]
    trip.put(-1_032)
    trip.wait(4)
    assert not trip.basket.unexplained


def test_a_pack_accepted_by_its_other_code_a_moment_ago_is_not_waited_for_any_more() -> None:
    trip = Trip.begun()
    trip.scan(PASTA)
    trip.scan(MILK)
    assert refuse_milk(trip) == ["ScanAbandoned", "ScanRefused"]
    assert [waiting.name for waiting in trip.basket.pending.values()] == ["Pasta"]
    trip.put(1_032)
    trip.wait(4)
    assert trip.names == []


def test_the_refusal_is_recorded_with_the_products_name() -> None:
    trip = Trip.begun()
    refuse_milk(trip)
    (refused,) = [event for event in trip.events if isinstance(event, ScanRefused)]
    assert (refused.reason, refused.name) == ("expired", "Milk")
    assert not [event for event in trip.events if isinstance(event, ScanAbandoned)]
    assert folded(trip.events).pending == {}


def test_the_shopper_is_told_to_hand_it_to_staff_before_anything_else_is_asked() -> None:
    trip = Trip.begun()
    refuse_milk(trip)
    trip.put(1_032)
    said = prompt(
        Situation(basket=trip.basket, prices=trip.prices, held=grams(1_032), remark="expired", subject="Milk")
    )
    assert said.sentence == "Please hand this to a member of staff: Milk is past its use-by date and is not sold."
    assert (said.kind, said.tone) == ("expired", Tone.ALARM)


def test_every_reason_has_words_of_its_own() -> None:
    said = {
        reason: prompt(Situation(basket=Trip.begun().basket, remark=reason, subject="Milk")).sentence
        for reason in ("expired", "past-best-before", "recalled", "coupon")
    }
    assert len(set(said.values())) == 4
    assert all("staff" in sentence for sentence in said.values())
