"""The disk that can fail, beneath the product's own stores. It must be able to hurt, or it proves nothing."""

import _ctypes
import gc
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from cart_protocol.basket import Basket, WeightUnexplained
from cart_protocol.exchange import OutboxFullError
from cart_protocol.link.outbox import SqliteOutbox
from cart_protocol.mass import Mass
from cart_protocol.messages import CartTime
from sim.disk import Disk, Platter
from sim.sqlite_vfs import VfsError, library


@pytest.fixture
def disk() -> Iterator[Disk]:
    with Disk() as disk:
        yield disk


def a_ledger(folder: Path, synchronous: str = "FULL") -> sqlite3.Connection:
    database = sqlite3.connect(folder / "ledger.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute(f"PRAGMA synchronous={synchronous}")
    database.execute("PRAGMA wal_autocheckpoint=8")
    database.execute("CREATE TABLE IF NOT EXISTS line (number INTEGER PRIMARY KEY, text TEXT)")
    return database


def write_lines(database: sqlite3.Connection, until: int = 12) -> int:
    """Write lines, each in its own transaction; return how many were acknowledged before the disk gave up."""
    (number,) = database.execute("SELECT count(*) FROM line").fetchone()
    try:
        while number < until:
            database.execute("INSERT INTO line VALUES (?, ?)", (number + 1, "x" * 600))
            number += 1
    except sqlite3.OperationalError:
        pass
    return number


def lines(folder: Path) -> int:
    database = a_ledger(folder)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    (number,) = database.execute("SELECT count(*) FROM line").fetchone()
    database.close()
    return int(number)


def test_a_power_cut_takes_acknowledged_commits_from_a_database_that_does_not_sync(disk: Disk, tmp_path: Path) -> None:
    lost = []
    for seed in range(20):
        folder = tmp_path / str(seed)
        folder.mkdir()
        platter = disk.under(folder)
        database = a_ledger(folder, "OFF")
        acknowledged = write_lines(database)
        platter.cut_power(Random(seed))
        database.close()
        try:
            lost.append(acknowledged - lines(folder))
        except (sqlite3.DatabaseError, AssertionError):
            lost.append(acknowledged)
    assert max(lost) == 12
    assert 0 in lost, "sometimes everything had reached the disk"


def test_a_power_cut_at_any_operation_takes_nothing_from_one_that_does(disk: Disk, tmp_path: Path) -> None:
    assert 40 < operations(disk, tmp_path) < 200
    for last in range(1, operations(disk, tmp_path) + 1):
        folder = tmp_path / f"cut-{last}"
        folder.mkdir()
        platter = disk.under(folder)
        database = a_ledger(folder)
        platter.stop_at(last, dice=Random(last))
        acknowledged = write_lines(database)
        assert platter.stopped
        platter.cut_power(Random(last))
        found = lines(folder)
        assert acknowledged <= found <= acknowledged + 1
        database.close()


def operations(disk: Disk, tmp_path: Path) -> int:
    folder = tmp_path / "whole"
    folder.mkdir(exist_ok=True)
    (folder / "ledger.db").unlink(missing_ok=True)
    platter = disk.under(folder)
    database = a_ledger(folder)
    before = platter.writes + platter.syncs
    write_lines(database)
    after = platter.writes + platter.syncs
    database.close()
    return after - before


def test_a_killed_program_keeps_what_it_wrote_though_it_was_not_synced(disk: Disk, tmp_path: Path) -> None:
    platter = disk.under(tmp_path)
    database = a_ledger(tmp_path, "OFF")
    assert write_lines(database) == 12
    platter.stop()
    platter.kill()
    assert lines(tmp_path) == 12
    database.close()


def test_a_later_power_cut_can_still_take_what_a_killed_program_had_not_synced(disk: Disk, tmp_path: Path) -> None:
    lost = 0
    for seed in range(20):
        folder = tmp_path / str(seed)
        folder.mkdir()
        platter = disk.under(folder)
        database = a_ledger(folder, "OFF")
        platter.stop_at(15)
        acknowledged = write_lines(database)
        platter.kill()
        platter.cut_power(Random(seed))
        database.close()
        try:
            lost += lines(folder) < acknowledged
        except (sqlite3.DatabaseError, AssertionError):
            lost += 1
    assert lost > 0


def test_what_a_dead_program_still_has_open_can_do_no_harm(disk: Disk, tmp_path: Path) -> None:
    platter = disk.under(tmp_path)
    dead = a_ledger(tmp_path)
    assert write_lines(dead, 4) == 4
    dead.execute("PRAGMA wal_checkpoint")
    platter.stop()
    platter.kill()
    alive = a_ledger(tmp_path)
    assert write_lines(dead, 9) == 4, "the dead write nothing"
    assert write_lines(alive, 6) == 6, "and lock nothing"
    dead.close()
    del dead
    gc.collect()
    assert Path(f"{tmp_path}/ledger.db-wal").exists(), "closing last, the dead would have deleted the log"
    alive.close()
    assert lines(tmp_path) == 6


def test_dying_is_told_at_once_and_on_the_thread_that_writes(disk: Disk, tmp_path: Path) -> None:
    platter, died_on = disk.under(tmp_path), []
    database = a_ledger(tmp_path)
    platter.stop_at(3, on_stop=lambda: died_on.append(threading.get_ident()))
    write_lines(database)
    assert died_on == [threading.get_ident()]
    database.close()


def test_a_full_disk_refuses_what_grows_and_goes_on_when_there_is_room_again(disk: Disk, tmp_path: Path) -> None:
    platter = disk.under(tmp_path)
    outbox = SqliteOutbox(tmp_path / "outbox.db", 100, epoch_source=1)
    record(outbox)
    platter.full = True
    with pytest.raises(OutboxFullError, match="disk is full"):
        record(outbox)
    assert outbox.position.seq == 1
    platter.full = False
    record(outbox)
    outbox.close()
    assert [row.seq for row in reopened(tmp_path).load(0, 10)] == [1, 2]


def test_a_disk_of_a_given_size_is_full_when_it_is_full(disk: Disk, tmp_path: Path) -> None:
    platter = disk.under(tmp_path)
    database = a_ledger(tmp_path)
    platter.capacity = 60_000
    number = write_lines(database, 1_000)
    assert 10 < number < 1_000
    assert sum(map(len, platter.files().values())) <= 60_000
    database.close()


@pytest.mark.parametrize("failure", ["fail_next_write", "fail_next_sync"])
def test_one_failed_operation_stores_nothing_and_spoils_nothing(disk: Disk, tmp_path: Path, failure: str) -> None:
    platter = disk.under(tmp_path)
    outbox = SqliteOutbox(tmp_path / "outbox.db", 100, epoch_source=1)
    record(outbox)
    setattr(platter, failure, True)
    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        record(outbox)
    record(outbox)
    platter.stop()
    platter.cut_power(Random(1))
    outbox.close()
    assert [row.seq for row in reopened(tmp_path).load(0, 10)] == [1, 2]


def record(outbox: SqliteOutbox) -> None:
    at = CartTime(boot="b", monotonic_us=1, wall_ms=2, synchronised=False)
    outbox.record([WeightUnexplained(number=1, step=Mass(1))], at, Basket())


def reopened(folder: Path) -> SqliteOutbox:
    outbox = SqliteOutbox(folder / "outbox.db", 100, epoch_source=2)
    assert outbox.replaced is None
    assert outbox.position.epoch == 1
    return outbox


def test_each_machine_has_its_own_disk_and_other_folders_have_none(disk: Disk, tmp_path: Path) -> None:
    for name in ("cart", "store", "elsewhere"):
        (tmp_path / name).mkdir()
    cart, store = disk.under(tmp_path / "cart"), disk.under(tmp_path / "store")
    databases = [a_ledger(tmp_path / name) for name in ("cart", "store", "elsewhere")]
    cart.stop()
    assert [write_lines(database, 3) for database in databases] == [0, 3, 3]
    assert (cart.syncs > 0, store.writes > cart.writes) == (True, True)
    assert disk.under(tmp_path / "cart") is cart
    for database in databases:
        database.close()


def test_a_recording_holds_every_operation_and_every_promise(disk: Disk, tmp_path: Path) -> None:
    platter: Platter = disk.under(tmp_path)
    recording = platter.record()
    before = platter.writes + platter.syncs
    database = a_ledger(tmp_path)
    write_lines(database, 2)
    platter.mark("two lines")
    database.close()
    steps = [step for step in recording if step[0] is not None]
    assert (None, "two lines") in recording
    created = sum(str(step[1]) == "Create()" for step in steps)
    synced_deletions = 0  # SQLite does not sync the deletion of a log
    assert len(steps) == platter.writes + platter.syncs - before + created + synced_deletions


def test_a_disk_leaves_open_databases_working_when_it_goes(tmp_path: Path) -> None:
    with Disk() as disk:
        platter = disk.under(tmp_path)
        database = a_ledger(tmp_path)
        platter.stop()
    assert write_lines(database, 3) == 3
    database.close()
    assert lines(tmp_path) == 3


def test_what_fails_in_a_callback_is_not_lost_inside_sqlite(tmp_path: Path) -> None:
    def wrong() -> None:
        raise ValueError("the stage's own mistake")

    with pytest.raises(ValueError, match="own mistake"), Disk() as disk:  # noqa: PT012 - it is raised when the disk goes
        platter = disk.under(tmp_path)
        database = a_ledger(tmp_path)
        platter.stop_at(2, on_stop=wrong)
        write_lines(database, 1)
    database.close()


def test_two_disks_at_once_are_refused(disk: Disk) -> None:
    with pytest.raises(VfsError, match="installed already"):
        Disk().install()
    assert disk.under(Path("/nowhere")).writes == 0


def test_a_python_whose_sqlite_is_out_of_reach_is_named_with_a_remedy() -> None:
    with pytest.raises(VfsError, match="use a Python whose sqlite3 is linked"):
        library(_ctypes.__file__)
