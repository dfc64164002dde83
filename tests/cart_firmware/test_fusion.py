"""What goes in and out of a cart, and what ends up on its list."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cart_firmware.core.decision import Passed, Way
from cart_firmware.core.fusion import passage_seen
from cart_firmware.core.touch import Cancel, Choose, Container, Quantity, Remove, Touch
from cart_protocol.basket import (
    BasketThawed,
    LineAdded,
    LineRemoved,
    Phase,
    WeightExplained,
    WeightUnexplained,
)
from cart_protocol.ids import CommandId
from cart_protocol.mass import grams
from cart_protocol.messages import BeginSession, ExplainWeight, Freeze, Thaw
from tests.cart_firmware.corner_shop import (
    APPLES_LABEL,
    CHEESE_LABEL,
    GUM,
    JAM,
    LOOSE,
    MASSES,
    MILK,
    PASTA,
    SESSION,
    TEA,
    WINE,
    Trip,
    folded,
    kinds,
)


def test_a_scanned_product_that_weighs_right_is_in_the_cart_at_once() -> None:
    trip = Trip.begun()
    trip.scan(MILK)
    assert [waiting.name for waiting in trip.basket.pending.values()] == ["Milk"]
    assert kinds(trip.put(1_036)) == ["LineAdded", "LoadSettled"]
    assert trip.names == ["Milk"]
    assert trip.total == 129
    assert not trip.basket.pending
    assert trip.basket.settled == grams(1_036)


def test_nothing_is_charged_that_was_scanned_and_not_put_in() -> None:
    trip = Trip.begun()
    trip.scan(MILK)
    assert kinds(trip.wait(20.5)) == ["ScanAbandoned"]
    assert trip.names == []
    assert not trip.basket.pending


def test_two_of_the_same_are_two_lines() -> None:
    trip = Trip.begun()
    for _ in range(2):
        trip.scan(TEA)
        trip.put(112)
    assert trip.names == ["Tea", "Tea"]
    assert trip.total == 438


def test_the_product_may_go_in_before_it_is_scanned() -> None:
    trip = Trip.begun()
    assert trip.put(506) == []
    trip.wait(1)
    assert kinds(trip.scan(PASTA)) == ["ItemScanned", "LineAdded", "LoadSettled"]
    assert trip.names == ["Pasta"]
    assert not any(isinstance(event, WeightUnexplained) for event in trip.events)


def test_a_product_that_is_not_scanned_is_asked_about_and_a_later_scan_answers() -> None:
    trip = Trip.begun()
    trip.put(506)
    assert kinds(trip.wait(3)) == ["WeightUnexplained", "LoadSettled"]
    assert [step.step for step in trip.basket.unexplained.values()] == [grams(506)]
    trip.wait(8)
    events = trip.scan(PASTA)
    assert WeightExplained(number=1, by="scan") in events
    assert trip.names == ["Pasta"]
    assert not trip.basket.unexplained


def test_what_was_asked_about_may_be_taken_out_again() -> None:
    trip = Trip.begun()
    trip.put(506)
    trip.wait(4)
    assert kinds(trip.put(-503)) == ["WeightExplained", "LoadSettled"]
    assert trip.events[-2] == WeightExplained(number=1, by="taken-out")
    assert trip.names == []


def test_a_hand_that_leans_on_the_basket_leaves_no_trace() -> None:
    trip = Trip.begun()
    trip.put(830)
    trip.wait(1.5)
    trip.put(-827)
    trip.wait(10)
    assert trip.events == []


def test_a_product_put_in_while_somebody_leans_is_recognised_when_they_let_go() -> None:
    trip = Trip.begun()
    trip.scan(MILK)
    trip.put(1_032 + 400)
    trip.wait(1)
    trip.put(-400)
    trip.wait(5)
    assert trip.names == ["Milk"]
    assert not trip.basket.unexplained


def test_a_product_lowered_in_two_goes_is_one_product() -> None:
    trip = Trip.begun()
    trip.scan(WINE)
    trip.put(700)
    trip.wait(0.75)
    trip.put(560)
    assert trip.names == ["Wine"]
    assert trip.basket.lines[next(iter(trip.basket.lines))].mass == grams(1_260)


def test_two_scans_put_in_together_are_two_lines_whose_masses_add_up() -> None:
    trip = Trip.begun()
    trip.scan(MILK)
    trip.scan(JAM)
    trip.put(1_676)
    assert sorted(trip.names) == ["Jam", "Milk"]
    assert sum(line.mass for line in trip.basket.lines.values()) == grams(1_676)


def test_the_wrong_product_is_asked_about_and_the_scan_waits_on() -> None:
    trip = Trip.begun()
    trip.scan(GUM)
    trip.put(1_260)
    trip.wait(3)
    assert trip.names == []
    assert [waiting.name for waiting in trip.basket.pending.values()] == ["Gum"]
    trip.put(-1_260)
    trip.put(30)
    assert trip.names == ["Gum"]
    assert not trip.basket.unexplained


def test_the_right_line_leaves_when_its_product_is_lifted() -> None:
    trip = Trip.begun()
    for code, mass in ((MILK, 1_030), (PASTA, 507), (JAM, 641)):
        trip.scan(code)
        trip.put(mass)
    assert trip.put(-508) == []  # a hand may be lifting the basket
    assert kinds(trip.wait(1.5)) == ["LineRemoved", "LoadSettled"]
    assert trip.names == ["Milk", "Jam"]


def test_a_line_whose_removal_was_announced_leaves_at_once() -> None:
    trip = Trip.begun()
    trip.scan(PASTA)
    trip.put(506)
    trip.touch(Remove(lines=tuple(trip.basket.lines)))
    assert kinds(trip.put(-506)) == ["LineRemoved", "LoadSettled"]


def test_a_hand_that_lifts_the_basket_by_the_mass_of_a_line_leaves_no_trace() -> None:
    trip = Trip.begun()
    trip.scan(PASTA)
    trip.put(506)
    before = list(trip.events)
    trip.put(-505)
    trip.wait(1)
    trip.put(505)
    trip.wait(5)
    assert trip.events == before


def test_a_hand_of_which_nothing_is_known_does_not_hurry_what_may_be_leaning() -> None:
    trip = Trip.begun()
    trip.scan(PASTA)
    trip.put(506)
    trip.put(-505)
    trip.wait(0.5)
    trip.tell(passage_seen, Passed(trip.now_us - 400_000, trip.now_us, Way.UNSEEN))
    assert trip.names == ["Pasta"]
    trip.wait(1)
    assert trip.names == []


def test_a_scan_outlives_its_patience_while_the_cart_rolls() -> None:
    trip = Trip.begun()
    trip.scan(PASTA)
    trip.weighed_level(0, quiet=False)
    trip.wait(30)
    trip.put(506)
    assert trip.names == ["Pasta"]


def test_of_an_announced_container_too_heavy_to_be_one_nothing_is_charged_and_staff_make_it_one() -> None:
    """Pasta was just taken out, and the bag weighs the same: the shopper said that it is theirs."""
    trip = Trip.begun()
    trip.scan(PASTA)
    trip.put(506)
    trip.put(-506)
    trip.wait(2)
    trip.touch(Container())
    trip.put(507)
    trip.wait(3)
    assert (trip.names, trip.basket.attention) == ([], "container")
    trip.command(ExplainWeight(session=SESSION))
    assert list(trip.basket.containers.values()) == [grams(507)]
    assert not trip.basket.attention
    trip.put(-507)
    assert not trip.basket.containers
    assert not trip.basket.unexplained


def test_given_two_teas_when_one_is_lifted_one_stays() -> None:
    trip = Trip.begun()
    for _ in range(2):
        trip.scan(TEA)
        trip.put(112)
    first = next(iter(trip.basket.lines))
    trip.put(-112)
    trip.wait(1.5)
    assert list(trip.basket.lines) == [first]


def test_a_product_put_back_soon_needs_no_second_scan() -> None:
    trip = Trip.begun()
    trip.scan(CHEESE_LABEL)
    trip.put(490)
    (before,) = trip.basket.lines.values()
    trip.put(-490)
    trip.wait(5)
    trip.put(491)
    (after,) = trip.basket.lines.values()
    assert (after.product, after.price, after.marked_mass) == (before.product, before.price, before.marked_mass)
    assert after.line != before.line


def test_a_product_put_back_much_later_must_be_scanned() -> None:
    trip = Trip.begun()
    trip.scan(MILK)
    trip.put(1_032)
    trip.put(-1_032)
    trip.wait(30)
    trip.put(1_032)
    trip.wait(3)
    assert trip.names == []
    assert len(trip.basket.unexplained) == 1


def test_a_heavier_thing_in_place_of_what_was_taken_out_is_not_it() -> None:
    trip = Trip.begun()
    trip.scan(PASTA)
    trip.put(506)
    trip.put(-506)
    trip.wait(2)
    trip.put(640)
    trip.wait(3)
    assert trip.names == []
    assert len(trip.basket.unexplained) == 1


def test_a_product_shown_to_the_camera_on_its_way_out_is_not_bought_again() -> None:
    trip = Trip.begun()
    for code, mass in ((PASTA, 506), (TEA, 112)):
        trip.scan(code)
        trip.put(mass)
    trip.scan(PASTA)
    assert kinds(trip.put(-506)) == ["LineRemoved", "ScanAbandoned", "LoadSettled"]
    assert trip.names == ["Tea"]
    assert not trip.basket.pending


def test_two_products_lifted_together_leave_if_no_other_two_would_weigh_the_same() -> None:
    trip = Trip.begun()
    for code, mass in ((MILK, 1_032), (PASTA, 506), (TEA, 112)):
        trip.scan(code)
        trip.put(mass)
    trip.put(-618)
    trip.wait(1.5)
    assert trip.names == ["Milk"]


def test_a_removal_that_no_line_explains_is_asked_about() -> None:
    trip = Trip.begun()
    trip.scan(MILK)
    trip.put(1_032)
    trip.put(-300)
    assert kinds(trip.wait(3)) == ["WeightUnexplained", "LoadSettled"]
    trip.put(300)
    assert not trip.basket.unexplained
    assert trip.names == ["Milk"]


def test_swapping_two_products_in_one_go_is_understood_when_it_is_finished() -> None:
    """Pasta out and unscanned jam in, in one step: taking the jam out again leaves a pasta missing, and it leaves."""
    trip = Trip.begun()
    trip.scan(PASTA)
    trip.put(506)
    trip.put(640 - 506)
    trip.wait(3)
    assert len(trip.basket.unexplained) == 1
    trip.put(-640)
    trip.wait(1.5)
    assert trip.names == []
    assert not trip.basket.unexplained


def test_a_label_with_a_mass_is_charged_by_the_label_and_checked_by_the_scale() -> None:
    trip = Trip.begun()
    trip.scan(CHEESE_LABEL)
    trip.put(489)
    (line,) = trip.basket.lines.values()
    assert line.price.total.minor == 959  # 0.482 kg at 19.90
    assert line.mass == grams(489)


def test_a_label_with_a_price_is_charged_as_printed_and_its_mass_is_worked_out() -> None:
    trip = Trip.begun()
    trip.scan(APPLES_LABEL)
    trip.put(400)
    trip.wait(3)
    assert trip.names == []
    trip.put(600)  # a kilogram for 2.99: lowered in two goes
    assert trip.total == 299


def test_loose_goods_cost_what_they_weigh() -> None:
    trip = Trip.begun()
    trip.scan(LOOSE)
    trip.put(240)
    assert trip.total == 300


def test_a_piece_that_fits_goes_before_loose_goods_that_fit_anything() -> None:
    trip = Trip.begun()
    trip.scan(LOOSE)
    trip.scan(MILK)
    trip.put(1_033)
    assert trip.names == ["Milk"]
    trip.put(180)
    assert trip.names == ["Milk", "Nuts"]


def test_loose_goods_do_not_explain_what_was_put_in_long_ago() -> None:
    trip = Trip.begun()
    trip.put(640)
    trip.wait(30)
    trip.scan(LOOSE)
    assert trip.names == []
    assert len(trip.basket.unexplained) == 1


def test_a_free_cart_takes_any_load_without_a_word() -> None:
    trip = Trip()
    assert kinds(trip.put(3_000)) == ["LoadSettled"]
    assert trip.scan(MILK) == []
    trip.wait(5)
    assert not trip.basket.unexplained


def test_what_lies_in_the_cart_when_the_session_begins_is_tare() -> None:
    trip = Trip()
    trip.put(750)
    trip.weighed_level(grams(750))
    _begin(trip)
    assert trip.basket.tare == grams(750)
    assert trip.basket.settled == 0
    trip.scan(MILK)
    trip.put(1_032)
    assert trip.basket.settled == grams(1_032)


def test_a_closed_basket_refuses_scans_and_asks_about_every_change() -> None:
    trip = Trip.begun()
    trip.scan(MILK)
    trip.put(1_032)
    trip.command(Freeze(session=SESSION))
    assert trip.basket.phase is Phase.FROZEN
    assert [event.reason for event in trip.scan(JAM) if hasattr(event, "reason")] == ["basket-closed"]
    trip.put(-1_032)
    trip.wait(3)
    assert trip.names == ["Milk"]
    assert len(trip.basket.unexplained) == 1


def test_what_left_a_closed_basket_leaves_the_list_when_it_is_opened_again() -> None:
    trip = Trip.begun()
    for code, mass in ((MILK, 1_032), (TEA, 112)):
        trip.scan(code)
        trip.put(mass)
    trip.command(Freeze(session=SESSION))
    trip.put(-1_032)
    trip.wait(3)
    events = trip.command(Thaw(session=SESSION), "thaw")
    assert events[0] == BasketThawed(command=CommandId("thaw"))
    assert trip.names == ["Tea"]
    assert not trip.basket.unexplained


def test_creep_of_the_scale_is_remembered_and_never_asked_about() -> None:
    trip = Trip.begun()
    trip.scan(MILK)
    trip.put(1_032)
    assert trip.weighed_level(grams(1_029)) == []
    assert kinds(trip.weighed_level(grams(1_025))) == ["LoadSettled"]
    assert trip.basket.settled == grams(1_025)


def test_staff_who_looked_into_the_cart_settle_it() -> None:
    trip = Trip.begun()
    trip.put(506)
    trip.wait(3)
    trip.command(ExplainWeight(session=SESSION))
    assert not trip.basket.unexplained
    trip.wait(30)
    assert trip.names == []


# ── any order of anything ────────────────────────────────────────────────────────────────────────────────────────────

_CODES = (MILK, PASTA, JAM, WINE, GUM, TEA, CHEESE_LABEL, APPLES_LABEL, LOOSE)
_ACTIONS = st.one_of(
    st.tuples(st.just("scan"), st.sampled_from(_CODES)),
    st.tuples(st.just("put"), st.sampled_from((1_032, 506, 640, 1_260, 30, 112, 490, 1_004, 250, 77))),
    st.tuples(st.just("take"), st.sampled_from((1_032, 506, 640, 1_260, 30, 112, 490, 1_004, 250, 77))),
    st.tuples(st.just("wait"), st.sampled_from((0.25, 1.0, 3.0, 21.0))),
    st.tuples(st.just("touch"), st.sampled_from(("quantity", "remove", "cancel", "container", "choose"))),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(_ACTIONS, max_size=25), st.integers(-5, 5))
def test_whatever_happens_every_line_has_its_weight_and_the_load_is_accounted_for(
    actions: list[tuple[str, str | float]], error_g: int
) -> None:
    trip = Trip()
    _begin(trip)
    steps = 0
    for what, of in actions:
        match what, of:
            case "scan", str(code):
                trip.scan(code)
            case "put", float() | int() as mass:
                trip.put(mass + error_g)
            case "take", float() | int() as mass:
                trip.put(-mass - error_g)
            case "wait", float(seconds):
                trip.wait(seconds)
            case "touch", str(what_is_touched):
                _touch(trip, what_is_touched)
        steps += what in ("put", "take")
        _every_line_has_its_weight(trip)
        _the_load_is_accounted_for(trip, steps)
    assert folded(trip.events) == trip.basket


def _touch(trip: Trip, what: str) -> None:
    """Touch what there is to be touched."""
    touches: dict[str, list[Touch]] = {
        "quantity": [Quantity(scan=scan, pieces=3) for scan in trip.basket.pending],
        "remove": [Remove(lines=(line,)) for line in trip.basket.lines],
        "cancel": [Cancel()],
        "container": [Container()],
        "choose": [Choose(key=tile.key) for tile in trip.tiles],
    }
    for touch in touches[what][:1]:
        trip.touch(touch)


def _every_line_has_its_weight(trip: Trip) -> None:
    added = [event for event in trip.events if isinstance(event, LineAdded)]
    removed = [event.line for event in trip.events if isinstance(event, LineRemoved)]
    assert len({event.scan for event in added}) == len(added)
    assert set(trip.basket.lines) == {event.line for event in added} - set(removed)
    for line in trip.basket.lines.values():
        expected = MASSES[line.product] or (line.marked_mass and line.marked_mass)
        assert line.mass > 0
        assert not expected or abs(line.mass - expected) <= grams(100)


def _the_load_is_accounted_for(trip: Trip, steps: int) -> None:
    """What lies in the cart is a line, or is asked about, or is held for a moment; nothing is missing."""
    basket, evidence = trip.basket, trip.evidence
    lines = sum(line.mass for line in basket.lines.values())
    asked = sum(step.step for step in basket.unexplained.values())
    held = sum(step.mass for step in evidence.held)
    tolerance = grams(30) * steps  # of each step, what its explanation may be off
    assert abs(evidence.level - basket.tare - held - basket.settled) <= tolerance
    assert abs(basket.settled - lines - asked) <= tolerance


def _begin(trip: Trip) -> None:
    trip.command(BeginSession(session=SESSION, code=trip.basket.code))
    assert trip.basket.session == SESSION
