"""Who works in the store and what each role may do: the server asks here before it acts, pages mirror the answer."""

from enum import StrEnum

import msgspec

from cart_protocol.ids import StaffId


class Role(StrEnum):
    VIEWER = "viewer"
    """Sees the console, touches nothing."""
    ATTENDANT = "attendant"
    """Helps at carts and lanes."""
    MANAGER = "manager"
    """Also takes carts out of service and puts them back, and decides what they know by sight."""


class Duty(StrEnum):
    RESOLVE_ALARM = "resolve an alarm"
    EXPLAIN_WEIGHT = "explain a weight"
    WITHDRAW_CART = "withdraw or restore a cart"
    SEE_RECORDS = "ask a cart for its record"
    """And look at it: there are pictures of hands in it."""
    TEACH_GOODS = "show goods to a cart"
    CHANGE_SIGHT = "change what carts know by sight"


class StaffMember(msgspec.Struct, frozen=True, kw_only=True):
    staff: StaffId
    """The name they sign in with."""
    role: Role


_DUTIES: dict[Role, frozenset[Duty]] = {
    Role.VIEWER: frozenset(),
    Role.ATTENDANT: frozenset({Duty.RESOLVE_ALARM, Duty.EXPLAIN_WEIGHT, Duty.SEE_RECORDS, Duty.TEACH_GOODS}),
    Role.MANAGER: frozenset(Duty),
}


def may(role: Role, duty: Duty) -> bool:
    return duty in _DUTIES[role]
