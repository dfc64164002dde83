"""The one writer: groups without delay, refusals to their own, nothing told before it is on the disk."""

import asyncio
import contextlib
import inspect
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import get_args

import pytest

from cart_protocol.host.clock import HostClock
from cart_protocol.ids import CartId, IncidentId, StaffId
from edge_agent.core import events, shop
from edge_agent.core.events import Fact, IncidentRaised, IncidentResolved, StoreEvent
from edge_agent.core.refusals import RefusedError, StaffRefusedError
from edge_agent.core.shop import Shop
from edge_agent.services.record import Recorder, RecorderStoppedError
from edge_agent.store.journal import SqlJournal


def raised(name: str) -> IncidentRaised:
    return IncidentRaised(incident=IncidentId(name), key=name, where="here", cause="test", sentence="Look.")


class SlowDisk:
    """A real journal whose disk waits for `release`, and breaks when told."""

    def __init__(self, journal: SqlJournal) -> None:
        self._journal = journal
        self.groups: list[int] = []
        self.writing = threading.Event()
        self.release = threading.Event()
        self.release.set()
        self.broken = False

    def append(self, facts: Sequence[Fact], positions: Mapping[CartId, tuple[int, int]]) -> int:
        self.writing.set()
        assert self.release.wait(20)
        if self.broken:
            raise OSError("disk full")
        self.groups.append(len(facts))
        return self._journal.append(facts, positions)

    def replay(self) -> Iterator[Fact]:
        return self._journal.replay()

    def positions(self) -> dict[CartId, tuple[int, int]]:
        return self._journal.positions()

    def close(self) -> None:
        self._journal.close()


@asynccontextmanager
async def recorder_on(disk: SlowDisk) -> AsyncIterator[tuple[Recorder, "asyncio.Task[None]"]]:
    recorder = Recorder(disk, HostClock())
    running: asyncio.Task[None] = asyncio.create_task(recorder.run())
    yield recorder, running
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError, OSError):
        await running


@pytest.fixture
def disk(tmp_path: Path) -> SlowDisk:
    return SlowDisk(SqlJournal(f"sqlite:///{tmp_path / 'store.db'}"))


async def test_everything_that_came_while_the_disk_was_busy_is_one_group(disk: SlowDisk) -> None:
    async with recorder_on(disk) as (recorder, _):
        disk.release.clear()
        first = asyncio.create_task(recorder.submit(lambda *_: [raised("first")]))
        await asyncio.to_thread(disk.writing.wait, 20)
        rest = [asyncio.create_task(recorder.submit(lambda *_, n=n: [raised(f"r{n}")])) for n in range(50)]  # type: ignore[misc]
        await asyncio.sleep(0)
        assert not first.done()
        disk.release.set()
        await asyncio.gather(first, *rest)
        assert disk.groups == [1, 50]
    disk.close()


async def test_nobody_is_told_before_the_commit(disk: SlowDisk) -> None:
    heard: list[Fact] = []
    async with recorder_on(disk) as (recorder, _):
        recorder.listen(heard.extend)
        disk.release.clear()
        page = asyncio.create_task(recorder.changes.after(recorder.changes.revision))
        wish = asyncio.create_task(recorder.submit(lambda *_: [raised("x")]))
        await asyncio.to_thread(disk.writing.wait, 20)
        for _ in range(5):
            await asyncio.sleep(0)
        assert (heard, page.done(), wish.done()) == ([], False, False)
        disk.release.set()
        assert await wish == (raised("x"),)
        assert [fact.event for fact in heard] == [raised("x")]
        await page
    disk.close()


async def test_a_refusal_goes_to_its_own_submitter_only(disk: SlowDisk) -> None:
    def refuse(_shop: Shop, _now: int) -> Sequence[StoreEvent]:
        raise StaffRefusedError("no", "No.")

    async with recorder_on(disk) as (recorder, _):
        results = await asyncio.gather(
            recorder.submit(lambda *_: [raised("a")]),
            recorder.submit(refuse),
            recorder.submit(lambda *_: [raised("b")]),
            return_exceptions=True,
        )  # fmt: skip
        assert isinstance(results[1], RefusedError)
        assert (results[0], results[2]) == ((raised("a"),), (raised("b"),))
        recorder.post(refuse)
        await recorder.submit(lambda *_: [])
        assert recorder.refused_posts == 1
    disk.close()


