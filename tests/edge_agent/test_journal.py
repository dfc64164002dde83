"""The journal: one contract for every database. All or nothing, in order, durable, one writer, read tables included."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from cart_protocol.basket import CartEvent, CodeOffered, Position, SessionBegan
from cart_protocol.ids import (
    CartId,
    CommandId,
    Epoch,
    IncidentId,
    LaneId,
    LessonId,
    LineId,
    OrderId,
    OrderNumber,
    ProductId,
    RecordId,
    Seq,
    SessionId,
    ShopperId,
    StaffId,
    TenderId,
    TokenId,
)
from cart_protocol.mass import Mass, Variance
from cart_protocol.messages import CartTime, Recorded
from cart_protocol.money import Money
from cart_protocol.pricing.line import LinePrice
from cart_protocol.pricing.price_book import SoldBy
from cart_protocol.sight import Learned, Taught, Verdict
from edge_agent.core import payment
from edge_agent.core.events import (
    CartReported,
    Fact,
    IncidentRaised,
    IncidentResolved,
    LessonAsked,
    LessonFailed,
    LessonSetAside,
    LessonTaken,
    OrderLine,
    OrderPlaced,
    RecordDropped,
    RecordKept,
    SightChanged,
    StoreEvent,
    TenderCaptured,
    TenderRefunded,
    TenderSubmitted,
    TokenBurned,
    TokenIssued,
    UnreadableFactError,
    decode,
    kind_of,
    stream_of,
)
from edge_agent.store import migrations
from edge_agent.store.database import JournalError, open_engine
from edge_agent.store.journal import SqlJournal
from edge_agent.store.projections import ProjectionError
from edge_agent.store.schema import HEAD, METADATA
from edge_agent.store.verify import verify
from edge_agent.store.writer import SqliteWriter
from tests.edge_agent.shop_floor import euros
from tests.postgres import Postgres

C1, C2 = CartId("c1"), CartId("c2")
AT = CartTime(boot="b", monotonic_us=1, wall_ms=1, synchronised=True)


def fact(event: StoreEvent, at_ms: int = 5) -> Fact:
    return Fact(at_ms, event)


def heard(seq: int, event: CartEvent | None = None, cart: CartId = C1) -> CartReported:
    recorded = Recorded(seq=Seq(seq), at=AT, event=event or CodeOffered(code=f"C{seq}"))
    return CartReported(cart=cart, epoch=Epoch(3), recorded=recorded)


TENDER, INCIDENT = TenderId("t1"), IncidentId("i1")
ISSUED = TokenIssued(token=TokenId("t"), order=OrderId("o"), text="T", issued_ms=1, expires_ms=9)
AGAIN = TokenIssued(token=TokenId("t"), order=OrderId("o"), text="T", issued_ms=5, expires_ms=14)
BURNED = TokenBurned(token=TokenId("t"), order=OrderId("o"), lane=LaneId("l"))
SUBMITTED = TenderSubmitted(tender=TENDER, order=OrderId("o"), amount=euros("2.40"), method="card", page_key="p")
CAPTURED = TenderCaptured(tender=TENDER, amount=euros("2.00"), reference="r")
REFUNDED = TenderRefunded(tender=TENDER, amount=euros("0.50"), reference="x")
RAISED = IncidentRaised(incident=INCIDENT, key="k", where="lane l", cause="not-scanned", sentence="Look.")
RESOLVED = IncidentResolved(incident=INCIDENT, staff=StaffId("mia"))


def ordered(line: LineId, mass: Mass) -> OrderLine:
    price = LinePrice(
        book_version=1,
        sold_by=SoldBy.PIECE,
        unit=euros("1.20"),
        total=euros("1.20"),
        tax=euros("0.08"),
        tax_class="A" * 99,
    )
    return OrderLine(
        line=line, product=ProductId("p" * 9_000), name="n", quantity=10**12, mass=mass, nominal=mass,
        nominal_variance=Variance(0), price=price, tagged=False,
    )  # fmt: skip


def rows(address: str, query: str) -> list[tuple[Any, ...]]:
    engine = open_engine(address)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return found


class Contract:
    """What every journal must do, on whatever database. A subclass names the database."""

    @pytest.fixture
    def journal(self, address: str) -> Iterator[SqlJournal]:
        with SqlJournal(address) as opened:
            yield opened

    def test_what_was_appended_is_there_in_order_after_reopening(self, address: str) -> None:
        with SqlJournal(address) as journal:
            assert journal.append([fact(heard(1)), fact(heard(2))], {C1: (3, 2)}) == 2
            assert journal.append([fact(heard(3), at_ms=7)], {C1: (3, 3)}) == 3
        with SqlJournal(address) as journal:
            assert list(journal.replay()) == [fact(heard(1)), fact(heard(2)), fact(heard(3), at_ms=7)]
            assert journal.positions() == {C1: (3, 3)}
            assert journal.append([fact(heard(4))], {}) == 4
        assert rows(address, "SELECT number, stream, kind FROM entry ORDER BY number") == [
            (number, "cart/c1", "CartReported") for number in (1, 2, 3, 4)
        ]

    @pytest.mark.parametrize("size", [1, 2, 1000])
    def test_groups_of_any_size_are_numbered_without_a_gap(self, journal: SqlJournal, address: str, size: int) -> None:
        for group in range(3):
            seqs = range(group * size + 1, (group + 1) * size + 1)
            journal.append([fact(heard(seq)) for seq in seqs], {C1: (3, seqs[-1])})
        assert [row[0] for row in rows(address, "SELECT number FROM entry ORDER BY number")] == list(
            range(1, 3 * size + 1)
        )
        assert journal.positions() == {C1: (3, 3 * size)}
        assert rows(address, "SELECT code FROM cart") == [(f"C{3 * size}",)]

    def test_a_failed_append_leaves_nothing_behind(self, journal: SqlJournal, address: str) -> None:
        journal.append([fact(heard(1))], {C1: (3, 1)})
        with pytest.raises(ProjectionError, match="cannot be burned"):
            journal.append([fact(heard(2)), fact(RAISED), fact(BURNED)], {C1: (3, 2)})
        assert list(journal.replay()) == [fact(heard(1))]
        assert journal.positions() == {C1: (3, 1)}
        assert rows(address, "SELECT code FROM cart") == [("C1",)]
        assert rows(address, "SELECT * FROM incident") == []
        assert journal.append([fact(heard(2))], {C1: (3, 2)}) == 2

    @pytest.mark.parametrize("groups", [[[ISSUED, BURNED], [BURNED]], [[ISSUED], [BURNED], [AGAIN, BURNED]],
                                        [[ISSUED, BURNED, BURNED]], [[ISSUED], [BURNED, BURNED]]])  # fmt: skip
    def test_a_token_burns_once(self, journal: SqlJournal, groups: list[list[StoreEvent]]) -> None:
        *before, last = [[fact(event) for event in events] for events in groups]
        for group in before:
            journal.append(group, {})
        with pytest.raises(ProjectionError, match="t is unknown or spent"):
            journal.append(last, {})

    @pytest.mark.parametrize("event", [CAPTURED, RESOLVED])
    def test_a_fact_about_something_that_is_not_there_is_refused(self, journal: SqlJournal, event: StoreEvent) -> None:
        with pytest.raises(ProjectionError, match="not there"):
            journal.append([fact(event)], {})
        assert list(journal.replay()) == []

    def test_a_record_is_written_and_deleted_with_the_fact_that_says_so(
        self, journal: SqlJournal, address: str
    ) -> None:
        parts = [bytes([number]) * 16_384 for number in range(120)] + [b"end"]
        body = b"".join(parts)
        kept = RecordKept(
            record=RecordId("r1"), cart=C1, size=len(body), picture=3, sessions=(),
            sha256=hashlib.sha256(body).hexdigest(),
        )  # fmt: skip
        journal.keep([fact(kept)], parts)
        assert journal.record(RecordId("r1")) == body
        assert verify(address).findings == ()
        with pytest.raises(JournalError, match="nothing was written"):
            journal.keep([fact(kept)], parts)
        journal.append([fact(RecordDropped(record=RecordId("r1"), cart=C1, reason="expired"))], {})
        assert journal.record(RecordId("r1")) == b""
        assert rows(address, "SELECT * FROM cart_record") == []
        assert verify(address).findings == ()

    def test_a_second_writer_is_stopped(self, journal: SqlJournal, address: str) -> None:
        with SqlJournal(address) as second:
            journal.append([fact(heard(1))], {C1: (3, 1)})
            with pytest.raises(JournalError, match="nothing was written"):
                second.append([fact(heard(2))], {C1: (3, 2)})
        assert list(journal.replay()) == [fact(heard(1))]
        assert journal.positions() == {C1: (3, 1)}

    def test_a_long_log_is_replayed_whole(self, journal: SqlJournal, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("edge_agent.store.journal._PAGE", 3)
        journal.append([fact(heard(seq)) for seq in range(1, 10)], {})
        assert [each.event for each in journal.replay()] == [heard(seq) for seq in range(1, 10)]
        journal.append([fact(heard(10))], {})
        assert len(list(journal.replay())) == 10

    def test_an_entry_of_a_newer_version_stops_the_replay(self, journal: SqlJournal, address: str) -> None:
        journal.append([fact(heard(1))], {})
        engine = open_engine(address)
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO entry (number, stream, kind, at_ms, body) VALUES (2, 'roof', 'DroneLanded', 1, :body)"
                ),
                {"body": b'{"type":"DroneLanded","where":"roof"}'},
            )
        engine.dispose()
        with pytest.raises(UnreadableFactError, match="newer version"):
            list(journal.replay())

    def test_the_read_tables_say_what_the_facts_say_in_one_group_or_many(self, address: str) -> None:
        events: list[StoreEvent] = [
            heard(1), heard(2, SessionBegan(session=SessionId("s"), command=CommandId("k"))), heard(1, cart=C2),
            SUBMITTED, CAPTURED, REFUNDED, REFUNDED, ISSUED, AGAIN, BURNED, RAISED, RESOLVED,
        ]  # fmt: skip
        found = []
        with SqlJournal(address) as journal:
            journal.append([fact(event) for event in events], {C1: (3, 2), C2: (3, 1)})
            found.append(self._tables(address))
        self._forget(address)
        with SqlJournal(address) as journal:
            for event in events:
                journal.append([fact(event)], {})
            found.append(self._tables(address))
        assert found[0] == found[1]
        assert found[0] == [
            [("c1", "shopping", "s", "", "", False, 5), ("c2", "idle", None, "C1", "", False, 5)],
            [("captured", 240, 200, 100)], [("l", 5, 14)], [("not-scanned", "mia")],
        ]  # fmt: skip

    def test_the_longest_words_that_payment_takes_from_outside_fit(self, journal: SqlJournal) -> None:
        tender, amount = TenderId("t"), euros("1.00")
        method = "m" * 32
        assert payment._METHOD.fullmatch(method)
        submitted = TenderSubmitted(tender=tender, order=OrderId("o"), amount=amount, method=method, page_key="p")
        captured = TenderCaptured(tender=tender, amount=amount, reference="r" * 500)
        journal.append([fact(submitted), fact(captured)], {})
        assert [each.event for each in journal.replay()] == [submitted, captured]

    def test_lessons_and_versions_of_sight_come_back_as_they_were(self, journal: SqlJournal) -> None:
        taught = Taught(product=ProductId("plu:00042"), network_sha256="a" * 64, shots=5, vector=bytes(range(256)) * 2)
        learned = Learned(taught=taught, verdict=Verdict.TAP, right=4, together=70)
        name, mina = LessonId("l"), StaffId("mina")
        events: list[StoreEvent] = [
            LessonAsked(lesson=name, cart=C1, product=taught.product, staff=mina, shots=5),
            LessonTaken(lesson=name, cart=C1, learned=learned),
            LessonFailed(lesson=LessonId("m"), cart=C1, reason="offline", sentence="Away."),
            SightChanged(version=1, staff=mina, doing="taught", product=taught.product, lesson=name),
            SightChanged(version=2, staff=mina, doing="rolled-back", to=0),
            LessonSetAside(lesson=name, cart=C1, staff=mina),
        ]
        journal.append([fact(event) for event in events], {})
        assert [each.event for each in journal.replay()] == events

    def test_nothing_that_a_cart_can_say_stops_the_store(self, journal: SqlJournal, address: str) -> None:
        """What the database refused would come again after every start of the agent."""
        odd, long = "a\0b", "x" * 100_000
        lines = tuple(
            ordered(LineId(name), Mass(mass)) for name, mass in ((odd, 10**30), (long, 1), (long + "y", -(10**30)))
        )
        placed = OrderPlaced(
            order=OrderId("o"), number=OrderNumber("1"), sequence=1, session=SessionId(long), shopper=ShopperId("s"),
            cart=C1, frozen_at=Position(epoch=Epoch(3), seq=Seq(2)), lines=lines, total=euros("1.20"), taxes=(),
            settled=Mass(10**30), variance=Variance(10**40), tags=10**12,
        )  # fmt: skip
        events: list[StoreEvent] = [
            heard(1, CodeOffered(code=odd + long)),
            heard(2, SessionBegan(session=SessionId(odd), command=CommandId(long))),
            placed, TenderCaptured(tender=TENDER, amount=Money(10**25, "EURO"), reference=odd),
        ]  # fmt: skip
        journal.append([fact(SUBMITTED)], {})
        journal.append([fact(event) for event in events], {C1: (3, 2)})
        assert [each.event for each in journal.replay()] == [SUBMITTED, *events]
        assert rows(address, "SELECT count(*) FROM order_line") == [(3,)]
        assert rows(address, "SELECT captured_minor FROM tender") == [((1 << 63) - 1,)]
        assert verify(address).findings == ()

    def test_what_was_acknowledged_survives_the_writers_death(self, address: str) -> None:
        """kill -9 in the middle of an append: every acknowledged group is whole, and at most one more."""
        SqlJournal(address).close()
        writing = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("journal_writer.py"), address], stdout=subprocess.PIPE
        )
        assert writing.stdout is not None
        for _ in range(20):
            acknowledged = int(writing.stdout.readline())
        writing.kill()
        acknowledged = max([acknowledged, *map(int, writing.stdout.read().split(b"\n")[:-1])])
        writing.wait()
        writing.stdout.close()
        with SqlJournal(address) as journal:
            found = len(list(journal.replay()))
            assert found in {acknowledged, acknowledged + 50}
            assert journal.positions() == {C1: (3, found)}
            assert journal.append([fact(heard(found + 1))], {C1: (3, found + 1)}) == found + 1

    def test_migrations_make_exactly_the_tables_of_the_schema(self, address: str) -> None:
        SqlJournal(address).close()
        engine = open_engine(address)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            differences = compare_metadata(context, METADATA)
            keys = context.connection.dialect.get_pk_constraint(connection, "entry")
        engine.dispose()
        assert differences == []
        assert keys["constrained_columns"] == ["partition", "number"]

    def _tables(self, address: str) -> list[list[tuple[Any, ...]]]:
        cart, *others = (rows(address, query) for query in (
            "SELECT cart, phase, session, code, faults, withdrawn, at_ms FROM cart ORDER BY cart",
            "SELECT state, amount_minor, captured_minor, refunded_minor FROM tender",
            "SELECT burned_at, burned_ms, expires_ms FROM token",
            "SELECT cause, resolved_by FROM incident",
        ))  # fmt: skip
        return [[(*row[:5], bool(row[5]), row[6]) for row in cart], *others]

    def _forget(self, address: str) -> None:
        engine = open_engine(address)
        with engine.begin() as connection:
            for table in METADATA.sorted_tables:
                connection.execute(table.delete())
        engine.dispose()


class TestSqlite(Contract):
    @pytest.fixture
    def address(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'store.db'}"

    def test_commits_are_made_durable(self, journal: SqlJournal) -> None:
        assert isinstance(journal._writer, SqliteWriter)
        assert journal._writer.read("PRAGMA journal_mode") == [("wal",)]
        assert journal._writer.read("PRAGMA synchronous") == [(2,)]

    def test_a_folder_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(JournalError, match=r"missing.*cannot be opened"):
            SqlJournal(f"sqlite:///{tmp_path / 'missing' / 'store.db'}")

    def test_the_programs_head_is_the_newest_migration(self, address: str) -> None:
        SqlJournal(address).close()
        assert rows(address, "SELECT version_num FROM alembic_version") == [(HEAD,)]
        versions = Path(migrations.__file__).parent / "versions"
        assert max(file.stem for file in versions.glob("r*.py")).startswith(f"r{HEAD}_")

    def test_a_journal_that_is_up_to_date_opens_without_alembic(self, address: str) -> None:
        SqlJournal(address).close()
        again = f"import sys; from edge_agent.store.journal import SqlJournal; SqlJournal({address!r}).close()"
        subprocess.run([sys.executable, "-c", f"{again}; assert 'alembic' not in sys.modules"], check=True, timeout=60)


@pytest.mark.postgresql
class TestPostgresql(Contract):
    @pytest.fixture
    def address(self, postgres: Postgres) -> str:
        return postgres.database()

    def test_commits_are_made_durable(self, journal: SqlJournal) -> None:
        assert journal._writer.read("SHOW synchronous_commit") == [("on",)]
        assert journal._writer.read("SHOW fsync") == [("on",)]

    def test_what_was_acknowledged_survives_the_servers_death(self) -> None:
        """The database is taken down as by a power cut, and recovers."""
        server = Postgres()
        try:
            server.start()
            address = server.database()
            with SqlJournal(address) as journal:
                for seq in range(1, 50):
                    journal.append([fact(heard(seq))], {C1: (3, seq)})
                server.kill()
                with pytest.raises(JournalError, match="nothing was written"):
                    journal.append([fact(heard(50))], {C1: (3, 50)})
            server.start()
            with SqlJournal(address) as journal:
                assert [each.event for each in journal.replay()] == [heard(seq) for seq in range(1, 50)]
                assert journal.positions() == {C1: (3, 49)}
        finally:
            server.stop()

    def test_a_server_that_does_not_answer_is_named(self) -> None:
        with pytest.raises(JournalError, match=r"nowhere.*cannot be opened"):
            SqlJournal("postgresql+psycopg://shop@/db?host=/nowhere")


def test_a_database_of_another_kind_is_refused() -> None:
    with pytest.raises(JournalError, match="neither sqlite"):
        SqlJournal("mysql://shop@db/store")
    with pytest.raises(JournalError, match="no address"):
        SqlJournal("store.db")


def test_what_an_older_version_wrote_still_reads() -> None:
    resolved = decode(b'{"type":"IncidentResolved","incident":"i1","staff":"mia"}')
    assert resolved == IncidentResolved(incident=IncidentId("i1"), staff=StaffId("mia"), let_through=False)
    released = decode(b'{"type":"LaneReleased","lane":"l","staff":"mia","reason":"resolved"}')
    assert (kind_of(released), stream_of(released)) == ("LaneReleased", "lane/l")


def test_an_entry_of_a_newer_version_is_named_not_skipped() -> None:
    with pytest.raises(UnreadableFactError, match="newer version"):
        decode(b'{"type":"DroneLanded","where":"roof"}')
