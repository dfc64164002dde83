"""Staff sign in and out.

Wrong passwords cost time and are rationed per client and per name; the answer never says which of the two was wrong.
"""

import asyncio
from collections.abc import Sequence

import structlog
from litestar import Controller, Response, get, post
from litestar.datastructures import Cookie
from litestar.enums import MediaType
from litestar.response import Redirect

from edge_agent.core.staff import StaffMember
from edge_agent.web.desk import StaffRoll
from edge_agent.web.doorkeeper import Asking, Doorkeeper, client_of, field, form_of, too_fast
from edge_agent.web.pages import Pages
from edge_agent.web.sessions import StaffSession, StaffSessions

_log = structlog.get_logger()
_LONGEST_NAME = 40
_LONGEST_PASSWORD = 256


class SignIn:
    """What the sign-in routes share."""

    def __init__(self, staff: StaffRoll, sessions: StaffSessions, pages: Pages, doorkeeper: Doorkeeper) -> None:
        self.sessions = sessions
        self._staff = staff
        self._pages = pages
        self._doorkeeper = doorkeeper
        # One hash takes 64 MiB (argon2-cffi's RFC 9106 profile): never many at once on a small box.
        self._hashing = asyncio.Semaphore(2)

    def page(self, session: StaffSession, *, notice: str = "", status: int = 200) -> Response[str]:
        html = self._pages.render("sign_in.html", csrf=session.csrf, notice=notice)
        return Response(html, status_code=status, media_type=MediaType.HTML, cookies=self.cookies(session))

    def cookies(self, session: StaffSession) -> Sequence[Cookie]:
        return [self.sessions.cookie(session)] if session.new else []

    async def admit(self, request: Asking) -> tuple[StaffSession, dict[str, str]]:
        """Return the session and form of a command that is really this session's."""
        session = self.sessions.of(request.cookies)
        form = await form_of(request)
        self._doorkeeper.admit_command(request, form, session.csrf, session.csrf)
        return session, form

    async def check(self, request: Asking, form: dict[str, str]) -> StaffMember | None:
        """Return who gave the right name and password; too many wrong ones are refused before any is checked."""
        name = field(form, "name", longest=_LONGEST_NAME).lower()
        password = form.get("password", "")[: _LONGEST_PASSWORD + 1]
        self._doorkeeper.within(self._doorkeeper.client_sign_ins, client_of(request))
        too_fast(self._doorkeeper.name_sign_ins.wait_s(name))
        async with self._hashing:
            member = await asyncio.to_thread(self._staff.verify, name, password)
        if member is None:
            self._doorkeeper.name_sign_ins.take(name)
            _log.warning("sign-in refused", client=client_of(request))
        return member


def _sign_in(request: Asking) -> SignIn:
    sign_in: SignIn = request.app.state.sign_in
    return sign_in


class SignInController(Controller):
    @get("/console/sign-in", include_in_schema=False)
    async def ask(self, request: Asking) -> Response[str] | Redirect:
        sign_in = _sign_in(request)
        session = sign_in.sessions.of(request.cookies)
        return Redirect("/console", status_code=303) if session.member else sign_in.page(session)

    @post("/console/sign-in", include_in_schema=False)
    async def enter(self, request: Asking) -> Response[str] | Redirect:
        sign_in = _sign_in(request)
        session, form = await sign_in.admit(request)
        member = await sign_in.check(request, form)
        if member is None:
            return sign_in.page(session, notice="Name and password do not belong together.", status=403)
        sign_in.sessions.close(session)
        _log.info("signed in", staff=member.staff, role=member.role)
        return Redirect("/console", status_code=303, cookies=sign_in.cookies(sign_in.sessions.open(member)))

    @post("/console/sign-out", include_in_schema=False)
    async def leave(self, request: Asking) -> Redirect:
        sign_in = _sign_in(request)
        session, _ = await sign_in.admit(request)
        sign_in.sessions.close(session)
        return Redirect("/console/sign-in", status_code=303)
