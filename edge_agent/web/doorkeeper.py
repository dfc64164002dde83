"""Who may come in: cross-site requests, clients that ask too fast and bodies that are no form of ours stay outside."""

import hmac
import math
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from litestar import Request
from litestar.datastructures import State

from cart_protocol.host.clock import Clock
from edge_agent.web.rate_limit import TokenBuckets

Asking = Request[Any, Any, State]
"""A request; who asks is told by the session, not by Litestar's user."""

MOST_BODY_BYTES = 16_384
_MOST_FIELDS = 20
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"


class DeniedError(Exception):
    """A request that is not let in: HTTP status, a word for machines and a sentence for the person."""

    def __init__(self, status: int, reason: str, sentence: str, *, retry_after_s: float = 0) -> None:
        super().__init__(f"{status} {reason}: {sentence}")
        self.status = status
        self.reason = reason
        self.sentence = sentence
        self.retry_after_s = math.ceil(retry_after_s)


class Doorkeeper:
    """Checks that every request passes before any page sees it.

    One client is one network address. Behind a proxy on this machine uvicorn takes it from X-Forwarded-For.
    """

    def __init__(self, clock: Clock, public_address: str) -> None:
        self._public_origin = _origin(public_address)
        self._requests = TokenBuckets(clock, burst=300, per_s=60)
        self._commands = TokenBuckets(clock, burst=60, per_s=10)
        self._notices = TokenBuckets(clock, burst=300, per_s=60)
        self._session_commands = TokenBuckets(clock, burst=20, per_s=2)
        self.bind_failures = TokenBuckets(clock, burst=10, per_s=1 / 6)
        """Wrong codes. A code has 30 bits; at this rate guessing one takes centuries."""
        self.client_sign_ins = TokenBuckets(clock, burst=10, per_s=1 / 6)
        self.name_sign_ins = TokenBuckets(clock, burst=5, per_s=1 / 30)

    def admit(self, request: Asking) -> None:
        """Let a request in or raise DeniedError: 403 from a foreign site, 429 when asked too fast."""
        self.within(self._requests, client_of(request))
        if request.method not in _SAFE:
            self._refuse_foreign(request)
            self.within(self._commands, client_of(request))

    def admit_notice(self, request: Asking) -> None:
        """Let a notice be looked at or raise DeniedError 429: a till's hour of them must not slow the phones down."""
        self.within(self._notices, client_of(request))

    def admit_command(self, request: Asking, form: dict[str, str], session: str, csrf: str) -> None:
        """Let a command of this session in or raise DeniedError: 403 without its token, 429 when too fast."""
        shown = request.headers.get("x-csrf") or form.get("_csrf", "")
        if not hmac.compare_digest(shown.encode(), csrf.encode()):
            raise DeniedError(403, "session-ended", "This page is too old. Open it again and try once more.")
        self.within(self._session_commands, session)

    def within(self, buckets: TokenBuckets, key: str) -> None:
        """Take a token of `key` or raise DeniedError 429 with how long to wait."""
        too_fast(buckets.take(key))

    def forget(self, session: str) -> None:
        """Keep no count of a session that is over."""
        self._session_commands.forget(session)

    def _refuse_foreign(self, request: Asking) -> None:
        site = request.headers.get("sec-fetch-site", "same-origin")
        origin = request.headers.get("origin")
        ours = {f"{request.url.scheme}://{request.headers.get('host', '')}", self._public_origin}
        if site not in {"same-origin", "none"} or (origin is not None and origin not in ours):
            raise DeniedError(403, "foreign-origin", "This came from another web site and was not done.")


def too_fast(wait_s: float) -> None:
    """Raise DeniedError 429 when there is anything to wait for."""
    if wait_s > 0:
        sentence = f"That was too fast. Please try again in {_seconds(math.ceil(wait_s))}."
        raise DeniedError(429, "too-fast", sentence, retry_after_s=wait_s)


def client_of(request: Asking) -> str:
    return request.client.host if request.client else "unknown"


def wants_json(request: Asking) -> bool:
    """Whether a program asks: it says so in Accept, or asks below /api."""
    return request.url.path.startswith("/api/") or _JSON in request.headers.get("accept", "")


async def form_of(request: Asking) -> dict[str, str]:
    """Return the fields of a form or of a flat JSON object.

    Raises:
        DeniedError: 415 for any other kind of body, 422 for one that cannot be read.
    """
    body = await request.body()
    kind = request.content_type[0]
    if not body:
        return {}
    try:
        if kind == _JSON:
            return msgspec.json.decode(body, type=dict[str, str])
        if kind == _FORM:
            return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except (ValueError, msgspec.MsgspecError) as error:
        raise DeniedError(422, "unreadable-form", "The form could not be read. Open the page again.") from error
    raise DeniedError(415, "unreadable-form", f"Send {_FORM} or {_JSON}.")


def field(form: dict[str, str], name: str, *, longest: int) -> str:
    """Return a field that must be there, or raise DeniedError 422 that names it."""
    value = form.get(name, "").strip()
    if not value or len(value) > longest or not value.isprintable():
        raise DeniedError(422, f"bad-{name}", f"The field '{name}' is missing or cannot be used.")
    return value


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _seconds(count: int) -> str:
    return "1 second" if count == 1 else f"{count} seconds"
