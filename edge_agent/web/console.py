"""The staff's console: alarms first, then lanes and carts, live. What a role may not do the server refuses."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from litestar import Controller, Response, get, post
from litestar.enums import MediaType
from litestar.response import Redirect, Stream

from cart_protocol.ids import CartId, IncidentId, InvalidIdError, RecordId, StaffId, cart_id
from edge_agent.core.refusals import RefusedError
from edge_agent.core.staff import Duty, may
from edge_agent.core.views import ConsoleView
from edge_agent.web.desk import CounterDesk
from edge_agent.web.doorkeeper import Asking, DeniedError, wants_json
from edge_agent.web.pages import Pages
from edge_agent.web.sessions import StaffSession
from edge_agent.web.sign_in import SignIn
from edge_agent.web.stream import Picture, Streams, known_picture

_log = structlog.get_logger()
REFRESH_S = 5.0
"""How often a console looks again when nothing happens: 'last seen' grows."""
MOST_RESOLVED = 12
"""Resolved alarms that stay on the page, newest first."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """How the console draws a state: words, a tone for the colour, and an icon, so that no colour stands alone."""

    words: str
    tone: str
    icon: str


CART_LOOKS = {
    "free": Look(words="Free", tone="calm", icon="check"),
    "shopping": Look(words="Shopping", tone="good", icon="basket"),
    "paying": Look(words="Paying", tone="busy", icon="card"),
    "paid": Look(words="Paid", tone="good", icon="done"),
    "faulty": Look(words="Faulty", tone="bad", icon="alert"),
    "charging": Look(words="Charging", tone="busy", icon="bolt"),
    "withdrawn": Look(words="Withdrawn", tone="off", icon="stop"),
    "offline": Look(words="Offline", tone="bad", icon="cut"),
}
LANE_LOOKS = {
    "out-of-order": Look(words="Out of order", tone="bad", icon="cut"),
    "idle": Look(words="Ready", tone="calm", icon="check"),
    "checking": Look(words="Checking the code", tone="busy", icon="wait"),
    "weighing": Look(words="Weighing", tone="busy", icon="scale"),
    "passed": Look(words="Passed: open", tone="good", icon="done"),
    "failed": Look(words="Stopped", tone="bad", icon="alert"),
    "tag-alarm": Look(words="Tag alarm", tone="bad", icon="alert"),
}

LEVEL_LOOKS = {
    "good": Look(words="In order", tone="calm", icon="check"),
    "warning": Look(words="Near", tone="busy", icon="alert"),
    "limit": Look(words="Reached", tone="bad", icon="alert"),
}


class ConsolePages:
    """What the console's routes share."""

    def __init__(self, desk: CounterDesk, pages: Pages, sign_in: SignIn, streams: Streams) -> None:
        self.desk = desk
        self.streams = streams
        self.sign_in = sign_in
        self._pages = pages

    def session(self, request: Asking) -> StaffSession:
        return self.sign_in.sessions.of(request.cookies)

    def signed_in(self, request: Asking) -> StaffSession:
        """Return the session of somebody signed in, or raise DeniedError 401."""
        session = self.session(request)
        if session.member is None:
            raise DeniedError(401, "signed-out", "Sign in at the console first.")
        return session

    def page(self, session: StaffSession, *, notice: str = "", status: int = 200) -> Response[str]:
        view = self.desk.console()
        stream = f"/console/stream?boot={self.streams.boot}&revision={view.revision}"
        html = self._pages.render("console_page.html", **self._names(session, view), notice=notice, stream=stream)
        return Response(html, status_code=status, media_type=MediaType.HTML)

    def picture(self, session: StaffSession) -> Picture | None:
        if not self.sign_in.sessions.still_open(session):
            return None
        view = self.desk.console()
        html = self._pages.render("console_view.html", **self._names(session, view))
        return Picture(revision=view.revision, content=html, html=lambda: html)

    def allowed(self, request: Asking, duty: Duty) -> tuple[StaffSession, StaffId]:
        """Return the session of somebody whose role allows this, or raise DeniedError 401 or 403."""
        session = self.signed_in(request)
        member = session.member
        if member is None or not may(member.role, duty):
            _log.warning("role refused", staff=member.staff if member else "", duty=duty)
            raise DeniedError(403, "not-allowed", f"Your role may not {duty}. Ask a colleague who may.")
        return session, member.staff

    async def command(
        self, request: Asking, duty: Duty, act: Callable[[StaffId], Awaitable[RecordId | None]]
    ) -> Response[Any]:
        """Run one command of a person whose role allows it, and answer in the asker's language.

        A person is led back to the console, or to the record that `act` returns.
        """
        self.signed_in(request)
        await self.sign_in.admit(request)
        session, staff = self.allowed(request, duty)
        try:
            record = await act(staff)
        except RefusedError as refusal:
            if wants_json(request):
                return Response({"reason": refusal.reason, "sentence": refusal.sentence}, status_code=409)
            return self.page(session, notice=refusal.sentence, status=409)
        if wants_json(request):
            return Response({"done": True, "record": record} if record else {"done": True}, status_code=200)
        return Redirect(f"/console/records/{record}" if record else "/console", status_code=303)

    def _names(self, session: StaffSession, view: ConsoleView) -> dict[str, Any]:
        member = session.member
        alarms = [incident for incident in view.incidents if not incident.resolved_by]
        resolved = [incident for incident in view.incidents if incident.resolved_by]
        causes = {alarm.cause for alarm in alarms}
        return {
            "view": view,
            "member": member,
            "csrf": session.csrf,
            "alarms": alarms,
            "resolved": resolved[:MOST_RESOLVED],
            # Who asks for help comes first; sorting is stable, so the others keep their places.
            "carts": sorted(view.carts, key=lambda cart: not (cart.attention or cart.faults)),
            "cart_looks": CART_LOOKS,
            "lane_looks": LANE_LOOKS,
            "level_looks": LEVEL_LOOKS,
            "levels_high": sum(level.tide != "good" for level in view.levels),
            # A journal that is full cannot hold the alarm about it.
            "levels_unsaid": [each for each in view.levels if each.tide == "limit" and each.name not in causes],
            "may_resolve": member and may(member.role, Duty.RESOLVE_ALARM),
            "may_explain": member and may(member.role, Duty.EXPLAIN_WEIGHT),
            "may_see_records": member and may(member.role, Duty.SEE_RECORDS),
            "may_withdraw": member and may(member.role, Duty.WITHDRAW_CART),
        }


