"""The outbox on a real disk, and under kill -9. Started as a program, this file is the cart that gets killed."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cart_protocol.basket import (
    Basket,
    BasketFrozen,
    BasketThawed,
    CartEvent,
    CodeOffered,
    CommandRefused,
    FaultsChanged,
    Position,
    SessionBegan,
    SessionEnded,
    WeightExplained,
    WeightUnexplained,
    Withdrawn,
    evolve,
)
from cart_protocol.exchange import LocalProtocolError, OutboxFullError
from cart_protocol.ids import CommandId, Epoch, Seq, SessionId
from cart_protocol.link.outbox import RESERVE, OutboxError, SqliteOutbox
from cart_protocol.mass import Mass, Variance
from cart_protocol.messages import CartTime, PriceBookIssue
from tests.small_disk import SmallDisk, small_disk

AT = CartTime(boot="b", monotonic_us=1, wall_ms=2, synchronised=False)


def at(epoch: int, seq: int) -> Position:
    return Position(epoch=Epoch(epoch), seq=Seq(seq))


def step(number: int) -> CartEvent:
    """The cart's story by seq: a step on the platform, and every third time an explanation."""
    if number % 3 == 0:
        return WeightExplained(number=number - 1, by="scan")
    return WeightUnexplained(number=number, step=Mass(number))


def story(through: int) -> Basket:
    basket = Basket()
    for number in range(1, through + 1):
        evolve(basket, step(number))
    return basket


def tell(outbox: SqliteOutbox, count: int, *, urgent: bool = False) -> None:
    """Record the next `count` events in one transaction."""
    first = outbox.position.seq + 1
    events = [step(number) for number in range(first, first + count)]
    outbox.record(events, AT, story(first + count - 1), urgent=urgent)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[SqliteOutbox]:
    opened = SqliteOutbox(path, capacity=100, epoch_source=5)
    yield opened
    opened.close()


def test_a_new_outbox_is_empty_and_of_the_given_epoch(outbox: SqliteOutbox) -> None:
    assert outbox.position == at(5, 0)
    assert outbox.acknowledged == 0
    assert outbox.basket() == Basket()
    assert outbox.load(0, 10) == []
    assert outbox.price_book() is None
    assert outbox.replaced is None


def test_events_are_numbered_without_gaps_and_come_back_after_a_restart(path: Path, outbox: SqliteOutbox) -> None:
    tell(outbox, 3)
    recorded = outbox.record([step(4), step(5)], AT, story(5))
    assert [event.seq for event in recorded] == [4, 5]
    assert outbox.record([], AT, Basket()) == []
    outbox.close()
    again = SqliteOutbox(path, capacity=100, epoch_source=99)
    assert again.position == at(5, 5)
    assert again.basket() == story(5)
    assert [event.event for event in again.load(0, 10)] == [step(number) for number in range(1, 6)]
    assert again.load(3, 1) == recorded[:1]
    again.close()


def test_what_is_acknowledged_is_forgotten_and_the_count_goes_on(path: Path, outbox: SqliteOutbox) -> None:
    tell(outbox, 9)
    outbox.prune(9)
    outbox.prune(4)
    assert outbox.acknowledged == 9
    assert outbox.load(0, 10) == []
    outbox.close()
    again = SqliteOutbox(path, capacity=100, epoch_source=99)
    assert (again.acknowledged, again.position) == (9, at(5, 9))
    tell(again, 1)
    assert [event.seq for event in again.load(0, 10)] == [10]
    again.close()


def test_pruning_what_was_never_recorded_is_our_own_mistake(outbox: SqliteOutbox) -> None:
    tell(outbox, 2)
    with pytest.raises(LocalProtocolError, match="prune through 3; recorded is 2"):
        outbox.prune(3)


