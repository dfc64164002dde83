"""The page of goods by sight: what carts know, showing them something new, and going back to an older version."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Controller, Response, get, post
from litestar.enums import MediaType
from litestar.response import Redirect, Stream

from cart_protocol.ids import CartId, InvalidIdError, LessonId, ProductId, StaffId, cart_id
from cart_protocol.sight import MOST_SHOTS
from edge_agent.core.refusals import RefusedError
from edge_agent.core.staff import Duty, may
from edge_agent.core.views import SightView
from edge_agent.web.console import REFRESH_S, ConsolePages, Look
from edge_agent.web.desk import SightDesk
from edge_agent.web.doorkeeper import Asking, DeniedError, field, wants_json
from edge_agent.web.pages import Pages
from edge_agent.web.sessions import StaffSession
from edge_agent.web.stream import Picture, known_picture

_LONGEST_ID = 64
_HOME = "/console/sight"
_USUAL_SHOTS = 5
VERDICT_LOOKS = {
    "safe": Look(words="Safe", tone="good", icon="done"),
    "tap": Look(words="Needs a tap", tone="busy", icon="info"),
    "scattered": Look(words="Show it again", tone="bad", icon="alert"),
}
SEEN = {
    "settling": "The view is to be left empty for a moment.",
    "empty": "Show the product to the camera.",
    "moving": "Something moves: hold it still.",
    "blurred": "It is blurred: more light, or further away.",
    "same": "Turn it, or show another one.",
    "shot": "Taken. Turn it, or show another one.",
}
"""What a cart says that its camera sees (cart_protocol.messages.LessonShown)."""
DOINGS = {
    "taught": "{name} taught",
    "forgotten": "{name} forgotten",
    "retired": "{name} retired for the season",
    "brought-back": "{name} brought back",
    "rolled-back": "Back to version {to}",
}
_Act = Callable[[StaffId, dict[str, str]], Awaitable[None]]


class SightPages:
    """What the routes of goods by sight share."""

    def __init__(self, desk: SightDesk, console: ConsolePages, pages: Pages) -> None:
        self.desk, self.console = desk, console
        self._pages = pages

    def page(self, session: StaffSession, *, notice: str = "", status: int = 200) -> Response[str]:
        view = self.desk.view()
        stream = f"{_HOME}/stream?boot={self.console.streams.boot}&revision={view.revision}"
        html = self._pages.render("sight_page.html", **_names(session, view), stream=stream, notice=notice)
        return Response(html, status_code=status, media_type=MediaType.HTML)

    def picture(self, session: StaffSession) -> Picture | None:
        if not self.console.sign_in.sessions.still_open(session):
            return None
        view = self.desk.view()
        html = self._pages.render("sight_view.html", **_names(session, view))
        return Picture(revision=view.revision, content=html, html=lambda: html)

    async def command(self, request: Asking, duty: Duty, act: _Act) -> Response[Any]:
        """Run one command of a person whose role allows it, and answer in the asker's language."""
        self.console.signed_in(request)
        _, form = await self.console.sign_in.admit(request)
        session, staff = self.console.allowed(request, duty)
        try:
            await act(staff, form)
        except RefusedError as refusal:
            if wants_json(request):
                return Response({"reason": refusal.reason, "sentence": refusal.sentence}, status_code=409)
            return self.page(session, notice=refusal.sentence, status=409)
        if wants_json(request):
            return Response({"done": True}, status_code=200)
        return Redirect(_HOME, status_code=303)

    async def teach(self, staff: StaffId, form: dict[str, str]) -> None:
        """Have a product shown to a cart, as the form says."""
        try:
            cart = cart_id(field(form, "cart", longest=_LONGEST_ID))
            shots = int(field(form, "shots", longest=2))
        except InvalidIdError as error:
            raise DeniedError(422, "bad-cart", "There is no cart of that name.") from error
        except ValueError as error:
            raise DeniedError(422, "bad-shots", f"Choose 1 to {MOST_SHOTS} shots.") from error
        product = ProductId(field(form, "product", longest=_LONGEST_ID))
        await self.desk.teach(CartId(cart), product, shots, staff)


