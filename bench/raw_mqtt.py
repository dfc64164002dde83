"""The reference: MQTT 5 on a socket with nothing around it. A publisher of many connections, a subscriber that counts.

Written for speed and for nothing else, and apart from `cart_protocol.link`, so that each checks the other.
Run as a process: it prints one JSON object when it is done.
"""

import argparse
import asyncio
import json
import resource
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import TypeVar, cast

WINDOW = 256
"""Messages that one connection has on their way: the carts' window (cart_protocol.exchange)."""


def varint(value: int) -> bytes:
    encoded = bytearray()
    while True:
        value, digit = value >> 7, value & 0x7F
        encoded.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def connect(client_id: str, receive_maximum: int = 65_535) -> bytes:
    properties = b"\x21" + receive_maximum.to_bytes(2, "big")
    body = b"\x00\x04MQTT\x05\x02\x00\x3c" + varint(len(properties)) + properties + text(client_id)
    return b"\x10" + varint(len(body)) + body


def subscribe(topic: str) -> bytes:
    body = b"\x00\x01\x00" + text(topic) + b"\x01"
    return b"\x82" + varint(len(body)) + body


class Stencil:
    """A PUBLISH of one topic and one size: only the packet identifier and some bytes change."""

    def __init__(self, topic: str, size: int) -> None:
        self._topic = text(topic)
        self._head = b"\x32" + varint(len(self._topic) + 3 + size) + self._topic

    def packet(self, mid: int, payload: bytes) -> bytes:
        return self._head + mid.to_bytes(2, "big") + b"\x00" + payload


RECEIVE_MAXIMUM = 1_000
"""As the agent's own link (cart_protocol.link.settings)."""


class Packets:
    """Cuts a stream into (first byte, body)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        if self._rest:
            data = self._rest + data
        found, at, end = [], 0, len(data)
        while end - at >= 2:
            size, shift, body = 0, 0, at + 1
            while body < end:
                size |= (data[body] & 0x7F) << shift
                shift += 7
                body += 1
                if data[body - 1] < 0x80:
                    break
            else:
                break
            if body + size > end:
                break
            found.append((data[at], data[body : body + size]))
            at = body + size
        self._rest = data[at:]
        return found


class Publisher(asyncio.Protocol):
    """One connection that keeps WINDOW messages on their way until it has sent its share."""

    def __init__(self, number: int, share: int, payloads: Sequence[bytes], done: "asyncio.Future[None]") -> None:
        self._name, self._share, self._payloads, self._done = f"raw-{number}", share, payloads, done
        self._stencils = {len(payload): Stencil(f"bench/{self._name}/events", len(payload)) for payload in payloads}
        self._sent, self._confirmed, self._packets = 0, 0, Packets()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(connect(self._name))

    def data_received(self, data: bytes) -> None:
        for first, _ in self._packets.feed(data):
            if first == 0x20:
                self.ready.set_result(None)
            elif first == 0x40:
                self._confirmed += 1
        if self.ready.done() and self._sent:
            self.fill()

    def fill(self) -> None:
        batch = []
        while self._sent < self._share and self._sent - self._confirmed < WINDOW:
            self._sent += 1
            payload = self._payloads[self._sent % len(self._payloads)]
            batch.append(self._stencils[len(payload)].packet(self._sent % 65_535 + 1, payload))
        if batch:
            self._transport.write(b"".join(batch))
        elif self._confirmed >= self._share and not self._done.done():
            self._done.set_result(None)


_Thing = TypeVar("_Thing")


def same(thing: _Thing) -> _Thing:
    """Return it: a factory of what is there already is `partial(same, thing)`."""
    return thing


async def publish(port: int, connections: int, messages: int, payloads: Sequence[bytes]) -> float:
    """Publish `messages` over all connections; return when the first went out (monotonic seconds)."""
    loop = asyncio.get_running_loop()
    share = messages // connections
    done = [loop.create_future() for _ in range(connections)]
    publishers = [Publisher(number, share, payloads, future) for number, future in enumerate(done)]
    for publisher in publishers:
        await loop.create_connection(partial(same, publisher), "127.0.0.1", port)
        await publisher.ready
    began = time.monotonic()
    for publisher in publishers:
        publisher.fill()
    await asyncio.gather(*done)
    return began


class Subscriber(asyncio.Protocol):
    """Counts what comes and acknowledges it, a reading at a time."""

    def __init__(self, messages: int) -> None:
        self._left, self._packets = messages, Packets()
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[float] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(connect("raw-subscriber", RECEIVE_MAXIMUM) + subscribe("bench/#"))

    def data_received(self, data: bytes) -> None:
        acknowledgements = []
        for first, body in self._packets.feed(data):
            if first >> 4 == 3:
                at = 2 + (body[0] << 8 | body[1])
                acknowledgements.append(b"\x40\x02" + body[at : at + 2])
            elif first == 0x90:
                self.ready.set_result(None)
        if acknowledgements:
            self._transport.write(b"".join(acknowledgements))
            self._left -= len(acknowledgements)
            if self._left <= 0 and not self.done.done():
                self.done.set_result(time.monotonic())


async def listen(port: int, messages: int) -> float:
    """Return when the last of `messages` had come (monotonic seconds)."""
    subscriber = Subscriber(messages)
    await asyncio.get_running_loop().create_connection(lambda: subscriber, "127.0.0.1", port)
    await subscriber.ready
    print("ready", flush=True)
    return await subscriber.done


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["publish", "listen"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--connections", type=int, default=1)
    arguments = parser.parse_args()
    before = cpu_s()
    if arguments.role == "listen":
        moment = asyncio.run(listen(arguments.port, arguments.messages))
    else:
        payloads = [bytes.fromhex(line) for line in sys.stdin.read().split()]
        moment = asyncio.run(publish(arguments.port, arguments.connections, arguments.messages, payloads))
    print(json.dumps({"moment": moment, "cpu_us": (cpu_s() - before) / arguments.messages * 1e6}))


if __name__ == "__main__":
    main()
