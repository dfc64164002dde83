"""HTTP connections that do not wait for ever: who sends no request, or does not read the answer, is cut off.

What one connection may cost is bounded by that: SEND_BUFFER bytes in the kernel, asyncio's 64 KiB, and the one piece of
an answer that was being written when they were full. A stream's next piece is made only when there is room again.
"""

import asyncio
import socket
from typing import ClassVar

import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

SEND_BUFFER = 128 << 10
"""Bytes that the kernel holds for one connection; unset, Linux lets it grow to 4 MiB (tcp(7), tcp_wmem)."""
_BEYOND = 64
"""Connections over uvicorn's limit that still get its plain 503; more are cut off without a word."""
_log = structlog.get_logger("http")


def bound_buffers(listener: socket.socket) -> None:
    """Bound the kernel's send buffer of every connection that this listener will accept."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)


class ImpatientHttp(H11Protocol):
    """uvicorn's HTTP/1.1, with an end to its patience."""

    request_s: ClassVar[float] = 20.0
    """For the whole head of the first request."""
    stall_s: ClassVar[float] = 30.0
    """For a client that reads nothing while more waits for it than the buffers hold."""
    cut_off: ClassVar[int] = 0
    """Connections of this process that were cut off."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._timers = [self.loop.call_later(self.request_s, self._cut_if_silent)]
        limit = self.limit_concurrency
        if limit is not None and len(self.connections) > limit + _BEYOND:
            self._cut("too many connections")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._timers.append(self.loop.call_later(self.stall_s, self._cut, "does not read"))

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_timers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        super().connection_lost(exc)

    def _cut_if_silent(self) -> None:
        cycle: object = self.cycle  # the library says that it is never None, and sets it so
        if cycle is None:
            self._cut("no request")

    def _cut(self, why: str) -> None:
        ImpatientHttp.cut_off += 1
        _log.info("connection-cut-off", why=why, client=self.client[0] if self.client else "")
        self.transport.abort()

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
