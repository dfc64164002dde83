"""One connection to a broker, from CONNECT to its end: keep-alive, acknowledgements, and what waits to be sent."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence

from cart_protocol.link import packets
from cart_protocol.link.packets import Connack, Disconnect, MalformedPacketError, Packet, PacketReader, Pingresp, Puback

_MOST_UNSENT = 4 << 20
"""Bytes that the system has not taken yet; QoS 0 beyond this is dropped."""
_SILENCES = 1.5
"""Keep-alive intervals without a sign of life after which a peer is dead, as for the broker (3.1.2.10)."""


class Wire(asyncio.Protocol):
    """One connection. `greeting` is its CONNECT; every packet but routine goes to `hear`, in order.

    `ended` gets the reason when the connection is over, by whomever.

    Args:
        greeting: the first packet.
        hear: told of what arrived; must not block.
        keepalive_s: a PING goes out twice in this time; after one and a half of it in silence the peer is dead.
        queue: messages of QoS 1 that may be on their way, sent or waiting for the broker's window.
    """

    def __init__(
        self, greeting: bytes, hear: "Callable[[Wire, Sequence[Packet]], None]", *, keepalive_s: float, queue: int
    ) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._greeting, self._hear, self._keepalive_s, self._queue = greeting, hear, keepalive_s, queue
        self._loop = asyncio.get_running_loop()
        self._reader = PacketReader()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._heard_s = 0.0
        self._checking: asyncio.TimerHandle | None = None
        self._window = 0
        self._mid = 0
        self._unconfirmed = set[int]()
        self._waiting = deque[tuple[str, bytes, bool, int | None]]()
        self._out: list[bytes] = []
        self._less_to_wait_for = asyncio.Event()
        self._gone = asyncio.Event()

    # ── what the link does with it ──

    def write(self, packet: bytes) -> None:
        """Send soon; what is written in one turn of the loop goes out in one piece."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(packet)

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool, expiry_s: int | None) -> bool:
        """Return whether the message was taken: there is a bound to what waits for the broker."""
        if qos == 0:
            if self._transport is None or self._transport.get_write_buffer_size() > _MOST_UNSENT:
                return False
            self.write(packets.publish(topic, payload, mid=0, retain=retain, expiry_s=expiry_s))
            return True
        if self.unconfirmed >= self._queue:
            return False
        if len(self._unconfirmed) < self._window:
            self._send(topic, payload, retain, expiry_s)
        else:
            self._waiting.append((topic, payload, retain, expiry_s))
        return True

    @property
    def unconfirmed(self) -> int:
        """Messages of ours that the broker has not confirmed."""
        return len(self._unconfirmed) + len(self._waiting)

    async def until_confirmed(self, patience_s: float) -> None:
        """Wait until the broker has confirmed everything, the connection ended, or patience did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self.unconfirmed and not self.ended.done():
                    self._less_to_wait_for.clear()
                    await self._less_to_wait_for.wait()

    def pause(self) -> None:
        """Stop reading: the broker keeps what comes, as soon as the system's own buffers are full."""
        if self._transport is not None and not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and self._paused and not self._transport.is_closing():
            self._paused, self._heard_s = False, self._loop.time()
            self._transport.resume_reading()

    def close(self, reason: str, farewell: bytes = b"") -> None:
        """End the connection; `farewell` is the last packet. May be called twice."""
        if self._transport is not None and not self._transport.is_closing():
            self.write(farewell)
            self._flush()
            self._transport.close()
        self._end(reason)

    async def until_gone(self, patience_s: float) -> None:
        """Wait until a closed connection is gone; what a peer does not take within `patience_s` is given up."""
        if self._transport is None:
            return
        try:
            async with asyncio.timeout(patience_s):
                await self._gone.wait()
        except TimeoutError:
            self._transport.abort()
            await self._gone.wait()

    # ── asyncio.Protocol ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_connection makes
        self._transport, self._heard_s = transport, self._loop.time()
        transport.write(self._greeting)
        self._checking = self._loop.call_later(self._keepalive_s / 2, self._check)

    def data_received(self, data: bytes) -> None:
        self._heard_s = self._loop.time()
        try:
            arrived = self._reader.feed(data)
        except MalformedPacketError as error:
            self.close(f"the broker sent {error}", packets.GIVE_UP)
            return
        fresh: list[Packet] = []
        for packet in arrived:
            kind = type(packet)
            if kind is Puback:
                self._confirmed(packet.mid)  # type: ignore[union-attr]  # `kind` says so, and quicker than a match
            elif kind is not Pingresp:
                fresh.append(packet)
        if fresh:
            self._listen(fresh)

    def connection_lost(self, error: Exception | None) -> None:
        self._gone.set()
        self._end(f"connection lost: {error or 'the broker closed it'}")

    # ── helpers ──

    def _listen(self, fresh: Sequence[Packet]) -> None:
        for packet in fresh:
            if isinstance(packet, Connack):
                self._window = packet.receive_maximum
                self._keepalive_s = packet.keepalive_s or self._keepalive_s
        self._hear(self, fresh)
        for packet in fresh:
            if isinstance(packet, Disconnect):
                self.close(f"the broker ended the connection: {packet.reason}")

    def _send(self, topic: str, payload: bytes, retain: bool, expiry_s: int | None) -> None:
        self._mid = self._mid % 65_535 + 1
        while self._mid in self._unconfirmed:
            self._mid = self._mid % 65_535 + 1
        self._unconfirmed.add(self._mid)
        self.write(packets.publish(topic, payload, mid=self._mid, retain=retain, expiry_s=expiry_s))

    def _confirmed(self, mid: int) -> None:
        self._unconfirmed.discard(mid)
        if self._waiting:
            self._send(*self._waiting.popleft())
        elif not self._unconfirmed:
            self._less_to_wait_for.set()

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(out))

    def _check(self) -> None:
        """Twice in each keep-alive interval: say that we live, and see whether the other side does."""
        silent_s = self._loop.time() - self._heard_s
        if silent_s >= _SILENCES * self._keepalive_s and not self._paused:
            reason = f"connection lost: no sign of life from the broker for {silent_s:.0f} s"
            if self._transport is not None:
                self._transport.abort()  # a farewell would wait for a peer that takes nothing
            self._end(reason)
            return
        self.write(packets.PING)
        self._checking = self._loop.call_later(self._keepalive_s / 2, self._check)

    def _end(self, reason: str) -> None:
        if self._checking is not None:
            self._checking.cancel()
        if not self.ended.done():
            self.ended.set_result(reason)
        self._less_to_wait_for.set()
