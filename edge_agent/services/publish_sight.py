"""What staff had carts taught goes to every cart, signed and retained: at each change, and to every new broker."""

import asyncio
import base64
from collections.abc import Callable, Sequence
from typing import NoReturn

import msgspec
import structlog

from cart_protocol.messages import SightIssue
from edge_agent.core.events import Fact, SightChanged
from edge_agent.ports import CartLink
from edge_agent.services.presence import Presence
from edge_agent.services.record import Recorder

Sign = Callable[[bytes], bytes]
_LOG = structlog.get_logger("sight")


_AGAIN_S, _SELDOM_S = 20.0, 600.0
"""How often a version is said again to connected carts that do not say they have it: ever slower, it goes to all."""


class PublishSight:
    """Publishes the latest version after its commit. Nothing is said before the first one."""

    def __init__(self, link: CartLink, recorder: Recorder, presence: Presence, sign: Sign) -> None:
        self._link, self._recorder, self._presence, self._sign = link, recorder, presence, sign
        self._pause_s = _AGAIN_S
        recorder.listen(self._committed)

    async def run(self) -> NoReturn:
        """Say it again while carts lag: a broker promises less than it seems to (messaging reference, section 2)."""
        while True:
            await asyncio.sleep(self._pause_s)
            latest = self._recorder.shop.sight.latest.number
            lag = [said.cart for said in self._presence.sight.values() if said.version < latest]
            if lag:
                _LOG.info("sight said again", version=latest, carts=lag[:10])
                self.announce()
            self._pause_s = min(2 * self._pause_s, _SELDOM_S) if lag else _AGAIN_S

    def announce(self) -> None:
        """Publish the latest version; harmless without a broker."""
        goods = self._recorder.shop.sight.goods()
        if not goods.version:
            return
        text = msgspec.json.encode(goods)
        signature = base64.b64encode(self._sign(text)).decode()
        self._link.send(SightIssue(version=goods.version, goods=text.decode(), signature=signature))

    def _committed(self, facts: Sequence[Fact]) -> None:
        changes = [fact.event for fact in facts if isinstance(fact.event, SightChanged)]
        if changes:
            last = changes[-1]
            _LOG.info("sight changed", version=last.version, doing=last.doing, product=last.product, staff=last.staff)
            self.announce()
