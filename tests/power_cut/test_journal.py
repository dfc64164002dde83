"""The store's journal on SQLite after a power cut at any write: orders, payments, positions, and the exits spent."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from cart_protocol.ids import CartId, IncidentId, LaneId, OrderId, ShopperId, TokenId
from edge_agent.core.events import CartReported, Fact, IncidentRaised, TokenBurned, TokenIssued
from edge_agent.core.refusals import PaymentRefusedError
from edge_agent.core.shop import Shop
from edge_agent.store.journal import SqlJournal
from edge_agent.store.projections import ProjectionError
from tests.edge_agent.shop_floor import ShopFloor, play
from tests.power_cut.crash_states import Enumeration, Report

Groups = Sequence[Sequence[Fact]]
"""What is committed together."""
Dump = Mapping[str, tuple[tuple[Any, ...], ...]]
"""Every row of every table."""


class Promise(msgspec.Struct, frozen=True):
    """So many groups are committed, or (`kept` false) the last of them is about to be."""

    groups: int
    kept: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    facts: tuple[Fact, ...]
    tables: Dump
    spent: frozenset[TokenId]
    """Exit tokens that no lane takes again."""


class JournalStory:
    """The groups are appended one by one, with two restarts."""

    def __init__(self, groups: Groups, healthy: Path) -> None:
        self._groups = groups
        self._expected = _expected(groups, healthy)

    def work(self, folder: Path, promise: Callable[[object], None]) -> None:
        journal = SqlJournal(_address(folder))
        promise(Promise(0, kept=True))
        restarts = {len(self._groups) // 3, 2 * len(self._groups) // 3}
        for number, group in enumerate(self._groups, start=1):
            if number in restarts:
                journal.close()
                journal = SqlJournal(_address(folder))
            promise(Promise(number, kept=False))
            journal.append(group, _positions(group))
            promise(Promise(number, kept=True))
            if number % 5 == 0:
                _checkpoint(folder)

    def find(self, folder: Path) -> Found:
        with SqlJournal(_address(folder)) as journal:
            facts = tuple(journal.replay())
        shop = Shop()
        for fact in facts:
            shop.evolve(fact)
        spent = frozenset(token.token for token in shop.tokens.by_id.values() if token.burned_at)
        return Found(facts=facts, tables=_dump(folder), spent=spent)

    def go_on(self, folder: Path) -> None:
        with SqlJournal(_address(folder)) as journal:
            for fact in list(journal.replay()):
                if isinstance(fact.event, TokenBurned):
                    with pytest.raises(ProjectionError):
                        journal.append([fact], {})
            alarm = IncidentRaised(incident=IncidentId("new"), key="k", where="w", cause="c", sentence="s")
            journal.append([Fact(9, alarm)], {})

    def complaint(self, found: Found, promises: Sequence[Promise]) -> str:
        kept = max((promise.groups for promise in promises if promise.kept), default=0)
        begun = promises[-1].groups if promises else 0
        burned = {fact.event.token for group in self._groups[:kept] for fact in group
                  if isinstance(fact.event, TokenBurned)}  # fmt: skip
        if not burned <= found.spent:
            return f"tokens {burned - found.spent} could be used again"
        for count in {kept, begun}:
            facts = tuple(fact for group in self._groups[:count] for fact in group)
            if found.facts == facts:
                wrong = [name for name in found.tables if found.tables[name] != self._expected[count][name]]
                return f"tables {wrong} do not say what the facts say" if wrong else ""
        return f"{len(found.facts)} facts are not those of the first {kept} groups, nor of the first {begun}"


def _address(folder: Path) -> str:
    return f"sqlite:///{folder / 'store.db'}"


def _expected(groups: Groups, folder: Path) -> list[Dump]:
    """Return the tables of a journal that nothing befell, after each group."""
    with SqlJournal(_address(folder)) as journal:
        dumps = [_dump(folder)]
        for group in groups:
            journal.append(group, _positions(group))
            dumps.append(_dump(folder))
    return dumps


def _dump(folder: Path) -> Dump:
    with closing(sqlite3.connect(folder / "store.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: tuple(sorted(database.execute(f'SELECT * FROM "{name}"'), key=repr)) for name in tables}  # noqa: S608


def _checkpoint(folder: Path) -> None:
    """Do what SQLite does by itself every thousand pages, more often."""
    with closing(sqlite3.connect(folder / "store.db")) as database:
        database.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _positions(group: Sequence[Fact]) -> dict[CartId, tuple[int, int]]:
    return {fact.event.cart: (fact.event.epoch, fact.event.recorded.seq) for fact in group
            if isinstance(fact.event, CartReported)}  # fmt: skip


def in_groups(facts: Sequence[Fact]) -> Groups:
    dice, groups, rest = Random(3), list[Sequence[Fact]](), list(facts)
    while rest:
        size = dice.randint(1, 4)
        groups.append(rest[:size])
        rest = rest[size:]
    return groups


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Groups:
    """The facts of a real agent's day: three shoppers come, shop, pay (one at the second try) and leave."""
    folder = tmp_path_factory.mktemp("day")

    async def story(floor: ShopFloor) -> None:
        for number in (1, 2, 3):
            shopper = ShopperId(f"s{number}")
            await floor.frozen(f"c{number}", shopper)
            if number == 2:
                floor.bank.mood = "declines"
                with pytest.raises(PaymentRefusedError):
                    await floor.agent.counter.pay(shopper, "card", "in vain")
                floor.bank.mood = "good"
            await floor.agent.counter.pay(shopper, "card", f"key-{number}")
            await floor.quiet()
            await floor.leave(shopper)

    play(folder, story)
    with SqlJournal(_address(folder)) as journal:
        return in_groups(list(journal.replay()))


@pytest.fixture(scope="module")
def exits() -> Groups:
    """A lane's day: tokens are issued, issued again, and burned one after another."""
    facts = list[Fact]()
    for number in range(30):
        order, token = OrderId(f"o{number}"), TokenId(f"t{number}")
        facts += [Fact(number, TokenIssued(token=token, order=order, text="T", issued_ms=1, expires_ms=9))] * (
            1 + number % 2
        )
        if number >= 3:
            past = number - 3
            burned = TokenBurned(token=TokenId(f"t{past}"), order=OrderId(f"o{past}"), lane=LaneId("lane-2"))
            facts.append(Fact(number, burned))
    return in_groups(facts)


def test_a_store_that_loses_power_has_every_order_and_payment(
    day: Groups, folder: Path, share: float, tell: Callable[[str, Report], None]
) -> None:
    report = Enumeration(JournalStory(day, folder), folder, share * 0.02).run()
    tell("journal", report)
    assert report.complaints == []
    assert report.opened > 50


def test_a_spent_exit_stays_spent(
    exits: Groups, folder: Path, share: float, tell: Callable[[str, Report], None]
) -> None:
    report = Enumeration(JournalStory(exits, folder), folder, share * 0.02).run()
    tell("used exit tokens", report)
    assert report.complaints == []
    assert report.opened > 50


def test_a_disk_that_only_pretends_to_sync_lets_a_spent_exit_be_used_again(
    exits: Groups, folder: Path, tell: Callable[[str, Report], None]
) -> None:
    story = JournalStory(exits, folder)
    report = Enumeration(story, folder, 0.02, pretends=lambda name: name.endswith("-wal"), enough=400).run()
    tell("used exit tokens on a disk that pretends to sync the log, as a proof that it would be caught", report)
    assert any("could be used again" in complaint for complaint in report.complaints)