def test_a_full_outbox_takes_only_urgent_events_and_those_up_to_the_reserve(outbox: SqliteOutbox) -> None:
    tell(outbox, 99)
    with pytest.raises(OutboxFullError, match="101 events would wait for the store; there is room for 100"):
        tell(outbox, 2)
    assert outbox.position == at(5, 99), "all or nothing"
    assert outbox.basket() == story(99)
    tell(outbox, 1)
    with pytest.raises(OutboxFullError):
        tell(outbox, 1)
    tell(outbox, RESERVE, urgent=True)
    with pytest.raises(OutboxFullError):
        tell(outbox, 1, urgent=True)
    outbox.prune(RESERVE + 1)
    tell(outbox, 1)


def test_a_full_disk_is_a_full_outbox_and_nothing_is_half_stored(outbox: SqliteOutbox) -> None:
    tell(outbox, 3)
    (pages,) = outbox._database.execute("PRAGMA page_count").fetchone()
    outbox._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutboxFullError, match="disk is full"):
        outbox.record([CodeOffered(code="x" * 50_000)], AT, Basket())
    assert outbox.position == at(5, 3)
    assert outbox.basket() == story(3)
    outbox._database.execute(f"PRAGMA max_page_count = {pages + 1000}")
    tell(outbox, 1)
    assert outbox.position == at(5, 4)


