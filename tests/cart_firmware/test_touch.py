"""What shoppers do by touch, and what they are asked."""

from typing import get_args

import msgspec
import pytest

from cart_firmware.core import touch as touches
from cart_firmware.core.decision import Way
from cart_firmware.core.hypotheses import Story
from cart_firmware.core.judgement import THRESHOLDS
from cart_firmware.core.touch import Add, Cancel, Choose, Container, Help, Quantity, Remove, search
from cart_protocol.basket import (
    AttentionChanged,
    ContainerRemoved,
    LineRemoved,
    WeightExplained,
    WeightUnexplained,
)
from cart_protocol.gs1.gtin import gtin_of
from cart_protocol.ids import ProductId
from cart_protocol.mass import grams
from cart_protocol.messages import ExplainWeight, Freeze
from tests.cart_firmware.corner_shop import (
    APPLES,
    CHEESE,
    CHEESE_LABEL,
    GUM,
    JAM,
    LOOSE,
    MILK,
    PASTA,
    PRICES,
    SECOND,
    SESSION,
    TEA,
    Trip,
    folded,
    kinds,
)

_TWO_MILKS = "2 \N{MULTIPLICATION SIGN} Milk"


def test_three_of_one_scan_go_in_together_or_one_by_one() -> None:
    for steps in ((3 * 112,), (112, 2 * 112), (112, 112, 112)):
        trip = Trip.begun()
        trip.scan(TEA)
        (scan,) = trip.basket.pending
        trip.touch(Quantity(scan=scan, pieces=3))
        for step in steps:
            trip.put(step)
        assert trip.names == ["Tea"] * 3
        assert not trip.basket.pending


def test_a_smaller_number_takes_scans_back_and_a_labelled_pack_has_no_number() -> None:
    trip = Trip.begun()
    trip.scan(TEA)
    (scan,) = trip.basket.pending
    trip.touch(Quantity(scan=scan, pieces=5))
    trip.touch(Quantity(scan=scan, pieces=2))
    assert len(trip.basket.pending) == 2
    trip.touch(Cancel())
    trip.scan(CHEESE_LABEL)
    trip.touch(Quantity(scan=next(iter(trip.basket.pending)), pieces=2))
    assert len(trip.basket.pending) == 1


def test_a_line_that_is_said_to_go_is_charged_until_its_weight_is_gone() -> None:
    trip = Trip.begun()
    for code, mass in ((MILK, 1_032), (TEA, 112)):
        trip.scan(code)
        trip.put(mass)
    trip.touch(Remove(lines=(trip.line("Milk"),)))
    assert trip.names == ["Milk", "Tea"]
    trip.wait(30)
    assert trip.names == ["Milk", "Tea"]
    trip.touch(Remove(lines=(trip.line("Milk"), trip.line("Tea"))))
    trip.put(-1_144)
    assert trip.names == []


def test_of_two_lines_that_weigh_alike_the_shopper_says_which_one_left() -> None:
    trip = _two_alike()
    trip.put(-507)
    trip.wait(3)
    assert sorted(tile.what for tile in trip.tiles) == ["Pasta", "Rice"]
    assert trip.names == ["Pasta", "Rice"]
    assert kinds(trip.choose("Pasta"))[:2] == ["WeightExplained", "LineRemoved"]
    assert trip.names == ["Rice"]


def test_who_says_so_before_is_not_asked() -> None:
    trip = _two_alike()
    trip.touch(Remove(lines=(trip.line("Pasta"),)))
    trip.put(-507)
    assert trip.names == ["Rice"]


def _two_alike() -> Trip:
    """Pasta in the cart, and cheese that happens to weigh the same, called rice."""
    trip = Trip.begun()
    trip.scan(PASTA)
    trip.put(507)
    trip.touch(Add(product=ProductId(gtin_of(LOOSE))))
    trip.put(508)
    assert trip.names == ["Pasta", "Nuts"]
    line = trip.basket.lines[trip.line("Nuts")]
    trip.basket.lines[line.line] = msgspec.structs.replace(line, name="Rice")
    return trip


def test_two_put_in_for_one_scan_is_asked_and_one_tap_charges_both() -> None:
    trip = Trip.begun()
    trip.scan(MILK)
    trip.put(2 * 1_032)
    trip.wait(3)
    assert trip.names == []
    assert [tile.what for tile in trip.tiles] == [_TWO_MILKS]
    trip.choose(_TWO_MILKS)
    assert trip.names == ["Milk", "Milk"]
    assert trip.total == 258
    assert sum(line.mass for line in trip.basket.lines.values()) == grams(2_064)


