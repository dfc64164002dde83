"""Read tables from facts, in the transaction that commits them. Reports and people with SQL read these; we never do.

A group of facts is folded first, so that each row is written once, as the group leaves it: a hundred changes of one
cart are one row. The same fold makes the tables anew from the log (edge_agent/store/verify.py).
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Table

from cart_protocol.basket import (
    Basket,
    BasketFrozen,
    BasketThawed,
    CartEvent,
    CodeOffered,
    FaultsChanged,
    Phase,
    SessionBegan,
    SessionEnded,
    Withdrawn,
)
from cart_protocol.ids import CartId
from edge_agent.core import events as facts
from edge_agent.core.events import Fact
from edge_agent.store.schema import CART, INCIDENT, ORDER_LINE, POSITION, SHOP_ORDER, TENDER, TOKEN
from edge_agent.store.writer import How, Row, Statement, Writer

_Key = tuple[Any, ...]
_MOVE = Statement(
    how=How.PUT, table=POSITION.name, columns=("cart", "epoch", "seq"), key=("cart",), changes=("epoch", "seq")
)


class ProjectionError(RuntimeError):
    """A fact does not fit the tables, e.g. a token burned twice: memory and disk disagree, and we must not go on."""


_MOST = (1 << 63) - 1
"""What a database's integer holds."""


_LONGEST_NAME = 200
"""Characters of a name that are kept as they are; ours have 64 at most, a cart may say anything."""


class Plus(int):
    """A value that is added to what the column holds."""


class _Change:
    """What becomes of one row."""

    __slots__ = ("absent", "how", "unset", "values")

    def __init__(self, how: How, values: dict[str, Any], absent: Mapping[str, Any] | None = None) -> None:
        self.how = how
        self.values = values
        self.absent = absent or {}
        self.unset = ""


class Changes:
    """What a group of facts makes of the read tables. Feed facts in their order, then `write` once."""

    def __init__(self) -> None:
        self._tables: dict[Table, dict[_Key, _Change]] = {}
        self._positions: dict[CartId, tuple[CartId, int, int]] = {}

    def project(self, fact: Fact) -> None:
        """Bring the read tables up to date with one fact.

        Raises:
            ProjectionError: it does not fit what this very group says.
        """
        projection = PROJECTIONS.get(type(fact.event))
        if projection is not None:
            projection(self, fact.event, fact.at_ms)

    def position(self, cart: CartId, epoch: int, seq: int) -> None:
        """Say how far a cart's stream is committed."""
        self._positions[cart] = (cart, epoch, seq)

    def add(self, table: Table, key: _Key, values: dict[str, Any]) -> None:
        """Make a row."""
        key = _names(key)
        rows = self._tables.setdefault(table, {})
        if key in rows:
            raise _misfit(table, [key])
        rows[key] = _Change(How.ADD, _storable(values))

    def put(self, table: Table, key: _Key, values: dict[str, Any], absent: Mapping[str, Any] | None = None) -> None:
        """Set `values` in a row, making it, with `absent` for the other columns, where there is none."""
        self._merge(table, _names(key), _Change(How.PUT, _storable(values), absent))

    def set(self, table: Table, key: _Key, values: dict[str, Any], unset: str = "") -> None:
        """Set `values` in a row that must be there, and whose column `unset`, if named, must still be empty."""
        key = _names(key)
        change = _Change(How.SET, _storable(values))
        known = self._tables.get(table, {}).get(key)
        if unset and known is not None and (known.unset == unset or known.values.get(unset) is not None):
            raise _misfit(table, [key])
        change.unset = unset
        self._merge(table, key, change)

    def write(self, writer: Writer) -> None:
        """Write every change, in the caller's transaction.

        Raises:
            ProjectionError: a row that should be there is not, or is spent.
        """
        if self._positions:
            writer.write(_MOVE, list(self._positions.values()))
        for table, changes in self._tables.items():
            groups: dict[Statement, dict[_Key, Row]] = {}
            for key, change in changes.items():
                statement, row = _row(table, key, change)
                groups.setdefault(statement, {})[key] = row
            for statement, rows in groups.items():
                if writer.write(statement, list(rows.values())) != len(rows):
                    raise _misfit(table, list(rows))

    def _merge(self, table: Table, key: _Key, change: _Change) -> None:
        rows = self._tables.setdefault(table, {})
        known = rows.get(key)
        if known is None:
            rows[key] = change
            return
        for name, value in change.values.items():
            before = known.values.get(name)
            if isinstance(value, Plus) and before is not None:
                known.values[name] = type(before)(before + value)
            else:
                known.values[name] = value
        if known.how is not How.ADD:  # a row that this group makes was looked at already; any other must be asked
            known.unset = known.unset or change.unset


