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
    """How bad the air is: shares of messages lost, repeated and late. Nothing bad by default."""

    lost: float = 0.0
    repeated: float = 0.0
    late: float = 0.0
    """Share of messages that take up to `late_s` and may be overtaken by others."""
    late_s: float = 0.0
    delay_s: float = 0.002
    """Every message takes a random part of this; those of one topic tree stay in order."""


class Air:
    """All stations of one shop."""

    def __init__(self, dice: Random, weather: Weather | None = None) -> None:
        self.weather = weather or Weather()
        self.lost = 0
        self.repeated = 0
        self.late = 0
        self.overtaken = 0
        """Messages that arrived after one that was sent later."""
        self._dice = dice
        self._stations: list[Station] = []
        self._retained: dict[str, bytes] = {}
        self._broker_runs = 0
        self._broker_up = True

    def station(self, subscriptions: Sequence[str], will: Will | None = None) -> "Station":
        """Return a link that hears what matches `subscriptions` ('+' and '#' as in MQTT)."""
        station = Station(self, subscriptions, will)
        self._stations.append(station)
        station.connect()
        return station

    @property
    def broker_up(self) -> bool:
        return self._broker_up

    def stop_broker(self, *, remembers: bool) -> None:
        """Kill the broker: what it had on its hands is gone, and its retained messages too unless it `remembers`."""
        self._broker_runs += 1
        self._broker_up = False
        if not remembers:
            self._retained.clear()
        for station in self._stations:
            station.lose("the broker is gone")

    def start_broker(self) -> None:
        """Start it again; whoever is in reach connects."""
        self._broker_up = True
        for station in list(self._stations):
            station.connect()

    def carry(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Bring a message to whoever listens, as far as the weather allows."""
        if not self._broker_up:
            return
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
        weather = self.weather
        if weather.lost and self._dice.random() < weather.lost:
            self.lost += 1
            return
        copies = 1
        if weather.repeated and self._dice.random() < weather.repeated:
            self.repeated += 1
            copies = 2
        for _ in range(copies):
            self._deliver(station, topic, payload)

    def _deliver(self, station: "Station", topic: str, payload: bytes) -> None:
        loop = asyncio.get_running_loop()
        arrives_s = loop.time() + self._dice.random() * self.weather.delay_s
        if self.weather.late and self._dice.random() < self.weather.late:
            self.late += 1
            arrives_s += self._dice.random() * self.weather.late_s
        else:
            arrives_s = max(arrives_s, station.newest_s)
        if arrives_s < station.newest_s:
            self.overtaken += 1
        station.newest_s = max(station.newest_s, arrives_s)
        run = self._broker_runs
        loop.call_at(arrives_s, lambda: station.hear(topic, payload) if run == self._broker_runs else None)


class Station:
    """One link: cart_protocol.link.RawLink in the stage's air."""

    def __init__(self, air: Air, subscriptions: Sequence[str], will: Will | None) -> None:
        self._air = air
        self._subscriptions = [subscription.split("/") for subscription in subscriptions]
        self._heard_topics: dict[str, bool] = {}
        self._will = will
        self._inbox: asyncio.Queue[Up | Down | Received] = asyncio.Queue()
        self._in_reach = True
        self.up = False
        self.newest_s = 0.0
        """When the last message that is on its way here arrives."""

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
        """The radio works (again), if it is in reach and there is a broker."""
        if not self.up and self._in_reach and self._air.broker_up:
            self.up = True
            self._inbox.put_nowait(Up())
            self._air.arrive(self)

    def part(self) -> None:
        """The radio is out of reach; the broker notices and speaks the will."""
        self._in_reach = False
        if self.up:
            self.lose("out of reach")
            if self._will:
                self._air.carry(self._will.topic, self._will.payload, retain=self._will.retain)

    def reach(self) -> None:
        """The radio is in reach again."""
        self._in_reach = True
        self.connect()

    def lose(self, reason: str) -> None:
        """The connection broke."""
        if self.up:
            self.up = False
            self._inbox.put_nowait(Down(reason))

    def vanish(self) -> None:
        """The process behind it is dead."""
        self.part()
        self._air.leave(self)

    def hear(self, topic: str, payload: bytes) -> None:
        if self.up:
            self._inbox.put_nowait(Received(topic, payload))

    def hears(self, topic: str) -> bool:
        known = self._heard_topics.get(topic)
        if known is None:
            parts = topic.split("/")
            known = self._heard_topics[topic] = any(_matches(pattern, parts) for pattern in self._subscriptions)
        return known


def _matches(pattern: list[str], topic: list[str]) -> bool:
    for place, part in enumerate(pattern):
        if part == "#":
            return True
        if place >= len(topic) or part not in ("+", topic[place]):
            return False
    return len(pattern) == len(topic)
