"""A hand speaks for the step that it made, and for no other."""

import pytest

from cart_firmware.core.decision import Passed, Way
from cart_firmware.core.passages import kept, way_of

S = 1_000_000
QUIET, SETTLED = 10 * S, 12 * S


@pytest.mark.parametrize(
    ("from_s", "until_s", "speaks"),
    [
        (10.2, 11.5, True),
        (9.0, 10.4, True),  # it let go while the load still seemed quiet
        (11.0, 13.0, True),  # still in the basket when the load had settled
        (7.0, 8.0, False),  # it was gone before
        (9.0, 9.6, False),  # it was gone, and the load quiet after it
        (12.5, 13.0, False),  # it came after
    ],
)
def test_a_passage_speaks_for_the_step_during_which_it_happened(from_s: float, until_s: float, speaks: bool) -> None:
    passed = Passed(round(from_s * S), round(until_s * S), Way.OUT)
    assert way_of([passed], QUIET, SETTLED) is (Way.OUT if speaks else Way.UNSEEN)


def test_a_step_that_took_long_is_not_explained_by_what_was_long_ago() -> None:
    rolled_since = 0
    assert way_of([Passed(2 * S, 3 * S, Way.IN)], rolled_since, SETTLED) is Way.UNSEEN


def test_two_hands_that_went_both_ways_are_an_exchange_and_two_of_one_way_are_that_way() -> None:
    put, more, took = (Passed(10 * S, 11 * S, way) for way in (Way.IN, Way.IN, Way.OUT))
    assert way_of([put, took], QUIET, SETTLED) is Way.BOTH
    assert way_of([put, more], QUIET, SETTLED) is Way.IN


def test_one_hand_of_which_nothing_is_known_leaves_all_open() -> None:
    known, unknown = Passed(10 * S, 11 * S, Way.IN), Passed(11 * S, 12 * S, Way.UNSEEN)
    assert way_of([known, unknown], QUIET, SETTLED) is Way.UNSEEN


def test_what_is_long_gone_is_forgotten() -> None:
    passages: tuple[Passed, ...] = ()
    for second in range(0, 600, 2):
        passages = kept(passages, Passed(second * S, (second + 1) * S, Way.IN))
    assert len(passages) < 10
    assert passages[-1].until_us == 599 * S
