"""An event loop whose time is virtual: sleeping costs nothing, threads do not exist, the same seed is the same day."""

import asyncio
import selectors
from collections.abc import Callable
from contextvars import Context
from random import Random
from typing import Any, TypeVar, TypeVarTuple, Unpack

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")
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
        self._intrusions: list[list[Any]] = []
        super().__init__(_Jump(self._advance))

    def intrude(self, steps: int, strike: Callable[[], object]) -> None:
        """Call `strike` after so many further steps of any coroutine: between any two awaits of anybody."""
        self._intrusions.append([steps, strike])

    def call_soon(
        self, callback: Callable[[Unpack[_Arguments]], object], *args: *_Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:  # fmt: skip
        # Every await that comes back is one call of this; what intrudes is put before it.
        if self._intrusions:
            self._count_down()
        return super().call_soon(callback, *args, context=context)

    def _count_down(self) -> None:
        due = [intrusion for intrusion in self._intrusions if intrusion[0] <= 0]
        self._intrusions = [intrusion for intrusion in self._intrusions if intrusion[0] > 0]
        for intrusion in self._intrusions:
            intrusion[0] -= 1
        for _, strike in due:
            super().call_soon(strike)

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
    """One machine's clock in a loop's time (cart_protocol.host.clock.Clock). The wall clock may be set wrong."""

    def __init__(self, loop: VirtualTimeLoop, boot: str = "stage") -> None:
        self._loop = loop
        self._boot = boot
        self._boots, self._booted_s = 0, 0.0
        self._ahead_ms = 0

    def monotonic_us(self) -> int:
        return round((self._loop.time() - self._booted_s) * 1e6)

    def wall_ms(self) -> int:
        return EPOCH_MS + round(self._loop.time() * 1e3) + self._ahead_ms

    def synchronised(self) -> bool:
        return True

    def boot(self) -> str:
        return f"{self._boot}-{self._boots}" if self._boots else self._boot

    def set_ahead(self, ahead_ms: int) -> None:
        """Let the wall clock be so far from the true time; negative is behind."""
        self._ahead_ms = ahead_ms

    def boot_again(self) -> None:
        """The machine had no power: its monotonic clock begins anew, under another boot's name."""
        self._boots += 1
        self._booted_s = self._loop.time()


class SeededDice:
    """The stage's Dice."""

    def __init__(self, seed: int | str) -> None:
        self._random = Random(seed)

    def token_bytes(self, count: int, /) -> bytes:
        return self._random.randbytes(count)
