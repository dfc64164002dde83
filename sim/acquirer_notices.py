"""The TEST acquirer's notices to its merchant: signed, at least once, late, twice and out of order, as it pleases.

What is to be told stands in the acquirer's own database, written with the money that moved, and goes when the merchant
has taken it. No I/O but that database: whoever carries them (sim.acquirer_courier, or the stage) asks what is due.
"""

import hashlib
import hmac
import sqlite3
from collections.abc import Callable
from random import Random

import msgspec

_FIRST_RETRY_MS = 1_000
_LONGEST_RETRY_MS = 60_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS notice (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- one delivery to make
    notice TEXT NOT NULL, -- the same for every copy of one notice
    kind TEXT NOT NULL, key TEXT NOT NULL, at_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL, tries INTEGER NOT NULL
) STRICT;
"""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery to make. `kind`: 'charge.captured', 'charge.declined' or 'charge.refunded'."""

    number: int
    notice: str
    kind: str
    key: str
    at_ms: int
    tries: int = 0
    """How often it was sent in vain."""


class NoticeHabits:
    """How this acquirer tells things, by seed: how late, how often the same, and therefore in which order.

    Args:
        dice: decides.
        repeated: the share of notices that are sent twice.
        late: the share of deliveries that do not go at once but up to `longest_ms` later, overtaken by others.
    """

    def __init__(self, dice: Random, *, repeated: float = 0.25, late: float = 0.4, longest_ms: int = 5_000) -> None:
        self._dice = dice
        self._repeated = repeated
        self._late = late
        self._longest_ms = longest_ms

    def delays_ms(self) -> list[int]:
        """Return when to deliver each copy of a new notice, counted from now."""
        copies = 2 if self._dice.random() < self._repeated else 1
        return [self._dice.randint(1, self._longest_ms) if self._dice.random() < self._late else 0
                for _ in range(copies)]  # fmt: skip


class NoticeOutbox:
    """What the merchant has not taken yet. `add` belongs into the transaction that moves the money."""

    def __init__(self, database: sqlite3.Connection, habits: NoticeHabits) -> None:
        self._db = database
        self._habits = habits
        self._on_added: Callable[[], None] = lambda: None

    def listen(self, on_added: Callable[[], None]) -> None:
        """Call `on_added` whenever there may be something new to deliver."""
        self._on_added = on_added

    def add(self, notice: str, kind: str, key: str, now_ms: int) -> None:
        rows = [(notice, kind, key, now_ms, now_ms + delay_ms) for delay_ms in self._habits.delays_ms()]
        self._db.executemany(
            "INSERT INTO notice (notice, kind, key, at_ms, due_ms, tries) VALUES (?, ?, ?, ?, ?, 0)", rows
        )
        self._on_added()

    def due(self, now_ms: int) -> list[Notice]:
        """Return what should have been delivered by now, the longest due first."""
        rows = self._db.execute(
            "SELECT number, notice, kind, key, at_ms, tries FROM notice WHERE due_ms <= ? ORDER BY due_ms, number",
            (now_ms,),
        )
        return [msgspec.convert(dict(row), Notice) for row in rows]

    def next_ms(self) -> int | None:
        """Return when the next delivery is due; None when there is nothing to tell."""
        due_ms: int | None = self._db.execute("SELECT min(due_ms) FROM notice").fetchone()[0]
        return due_ms

    def delivered(self, notice: Notice) -> None:
        """The merchant took it: this delivery is done for ever. May be said twice."""
        self._db.execute("DELETE FROM notice WHERE number = ?", (notice.number,))

    def failed(self, notice: Notice, now_ms: int) -> None:
        """The merchant did not take it: try again, each time later."""
        pause_ms = min(_FIRST_RETRY_MS << min(notice.tries, 16), _LONGEST_RETRY_MS)
        self._db.execute(
            "UPDATE notice SET tries = tries + 1, due_ms = ? WHERE number = ?", (now_ms + pause_ms, notice.number)
        )


def body(notice: Notice) -> bytes:
    """Return what the merchant reads."""
    return msgspec.json.encode(
        {"id": notice.notice, "type": notice.kind, "key": notice.key, "at_ms": notice.at_ms, "test": True}
    )


def signature(secret: str, sent_s: int, text: bytes) -> str:
    """Return the signature header of a delivery at `sent_s` (unix seconds)."""
    made_of = str(sent_s).encode() + b"." + text
    return f"t={sent_s},v1={hmac.new(secret.encode(), made_of, hashlib.sha256).hexdigest()}"
