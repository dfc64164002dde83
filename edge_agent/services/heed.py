"""The acquirer's notices: checked, counted, and passed on as what they are, a reason to ask."""

import collections

import structlog

from cart_protocol.host.clock import Clock
from edge_agent.ports import NoticeReader, NoticeRefusedError
from edge_agent.services.settle import Settle


class Heed:
    """Hears notices. Every one may come any number of times, in any order: the effect is at most a question."""

    def __init__(self, reader: NoticeReader, settle: Settle, clock: Clock) -> None:
        self.heard = 0
        """Genuine notices."""
        self.refused: collections.Counter[str] = collections.Counter()
        """Others, by reason."""
        self._reader = reader
        self._settle = settle
        self._clock = clock
        self._log = structlog.get_logger("heed")

    def notice(self, signature: str, body: bytes) -> None:
        """Hear one notice; one about a payment that is not ours, or has its answer, changes nothing.

        Raises:
            NoticeRefusedError: it is forged, stale or unreadable, and was counted as that.
        """
        try:
            key = self._reader.key_of(signature, body, self._clock.wall_ms())
        except NoticeRefusedError as refusal:
            self.refused[refusal.reason] += 1
            self._log.warning("notice-refused", reason=refusal.reason, count=self.refused[refusal.reason])
            raise
        self.heard += 1
        self._log.info("notice", tender=key[:64], asks=self._settle.noticed(key))
