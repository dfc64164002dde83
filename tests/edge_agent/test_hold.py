"""The keeper of leases: renews in time, ends when it could not, and takes over what nobody keeps."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping

import pytest

from cart_protocol.ids import CartId
from edge_agent.core.partition import partition_of
from edge_agent.services.hold import GRACE, FrozenError, Hold
from sim.virtual_time import VirtualClock, VirtualTimeLoop

LIFE_S = 4.0
ONE = next(cart for cart in map(CartId, "abcdefgh") if partition_of(cart, 2) == 1)


class Book:
    """Leases of one agent, in memory; the others are `free` or not."""

    def __init__(self) -> None:
        self.held: dict[int, int] = {}
        self.free: set[int] = set()
        self.renewed = 0
        self.asked: list[tuple[tuple[int, ...], float]] = []
        self.gone = False

    def claim(self, wanted: Iterable[int], grace_s: float = 0.0) -> dict[int, int]:
        self.asked.append((tuple(wanted), grace_s))
        taken = {partition: 5 for partition in self.asked[-1][0] if partition in self.free}
        self.free -= set(taken)
        self.held |= taken
        return taken

    def renew(self) -> None:
        if self.gone:
            raise RuntimeError("taken over")
        self.renewed += 1

    def release(self) -> None:
        self.held = {}

    def addresses(self) -> Mapping[int, str]:
        return {1: "http://other"}


def played(story: Callable[[Book, Hold], Coroutine[None, None, None]]) -> None:
    loop = VirtualTimeLoop()
    book = Book()
    hold = Hold(book, VirtualClock(loop), partitions=2, home=(0,), life_s=LIFE_S)
    try:
        loop.run_until_complete(story(book, hold))
    finally:
        loop.close()


def test_it_stands_by_until_its_home_is_free() -> None:
    async def story(book: Book, hold: Hold) -> None:
        turns = []
        waiting = asyncio.create_task(hold.wait(lambda: turns.append(1)))
        await asyncio.sleep(10)
        assert not waiting.done()
        assert turns, "the watchdog hears of a standby too"
        book.free = {0}
        await asyncio.sleep(LIFE_S / 4 + 0.1)
        assert await waiting == {0: 5}
        assert set(book.asked) == {((0,), 0.0), ((1,), GRACE * LIFE_S)}
        assert not hold.is_ours(ONE)

    played(story)


def test_it_renews_and_takes_over_and_listens_only_when_the_past_is_known() -> None:
    async def story(book: Book, hold: Hold) -> None:
        book.free = {0}
        await hold.wait()
        known = asyncio.Event()
        seen = []

        async def take_over(partition: int, fence: int, listen: Callable[[], None]) -> None:
            seen.append((partition, fence))
            await known.wait()
            listen()

        running = asyncio.create_task(hold.run(take_over))
        await asyncio.sleep(1)
        assert hold.elsewhere(ONE) == "http://other"
        book.free = {1}
        await asyncio.sleep(20)
        assert seen == [(1, 5)]
        assert not hold.is_ours(ONE)
        renewed = book.renewed
        await asyncio.sleep(LIFE_S)
        assert book.renewed >= renewed + 3, "a long replay does not keep it from renewing"
        known.set()
        await asyncio.sleep(0)
        assert hold.is_ours(ONE)
        assert hold.elsewhere(ONE) is None
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    played(story)


@pytest.mark.parametrize("gone", [True, False])
def test_it_ends_when_it_was_taken_over_or_stood_still(gone: bool) -> None:
    async def story(book: Book, hold: Hold) -> None:
        book.free = {0}
        await hold.wait()
        if gone:
            book.gone = True
        else:
            await asyncio.sleep(LIFE_S + 0.1)  # nobody renewed meanwhile, as when the process was stopped
        with pytest.RaisesGroup(RuntimeError if gone else FrozenError):
            await hold.run(never)

    played(story)


async def never(*_: object) -> None:
    raise AssertionError
