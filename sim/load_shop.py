"""The store that a load run bears on: the product's own programs, without carts or lanes."""

import os
import resource
import secrets
import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec

from cart_protocol.ids import CartId
from cart_protocol.link.settings import MqttSettings, TlsFiles
from cart_protocol.pricing.price_book import PriceBook
from sim.processes import Processes, Program, free_port, run_once
from sim.shop_files import program

STORE = "load"
_PORTS = (28883, 28443, 28790)
"""Of broker, pages and acquirer."""
_AGENT, _BROKER = "store", "broker"
_FILES = 65_536
"""File descriptors that a thousand carts and their broker may need."""


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What a process has used since it began, and holds now."""

    cpu_s: float
    resident_mb: float


class Books(msgspec.Struct, kw_only=True):
    """What `edge-agent status --json` says, as far as a load run compares it."""

    cart_events: int
    duplicates: int


class LoadShop:
    """One store in one folder, made when it is not there yet.

    Args:
        folder: for everything the shop writes.
        carts: how many carts get certificates.
        database: the journal's address; empty is a SQLite file in the folder.
        say: told of each step.
    """

    def __init__(self, folder: Path, carts: int, database: str, say: Callable[[str], None]) -> None:
        self._folder = folder.resolve()
        self._carts = carts
        self._database = database or f"sqlite:///{self._folder / 'state' / 'store.db'}"
        self._say = say
        self._processes = Processes(self._folder.with_name(f"{self._folder.name}-logs"))
        self._broker_port, self._web_port, self._acquirer_port = (free_port(port) for port in _PORTS)

    async def open(self) -> None:
        """Make what is missing and start broker, acquirer and agent.

        Raises:
            ProcessFailedError: a program did not come up; the text shows its last words.
        """
        allow_many_files()
        self._say(f"making a store and the certificates of {self._carts} carts")
        made = self._folder / "edge.toml"
        await run_once([
            program("edge-agent"), "init", str(self._folder), "--store", STORE, "--name", "Load",
            "--state", str(self._folder / "state"), "--broker-port", str(self._broker_port),
            "--web-port", str(self._web_port),
        ])  # fmt: skip
        names = [f"c{number}" for number in range(self._carts)]
        await run_once([
            program("edge-agent"), "issue-cart", *names, "--config", str(made), "--output", str(self._folder / "carts")
        ])  # fmt: skip
        self._configure(made)
        self.book = msgspec.json.decode(await run_once(self._edge("price-book")), type=PriceBook)
        for part in self._programs():
            self._say(f"starting {part.name}")
            await self._processes.start(part)

    async def close(self) -> None:
        await self._processes.stop()

    def check(self) -> None:
        """Raise ProcessFailedError if a program has ended by itself."""
        self._processes.check()

    async def power_cut(self) -> None:
        """Kill the agent."""
        await self._processes.kill(_AGENT)

    async def power_back(self) -> None:
        await self._processes.restart(_AGENT)

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self._web_port}"

    def link_settings(self, cart: CartId) -> MqttSettings:
        """Return how this cart reaches the broker."""
        own = self._folder / "carts" / cart
        files = TlsFiles(authority=own / "authority.pem", certificate=own / f"{cart}.pem", key=own / f"{cart}.key")
        return MqttSettings(host="127.0.0.1", port=self._broker_port, tls=files)

    def used(self) -> dict[str, Used]:
        """Return what agent and broker have used."""
        return {name: _used(self._processes.pid(name)) for name in (_AGENT, _BROKER)}

    async def books(self) -> Books:
        return msgspec.json.decode(await run_once([*self._edge("status"), "--json"]), type=Books)

    def _configure(self, made: Path) -> None:
        """Complete the configuration: the acquirer's address and key, the journal's address, one page per phone."""
        (self._folder / "acquirer.key").touch(mode=0o600)
        (self._folder / "acquirer.key").write_text(secrets.token_urlsafe(24))
        text = made.read_text()
        known = tomllib.loads(text)
        text = text.replace(known["database"], self._database)
        text = text.replace(
            f'acquirer = "{known["payment"]["acquirer"]}"',
            f'acquirer = "test:http://127.0.0.1:{self._acquirer_port}"\napi_key = "{self._folder / "acquirer.key"}"',
        )
        made.write_text(text)

    def _programs(self) -> list[Program]:
        acquirer = [
            program("cart-sim"), "acquirer", "--port", str(self._acquirer_port),
            "--database", str(self._folder / "acquirer.db"), "--api-key-file", str(self._folder / "acquirer.key"),
        ]  # fmt: skip
        broker = [program("mosquitto"), "-c", str(self._folder / "broker" / "mosquitto.conf")]
        return [
            Program(name=_BROKER, command=broker, port=self._broker_port),
            Program(name="acquirer", command=acquirer, port=self._acquirer_port),
            Program(name=_AGENT, command=self._edge("run"), port=self._web_port),
        ]

    def _edge(self, command: str) -> list[str]:
        return [program("edge-agent"), command, "--config", str(self._folder / "edge.toml")]


def allow_many_files() -> None:
    """Raise this process's limit of open files, and with it that of the programs it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _used(pid: int) -> Used:
    """Read proc(5): fields 14 and 15 of stat, VmRSS of status."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    resident = next((line.split()[1] for line in status if line.startswith("VmRSS:")), "0")
    return Used(cpu_s=cpu_s, resident_mb=int(resident) / 1024)
