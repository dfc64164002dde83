"""Who is asking: the phones' sessions and the staff's, each behind one random, opaque cookie."""

import base64
import hashlib
import re

import msgspec
from litestar.datastructures import Cookie

from cart_protocol.host.clock import Clock, Dice
from cart_protocol.ids import ShopperId
from edge_agent.core.staff import StaffMember
from edge_agent.web.desk import StaffRoll

PHONE_LIFE_S = 12 * 3600
"""A phone's cookie outlives any shopping trip, not the day."""
STAFF_LIFE_S = 8 * 3600
"""One shift."""
_TOKEN_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


class PhoneSession(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    shopper: ShopperId
    csrf: str
    new: bool
    """The browser does not hold the cookie yet."""


class PhoneSessions:
    """Sessions without a table: shopper and cross-site token are digests of the cookie's 256 random bits.

    So a phone keeps its cart when the store's box restarts in the middle of a trip, and nothing that the store keeps
    or logs (the shopper id) leads back to the cookie.
    """

    def __init__(self, dice: Dice, *, secure: bool) -> None:
        self._dice = dice
        self._secure = secure
        self.cookie_name = _cookie_name("phone", secure)

    def of(self, cookies: dict[str, str]) -> PhoneSession:
        """Return the session of these cookies, or a new one."""
        token = cookies.get(self.cookie_name, "")
        return _phone_session(token, new=False) if _TOKEN.fullmatch(token) else self.fresh()

    def fresh(self) -> PhoneSession:
        return _phone_session(_mint(self._dice), new=True)

    def cookie(self, session: PhoneSession) -> Cookie:
        return _cookie(self.cookie_name, session.token, PHONE_LIFE_S, self._secure)


class StaffSession(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    csrf: str
    member: StaffMember | None
    """None: nobody has signed in."""
    new: bool


class StaffSessions:
    """Sessions of signed-in staff, kept in memory: a restart of the store's box signs everybody out.

    A cookie from before the sign-in never becomes the signed-in one, and roles are looked up at each request, so that
    who is taken off the roll is out at once.
    """

    def __init__(self, dice: Dice, clock: Clock, staff: StaffRoll, *, secure: bool) -> None:
        self._dice = dice
        self._clock = clock
        self._staff = staff
        self._secure = secure
        self._open: dict[str, tuple[StaffMember, int]] = {}
        self.cookie_name = _cookie_name("staff", secure)

    def of(self, cookies: dict[str, str]) -> StaffSession:
        """Return the session of these cookies; without a valid one, a new session of nobody."""
        token = cookies.get(self.cookie_name, "")
        if not _TOKEN.fullmatch(token):
            return _staff_session(_mint(self._dice), None, new=True)
        return _staff_session(token, self._member(token), new=False)

    def open(self, member: StaffMember) -> StaffSession:
        """Sign `member` in under a new cookie."""
        now_s = self._now_s()
        self._open = {key: kept for key, kept in self._open.items() if kept[1] > now_s}
        token = _mint(self._dice)
        self._open[_digest(token, b"cartwright-staff")] = (member, now_s + STAFF_LIFE_S)
        return _staff_session(token, member, new=True)

    def close(self, session: StaffSession) -> None:
        self._open.pop(_digest(session.token, b"cartwright-staff"), None)

    def cookie(self, session: StaffSession) -> Cookie:
        return _cookie(self.cookie_name, session.token, STAFF_LIFE_S, self._secure)

    def still_open(self, session: StaffSession) -> bool:
        """Whether the person is still signed in, in the same role; a live page asks before each new picture."""
        return session.member is not None and self._member(session.token) == session.member

    def _member(self, token: str) -> StaffMember | None:
        member, expires_s = self._open.get(_digest(token, b"cartwright-staff"), (None, 0))
        if member is None or expires_s <= self._now_s():
            return None
        return self._staff.find(member.staff)

    def _now_s(self) -> int:
        # Monotonic: setting the wall clock back must not keep a session alive.
        return self._clock.monotonic_us() // 1_000_000


def _phone_session(token: str, *, new: bool) -> PhoneSession:
    shopper = ShopperId("p" + _digest(token, b"cartwright-phone")[:31])
    return PhoneSession(token=token, shopper=shopper, csrf=_digest(token, b"cartwright-csrf"), new=new)


def _staff_session(token: str, member: StaffMember | None, *, new: bool) -> StaffSession:
    return StaffSession(token=token, csrf=_digest(token, b"cartwright-csrf"), member=member, new=new)


def _mint(dice: Dice) -> str:
    return base64.urlsafe_b64encode(dice.token_bytes(_TOKEN_BYTES)).rstrip(b"=").decode()


def _digest(token: str, use: bytes) -> str:
    return hashlib.blake2b(token.encode(), digest_size=16, person=use).hexdigest()


def _cookie_name(who: str, secure: bool) -> str:
    # `__Host-`: only this host over HTTPS can have set it (RFC 6265bis, section 4.1.3.2).
    return f"__Host-cartwright-{who}" if secure else f"cartwright-{who}"


def _cookie(name: str, token: str, life_s: int, secure: bool) -> Cookie:
    return Cookie(key=name, value=token, max_age=life_s, path="/", httponly=True, samesite="lax", secure=secure)
