"""The benches on the flight recorder: trips that replay as they were, and parts that take some of a core."""

import pytest

from bench import cart, replay


def test_a_recorded_trip_is_weighed_scanned_and_decided_again() -> None:
    found = replay.measure(1, 4.0, 1)
    assert found.differences == []
    assert found.lines
    assert found.readings == pytest.approx(found.hours * 3_600 * 80, rel=0.1)
    assert found.decisions > 100
    assert 0 < found.bytes / found.hours < 3_000_000


def test_every_part_of_a_cart_is_measured() -> None:
    shares = cart.measure(4.0, 3)
    assert list(shares) == ["weighing", "scanning", "fusion", "recording", "whole cart"]
    assert all(share > 0 for share in shares.values())
