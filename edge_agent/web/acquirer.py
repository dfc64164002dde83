"""Where the acquirer calls when it concluded something. No session, no form: the signature is all that counts."""

from litestar import Response, post

from edge_agent.ports import NoticeRefusedError
from edge_agent.web.desk import NoticeDesk
from edge_agent.web.doorkeeper import Asking, DeniedError, Doorkeeper

SIGNATURE = "acquirer-signature"
MOST_BYTES = 4_096
"""A notice names a payment; it has no reason to be longer."""


async def _admit(request: Asking) -> None:
    """Stand in for the pages' doorkeeping: a notice has no session, and no browser sends it."""
    doorkeeper: Doorkeeper = request.app.state.doorkeeper
    doorkeeper.admit_notice(request)


@post(
    "/acquirer/notice",
    before_request=_admit,
    status_code=200,
    request_max_body_size=MOST_BYTES,
    tags=["acquirer"],
    summary="The acquirer concluded something",
    operation_id="acquirer-notice",
)
async def acquirer_notice(request: Asking) -> Response[dict[str, bool]]:
    """Take a signed notice. 200 means: do not send it again; what we make of it we find out by asking the acquirer.

    The header Acquirer-Signature is 't=<unix seconds>,v1=<hex HMAC-SHA256 of t.body>'. 403: forged or stale; sign again
    for each delivery. 413: longer than any notice is.
    """
    desk: NoticeDesk | None = request.app.state.notice_desk
    if desk is None:
        raise DeniedError(404, "not-found", "This store takes no notices: payment.notice_secret is not set.")
    try:
        desk.notice(request.headers.get(SIGNATURE, ""), await request.body())
    except NoticeRefusedError as refusal:
        status = 422 if refusal.reason == "unreadable" else 403
        raise DeniedError(status, refusal.reason, "This notice was not taken.") from refusal
    return Response({"heard": True})
