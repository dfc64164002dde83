"""Live pages: one server-sent event stream per page, carrying the rendered picture whenever it changed.

A picture is always whole, so a stream that broke needs no history: the next picture is the truth.
The format is the WHATWG HTML standard's, section 9.2.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from litestar.response import Stream

from edge_agent.web.doorkeeper import Asking, DeniedError

HEARTBEAT_S = 15.0
RECONNECT_MS = 1_000
MOST_STREAMS = 2_000
MOST_PER_SESSION = 6
"""What one browser opens to one host over HTTP/1.1."""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    revision: int
    content: object
    """What the page shows, to be compared: two pictures with equal content look the same."""
    html: Callable[[], str]


class Streams:
    """All open streams of this process."""

    def __init__(
        self, boot: str, *, heartbeat_s: float = HEARTBEAT_S, most: int = MOST_STREAMS,
        most_per_session: int = MOST_PER_SESSION,
    ) -> None:  # fmt: skip
        self.boot = boot
        """Names this run of the process: revisions of another run say nothing about this one's."""
        self._heartbeat_s = heartbeat_s
        self.most, self._most_per_session = most, most_per_session
        self._closing = asyncio.Event()
        self._open: Counter[str] = Counter()
        self.refused = 0
        """Streams that were one too many."""

    @property
    def open(self) -> int:
        return self._open.total()

    def close(self) -> None:
        """End every stream, now and from now on; browsers come back by themselves when we do."""
        self._closing.set()

    def admit(self, session: str) -> None:
        """Refuse a stream too many.

        Raises:
            DeniedError: this session, or the process, has as many as it may.
        """
        if self._open[session] >= self._most_per_session:
            self.refused += 1
            raise DeniedError(
                429, "too-many-streams", "This page is open too often: close a few windows.", retry_after_s=5
            )
        if self.open >= self.most:
            self.refused += 1
            raise DeniedError(
                503, "too-many-streams", "The store is very busy: the page refreshes itself soon.", retry_after_s=5
            )

    def response(
        self,
        session: str,
        look: Callable[[], Picture | None],
        wait_for_change: Callable[[int], Awaitable[int]],
        *,
        known: tuple[str, str | None],
        refresh_s: float | None = None,
    ) -> Stream:
        """Return the stream of one page.

        Args:
            session: whose it is, for the limit.
            look: takes the picture; None ends the stream (who looks may not any more).
            wait_for_change: CounterDesk.wait_for_change.
            known: (boot, revision) of the picture that the browser already shows.
            refresh_s: look again after this long even when nothing was committed (ages grow).
        """
        boot, revision = known
        shown = revision if boot == self.boot else None
        events = self._events(session, look, wait_for_change, shown, refresh_s or self._heartbeat_s)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return Stream(events, media_type="text/event-stream; charset=utf-8", headers=headers)

    async def _events(
        self,
        session: str,
        look: Callable[[], Picture | None],
        wait_for_change: Callable[[int], Awaitable[int]],
        shown: str | None,
        refresh_s: float,
    ) -> AsyncIterator[str]:
        self._open[session] += 1
        loop = asyncio.get_running_loop()
        closing = asyncio.ensure_future(self._closing.wait())
        change: asyncio.Future[int] | None = None
        content: object = None
        seen, said_at = 0, loop.time()
        try:
            yield f"retry: {RECONNECT_MS}\n\n"
            while not closing.done():
                picture = look()
                if picture is None:
                    return
                if picture.content != content:
                    if content is not None or str(picture.revision) != shown:
                        yield _event(picture)
                        said_at = loop.time()
                    content = picture.content
                elif loop.time() - said_at >= self._heartbeat_s:
                    yield "event: heartbeat\ndata:\n\n"
                    said_at = loop.time()
                change = change or asyncio.ensure_future(wait_for_change(seen))
                patience_s = min(refresh_s, max(0.0, said_at + self._heartbeat_s - loop.time()))
                waiting: set[asyncio.Future[Any]] = {change, closing}
                await asyncio.wait(waiting, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
                if change.done():
                    seen, change = change.result(), None
        finally:
            closing.cancel()
            if change:
                change.cancel()
            self._open[session] -= 1
            if not self._open[session]:
                del self._open[session]


def known_picture(request: Asking) -> tuple[str, str | None]:
    """Return (boot, revision) of the picture that the asking browser says it shows."""
    asked = request.query_params
    return asked.get("boot", ""), request.headers.get("last-event-id") or asked.get("revision")


def _event(picture: Picture) -> str:
    data = "".join(f"data: {line}\n" for line in picture.html().splitlines())
    return f"id: {picture.revision}\nevent: view\n{data}\n"
