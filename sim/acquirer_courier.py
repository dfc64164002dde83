"""Carries the TEST acquirer's notices to the merchant over HTTP until it takes them."""

import asyncio
import contextlib
from typing import NoReturn

import httpx
import msgspec

from cart_protocol.host.clock import Clock
from sim.acquirer_notices import Notice, NoticeOutbox, body, signature

_PATIENCE_S = 5.0
_IDLE_S = 60.0


class Merchant(msgspec.Struct, frozen=True, kw_only=True):
    """Where notices go, and the secret that they are signed with."""

    address: str
    secret: str


class Courier:
    """Delivers what is due, one after the other. Only an answer of 2xx is a delivery."""

    def __init__(self, outbox: NoticeOutbox, merchant: Merchant, clock: Clock) -> None:
        self._outbox = outbox
        self._merchant = merchant
        self._clock = clock
        self._news = asyncio.Event()
        outbox.listen(self._news.set)

    async def run(self) -> NoReturn:
        async with httpx.AsyncClient(timeout=_PATIENCE_S) as http:
            while True:
                self._news.clear()
                for notice in self._outbox.due(self._clock.wall_ms()):
                    await self._deliver(http, notice)
                await self._until_due()

    async def _deliver(self, http: httpx.AsyncClient, notice: Notice) -> None:
        text = body(notice)
        signed = signature(self._merchant.secret, self._clock.wall_ms() // 1_000, text)
        headers = {"Acquirer-Signature": signed, "Content-Type": "application/json"}
        try:
            answer = await http.post(self._merchant.address, content=text, headers=headers)
        except httpx.HTTPError:
            taken = False
        else:
            taken = answer.is_success
        if taken:
            self._outbox.delivered(notice)
        else:
            self._outbox.failed(notice, self._clock.wall_ms())

    async def _until_due(self) -> None:
        due_ms = self._outbox.next_ms()
        wait_s = _IDLE_S if due_ms is None else (due_ms - self._clock.wall_ms()) / 1_000
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(max(wait_s, 0), _IDLE_S)):
                await self._news.wait()