def test_an_exchange_in_one_go_is_asked_about_and_never_assumed() -> None:
    trip = Trip.begun()
    trip.scan(PASTA)
    trip.put(506)
    trip.scan(JAM)
    trip.put(640 - 506)
    trip.wait(3)
    assert trip.names == ["Pasta"]
    trip.choose("Jam for Pasta")
    assert trip.names == ["Jam"]
    assert not trip.basket.unexplained


def test_a_tile_of_a_moment_ago_does_nothing() -> None:
    trip = Trip.begun()
    trip.scan(MILK)
    trip.put(2 * 1_032)
    trip.wait(3)
    (tile,) = trip.tiles
    trip.put(-2 * 1_032)
    assert trip.touch(Choose(key=tile.key)) == []
    assert trip.names == []


def test_an_own_bag_is_not_goods_and_takes_its_tare_along_when_it_leaves() -> None:
    trip = Trip.begun()
    trip.touch(Container())
    assert kinds(trip.put(85)) == ["ContainerAdded"]
    assert (trip.basket.tare, trip.basket.settled) == (grams(85), 0)
    trip.scan(MILK)
    trip.put(1_032)
    assert trip.basket.settled == grams(1_032)
    trip.put(-85)
    trip.wait(5)
    assert (
        isinstance(trip.events[-1] if trip.events[-1] != () else None, ContainerRemoved) or not trip.basket.containers
    )
    assert (trip.basket.tare, trip.basket.settled) == (0, grams(1_032))
    trip.put(85)
    trip.wait(3)
    assert trip.basket.unexplained, "what lies in its place is goods"


@pytest.mark.parametrize("said_after_s", [0.5, 4])
def test_calling_goods_ones_own_afterwards_explains_nothing(said_after_s: float) -> None:
    trip = Trip.begun()
    trip.put(120)
    trip.wait(said_after_s)
    trip.touch(Container())
    trip.wait(4)
    assert len(trip.basket.unexplained) == 1
    assert not trip.basket.containers


def test_goods_in_a_bag_that_is_too_heavy_call_somebody() -> None:
    trip = Trip.begun()
    trip.touch(Container())
    trip.put(750)
    trip.wait(3)
    assert AttentionChanged(reason="container") in trip.events
    assert len(trip.basket.unexplained) == 1
    trip.command(ExplainWeight(session=SESSION), "look")
    assert (trip.basket.unexplained, trip.basket.attention) == ({}, "")


def test_a_scanned_product_is_goods_though_a_container_was_announced() -> None:
    trip = Trip.begun()
    trip.touch(Container())
    trip.scan(TEA)
    trip.put(112)
    assert trip.names == ["Tea"]
    trip.put(60)
    assert list(trip.basket.containers.values()) == [grams(60)]


def test_help_is_called_and_sent_away_and_staff_end_it() -> None:
    trip = Trip.begun()
    assert trip.touch(Help()) == [AttentionChanged(reason="help")]
    assert trip.touch(Help()) == []
    assert trip.touch(Help(wanted=False)) == [AttentionChanged(reason="")]
    trip.touch(Help())
    assert kinds(trip.command(ExplainWeight(session=SESSION))) == ["AttentionChanged"]
    assert folded(trip.events).attention == ""


def test_a_question_that_stays_open_calls_somebody_until_it_is_answered() -> None:
    trip = Trip.begun()
    trip.put(506)
    trip.wait(40)
    assert trip.basket.attention == ""
    trip.wait(10)
    assert trip.basket.attention == "unexplained"
    trip.scan(PASTA)
    trip.wait(0.25)
    assert (trip.names, trip.basket.attention) == (["Pasta"], "")


def test_products_without_a_code_are_found_by_name_or_number_and_charged_by_weight() -> None:
    assert [product.name for product in search(PRICES, "nu")] == ["Nuts"]
    assert [product.name for product in search(PRICES, "00321")] == ["Cheese"]
    assert search(PRICES, "zebra") == search(None, "nuts") == search(None, "") == ()
    assert [product.name for product in search(PRICES, "")] == ["Apples", "Cheese"], "what bears no code"
    trip = Trip.begun()
    trip.touch(Add(product=ProductId("plu:00777")))
    trip.put(1_000)
    assert (trip.names, trip.total) == (["Apples"], 299)


def test_a_closed_basket_takes_no_touch_but_a_call_for_help() -> None:
    trip = Trip.begun()
    trip.scan(MILK)
    trip.put(1_032)
    trip.command(Freeze(session=SESSION))
    for touch in (Add(product=ProductId("plu:00777")), Container(), Remove(lines=(trip.line("Milk"),)), Cancel()):
        assert trip.touch(touch) == []
    assert trip.touch(Help()) == [AttentionChanged(reason="help")]


