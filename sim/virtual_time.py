"""An event loop whose time is virtual: sleeping costs nothing, threads do not exist, the same seed is the same day."""

import asyncio
import selectors
from collections.abc import Callable
from random import Random
from typing import TypeVar

_Result = TypeVar("_Result")
EPOCH_MS = 1_767_225_600_000
"""Wall time at virtual time 0: 2026-01-01T00:00:00Z."""


class NothingWillHappenError(RuntimeError):
    """Every coroutine waits and no timer runs: on a virtual clock that is for ever."""


class _Jump(selectors.SelectSelector):
    """Does not wait for time to pass; makes it pass."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise NothingWillHappenError("all coroutines wait for each other")
        self._advance(timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs coroutines in virtual time. `run_in_executor` runs inline, so `asyncio.to_thread` is deterministic."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jump(self._advance))

    def time(self) -> float:
        return self._now

    def run_in_executor(
        self, executor: object, func: Callable[..., _Result], *args: object
    ) -> "asyncio.Future[_Result]":
        del executor
        future: asyncio.Future[_Result] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed on to whoever awaits, as an executor does
            future.set_exception(error)
        return future

    def _advance(self, seconds: float) -> None:
        # Never less than the clock's resolution, or a timer a rounding error away would spin for ever.
        self._now += max(seconds, 1e-6)


class VirtualClock:
    """The stage's Clock: one loop's time, as every part of the shop sees it."""

    def __init__(self, loop: VirtualTimeLoop, boot: str = "stage") -> None:
        self._loop = loop
        self._boot = boot

    def monotonic_us(self) -> int:
        return round(self._loop.time() * 1e6)

    def wall_ms(self) -> int:
        return EPOCH_MS + round(self._loop.time() * 1e3)

    def synchronised(self) -> bool:
        return True

    def boot(self) -> str:
        return self._boot


class SeededDice:
    """The stage's Dice."""

    def __init__(self, seed: int | str) -> None:
        self._random = Random(seed)

    def token_bytes(self, count: int, /) -> bytes:
        return self._random.randbytes(count)