def _row(table: Table, key: _Key, change: _Change) -> tuple[Statement, Row]:
    names = _key_of(table)
    changes = tuple(change.values)
    if change.how is How.SET:
        adds = tuple(name for name, value in change.values.items() if isinstance(value, Plus))
        statement = Statement(
            how=How.SET, table=table.name, columns=(*changes, *names), key=names, changes=changes, adds=adds,
            unset=change.unset,
        )  # fmt: skip
        return statement, (*change.values.values(), *key)
    absent = {name: value for name, value in change.absent.items() if name not in change.values}
    statement = Statement(
        how=change.how, table=table.name, columns=(*names, *changes, *absent), key=names,
        changes=changes if change.how is How.PUT else (), unset=change.unset,
    )  # fmt: skip
    return statement, (*key, *change.values.values(), *absent.values())


def _storable(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a database takes of what somebody said; the log keeps it as it was.

    PostgreSQL has no place for U+0000 in a text (manual, section 8.3), no database one for a number beyond 64 bits. A
    cart that reports such a thing must not stop the store: it would report it again after every start.
    """
    for name, value in values.items():
        if isinstance(value, str):
            if "\0" in value:
                values[name] = value.replace("\0", "\ufffd")
        elif isinstance(value, int) and not -_MOST <= value <= _MOST:
            values[name] = type(value)(max(-_MOST, min(_MOST, value)))
    return values


def _names(key: _Key) -> _Key:
    return tuple(map(_name, key))


def _name(text: str) -> str:
    """Return a name as an index takes it: PostgreSQL's holds 2,704 bytes of a row (manual, section 67.4.3)."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if len(text) > _LONGEST_NAME:
        text = f"{text[:_LONGEST_NAME]}…{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"
    return text


@cache
def _key_of(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key.columns)


def _misfit(table: Table, keys: list[_Key]) -> ProjectionError:
    named = ", ".join("/".join(map(str, key)) for key in keys[:5])
    if table is TOKEN:
        return ProjectionError(f"exit token {named} is unknown or spent already; it cannot be burned")
    return ProjectionError(f"{table.name} {named}: the log makes a row twice or changes one that is not there")


# ── carts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _cart_reported(changes: Changes, event: facts.CartReported, at_ms: int) -> None:
    changed = _OF_CART.get(type(event.recorded.event))
    if changed is not None:  # what is in the basket stands in the entries; the order brings it to order_line
        changes.put(CART, (event.cart,), {**changed(event.recorded.event), "at_ms": at_ms}, _EMPTY_CART)


def _snapshot(changes: Changes, event: facts.CartSnapshotAdopted, at_ms: int) -> None:
    changes.put(CART, (event.cart,), {**_cart_row(event.basket), "at_ms": at_ms})


def _cart_row(basket: Basket) -> dict[str, Any]:
    return {
        "phase": basket.phase, "session": basket.session, "code": basket.code, "faults": " ".join(basket.faults),
        "withdrawn": basket.withdrawn,
    }  # fmt: skip


_EMPTY_CART = _cart_row(Basket())
_OF_CART: dict[type[CartEvent], Callable[[Any], dict[str, Any]]] = {
    CodeOffered: lambda event: {"code": event.code},
    SessionBegan: lambda event: {"phase": Phase.SHOPPING, "session": event.session, "code": ""},
    SessionEnded: lambda _: {"phase": Phase.IDLE, "session": None},
    BasketFrozen: lambda _: {"phase": Phase.FROZEN},
    BasketThawed: lambda _: {"phase": Phase.SHOPPING},
    FaultsChanged: lambda event: {"faults": " ".join(event.faults)},
    Withdrawn: lambda event: {"withdrawn": event.withdrawn},
}


# ── orders and money ─────────────────────────────────────────────────────────────────────────────────────────────


def _order(changes: Changes, event: facts.OrderPlaced, at_ms: int) -> None:
    changes.add(SHOP_ORDER, (event.order,), {
        "number": event.number, "sequence": event.sequence, "session": event.session, "shopper": event.shopper,
        "cart": event.cart, "currency": event.total.currency, "total_minor": event.total.minor,
        "settled_mg": event.settled, "variance_mg2": event.variance, "tags": event.tags, "placed_ms": at_ms,
        "cancelled": "",
    })  # fmt: skip
    for line in event.lines:
        changes.add(ORDER_LINE, (event.order, line.line), {
            "product": _name(line.product), "name": line.name, "quantity": line.quantity, "mass_mg": line.mass,
            "total_minor": line.price.total.minor, "tax_minor": line.price.tax.minor,
            "tax_class": line.price.tax_class, "book_version": line.price.book_version,
        })  # fmt: skip


def _cancelled(changes: Changes, event: facts.OrderCancelled, _at_ms: int) -> None:
    changes.set(SHOP_ORDER, (event.order,), {"cancelled": event.reason})


def _submitted(changes: Changes, event: facts.TenderSubmitted, at_ms: int) -> None:
    changes.add(TENDER, (event.tender,), {
        "order_id": event.order, "method": event.method, "currency": event.amount.currency,
        "amount_minor": event.amount.minor, "captured_minor": 0, "refunded_minor": 0, "state": "submitted",
        "reason": "", "reference": "", "at_ms": at_ms,
    })  # fmt: skip


def _captured(changes: Changes, event: facts.TenderCaptured, _at_ms: int) -> None:
    values = {"state": "captured", "captured_minor": event.amount.minor, "reference": event.reference}
    changes.set(TENDER, (event.tender,), values)


def _declined(changes: Changes, event: facts.TenderDeclined, _at_ms: int) -> None:
    changes.set(TENDER, (event.tender,), {"state": "declined", "reason": event.reason})


def _unknown(changes: Changes, event: facts.TenderUnknown, _at_ms: int) -> None:
    changes.set(TENDER, (event.tender,), {"state": "unknown", "reason": event.reason})


def _refunded(changes: Changes, event: facts.TenderRefunded, _at_ms: int) -> None:
    changes.set(TENDER, (event.tender,), {"refunded_minor": Plus(event.amount.minor)})


def _issued(changes: Changes, event: facts.TokenIssued, _at_ms: int) -> None:
    values = {"order_id": event.order, "expires_ms": event.expires_ms}
    changes.put(TOKEN, (event.token,), values, {"burned_at": None, "burned_ms": None})


def _burned(changes: Changes, event: facts.TokenBurned, at_ms: int) -> None:
    changes.set(TOKEN, (event.token,), {"burned_at": event.lane, "burned_ms": at_ms}, unset="burned_at")


def _raised(changes: Changes, event: facts.IncidentRaised, at_ms: int) -> None:
    changes.add(INCIDENT, (event.incident,), {
        "key": event.key, "place": event.where, "cause": event.cause, "sentence": event.sentence, "at_ms": at_ms,
        "resolved_by": "",
    })  # fmt: skip


def _resolved(changes: Changes, event: facts.IncidentResolved, _at_ms: int) -> None:
    changes.set(INCIDENT, (event.incident,), {"resolved_by": event.staff})


PROJECTIONS: dict[type, Callable[[Changes, Any, int], None]] = {
    facts.CartReported: _cart_reported,
    facts.CartSnapshotAdopted: _snapshot,
    facts.OrderPlaced: _order,
    facts.OrderCancelled: _cancelled,
    facts.TenderSubmitted: _submitted,
    facts.TenderCaptured: _captured,
    facts.TenderDeclined: _declined,
    facts.TenderUnknown: _unknown,
    facts.TenderRefunded: _refunded,
    facts.TokenIssued: _issued,
    facts.TokenBurned: _burned,
    facts.IncidentRaised: _raised,
    facts.IncidentResolved: _resolved,
}
