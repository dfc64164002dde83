"""The way between carts and the store's broker, and how it is cut: silently, as radio goes.

Where the kernel allows it (root, network namespaces), each cart's program lives in a namespace of its own behind a
virtual cable to a bridge, and the cable is pulled. Elsewhere a proxy on loopback stops passing bytes on. Neither end is
told of anything, in both.
"""

import asyncio
import contextlib
import ctypes
import os
import shutil
import socket
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol

from sim.processes import ProcessFailedError, free_port, run_once

_NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
"""From linux/sched.h."""
_CHUNK = 1 << 16
_Reach = Callable[[], Coroutine[Any, Any, socket.socket]]


class Roads(Protocol):
    """One road per cart, numbered from 1."""

    kind: str
    """What cuts them, for the report."""

    @property
    def address(self) -> str:
        """The broker's address on them, which its certificate must name."""
        ...

    async def open(self, carts: int, broker_port: int, screen_ports: Sequence[int]) -> None: ...

    def broker(self, cart: int) -> tuple[str, int]:
        """Return host and port under which a cart reaches the broker; only after `open`."""
        ...

    def command(self, cart: int, command: Sequence[str]) -> Sequence[str]:
        """Return the command that runs a cart's program where its road begins."""
        ...

    async def cut(self, cart: int) -> None: ...
    async def mend(self, cart: int) -> None: ...
    async def close(self) -> None: ...


async def best_roads() -> Roads:
    """Return roads that the kernel cuts, if we may; else those of a proxy."""
    tools = shutil.which("ip") and shutil.which("nsenter")
    if not tools or os.geteuid() != 0:
        return ProxyRoads()
    probe = f"cw{os.getpid()}p"
    try:
        await run_once(["ip", "netns", "add", probe])
        await run_once(["ip", "netns", "delete", probe])
    except ProcessFailedError:
        return ProxyRoads()
    return NamespaceRoads()


class NamespaceRoads:
    """A namespace per cart, all on one bridge; the bridge's address is the broker's."""

    kind = "network namespaces (cable pulled)"

    def __init__(self) -> None:
        number = os.getpid()
        self._mark = f"cw{number % 100_000}"
        self._net = f"10.{200 + number % 50}.{number // 50 % 250}"
        self._carts = 0
        self._port = 0
        self._screens: list[_Relay] = []

    @property
    def address(self) -> str:
        """The broker's address on the bridge."""
        return f"{self._net}.1"

    async def open(self, carts: int, broker_port: int, screen_ports: Sequence[int]) -> None:
        self._carts, self._port = carts, broker_port
        await _ip("link", "add", self._mark, "type", "bridge")
        await _ip("address", "add", f"{self.address}/24", "dev", self._mark)
        await _ip("link", "set", self._mark, "up")
        for cart in range(1, carts + 1):
            await self._lay(cart)
        for cart, port in enumerate(screen_ports, start=1):
            self._screens.append(relay := _Relay(self._screen(cart, port)))
            await relay.open(port)

    def broker(self, cart: int) -> tuple[str, int]:
        del cart
        return self.address, self._port

    def command(self, cart: int, command: Sequence[str]) -> Sequence[str]:
        return ["nsenter", f"--net={_NAMESPACES / self._name(cart)}", *command]

    async def cut(self, cart: int) -> None:
        await _ip("link", "set", self._name(cart), "down")

    async def mend(self, cart: int) -> None:
        await _ip("link", "set", self._name(cart), "up")

    async def close(self) -> None:
        for relay in self._screens:
            await relay.close()
        self._screens.clear()
        for cart in range(1, self._carts + 1):
            with contextlib.suppress(ProcessFailedError):
                await _ip("netns", "delete", self._name(cart))  # takes the cable's both ends with it
        with contextlib.suppress(ProcessFailedError):
            await _ip("link", "delete", self._mark)
        self._carts = 0

    async def _lay(self, cart: int) -> None:
        name, inside = self._name(cart), f"{self._name(cart)}i"
        await _ip("netns", "add", name)
        await _ip("link", "add", name, "type", "veth", "peer", "name", inside, "netns", name)
        await _ip("link", "set", name, "master", self._mark, "up")
        await _ip("-n", name, "address", "add", f"{self._net}.{cart + 1}/24", "dev", inside)
        for link in (inside, "lo"):
            await _ip("-n", name, "link", "set", link, "up")

    def _name(self, cart: int) -> str:
        return f"{self._mark}c{cart}"

    def _screen(self, cart: int, port: int) -> _Reach:
        """Return how to reach the screen of a cart: whoever stands before it sees it, with or without a road."""

        async def reach() -> socket.socket:
            line = _socket_in(_NAMESPACES / self._name(cart))
            await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", port))
            return line

        return reach


