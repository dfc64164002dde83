"""Many carts in one lean process: they speak the carts' protocol and do nothing else, as raw_mqtt's publisher does.

Each greets with a Birth, then sends consecutive Events (a trip of scans, lines and loads, over and over), at most
WINDOW beyond what the store has acknowledged, and is done when the last one is. Prints one JSON object.
"""

import argparse
import asyncio
import json
import re
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import cast

from bench.agent import BOUND_AT, EPOCH, STORE
from bench.raw_mqtt import RECEIVE_MAXIMUM, WINDOW, Packets, connect, cpu_s, same, subscribe, text, varint
from cart_protocol.basket import CartEvent, ItemScanned, LineAdded, LineRemoved, LoadSettled, Position
from cart_protocol.codec import encode
from cart_protocol.ids import CartId, LineId, ProductId, ScanId, Seq
from cart_protocol.mass import Mass, Variance
from cart_protocol.messages import Birth, CartTime, Events, Recorded
from cart_protocol.money import Money
from cart_protocol.pricing.line import LinePrice
from cart_protocol.pricing.price_book import SoldBy
from cart_protocol.topics import address, subscriptions_of_cart

_TURN = 40
"""Items of one trip; then the same lines again, each taken out before it is put in anew."""
_SEQ = b"987654321"
"""Stands in a stencil where the number comes."""
_ACK = re.compile(rb'"type":"Ack".*"seq":(\d+)')


def trip() -> list[CartEvent]:
    """Return the events of one trip, which can follow itself: 40 items scanned, weighed, and taken out again."""
    events: list[CartEvent] = []
    price = LinePrice(
        unit=Money(249, "EUR"), sold_by=SoldBy.PIECE, total=Money(249, "EUR"), tax=Money(16, "EUR"),
        tax_class="reduced", book_version=1,
    )  # fmt: skip
    for number in range(_TURN):
        scan, line = ScanId(f"01934b6e-7c1a-7d20-9f1e-{number:012x}"), LineId(f"01934b6e-7c1b-7d20-9f1e-{number:012x}")
        product, name = ProductId(f"0952{number:010}"), "Wholemeal bread, sliced, 500 g"
        load = LoadSettled(settled=Mass(500_000 * (number + 1)), variance=Variance(900_000))
        events += [
            ItemScanned(scan=scan, product=product, name=name, text=f"952{number:010}", symbology="EAN-13"),
            LineAdded(line=line, scan=scan, product=product, name=name, quantity=1, mass=Mass(500_000), price=price,
                      tagged=False),
            load,
        ]  # fmt: skip
    return [
        *events,
        *(LineRemoved(line=event.line, mass=Mass(500_000)) for event in events if isinstance(event, LineAdded)),
    ]


def stencils(batch: int = 1) -> list[tuple[bytes, ...]]:
    """Return the Events messages of a trip, cut where the numbers of the events go: `batch` events in each."""
    events = trip()
    events += events[: -len(events) % batch]
    found = []
    for start in range(0, len(events), batch):
        at = CartTime(boot="01934b6e-7c1a", monotonic_us=123_456_789_012, wall_ms=1_732_500_000_000, synchronised=True)
        recorded = tuple(Recorded(seq=Seq(int(_SEQ)), at=at, event=event) for event in events[start : start + batch])
        found.append(tuple(encode(Events(epoch=EPOCH, events=recorded)).split(_SEQ)))
    return found


def sizes() -> list[int]:
    """Return how long each message of a trip is, for a raw publisher that sends the same."""
    return [len(b"12345".join(pieces)) for pieces in stencils()]