def test_staff_can_be_told_at_four_fifths_and_removals_leave_places_for_the_end(outbox: SqliteOutbox) -> None:
    tell(outbox, 79)
    assert outbox.low_on() == ()
    tell(outbox, 1)
    assert outbox.low_on() == ("outbox",)
    tell(outbox, 20)
    assert not outbox.has_room()
    tell(outbox, RESERVE // 2, urgent=True)
    assert not outbox.spares(RESERVE // 2)
    assert outbox.spares(1)
    outbox.prune(60)
    assert outbox.low_on() == ()
    assert outbox.has_room()


def test_on_a_full_disk_urgent_events_live_on_a_reserve(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        path, reserve = disk.folder / "outbox.db", disk.folder / "outbox.db.reserve"
        outbox = SqliteOutbox(path, capacity=100_000, epoch_source=5, disk_reserve=1 << 20)
        assert reserve.stat().st_size == 1 << 20
        assert outbox.low_on() == ("disk",)
        told = fill(outbox, disk)
        assert not outbox.has_room()
        assert reserve.exists(), "ordinary events do not touch it"
        tell(outbox, RESERVE, urgent=True)
        told += RESERVE
        outbox.prune(told)
        outbox.close()
        disk.fill()
        again = SqliteOutbox(path, capacity=100_000, epoch_source=6, disk_reserve=1 << 20)
        assert again.position == at(5, told)
        assert again.acknowledged == told
        assert not reserve.exists()
        disk.empty()
        assert again.has_room()
        tell(again, 1)
        assert reserve.exists(), "laid by again before anything ordinary is recorded"
        again.close()


def fill(outbox: SqliteOutbox, disk: SmallDisk) -> int:
    """Record until the disk is full; return how many events were taken, all of which must be there."""
    while True:
        disk.fill()
        try:
            tell(outbox, 10)
        except OutboxFullError:
            break
    position = outbox.position.seq
    assert [recorded.seq for recorded in outbox.load(0, position + 1)] == list(range(1, position + 1))
    return position


ANSWERS: list[CartEvent] = [
    SessionBegan(session=SessionId("s"), command=CommandId("c")),
    SessionEnded(session=SessionId("s"), reason="handed-back", command=CommandId("c")),
    CommandRefused(command=CommandId("c"), reason="busy"),
    BasketFrozen(command=CommandId("c"), settled=Mass(1), variance=Variance(1)),
    BasketThawed(command=CommandId("c")),
    Withdrawn(command=CommandId("c"), withdrawn=True),
]


@pytest.mark.parametrize("event", ANSWERS, ids=lambda event: type(event).__name__)
def test_an_event_that_answers_a_command_marks_it_for_good(path: Path, outbox: SqliteOutbox, event: CartEvent) -> None:
    assert not outbox.answer("c")
    outbox.record([FaultsChanged(faults=()), event], AT, Basket())
    assert outbox.answer("c")
    outbox.prune(2)
    outbox.close()
    again = SqliteOutbox(path, capacity=100, epoch_source=99)
    assert again.answer("c")
    assert not again.answer("d")
    again.close()


def test_a_session_that_ended_by_itself_answers_nothing(outbox: SqliteOutbox) -> None:
    outbox.record([SessionEnded(session=SessionId("s"), reason="left")], AT, Basket())
    assert outbox._row("SELECT count(*) FROM answered") == (0,)


def test_answers_are_remembered_for_long_but_not_without_end(path: Path) -> None:
    outbox = SqliteOutbox(path, capacity=10_000, epoch_source=5)
    outbox.record([BasketThawed(command=CommandId(str(number))) for number in range(5_000)], AT, Basket())
    assert outbox.answer("4999")
    assert outbox.answer("904")
    assert not outbox.answer("903")
    outbox.close()


def test_the_last_price_book_is_kept(path: Path, outbox: SqliteOutbox) -> None:
    outbox.keep_price_book(PriceBookIssue(version=1, book="{}", signature="a"))
    issue = PriceBookIssue(version=2, book="{}", signature="b")
    outbox.keep_price_book(issue)
    outbox.close()
    again = SqliteOutbox(path, capacity=100, epoch_source=99)
    assert again.price_book() == issue
    again.close()


# ── opening what is not as it should be ──────────────────────────────────────────────────────────────────────────


def overwrite(path: Path, place: int, octets: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(octets)


DAMAGE = {
    "not a database": lambda path: path.write_bytes(b"\xff" * 8_192),
    "torn pages": lambda path: overwrite(path, 4_096, b"\xa5" * 8_192),
    "truncated": lambda path: overwrite(path, 0, b"") or path.write_bytes(path.read_bytes()[:6_000]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_kept_as_evidence_and_a_new_epoch_begins(path: Path, damage: str) -> None:
    first = SqliteOutbox(path, capacity=100, epoch_source=5)
    tell(first, 50)
    first.close()
    DAMAGE[damage](path)
    before = path.read_bytes()
    outbox = SqliteOutbox(path, capacity=100, epoch_source=6)
    assert outbox.position == at(6, 0)
    assert outbox.basket() == Basket()
    assert outbox.replaced == path.with_name("outbox.db.damaged-1")
    assert outbox.replaced.read_bytes() == before
    tell(outbox, 1)
    outbox.close()
    path.write_bytes(b"\xff" * 100)
    third = SqliteOutbox(path, capacity=100, epoch_source=7)
    assert third.replaced == path.with_name("outbox.db.damaged-2"), "evidence is never overwritten"
    third.close()


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM event WHERE seq = 2",
        "UPDATE basket SET seq = 9",
        "UPDATE basket SET body = '{'",
        "DELETE FROM meta",
    ],
)
def test_a_file_that_contradicts_itself_is_damaged(path: Path, outbox: SqliteOutbox, harm: str) -> None:
    tell(outbox, 3)
    outbox._database.execute(harm)
    outbox.close()
    again = SqliteOutbox(path, capacity=100, epoch_source=6)
    assert again.replaced is not None
    assert again.position == at(6, 0)
    again.close()


def test_a_file_of_another_version_stops_the_start_and_is_left_alone(path: Path, outbox: SqliteOutbox) -> None:
    tell(outbox, 3)
    outbox._database.execute("""UPDATE event SET body = '{"type":"Levitated"}' WHERE seq = 2""")
    outbox.close()
    with pytest.raises(OutboxError, match=r"Levitated.*another version of this program"):
        SqliteOutbox(path, capacity=100, epoch_source=6)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 2")
    database.close()
    with pytest.raises(OutboxError, match="schema 2 of a newer program"):
        SqliteOutbox(path, capacity=100, epoch_source=6)
    assert [part.name for part in path.parent.iterdir() if "damaged" in part.name] == []


def test_a_field_that_a_newer_version_added_is_left_out(path: Path, outbox: SqliteOutbox) -> None:
    tell(outbox, 1)
    outbox._database.execute("""UPDATE basket SET body = json_set(CAST(body AS TEXT), '$.colour', 'red')""")
    outbox.close()
    again = SqliteOutbox(path, capacity=100, epoch_source=6)
    assert again.replaced is None
    assert again.basket() == story(1)
    again.close()


def test_two_programs_cannot_have_the_same_outbox(
    path: Path, outbox: SqliteOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cart_protocol.link.outbox._BUSY_S", 0.05)
    with pytest.raises(OutboxError, match="another program has it open: stop that one"):
        SqliteOutbox(path, capacity=100, epoch_source=6)
    tell(outbox, 1)


@pytest.mark.parametrize("reserve", [0, 300_000])
def test_a_cart_killed_on_a_disk_that_then_fills_starts_out_of_its_reserve(tmp_path: Path, reserve: int) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        path = disk.folder / "outbox.db"
        subprocess.run([sys.executable, __file__, str(path), str(reserve)], check=True)
        disk.fill()
        if not reserve:
            with pytest.raises(OutboxError, match="make room on that disk"):
                SqliteOutbox(path, 100, epoch_source=6)
            disk.empty()
        outbox = SqliteOutbox(path, 100, epoch_source=6, disk_reserve=reserve)
        assert (outbox.position, outbox.price_book()) == (at(5, 0), LARGE)
        outbox.close()


LARGE = PriceBookIssue(version=1, book="x" * 200_000, signature="s")


def _be_a_cart_killed_with_a_new_price_book(path: Path, reserve: int) -> None:
    SqliteOutbox(path, 100, epoch_source=5, disk_reserve=reserve).keep_price_book(LARGE)
    os._exit(0)  # nothing is closed: the log stays beside the file


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutboxError, match=r"nowhere/outbox\.db: unable to open database file; check the folder"):
        SqliteOutbox(tmp_path / "nowhere" / "outbox.db", capacity=100, epoch_source=6)


@pytest.mark.parametrize("epoch", [0, -1, 2**53])
def test_an_epoch_that_json_cannot_carry_is_our_own_mistake(path: Path, epoch: int) -> None:
    with pytest.raises(LocalProtocolError, match="an epoch is 1 to"):
        SqliteOutbox(path, capacity=100, epoch_source=epoch)


# ── kill -9 ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.processes
@pytest.mark.parametrize("seed", range(3))
def test_a_cart_killed_while_recording_has_lost_nothing_it_reported(path: Path, seed: int) -> None:
    dice = random.Random(seed)
    reported = 0
    for _ in range(4):
        cart = subprocess.Popen([sys.executable, __file__, str(path)], stdout=subprocess.PIPE)
        assert cart.stdout is not None
        for _ in range(dice.randrange(1, 60)):
            reported = int(cart.stdout.readline())
        time.sleep(dice.random() * 0.01)  # so that it dies at any point of a transaction
        cart.send_signal(signal.SIGKILL)
        reported = max([reported, *map(int, cart.stdout.read().split(b"\n")[:-1])])
        cart.stdout.close()
        cart.wait()
        outbox = SqliteOutbox(path, capacity=10**6, epoch_source=99)
        position = outbox.position
        assert outbox.replaced is None
        assert position.epoch == 5
        assert position.seq >= reported, "reported as recorded, and lost"
        assert outbox.basket() == story(position.seq), "the basket is the fold of its events"
        held = outbox.load(0, 10**6)
        assert [event.seq for event in held] == list(range(outbox.acknowledged + 1, position.seq + 1))
        assert [event.event for event in held] == [step(event.seq) for event in held]
        outbox.close()


def _be_a_cart_until_killed(path: Path) -> None:
    outbox = SqliteOutbox(path, capacity=10**6, epoch_source=5)
    dice = random.Random(outbox.position.seq)
    while True:
        tell(outbox, dice.randrange(1, 5))
        sys.stdout.write(f"{outbox.position.seq}\n")
        sys.stdout.flush()
        if dice.random() < 0.2:
            outbox.prune(dice.randrange(outbox.acknowledged, outbox.position.seq + 1))


if __name__ == "__main__":
    if sys.argv[2:]:
        _be_a_cart_killed_with_a_new_price_book(Path(sys.argv[1]), int(sys.argv[2]))
    _be_a_cart_until_killed(Path(sys.argv[1]))
