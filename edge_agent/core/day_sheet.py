"""The day sheet: what the journal itself says, counted afresh from its facts, for comparing with other people's books."""

from collections.abc import Iterable

import msgspec

from cart_protocol.ids import CartId, Epoch, Seq
from edge_agent.core.events import CartReported, CartSnapshotAdopted, Fact
from edge_agent.core.shop import Shop


class DaySheet(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over one journal; money in minor units of the store's currency."""

    facts: int
    cart_events: int
    """Events of carts, each counted once."""
    duplicates: int
    """Events of carts that stand in the journal again: must be none."""
    holes: int
    """Seqs missing between an event and the next of the same cart and epoch, snapshots aside: must be none."""
    snapshots: int
    orders_paid: int
    orders_minor: int
    """Sum of the totals of paid orders."""
    paid_minor: int
    """Captured less refunded, over all tenders."""
    unknown_tenders: int
    incidents: int
    exits: int


def day_sheet(facts: Iterable[Fact]) -> DaySheet:
    """Return the day sheet of a whole journal, in its order."""
    shop = Shop()
    seen: set[tuple[CartId, Epoch, Seq]] = set()
    last: dict[tuple[CartId, Epoch], Seq] = {}
    count = duplicates = holes = snapshots = 0
    for fact in facts:
        count += 1
        shop.evolve(fact)
        match fact.event:
            case CartReported(cart=cart, epoch=epoch, recorded=recorded):
                place = (cart, epoch, recorded.seq)
                duplicates += place in seen
                seen.add(place)
                holes += max(0, recorded.seq - last.get((cart, epoch), Seq(0)) - 1)
                last[cart, epoch] = recorded.seq
            case CartSnapshotAdopted(cart=cart, position=position):
                snapshots += 1
                last[cart, position.epoch] = position.seq
    paid = [order for order in shop.orders.by_id.values() if order.counted]
    return DaySheet(
        facts=count, cart_events=len(seen), duplicates=duplicates, holes=holes, snapshots=snapshots,
        orders_paid=len(paid), orders_minor=sum(order.placed.total.minor for order in paid),
        paid_minor=sum(tender.captured.minor - tender.refunded.minor for tender in shop.tenders.by_id.values()),
        unknown_tenders=len(shop.tenders.all_in_doubt()), incidents=len(shop.incidents.by_id),
        exits=shop.counts.exits,
    )  # fmt: skip
