"""The shopper's pages: take a cart by its code, watch it fill, pay, show the exit code. Public, no account."""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Controller, Response, get, post
from litestar.enums import MediaType
from litestar.response import Redirect, Stream

from cart_protocol.host.clock import Clock
from cart_protocol.ids import CartId, ShopperId
from edge_agent.core.refusals import RefusedError
from edge_agent.core.views import PhonePhase, PhoneView
from edge_agent.web.desk import CounterDesk
from edge_agent.web.doorkeeper import Asking, DeniedError, Doorkeeper, client_of, field, form_of, too_fast, wants_json
from edge_agent.web.once import Once
from edge_agent.web.pages import Pages
from edge_agent.web.sessions import PhoneSession, PhoneSessions
from edge_agent.web.stream import Picture, Streams, known_picture

_CODE = re.compile(r"(?P<cart>[a-z0-9][a-z0-9-]{0,31}?)[-\s]+(?P<code>[0-9a-z]{6})", re.IGNORECASE)
_MISREAD = str.maketrans("ILO", "110")
"""Letters that the codes' alphabet leaves out because people read them as digits (Crockford base 32)."""
_HOW_CODES_LOOK = "A cart's code looks like c1-7K3M9Q. It is on the cart's screen."
_MOST_ORDERS = 10_000


Elsewhere = Callable[[CartId], str | None]
"""Where another agent of this store is reached, if it and not we looks after a cart."""


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """A way to pay, as the phone offers it."""

    method: str
    name: str
    explanation: str


METHODS = (
    Method(method="test_ok", name="Test card", explanation="Pays at once"),
    Method(method="test_declined", name="Declining test card", explanation="The bank says no"),
    Method(method="test_timeout_after", name="Slow test card", explanation="Pays; the bank's answer comes late"),
)
"""What the test acquirer understands. No real money."""


class CartCode(msgspec.Struct, frozen=True, kw_only=True):
    """What a cart's QR carries: 'c1-7K3M9Q'."""

    cart: str
    text: str


