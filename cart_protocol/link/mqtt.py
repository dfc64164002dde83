"""The cart's MQTT 5 connection: mutual TLS, a session that survives, back-off. Only here is the client library known.

The library runs its own thread. Its callbacks only put things into the inbox; everything else happens on the event
loop, and no lock is ever held around publish (reference/messaging, section 1: that deadlocks).
"""

import asyncio
import contextlib
import ssl
import sys
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from cart_protocol.link import Down, Received, Up, Will
from cart_protocol.link.settings import MqttSettings, place_of, tls_context

_SUBSCRIBE_AGAIN_S = 5.0
_FAREWELL_S = 2.0
_CLOSED = "closed by us"


class _Arrived(msgspec.Struct, frozen=True):
    """A message, and what acknowledges it."""

    received: Received
    mid: int
    qos: int
    connection: int


class MqttLink:
    """See link.RawLink. Connects from the first receive() on, and again whenever the connection is lost.

    Nothing is queued while there is no connection: the exchange sends again, and state is shown again after each `Up`.
    While nobody receives, the broker stops at `receive_maximum` messages.

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
        self.dropped_outbound = 0
        self._settings, self._subscriptions = settings, tuple(subscriptions)
        self._inbox = deque[Up | Down | _Arrived]()
        self._early = list[_Arrived]()
        """A kept session delivers before SUBACK: held back, so that nothing is received before `Up`."""
        self._wake = asyncio.Event()
        self._taken, self._sent, self._sent_more = 0, 0, asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection = 0
        self._up = False
        self._closing = False
        self._last_reason: str | None = None
        self._client = self._make_client(client_id, will)

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, expiry_s: int | None = None
    ) -> bool:
        """Send if there is a connection. Return whether the message was taken; `expiry_s` is its life in seconds."""
        if not self._up or self._closing:
            self.dropped_outbound += 1
            return False
        properties = None if expiry_s is None else _properties(PacketTypes.PUBLISH, MessageExpiryInterval=expiry_s)
        taken = self._client.publish(topic, payload, qos=qos, retain=retain, properties=properties)
        if taken.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self.dropped_outbound += 1
            return False
        self._taken += 1
        return True

    async def receive(self) -> Up | Down | Received:
        """Return what happened next. Taking a message acknowledges it to the broker, which then sends more."""
        if self._loop is None:
            self._start(asyncio.get_running_loop())
        while not self._inbox:
            self._wake.clear()
            await self._wake.wait()
        return self._take()

    def drain(self) -> Sequence[Up | Down | Received]:
        """Return all that is at hand; it is acknowledged."""
        return [self._take() for _ in range(len(self._inbox))]

    @property
    def waiting(self) -> int:
        """Messages here that nobody has taken."""
        return len(self._inbox) + len(self._early)

    def _take(self) -> Up | Down | Received:
        item = self._inbox.popleft()
        if not isinstance(item, _Arrived):
            return item
        if item.qos and item.connection == self._connection:
            self._client.ack(item.mid, item.qos)
        return item.received

    async def close(self) -> None:
        """Send what was taken, take leave of the broker without the will, and end the thread."""
        if self._closing:
            return
        self._closing = True
        if self._loop is None:
            return
        if self._up:
            await self._until_sent()
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        self._up = False
        self._tell_down(_CLOSED)

    async def _until_sent(self) -> None:
        """Wait for the broker's answers: leaving while it still writes to us, it takes us for lost (measured)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                while self._sent < self._taken:
                    self._sent_more.clear()
                    await self._sent_more.wait()

    # ── making the client ──

    def _make_client(self, client_id: str, will: Will | None) -> Client:
        settings = self._settings
        context = tls_context(settings)
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
        )
        if context is not None:
            context.sslsocket_class = _CarefulSocket
            client.tls_set_context(context)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=will.qos, retain=will.retain)
        client.max_queued_messages_set(settings.send_queue)
        place = place_of(client_id)
        client.reconnect_delay_set(
            min_delay=settings.reconnect_min_s * place,  # type: ignore[arg-type]  # it says int and takes any number
            max_delay=settings.reconnect_max_s * place,  # type: ignore[arg-type]
        )
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        connect = _properties(
            PacketTypes.CONNECT,
            SessionExpiryInterval=self._settings.session_expiry_s,
            ReceiveMaximum=self._settings.receive_maximum,
        )
        # clean_start=False every time: mosquitto forgets a session over a restart that once began clean (section 2.4).
        self._client.connect_async(
            self._settings.host,
            self._settings.port,
            keepalive=self._settings.keepalive_s,
            clean_start=False,
            properties=connect,
        )
        self._client.loop_start()

    # ── callbacks, in the library's thread ──

    def _on_connect(
        self, client: Client, _: object, __: ConnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        if reason.is_failure:
            self._tell_down(f"the broker refused us: {reason}")
        elif self._closing:
            client.disconnect()
        else:
            self._connection += 1
            self._early.clear()
            self._subscribe()

    def _on_connect_fail(self, _: Client, __: object) -> None:
        # The library calls this while it handles the error, and does not pass it on.
        self._tell_down(f"{self._settings.host}:{self._settings.port} cannot be reached: {sys.exc_info()[1]}")

    def _on_disconnect(
        self, _: Client, __: object, ___: DisconnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        self._early.clear()  # not acknowledged, so the broker sends them again
        self._tell_down(_CLOSED if self._closing else f"connection lost: {reason}")

    def _on_subscribe(
        self, _: Client, __: object, ___: int, reasons: list[ReasonCode], ____: Properties | None
    ) -> None:
        refused = [
            f"{topic} ({reason})"
            for topic, reason in zip(self._subscriptions, reasons, strict=False)
            if reason.is_failure
        ]
        if refused:
            self._tell_down(f"the broker refused to subscribe us to {', '.join(refused)}")
            self._call_soon(self._subscribe_later)
        else:
            self._tell_up()

    def _on_message(self, client: Client, _: object, message: MQTTMessage) -> None:
        if len(self._inbox) + len(self._early) >= self._settings.inbox:
            self.dropped_inbound += 1
            client.ack(message.mid, message.qos)
            return
        received = Received(topic=message.topic, payload=bytes(message.payload))
        arrived = _Arrived(received=received, mid=message.mid, qos=message.qos, connection=self._connection)
        if self._up:
            self._put(arrived)
        else:
            self._early.append(arrived)

    def _on_publish(self, _: Client, __: object, ___: int, ____: ReasonCode, _____: Properties) -> None:
        self._sent += 1
        if self._closing:
            self._call_soon(self._sent_more.set)

    # ── what the callbacks are made of ──

    def _subscribe(self) -> None:
        if self._subscriptions:
            self._client.subscribe([(topic, self._settings.subscribe_qos) for topic in self._subscriptions])
        else:
            self._tell_up()

    def _subscribe_later(self) -> None:
        connection = self._connection

        def subscribe() -> None:
            if connection == self._connection and not self._up and not self._closing:
                self._subscribe()

        if self._loop is not None:
            self._loop.call_later(_SUBSCRIBE_AGAIN_S, subscribe)

    def _tell_up(self) -> None:
        self._up, self._last_reason = True, None  # before anybody hears of it and publishes
        self._put(Up())
        for arrived in self._early:
            self._put(arrived)
        self._early.clear()

    def _tell_down(self, reason: str) -> None:
        self._up = False
        if reason != self._last_reason:
            self._last_reason = reason
            self._put(Down(reason))

    def _put(self, item: Up | Down | _Arrived) -> None:
        self._inbox.append(item)
        self._call_soon(self._wake.set)

    def _call_soon(self, callback: Callable[[], object]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
                self._loop.call_soon_threadsafe(callback)


def _properties(packet: int, **values: int) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]  # the library's properties have no types
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


class _CarefulSocket(ssl.SSLSocket):
    """Closes itself when the handshake fails, which the client library forgets: a leak at each attempt."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise
