"""Real parts that tests of several rooms start: the store's certificate authority and its broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.devices.authority import Authority
from tests.broker import STORE, Broker
from tests.postgres import Postgres


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One authority for all tests; what a test revokes stays revoked, so it takes a name of its own for that."""
    made = Authority.create(tmp_path_factory.mktemp("authority"), STORE)
    made.issue("broker", "broker", ["127.0.0.1", "localhost"])
    return made


@pytest.fixture
def broker(authority: Authority, tmp_path: Path) -> Iterator[Broker]:
    """A real mosquitto, listening. Mark the test with pytest.mark.broker."""
    started = Broker(authority, tmp_path)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL, for all tests; each takes databases of its own. Mark the test with pytest.mark.postgresql."""
    started = Postgres()
    started.start()
    yield started
    started.stop()
