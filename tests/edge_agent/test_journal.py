"""The journal: all or nothing, in order, durable, fenced, and its read tables say what the facts say."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from cart_protocol.basket import CodeOffered, LineAdded, SessionBegan
from cart_protocol.ids import (
    CartId,
    CommandId,
    Epoch,
    IncidentId,
    LaneId,
    OrderId,
    Seq,
    SessionId,
    StaffId,
    TenderId,
    TokenId,
)
from cart_protocol.messages import CartTime, Recorded
from edge_agent.core.events import (
    CartReported,
    Fact,
    IncidentRaised,
    IncidentResolved,
    StoreEvent,
    TenderCaptured,
    TenderSubmitted,
    TokenBurned,
    TokenIssued,
    UnreadableFactError,
    decode,
    kind_of,
    stream_of,
)
from edge_agent.store import migrations
from edge_agent.store.journal import JournalError, SqlJournal
from edge_agent.store.projections import ProjectionError
from edge_agent.store.schema import HEAD, METADATA
from tests.edge_agent.shop_floor import euros

C1 = CartId("c1")
AT = CartTime(boot="b", monotonic_us=1, wall_ms=1, synchronised=True)


def fact(event: StoreEvent, at_ms: int = 5) -> Fact:
    return Fact(at_ms, event)


def heard(seq: int, event: CodeOffered | SessionBegan | LineAdded | None = None) -> CartReported:
    return CartReported(
        cart=C1, epoch=Epoch(3), recorded=Recorded(seq=Seq(seq), at=AT, event=event or CodeOffered(code=f"C{seq}"))
    )


ISSUED = TokenIssued(token=TokenId("t"), order=OrderId("o"), text="T", issued_ms=1, expires_ms=9)
BURNED = TokenBurned(token=TokenId("t"), order=OrderId("o"), lane=LaneId("l"))


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


def rows(address: str, query: str) -> list[tuple[object, ...]]:
    engine = create_engine(address)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return found


def test_what_was_appended_is_there_in_order_after_reopening(address: str) -> None:
    with SqlJournal(address) as journal:
        assert journal.append([fact(heard(1)), fact(heard(2))], {C1: (3, 2)}) == 2
        assert journal.append([fact(heard(3), at_ms=7)], {C1: (3, 3)}) == 3
    with SqlJournal(address) as journal:
        assert list(journal.replay()) == [fact(heard(1)), fact(heard(2)), fact(heard(3), at_ms=7)]
        assert journal.positions() == {C1: (3, 3)}
    assert rows(address, "SELECT number, stream, kind FROM entry ORDER BY number") == [
        (number, "cart/c1", "CartReported") for number in (1, 2, 3)
    ]


def test_a_failed_append_leaves_nothing_behind(address: str) -> None:
    with SqlJournal(address) as journal:
        journal.append([fact(heard(1))], {C1: (3, 1)})
        with pytest.raises(ProjectionError, match="cannot be burned"):
            journal.append([fact(heard(2)), fact(BURNED)], {C1: (3, 2)})
        assert list(journal.replay()) == [fact(heard(1))]
        assert journal.positions() == {C1: (3, 1)}


def test_a_token_burns_once(address: str) -> None:
    with SqlJournal(address) as journal:
        journal.append([fact(ISSUED), fact(BURNED)], {})
        with pytest.raises(ProjectionError):
            journal.append([fact(BURNED)], {})


def test_a_second_writer_is_stopped(address: str) -> None:
    with SqlJournal(address) as first, SqlJournal(address) as second:
        first.append([fact(heard(1))], {})
        with pytest.raises(JournalError, match="nothing was written"):
            second.append([fact(heard(2))], {})
        assert list(first.replay()) == [fact(heard(1))]


def test_commits_are_made_durable(address: str) -> None:
    with SqlJournal(address) as journal:
        connection = journal._connection
        with connection.begin():
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
            assert connection.execute(text("PRAGMA synchronous")).scalar() == 2


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be opened"):
        SqlJournal(f"sqlite:///{tmp_path / 'missing' / 'store.db'}")


def test_migrations_make_exactly_the_tables_of_the_schema(address: str) -> None:
    SqlJournal(address).close()
    engine = create_engine(address)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA)
    engine.dispose()
    assert differences == []


def test_the_programs_head_is_the_newest_migration(address: str) -> None:
    SqlJournal(address).close()
    assert rows(address, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    versions = Path(migrations.__file__).parent / "versions"
    assert max(file.stem for file in versions.glob("r*.py")).startswith(f"r{HEAD}_")


def test_a_journal_that_is_up_to_date_opens_without_alembic(address: str) -> None:
    SqlJournal(address).close()
    again = f"import sys; from edge_agent.store.journal import SqlJournal; SqlJournal({address!r}).close()"
    subprocess.run([sys.executable, "-c", f"{again}; assert 'alembic' not in sys.modules"], check=True, timeout=60)


def test_a_long_log_is_replayed_whole(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.store.journal._PAGE", 3)
    with SqlJournal(address) as journal:
        journal.append([fact(heard(seq)) for seq in range(1, 10)], {})
        assert [each.event for each in journal.replay()] == [heard(seq) for seq in range(1, 10)]
        journal.append([fact(heard(10))], {})
        assert len(list(journal.replay())) == 10


def test_the_read_tables_say_what_the_facts_say(address: str) -> None:
    tender, incident = TenderId("t1"), IncidentId("i1")
    events: list[StoreEvent] = [
        heard(1), heard(2, SessionBegan(session=SessionId("s"), command=CommandId("k"))),
        TenderSubmitted(tender=tender, order=OrderId("o"), amount=euros("2.40"), method="card", page_key="p"),
        TenderCaptured(tender=tender, amount=euros("2.00"), reference="r"),
        ISSUED, BURNED,
        IncidentRaised(incident=incident, key="k", where="lane l", cause="not-scanned", sentence="Look."),
        IncidentResolved(incident=incident, staff=StaffId("mia")),
    ]  # fmt: skip
    with SqlJournal(address) as journal:
        journal.append([fact(event) for event in events], {C1: (3, 2)})
    assert rows(address, "SELECT cart, phase, session, code FROM cart") == [("c1", "shopping", "s", "")]
    assert rows(address, "SELECT state, amount_minor, captured_minor FROM tender") == [("captured", 240, 200)]
    assert rows(address, "SELECT burned_at FROM token") == [("l",)]
    assert rows(address, "SELECT cause, resolved_by FROM incident") == [("not-scanned", "mia")]


def test_what_an_older_version_wrote_still_reads() -> None:
    resolved = decode(b'{"type":"IncidentResolved","incident":"i1","staff":"mia"}')
    assert resolved == IncidentResolved(incident=IncidentId("i1"), staff=StaffId("mia"), let_through=False)
    released = decode(b'{"type":"LaneReleased","lane":"l","staff":"mia","reason":"resolved"}')
    assert (kind_of(released), stream_of(released)) == ("LaneReleased", "lane/l")


def test_an_entry_of_a_newer_version_is_named_not_skipped() -> None:
    with pytest.raises(UnreadableFactError, match="newer version"):
        decode(b'{"type":"DroneLanded","where":"roof"}')
