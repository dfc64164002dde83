"""The air between carts and store on the stage: a broker in memory whose wire can lose, repeat, delay and part.

It promises what a broker with QoS 1 promises and no more: each station sees the topics it subscribed to, in order per
sender unless the air is bad, retained messages on arrival, and a will when somebody vanishes.
"""

import asyncio
from collections.abc import Sequence
from random import Random

import msgspec

from cart_protocol.link import Down, Received, Up, Will


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """How bad the air is: shares of messages lost and repeated, and the longest delay. Nothing bad by default."""

    lost: float = 0.0
    repeated: float = 0.0
    delay_s: float = 0.002
    """Each message takes a random share of this; above the time between two messages it reorders them."""


class Air:
    """All stations of one shop."""

    def __init__(self, dice: Random, weather: Weather | None = None) -> None:
        self.weather = weather or Weather()
        self.lost = 0
        self.repeated = 0
        self._dice = dice
        self._stations: list[Station] = []
        self._retained: dict[str, bytes] = {}

    def station(self, subscriptions: Sequence[str], will: Will | None = None) -> "Station":
        """Return a link that hears what matches `subscriptions` ('+' and '#' as in MQTT)."""
        station = Station(self, subscriptions, will)
        self._stations.append(station)
        station.connect()
        return station

    def carry(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Bring a message to whoever listens, as far as the weather allows."""
        if retain:
            self._retained[topic] = payload
        for station in self._stations:
            if station.up and station.hears(topic):
                self._send(station, topic, payload)

    def arrive(self, station: "Station") -> None:
        for topic, payload in self._retained.items():
            if station.hears(topic):
                self._send(station, topic, payload)

    def leave(self, station: "Station") -> None:
        if station in self._stations:
            self._stations.remove(station)

    def _send(self, station: "Station", topic: str, payload: bytes) -> None:
        if self._dice.random() < self.weather.lost:
            self.lost += 1
            return
        copies = 1
        if self._dice.random() < self.weather.repeated:
            self.repeated += 1
            copies = 2
        for _ in range(copies):
            delay_s = self._dice.random() * self.weather.delay_s
            asyncio.get_running_loop().call_later(delay_s, station.hear, topic, payload)


class Station:
    """One link: cart_protocol.link.RawLink in the stage's air."""

    def __init__(self, air: Air, subscriptions: Sequence[str], will: Will | None) -> None:
        self._air = air
        self._subscriptions = [subscription.split("/") for subscription in subscriptions]
        self._will = will
        self._inbox: asyncio.Queue[Up | Down | Received] = asyncio.Queue()
        self.up = False

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, expiry_s: int | None = None
    ) -> bool:
        del qos, expiry_s
        if self.up:
            self._air.carry(topic, payload, retain=retain)
        return self.up

    async def receive(self) -> Up | Down | Received:
        return await self._inbox.get()

    def drain(self) -> Sequence[Up | Down | Received]:
        """One by one is what the stage wants: every message is a step of its own."""
        return ()

    async def close(self) -> None:
        self.up = False
        self._air.leave(self)

    # ── what happens to it ───────────────────────────────────────────────────────────────────────────────────────

    def connect(self) -> None:
        """The radio works (again)."""
        if not self.up:
            self.up = True
            self._inbox.put_nowait(Up())
            self._air.arrive(self)

    def part(self) -> None:
        """The radio is out of reach; the broker notices and speaks the will."""
        if self.up:
            self.up = False
            self._inbox.put_nowait(Down("out of reach"))
            if self._will:
                self._air.carry(self._will.topic, self._will.payload, retain=self._will.retain)

    def vanish(self) -> None:
        """The process behind it is dead."""
        self.part()
        self._air.leave(self)

    def hear(self, topic: str, payload: bytes) -> None:
        if self.up:
            self._inbox.put_nowait(Received(topic, payload))

    def hears(self, topic: str) -> bool:
        parts = topic.split("/")
        return any(_matches(pattern, parts) for pattern in self._subscriptions)


def _matches(pattern: list[str], topic: list[str]) -> bool:
    for place, part in enumerate(pattern):
        if part == "#":
            return True
        if place >= len(topic) or part not in ("+", topic[place]):
            return False
    return len(pattern) == len(topic)
