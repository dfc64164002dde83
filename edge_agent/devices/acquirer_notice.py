"""The acquirer's signed notices: who sent them, when, and about which payment. Nothing else in them is believed.

The signature header is 't=<unix seconds>,v1=<hex>', with HMAC-SHA256 of '<t>.<body>' under the shared secret: the shape
that Stripe made common. More than one v1 may stand there while the secret is being replaced.
"""

import hashlib
import hmac

import msgspec

from edge_agent.ports import DeviceError, NoticeRefusedError

TOLERANCE_S = 300
"""How old a signature may be, or how far ahead of our clock. Older ones may be somebody's copy; a true notice is signed
again for each delivery. Stripe's default as well."""


class _Notice(msgspec.Struct):
    """What we read of a notice. Further fields are allowed and not believed."""

    key: str


class SignedNotices:
    """Reads notices signed with `secret`.

    Raises:
        DeviceError: the secret is empty, so that anybody could sign.
    """

    def __init__(self, secret: bytes) -> None:
        if not secret:
            raise DeviceError(
                "payment.notice_secret: the file is empty; put the secret into it that the acquirer signs with"
            )
        self._secret = secret

    def key_of(self, signature: str, body: bytes, now_ms: int) -> str:
        """Return the key that a notice is about.

        Raises:
            NoticeRefusedError: forged, stale (or from the future), or not readable although signed.
        """
        signed_s, shown = _parts(signature)
        due = hmac.new(self._secret, f"{signed_s}.".encode() + body, hashlib.sha256).hexdigest()
        if not any(hmac.compare_digest(due.encode(), each.encode()) for each in shown):
            raise NoticeRefusedError("forged", "no v1 of the signature header fits body and secret")
        apart_s = abs(now_ms // 1_000 - signed_s)
        if apart_s > TOLERANCE_S:
            raise NoticeRefusedError("stale", f"signed {apart_s} s away from our clock; at most {TOLERANCE_S} s")
        try:
            return msgspec.json.decode(body, type=_Notice).key
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise NoticeRefusedError("unreadable", f"signed, but not a notice with a key: {error}") from error


def _parts(header: str) -> tuple[int, list[str]]:
    """Return the time of a signature header and every v1 in it."""
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdecimal()) or len(times[0]) > 12:
        raise NoticeRefusedError("forged", "the signature header is not 't=<unix seconds>,v1=<hex>'")
    return int(times[0]), [value for name, _, value in pairs if name == "v1"]
