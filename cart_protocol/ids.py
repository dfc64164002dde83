"""Typed identifiers. Each is made once, at its origin, and never derived again."""

import re
from typing import NewType

StoreId = NewType("StoreId", str)
"""One shop. Lower-case letters, digits and '-': it stands in topics."""
CartId = NewType("CartId", str)
"""One cart; equal to the common name of its certificate."""
ShopperId = NewType("ShopperId", str)
"""One phone session of one person; carries nothing about who that is."""
SessionId = NewType("SessionId", str)
"""One shopper with one cart, from binding to leaving."""
ScanId = NewType("ScanId", str)
LineId = NewType("LineId", str)
OrderId = NewType("OrderId", str)
OrderNumber = NewType("OrderNumber", str)
"""What a person reads out: digits with a check digit (see gs1.check_digit)."""
TenderId = NewType("TenderId", str)
CommandId = NewType("CommandId", str)
IncidentId = NewType("IncidentId", str)
LaneId = NewType("LaneId", str)
StaffId = NewType("StaffId", str)
TokenId = NewType("TokenId", str)
RecordId = NewType("RecordId", str)
"""One time that staff asked a cart for what its flight recorder holds."""
LessonId = NewType("LessonId", str)
"""One time that staff showed a product to a camera, so that carts know it by sight."""
ProductId = NewType("ProductId", str)
"""A catalogue key: a GTIN-14, or 'plu:' and the shop's own number for loose goods."""
Gtin = NewType("Gtin", str)
"""Fourteen digits with a correct check digit (GS1 General Specifications, section 3.3)."""

Epoch = NewType("Epoch", int)
"""The generation of a cart's outbox: a new outbox is a new epoch; within one, `Seq` has no gaps."""
Seq = NewType("Seq", int)
"""Position in a cart's event stream: 1, 2, 3 … within one epoch; 0 is "nothing yet"."""

_TOPIC_SAFE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class InvalidIdError(ValueError):
    """An identifier that stands in a topic has a character or a length that a topic must not have."""


def cart_id(text: str) -> CartId:
    """Return `text` as a cart id, or raise InvalidIdError naming what is wrong."""
    return CartId(_topic_safe("cart id", text))


def store_id(text: str) -> StoreId:
    """Return `text` as a store id, or raise InvalidIdError naming what is wrong."""
    return StoreId(_topic_safe("store id", text))


def _topic_safe(what: str, text: str) -> str:
    if not _TOPIC_SAFE.fullmatch(text):
        raise InvalidIdError(
            f"{what} {text!r} is not 1 to 32 lower-case letters, digits or '-', beginning with a letter or digit"
        )
    return text
