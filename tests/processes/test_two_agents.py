"""Two agents on one PostgreSQL: one is killed, one is frozen and thawed, and the carts notice nothing but a pause."""

import asyncio
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import httpx
import pytest

from cart_protocol.basket import CodeOffered
from cart_protocol.host.clock import HostClock, HostDice, IdMint
from cart_protocol.ids import CartId, StoreId
from cart_protocol.link.asyncio_mqtt import AsyncioMqttLink
from cart_protocol.link.settings import MqttSettings, TlsFiles
from cart_protocol.topics import subscriptions_of_cart
from edge_agent.core.partition import partition_of
from edge_agent.store.verify import verify
from sim.load_cart import LoadCart
from sim.processes import free_port
from tests.edge_agent.test_journal import rows
from tests.postgres import Postgres

pytestmark = [pytest.mark.processes, pytest.mark.postgresql, pytest.mark.timeout(300)]
STORE = StoreId("two")
AGENTS = ("agent", "agent-2")
CARTS = [CartId(f"c{number}") for number in range(1, 9)]
_FIRST_PORT, _BLOCKS, _PORTS = 20_000, 600, 20
_PATIENCE_S = 90.0
"""For whatever must come about; on a machine that is not starved a take-over takes some five seconds."""


class Store:
    """A store whose two agents, 'agent' and 'agent-2', share a database. What ends is started again, as by systemd."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder, self.database = folder, database
        first = _FIRST_PORT + os.getpid() % _BLOCKS * _PORTS
        self.broker_port, *self.web_ports = (free_port(port) for port in range(first, first + 3))
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.ended: list[tuple[str, int]] = []
        """Which program ended, and with which status."""
        self.resting: set[str] = set()
        """Who is not started again for now."""

    def make(self) -> None:
        self._command("init", self.folder, "--store", STORE, "--name", "Two", "--state", self.folder / "state",
                      "--broker-port", self.broker_port, "--web-port", self.web_ports[0])  # fmt: skip
        made = self.folder / "edge.toml"
        self._command("issue-agent", "agent-2", "--config", made)
        self._command("issue-cart", *CARTS, "--config", made, "--output", self.folder / "carts")
        text = made.read_text()
        known = tomllib.loads(text)
        text = text.replace(known["database"], self.database)
        own, other = known["broker"]["certificate"], self.folder / "agents" / "agent-2"
        second = text.replace(own, str(other / "agent-2.pem")).replace(
            known["broker"]["key"], str(other / "agent-2.key")
        )
        second = second.replace(f"port = {self.web_ports[0]}", f"port = {self.web_ports[1]}")
        for name, configuration, home in (("agent", text, 0), ("agent-2", second, 1)):
            cluster = f'\n[cluster]\nshared = true\nagent = "{name}"\npartitions = 2\nhome = [{home}]\nlease_s = 3.0\n'
            (self.folder / f"{name}.toml").write_text(configuration + cluster)

    def start(self, name: str) -> None:
        if name == "broker":
            command = ["mosquitto", "-c", str(self.folder / "broker" / "mosquitto.conf")]
        else:
            command = [sys.executable, "-m", "edge_agent", "run", "--config", str(self.folder / f"{name}.toml")]
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def signal(self, name: str, what: signal.Signals) -> None:
        self._running[name].send_signal(what)

    async def watch(self) -> None:
        """Start again whatever ends."""
        while True:
            for name, running in self._running.items():
                if name not in self.resting and running.poll() is not None:
                    self.ended.append((name, running.wait()))
                    self.start(name)
            await asyncio.sleep(0.2)

    async def take_down(self, name: str) -> int:
        """End a program in good order, for good, and return its status."""
        running = self._running.pop(name)
        running.terminate()
        await until(lambda: running.poll() is not None, f"{name} ends")
        return running.wait()

    def stop(self) -> None:
        for running in self._running.values():
            running.kill()
            running.wait()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def owners(self) -> set[str]:
        """Return the names of the agents that hold a partition."""
        return {owner.partition("/")[0] for (owner,) in rows(self.database, "SELECT owner FROM lease")}

    def fences(self) -> dict[int, int]:
        """Return under which fence each partition was last written."""
        return dict(rows(self.database, "SELECT partition, max(fence) FROM entry GROUP BY partition"))

    def written_under(self, fences: dict[int, int]) -> int:
        """Return how many entries were written under these fences or lower ones."""
        query = "SELECT count(*) FROM entry WHERE partition = {} AND fence <= {}"
        return sum(rows(self.database, query.format(*each))[0][0] for each in fences.items())

    def link(self, cart: CartId) -> AsyncioMqttLink:
        own = self.folder / "carts" / cart
        files = TlsFiles(authority=own / "authority.pem", certificate=own / f"{cart}.pem", key=own / f"{cart}.key")
        settings = MqttSettings(host="127.0.0.1", port=self.broker_port, tls=files)
        return AsyncioMqttLink(settings, client_id=cart, subscriptions=subscriptions_of_cart(STORE, cart))

    def _command(self, *arguments: object) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "edge_agent", *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


class Fleet:
    """Carts that report something a few dozen times a second each."""

    def __init__(self, store: Store) -> None:
        clock, self._dice = HostClock(), Random(4)
        mint = IdMint(clock, HostDice())
        self.carts = [
            LoadCart(cart, STORE, store.link(cart), clock=clock, mint=mint, epoch=7, acknowledged_in=lambda _: None)
            for cart in CARTS
        ]
        self.talking = True

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for cart in self.carts:
                tasks.create_task(cart.run())
            while True:
                await asyncio.sleep(0.02)
                for cart in self.carts:
                    if self.talking and cart.up.is_set() and self._dice.random() < 0.5:
                        cart.record(CodeOffered(code=f"{cart.recorded:06}"))
                    cart.tick()

    async def close(self) -> None:
        for cart in self.carts:
            await cart.close()


async def until(holds: Callable[[], object], what: str) -> float:
    """Wait until something holds and return how long that took (s)."""
    began = asyncio.get_running_loop().time()
    while not holds():
        assert asyncio.get_running_loop().time() - began < _PATIENCE_S, f"not so after {_PATIENCE_S} s: {what}"
        await asyncio.sleep(0.02)
    return asyncio.get_running_loop().time() - began


async def heard_again(carts: list[LoadCart]) -> float:
    """Wait until each of these carts is acknowledged beyond what it has recorded now; return how long that took (s)."""
    now = {cart.cart: cart.recorded for cart in carts}
    return await until(lambda: all(cart.acknowledged > now[cart.cart] for cart in carts), "the carts are heard again")


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[Fleet]:
    store.make()
    for name in ("broker", *AGENTS):
        store.start(name)
    fleet = Fleet(store)
    running = asyncio.gather(fleet.run(), store.watch())
    try:
        yield fleet
        assert not running.done(), running.exception()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await fleet.close()
        store.stop()


async def test_one_is_killed_one_is_frozen_and_nothing_is_lost_or_comes_twice(
    postgres: Postgres, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store", postgres.database())
    async with opened(store) as fleet:
        await heard_again(fleet.carts)
        await until(lambda: all("standing-by" in store.log(name) for name in AGENTS), "both agents are there")
        if len(store.owners()) == 2:  # as it is, unless the second one came seconds late
            await shopper_is_sent_to_the_other_agent(store)

        store.resting.add("agent")
        store.signal("agent", signal.SIGKILL)
        killed_s = await heard_again(fleet.carts)
        assert store.owners() == {"agent-2"}
        store.resting.clear()
        await until(lambda: ("agent", -signal.SIGKILL) in store.ended, "it is dead")
        await until(lambda: store.log("agent").count("standing-by") >= 2, "it is back, and stands by")
        await heard_again(fleet.carts)

        old = store.fences()
        store.signal("agent-2", signal.SIGSTOP)
        frozen_s = await heard_again(fleet.carts)
        taken = {partition: old[partition] for partition, fence in store.fences().items() if fence > old[partition]}
        assert taken, "its partitions were taken over"
        written = store.written_under(taken)
        store.signal("agent-2", signal.SIGCONT)
        await until(lambda: any(name == "agent-2" and status > 0 for name, status in store.ended), "it ends by itself")
        await heard_again(fleet.carts)

        fleet.talking = False
        await until(lambda: not any(cart.waiting for cart in fleet.carts), "everything is acknowledged")
        for name in AGENTS:
            assert await store.take_down(name) in {0, -signal.SIGTERM}, store.log(name)[-2000:]

    print(f"\ntake-over: {killed_s:.1f} s after kill -9, {frozen_s:.1f} s after SIGSTOP (lease 3 s)")  # noqa: T201
    found = verify(store.database)
    assert found.findings == ()
    assert store.written_under(taken) == written, "the thawed agent wrote nothing"
    assert rows(store.database, "SELECT count(*) FROM entry WHERE kind = 'CartSnapshotAdopted'") == [(0,)]
    assert dict(rows(store.database, 'SELECT cart, seq FROM "position"')) == {
        cart.cart: cart.recorded for cart in fleet.carts
    }
    reported = rows(store.database, "SELECT count(*) FROM entry WHERE kind = 'CartReported'")
    assert reported == [(sum(cart.recorded for cart in fleet.carts),)]


async def shopper_is_sent_to_the_other_agent(store: Store) -> None:
    """Who scans a cart of the other agent's with this one's page is sent there."""
    ours, theirs = (f"http://127.0.0.1:{port}" for port in store.web_ports)
    cart = next(cart for cart in CARTS if partition_of(cart, 2) == 1)
    async with httpx.AsyncClient() as phone:
        sent = await phone.get(f"{ours}/phone?code={cart}-7K3M9Q")
        assert (sent.status_code, sent.headers.get("location")) == (303, f"{theirs}/phone?code={cart}-7K3M9Q")
        assert (await phone.get(f"{theirs}/phone?code={cart}-7K3M9Q")).status_code == 200
