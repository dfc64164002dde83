"""The scoreboard: what the world knows, what the store says, what the acquirer says, and whether they agree."""

import statistics
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.table import Table

from sim.shoppers import Tally


class Ledgers(msgspec.Struct, kw_only=True):
    """What others say at the end; each number comes from another party's own book."""

    store_paid_minor: int = 0
    """The store: captured, from its payment events."""
    store_orders_minor: int = 0
    """The store: sum of the totals of its paid orders."""
    acquirer_minor: int = 0
    """The test acquirer's own ledger: captured less refunded."""
    recorded: int = 0
    """Events in all carts' streams, as the carts counted them."""
    committed: int = 0
    """Events in the store's journal."""
    unacknowledged: int = 0
    """Still in outboxes."""
    repeated: int = 0
    """Arrived again and were recognised."""
    duplicates: int = 0
    """In the journal twice: must be none."""
    in_doubt: int = 0
    """Payments of which the store does not know yet what became of them."""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    count: int
    p50_ms: float
    p95_ms: float


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the verdict."""

    name: str
    seen: str
    wanted: str
    holds: bool


def latency(samples_us: Sequence[int]) -> Latency:
    """Return count, median and 95th percentile (nearest rank) of latencies in microseconds, as milliseconds."""
    if not samples_us:
        return Latency(count=0, p50_ms=0.0, p95_ms=0.0)
    ordered = sorted(samples_us)
    rank = min(len(ordered) - 1, -(-95 * len(ordered) // 100) - 1)
    return Latency(count=len(ordered), p50_ms=statistics.median(ordered) / 1000, p95_ms=ordered[rank] / 1000)


def verdict(tally: Tally, ledgers: Ledgers, trips: int | None, *, photographs: bool = False) -> list[Check]:
    """Return every condition under which a shop may call this a good day.

    Without `trips` somebody closed the shop with shoppers in it: what depends on whole trips is left out. Real
    `photographs` are counted, not demanded: some no reader can read.
    """
    same_money = ledgers.store_paid_minor == ledgers.acquirer_minor == ledgers.store_orders_minor
    if trips is not None:
        same_money = same_money and tally.orders_minor == ledgers.store_orders_minor
    money = (
        f"shoppers {tally.orders_minor}, orders {ledgers.store_orders_minor}, paid {ledgers.store_paid_minor}, "
        f"acquirer {ledgers.acquirer_minor}"
    )
    people = (
        [
            _equal("trips finished", tally.finished, trips),
            _equal("shoppers who gave up", tally.gave_up, 0),
            _equal("thieves stopped", tally.thieves_stopped, tally.thieves),
            _equal("weight steps matched", tally.matched, tally.put),
        ]
        if trips is not None
        else []
    )
    if not photographs:
        people.append(_equal("items shown and not read", tally.not_read, 0))
    return [
        *people,
        _equal("honest shoppers stopped", tally.honest_stopped, 0),
        Check(name="money agrees (minor units)", seen=money, wanted="all the same", holds=same_money),
        _equal("events committed", ledgers.committed, ledgers.recorded),
        _equal("events lost", ledgers.recorded - ledgers.committed, 0),
        _equal("events committed twice", ledgers.duplicates, 0),
        _equal("events still unacknowledged", ledgers.unacknowledged, 0),
    ]


def table(title: str, rows: Sequence[tuple[str, Any]]) -> Table:
    drawn = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    for name, value in rows:
        drawn.add_row(name, str(value))
    return drawn


def live_rows(
    tally: Tally, trips: int | None, phone_us: Sequence[int], screen_us: Sequence[int]
) -> list[tuple[str, Any]]:
    """Return the running scoreboard."""
    phone, screen = latency(phone_us), latency(screen_us)
    return [
        ("trips finished", f"{tally.finished}" + (f" of {trips}" if trips else "")),
        ("items shown / scanned", f"{tally.shown} / {tally.scanned}"),
        ("weight steps / matched", f"{tally.put} / {tally.matched}"),
        ("orders paid", f"{tally.orders} ({tally.orders_minor / 100:.2f})"),
        ("honest stopped", f"{tally.honest_stopped} of {tally.honest}"),
        ("thieves stopped", f"{tally.thieves_stopped} of {tally.thieves}"),
        *_sight_rows(tally),
        ("evidence → cart screen", f"p50 {screen.p50_ms:.0f} ms, p95 {screen.p95_ms:.0f} ms (n = {screen.count})"),
        ("evidence → phone page", f"p50 {phone.p50_ms:.0f} ms, p95 {phone.p95_ms:.0f} ms (n = {phone.count})"),
    ]


def _sight_rows(tally: Tally) -> list[tuple[str, Any]]:
    """Return what carts made of goods by their looks, where any were bought so."""
    if not tally.loose and not tally.switched:
        return []
    waits = sorted(tally.named_s)
    named = f"{tally.named} of {tally.loose}" + (f", after {waits[len(waits) // 2]:.1f} s" if waits else "")
    return [
        ("loose goods named by sight", named),
        ("of them taught while open", f"{tally.new_named} of {tally.new}"),
        ("switched labels asked about", f"{tally.switched_asked} of {tally.switched}"),
    ]


def _equal(name: str, seen: int, wanted: int) -> Check:
    return Check(name=name, seen=str(seen), wanted=str(wanted), holds=seen == wanted)