class ProxyRoads:
    """A proxy per cart on loopback. What is on a cut road waits, as it does in a sender's buffer."""

    kind = "a proxy that passes nothing on (no network namespaces here: that needs root, ip and nsenter)"

    def __init__(self) -> None:
        self.address = "127.0.0.1"
        self._open_road: dict[int, asyncio.Event] = {}
        self._ports: dict[int, int] = {}
        self._relays: list[_Relay] = []

    async def open(self, carts: int, broker_port: int, screen_ports: Sequence[int]) -> None:
        del screen_ports  # they are on loopback like everything else

        async def reach() -> socket.socket:
            line = socket.socket()
            line.setblocking(False)
            await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", broker_port))
            return line

        for cart in range(1, carts + 1):
            self._open_road[cart] = passable = asyncio.Event()
            passable.set()
            self._ports[cart] = free_port(0)
            self._relays.append(relay := _Relay(reach, passable))
            await relay.open(self._ports[cart])

    def broker(self, cart: int) -> tuple[str, int]:
        return "127.0.0.1", self._ports[cart]

    def command(self, cart: int, command: Sequence[str]) -> Sequence[str]:
        del cart
        return command

    async def cut(self, cart: int) -> None:
        self._open_road[cart].clear()

    async def mend(self, cart: int) -> None:
        self._open_road[cart].set()

    async def close(self) -> None:
        for relay in self._relays:
            await relay.close()
        self._relays.clear()


async def _ip(*arguments: str) -> None:
    await run_once(["ip", *arguments])


def _socket_in(namespace: Path) -> socket.socket:
    """Return a socket that belongs to a network namespace: it stays there, this thread does not (setns(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(namespace, os.O_RDONLY)
    try:
        if libc.setns(there, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
        try:
            line = socket.socket()
        finally:
            libc.setns(here, _CLONE_NEWNET)
    finally:
        os.close(here)
        os.close(there)
    line.setblocking(False)
    return line


class _Relay:
    """Passes on what comes to a port of loopback to a line that `reach` opens, both ways, while it is `passable`."""

    def __init__(self, reach: _Reach, passable: asyncio.Event | None = None) -> None:
        self._reach, self._passable = reach, passable
        self._carrying: set[asyncio.Task[None]] = set()

    async def open(self, port: int) -> None:
        self._server = await asyncio.start_server(self._taken, "127.0.0.1", port)

    async def close(self) -> None:
        self._server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carrying = asyncio.create_task(self._carry(reader, writer))
        self._carrying.add(carrying)
        carrying.add_done_callback(self._carrying.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            there_reader, there_writer = await asyncio.open_connection(sock=await self._reach())
            writers.append(there_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(reader, there_writer))
                both.create_task(self._pass_on(there_reader, writer))
        except* OSError:
            pass  # one end is gone; the other hears of it now
        finally:
            for end in writers:
                end.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            if self._passable is not None:
                await self._passable.wait()
            writer.write(chunk)
            await writer.drain()
        writer.close()