def _names(session: StaffSession, view: SightView) -> dict[str, Any]:
    member = session.member
    here = [cart for cart in view.carts if cart.network]
    return {
        "view": view,
        "member": member,
        "csrf": session.csrf,
        "verdict_looks": VERDICT_LOOKS,
        "seen_words": SEEN,
        "doings": DOINGS,
        "most_shots": MOST_SHOTS,
        "usual_shots": _USUAL_SHOTS,
        "in_season": [card for card in view.known if card.in_season],
        "retired": [card for card in view.known if not card.in_season],
        "behind": [cart.cart for cart in here if cart.version != view.version],
        "carts_here": len(here),
        "may_teach": member and may(member.role, Duty.TEACH_GOODS),
        "may_change": member and may(member.role, Duty.CHANGE_SIGHT),
    }


def _pages(request: Asking) -> SightPages:
    pages: SightPages = request.app.state.sight_pages
    return pages


def _lesson(request: Asking) -> LessonId:
    return LessonId(request.path_params["lesson"][:_LONGEST_ID])


def _product(request: Asking) -> ProductId:
    return ProductId(request.path_params["product"][:_LONGEST_ID])


class SightController(Controller):
    path = _HOME
    include_in_schema = False

    @get()
    async def sight(self, request: Asking) -> Response[Any]:
        pages = _pages(request)
        session = pages.console.session(request)
        return pages.page(session) if session.member else Redirect("/console/sign-in", status_code=303)

    @get("/stream")
    async def stream(self, request: Asking) -> Stream:
        pages = _pages(request)
        session, streams = pages.console.signed_in(request), pages.console.streams
        streams.admit(session.csrf)
        return streams.response(
            session.csrf, lambda: pages.picture(session), pages.console.desk.wait_for_change,
            known=known_picture(request), refresh_s=REFRESH_S,
        )  # fmt: skip

    @post("/teach")
    async def teach(self, request: Asking) -> Response[Any]:
        pages = _pages(request)
        return await pages.command(request, Duty.TEACH_GOODS, pages.teach)

    @post("/lessons/{lesson:str}/stop")
    async def stop(self, request: Asking) -> Response[Any]:
        pages, lesson = _pages(request), _lesson(request)
        return await pages.command(request, Duty.TEACH_GOODS, lambda _staff, _: pages.desk.stop(lesson))

    @post("/lessons/{lesson:str}/set-aside")
    async def set_aside(self, request: Asking) -> Response[Any]:
        pages, lesson = _pages(request), _lesson(request)
        return await pages.command(request, Duty.TEACH_GOODS, lambda staff, _: pages.desk.set_aside(lesson, staff))

    @post("/lessons/{lesson:str}/use")
    async def use(self, request: Asking) -> Response[Any]:
        pages, lesson = _pages(request), _lesson(request)
        return await pages.command(request, Duty.CHANGE_SIGHT, lambda staff, _: pages.desk.use(lesson, staff))

    @post("/products/{product:str}/retire")
    async def retire(self, request: Asking) -> Response[Any]:
        pages, product = _pages(request), _product(request)
        return await pages.command(request, Duty.CHANGE_SIGHT, lambda staff, _: pages.desk.retire(product, staff))

    @post("/products/{product:str}/bring-back")
    async def bring_back(self, request: Asking) -> Response[Any]:
        pages, product = _pages(request), _product(request)
        return await pages.command(request, Duty.CHANGE_SIGHT, lambda staff, _: pages.desk.bring_back(product, staff))

    @post("/products/{product:str}/forget")
    async def forget(self, request: Asking) -> Response[Any]:
        pages, product = _pages(request), _product(request)
        return await pages.command(request, Duty.CHANGE_SIGHT, lambda staff, _: pages.desk.forget(product, staff))

    @post("/versions/{version:int}/restore")
    async def roll_back(self, request: Asking) -> Response[Any]:
        pages, to = _pages(request), int(request.path_params["version"])
        return await pages.command(request, Duty.CHANGE_SIGHT, lambda staff, _: pages.desk.roll_back(to, staff))