def _cart_of(request: Asking) -> CartId:
    """Return the cart that the address names, or raise DeniedError 422."""
    try:
        return cart_id(request.path_params["cart"])
    except InvalidIdError as error:
        raise DeniedError(422, "bad-cart", "There is no cart of that name.") from error


def _pages(request: Asking) -> ConsolePages:
    pages: ConsolePages = request.app.state.console_pages
    return pages


class ConsoleController(Controller):
    @get("/console", include_in_schema=False)
    async def console(self, request: Asking) -> Response[Any]:
        pages = _pages(request)
        session = pages.session(request)
        return pages.page(session) if session.member else Redirect("/console/sign-in", status_code=303)

    @get("/console/stream", include_in_schema=False)
    async def stream(self, request: Asking) -> Stream:
        pages = _pages(request)
        session = pages.signed_in(request)
        pages.streams.admit(session.csrf)
        look, wait = (lambda: pages.picture(session)), pages.desk.wait_for_change
        return pages.streams.response(session.csrf, look, wait, known=known_picture(request), refresh_s=REFRESH_S)

    @get("/api/console", tags=["console"], summary="The whole shop", operation_id="console")
    async def state(self, request: Asking) -> Response[ConsoleView]:
        """Return what the console shows, for signed-in staff. X-CSRF in the answer is what commands must send back."""
        pages = _pages(request)
        session = pages.signed_in(request)
        return Response(pages.desk.console(), headers={"X-CSRF": session.csrf}, status_code=200)

    @post("/console/incidents/{incident:str}/resolve", include_in_schema=False)
    async def resolve(self, request: Asking) -> Response[Any]:
        pages = _pages(request)
        incident = IncidentId(request.path_params["incident"][:64])
        return await pages.command(request, Duty.RESOLVE_ALARM, lambda staff: pages.desk.resolve(incident, staff))

    @post("/console/incidents/{incident:str}/let-through", include_in_schema=False)
    async def let_through(self, request: Asking) -> Response[Any]:
        pages = _pages(request)
        incident = IncidentId(request.path_params["incident"][:64])
        act = functools.partial(pages.desk.resolve, incident, let_through=True)
        return await pages.command(request, Duty.RESOLVE_ALARM, act)

    @post("/console/carts/{cart:str}/explain", include_in_schema=False)
    async def explain(self, request: Asking) -> Response[Any]:
        pages, cart = _pages(request), _cart_of(request)
        return await pages.command(request, Duty.EXPLAIN_WEIGHT, lambda staff: pages.desk.explain_weight(cart, staff))

    @post("/console/carts/{cart:str}/record", include_in_schema=False)
    async def ask_cart(self, request: Asking) -> Response[Any]:
        pages, cart = _pages(request), _cart_of(request)
        return await pages.command(request, Duty.SEE_RECORDS, lambda staff: pages.desk.ask_cart(cart, staff))

    @post("/console/incidents/{incident:str}/record", include_in_schema=False)
    async def ask_about(self, request: Asking) -> Response[Any]:
        pages = _pages(request)
        incident = IncidentId(request.path_params["incident"][:64])
        return await pages.command(request, Duty.SEE_RECORDS, lambda staff: pages.desk.ask_about(incident, staff))

    @post("/console/carts/{cart:str}/withdraw", include_in_schema=False)
    async def withdraw(self, request: Asking) -> Response[Any]:
        pages, cart = _pages(request), _cart_of(request)
        act = functools.partial(pages.desk.set_withdrawn, cart, withdrawn=True)
        return await pages.command(request, Duty.WITHDRAW_CART, act)

    @post("/console/carts/{cart:str}/restore", include_in_schema=False)
    async def restore(self, request: Asking) -> Response[Any]:
        pages, cart = _pages(request), _cart_of(request)
        act = functools.partial(pages.desk.set_withdrawn, cart, withdrawn=False)
        return await pages.command(request, Duty.WITHDRAW_CART, act)
