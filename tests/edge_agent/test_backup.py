"""Backups taken while the store works, their way back, and the checks that tell a good journal from a damaged one."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from cart_protocol.basket import Basket, Position, SessionBegan
from cart_protocol.host.clock import HostClock
from cart_protocol.ids import CommandId, Epoch, SessionId
from edge_agent.core.events import CartSnapshotAdopted, StoreEvent
from edge_agent.store.backup import BackupError, backup, restore
from edge_agent.store.database import JournalError, open_engine
from edge_agent.store.journal import SqlJournal
from edge_agent.store.verify import rebuild, verify
from tests.edge_agent.shop_floor import MILK, ShopFloor, play
from tests.edge_agent.test_journal import (
    BURNED,
    C1,
    C2,
    CAPTURED,
    ISSUED,
    RAISED,
    REFUNDED,
    RESOLVED,
    SUBMITTED,
    fact,
    heard,
    rows,
)
from tests.postgres import Postgres

CLOCK = HostClock()
EVENTS: list[StoreEvent] = [
    heard(1), heard(2, SessionBegan(session=SessionId("s"), command=CommandId("k"))), heard(1, cart=C2), SUBMITTED,
    CAPTURED, REFUNDED, ISSUED, BURNED, RAISED, RESOLVED,
]  # fmt: skip


def change(address: str, statement: str) -> None:
    engine = open_engine(address)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


DAMAGES = {
    "UPDATE cart SET code = 'FORGED' WHERE cart = 'c2'": "cart c2: code is 'FORGED', the log says 'C1'",
    "UPDATE tender SET captured_minor = 9999": "tender t1: captured_minor is 9999, the log says 200",
    "UPDATE token SET burned_at = NULL, burned_ms = NULL": "token t: burned_at is None, the log says 'l'",
    "DELETE FROM incident": "incident i1: is missing",
    "INSERT INTO token VALUES ('x', 'o', 1, NULL, NULL)": "token x: is there, and the log knows nothing of it",
    "UPDATE \"position\" SET seq = 7 WHERE cart = 'c1'": "position c1: seq is 7, the log says 2",
    "DELETE FROM \"position\" WHERE cart = 'c2'": "position c2: is missing",
    "DELETE FROM entry WHERE number = 9": "entry 10: 9 before it is missing",
    "DELETE FROM entry WHERE number IN (1, 2)": "entry 3: 1 to 2 before it is missing",
    "UPDATE entry SET kind = 'TokenBurned' WHERE number = 4": "entry 4: says TokenBurned of order/o",
    "UPDATE entry SET body = (SELECT body FROM entry WHERE number = 1) WHERE number = 2":
        "entry 2: cart c1 reports 3/1 after 3/1",
    "UPDATE entry SET fence = 3 WHERE number = 4": "entry 5: written under fence 0 after fence 3",
}  # fmt: skip


class Contract:
    """Holds for every database. A subclass names it."""

    @pytest.fixture
    def filled(self, address: str) -> str:
        with SqlJournal(address) as journal:
            journal.append([fact(event) for event in EVENTS], {C1: (3, 2), C2: (3, 1)})
        return address

    def test_a_good_journal_verifies(self, filled: str) -> None:
        found = verify(filled)
        assert (found.findings, found.entries, found.ends) == ((), len(EVENTS), {0: len(EVENTS)})

    @pytest.mark.parametrize(("damage", "finding"), DAMAGES.items())
    def test_every_damage_is_found(self, filled: str, damage: str, finding: str) -> None:
        change(filled, damage)
        found = verify(filled)
        assert not found.good
        assert any(finding in each for each in found.findings), found.findings

    def test_damaged_read_tables_are_rebuilt(self, filled: str) -> None:
        change(filled, "DELETE FROM tender")
        change(filled, "UPDATE cart SET code = 'FORGED'")
        assert rebuild(filled) == len(EVENTS)
        assert verify(filled).good
        with SqlJournal(filled) as journal:
            assert journal.append([fact(heard(3))], {C1: (3, 3)}) == len(EVENTS) + 1

    def test_a_damaged_log_is_not_rebuilt_from(self, filled: str) -> None:
        change(filled, "DELETE FROM tender")
        change(filled, "DELETE FROM entry WHERE number = 1")
        with pytest.raises(JournalError, match="nothing was changed"):
            rebuild(filled)
        assert rows(filled, "SELECT count(*) FROM cart") == [(2,)]

    def test_a_cart_that_begins_anew_is_in_order(self, filled: str) -> None:
        with SqlJournal(filled) as journal:
            anew = CartSnapshotAdopted(
                cart=C1, position=Position(epoch=Epoch(9), seq=heard(40).recorded.seq), basket=Basket()
            )
            journal.append([fact(anew)], {C1: (9, 40)})
        assert verify(filled).good

    def test_a_backup_taken_under_load_restores_and_verifies(self, address: str, other: str, tmp_path: Path) -> None:
        stop, written = threading.Event(), [0]

        def load() -> None:
            with SqlJournal(address) as journal:
                while not stop.is_set():
                    seqs = range(written[0] + 1, written[0] + 21)
                    written[0] = journal.append([fact(heard(seq)) for seq in seqs], {C1: (3, seqs[-1])})

        SqlJournal(address).close()
        loading = threading.Thread(target=load)
        loading.start()
        while written[0] < 2_000:
            stop.wait(0.01)
        before = written[0]
        made = backup(address, tmp_path / "backup", CLOCK)
        stop.set()
        loading.join()
        assert before <= made.entries == made.ends[0] <= written[0]
        assert made.entries % 20 == 0, "a group is in it whole or not at all"
        assert restore(tmp_path / "backup", other, CLOCK) == made
        with SqlJournal(other) as journal:
            assert journal.positions() == {C1: (3, made.entries)}
            assert journal.append([fact(heard(made.entries + 1))], {C1: (3, made.entries + 1)}) == made.entries + 1
        assert verify(other).good

    def test_a_journal_with_entries_is_only_replaced_on_demand_and_set_aside(self, filled: str, tmp_path: Path) -> None:
        backup(filled, tmp_path / "backup", CLOCK)
        with SqlJournal(filled) as journal:
            journal.append([fact(heard(3))], {C1: (3, 3)})
        with pytest.raises(BackupError, match="--replace"):
            restore(tmp_path / "backup", filled, CLOCK)
        assert verify(filled).entries == len(EVENTS) + 1
        restore(tmp_path / "backup", filled, CLOCK, replace=True)
        assert verify(filled).entries == len(EVENTS)
        assert self.set_aside(filled) == len(EVENTS) + 1

    def test_a_journal_in_use_is_not_replaced(self, filled: str, tmp_path: Path) -> None:
        backup(filled, tmp_path / "backup", CLOCK)
        with SqlJournal(filled) as journal:
            with pytest.raises(BackupError, match="stop the agent"):
                restore(tmp_path / "backup", filled, CLOCK, replace=True)
            journal.append([fact(heard(3))], {C1: (3, 3)})
        assert verify(filled).good

    def test_a_backup_of_one_database_restores_into_the_other(self, filled: str, foreign: str, tmp_path: Path) -> None:
        made = backup(filled, tmp_path / "backup", CLOCK)
        assert restore(tmp_path / "backup", foreign, CLOCK) == made
        with SqlJournal(filled) as ours, SqlJournal(foreign) as theirs:
            assert list(ours.replay()) == list(theirs.replay())

    def set_aside(self, address: str) -> int:
        raise NotImplementedError


class TestSqlite(Contract):
    @pytest.fixture
    def address(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'store.db'}"

    @pytest.fixture
    def other(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'other.db'}"

    @pytest.fixture
    def foreign(self, postgres: Postgres) -> str:
        return postgres.database()

    def set_aside(self, address: str) -> int:
        place = Path(address.removeprefix("sqlite:///"))
        (old,) = place.parent.glob("store.db.replaced-*")
        return verify(f"sqlite:///{old}").entries

    def test_a_backup_that_was_touched_is_refused(self, filled: str, other: str, tmp_path: Path) -> None:
        backup(filled, tmp_path / "backup", CLOCK)
        change(f"sqlite:///{tmp_path / 'backup' / 'journal.sqlite'}", "UPDATE tender SET captured_minor = 1")
        with pytest.raises(BackupError, match="SHA-256"):
            restore(tmp_path / "backup", other, CLOCK)
        assert not (tmp_path / "other.db").exists()

    def test_a_backup_of_a_damaged_journal_is_not_restored(self, filled: str, other: str, tmp_path: Path) -> None:
        change(filled, "UPDATE tender SET captured_minor = 1")
        backup(filled, tmp_path / "backup", CLOCK)
        with pytest.raises(BackupError, match="does not verify"):
            restore(tmp_path / "backup", other, CLOCK)
        assert not (tmp_path / "other.db").exists()

    def test_what_is_no_backup_or_there_already_is_named(self, filled: str, tmp_path: Path) -> None:
        with pytest.raises(BackupError, match="is no backup"):
            restore(tmp_path, filled, CLOCK)
        with pytest.raises(BackupError, match="is there already"):
            backup(filled, tmp_path, CLOCK)
        with pytest.raises(JournalError, match="has the agent ever run"):
            backup(f"sqlite:///{tmp_path / 'none.db'}", tmp_path / "backup", CLOCK)


@pytest.mark.postgresql
class TestPostgresql(Contract):
    @pytest.fixture
    def address(self, postgres: Postgres) -> str:
        return postgres.database()

    @pytest.fixture
    def other(self, postgres: Postgres) -> str:
        return postgres.database()

    @pytest.fixture
    def foreign(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'foreign.db'}"

    def set_aside(self, address: str) -> int:
        schemas = "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'replaced_%'"
        ((schema,),) = rows(address, schemas)
        ((count,),) = rows(address, f"SELECT count(*) FROM {schema}.entry")  # noqa: S608
        return int(count)


def test_after_an_older_backup_carts_and_store_agree_again(tmp_path: Path) -> None:
    """The carts were told that events are safe, forgot them, and the store no longer has them: a snapshot mends it."""

    async def story(floor: ShopFloor) -> None:
        cart = await floor.bound()
        cart.put_in(MILK)
        await floor.quiet(1)
        backup(floor.database, tmp_path / "backup", floor.clock)
        cart.put_in(MILK)
        await floor.quiet(1)
        await floor.kill()
        restore(tmp_path / "backup", floor.database, floor.clock, replace=True)
        await floor.open()
        await floor.quiet(5)
        assert floor.agent.recorder.shop.mirror(cart.cart).basket == cart.basket
        assert len(cart.basket.lines) == 2
        cart.put_in(MILK)
        await floor.quiet(1)
        assert floor.agent.recorder.shop.mirror(cart.cart).basket == cart.basket
        assert verify(floor.database).good

    play(tmp_path, story)
