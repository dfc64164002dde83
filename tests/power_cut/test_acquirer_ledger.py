"""The TEST acquirer's ledger after a power cut at any write: what it said it took it took, and no key takes twice."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import msgspec
import pytest

from sim.acquirer_ledger import ChargeRecord, Ledger
from sim.acquirer_notices import NoticeHabits
from tests.power_cut.crash_states import Enumeration, Report

_METHODS = ("card", "card", "card", "test_declined", "test_insufficient")


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger was asked, and (later) what it answered."""

    key: str
    asked: str
    """'charge' or a refund's key."""
    amount: int
    method: str = ""
    answer: ChargeRecord | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    charges: dict[str, ChargeRecord]
    refunds: dict[str, tuple[str, int]]
    notices: frozenset[str]
    repeated: dict[str, ChargeRecord]
    """What every known key answers when the merchant asks for the same charge again."""


class LedgerStory:
    """A merchant charges, refunds and asks. `synchronous` is a wrong setting to try."""

    def __init__(self, requests: int, synchronous: str = "") -> None:
        self._requests, self._synchronous = requests, synchronous

    def work(self, folder: Path, promise: Callable[[object], None]) -> None:
        dice, ledger, taken = Random(2), self._open(folder), list[ChargeRecord]()
        for number in range(self._requests):
            if number % 20 == 19:
                ledger.close()
                ledger = self._open(folder)
            if taken and dice.random() < 0.3:
                _refund(ledger, taken.pop(dice.randrange(len(taken))), f"refund-{number}", promise)
                continue
            asked = Promise(
                key=f"key-{number}", asked="charge", amount=dice.randint(100, 9_000), method=dice.choice(_METHODS)
            )
            promise(asked)
            ledger.begin(asked.key, asked.amount, "EUR", asked.method)
            answer = ledger.finish(asked.key)
            promise(msgspec.structs.replace(asked, answer=answer))
            if answer.captured:
                taken.append(answer)

    def _open(self, folder: Path) -> Ledger:
        ledger = Ledger(folder / "acquirer.db", habits=NoticeHabits(Random(4)))
        ledger._db.execute("PRAGMA wal_autocheckpoint = 16")
        if self._synchronous:
            ledger._db.execute(f"PRAGMA synchronous = {self._synchronous}")
        return ledger

    def find(self, folder: Path) -> Found:
        ledger = Ledger(folder / "acquirer.db", habits=NoticeHabits(Random(5)))
        try:
            database: sqlite3.Connection = ledger._db
            assert tuple(database.execute("PRAGMA integrity_check").fetchone()) == ("ok",)
            charges = {key: ledger.query(key) for (key,) in database.execute("SELECT key FROM charge").fetchall()}
            refunds = database.execute("SELECT key, charge, amount FROM refund").fetchall()
            return Found(
                charges=charges,
                refunds={key: (charge, amount) for key, charge, amount in refunds},
                notices=frozenset(notice for (notice,) in database.execute("SELECT notice FROM notice")),
                repeated={
                    key: ledger.charge(key, known.amount, known.currency, known.method)
                    for key, known in charges.items()
                },
            )
        finally:
            ledger.close()

    def go_on(self, folder: Path) -> None:
        ledger = Ledger(folder / "acquirer.db")
        assert ledger.charge("a new key", 5, "EUR", "card").captured == 5
        ledger.close()

    def complaint(self, found: Found, promises: Sequence[Promise]) -> str:  # noqa: PLR0911 - a list of duties
        answered = {(promise.key, promise.asked): promise.answer for promise in promises if promise.answer}
        for (key, asked), answer in answered.items():
            if key not in found.charges:
                return f"{key} is gone"
            if asked != "charge" and asked not in found.refunds:
                return f"{asked} of {key} is gone"
            if found.charges[key].captured != answer.captured:
                return f"{key} took {found.charges[key].captured}, and had said {answer.captured}"
        for key, charge in found.charges.items():
            if charge.status == "processing":
                return f"{key} is in flight, and nobody is flying it"
            if found.repeated[key].captured != charge.captured:
                return f"{key} asked again took {found.repeated[key].captured}, not {charge.captured}"
            if charge.refunded != sum(amount for of, amount in found.refunds.values() if of == key):
                return f"{key} gave back {charge.refunded}, and its refunds say otherwise"
            if f"charge/{key}" not in found.notices:
                return f"the merchant will not be told of {key}"
        strangers = found.charges.keys() - {promise.key for promise in promises}
        strangers |= found.refunds.keys() - {promise.asked for promise in promises}
        if strangers:
            return f"{strangers} were never asked for"
        return "" if all(f"refund/{key}" in found.notices for key in found.refunds) else "a refund will not be told"


def _refund(ledger: Ledger, charge: ChargeRecord, key: str, promise: Callable[[object], None]) -> None:
    asked = Promise(key=charge.key, asked=key, amount=charge.captured // 2 + 1)
    promise(asked)
    promise(msgspec.structs.replace(asked, answer=ledger.refund(charge.key, key, asked.amount)))


def test_an_acquirer_that_loses_power_has_taken_what_it_said_and_nothing_twice(
    folder: Path, share: float, tell: Callable[[str, Report], None]
) -> None:
    report = Enumeration(LedgerStory(80), folder, share * 0.1).run()
    tell("acquirer's ledger", report)
    assert report.complaints == []
    assert report.opened > 100


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_an_acquirer_that_syncs_less_is_caught(
    folder: Path, synchronous: str, tell: Callable[[str, Report], None]
) -> None:
    report = Enumeration(LedgerStory(30, synchronous), folder, 0.05, enough=100).run()
    tell(f"acquirer's ledger with synchronous={synchronous}, as a proof that it would be caught", report)
    assert len(report.complaints) > 10
