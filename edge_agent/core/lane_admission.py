"""Who may come to the scale: a code read at the lane against the shop's orders, payments and burned tokens."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from cart_protocol.ids import LaneId, OrderId, OrderNumber, StoreId, TokenId
from edge_agent.core.exit_token import (
    ExitTokenError,
    ExpiredError,
    ForgedError,
    MalformedTokenError,
    UsedError,
    Verify,
    WrongStoreError,
    looks_like_token,
    read,
)
from edge_agent.core.folds import Order, Token
from edge_agent.core.shop import Shop


class NotAdmitted(StrEnum):
    """Why a code opens nothing."""

    UNKNOWN = "unknown"
    UNPAID = "unpaid"
    USED = "used"
    EXPIRED = "expired"
    FORGED = "forged"
    WRONG_STORE = "wrong-store"
    ELSEWHERE = "elsewhere"
    """The same order is being checked at another lane at this moment."""
    OTHER_AGENT = "other-agent"
    """The code is genuine, and its order belongs to a cart that another agent of this store looks after."""


class NotAdmittedError(Exception):
    """The code opens nothing; `reason` is why, the text is for staff."""

    def __init__(self, reason: NotAdmitted, seen: str) -> None:
        super().__init__(f"{reason}: {seen}")
        self.reason = reason


class Admission(msgspec.Struct, frozen=True):
    """A paid order that has not left yet, and the token its passage will burn."""

    order: Order
    token: TokenId


_REASONS: dict[type[ExitTokenError], NotAdmitted] = {
    MalformedTokenError: NotAdmitted.UNKNOWN,
    ForgedError: NotAdmitted.FORGED,
    WrongStoreError: NotAdmitted.WRONG_STORE,
    ExpiredError: NotAdmitted.EXPIRED,
    UsedError: NotAdmitted.USED,
}


def admit(
    shop: Shop, code: str, now_ms: int, *, verify: Verify, store: StoreId, lane: LaneId, held: Mapping[TokenId, LaneId]
) -> Admission:
    """Return the paid order that `code` stands for: an exit token, an order number, or an order's id from its QR code.

    `held` says which tokens are at which lane at this moment.

    Raises:
        NotAdmittedError: with the reason.
    """
    try:
        order, token = _by_token(shop, code, now_ms, verify, store) if looks_like_token(code) else _by_order(shop, code)
        _require_unused(token)
    except ExitTokenError as error:
        raise NotAdmittedError(_REASONS[type(error)], str(error)) from error
    if not order.stands or not shop.tenders.is_paid(order.id, order.placed.total):
        raise NotAdmittedError(NotAdmitted.UNPAID, f"order {order.placed.number} is not paid")
    if now_ms >= token.expires_ms:
        raise NotAdmittedError(NotAdmitted.EXPIRED, f"the exit token of order {order.placed.number} has expired")
    if held.get(token.token, lane) != lane:
        raise NotAdmittedError(NotAdmitted.ELSEWHERE, f"order {order.placed.number} is at lane {held[token.token]}")
    return Admission(order, token.token)


def _by_token(shop: Shop, code: str, now_ms: int, verify: Verify, store: StoreId) -> tuple[Order, Token]:
    claims = read(code, verify, now_ms, store)
    order, token = shop.orders.by_id.get(claims.order), shop.tokens.by_id.get(claims.token)
    if order is None or token is None or token.order != claims.order:
        reason = NotAdmitted.OTHER_AGENT if shop.partitions > 1 else NotAdmitted.UNKNOWN
        raise NotAdmittedError(reason, f"token {claims.token} is genuine, but this shop has no such order")
    return order, token


def _by_order(shop: Shop, code: str) -> tuple[Order, Token]:
    order = shop.orders.by_number.get(OrderNumber(code)) or shop.orders.by_id.get(OrderId(code))
    if order is None:
        raise NotAdmittedError(NotAdmitted.UNKNOWN, f"{code[:40]!r} is no exit token and no order number")
    token = shop.tokens.of_order(order.id)
    if token is None:
        raise NotAdmittedError(NotAdmitted.UNPAID, f"order {order.placed.number} is not paid")
    return order, token


def _require_unused(token: Token) -> None:
    if token.burned_at is not None:
        raise UsedError(f"exit token {token.token}: already let somebody out at lane {token.burned_at}")
