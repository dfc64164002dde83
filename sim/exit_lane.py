"""The exit lane's steel: platform, deactivation pad, barrier, pedestals. One shopper at a time.

It hangs on wires: the live world's lead over a socket to the store's process, the stage's to pins in the same process.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from sim.goods import Unit

ALARM_INPUT, PASSAGE_INPUT, DEACTIVATOR, BARRIER, GREEN, AMBER, RED, TONE = 22, 23, 17, 27, 5, 6, 13, 19
"""BCM pins, as in the agent's own defaults (edge_agent.config.LaneSettings)."""
LANE = "2"
_DEACTIVATION_S = 0.15
"""How long goods lie on a live pad before their tags are dead."""
_LOOK_S = 0.05
_ATTENDANT_COMES_S = 3.0
_CONTACT_S = 0.3
"""How long a contact stays closed for one passage or alarm."""


class Wires(Protocol):
    """The lane's lines: outputs of the product, and inputs that the steel drives. Levels are electrical."""

    def on_output(self, pin: int, callback: Callable[[bool], None]) -> None: ...
    def level(self, pin: int) -> bool: ...
    def drive(self, pin: int, level: bool) -> None: ...


class Attendant(Protocol):
    async def resolve_all(self, where: str, *, goods_paid: bool) -> int:
        """Resolve every open alarm of a place, letting through whose goods are all paid; return how many there were."""


class ExitLane:
    """sim.shoppers.ExitLane over any wires. Contacts close to ground, as dry contacts do."""

    def __init__(self, wires: Wires, scan: Callable[[str], None], attendant: Attendant, *, lane: str = LANE) -> None:
        self.lane = lane
        self._wires = wires
        self._scan = scan
        self._attendant = attendant
        self._units: list[Unit] = []
        self._queue = asyncio.Lock()
        wires.on_output(DEACTIVATOR, self._pad)

    def plug(self) -> None:
        """Connect the contacts, open."""
        self._wires.drive(ALARM_INPUT, level=True)
        self._wires.drive(PASSAGE_INPUT, level=True)

    def grams(self) -> float:
        """Return what lies on the platform."""
        return sum(unit.mass_mg for unit in self._units) / 1_000

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        async with self._queue:
            yield
            await asyncio.sleep(0.5)

    def scan(self, text: str) -> None:
        self._scan(text)

    def place(self, units: list[Unit]) -> None:
        self._units = list(units)

    def clear(self) -> None:
        self._units = []

    async def outcome(self, timeout_s: float) -> str:
        for _ in range(round(timeout_s / _LOOK_S)):
            if self._wires.level(BARRIER):
                return "open"
            if self._wires.level(RED):
                return "alarm"
            await asyncio.sleep(_LOOK_S)
        return "nothing"

    async def walk_through(self, carried: list[Unit]) -> bool | None:
        await asyncio.sleep(2 * _DEACTIVATION_S)
        if not self._wires.level(BARRIER):
            return None
        silent = not any(unit.tag_live for unit in carried)
        pin = PASSAGE_INPUT if silent else ALARM_INPUT
        self._contact(pin)
        await asyncio.sleep(_CONTACT_S)
        self._wires.drive(pin, level=True)
        await self._until_low(BARRIER)
        return silent

    async def call_attendant(self, *, goods_paid: bool) -> None:
        await asyncio.sleep(_ATTENDANT_COMES_S)
        for _ in range(40):
            if await self._attendant.resolve_all(f"lane {self.lane}", goods_paid=goods_paid):
                break
            await asyncio.sleep(0.25)
        await self._until_low(RED)

    async def _until_low(self, pin: int) -> None:
        for _ in range(100):
            if not self._wires.level(pin):
                return
            await asyncio.sleep(_LOOK_S)

    def _contact(self, pin: int) -> None:
        """Close one of the pedestals' contacts."""
        self._wires.drive(pin, level=False)

    def _pad(self, live: bool) -> None:
        if live:
            asyncio.get_running_loop().call_later(_DEACTIVATION_S, self._kill_tags)

    def _kill_tags(self) -> None:
        if self._wires.level(DEACTIVATOR):
            for unit in self._units:
                unit.tag_live = False