async def test_decisions_see_each_other_also_within_a_group(disk: SlowDisk) -> None:
    def once(shop: Shop, _now: int) -> Sequence[StoreEvent]:
        return [] if shop.incidents.is_open("k") else [raised("k")]

    async with recorder_on(disk) as (recorder, _):
        results = await asyncio.gather(*(recorder.submit(once) for _ in range(10)))
        assert [len(result) for result in results] == [1] + [0] * 9
    disk.close()


async def test_a_disk_that_fails_ends_the_recorder_and_everybody_who_waits(disk: SlowDisk) -> None:
    async with recorder_on(disk) as (recorder, running):
        disk.broken = True
        with pytest.raises(RecorderStoppedError):
            await recorder.submit(lambda *_: [raised("a")])
        with pytest.raises(OSError, match="disk full"):
            await running
        with pytest.raises(RecorderStoppedError):
            await recorder.submit(lambda *_: [raised("b")])
    assert list(disk.replay()) == []
    disk.close()


async def test_a_faulty_decision_harms_its_submitter_only(disk: SlowDisk) -> None:
    async with recorder_on(disk) as (recorder, running):
        with pytest.raises(KeyError):
            await recorder.submit(lambda *_: [][{}["no"]])  # type: ignore[func-returns-value]
        assert await recorder.submit(lambda *_: [raised("a")])
        assert not running.done()
    disk.close()


async def test_stopping_in_the_middle_of_a_commit_waits_for_the_disk(disk: SlowDisk) -> None:
    async with recorder_on(disk) as (recorder, running):
        disk.release.clear()
        wish = asyncio.create_task(recorder.submit(lambda *_: [raised("a")]))
        await asyncio.to_thread(disk.writing.wait, 20)
        running.cancel()
        await asyncio.sleep(0)
        assert not running.done()
        disk.release.set()
        with pytest.raises(asyncio.CancelledError):
            await running
        with pytest.raises(RecorderStoppedError):
            await wish
    assert [fact.event for fact in disk.replay()] == [raised("a")]
    disk.close()


async def test_replay_is_the_same_shop(disk: SlowDisk) -> None:
    async with recorder_on(disk) as (recorder, _):
        await recorder.submit(lambda *_: [raised("a"), raised("b")])
        await recorder.submit(lambda *_: [IncidentResolved(incident=IncidentId("a"), staff=StaffId("mia"))])
        again = Recorder(disk, HostClock())
        assert again.replay() == 3
        assert again.shop.incidents.by_id == recorder.shop.incidents.by_id
    disk.close()


def test_every_kind_of_fact_has_its_folds() -> None:
    assert set(shop._APPLY) == set(get_args(StoreEvent))
    declared = {
        kind for _, kind in inspect.getmembers(events, inspect.isclass)
        if issubclass(kind, events._Event) and kind is not events._Event
    }  # fmt: skip
    assert declared == set(get_args(StoreEvent))


async def test_decisions_posted_together_are_made_one_after_the_other_and_a_refusal_takes_none_of_the_others_along(
    disk: SlowDisk,
) -> None:
    def unless_raised(now: Shop, _: int, name: str) -> list[StoreEvent]:
        if now.incidents.is_open(name):
            raise StaffRefusedError("open", "It is open already.")
        return [raised(name)]

    async with recorder_on(disk) as (recorder, _):
        recorder.post_each(unless_raised, ["a", "b", "a", "c"])
        await recorder.submit(lambda *_: [raised("last")])
        assert list(recorder.shop.incidents.by_id) == ["a", "b", "c", "last"]
        assert recorder.refused_posts == 1
        assert disk.groups == [4]


async def test_while_a_crowd_of_decisions_is_made_others_get_their_turn(disk: SlowDisk) -> None:
    async with recorder_on(disk) as (recorder, _):
        for crowd in range(10):
            recorder.post_each(lambda _, __, name: [raised(name)], [f"{crowd}-{number}" for number in range(256)])
        turns = 0
        done = asyncio.create_task(recorder.submit(lambda *_: [raised("last")]))
        while not disk.groups:
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 2_000 // 256, "as many turns as there were portions in the first group"
        await done
        assert sum(disk.groups) == 2_561
