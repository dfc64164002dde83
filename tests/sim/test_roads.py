"""Roads between carts and broker that can be cut without either end being told."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sim.processes import Processes, ProcessFailedError, Program, free_port, run_once
from sim.roads import NamespaceRoads, ProxyRoads, Roads, best_roads


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while text := await reader.read(100):
        writer.write(text)
        await writer.drain()
    writer.close()


@pytest_asyncio.fixture
async def broker() -> AsyncIterator[int]:
    server = await asyncio.start_server(echo, "0.0.0.0", free_port(0))  # noqa: S104 - the bridge's address, too
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.sleep(0.1)  # its lines hear that the other ends are closed


async def test_a_proxy_holds_back_what_is_on_a_cut_road_and_passes_it_on_when_mended(broker: int) -> None:
    roads = ProxyRoads()
    await roads.open(2, broker, ())
    first, second = [await asyncio.open_connection(*roads.broker(cart)) for cart in (1, 2)]
    assert await asks(first, b"one") == b"one"
    await roads.cut(1)
    assert await asks(first, b"two") is None
    assert await asks(second, b"two") == b"two"
    await roads.mend(1)
    assert await asyncio.wait_for(first[0].read(3), 10) == b"two"
    for _, writer in (first, second):
        writer.close()
    await roads.close()


async def asks(line: tuple[asyncio.StreamReader, asyncio.StreamWriter], text: bytes) -> bytes | None:
    """Return the echo, or None if none comes for a while."""
    line[1].write(text)
    try:
        return await asyncio.wait_for(line[0].read(len(text)), 0.5)
    except TimeoutError:
        return None


async def test_a_pulled_cable_parts_a_cart_from_the_broker_but_not_its_screen_from_who_stands_before_it(
    broker: int, tmp_path: Path
) -> None:
    roads = await best_roads()
    if not isinstance(roads, NamespaceRoads):
        pytest.skip(f"roads are cut by {roads.kind}")
    screen = free_port(0)
    await roads.open(1, broker, [screen])
    processes = Processes(tmp_path)
    serve = [sys.executable, "-m", "http.server", str(screen), "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    try:
        await processes.start(Program(name="cart", command=roads.command(1, serve)))
        await reach(roads, broker)
        await roads.cut(1)
        with pytest.raises(ProcessFailedError, match=r"TimeoutError|unreachable|No route"):
            await reach(roads, broker)
        assert await sees(screen)
        await roads.mend(1)
        await reach(roads, broker, attempts=20)  # the kernel first asks around who is there again
    finally:
        await processes.stop()
        await roads.close()
    assert f"cw{os.getpid() % 100_000}c" not in await run_once(["ip", "netns"])


async def reach(roads: Roads, port: int, attempts: int = 1) -> None:
    """Connect from where the road begins, in one of so many attempts of two seconds."""
    host, _ = roads.broker(1)
    script = f"import socket; socket.create_connection(({host!r}, {port}), 2).close()"
    for attempt in range(1, attempts + 1):
        try:
            await run_once(roads.command(1, [sys.executable, "-c", script]))
        except ProcessFailedError:
            if attempt == attempts:
                raise
        else:
            return


async def sees(screen: int) -> bool:
    for _ in range(100):
        reader, writer = await asyncio.open_connection("127.0.0.1", screen)
        writer.write(b"HEAD / HTTP/1.0\r\n\r\n")
        answer = await reader.read(8)
        writer.close()
        if answer == b"HTTP/1.0":
            return True
        await asyncio.sleep(0.1)
    return False
