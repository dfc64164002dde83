"""A box of the staged shop: one disk, one clock, and one program that may die at any step and starts again from disk.

Death is what SIGKILL or the mains do: from that instant nothing of the program reaches anybody. Its disk takes no more
writes, its wires are dead; only then are its coroutines cancelled, so that their `finally` blocks harm nobody.
"""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar

from sim.disk import Platter
from sim.stage.trace import Trace
from sim.virtual_time import VirtualClock, VirtualTimeLoop
from sim.wires.air import Station

_Result = TypeVar("_Result")
Main = Coroutine[Any, Any, None]
_RESTART_S = 1.0
"""How long systemd waits before it starts a program again that ended by itself (units: RestartSec)."""


class GoneError(Exception):
    """The program behind this request is dead; a client sees its connection break."""


class ProgramFailedError(AssertionError):
    """A program ended by itself although its disk did nothing to it."""


class Life:
    """One run of a program. `over` is set at the instant of its death; requests race against it."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.main: asyncio.Task[None] | None = None
        self.requests: set[asyncio.Task[Any]] = set()

    @property
    def alive(self) -> bool:
        return not self.over.is_set()


class Machine:
    """Subclasses say how the program is built (`_build`), what dies with it at once, and what is released after it."""

    def __init__(self, name: str, loop: VirtualTimeLoop, platter: Platter, *, dice: Random, trace: Trace) -> None:
        self.name = name
        self.clock = VirtualClock(loop, name)
        self.platter = platter
        self.station: Station | None = None
        """Its radio, if it has one."""
        self.deaths = 0
        self.life: Life | None = None
        self._loop, self._dice, self._trace = loop, dice, trace
        self._burial: asyncio.Task[None] | None = None
        self._excused_until_s = 0.0
        self._dark_until_s = 0.0
        self._keeper: asyncio.Task[None] | None = None
        self.failed: asyncio.Future[Exception] = loop.create_future()
        """Set to what made this machine's program end although its disk did nothing to it."""

    # ── running ──────────────────────────────────────────────────────────────────────────────────────────────────

    def switch_on(self) -> None:
        """Run the program, and start it again whenever it dies, until `switch_off`."""
        self._keeper = asyncio.create_task(self._keep(), name=f"{self.name}'s service manager")

    async def switch_off(self) -> None:
        """End the program in good order."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._buried()
        if self.life and self.life.alive and self.life.main:
            self._stop()
            await asyncio.gather(self.life.main, return_exceptions=True)
            self._release()
        self.life = None

    async def _keep(self) -> None:
        while True:
            await self._buried()
            if (dark_s := self._dark_until_s - self._loop.time()) > 0:
                await asyncio.sleep(dark_s)
            self.life = life = Life()
            self._trace.note(self.name, f"starts on {self.clock.boot()}")
            error = await self._live(life)
            if life.alive:  # it was not killed
                self._ended(error)

    async def _live(self, life: Life) -> BaseException | None:
        """Build the program and run it to its end, whatever that is; return the error that ended it, if one did."""
        try:
            main = self._build(life)
        except Exception as error:  # noqa: BLE001 - judged by the caller, as the end of a running program is
            return error
        if life.over.is_set():
            main.close()
            return None
        life.main = asyncio.create_task(main, name=self.name)
        await asyncio.wait({life.main})
        return None if life.main.cancelled() else life.main.exception()

    def _ended(self, error: BaseException | None) -> None:
        """A program ended by itself: right where its disk failed, a fault of ours everywhere else."""
        self._trace.note(self.name, f"ended by itself: {error!r}"[:200])
        if self._loop.time() > self._excused_until_s:
            failure = ProgramFailedError(f"{self.name} ended by itself: {error!r}")
            failure.__cause__ = error
            if not self.failed.done():
                self.failed.set_result(failure)
        self._dark_until_s = self._loop.time() + _RESTART_S
        self._die("is started again", self.platter.kill)

    def excuse(self, for_s: float) -> None:
        """This machine's disk is being failed: the program may end for that, now or when it starts meanwhile."""
        self._excused_until_s = max(self._excused_until_s, self._loop.time() + for_s + _RESTART_S)

    # ── dying ────────────────────────────────────────────────────────────────────────────────────────────────────

    def kill(self, dark_s: float, *, power: bool = False) -> bool:
        """Let the program die at this instant and stay dark for a while; return whether it was alive.

        With `power` the machine loses it: what was not synced may be lost or torn, and the monotonic clock begins anew.
        """
        return self._kill(
            dark_s, "loses power" if power else "is killed", self._cut_power if power else self.platter.kill
        )

    def exchange_disk(self, dark_s: float) -> bool:
        """Switch the machine off and put another, empty disk in; return whether it was on."""
        return self._kill(dark_s, "gets another disk", self._exchange_disk)

    def _kill(self, dark_s: float, how: str, afterwards: Callable[[], None]) -> bool:
        if not (self.life and self.life.alive):
            return False
        self._dark_until_s = self._loop.time() + dark_s
        self._die(how, afterwards)
        return True

    def _cut_power(self) -> None:
        self.platter.cut_power(self._dice)
        self.clock.boot_again()

    def _exchange_disk(self) -> None:
        self.platter.exchange()
        self.clock.boot_again()

    def kill_at_write(self, writes: int, dark_s: float, *, power: bool, struck: Callable[[], None]) -> None:
        """Let the program die within its n-th next write, truncation, sync or deletion on this disk."""

        def stopped() -> None:
            # In the middle of SQLite: the disk is frozen already, and the wires must be dead before the call returns.
            struck()
            self.kill(dark_s, power=power)

        self.platter.stop_at(writes, stopped, self._dice if power else None)

    def _die(self, how: str, afterwards: Callable[[], None]) -> None:
        life = self.life
        if life is None or self._burial is not None:
            return
        self.deaths += 1
        self._trace.note(self.name, how)
        life.over.set()
        self.platter.stop()
        self._silence()
        self._burial = asyncio.create_task(self._bury(life, afterwards), name=f"burial of {self.name}")

    async def _bury(self, life: Life, afterwards: Callable[[], None]) -> None:
        remains = [task for task in (life.main, *life.requests) if task]
        for task in remains:
            task.cancel()
        await asyncio.gather(*remains, return_exceptions=True)
        self._release()
        afterwards()

    async def _buried(self) -> None:
        if self._burial:
            await self._burial
            self._burial = None

    def part(self, away_s: float) -> None:
        """Let it be out of the broker's reach for a while."""
        station = self.station
        if station:
            station.part()
            self._loop.call_later(away_s, station.reach)

    # ── being asked ──────────────────────────────────────────────────────────────────────────────────────────────

    async def serve(self, wish: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
        """Have the running program do something for a client elsewhere; it dies with the program, not with the client.

        Raises:
            GoneError: nothing runs here, or it died meanwhile; whether it did what was asked is not known.
        """
        life = self.life
        if life is None or not life.alive:
            raise GoneError(self.name)
        request = asyncio.create_task(wish())
        over = asyncio.create_task(life.over.wait())
        life.requests.add(request)

        def finished(_: object) -> None:
            life.requests.discard(request)
            if not request.cancelled():
                request.exception()  # retrieved, though its client may be gone

        request.add_done_callback(finished)
        try:
            await asyncio.wait({request, over}, return_when=asyncio.FIRST_COMPLETED)
            if life.over.is_set() or not request.done() or request.cancelled():
                raise GoneError(self.name)
            return request.result()
        finally:
            over.cancel()

    # ── what a kind of machine is made of ────────────────────────────────────────────────────────────────────────

    def _build(self, life: Life) -> Main:
        """Build the program from what is on the disk and return its main."""
        raise NotImplementedError

    def _stop(self) -> None:
        """Ask the running program to end in good order."""
        raise NotImplementedError

    def _silence(self) -> None:
        """Cut every wire out of the program, at once."""
        raise NotImplementedError

    def _release(self) -> None:
        """Close what the dead program held open; its disk ignores whatever that would write."""
        raise NotImplementedError
