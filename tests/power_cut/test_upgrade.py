"""A journal of an older release whose upgrade is cut short by a power cut: the next start finds all, and upgrades."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from cart_protocol.ids import CartId, IncidentId
from edge_agent.core.events import Fact, IncidentRaised
from edge_agent.store.journal import SqlJournal
from edge_agent.store.verify import verify
from tests.power_cut.crash_states import Enumeration, Report

RELEASED = sorted((Path(__file__).parent.parent / "edge_agent" / "released").glob("*-sqlite.sql"))
ALARM = Fact(2**43, IncidentRaised(incident=IncidentId("new"), key="new", where="w", cause="c", sentence="s"))


class Found(msgspec.Struct, frozen=True):
    facts: tuple[Fact, ...]
    positions: dict[CartId, tuple[int, int]]
    findings: tuple[str, ...]


class UpgradeStory:
    """A file that an older program left is opened by this one, which then records something."""

    def __init__(self, dump: Path, healthy: Path) -> None:
        self._dump = dump.read_text()
        self._make(healthy)
        self._whole = self.find(healthy)

    def work(self, folder: Path, promise: Callable[[object], None]) -> None:
        self._make(folder)
        promise("released")
        with SqlJournal(_address(folder)) as journal:
            journal.append([ALARM], {})
            promise("recorded")

    def _make(self, folder: Path) -> None:
        with closing(sqlite3.connect(folder / "store.db")) as database:
            database.execute("PRAGMA synchronous = EXTRA")  # it has been there for long
            database.executescript(self._dump)

    def find(self, folder: Path) -> Found:
        with SqlJournal(_address(folder)) as journal:
            facts, positions = tuple(journal.replay()), journal.positions()
        return Found(facts, positions, verify(_address(folder)).findings)

    def go_on(self, folder: Path) -> None:
        again = msgspec.structs.replace(ALARM.event, incident=IncidentId("again"), key="again")
        with SqlJournal(_address(folder)) as journal:
            journal.append([Fact(2**44, again)], {})

    def complaint(self, found: Found, promises: Sequence[object]) -> str:
        if found.findings:
            return f"edge-agent verify: {found.findings}"
        known = self._whole.facts
        allowed = [known, (*known, ALARM)] if "recorded" not in promises else [(*known, ALARM)]
        if found.facts in allowed and found.positions == self._whole.positions:
            return ""
        return "" if not promises and not found.facts else f"{len(found.facts)} facts, and there were {len(known)}"


def _address(folder: Path) -> str:
    return f"sqlite:///{folder / 'store.db'}"


@pytest.mark.parametrize("dump", RELEASED, ids=lambda dump: dump.stem)
def test_an_upgrade_that_loses_power_loses_nothing_and_is_done_at_the_next_start(
    dump: Path, folder: Path, share: float, tell: Callable[[str, Report], None]
) -> None:
    report = Enumeration(UpgradeStory(dump, folder), folder, share * 0.04).run()
    tell(f"upgrade of {dump.stem}", report)
    assert report.complaints == []
    assert report.opened > 5
