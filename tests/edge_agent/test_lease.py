"""Partitions and their leases: one writer each, taken over when silent, fenced out when late."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cart_protocol.host.clock import HostClock
from cart_protocol.ids import CartId, IncidentId
from edge_agent.core.events import IncidentRaised, IncidentResolved, PriceBookAdopted
from edge_agent.core.folds import Orders
from edge_agent.core.partition import partition_of
from edge_agent.store.backup import backup, restore
from edge_agent.store.journal import FencedError, JournalError, Share, SqlJournal
from edge_agent.store.lease import Leases
from edge_agent.store.postgresql import settings
from edge_agent.store.projections import ProjectionError
from edge_agent.store.verify import verify
from tests.edge_agent.shop_floor import a_price_book
from tests.edge_agent.test_journal import BURNED, ISSUED, RAISED, RESOLVED, fact, heard
from tests.postgres import Postgres

pytestmark = pytest.mark.postgresql
CARTS = [CartId(f"c{number}") for number in range(1, 40)]
ZERO = [cart for cart in CARTS if partition_of(cart, 2) == 0]
ONE = [cart for cart in CARTS if partition_of(cart, 2) == 1]
LONG_S, SHORT_S = 60.0, 0.4

Enter = Callable[..., Leases]


@pytest.fixture
def address(postgres: Postgres) -> str:
    made = postgres.database()
    SqlJournal(made).close()
    return made


@pytest.fixture
def enter(address: str) -> Iterator[Enter]:
    opened: list[Leases] = []

    def make(name: str, life_s: float = LONG_S, partitions: int = 2) -> Leases:
        leases = Leases(address, owner=name, reach=f"http://{name}", partitions=partitions, life_s=life_s)
        opened.append(leases)
        return leases

    yield make
    for leases in opened:
        leases.close()


def journal_of(address: str, leases: Leases) -> SqlJournal:
    return SqlJournal(address, Share(partitions=2, owner=leases.owner, fences=dict(leases.held)))


def test_the_partition_of_a_cart_is_the_same_everywhere_and_for_ever() -> None:
    assert [partition_of(CartId(f"c{number}"), 4) for number in range(1, 9)] == [1, 3, 1, 2, 0, 2, 0, 1]
    assert {partition_of(cart, 2) for cart in CARTS} == {0, 1}


def test_a_partition_has_one_owner(enter: Enter) -> None:
    first, second = enter("a"), enter("b")
    assert first.claim([0]) == {0: 1}
    assert second.claim([0, 1]) == {1: 1}
    first.renew()
    second.renew()
    assert first.addresses() == {0: "http://a", 1: "http://b"}


def test_a_silent_owner_is_taken_over_under_a_higher_fence_and_told_so(enter: Enter) -> None:
    first, second = enter("a", SHORT_S), enter("b")
    first.claim([0])
    while not second.claim([0]):
        time.sleep(0.05)
    assert second.held == {0: 2}
    with pytest.raises(FencedError, match="taken over"):
        first.renew()
    assert first.claim([0]) == {}


def test_grace_lets_the_home_agent_come_first(enter: Enter) -> None:
    first, second = enter("a"), enter("b")
    first.claim([0])
    first.release()
    assert second.claim([0], grace_s=LONG_S) == {}
    assert first.claim([0]) == {0: 2}


def test_what_is_released_is_free_at_once(enter: Enter) -> None:
    first, second = enter("a"), enter("b")
    first.claim([0, 1])
    first.release()
    assert second.claim([0, 1]) == {0: 2, 1: 2}


def test_who_was_only_slow_writes_nothing(address: str, enter: Enter) -> None:
    slow, quick = enter("slow", SHORT_S), enter("quick")
    slow.claim([0])
    with journal_of(address, slow) as late:
        late.append([fact(heard(1, cart=ZERO[0]))], {ZERO[0]: (3, 1)})
        while not quick.claim([0]):
            time.sleep(0.05)
        with journal_of(address, quick) as now:
            with pytest.raises(FencedError, match="has another owner"):
                late.append([fact(heard(2, cart=ZERO[0]))], {ZERO[0]: (3, 2)})
            assert list(now.replay()) == [fact(heard(1, cart=ZERO[0]))]
            assert now.append([fact(heard(2, cart=ZERO[0]))], {ZERO[0]: (3, 2)}) == 2
    assert verify(address).findings == ()


def test_an_owner_frozen_inside_a_transaction_does_not_hold_the_partition(address: str, enter: Enter) -> None:
    """Stopped between two statements of an append, it holds the lease's lock; the server ends its session."""
    frozen, quick = enter("frozen", SHORT_S), enter("quick")
    frozen.claim([0])
    with journal_of(address, frozen) as late:
        late._writer.execute("BEGIN")
        late._prove({0})
        began = time.monotonic()
        while not quick.claim([0]):
            time.sleep(0.05)
        assert time.monotonic() - began < 20
        with pytest.raises(JournalError):
            late.append([fact(heard(1, cart=ZERO[0]))], {})
    assert quick.held == {0: 2}


