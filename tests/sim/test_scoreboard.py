import pytest

from sim.scoreboard import Ledgers, latency, verdict
from sim.shoppers import Tally


def good_day() -> tuple[Tally, Ledgers]:
    tally = Tally(
        finished=2,
        shown=6,
        scanned=6,
        put=6,
        matched=6,
        orders=2,
        orders_minor=1234,
        honest=1,
        thieves=1,
        thieves_stopped=1,
    )
    ledgers = Ledgers(store_paid_minor=1234, store_orders_minor=1234, acquirer_minor=1234, recorded=40, committed=40)
    return tally, ledgers


def test_a_good_day_holds_every_condition() -> None:
    assert all(check.holds for check in verdict(*good_day(), trips=2))


@pytest.mark.parametrize(
    ("book", "field", "value"),
    [
        ("tally", "finished", 1),
        ("tally", "honest_stopped", 1),
        ("tally", "thieves_stopped", 0),
        ("tally", "matched", 5),
        ("tally", "orders_minor", 1233),
        ("tally", "gave_up", 1),
        ("tally", "not_read", 1),
        ("ledgers", "acquirer_minor", 1235),
        ("ledgers", "store_paid_minor", 1),
        ("ledgers", "committed", 39),
        ("ledgers", "duplicates", 1),
        ("ledgers", "unacknowledged", 1),
    ],
)
def test_each_thing_that_can_go_wrong_spoils_the_day(book: str, field: str, value: int) -> None:
    tally, ledgers = good_day()
    setattr({"tally": tally, "ledgers": ledgers}[book], field, value)
    assert not all(check.holds for check in verdict(tally, ledgers, trips=2))


def test_percentiles_are_nearest_rank() -> None:
    figures = latency([n * 1000 for n in range(1, 101)])
    assert (figures.count, figures.p50_ms, figures.p95_ms) == (100, 50.5, 95.0)
    assert latency([]).count == 0
    assert latency([5_000]).p95_ms == 5.0
