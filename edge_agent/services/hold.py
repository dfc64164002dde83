"""Keeps our partitions ours while we live, and takes over those of an agent that does not."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from functools import partial
from typing import NoReturn

import structlog

from cart_protocol.host.clock import Clock
from cart_protocol.ids import CartId
from edge_agent.core.partition import partition_of
from edge_agent.ports import LeaseBook

GRACE = 0.5
"""Of a lease's life: how much longer others wait for a partition that is not their own to begin with."""
_TURNS = 4
"""Renewals within one life: three may be slow or fail before anybody else may come."""


TakeOver = Callable[[int, int, Callable[[], None]], Coroutine[None, None, None]]
"""Given a partition and its fence: bring its past in, and call the third when its carts may be listened to."""


class FrozenError(RuntimeError):
    """This process stood still for longer than its leases live; somebody else may have taken over. It must end."""


class Hold:
    """The leases of one agent.

    Args:
        home: the partitions that are ours to begin with; the others are taken when nobody renews them.
        life_s: how long a lease lives without renewal.
    """

    def __init__(
        self, leases: LeaseBook, clock: Clock, *, partitions: int, home: Collection[int], life_s: float
    ) -> None:
        self._leases = leases
        self._clock = clock
        self._partitions = partitions
        self._home = home
        self._life_s = life_s
        self._renewed_us = clock.monotonic_us()
        self._running = False
        self._ours: set[int] = set()
        """Held, and its past is known: only then its carts are listened to."""
        self._addresses: Mapping[int, str] = {}
        self._log = structlog.get_logger("hold")

    def is_ours(self, cart: CartId) -> bool:
        return partition_of(cart, self._partitions) in self._ours

    def elsewhere(self, cart: CartId) -> str | None:
        """Return where the agent that looks after a cart is reached; None where that is us, or nobody knows."""
        return None if self.is_ours(cart) else self._addresses.get(partition_of(cart, self._partitions)) or None

    async def wait(self, progress: Callable[[], None] = lambda: None) -> dict[int, int]:
        """Stand by until at least one partition is ours; return the fences. Calls `progress` at every turn."""
        while True:
            before_us = self._clock.monotonic_us()
            if taken := await self._claim():
                self._renewed_us = before_us
                self._ours |= set(taken)
                return taken
            progress()
            await asyncio.sleep(self._life_s / _TURNS)

    async def run(self, take_over: TakeOver) -> NoReturn:
        """Renew for ever, and call `take_over` with each further partition that became ours.

        Raises:
            FrozenError: we did not renew in time.
            Exception: whatever the lease book raised; the agent must end.
        """
        self._running = True
        # What is taken over is replayed beside this loop: the leases must be renewed meanwhile.
        async with asyncio.TaskGroup() as tasks:
            while True:
                before_us = self._in_time()
                await asyncio.to_thread(self._leases.renew)
                self._renewed_us = before_us
                self._addresses = await asyncio.to_thread(self._leases.addresses)
                for partition, fence in (await self._claim()).items():
                    self._log.warning("partition-taken-over", partition=partition, fence=fence)
                    listen = partial(self._ours.add, partition)
                    tasks.create_task(take_over(partition, fence, listen), name=f"take over {partition}")
                await asyncio.sleep(self._life_s / _TURNS)

    def prolong(self) -> None:
        """Renew, blocking, where that is due and `run` does not do it yet: for a long replay at the start."""
        if not self._running and self._clock.monotonic_us() - self._renewed_us > self._life_s / _TURNS * 1_000_000:
            before_us = self._in_time()
            self._leases.renew()
            self._renewed_us = before_us

    def _in_time(self) -> int:
        now_us = self._clock.monotonic_us()
        if now_us - self._renewed_us > self._life_s * 1_000_000:
            raise FrozenError(
                f"leases live {self._life_s} s, ours were last renewed {(now_us - self._renewed_us) / 1e6:.1f} s ago: "
                "others may have taken over, this agent ends"
            )
        return now_us

    async def _claim(self) -> dict[int, int]:
        taken = await asyncio.to_thread(self._leases.claim, self._home)
        others = [partition for partition in range(self._partitions) if partition not in self._home]
        return taken | await asyncio.to_thread(self._leases.claim, others, GRACE * self._life_s)
