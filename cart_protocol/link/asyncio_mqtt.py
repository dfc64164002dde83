"""The store's MQTT 5 connection, on the event loop itself: no threads, messages taken in bulk.

Why not a library's client: docs/decisions/0008-mqtt-client-of-the-agent.md. The cart speaks through link.mqtt; both
pass the same tests.
"""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Sequence

from cart_protocol.link import Down, Received, Up, Will, packets
from cart_protocol.link.packets import Connack, Packet, Publish, Suback
from cart_protocol.link.settings import MqttSettings, place_of, tls_context
from cart_protocol.link.wire import Wire

_CONNECT_S = 10.0
"""TCP and TLS; a broker that takes longer is tried again."""
_SUBSCRIBE_AGAIN_S = 5.0
_FAREWELL_S = 2.0
_CLOSED = "closed by us"
_SUBSCRIPTION = 1
"""Packet identifier of our one SUBSCRIBE; the broker's answer comes before any of our messages goes out."""


class AsyncioMqttLink:
    """See link.RawLink. Connects from the first receive() on, and again whenever the connection is lost.

    Nothing is queued while there is no connection, and what the broker has not confirmed when one is lost is gone (and
    counted): the exchange sends again, and state is shown again after each `Up`.
    A message is acknowledged to the broker when it is taken from here, which promises nothing. While nobody takes any,
    the broker stops at `receive_maximum`, and at `inbox` we stop reading altogether: nothing is dropped.

    Args:
        settings: Where and how.
        client_id: Names the session at the broker; equal to the certificate's common name.
        subscriptions: Topic filters, all with QoS 1.
        will: What the broker says when we vanish.

    Raises:
        LinkError: the certificate files cannot be used, or a broker elsewhere was to be used without TLS.
    """

    def __init__(
        self, settings: MqttSettings, *, client_id: str, subscriptions: Sequence[str], will: Will | None = None
    ) -> None:
        self.dropped_inbound = 0
        """Never anything but 0: see above."""
        self.dropped_outbound = 0
        self._settings, self._subscriptions = settings, tuple(subscriptions)
        self._tls = tls_context(settings)
        self._place = place_of(client_id)
        self._greeting = packets.connect(
            client_id, keepalive_s=settings.keepalive_s, session_expiry_s=settings.session_expiry_s,
            receive_maximum=settings.receive_maximum, will=will,
        )  # fmt: skip
        self._inbox = deque[Up | Down | Publish]()
        self._early: list[Publish] = []
        """A kept session delivers before SUBACK: held back, so that nothing is received before `Up`."""
        self._wake = asyncio.Event()
        self._wire: Wire | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._up = False
        self._was_up = False
        self._closing = False
        self._last_reason: str | None = None

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, expiry_s: int | None = None
    ) -> bool:
        """Send if there is a connection. Return whether the message was taken; `expiry_s` is its life in seconds."""
        taken = (
            self._up and not self._closing and self._wire is not None
            and self._wire.publish(topic, payload, qos=qos, retain=retain, expiry_s=expiry_s)
        )  # fmt: skip
        self.dropped_outbound += not taken
        return taken

    async def receive(self) -> Up | Down | Received:
        """Return what happened next. Taking a message acknowledges it to the broker, which then sends more."""
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep_connected(), name="mqtt")
        while not self._inbox:
            self._wake.clear()
            await self._wake.wait()
        item = self._inbox.popleft()
        if isinstance(item, Publish):
            self._acknowledge([item.mid])
            return item.received
        return item

    def drain(self) -> Sequence[Up | Down | Received]:
        """Return all that is at hand, acknowledged in one piece."""
        inbox, self._inbox = self._inbox, deque()
        mids: list[int] = []
        taken: list[Up | Down | Received] = []
        for item in inbox:
            if isinstance(item, Publish):
                mids.append(item.mid)
                taken.append(item.received)
            else:
                taken.append(item)
        self._acknowledge(mids)
        return taken

    @property
    def waiting(self) -> int:
        """Messages here that nobody has taken."""
        return len(self._inbox) + len(self._early)

    async def close(self) -> None:
        """Send what was taken, take leave of the broker without the will, and end."""
        if self._closing:
            return
        self._closing = True
        if self._keeping is None:
            return
        if self._wire is not None and self._up:
            await self._wire.until_confirmed(_FAREWELL_S)
        wire = self._wire
        if wire is not None:
            wire.close(_CLOSED, packets.LEAVE if self._up else b"")
        self._keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeping
        if wire is not None:
            await wire.until_gone(_FAREWELL_S)
        self._tell_down(_CLOSED)

    # ── the connection ──

    async def _keep_connected(self) -> None:
        settings = self._settings
        pause_s = settings.reconnect_min_s
        while True:
            self._tell_down(await self._connection())
            if self._was_up:
                pause_s = settings.reconnect_min_s
            await asyncio.sleep(pause_s * self._place)
            pause_s = min(2 * pause_s, settings.reconnect_max_s)

    async def _connection(self) -> str:
        """Hold one connection as long as it lasts; return why it ended, or why there was none."""
        settings, loop = self._settings, asyncio.get_running_loop()
        self._was_up = False

        def wire() -> Wire:
            return Wire(self._greeting, self._hear, keepalive_s=settings.keepalive_s, queue=settings.send_queue)

        try:
            async with asyncio.timeout(_CONNECT_S):
                _, self._wire = await loop.create_connection(wire, settings.host, settings.port, ssl=self._tls)
        except OSError as error:  # TLS and time-outs are of its kind
            return f"{settings.host}:{settings.port} cannot be reached: {_said(error)}"
        try:
            return await self._wire.ended
        finally:
            self._lost(self._wire)

    def _lost(self, wire: Wire) -> None:
        self._up, self._wire = False, None
        self._early.clear()  # not acknowledged, so the broker sends them again
        self.dropped_outbound += wire.unconfirmed if not self._closing else 0
        # Packet identifiers belong to their connection.
        self._inbox = deque(Publish(item.received, 0) if isinstance(item, Publish) else item for item in self._inbox)

    def _hear(self, wire: Wire, arrived: Sequence[Packet]) -> None:
        inbox = self._inbox
        for packet in arrived:
            if type(packet) is Publish:
                (inbox if self._up else self._early).append(packet)
            elif isinstance(packet, Connack):
                self._answered(wire, packet)
            elif isinstance(packet, Suback):
                self._subscribed(wire, packet)
        if self.waiting >= self._settings.inbox and self._up:
            wire.pause()
        if inbox:
            self._wake.set()

    def _answered(self, wire: Wire, connack: Connack) -> None:
        if connack.reason:
            wire.close(f"the broker refused us: {connack.reason}")
        elif self._subscriptions:
            self._subscribe(wire)
        else:
            self._tell_up()

    def _subscribe(self, wire: Wire) -> None:
        if not wire.ended.done():
            wire.write(packets.subscribe(_SUBSCRIPTION, self._subscriptions, qos=self._settings.subscribe_qos))

    def _subscribed(self, wire: Wire, suback: Suback) -> None:
        refused = [
            f"{topic} ({reason})" for topic, reason in zip(self._subscriptions, suback.reasons, strict=False) if reason
        ]
        if refused:
            self._tell_down(f"the broker refused to subscribe us to {', '.join(refused)}")
            asyncio.get_running_loop().call_later(_SUBSCRIBE_AGAIN_S, self._subscribe, wire)
        elif not self._up:
            self._tell_up()

    # ── what the user hears ──

    def _tell_up(self) -> None:
        self._up = self._was_up = True  # before anybody hears of it and publishes
        self._last_reason = None
        self._inbox.append(Up())
        self._inbox.extend(self._early)
        self._early.clear()
        self._wake.set()

    def _tell_down(self, reason: str) -> None:
        self._up = False
        if reason != self._last_reason:
            self._last_reason = reason
            self._inbox.append(Down(reason))
            self._wake.set()

    def _acknowledge(self, mids: Sequence[int]) -> None:
        if self._wire is None:
            return
        if owed := [packets.puback(mid) for mid in mids if mid]:
            self._wire.write(b"".join(owed))
        if len(self._inbox) < self._settings.inbox // 2 + 1:
            self._wire.resume()


def _said(error: OSError) -> str:
    """Return the system's words for it; asyncio has its own ("Connect call failed"), which say less."""
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or f"no answer within {_CONNECT_S:.0f} s"
