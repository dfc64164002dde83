"""The TEST acquirer's books, without HTTP: what was charged under which key, once. No real money moves.

Independent of everything in the product: the truth for "nobody was charged twice". A key is one charge for life: the
same request again gets the same record, another body under it is refused. Methods beginning with 'test_' script what
goes wrong. Everything that was concluded is told to the merchant by notices (sim.acquirer_notices).
"""

import re
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from sim.acquirer_notices import SCHEMA as _NOTICE_SCHEMA
from sim.acquirer_notices import NoticeHabits, NoticeOutbox

LABEL = "TEST - no real money"
_CARD_NUMBER = re.compile(r"\d(?:[ -]?\d){12,18}")
"""13 to 19 digits (ISO/IEC 7812-1), however they are grouped."""


class Method(StrEnum):
    """How a charge goes. The shop's own methods ('card', 'wallet') go well."""

    CARD = "card"
    WALLET = "wallet"
    OK = "test_ok"
    DECLINED = "test_declined"
    INSUFFICIENT = "test_insufficient"
    """Approved for half of the amount."""
    TIMEOUT_BEFORE = "test_timeout_before"
    """Nothing is charged and no answer comes; the same request again gets through."""
    TIMEOUT_AFTER = "test_timeout_after"
    """Charged, but the answer is lost."""
    ERROR_500 = "test_error_500"
    """Nothing is charged; the answer is a server error, also to a repeated request."""
    SLOW = "test_slow"
    """Goes well after a second, in which it is in flight."""
    OFFLINE = "test_offline"
    """Nothing is charged, and for a few requests nobody gets an answer to anything; the same again gets through."""


_OFFLINE_REQUESTS = 3
"""How many requests find the acquirer gone, the charge that began it among them."""
_VANISHES = frozenset({Method.TIMEOUT_BEFORE, Method.OFFLINE})


class Delivery(StrEnum):
    """What becomes of the answer to a charge."""

    DELIVERED = "delivered"
    LOST = "lost"
    ERROR = "error"
    SLOW = "slow"
    """Delivered after a while, in which the charge is in flight."""


class ChargeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One charge. `status`: 'processing', 'captured', 'declined', or 'lost' for one that never arrived; minor units."""

    key: str
    method: str
    amount: int
    currency: str
    at_ms: int
    status: str = "processing"
    captured: int = 0
    refunded: int = 0
    reference: str = ""
    reason: str = ""
    delivery: Delivery = Delivery.DELIVERED
    """Of the first answer; a repeated request gets this record, unless it was an error."""
    test: str = LABEL


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    charges: int
    captured_minor: int
    refunded_minor: int
    test: str = LABEL


class LedgerError(Exception):
    """A request that the ledger refuses; `status` is its HTTP form and `code` its word."""

    status = 400
    code = "bad-request"


class UnknownMethodError(LedgerError):
    code = "unknown-method"


class CardNumberError(LedgerError):
    """Card data has no business here."""

    code = "looks-like-card-number"


class BadAmountError(LedgerError):
    code = "bad-amount"


class UnknownChargeError(LedgerError):
    status, code = 404, "unknown-charge"


class OfflineError(LedgerError):
    """Nobody is there: says nothing about any charge."""

    status, code = 503, "offline"


class InFlightError(LedgerError):
    status, code = 409, "in-flight"


class KeyReusedError(LedgerError):
    status, code = 422, "key-reused"


class OverRefundError(LedgerError):
    status, code = 422, "over-refund"


_SCHEMA = """
CREATE TABLE IF NOT EXISTS charge (
    key TEXT PRIMARY KEY, method TEXT NOT NULL, amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL,
    status TEXT NOT NULL, captured INTEGER NOT NULL CHECK (captured BETWEEN 0 AND amount),
    refunded INTEGER NOT NULL CHECK (refunded BETWEEN 0 AND captured),
    reference TEXT NOT NULL, reason TEXT NOT NULL, at_ms INTEGER NOT NULL, delivery TEXT NOT NULL,
    goes TEXT NOT NULL -- the method that scripts it
) STRICT;
CREATE TABLE IF NOT EXISTS refund (
    key TEXT PRIMARY KEY, charge TEXT NOT NULL REFERENCES charge (key), amount INTEGER NOT NULL CHECK (amount > 0),
    at_ms INTEGER NOT NULL
) STRICT;
"""


class Ledger:
    """The acquirer's books (SQLite, synchronous=FULL). One thread.

    Args:
        database: its file, or ':memory:'.
        now_ms: stamps rows, and says when notices are due.
        habits: how the merchant is told what was concluded; None: there is nobody to tell.
        mishap: asked at each new ordinary charge for a way in which it goes instead (sim.acquirer_mishaps).
    """

    def __init__(
        self, database: Path | str, now_ms: Callable[[], int] = lambda: 0, *, habits: NoticeHabits | None = None,
        mishap: Callable[[], Method | None] = lambda: None,
    ) -> None:  # fmt: skip
        self._now_ms = now_ms
        self._mishap = mishap
        self._script: deque[Method] = deque()
        self._vanished: set[str] = set()
        self._offline_requests = 0
        self._db = sqlite3.connect(database, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what was found may not be on the disk yet
        self._db.executescript(_SCHEMA)
        self._db.executescript(_NOTICE_SCHEMA)
        self.notices = NoticeOutbox(self._db, habits) if habits else None
        # What was in flight when we died never reached the card, and never will: its key is used up.
        for (key,) in self._db.execute("SELECT key FROM charge WHERE status = 'processing' ORDER BY rowid").fetchall():
            self._conclude(key, 0, "interrupted")

    def script(self, methods: Iterable[str]) -> None:
        """Let the next charges, one each, go as these methods say, whatever method they name."""
        self._script.extend(_method(method) for method in methods)

    def charge(self, key: str, minor: int, currency: str, method: str) -> ChargeRecord:
        """Charge once under `key` and return the record; its `delivery` says what the merchant hears of it.

        Raises:
            LedgerError: as `begin`.
        """
        record = self.begin(key, minor, currency, method)
        return self.finish(key) if record.status == "processing" else record

    def begin(self, key: str, minor: int, currency: str, method: str) -> ChargeRecord:
        """Take a charge in: a new one is 'processing' until `finish`; a known one is returned as it is.

        A charge scripted to vanish before it arrives is 'lost' and not recorded at all.

        Raises:
            LedgerError: card data, an unknown method, no amount, a key used for something else, one in flight, or
                nobody there.
        """
        self._refuse_offline()
        refuse_card_numbers(method, currency, "" if re.search("[A-Za-z]", key) else key)
        asked = _method(method)
        if minor <= 0 or len(currency) != 3:
            raise BadAmountError(f"cannot charge {minor} {currency!r}")
        known = self._find(key)
        if known is not None:
            return _repeated(known, minor, currency, method)
        goes = self._goes(key, asked)
        record = ChargeRecord(
            key=key,
            method=method,
            amount=minor,
            currency=currency,
            at_ms=self._now_ms(),
            delivery=_DELIVERIES.get(goes, Delivery.DELIVERED),
        )
        if goes in _VANISHES:
            self._vanished.add(key)
            if goes is Method.OFFLINE:
                self._offline_requests = _OFFLINE_REQUESTS
                self._refuse_offline()
            return msgspec.structs.replace(record, status="lost")
        self._insert(record, goes)
        return record

    def finish(self, key: str) -> ChargeRecord:
        """Move the money of a charge in flight, or decline it. What is finished stays as it is."""
        record = self._known(key)
        if record.status != "processing":
            return record
        (goes,) = self._db.execute("SELECT goes FROM charge WHERE key = ?", (key,)).fetchone()
        return self._conclude(key, *_outcome(Method(goes), record.amount))

    def knows(self, key: str) -> bool:
        """Return whether a charge under this key ever arrived."""
        return self._find(key) is not None

    def query(self, key: str) -> ChargeRecord:
        """Return what became of a charge.

        Raises:
            UnknownChargeError: no such key ever arrived.
            OfflineError: nobody there.
        """
        self._refuse_offline()
        return self._known(key)

    def refund(self, key: str, refund_key: str, minor: int) -> ChargeRecord:
        """Give back `minor` of a charge, once per `refund_key`; return the charge.

        Raises:
            UnknownChargeError, BadAmountError, KeyReusedError
            OverRefundError: more than was captured and not yet refunded.
        """
        record = self._known(key)
        if minor <= 0:
            raise BadAmountError(f"cannot refund {minor}")
        before = self._db.execute("SELECT charge, amount FROM refund WHERE key = ?", (refund_key,)).fetchone()
        if before is not None:
            if tuple(before) != (key, minor):
                raise KeyReusedError(f"refund key {refund_key!r} was used for another refund")
            return record
        if minor > record.captured - record.refunded:
            raise OverRefundError(f"{minor} is more than the {record.captured - record.refunded} left of {key!r}")
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT INTO refund VALUES (?,?,?,?)", (refund_key, key, minor, self._now_ms()))
            self._db.execute("UPDATE charge SET refunded = refunded + ? WHERE key = ?", (minor, key))
            self._tell(f"refund/{refund_key}", "charge.refunded", key)
        return self._known(key)

    def totals(self) -> Totals:
        query = "SELECT count(*), coalesce(sum(captured), 0), coalesce(sum(refunded), 0) FROM charge WHERE captured > 0"
        charges, captured, refunded = self._db.execute(query).fetchone()
        return Totals(charges=charges, captured_minor=captured, refunded_minor=refunded)

    def settlement(self) -> list[ChargeRecord]:
        """Return every charge that moved money, oldest first."""
        rows = self._db.execute("SELECT * FROM charge WHERE captured > 0 ORDER BY rowid")
        return [_record(dict(row)) for row in rows]

    def settlement_file(self) -> str:
        """Return the settlement file: a line per charge, amounts in minor units, separated by semicolons."""
        lines = [f"# {LABEL}", "reference;key;captured;refunded;currency;at_ms"]
        lines += [f"{r.reference};{r.key};{r.captured};{r.refunded};{r.currency};{r.at_ms}" for r in self.settlement()]
        return "\n".join(lines) + "\n"

    def close(self) -> None:
        self._db.close()

    def _goes(self, key: str, asked: Method) -> Method:
        """Return how a new charge goes; what vanished once gets through."""
        if asked.startswith("test_"):
            goes = asked
        else:
            goes = self._script.popleft() if self._script else self._mishap() or asked
        return Method.OK if goes in _VANISHES and key in self._vanished else goes

    def _refuse_offline(self) -> None:
        if self._offline_requests > 0:
            self._offline_requests -= 1
            raise OfflineError("the TEST acquirer is offline, as scripted")

    def _conclude(self, key: str, captured: int, reason: str) -> ChargeRecord:
        """Write the outcome of a charge and, in the same transaction, that the merchant is to be told."""
        status = "captured" if captured else "declined"
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "UPDATE charge SET status = ?, captured = ?, reason = ?, reference = printf('TEST-%06d', rowid)"
                " WHERE key = ? AND status = 'processing'",
                (status, captured, reason, key),
            )
            self._tell(f"charge/{key}", f"charge.{status}", key)
        return self._known(key)

    def _tell(self, notice: str, kind: str, key: str) -> None:
        if self.notices is not None:
            self.notices.add(notice, kind, key, self._now_ms())

    def _known(self, key: str) -> ChargeRecord:
        found = self._find(key)
        if found is None:
            raise UnknownChargeError(f"no charge under key {key!r}")
        return found

    def _find(self, key: str) -> ChargeRecord | None:
        row = self._db.execute("SELECT * FROM charge WHERE key = ?", (key,)).fetchone()
        return None if row is None else _record(dict(row))

    def _insert(self, record: ChargeRecord, goes: Method) -> None:
        values = {**msgspec.structs.asdict(record), "goes": goes}
        self._db.execute(
            "INSERT INTO charge VALUES (:key, :method, :amount, :currency, :status, :captured, :refunded,"
            " :reference, :reason, :at_ms, :delivery, :goes)",
            values,
        )


_DELIVERIES = {
    Method.TIMEOUT_BEFORE: Delivery.LOST,
    Method.TIMEOUT_AFTER: Delivery.LOST,
    Method.ERROR_500: Delivery.ERROR,
    Method.SLOW: Delivery.SLOW,
}


def looks_like_card_number(text: str) -> bool:
    """Return whether 13 to 19 digits in `text` pass the check of ISO/IEC 7812-1, annex B (Luhn)."""
    return any(_passes_luhn(re.sub(r"\D", "", found)) for found in _CARD_NUMBER.findall(text))


def _passes_luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value // 10 + value % 10 for value in doubled) % 10 == 0


def refuse_card_numbers(*texts: str) -> None:
    """Raise CardNumberError if any of these texts holds what may be a card number."""
    if any(looks_like_card_number(text) for text in texts):
        raise CardNumberError("this is a TEST acquirer; never send card data to it")


def _method(text: str) -> Method:
    try:
        return Method(text)
    except ValueError:
        raise UnknownMethodError(f"method {text[:40]!r} is none of {', '.join(Method)}") from None


def _repeated(known: ChargeRecord, minor: int, currency: str, method: str) -> ChargeRecord:
    if (known.amount, known.currency, known.method) != (minor, currency, method):
        raise KeyReusedError(f"key {known.key!r} was used with another body")
    if known.status == "processing":
        raise InFlightError(f"the charge under key {known.key!r} is being processed")
    if known.delivery is Delivery.ERROR:
        return known
    return msgspec.structs.replace(known, delivery=Delivery.DELIVERED)


def _outcome(goes: Method, amount: int) -> tuple[int, str]:
    """Return what is captured, and the reason where it is not everything."""
    match goes:
        case Method.DECLINED:
            return 0, "do-not-honour"
        case Method.ERROR_500:
            return 0, "acquirer-error"
        case Method.INSUFFICIENT:
            return amount // 2, "insufficient-funds"
    return amount, ""


def _record(row: dict[str, Any]) -> ChargeRecord:
    return msgspec.convert(row, ChargeRecord)
