"""The server that carries the pages: HTTPS by certificate, plain HTTP on loopback only, and no stop that hangs."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Iterator

import uvicorn
from litestar import Litestar

from cart_protocol.host.configuration import ConfigurationError
from cart_protocol.host.impatient_http import ImpatientHttp, bound_buffers
from edge_agent.config import Web
from edge_agent.web.stream import Streams

STOP_S = 2
"""How long open requests may take to end. Without a bound uvicorn waits for event streams for ever: two servers stayed
alive for 15 and 26 minutes (reference/payments, section 5)."""

_PER_STREAM, _OTHERS = 2, 200
"""Connections: a live page has its stream and perhaps one for what is tapped; others only come and go."""


class _Server(uvicorn.Server):
    """Leaves signals to the program: stopping is a matter of cancelling `serve`."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: Litestar, settings: Web, *, ready: Callable[[str], None] | None = None) -> None:
    """Serve `app` until cancelled; `ready` is called with the address once it is listening (port 0 picks one).

    Raises:
        ConfigurationError: the host could be reached from outside without a certificate, or the port is taken.
    """
    _refuse_open_plain(settings)
    server = _Server(_config(app, settings))
    listener = _listen(settings)
    running = asyncio.create_task(server.serve(sockets=[listener]), name="web server")
    try:
        if ready:
            await server.listening.wait()
            ready(_address(listener, settings))
        await asyncio.shield(running)
    finally:
        streams: Streams = app.state.streams
        streams.close()
        server.should_exit = True
        if not running.done():
            await running


def _config(app: Litestar, settings: Web) -> uvicorn.Config:
    streams: Streams = app.state.streams
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        http=ImpatientHttp,
        limit_concurrency=_PER_STREAM * streams.most + _OTHERS,
        timeout_graceful_shutdown=STOP_S,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
        # A proxy on this machine is believed about who asks; nobody else is.
        proxy_headers=True,
        forwarded_allow_ips="127.0.0.1,::1",
    )
    try:
        config.load()
    except OSError as error:
        raise ConfigurationError(
            f"web: certificate {settings.certificate} with key {settings.key} cannot be used ({error}); "
            "both must be PEM files that belong together"
        ) from error
    return config


def _listen(settings: Web) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as error:
        raise ConfigurationError(
            f"web: cannot listen on {settings.host}:{settings.port} ({error.strerror}); "
            "choose another web.port or stop what uses it"
        ) from error
    bound_buffers(listener)
    return listener


def _refuse_open_plain(settings: Web) -> None:
    if settings.certificate is None and not _is_loopback(settings.host):
        raise ConfigurationError(
            f"web.host {settings.host!r} can be reached from outside, but there is no web.certificate: "
            "set web.certificate and web.key (PEM), or web.host = '127.0.0.1'"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(listener: socket.socket, settings: Web) -> str:
    port = listener.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{'https' if settings.certificate else 'http'}://{host}:{port}"
