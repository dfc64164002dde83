"""Commands on the wire: sent after their commit, repeated while unanswered, dropped when they expire."""

import asyncio
from collections.abc import Sequence
from typing import NoReturn

from cart_protocol.host.clock import Clock
from cart_protocol.ids import CommandId
from cart_protocol.messages import Command
from edge_agent.core.events import CommandSent, Fact
from edge_agent.ports import CartLink
from edge_agent.services.presence import Presence
from edge_agent.services.record import Recorder

REPEAT_S = 2.0
"""A cart answers the same command id with its first answer, so that repeating is free of harm."""


class Fleet:
    """Sends each CommandSent; also those left unanswered by an earlier run of the agent."""

    def __init__(self, link: CartLink, recorder: Recorder, presence: Presence, clock: Clock) -> None:
        self._link = link
        self._recorder = recorder
        self._presence = presence
        self._clock = clock
        self._sent_us: dict[CommandId, int] = {}
        recorder.listen(self._committed)

    async def run(self) -> NoReturn:
        while True:
            self._repeat()
            await asyncio.sleep(REPEAT_S / 2)

    def _committed(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if isinstance(fact.event, CommandSent):
                self._send(fact.event)

    def _repeat(self) -> None:
        """Send again what has waited long enough; forget what is answered or expired."""
        now_us = self._clock.monotonic_us()
        waiting = self._recorder.shop.commands.open(self._recorder.time.now_ms())
        self._sent_us = {sent.command: self._sent_us.get(sent.command, 0) for sent in waiting}
        for sent in waiting:
            due = not self._sent_us[sent.command] or now_us - self._sent_us[sent.command] >= REPEAT_S * 1_000_000
            if due and sent.cart in self._presence.online:
                self._send(sent)

    def _send(self, sent: CommandSent) -> None:
        self._sent_us[sent.command] = self._clock.monotonic_us()
        command = Command(
            id=sent.command,
            expires_ms=sent.expires_ms,
            instruction=sent.instruction,
            sent_ms=self._recorder.time.now_ms(),
        )
        self._link.send(command, sent.cart)
