import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from sim.virtual_time import NothingWillHappenError, SeededDice, VirtualClock, VirtualTimeLoop

_Result = TypeVar("_Result")


def run(coroutine_of_loop: Callable[[VirtualTimeLoop], Coroutine[Any, Any, _Result]]) -> _Result:
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(coroutine_of_loop(loop))
    finally:
        loop.close()


def test_a_day_of_sleeping_passes_at_once() -> None:
    async def day(loop: VirtualTimeLoop) -> float:
        await asyncio.sleep(86_400)
        return loop.time()

    assert run(day) == pytest.approx(86_400, abs=1e-3)


def test_sleepers_wake_in_order_of_time() -> None:
    woken: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append(name)

    async def night(_: VirtualTimeLoop) -> None:
        await asyncio.gather(sleeper("late", 3), sleeper("early", 1), sleeper("middle", 2))

    run(night)
    assert woken == ["early", "middle", "late"]


def test_work_in_a_thread_runs_inline_and_its_error_reaches_the_caller() -> None:
    def explode() -> None:
        raise KeyError("gone")

    async def shift(_: VirtualTimeLoop) -> int:
        with pytest.raises(KeyError, match="gone"):
            await asyncio.to_thread(explode)
        return await asyncio.to_thread(lambda: 7)

    assert run(shift) == 7


def test_waiting_for_each_other_for_ever_is_an_error_not_a_hang() -> None:
    async def deadlock(_: VirtualTimeLoop) -> None:
        await asyncio.Event().wait()

    with pytest.raises(NothingWillHappenError):
        run(deadlock)


def test_clock_and_dice_repeat_for_the_same_seed() -> None:
    async def stamps(loop: VirtualTimeLoop) -> tuple[int, int, bytes]:
        clock = VirtualClock(loop)
        await asyncio.sleep(1.5)
        return clock.monotonic_us(), clock.wall_ms(), SeededDice(3).token_bytes(8)

    assert run(stamps) == run(stamps)
