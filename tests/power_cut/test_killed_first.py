"""Killed in the middle of a commit, started again, and only then without power.

The commit was written and not synced; the next start finds it as if it were certain. Whatever that start builds on,
tells its store or its shopper, a power cut must not take back.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from cart_protocol.basket import CodeOffered, evolve
from cart_protocol.ids import SessionId
from cart_protocol.link.outbox import SqliteOutbox
from cart_protocol.messages import CartTime
from edge_agent.core.events import BindingEnded, Fact
from edge_agent.store.journal import SqlJournal
from sim.acquirer_ledger import Ledger
from sim.disk import Disk

_AT = CartTime(boot="b", monotonic_us=1, wall_ms=1, synchronised=True)


class OutboxUnderTest:
    def __init__(self, folder: Path, life: int) -> None:
        self._outbox = SqliteOutbox(folder / "outbox.db", 100, life)

    def add(self) -> None:
        offered, basket = CodeOffered(code="A"), self._outbox.basket()
        evolve(basket, offered)
        self._outbox.record([offered], _AT, basket)

    def held(self) -> int:
        return int(self._outbox.position.seq)

    def close(self) -> None:
        self._outbox.close()


class JournalUnderTest:
    def __init__(self, folder: Path, _life: int) -> None:
        self._journal = SqlJournal(f"sqlite:///{folder / 'store.db'}")

    def add(self) -> None:
        self._journal.append([Fact(1, BindingEnded(session=SessionId("s"), reason="left"))], {})

    def held(self) -> int:
        return len(list(self._journal.replay()))

    def close(self) -> None:
        self._journal.close()


class LedgerUnderTest:
    def __init__(self, folder: Path, _life: int) -> None:
        self._ledger = Ledger(folder / "acquirer.db")

    def add(self) -> None:
        self._ledger.begin(f"key-{self.held()}", 100, "EUR", "card")

    def held(self) -> int:
        return sum(self._ledger.knows(f"key-{number}") for number in range(9))

    def close(self) -> None:
        self._ledger.close()


Opened = OutboxUnderTest | JournalUnderTest | LedgerUnderTest


@pytest.mark.parametrize("store", [OutboxUnderTest, JournalUnderTest, LedgerUnderTest])
def test_what_a_restart_found_no_power_cut_takes_back(tmp_path: Path, store: Callable[[Path, int], Opened]) -> None:
    found_more = 0
    for seed in range(12):
        folder = tmp_path / str(seed)
        folder.mkdir()
        with Disk() as disk:
            platter = disk.under(folder)
            first = store(folder, 1)
            first.add()
            certain = first.held()
            platter.fail_next_sync = True
            with suppress(Exception):  # the store's own error: its program ends of it
                first.add()
            platter.stop()
            first.close()
            platter.kill()

            second = store(folder, 2)
            found = second.held()
            found_more += found > certain
            platter.stop()
            second.close()
            platter.cut_power(Random(seed))

            third = store(folder, 3)
            assert third.held() >= found
            third.close()
    assert found_more, "no unsynced commit was ever found at a restart: this proves nothing"