class Cart(asyncio.Protocol):
    """One cart. `share` events in messages of `batch`, sent when told (`paced`), else as fast as allowed."""

    def __init__(self, number: int, share: int, messages: Sequence[tuple[bytes, ...]], *, paced: bool = False) -> None:
        loop = asyncio.get_running_loop()
        self._cart = CartId(f"c{number}")
        self._topic = text(address(Events, STORE, self._cart))
        self._messages, self._batch, self._paced = messages, len(messages[0]) - 1, paced
        self._first, self._last = int(BOUND_AT), int(BOUND_AT) + share
        self._sent = self.acknowledged = self._first
        self._packets = Packets()
        self._sent_at: deque[tuple[int, float]] = deque()
        self.took_s: list[float] = []
        self.repeats = 0
        self.ready: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        down, everybody = subscriptions_of_cart(STORE, self._cart)
        self._transport.write(connect(f"cart-{self._cart}", RECEIVE_MAXIMUM) + subscribe(down))
        del everybody  # a price book of the store's is not what is measured

    def data_received(self, data: bytes) -> None:
        answers = []
        for first, body in self._packets.feed(data):
            if first >> 4 == 3:
                at = 2 + (body[0] << 8 | body[1])
                if first & 6:
                    answers.append(b"\x40\x02" + body[at : at + 2])
                self._heard(body)
            elif first == 0x90:
                self._greet()
        if answers:
            self._transport.write(b"".join(answers))

    def fill(self) -> None:
        """Send what may be on its way."""
        packets = []
        while self._sent < self._last and self._sent - self.acknowledged < WINDOW * self._batch:
            packets.append(self._next())
        if packets:
            self._transport.write(b"".join(packets))

    def send_one(self) -> None:
        """PACED: the next event happens now."""
        self._sent_at.append((self._sent + self._batch, time.monotonic()))
        self._transport.write(self._next())

    def _next(self) -> bytes:
        pieces = self._messages[(self._sent - self._first) // self._batch % len(self._messages)]
        payload = pieces[0]
        for piece in pieces[1:]:
            self._sent += 1
            payload += b"%d" % self._sent + piece
        return b"\x30" + varint(len(self._topic) + 1 + len(payload)) + self._topic + b"\x00" + payload  # QoS 0

    def _greet(self) -> None:
        start = Position(epoch=EPOCH, seq=Seq(self._first))
        birth = encode(Birth(position=start, oldest=Seq(self._first + 1), software="bench"))
        topic = text(address(Birth, STORE, self._cart))
        self._transport.write(b"\x32" + varint(len(topic) + 3 + len(birth)) + topic + b"\xff\xff\x00" + birth)

    def _heard(self, body: bytes) -> None:
        ack = _ACK.search(body)
        if ack is None:
            return
        seq = int(ack[1])
        if not self.ready.done():
            self.ready.set_result(None)
            return
        if seq <= self.acknowledged:
            self.repeats += 1
            return
        self.acknowledged = seq
        now = time.monotonic()
        while self._sent_at and self._sent_at[0][0] <= seq:
            self.took_s.append(now - self._sent_at.popleft()[1])
        if seq >= self._last:
            self.done.set_result(None)
        elif not self._paced:
            self.fill()


async def rush(port: int, carts: int, events: int, batch: int) -> dict[str, float]:
    """Send `events` over all carts as fast as the store acknowledges them."""
    messages = stencils(batch)
    share = events // carts // batch * batch
    fleet = [Cart(number, share, messages) for number in range(carts)]
    await _board(port, fleet)
    before, began = cpu_s(), time.monotonic()
    for cart in fleet:
        cart.fill()
    await asyncio.gather(*(cart.done for cart in fleet))
    elapsed = time.monotonic() - began
    return {
        "per_s": share * carts / elapsed, "events": share * carts, "cpu_us": (cpu_s() - before) / share / carts * 1e6,
        "repeats": sum(cart.repeats for cart in fleet),
    }  # fmt: skip


async def pace(port: int, carts: int, per_s: float, seconds: float) -> dict[str, float]:
    """Send `per_s` events a second over all carts, one in each message; return how long acknowledgements took."""
    messages = stencils()
    share = int(per_s * seconds) // carts
    fleet = [Cart(number, share, messages, paced=True) for number in range(carts)]
    await _board(port, fleet)
    began = time.monotonic()
    for number in range(share * carts):
        due = began + number / per_s
        if (ahead := due - time.monotonic()) > 0:
            await asyncio.sleep(ahead)
        fleet[number % carts].send_one()
    await asyncio.gather(*(cart.done for cart in fleet))
    took = sorted(second for cart in fleet for second in cart.took_s)
    return {"p50_ms": took[len(took) // 2] * 1e3, "p99_ms": took[int(len(took) * 0.99)] * 1e3, "events": len(took)}


async def _board(port: int, fleet: Sequence[Cart]) -> None:
    loop = asyncio.get_running_loop()
    for cart in fleet:
        await loop.create_connection(partial(same, cart), "127.0.0.1", port)
    await asyncio.gather(*(cart.ready for cart in fleet))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--carts", type=int, required=True)
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--per-s", type=float, help="Pace, instead of as fast as possible.")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    if options.per_s:
        found = asyncio.run(pace(options.port, options.carts, options.per_s, options.seconds))
    else:
        found = asyncio.run(rush(options.port, options.carts, options.events, options.batch))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