class PhonePages:
    """What the phone's routes share."""

    def __init__(
        self,
        desk: CounterDesk,
        pages: Pages,
        sessions: PhoneSessions,
        streams: Streams,
        *,
        doorkeeper: Doorkeeper,
        clock: Clock,
        elsewhere: Elsewhere = lambda _: None,
    ) -> None:
        self.elsewhere = elsewhere
        self.desk = desk
        self.sessions = sessions
        self.streams = streams
        self._pages = pages
        self._doorkeeper = doorkeeper
        self._clock = clock
        self._once = Once()
        self._attempts: OrderedDict[str, int] = OrderedDict()

    def session(self, request: Asking) -> PhoneSession:
        return self.sessions.of(request.cookies)

    def visit(self, request: Asking) -> PhoneSession:
        """Return the session of somebody who opens a page; after a goodbye a new one, unlinked to the last trip."""
        session = self.session(request)
        if not session.new and self.desk.phone(session.shopper).phase is PhonePhase.GOODBYE:
            return self.sessions.fresh()
        return session

    def page(
        self, session: PhoneSession, code: CartCode | None, *, notice: str = "", status: int = 200
    ) -> Response[str]:
        """Return the whole page as this shopper sees it now."""
        view = self.desk.phone(session.shopper)
        html = self._pages.render(
            "phone_page.html",
            **self._names(session, view, code),
            notice="" if notice == view.problem else notice,  # said once is enough
            stream=_stream_address(self.streams.boot, view.revision, code),
        )
        return Response(html, status_code=status, media_type=MediaType.HTML, cookies=self._cookies(session))

    def picture(self, session: PhoneSession, code: CartCode | None) -> Picture:
        """Return the live part of the page. The key of the next payment is part of what it shows."""
        view = self.desk.phone(session.shopper)
        names = self._names(session, view, code)
        same = (msgspec.structs.replace(view, revision=0), names["key"], names["expired"])
        return Picture(
            revision=view.revision, content=same, html=lambda: self._pages.render("phone_view.html", **names)
        )

    def state(self, session: PhoneSession) -> Response[PhoneView]:
        """Return the shopper's view for programs, with the token that its commands must show."""
        view = self.desk.phone(session.shopper)
        return Response(view, headers={"X-CSRF": session.csrf}, cookies=self._cookies(session), status_code=200)

    async def command(
        self, request: Asking, act: Callable[[ShopperId, dict[str, str]], Awaitable[object]]
    ) -> Response[Any]:
        """Let one command in, run it once, and answer in the asker's language: 303, page or JSON."""
        session = self.session(request)
        form = await form_of(request)
        self._doorkeeper.admit_command(request, form, session.shopper, session.csrf)
        key = form.get("key", "")
        try:
            if key:
                await self._once.run(
                    f"{request.url.path} {session.shopper} {key}", lambda: _finish(act(session.shopper, form))
                )
            else:
                await act(session.shopper, form)
        except RefusedError as refusal:
            return self._refused(request, session, form, refusal)
        return self.state(session) if wants_json(request) else Redirect("/phone", status_code=303)

    async def forget(self, request: Asking) -> Response[Any]:
        """Have the shop forget this shopper, and the browser its cookie: from here on somebody new holds the phone."""
        done = False

        async def forget(shopper: ShopperId, _: dict[str, str]) -> None:
            nonlocal done
            await self.desk.forget(shopper)
            done = True

        answer = await self.command(request, forget)
        if not done:
            return answer
        old, new = self.session(request).shopper, self.sessions.fresh()
        self._once.forget(old)
        self._doorkeeper.forget(old)
        if wants_json(request):
            return self.state(new)
        return Redirect("/phone/forgotten", status_code=303, cookies=self._cookies(new))

    def forgotten(self) -> Response[str]:
        return Response(self._pages.render("phone_forgotten.html"), media_type=MediaType.HTML)

    async def bind(self, request: Asking, shopper: ShopperId, form: dict[str, str]) -> None:
        """Take the cart whose code was given. Wrong codes are rationed; asking again for one's own cart is fine."""
        code = read_code(form.get("code", ""))
        if code is None:
            raise RefusedError("malformed-code", _HOW_CODES_LOOK)
        if (there := self.elsewhere(CartId(code.cart))) is not None:
            sentence = (
                f"This cart is looked after at {there}. Please open its code there: {there}/phone?code={code.text}"
            )
            raise RefusedError("elsewhere", sentence)
        client = client_of(request)
        too_fast(self._doorkeeper.bind_failures.wait_s(client))
        try:
            await self.desk.bind(shopper, code.text)
        except RefusedError as refusal:
            if refusal.reason == "unknown-code":
                self._doorkeeper.bind_failures.take(client)
            if refusal.reason != "has-cart" or self.desk.phone(shopper).cart != code.cart:
                raise

    async def pay(self, shopper: ShopperId, form: dict[str, str]) -> None:
        """Start a payment under the page's key. From here on the page's next payment has another key."""
        method = field(form, "method", longest=32)
        key = field(form, "key", longest=80)
        order = self.desk.phone(shopper).order_id or ""
        self._attempts[order] = self._attempts.pop(order, 0) + 1
        if len(self._attempts) > _MOST_ORDERS:
            self._attempts.popitem(last=False)
        await self.desk.pay(shopper, method, key)

    def _refused(
        self, request: Asking, session: PhoneSession, form: dict[str, str], refusal: RefusedError
    ) -> Response[Any]:
        status = HTTPStatus.UNPROCESSABLE_ENTITY if refusal.reason in _UNPROCESSABLE else HTTPStatus.CONFLICT
        if wants_json(request):
            body = {"reason": refusal.reason, "sentence": refusal.sentence}
            key = self._pay_key(session, self.desk.phone(session.shopper))
            return Response(body | ({"key": key} if key else {}), status_code=status)
        return self.page(session, read_code(form.get("code", "")), notice=refusal.sentence, status=status)

    def _names(self, session: PhoneSession, view: PhoneView, code: CartCode | None) -> dict[str, Any]:
        now_ms = self._clock.wall_ms()
        return {
            "view": view,
            "code": code if view.phase is PhonePhase.UNBOUND else None,
            "csrf": session.csrf,
            "key": self._pay_key(session, view),
            "methods": METHODS,
            "expired": bool(view.exit_token_expires_ms) and view.exit_token_expires_ms <= now_ms,
            "waiting": view.phase in {PhonePhase.BINDING, PhonePhase.CLOSING, PhonePhase.PAYING},
        }

    def _pay_key(self, session: PhoneSession, view: PhoneView) -> str:
        """Return the idempotency key of the next payment: the same on every page of this shopper until one began."""
        if view.phase is not PhonePhase.TO_PAY or not view.order_id:
            return ""
        attempt = self._attempts.get(view.order_id, 0)
        made_of = f"{session.csrf} {self.streams.boot} {view.order_id} {attempt}"
        return hashlib.blake2b(made_of.encode(), digest_size=16).hexdigest()

    def _cookies(self, session: PhoneSession) -> list[Any]:
        return [self.sessions.cookie(session)] if session.new else []


