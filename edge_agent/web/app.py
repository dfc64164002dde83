"""All pages of the store as one application.

Every request passes the doorkeeper before any page sees it, and every answer, errors too, carries the same headers.
"""

import structlog
from litestar import Litestar, MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import Message, Scope

from cart_protocol.host.clock import Clock, Dice
from edge_agent.config import Limits, Web
from edge_agent.web.acquirer import acquirer_notice
from edge_agent.web.console import ConsoleController, ConsolePages
from edge_agent.web.desk import CounterDesk, NoticeDesk, StaffRoll
from edge_agent.web.doorkeeper import MOST_BODY_BYTES, Asking, DeniedError, Doorkeeper, wants_json
from edge_agent.web.pages import Pages
from edge_agent.web.phone import Elsewhere, PhoneController, PhonePages
from edge_agent.web.records import RecordController, RecordPages
from edge_agent.web.serve import serve
from edge_agent.web.sessions import PhoneSessions, StaffSessions
from edge_agent.web.sight import SightController, SightPages
from edge_agent.web.sign_in import SignIn, SignInController
from edge_agent.web.stream import HEARTBEAT_S, Streams

__all__ = ["CounterDesk", "StaffRoll", "create_app", "serve"]

_log = structlog.get_logger()
_LIMITS = Limits()
_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not 'no-referrer': browsers would then post our own forms with `Origin: null` (Fetch, section 3.2).
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), screen-wake-lock=(self)",
}
_SENTENCES = {
    404: "There is no such page here.",
    405: "That cannot be done here.",
    413: "That was too much at once.",
    500: "Something went wrong on our side and was noted. Please try again.",
}


def create_app(
    desk: CounterDesk,
    settings: Web,
    store_name: str,
    staff: StaffRoll,
    *,
    clock: Clock,
    secret_source: Dice,
    heartbeat_s: float = HEARTBEAT_S,
    limits: Limits = _LIMITS,
    notice_desk: NoticeDesk | None = None,
    elsewhere: Elsewhere = lambda _: None,
) -> Litestar:
    """Return the store's web application.

    Args:
        desk: the shop's counter.
        settings: a certificate, or a public address that begins with https:, makes cookies Secure and `__Host-`.
        store_name: what shoppers read.
        staff: who may sign in at the console.
        clock: for rate limits, sessions and ages.
        secret_source: random bytes for cookies; the operating system's, except on the stage.
        heartbeat_s: how often a quiet stream says that it lives.
        limits: how many live pages are served.
        notice_desk: who hears the acquirer's notices; None: nobody, the acquirer is asked in its own time.
        elsewhere: where another agent is reached that looks after a cart; shoppers are sent there.
    """
    secure = settings.certificate is not None or settings.public_address.startswith("https:")
    pages = Pages(store_name)
    streams = Streams(
        secret_source.token_bytes(6).hex(), heartbeat_s=heartbeat_s, most=limits.pages,
        most_per_session=limits.pages_per_client,
    )  # fmt: skip
    doorkeeper = Doorkeeper(clock, settings.public_address)
    sign_in = SignIn(staff, StaffSessions(secret_source, clock, staff, secure=secure), pages, doorkeeper)
    phones = PhoneSessions(secret_source, secure=secure)
    phone = PhonePages(desk, pages, phones, streams, doorkeeper=doorkeeper, clock=clock, elsewhere=elsewhere)
    console = ConsolePages(desk, pages, sign_in, streams)
    faults = _Faults(pages)

    async def admit(request: Asking) -> None:
        doorkeeper.admit(request)

    return Litestar(
        route_handlers=[
            PhoneController,
            SignInController,
            ConsoleController,
            RecordController,
            SightController,
            acquirer_notice,
            _assets,
        ],
        before_request=admit,
        before_send=[_secure_headers if secure else _headers],
        exception_handlers={DeniedError: faults.denied, HTTPException: faults.wrong, Exception: faults.failed},
        request_max_body_size=MOST_BODY_BYTES,
        openapi_config=OpenAPIConfig(
            title=f"{store_name}: Cartwright store",
            version="1",
            path="/api",
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        ),
        logging_config=None,
        state=State(
            {
                "streams": streams,
                "pages": pages,
                "phone_pages": phone,
                "console_pages": console,
                "record_pages": RecordPages(console, pages),
                "sight_pages": SightPages(desk.sight, console, pages),
                "sign_in": sign_in,
                "notice_desk": notice_desk,
                "doorkeeper": doorkeeper,
            }
        ),
    )


@get("/static/{name:str}", include_in_schema=False)
async def _assets(request: Asking) -> Response[bytes]:
    """One of our few files; its address carries its digest, so a browser keeps it for good."""
    pages: Pages = request.app.state.pages
    asset = pages.assets.get(request.path_params["name"])
    if asset is None:
        raise DeniedError(404, "not-found", _SENTENCES[404])
    kept = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(asset.body, media_type=asset.media_type, headers=kept)


async def _headers(message: Message, _scope: Scope) -> None:
    if message["type"] != "http.response.start":
        return
    headers = list(message.get("headers", ()))
    names = {name.lower() for name, _ in headers}
    if b"cache-control" not in names:
        headers.append((b"cache-control", b"no-store"))
    headers.extend((name.encode(), value.encode()) for name, value in _HEADERS.items())
    message["headers"] = headers


async def _secure_headers(message: Message, scope: Scope) -> None:
    await _headers(message, scope)
    if message["type"] == "http.response.start":
        message["headers"] = [*message["headers"], (b"strict-transport-security", b"max-age=31536000")]


class _Faults:
    """What went wrong, as a page or as JSON, in one sentence and never with our insides."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def denied(self, request: Asking, error: DeniedError) -> Response[str] | Response[dict[str, str]]:
        return self._answer(request, error.status, error.reason, error.sentence, error.retry_after_s)

    def wrong(self, request: Asking, error: HTTPException) -> Response[str] | Response[dict[str, str]]:
        if error.status_code >= 500:
            return self.failed(request, error)
        sentence = _SENTENCES.get(error.status_code, "That was not understood.")
        return self._answer(request, error.status_code, "bad-request", sentence, 0)

    def failed(
        self, request: Request[object, object, State], error: Exception
    ) -> Response[str] | Response[dict[str, str]]:
        _log.error("a page failed", path=request.url.path, exc_info=error)
        return self._answer(request, 500, "failed", _SENTENCES[500], 0)

    def _answer(
        self, request: Asking, status: int, reason: str, sentence: str, retry_after_s: int
    ) -> Response[str] | Response[dict[str, str]]:
        headers = {"Retry-After": str(retry_after_s)} if retry_after_s else {}
        if wants_json(request):
            return Response({"reason": reason, "sentence": sentence}, status_code=status, headers=headers)
        back = "/console" if request.url.path.startswith("/console") else "/phone"
        html = self._pages.render("problem.html", sentence=sentence, back=back)
        return Response(html, status_code=status, media_type=MediaType.HTML, headers=headers)