def test_what_a_recogniser_names_is_asked_about_and_never_charged_by_itself() -> None:
    trip = Trip.begun()
    trip.sees((JAM, 3.0), (GUM, 2.0), hand=Way.IN)
    trip.put(640)
    trip.wait(3)
    assert any(isinstance(event, WeightUnexplained) for event in trip.events)
    assert [tile.what for tile in trip.tiles] == ["Jam"]
    assert WeightExplained(number=1, by="scan") in trip.choose("Jam")
    assert trip.names == ["Jam"]


def test_a_recogniser_that_saw_it_leave_decides_between_two_that_weigh_alike() -> None:
    trip = _two_alike()
    trip.sees((PASTA, 6.0), hand=Way.OUT)
    events = trip.put(-507)
    assert [event for event in events if isinstance(event, LineRemoved)]
    assert trip.names == ["Rice"]


def test_loose_goods_are_named_by_sight_weighed_and_charged_when_the_shopper_says_so() -> None:
    trip = Trip.begun()
    trip.sees((APPLES, 4.0), others=-2.0, hand=Way.IN)
    trip.put(1_000)
    assert [(tile.what, tile.how) for tile in trip.tiles] == [("Apples", "put in")]
    assert trip.names == [], "sight alone charges nothing"
    trip.choose("Apples")
    assert (trip.names, trip.total) == (["Apples"], 299)


def test_what_is_seen_after_the_load_has_settled_still_names_it() -> None:
    trip = Trip.begun()
    trip.put(1_000)
    assert trip.tiles == ()
    trip.now_us += SECOND // 2
    trip.sees((APPLES, 4.0), hand=Way.IN)
    assert [tile.what for tile in trip.tiles] == ["Apples"]


def test_pieces_that_a_camera_names_are_counted_by_their_mass() -> None:
    trip = Trip.begun()
    trip.sees((JAM, 4.0), hand=Way.IN)
    trip.put(3 * 640)
    assert [tile.what for tile in trip.tiles] == ["3 \N{MULTIPLICATION SIGN} Jam"]
    trip.choose("3 \N{MULTIPLICATION SIGN} Jam")
    assert trip.names == ["Jam"] * 3


def test_a_label_on_other_goods_of_the_same_mass_is_asked_about() -> None:
    """Weight agrees with the label, the picture with something dearer: not believed, and both are offered."""
    trip = Trip.begun()
    trip.scan(PASTA)
    trip.sees((CHEESE, 5.0), (PASTA, -6.0), hand=Way.IN)
    trip.put(505)
    assert trip.names == []
    trip.wait(3)
    assert {tile.what for tile in trip.tiles} == {"Cheese", "Pasta"}
    assert trip.choose("Cheese")
    assert trip.names == ["Cheese"]
    assert trip.basket.attention == ""


def test_who_insists_on_the_label_against_the_picture_is_believed_and_staff_have_a_look() -> None:
    trip = Trip.begun()
    trip.scan(PASTA)
    trip.sees((CHEESE, 5.0), (PASTA, -6.0), hand=Way.IN)
    trip.put(505)
    assert AttentionChanged(reason="doubted") in trip.choose("Pasta")
    assert trip.names == ["Pasta"]
    assert kinds(trip.command(ExplainWeight(session=SESSION))) == ["AttentionChanged"]
    assert trip.basket.attention == ""


def test_the_banana_trick_is_asked_about() -> None:
    """Cheap loose goods chosen by number, and something dear on the platform that the camera knows."""
    trip = Trip.begun()
    trip.touch(Add(product=ProductId(APPLES)))
    trip.sees((CHEESE, 5.0), (APPLES, -6.0), hand=Way.IN)
    trip.put(500)
    trip.wait(3)
    assert trip.names == []
    assert "Cheese" in [tile.what for tile in trip.tiles]


def test_each_of_two_questions_is_answered_by_its_own_picture() -> None:
    trip = Trip.begun()
    for product, mass in ((CHEESE, 700), (APPLES, 259)):
        trip.sees((product, 4.0), others=-2.0, hand=Way.IN)
        trip.put(mass)
        trip.wait(4)
    for name in ("Apples", "Cheese"):
        assert [tile.what for tile in trip.tiles] == [name]
        trip.choose(name)
    assert [(line.name, line.mass) for line in trip.basket.lines.values()] == [
        ("Apples", grams(259)),
        ("Cheese", grams(700)),
    ]


