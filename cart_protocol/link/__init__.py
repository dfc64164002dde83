"""The wire between cart and store, below the messages: topics and bytes, up and down. Also the cart's durable outbox.

`RawLink` is what an MQTT connection is to its users: the cart's on threads (link.mqtt), the store's on the event loop
(link.asyncio_mqtt); the stage has another one in memory.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Up(msgspec.Struct, frozen=True):
    """The broker accepted us and confirmed every subscription. Whoever shows retained state publishes it now."""


class Down(msgspec.Struct, frozen=True):
    """There is no connection. Reported once per reason, not once per attempt."""

    reason: str


class Received(msgspec.Struct, frozen=True, gc=False):
    """One message as it came. Never before the first `Up`; a message may come twice."""

    topic: str
    payload: bytes


class Will(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker says in our name when we vanish without taking leave."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = True


class RawLink(Protocol):
    """A connection that carries bytes under topics and promises nothing: who needs arrival uses the exchange."""

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, expiry_s: int | None = None
    ) -> bool:
        """Send if there is a connection. Return whether the message was taken; never block, never raise for loss."""

    async def receive(self) -> Up | Down | Received:
        """Return what happened next, in order."""

    def drain(self) -> Sequence[Up | Down | Received]:
        """Return what else is at hand, in order, without waiting; a link may always return nothing."""

    async def close(self) -> None:
        """Take leave: what was taken is sent, the will is not. May be called twice."""
