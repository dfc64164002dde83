"""A real server and real sockets: what a client that does not read, or does not ask, may cost."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from cart_protocol.host.impatient_http import SEND_BUFFER, ImpatientHttp, bound_buffers

PIECE = 16 << 10
RECEIVE_BUFFER = 4 << 10


class Impatient(ImpatientHttp):
    request_s = 0.5
    stall_s = 0.5


class Endless:
    """An application that streams for as long as somebody takes it."""

    def __init__(self) -> None:
        self.sent = 0
        self.ended = asyncio.Event()

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:  # fmt: skip
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.ensure_future(self._gone(receive))
        while not gone.done():
            await send({"type": "http.response.body", "body": bytes(PIECE), "more_body": True})
            self.sent += PIECE
            await asyncio.sleep(0)
        self.ended.set()

    async def _gone(self, receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


@asynccontextmanager
async def served(app: Endless, limit: int | None = None) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    bound_buffers(listener)
    server = uvicorn.Server(
        uvicorn.Config(
            app, http=Impatient, ws="none", lifespan="off", log_config=None, access_log=False,
            limit_concurrency=limit, timeout_graceful_shutdown=1,
        )
    )  # fmt: skip
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]  # the test's own loop stops it
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await running


async def connected(port: int) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    return client


async def ask(client: socket.socket) -> None:
    await asyncio.get_running_loop().sock_sendall(client, b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")


async def test_a_reader_that_does_not_read_costs_a_bounded_buffer_and_is_cut_off() -> None:
    app = Endless()
    async with served(app) as port:
        client = await connected(port)
        await ask(client)
        async with asyncio.timeout(60):
            await app.ended.wait()
        # Linux doubles what is asked for; beyond it asyncio holds 64 KiB and the piece that filled them.
        assert app.sent <= 2 * SEND_BUFFER + (64 << 10) + 2 * PIECE + 16 * RECEIVE_BUFFER
        client.close()


async def test_a_reader_that_reads_slowly_is_served() -> None:
    app, loop = Endless(), asyncio.get_running_loop()
    async with served(app) as port:
        client = await connected(port)
        await ask(client)
        got = 0
        while got < 4 * SEND_BUFFER:
            got += len(await loop.sock_recv(client, 64 << 10))
        assert not app.ended.is_set()
        client.close()


async def test_who_asks_for_nothing_is_cut_off() -> None:
    loop = asyncio.get_running_loop()
    async with served(Endless()) as port:
        silent, mumbling = await connected(port), await connected(port)
        await loop.sock_sendall(mumbling, b"GET / HT")
        for client in (silent, mumbling):
            async with asyncio.timeout(60):
                with contextlib.suppress(ConnectionResetError):
                    assert await loop.sock_recv(client, 100) == b""
            client.close()


async def test_a_connection_too_many_is_refused_in_plain_words() -> None:
    loop = asyncio.get_running_loop()
    async with served(Endless(), limit=3) as port:
        clients = [await connected(port) for _ in range(4)]
        await ask(clients[-1])
        async with asyncio.timeout(60):
            assert b"503 Service Unavailable" in await loop.sock_recv(clients[-1], 1_000)
        for client in clients:
            client.close()
