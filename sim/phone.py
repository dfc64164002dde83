"""A shopper's phone: an HTTP client with cookies on the store's public pages, and a stopwatch on its stream."""

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import Protocol

import httpx
import msgspec

_OBSERVED = re.compile(r'data-observed-us="(\d+)"')
_ATTEMPTS = 240
"""Half a second each: two minutes, and far more where the store lets us wait."""
_ATTEMPTS_REFUSED = 20
"""Of these, how often something may go wrong inside before a person believes it."""
_STREAM_TIMEOUT = httpx.Timeout(10.0, read=45.0)
"""The store sends a heartbeat every 15 s; three missed ones are a dead stream."""


class PhoneLine(msgspec.Struct):
    name: str
    total: dict[str, int | str]


class PhoneState(msgspec.Struct):
    """What the shopper sees: the part of the store's PhoneView that a person acts on."""

    revision: int
    phase: str
    lines: list[PhoneLine] = []
    pending: list[dict[str, str]] = []
    attention: str = ""
    problem: str = ""
    total: dict[str, int | str] | None = None
    order_number: str | None = None
    exit_token: str | None = None

    @property
    def total_minor(self) -> int:
        return int(self.total["minor"]) if self.total else 0


class RefusedError(Exception):
    """The store said no; the text is what the shopper reads, `reason` its word for machines."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Phone(Protocol):
    """What a shopper can do with a phone, over HTTP or (on the stage) directly."""

    async def bind(self, code: str) -> None: ...
    async def hand_back(self) -> None: ...
    async def checkout(self) -> None: ...
    async def pay(self, method: str) -> None: ...
    async def until(self, condition: Callable[[PhoneState], bool], timeout_s: float) -> PhoneState | None:
        """Return the first state that satisfies `condition`, or None when that took longer than `timeout_s`."""

    async def put_away(self) -> None: ...


class HttpPhone:
    """The phone of the live shop."""

    def __init__(self, store: str, number: int, monotonic_us: Callable[[], int], latencies_us: list[int]) -> None:
        # One address per phone, as in a shop: the store limits how fast one client may ask. 127.0.0.0/8 is all ours.
        transport = httpx.AsyncHTTPTransport(local_address=f"127.0.{1 + number // 250}.{1 + number % 250}")
        self._http = httpx.AsyncClient(
            base_url=store, transport=transport, timeout=15.0, headers={"Accept": "application/json"}
        )
        self._csrf = ""
        self._payments = 0
        self._number = number
        self._now = monotonic_us
        self._latencies = latencies_us
        self._changed = asyncio.Event()
        self._last_observed = 0
        self._watcher: asyncio.Task[None] | None = None

    async def bind(self, code: str) -> None:
        await self._state()  # opens the session
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())
        await self._post("/phone/bind", code=code)

    async def hand_back(self) -> None:
        await self._post("/phone/hand-back")

    async def checkout(self) -> None:
        await self._post("/phone/checkout")

    async def pay(self, method: str) -> None:
        self._payments += 1
        await self._post("/phone/pay", method=method, key=f"sim-{self._number}-{self._payments}")

    async def until(self, condition: Callable[[PhoneState], bool], timeout_s: float) -> PhoneState | None:
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            self._changed.clear()
            state = await self._state()
            if condition(state):
                return state
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), min(left, 2.0))

    async def put_away(self) -> None:
        if self._watcher:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        await self._http.aclose()

    async def _state(self) -> PhoneState:
        while True:
            try:
                answer = await self._http.get("/api/phone")
            except httpx.TransportError:  # the store restarts: a phone tries again
                await asyncio.sleep(0.5)
                continue
            if answer.status_code == httpx.codes.OK:
                self._csrf = answer.headers.get("X-CSRF", self._csrf)
                return msgspec.json.decode(answer.content, type=PhoneState)
            await asyncio.sleep(float(answer.headers.get("Retry-After", "0.5")))

    async def _post(self, path: str, **form: str) -> None:
        """Press a button, and again for a while when nobody answers or something went wrong inside, as people do."""
        for attempt in range(_ATTEMPTS):
            try:
                answer = await self._http.post(path, data=form, headers={"X-CSRF": self._csrf})
            except httpx.TransportError:
                await asyncio.sleep(0.5)
                continue
            if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
                await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))
                continue
            if answer.status_code != httpx.codes.INTERNAL_SERVER_ERROR or attempt >= _ATTEMPTS_REFUSED:
                break
            await asyncio.sleep(1)
        else:
            raise RefusedError("phone", "the store does not answer")
        if answer.is_error:
            try:
                said = answer.json()
            except ValueError:
                said = {}
            raise RefusedError(
                str(said.get("reason", answer.status_code)), str(said.get("sentence", answer.text[:200]))
            )

    async def _watch(self) -> None:
        """Listen to the page's live stream; note how old the evidence behind each new picture is when it arrives."""
        while True:
            with contextlib.suppress(httpx.TransportError):
                async with self._http.stream(
                    "GET", "/phone/stream", timeout=_STREAM_TIMEOUT, headers={"Accept": "text/event-stream"}
                ) as stream:
                    async for line in stream.aiter_lines():
                        self._heard(line)
            await asyncio.sleep(0.5)

    def _heard(self, line: str) -> None:
        if line.startswith("data:") and (found := _OBSERVED.search(line)):
            observed = int(found[1])
            if observed > self._last_observed:
                if self._last_observed:  # the first picture shows the past
                    self._latencies.append(self._now() - observed)
                self._last_observed = observed
        elif not line:
            self._changed.set()
