"""The edge-agent program: a store made from nothing, and mistakes answered with their remedy."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from cart_protocol.host.configuration import read
from cart_protocol.pricing.price_book import PriceBook
from edge_agent.config import Settings
from edge_agent.store.status import Status
from tests.edge_agent.shop_floor import ALICE, BOB, ShopFloor, play


def edge_agent(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "edge_agent", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    made = edge_agent("init", folder, "--store", "s1", "--name", 'Bob\'s "Best"', "--state", folder / "state")
    assert made.returncode == 0, made.stderr
    return folder / "edge.toml"


def test_a_new_store_is_good_and_a_cart_gets_its_bundle(config: Path, tmp_path: Path) -> None:
    checked = edge_agent("check", "--config", config)
    assert checked.returncode == 0, checked.stderr
    assert "good" in checked.stdout
    assert read(config, Settings).identity.name == 'Bob\'s "Best"'
    issued = edge_agent("issue-cart", "c1", "--config", config, "--output", tmp_path / "c1")
    assert issued.returncode == 0, issued.stderr
    files = {path.name for path in (tmp_path / "c1").iterdir()}
    assert files == {"cart.toml", "authority.pem", "c1.pem", "c1.key", "price_book.pub"}
    revoked = edge_agent("revoke", "c1", "--config", config)
    assert "1 certificates revoked" in revoked.stdout


def test_after_an_update_the_broker_lets_the_new_topics_through(config: Path) -> None:
    file = config.parent / "broker" / "access.txt"
    whole = file.read_text()
    file.write_text("\n".join(line for line in whole.splitlines() if "record" not in line))
    written = edge_agent("access-list", "--config", config)
    assert (written.returncode, file.read_text()) == (0, whole)


def test_secrets_are_closed_and_the_agent_never_gets_the_authoritys_key(config: Path) -> None:
    store = config.parent
    for secret in ("authority/authority.key", "keys/signing.key", "certificates/agent.key", "broker/broker.key"):
        assert (store / secret).stat().st_mode & 0o077 == 0
    assert "authority.key" not in config.read_text()


def test_a_store_is_not_made_twice(config: Path) -> None:
    again = edge_agent("init", config.parent, "--store", "s1", "--name", "x", "--state", config.parent / "state")
    assert again.returncode == 2
    assert "a store is there already" in again.stderr


def test_the_price_book_is_printed_as_carts_get_it(config: Path) -> None:
    printed = edge_agent("price-book", "--config", config)
    assert len(msgspec.json.decode(printed.stdout, type=PriceBook).products) >= 100


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (("port = 8883", 'port = "many"'), 14, "broker.port"),
        (("[payment]", "[payment]\ncolour = 3"), None, "unknown key 'payment.colour'"),
    ],
)
def test_a_wrong_configuration_is_named_with_file_line_and_remedy(
    config: Path, tmp_path: Path, change: tuple[str, str], line: int | None, said: str
) -> None:
    wrong = tmp_path / "edge.toml"
    wrong.write_text(config.read_text().replace(*change))
    run = edge_agent("run", "--config", wrong)
    assert run.returncode == 2
    assert said in run.stderr
    assert f"{wrong}, line {line or ''}" in run.stderr
    assert "Traceback" not in run.stderr


def test_status_sums_the_books_beside_a_running_agent(tmp_path: Path, config: Path) -> None:
    settings = [line for line in config.read_text().splitlines() if not line.startswith("database")]
    database = tmp_path / "store.db"
    asked = tmp_path / "edge.toml"
    asked.write_text("\n".join([f'database = "sqlite:///{database}"', *settings]))
    missing = edge_agent("status", "--config", asked)
    assert missing.returncode == 2
    assert "has the agent ever run" in missing.stderr
    assert not database.exists()

    async def story(floor: ShopFloor) -> tuple[int, Status]:
        one = await floor.paid("c1", ALICE)
        await floor.leave(ALICE)
        two = await floor.frozen("c2", BOB)
        found = edge_agent("status", "--config", asked, "--json")
        assert found.returncode == 0, found.stderr
        return len(one.outbox) + len(two.outbox), msgspec.json.decode(found.stdout, type=Status)

    recorded, found = play(tmp_path, story)
    assert (found.orders, found.orders_paid, found.orders_minor, found.paid_minor) == (2, 1, 240, 240)
    assert (found.cart_events, found.duplicates, found.exits) == (recorded, 0, 1)


def test_the_journal_is_backed_up_verified_and_brought_back(config: Path, tmp_path: Path) -> None:
    none_yet = edge_agent("verify", "--config", config)
    assert none_yet.returncode == 2
    assert "has the agent ever run?" in none_yet.stderr

    async def story(floor: ShopFloor) -> None:
        await floor.paid("c1", ALICE)

    play(tmp_path, story)
    database = tmp_path / "store.db"
    own = tmp_path / "edge.toml"
    own.write_text(config.read_text().replace(read(config, Settings).database, f"sqlite:///{database}"))
    assert edge_agent("verify", "--config", own).stdout.startswith("good. ")
    assert edge_agent("backup", tmp_path / "copy", "--config", own).returncode == 0
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE tender SET captured_minor = 1")
    connection.close()
    damaged = edge_agent("verify", "--config", own)
    assert damaged.returncode == 1
    assert "captured_minor is 1, the log says 240" in damaged.stdout
    refused = edge_agent("restore", tmp_path / "copy", "--config", own)
    assert refused.returncode == 2
    assert "--replace" in refused.stderr
    assert edge_agent("restore", tmp_path / "copy", "--config", own, "--replace").returncode == 0
    assert edge_agent("rebuild", "--config", own).returncode == 0
    assert edge_agent("verify", "--config", own).returncode == 0
