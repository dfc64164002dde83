"""Takes what the store taught of goods by sight to the recogniser, one issue after the other, off the event loop."""

import asyncio

import structlog

from cart_firmware.services.sight import Sights
from cart_protocol.messages import SightIssue

_LOG = structlog.get_logger("learn")


class Learn:
    """The newest issue is the one that is taken; one that was not looked at yet is forgotten for it."""

    def __init__(self, sights: Sights) -> None:
        self._sights = sights
        self._issue: SightIssue | None = None
        self._happened = asyncio.Event()

    def issued(self, issue: SightIssue) -> None:
        """Have an issue of the store considered."""
        if self._issue is None or issue.version >= self._issue.version:
            self._issue = issue
        self._happened.set()

    async def run(self) -> None:
        """Take issues until cancelled."""
        while True:
            await self._happened.wait()
            self._happened.clear()
            issue, self._issue = self._issue, None
            if issue is not None and await asyncio.to_thread(self._sights.take, issue):
                _LOG.info("sight taken", version=issue.version)
