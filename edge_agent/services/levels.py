"""Watches what fills up in the store, raises an alarm before a limit is reached, and closes the shop's door at it.

Levels are read from memory and from the disk; only a change that staff should hear of becomes a fact.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NoReturn

import msgspec
import structlog

from edge_agent.config import Limits
from edge_agent.core import level
from edge_agent.core.events import NewId
from edge_agent.core.level import Gauge, Level, Tide
from edge_agent.core.views import LevelCard
from edge_agent.ports import Room, StoreRoom
from edge_agent.services import gauges
from edge_agent.services.record import Recorder

LOOK_S = 5.0
_LATELY = 60
"""Readings over which a count's increase is 'lately': five minutes."""
_MB = 1_000_000
_log = structlog.get_logger("levels")

Reading = Callable[[], float | None]
"""Returns a level now; None where there is nothing to read."""


class Levels:
    """All gauges of one store. `run` reads them for ever; everything else may be asked at any time."""

    def __init__(self, recorder: Recorder, new_id: NewId, limits: Limits, room: StoreRoom | None = None) -> None:
        self._recorder = recorder
        self._new_id = new_id
        self._limits = limits
        self._room = room
        self._sizes: Room | None = None
        self._readings: list[Reading] = []
        self._now: list[Level] = []
        self._told: list[Level] = []
        """As staff last heard of them: in the journal's words."""
        self.watch(gauges.FULL, lambda: float(recorder.full))
        self.watch(gauges.disk(limits), lambda: self._megabytes(lambda room: room.free))
        self.watch(gauges.journal(limits), lambda: self._megabytes(lambda room: room.journal))
        self.watch(gauges.log(limits), lambda: self._megabytes(lambda room: room.log))
        self.watch(gauges.waiting(limits), lambda: recorder.waiting)
        self.watch(gauges.commit(limits), lambda: recorder.commit_us / 1_000)

    def watch(self, gauge: Gauge, reading: Reading) -> None:
        """Have one more level read; call before `run`."""
        self._readings.append(reading)
        self._now.append(Level(gauge=gauge))
        self._told.append(level.resumed(self._recorder.shop, gauge))

    @property
    def door_closed(self) -> bool:
        """Whether no new shopper may start: there may be no room to finish what would begin."""
        return any(each.tide is Tide.LIMIT and each.gauge.name in gauges.CLOSES_THE_DOOR for each in self._now)

    def cards(self) -> tuple[LevelCard, ...]:
        return level.cards(self._now)

    async def run(self) -> NoReturn:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Read every level once and tell of what changed."""
        if self._room is not None:
            self._sizes = await asyncio.to_thread(self._measure, self._room)
        before = self._now
        self._now = [level.read(each, reading()) for each, reading in zip(before, self._readings, strict=True)]
        for was, now in zip(before, self._now, strict=True):
            if was.tide is not now.tide:
                _log.warning("level", name=now.gauge.name, tide=now.tide, value=now.value, unit=now.gauge.unit)
                self._recorder.changes.bump()
        if not self._recorder.full:
            self._tell()

    def _megabytes(self, of: Callable[[Room], int]) -> float | None:
        return None if self._sizes is None else of(self._sizes) / _MB

    def _measure(self, room: StoreRoom) -> Room | None:
        """Measure, and lay the reserve by again where that leaves more than the floor."""
        sizes = room.measure()
        if sizes is None or sizes.reserve_held or self._recorder.full:
            return sizes
        reserve = self._limits.disk_reserve_mb * _MB
        if sizes.free - reserve <= self._limits.disk_floor_mb * _MB * (1 + level.BACK_OFF) or not room.lay_by():
            return sizes
        return room.measure()

    def _tell(self) -> None:
        for place, (told, now) in enumerate(zip(self._told, self._now, strict=True)):
            if told.tide is not now.tide:
                self._post(told, now)
                self._told[place] = now

    def _post(self, told: Level, now: Level) -> None:
        self._recorder.post(lambda shop, _: level.moved(shop, told, now, self._new_id))


class Lately(msgspec.Struct):
    """How much a count that only grows has grown over the last readings."""

    count: Callable[[], int]
    before: deque[int] = msgspec.field(default_factory=lambda: deque[int](maxlen=_LATELY))

    def __call__(self) -> float:
        self.before.append(self.count())
        return self.before[-1] - self.before[0]
