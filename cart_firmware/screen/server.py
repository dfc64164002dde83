"""The cart's own page: one server on loopback, one stream of whole views per page, no asset from anywhere else.

What is touched comes as JSON and is handed to the desk; its effect comes back as the next view.
"""

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from importlib.resources import files
from ipaddress import ip_address
from typing import Any

import msgspec
import uvicorn
from litestar import Litestar, Request, Response, get, post
from litestar.config.allowed_hosts import AllowedHostsConfig
from litestar.datastructures import CacheControlHeader
from litestar.exceptions import ClientException, NotFoundException, ServiceUnavailableException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import ServerSentEvent, ServerSentEventMessage

from cart_firmware.config import Screen
from cart_firmware.core.touch import Touch
from cart_firmware.ports import PictureShelf
from cart_firmware.screen.page import Page
from cart_firmware.services.show import Desk, ScreenSource
from cart_protocol.host.clock import Clock
from cart_protocol.host.configuration import ConfigurationError
from cart_protocol.host.impatient_http import ImpatientHttp, bound_buffers
from cart_protocol.product_picture import media_type

_HEARTBEAT_S = 15
_RECONNECT_MS = 1_000
_GRACE_S = 1
"""For answers under way when the server ends; streams end by themselves (uvicorn would wait for them for ever)."""
_MOST_STREAMS = 8
"""The cart has one screen; a few more are for who looks after it."""
_MOST_CONNECTIONS = 32
_TOUCHES = msgspec.json.Decoder[Touch](Touch)
_LONGEST_SEARCH = 40
_LARGEST_TOUCH = 20_000
"""Bytes: the lines of a very full cart, all to be taken out."""
_ASSETS = {"screen.css": "text/css", "screen.js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class ScreenServer:
    """Serves the cart's page. Binds its port at once; `serve()` answers until `close()` is called or it is cancelled.

    Args:
        source: where the views come from.
        desk: who takes touches and finds products.
        settings: host, a loopback address, and port; port 0 takes any free one (see `address`).
        clock: for the time of day since when the cart is offline.
        pictures: of products, where the cart keeps any.

    Raises:
        ConfigurationError: the host is not a loopback address, or the port is taken.
    """

    def __init__(
        self, source: ScreenSource, desk: Desk, settings: Screen, clock: Clock, pictures: PictureShelf | None = None
    ) -> None:
        self._source, self._desk, self._pictures = source, desk, pictures
        self._clock = clock
        self._socket = _bound(settings)
        host, port = self._socket.getsockname()[:2]
        self.address = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
        self._serving = False
        self._streams = 0
        self._closing = asyncio.Event()
        self._offline_since_ms: int | None = None
        assets = {name: files("cart_firmware.screen").joinpath("static", name).read_bytes() for name in _ASSETS}
        self._page = Page(
            hashlib.sha256(b"".join(assets.values())).hexdigest()[:12], pictures if pictures is not None else ()
        )
        self._app = self._routes(assets)

    async def serve(self) -> None:
        self._serving = True
        server = _Embedded(
            uvicorn.Config(
                self._app, log_config=None, access_log=False, server_header=False, ws="none", lifespan="off",
                http=ImpatientHttp, limit_concurrency=_MOST_CONNECTIONS, timeout_graceful_shutdown=_GRACE_S,
            )
        )  # fmt: skip
        serving = asyncio.create_task(server.serve(sockets=[self._socket]), name="screen")
        closing = asyncio.create_task(self._closing.wait())
        try:
            await asyncio.wait((serving, closing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._closing.set()
            closing.cancel()
            server.should_exit = True
            await serving
            self._socket.close()

    def close(self) -> None:
        """End every stream and let `serve()` return, within a second. Harmless when repeated."""
        self._closing.set()
        if not self._serving:
            self._socket.close()

    def _routes(self, assets: dict[str, bytes]) -> Litestar:
        @get("/", media_type="text/html", cache_control=CacheControlHeader(no_store=True))
        async def page() -> str:
            return self._page.whole(self._source.view(), self._offline_since())

        @get("/events", cache_control=CacheControlHeader(no_store=True))
        async def events() -> ServerSentEvent:
            if self._streams >= _MOST_STREAMS:
                raise ServiceUnavailableException("This page is open too often: close a few windows.")
            return ServerSentEvent(self._messages())

        @get("/find", media_type="text/html", cache_control=CacheControlHeader(no_store=True))
        async def find(text: FromQuery[str] = "") -> str:
            return self._page.found(self._desk.search(text[:_LONGEST_SEARCH]))

        @get("/picture/{name:str}", cache_control=CacheControlHeader(max_age=31_536_000, immutable=True))
        async def picture(name: FromPath[str]) -> Response[bytes]:
            content = await asyncio.to_thread(self._pictures.content, name) if self._pictures else None
            if content is None or (kind := media_type(content)) is None:
                raise NotFoundException("There is no such picture.")
            return Response(content, media_type=kind)

        @post("/touch", status_code=204)
        async def touch(request: Request[None, None, Any]) -> None:
            self._desk.touch(_touch(request.headers.get("content-type", ""), await request.body()))

        return Litestar(
            [page, events, find, picture, touch, *(_asset(name, content) for name, content in assets.items())],
            openapi_config=None,
            response_headers=_HEADERS,
            allowed_hosts=AllowedHostsConfig(
                [f"{host}:{self._socket.getsockname()[1]}" for host in ("localhost", "127.0.0.1", "[::1]")]
            ),
            logging_config=None,
            request_max_body_size=_LARGEST_TOUCH,
        )

    async def _messages(self) -> AsyncIterator[ServerSentEventMessage]:
        """The view at once, and again after each change; a heartbeat when nothing changes."""
        shown: int | None = None
        self._streams += 1
        try:
            while not self._closing.is_set():
                view = self._source.view()
                if view.revision != shown:
                    shown = view.revision
                    html = self._page.fragment(view, self._offline_since())
                    yield ServerSentEventMessage(data=html, event="view", id=shown, retry=_RECONNECT_MS)
                elif not await self._changed(shown):
                    yield ServerSentEventMessage(data="", event="heartbeat")
        finally:
            self._streams -= 1

    async def _changed(self, revision: int) -> bool:
        """Wait for another view or the end; return False when neither came within a heartbeat."""
        waits = [
            asyncio.ensure_future(self._source.wait_for_change(revision)),
            asyncio.ensure_future(self._closing.wait()),
        ]
        try:
            done, _ = await asyncio.wait(waits, timeout=_HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return bool(done)

    def _offline_since(self) -> str:
        """Return the local time of day of the first view that was offline, or nothing while the store is there."""
        if not self._source.view().offline:
            self._offline_since_ms = None
            return ""
        if self._offline_since_ms is None:
            self._offline_since_ms = self._clock.wall_ms()
        return datetime.fromtimestamp(self._offline_since_ms / 1_000, UTC).astimezone().strftime("%H:%M")


def _touch(content_type: str, body: bytes) -> Touch:
    """Read a touch. Another site's page cannot send this content type without asking first, which nobody answers."""
    if content_type.partition(";")[0].strip() != "application/json":
        raise ClientException("A touch is sent as application/json.")
    try:
        touch: Touch = _TOUCHES.decode(body)
    except msgspec.DecodeError as error:
        raise ClientException(f"This is no touch: {error}") from error
    return touch


def _asset(name: str, content: bytes) -> HTTPRouteHandler:
    @get(f"/{name}", cache_control=CacheControlHeader(max_age=31_536_000, immutable=True))
    async def asset() -> Response[bytes]:
        return Response(content, media_type=_ASSETS[name])

    return asset


class _Embedded(uvicorn.Server):
    """A server inside a program that handles its own signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bound(settings: Screen) -> socket.socket:
    try:
        loopback = ip_address(settings.host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigurationError(f"screen.host: {settings.host!r} is no loopback address; write '127.0.0.1'")
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"screen.port: {settings.host}:{settings.port}: {error.strerror}; choose another port, or end who has it"
        ) from error
    bound_buffers(listener)
    return listener
