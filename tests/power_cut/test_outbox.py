"""The cart's outbox after a power cut at any write: opens, is whole, and holds all it ever reported."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import msgspec
import pytest

from cart_protocol.basket import Basket, BasketThawed, CartEvent, WeightExplained, WeightUnexplained, evolve
from cart_protocol.ids import CommandId
from cart_protocol.link.outbox import SqliteOutbox
from cart_protocol.mass import Mass
from cart_protocol.messages import CartTime, PriceBookIssue
from tests.power_cut.crash_states import Enumeration, Report

AT = CartTime(boot="b", monotonic_us=1, wall_ms=2, synchronised=False)
EPOCH = 5


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """All that the outbox had said by then, or (`kept` false) was about to say."""

    seq: int
    acknowledged: int
    book: int
    kept: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    epoch: int
    seq: int
    acknowledged: int
    book: int
    held: tuple[int, ...]
    basket: Basket
    events: tuple[CartEvent, ...]
    answered: tuple[int, ...]


def event(seq: int) -> CartEvent:
    """The cart's story by seq: steps, explanations, and every fifth answers a command."""
    if seq % 5 == 0:
        return BasketThawed(command=CommandId(f"command-{seq}"))
    return WeightExplained(number=seq - 1, by="scan") if seq % 3 == 0 else WeightUnexplained(number=seq, step=Mass(seq))


def basket_after(seq: int) -> Basket:
    basket = Basket()
    for number in range(1, seq + 1):
        evolve(basket, event(number))
    return basket


class OutboxStory:
    """A cart records, is acknowledged, gets price books and restarts. `synchronous` is a wrong setting to try."""

    def __init__(self, transactions: int, synchronous: str = "") -> None:
        self._transactions, self._synchronous = transactions, synchronous

    def work(self, folder: Path, promise: Callable[[object], None]) -> None:
        dice = Random(1)
        state = Promise(seq=0, acknowledged=0, book=0, kept=True)
        outbox = self._open(folder)
        promise(state)
        for number in range(self._transactions):
            if number % 25 == 24:
                outbox.close()
                outbox = self._open(folder)
            wanted, do = _next(dice, state, outbox)
            promise(msgspec.structs.replace(wanted, kept=False))
            do()
            state = wanted
            promise(state)

    def _open(self, folder: Path) -> SqliteOutbox:
        outbox = SqliteOutbox(folder / "outbox.db", capacity=10_000, epoch_source=EPOCH)
        # A checkpoint every few transactions, as a cart has one in a few hundred.
        outbox._database.execute("PRAGMA wal_autocheckpoint = 16")
        if self._synchronous:
            outbox._database.execute(f"PRAGMA synchronous = {self._synchronous}")
        return outbox

    def find(self, folder: Path) -> Found:
        outbox = SqliteOutbox(folder / "outbox.db", capacity=10_000, epoch_source=EPOCH + 1)
        try:
            assert outbox.replaced is None, "set aside as damaged"
            assert outbox._database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            held, book = outbox.load(0, 10_000), outbox.price_book()
            return Found(
                epoch=outbox.position.epoch, seq=outbox.position.seq, acknowledged=outbox.acknowledged,
                book=book.version if book else 0,
                held=tuple(row.seq for row in held), events=tuple(row.event for row in held), basket=outbox.basket(),
                answered=tuple(seq for seq in range(5, outbox.position.seq + 6, 5) if outbox.answer(f"command-{seq}")),
            )  # fmt: skip
        finally:
            outbox.close()

    def go_on(self, folder: Path) -> None:
        outbox = SqliteOutbox(folder / "outbox.db", capacity=10_000, epoch_source=EPOCH + 1)
        seq = outbox.position.seq + 1
        outbox.record([event(seq)], AT, basket_after(seq))
        outbox.close()

    def complaint(self, found: Found, promises: Sequence[Promise]) -> str:  # noqa: PLR0911 - a list of duties
        if not promises:
            return "" if found.seq == 0 else "events from nowhere"
        last = next(promise for promise in reversed(promises) if promise.kept)
        states = {(promise.seq, promise.acknowledged, promise.book) for promise in (last, promises[-1])}
        if (found.seq, found.acknowledged, found.book) not in states:
            return f"{found.seq, found.acknowledged, found.book} is none of {states}"
        if found.epoch != EPOCH:
            return f"began a new epoch, {found.epoch}"
        expected = range(found.acknowledged + 1, found.seq + 1)
        if found.held != tuple(expected) or found.events != tuple(map(event, expected)):
            return f"holds {found.held}, not {expected}"
        if found.basket != basket_after(found.seq):
            return "the basket is not the fold of its events"
        if found.answered != tuple(range(5, found.seq + 1, 5)):
            return f"answered {found.answered} at {found.seq}"
        return ""


def _next(dice: Random, state: Promise, outbox: SqliteOutbox) -> tuple[Promise, Callable[[], object]]:
    """Return what is owed once the next thing is done, and the thing."""
    choice = dice.random()
    if choice < 0.65 or state.seq == state.acknowledged:
        seq = state.seq + dice.randint(1, 4)
        events = [event(number) for number in range(state.seq + 1, seq + 1)]
        return msgspec.structs.replace(state, seq=seq), lambda: outbox.record(events, AT, basket_after(seq))
    if choice < 0.9:
        through = dice.randint(state.acknowledged + 1, state.seq)
        return msgspec.structs.replace(state, acknowledged=through), lambda: outbox.prune(through)
    issue = PriceBookIssue(version=state.book + 1, book="x" * dice.randint(100, 30_000), signature="s")
    return msgspec.structs.replace(state, book=issue.version), lambda: outbox.keep_price_book(issue)


def test_a_cart_that_loses_power_has_all_it_recorded(
    folder: Path, share: float, tell: Callable[[str, Report], None]
) -> None:
    report = Enumeration(OutboxStory(120), folder, share * 0.12).run()
    tell("outbox", report)
    assert report.complaints == []
    assert report.opened > 100


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_an_outbox_that_syncs_less_is_caught(
    folder: Path, synchronous: str, tell: Callable[[str, Report], None]
) -> None:
    report = Enumeration(OutboxStory(40, synchronous), folder, 0.05, enough=100).run()
    tell(f"outbox with synchronous={synchronous}, as a proof that it would be caught", report)
    assert len(report.complaints) > 10