def test_an_owner_frozen_in_the_middle_of_a_message_does_not_either(address: str, enter: Enter) -> None:
    """Half of a statement is in the server's hands, and the rest never comes."""
    frozen, quick = enter("frozen", SHORT_S), enter("quick")
    frozen.claim([0])
    with socket.socket(socket.AF_UNIX) as wire:
        wire.connect(address.partition("host=")[2] + "/.s.PGSQL.5432")
        options = f"user\0postgres\0database\0{address.partition('@/')[2].partition('?')[0]}\0options\0{settings()}\0\0"
        wire.sendall(struct.pack("!ii", len(options) + 8, 3 << 16) + options.encode())
        for statement in ("BEGIN", "SELECT * FROM lease WHERE partition = 0 FOR SHARE"):
            until_ready(wire)
            wire.sendall(query(statement))
        until_ready(wire)
        wire.sendall(query("INSERT INTO entry " + "x" * 1000)[:500])
        began = time.monotonic()
        while not quick.claim([0]):
            time.sleep(0.05)
        assert time.monotonic() - began < 20
    assert quick.held == {0: 2}


def query(statement: str) -> bytes:
    """Return a simple Query (PostgreSQL manual, section 55.7)."""
    return b"Q" + struct.pack("!i", len(statement) + 5) + statement.encode() + b"\0"


def until_ready(wire: socket.socket) -> None:
    """Read up to ReadyForQuery, whatever the transaction's state."""
    seen = b""
    while seen[-6:-1] != b"Z\0\0\0\5":
        seen += wire.recv(65_536)


def test_each_fact_goes_to_its_carts_partition_and_back(address: str, enter: Enter) -> None:
    leases = enter("a")
    leases.claim([0, 1])
    zero, one = ZERO[0], ONE[0]
    at_lane = IncidentRaised(incident=IncidentId("i2"), key="l", where="lane l", cause="test", sentence="Look.")
    facts = [
        fact(PriceBookAdopted(book=a_price_book())), fact(heard(1, cart=zero), 6), fact(heard(1, cart=one), 7),
        fact(at_lane, 8), fact(IncidentResolved(incident=IncidentId("i2"), staff=RESOLVED.staff), 9),
    ]  # fmt: skip
    with journal_of(address, leases) as journal:
        journal.append(facts, {zero: (3, 1), one: (3, 1)})
        replayed = list(journal.replay())
        assert [each for each in replayed if each != facts[0]] == facts[1:]
        assert replayed.count(facts[0]) == 2, "every partition has the price book"
        assert journal.positions() == {zero: (3, 1), one: (3, 1)}
    found = verify(address)
    assert (found.findings, found.ends) == ((), {0: 4, 1: 2})
    other = enter("b")
    leases.release()
    other.claim([1])
    with journal_of(address, other) as journal:
        assert [each.event for each in journal.replay()] == [facts[0].event, heard(1, cart=one)]
        assert journal.positions() == {one: (3, 1)}
        with pytest.raises(JournalError, match="belongs to partition 0"):
            journal.append([fact(heard(2, cart=zero))], {})
        other.claim([0])
        past, positions = journal.take(0, other.held[0])
        assert (len(past), positions) == (4, {zero: (3, 1)})
        journal.append([fact(heard(2, cart=zero)), fact(heard(2, cart=one))], {zero: (3, 2), one: (3, 2)})
    assert verify(address).findings == ()


def test_a_token_burns_once_whichever_agent_burns_it(address: str, enter: Enter) -> None:
    first, second = enter("a"), enter("b")
    first.claim([0])
    second.claim([1])
    with journal_of(address, first) as ours, journal_of(address, second) as theirs:
        ours.append([fact(ISSUED)], {})
        theirs._routes = ours._routes = None  # whoever believes that it is theirs
        theirs._home, ours._home = (1,), (0,)
        theirs.append([fact(BURNED)], {})
        with pytest.raises(ProjectionError, match="spent already"):
            ours.append([fact(BURNED)], {})


def test_two_partitions_never_give_two_orders_one_number() -> None:
    """Each agent knows only its own orders."""
    zero, one, alone = Orders(2), Orders(2), Orders()
    assert [zero.next_sequence(0), one.next_sequence(1), alone.next_sequence()] == [2, 1, 1]
    seen = []
    for orders, partition in ((zero, 0), (one, 1)) * 5:
        sequence = orders.next_sequence(partition)
        seen.append(sequence)
        orders._last_sequence[partition] = sequence
    assert sorted(seen) == sorted(set(seen))


def test_a_journal_is_divided_once(address: str, enter: Enter) -> None:
    enter("a")
    with pytest.raises(JournalError, match="divided into 2, the configuration says 3"):
        enter("b", partitions=3)
    with pytest.raises(JournalError, match="shared by several agents"):
        SqlJournal(address)


def test_a_divided_journal_is_never_opened_as_one(address: str, enter: Enter, tmp_path: Path) -> None:
    """Restored to a single box, it would miss all but one partition."""
    leases = enter("a")
    leases.claim([0, 1])
    with journal_of(address, leases) as journal:
        journal.append([fact(heard(1, cart=ONE[0]))], {ONE[0]: (3, 1)})
    backup(address, tmp_path / "backup", HostClock())
    alone = f"sqlite:///{tmp_path / 'store.db'}"
    restore(tmp_path / "backup", alone, HostClock())
    with pytest.raises(JournalError, match="shared by several agents"):
        SqlJournal(alone)


def test_a_journal_written_undivided_is_not_divided(address: str, enter: Enter) -> None:
    with SqlJournal(address) as journal:
        journal.append([fact(RAISED)], {})
    with pytest.raises(JournalError, match="divided into 1"):
        enter("a")
    assert enter("b", partitions=1).claim([0]) == {0: 1}
