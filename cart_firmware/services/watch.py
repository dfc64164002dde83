"""The watchdog of the service manager, fed from progress: a loop that hangs starves it, and we are started anew."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

import structlog

from cart_firmware.core.health import progressing
from cart_protocol.host.clock import Clock
from cart_protocol.host.service_manager import ServiceManager

_LOG = structlog.get_logger("watch")
_LOOK_S = 1.0
_PATIENCE_US = 10_000_000
"""Longer than any fault is waited for, so that the screen says first what is wrong."""


class Loop(Protocol):
    """`turned_us` is when it last turned over with something fresh; None until it first did."""

    turned_us: int | None


class Watch:
    """Says 'progress' once a second while every loop that ever worked still does."""

    def __init__(self, service_manager: ServiceManager, clock: Clock, loops: Mapping[str, Loop]) -> None:
        self._service_manager, self._clock, self._loops = service_manager, clock, loops

    async def run(self) -> None:
        while True:
            if hanging := self.hanging():
                _LOG.error("no progress", loops=hanging)
            else:
                self._service_manager.progress()
            await asyncio.sleep(_LOOK_S)

    def hanging(self) -> list[str]:
        """Return the loops that worked and do not any more."""
        now_us = self._clock.monotonic_us()
        return [name for name, loop in self._loops.items() if not progressing(loop.turned_us, now_us, _PATIENCE_US)]