def test_what_was_seen_of_a_question_is_remembered_while_something_else_comes() -> None:
    trip = Trip.begun()
    trip.sees((CHEESE, 1.8), (APPLES, 1.5), others=-1.0, hand=Way.IN)
    trip.put(400)
    trip.wait(4)
    asked = {tile.what for tile in trip.tiles}
    assert {"Cheese", "Apples"} <= asked
    trip.scan(PASTA)
    trip.put(505)
    assert trip.names == ["Pasta"]
    assert {tile.what for tile in trip.tiles} == asked


def test_a_picture_that_comes_after_the_question_names_it_all_the_same() -> None:
    trip = Trip.begun()
    trip.put(259)
    trip.wait(4)
    assert (len(trip.basket.unexplained), trip.tiles) == (1, ())
    trip.sees((CHEESE, 4.0), hand=Way.IN, ago_s=2)
    assert trip.tiles == (), "it went over the rim after that"
    trip.sees((APPLES, 4.0), hand=Way.IN, ago_s=4)
    trip.choose("Apples")
    assert [(line.name, line.mass) for line in trip.basket.lines.values()] == [("Apples", grams(259))]


def test_answers_of_the_same_words_are_told_apart_by_their_mass() -> None:
    trip = Trip.begun()
    for mass in (700, 259):
        trip.put(mass)
        trip.wait(4)
    trip.sees((APPLES, 4.0), others=-2.0, hand=Way.IN, ago_s=4)
    assert [(tile.what, tile.how) for tile in trip.tiles] == [("Apples", "259 g put in"), ("Apples", "959 g put in")]
    trip.touch(Choose(key=trip.tiles[1].key))
    assert [line.mass for line in trip.basket.lines.values()] == [grams(959)]


def test_a_picture_that_is_not_sure_does_not_stand_in_the_way_of_an_honest_scan() -> None:
    trip = Trip.begun()
    trip.scan(PASTA)
    trip.sees((CHEESE, 2.0), (PASTA, 0.5), hand=Way.IN)
    trip.put(505)
    assert trip.names == ["Pasta"]


def test_a_scan_of_goods_that_nobody_taught_is_not_doubted_by_a_picture() -> None:
    trip = Trip.begun()
    trip.scan(MILK)
    trip.sees((APPLES, 5.0), (CHEESE, -4.0), others=-2.0, hand=Way.IN)
    trip.put(1_032)
    assert trip.names == ["Milk"], "nobody knows what milk looks like"


def apples_in_and_out() -> Trip:
    """Given apples of 259 g that a camera saw go in and out again."""
    trip = Trip.begun()
    trip.sees((APPLES, 4.0), hand=Way.IN)
    trip.put(259)
    trip.choose("Apples")
    trip.wait(5)
    trip.sees((APPLES, 4.0), hand=Way.OUT)
    trip.put(-259)
    return trip


def test_other_goods_of_nearly_the_mass_of_what_just_left_are_not_taken_for_it_where_they_are_seen() -> None:
    trip = apples_in_and_out()
    assert trip.names == []
    trip.wait(5)
    trip.put(255)
    assert trip.names == [], "its picture is under way"
    trip.now_us += SECOND // 4
    trip.sees((CHEESE, 5.0), (APPLES, -4.0), hand=Way.IN)
    trip.wait(2)
    assert trip.names == []
    assert "Cheese" in [tile.what for tile in trip.tiles]


@pytest.mark.parametrize("mass_g", [60, 1_085])
@pytest.mark.parametrize("hand", [Way.UNSEEN, Way.OUT])
def test_what_was_asked_about_and_is_seen_to_go_again_leaves_no_second_question(mass_g: float, hand: Way) -> None:
    trip = Trip.begun()
    trip.sees((CHEESE, 0.4), hand=Way.IN)
    trip.put(mass_g)
    trip.wait(4)
    assert trip.basket.unexplained
    trip.sees((APPLES, 6.9), others=-2.0, hand=hand)
    trip.put(-mass_g + 0.9)
    trip.wait(4)
    assert not trip.basket.unexplained
    assert (trip.names, trip.tiles) == ([], ())


def test_what_comes_back_unseen_is_back_when_the_load_has_rested() -> None:
    trip = apples_in_and_out()
    trip.wait(5)
    trip.put(259)
    trip.wait(1.5)
    assert trip.names == ["Apples"]


def test_no_story_is_without_threshold_and_no_touch_without_effect() -> None:
    assert set(THRESHOLDS) == set(get_args(Story))
    assert set(touches._DO) == set(get_args(touches.Touch))
