"""Seed after seed: a day with faults, judged by the witness; a seed that fails is shrunk to the few faults it takes."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from edge_agent.store.status import read_status
from edge_agent.store.verify import verify
from sim.stage.day import DayPlan, Stage, stage
from sim.stage.faults import Fault, Faults, Kind, plan_faults

_TRACE_LINES = 40
_SHRINKING_RUNS = 60


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """How one seed's day went. `failure` is None after a good one."""

    seed: int
    trips: int
    finished: int
    orders_paid: int
    events: int
    promises: int
    struck: dict[str, int]
    deaths: int
    forgotten: int
    """Shoppers who asked to be, and were."""
    failure: str | None
    trace: tuple[str, ...] = ()
    digest: str = ""


Player = Callable[[int, int, Sequence[int]], Played]
"""Plays the day of a seed, with so many trips and these faults."""


def plan_day(seed: int, trips: int, *, whole: bool = False) -> DayPlan:
    return DayPlan(seed=seed, trips=trips, carts=4, lanes=2, items=(1, 4), whole=whole)


def play(seed: int, trips: int, faults: Sequence[int] | None = None, *, whole: bool = False) -> Played:
    """Play one seed's day, with all its faults or only those of the given numbers; `whole` with pixels and chips."""
    planned = [fault for fault in plan_faults(seed) if faults is None or fault.number in faults]
    with stage(plan_day(seed, trips, whole=whole)) as staged:
        injected = Faults(staged, planned)
        failure: str | None = None
        try:
            staged.loop.run_until_complete(_day(staged, injected))
        except Exception as error:  # noqa: BLE001 - whatever ends a day is what is looked for
            failure = f"{type(error).__name__}: {error}"
        failure = staged.witness.violation or failure
        return Played(
            seed=seed, trips=trips, finished=staged.tally.finished, orders_paid=staged.tally.orders,
            events=sum(story.last for story in staged.witness.carts.values()), promises=staged.witness.checks,
            struck={str(kind): count for kind, count in injected.struck.items() if count},
            deaths=sum(machine.deaths for machine in staged.machines), failure=failure,
            forgotten=len(staged.witness.forgotten),
            trace=tuple(staged.trace.newest(_TRACE_LINES)) if failure else (), digest=staged.trace.digest,
        )  # fmt: skip


async def _day(staged: Stage, injected: Faults) -> None:
    await staged.open()
    staged.meanwhile(injected.run())
    await staged.trade()
    injected.heal()
    books = await staged.close()
    require = staged.witness.require
    ledgers = books.ledgers
    for cart, story in staged.witness.carts.items():
        require(story.committed == story.last, f"{cart}: {story.last} events recorded, {story.committed} committed")
    require(ledgers.duplicates == 0, f"{ledgers.duplicates} events committed twice")
    require(
        ledgers.store_paid_minor == ledgers.acquirer_minor,
        f"the store was paid {ledgers.store_paid_minor}, the acquirer took {ledgers.acquirer_minor}",
    )
    require(books.mirrors_agree, "a cart's basket is not what the store believes")
    require(staged.tally.finished == staged.plan.trips, f"{staged.tally.finished} of {staged.plan.trips} trips ended")
    _compare_tables(staged)


def _compare_tables(staged: Stage) -> None:
    """The read tables say what the facts say, and what the acquirer says."""
    status, witness = read_status(staged.store.database), staged.witness
    report = verify(staged.store.database)
    witness.require(report.good, f"edge-agent verify finds: {'; '.join(report.findings[:3])}")
    paid = sum(order.paid_minor for order in witness.orders.values())
    witness.require(status.orders == len(witness.orders), f"{status.orders} orders in the table, {len(witness.orders)}")
    witness.require(status.paid_minor == paid, f"{status.paid_minor} paid in the table, {paid} taken")


def shrink(seed: int, trips: int, player: Player = play) -> tuple[Played, list[Fault]]:
    """Return the failing day again with as few faults (and trips) as still make it fail, and those faults."""
    numbers = [fault.number for fault in plan_faults(seed)]
    worst = player(seed, trips, numbers)
    runs, chunk = 0, max(1, len(numbers) // 2)
    while chunk and runs < _SHRINKING_RUNS:
        start = 0
        while start < len(numbers) and runs < _SHRINKING_RUNS:
            fewer = numbers[:start] + numbers[start + chunk :]
            runs += 1
            again = player(seed, trips, fewer)
            if again.failure:
                numbers, worst = fewer, again
            else:
                start += chunk
        chunk //= 2
    for fewer_trips in range(1, trips):
        again = player(seed, fewer_trips, numbers)
        if again.failure:
            worst = again
            break
    return worst, [fault for fault in plan_faults(seed) if fault.number in numbers]


def counted(days: Iterable[Played]) -> dict[Kind, int]:
    """Return how often each kind of fault struck, none left out."""
    total: Counter[str] = Counter()
    for day in days:
        total.update(day.struck)
    return {kind: total[str(kind)] for kind in Kind}


def command(seed: int, trips: int, faults: Sequence[Fault] | None) -> str:
    """Return what replays a day."""
    numbers = "" if faults is None else f" --faults {','.join(str(fault.number) for fault in faults) or 'none'}"
    return f"cart-sim stage --seed {seed} --trips {trips}{numbers or ' --faults all'}"
