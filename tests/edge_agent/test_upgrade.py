"""A journal that any released version wrote opens in this one, whole. released/ holds a small dump of each schema.

The dumps were made by the released programs themselves, playing `a_busy_shop` of test_agent_restart. A new released
schema gets its own two; nothing there is ever changed.
"""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from edge_agent.core.events import Fact, OrderPlaced
from edge_agent.core.shop import Shop
from edge_agent.store import upgrade
from edge_agent.store.database import open_engine
from edge_agent.store.journal import SqlJournal
from edge_agent.store.schema import HEAD
from edge_agent.store.verify import verify
from tests.postgres import Postgres

RELEASED = Path(__file__).parent / "released"
SQLITE = sorted(RELEASED.glob("*-sqlite.sql"))
POSTGRESQL = sorted(RELEASED.glob("*-postgresql.sql"))


@pytest.fixture
def released(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a database as a released version left it."""
    dump: Path = request.param
    if dump.stem.endswith("sqlite"):
        connection = sqlite3.connect(tmp_path / "store.db")
        connection.executescript(dump.read_text())
        connection.close()
        return f"sqlite:///{tmp_path / 'store.db'}"
    postgres: Postgres = request.getfixturevalue("postgres")
    address = postgres.database()
    postgres.load(address, dump)
    return address


DUMPS = [
    *(pytest.param(dump, id=dump.stem) for dump in SQLITE),
    *(pytest.param(dump, id=dump.stem, marks=pytest.mark.postgresql) for dump in POSTGRESQL),
]


@pytest.mark.parametrize("released", DUMPS, indirect=True)
def test_every_released_journal_opens_and_says_what_it_said(released: str) -> None:
    engine = open_engine(released)
    with engine.connect() as connection:
        before = connection.execute(text("SELECT count(*), max(number) FROM entry")).one()
        positions = {row.cart: (row.epoch, row.seq) for row in connection.execute(text('SELECT * FROM "position"'))}
        orders = connection.execute(text("SELECT count(*) FROM shop_order")).scalar_one()
    with SqlJournal(released) as journal:
        facts = list(journal.replay())
        assert len(facts) == before[0] == before[1]
        assert journal.positions() == positions
        shop = replayed(facts)
        assert len(shop.orders.by_id) == orders > 0
        assert {cart: (mirror.epoch, mirror.seq) for cart, mirror in shop.carts.items()} == positions
        assert sum(isinstance(fact.event, OrderPlaced) for fact in facts) == orders
        assert journal.append(facts[:0], {}) == before[1]
    assert verify(released).findings == ()
    with engine.connect() as connection:
        assert upgrade.revision_of(connection) == HEAD
    engine.dispose()


@pytest.mark.parametrize("released", DUMPS, indirect=True)
def test_an_upgrade_that_is_cut_off_leaves_the_journal_as_it_was(released: str) -> None:
    engine = open_engine(released)
    with engine.connect() as connection:
        before = state(connection)
    with engine.connect() as connection:
        connection.begin()
        assert upgrade.bring_up_to_date(connection)
        assert state(connection)[0] == HEAD
    with engine.connect() as connection:  # closed without a commit: as a power cut leaves it
        assert state(connection) == before
    engine.dispose()
    SqlJournal(released).close()


def test_every_schema_there_was_has_its_dumps() -> None:
    schemas = {f"{number:04}" for number in range(1, int(HEAD))}
    assert {dump.stem[:4] for dump in SQLITE} >= schemas
    assert {dump.stem[:4] for dump in POSTGRESQL} >= schemas


def replayed(facts: list[Fact]) -> Shop:
    shop = Shop()
    for fact in facts:
        shop.evolve(fact)
    return shop


def state(connection: Connection) -> tuple[str | None, list[tuple[object, ...]]]:
    rows = connection.execute(text("SELECT number, stream, kind, at_ms, body FROM entry ORDER BY number")).all()
    return upgrade.revision_of(connection), [(*row[:4], bytes(row.body)) for row in rows]