_UNPROCESSABLE = frozenset({"malformed-code", "unknown-code", "unknown-method"})


def read_code(text: str) -> CartCode | None:
    """Return the code in what a person typed ('C1 7k3m9q') or a camera read; None when it is none."""
    found = _CODE.fullmatch(text.strip().rpartition("code=")[2])
    if not found:
        return None
    cart = found["cart"].lower()
    return CartCode(cart=cart, text=f"{cart}-{found['code'].upper().translate(_MISREAD)}")


async def _finish(action: Awaitable[object]) -> None:
    await action


def _stream_address(boot: str, revision: int, code: CartCode | None) -> str:
    return f"/phone/stream?boot={boot}&revision={revision}" + (f"&code={code.text}" if code else "")


def _pages(request: Asking) -> PhonePages:
    pages: PhonePages = request.app.state.phone_pages
    return pages


class PhoneController(Controller):
    """The routes. What a GET shows it never changes: link previews and QR readers fetch addresses unasked."""

    @get("/", include_in_schema=False)
    async def landing(self, request: Asking) -> Response[Any]:
        pages = _pages(request)
        session = pages.visit(request)
        if pages.desk.phone(session.shopper).phase is not PhonePhase.UNBOUND:
            return Redirect("/phone", status_code=303)
        return pages.page(session, None)

    @get("/phone", include_in_schema=False)
    async def phone(self, request: Asking) -> Response[Any]:
        pages = _pages(request)
        typed = request.query_params.get("code", "")
        asked = read_code(typed)
        if asked is not None and (there := pages.elsewhere(CartId(asked.cart))) is not None:
            return Redirect(f"{there}/phone?code={asked.text}", status_code=303)
        session = pages.visit(request) if typed else pages.session(request)
        code = read_code(typed)
        notice = _HOW_CODES_LOOK if typed and not code else ""
        cart = pages.desk.phone(session.shopper).cart
        if code and cart and cart != code.cart:
            notice = f"You are shopping with cart {cart}. Hand it back before you take another one."
        return pages.page(session, code, notice=notice)

    @get("/phone/stream", include_in_schema=False)
    async def stream(self, request: Asking) -> Stream:
        pages = _pages(request)
        session = pages.session(request)
        if session.new:
            raise DeniedError(403, "no-session", "Open the page first.")
        pages.streams.admit(session.shopper)
        code = read_code(request.query_params.get("code", ""))
        look = lambda: pages.picture(session, code)  # noqa: E731
        wait = lambda revision: pages.desk.wait_for_change(revision, session.shopper)  # noqa: E731
        return pages.streams.response(session.shopper, look, wait, known=known_picture(request))

    @get("/api/phone", tags=["phone"], summary="The shopper's view", operation_id="phone")
    async def state(self, request: Asking) -> Response[PhoneView]:
        """Return what this phone shows. The X-CSRF answer header is what commands must send back."""
        pages = _pages(request)
        return pages.state(pages.session(request))

    @post("/phone/bind", include_in_schema=False)
    async def bind(self, request: Asking) -> Response[Any]:
        pages = _pages(request)
        return await pages.command(request, lambda shopper, form: pages.bind(request, shopper, form))

    @post("/phone/hand-back", include_in_schema=False)
    async def hand_back(self, request: Asking) -> Response[Any]:
        pages = _pages(request)
        return await pages.command(request, lambda shopper, _: pages.desk.hand_back(shopper))

    @post("/phone/checkout", include_in_schema=False)
    async def checkout(self, request: Asking) -> Response[Any]:
        pages = _pages(request)
        return await pages.command(request, lambda shopper, _: pages.desk.freeze(shopper))

    @post("/phone/resume", include_in_schema=False)
    async def resume(self, request: Asking) -> Response[Any]:
        pages = _pages(request)
        return await pages.command(request, lambda shopper, _: pages.desk.thaw(shopper))

    @post("/phone/forget", include_in_schema=False)
    async def forget(self, request: Asking) -> Response[Any]:
        return await _pages(request).forget(request)

    @get("/phone/forgotten", include_in_schema=False)
    async def forgotten(self, request: Asking) -> Response[str]:
        return _pages(request).forgotten()

    @post("/phone/pay", include_in_schema=False)
    async def pay(self, request: Asking) -> Response[Any]:
        pages = _pages(request)
        return await pages.command(request, pages.pay)
