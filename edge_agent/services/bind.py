"""What only time brings about between carts and shoppers: no answer, long silence, a cart that missed a command."""

import asyncio
from typing import NoReturn

from edge_agent.core.binding import overdue
from edge_agent.core.events import NewId
from edge_agent.services.presence import Presence
from edge_agent.services.record import Recorder

SWEEP_S = 1.0


class Bind:
    """Looks over all bindings once a second. A sweep that finds nothing writes nothing."""

    def __init__(self, recorder: Recorder, presence: Presence, new_id: NewId, idle_s: int) -> None:
        self._recorder = recorder
        self._presence = presence
        self._new_id = new_id
        self._idle_ms = idle_s * 1_000

    async def run(self) -> NoReturn:
        while True:
            await asyncio.sleep(SWEEP_S)
            await self._recorder.submit(
                lambda shop, now_ms: overdue(
                    shop, idle_ms=self._idle_ms, online=self._presence.online, now_ms=now_ms, new_id=self._new_id
                )
            )
