"""The page of one cart's record: how far it has come, then the picture of what happened, and the file for `replay`."""

from typing import Any

import structlog
from litestar import Controller, Response, get, post
from litestar.enums import MediaType
from litestar.response import Stream

from cart_protocol.ids import RecordId
from edge_agent.core.staff import Duty
from edge_agent.core.views import RecordView
from edge_agent.web.console import REFRESH_S, ConsolePages
from edge_agent.web.doorkeeper import Asking, DeniedError
from edge_agent.web.pages import Pages
from edge_agent.web.sessions import StaffSession
from edge_agent.web.stream import Picture, known_picture

_log = structlog.get_logger()
_LONGEST_ID = 64


class RecordPages:
    """What the routes of a record share."""

    def __init__(self, console: ConsolePages, pages: Pages) -> None:
        self.console = console
        self._pages = pages

    def view(self, record: RecordId) -> RecordView:
        """Return what is known of a record, or raise DeniedError 404."""
        view = self.console.desk.record(record)
        if view is None:
            raise DeniedError(404, "unknown-record", "This record is not here any more. Records are kept for a while.")
        return view

    def page(self, session: StaffSession, view: RecordView) -> Response[str]:
        stream = f"/console/records/{view.record}/stream?boot={self.console.streams.boot}&revision={view.revision}"
        html = self._pages.render("record_page.html", **_names(session, view), stream=stream)
        return Response(html, media_type=MediaType.HTML)

    def picture(self, session: StaffSession, record: RecordId) -> Picture | None:
        view = self.console.desk.record(record)
        if view is None or not self.console.sign_in.sessions.still_open(session):
            return None
        html = self._pages.render("record_view.html", **_names(session, view))
        return Picture(revision=view.revision, content=html, html=lambda: html)


def _names(session: StaffSession, view: RecordView) -> dict[str, Any]:
    return {"view": view, "member": session.member, "csrf": session.csrf}


def _pages(request: Asking) -> RecordPages:
    pages: RecordPages = request.app.state.record_pages
    return pages


def _record_of(request: Asking) -> RecordId:
    return RecordId(request.path_params["record"][:_LONGEST_ID])


class RecordController(Controller):
    """Pictures of hands are in a record: every one of these asks for the role, and who looks is in the log."""

    path = "/console/records/{record:str}"
    include_in_schema = False

    @get()
    async def record(self, request: Asking) -> Response[str]:
        pages = _pages(request)
        session, staff = pages.console.allowed(request, Duty.SEE_RECORDS)
        view = pages.view(_record_of(request))
        _log.info("record looked at", record=view.record, staff=staff)
        return pages.page(session, view)

    @get("/stream")
    async def stream(self, request: Asking) -> Stream:
        pages = _pages(request)
        session, _ = pages.console.allowed(request, Duty.SEE_RECORDS)
        view, streams = pages.view(_record_of(request)), pages.console.streams
        streams.admit(session.csrf)
        return streams.response(
            session.csrf, lambda: pages.picture(session, view.record), pages.console.desk.wait_for_change,
            known=known_picture(request), refresh_s=REFRESH_S,
        )  # fmt: skip

    @get("/picture")
    async def picture(self, request: Asking) -> Response[bytes]:
        pages = _pages(request)
        pages.console.allowed(request, Duty.SEE_RECORDS)
        body = await pages.console.desk.record_picture(pages.view(_record_of(request)).record)
        return _given(body, "image/png")

    @get("/file")
    async def file(self, request: Asking) -> Response[bytes]:
        pages = _pages(request)
        _, staff = pages.console.allowed(request, Duty.SEE_RECORDS)
        view = pages.view(_record_of(request))
        _log.info("record taken away", record=view.record, staff=staff)
        named = f'attachment; filename="{view.cart}-{view.record}.cartset"'
        body = await pages.console.desk.record_file(view.record)
        return _given(body, "application/octet-stream", {"Content-Disposition": named})

    @post("/again")
    async def again(self, request: Asking) -> Response[Any]:
        pages, record = _pages(request), _record_of(request)
        return await pages.console.command(
            request, Duty.SEE_RECORDS, lambda staff: pages.console.desk.ask_again(record, staff)
        )


def _given(body: bytes, media_type: str, headers: dict[str, str] | None = None) -> Response[bytes]:
    if not body:
        raise DeniedError(404, "nothing-there", "There is nothing of that kind in this record.")
    return Response(body, media_type=media_type, headers=headers or {})
