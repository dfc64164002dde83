"""The witness is worth what it catches: each of these bugs is put in on purpose, and a day with it must fail."""

import sqlite3
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from cart_firmware.services.sync import Sync
from cart_protocol.exchange import Effect, SendEvents
from cart_protocol.link import outbox
from edge_agent.core import events, payment
from edge_agent.core.folds import Tender
from edge_agent.core.shop import Shop
from edge_agent.ports import Charge
from edge_agent.services.lane import Lane
from edge_agent.services.settle import Settle
from edge_agent.store.projections import PROJECTIONS
from sim.stage.play import Played, command, play, shrink

pytestmark = [pytest.mark.timeout(300)]

_SEEDS = range(1, 40)
_TRIPS = 8


def caught() -> Played:
    """Return the first day that fails."""
    for seed in _SEEDS:
        day = play(seed, _TRIPS)
        if day.failure:
            return day
    pytest.fail("the bug got through every day")


def test_without_a_bug_the_same_days_are_good() -> None:
    assert [day.failure for day in (play(seed, _TRIPS) for seed in list(_SEEDS)[:3])] == [None] * 3


def test_an_outbox_that_forgets_what_the_broker_took_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    proper = Sync._carry_out

    async def carry_out(sync: Sync, effect: Effect) -> None:
        await proper(sync, effect)
        if isinstance(effect, SendEvents):  # "the broker has it": PUBACK instead of the store's word
            await sync._memory.prune(effect.through)

    monkeypatch.setattr(Sync, "_carry_out", carry_out)
    assert "forgets event" in (caught().failure or "")


def test_a_payment_tried_again_under_a_new_key_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: dict[str, Callable[[], int]] = {}

    async def charge(settle: Settle, tender: Tender) -> Charge:
        number = tries.setdefault(tender.tender, count().__next__)()
        key = tender.tender if number == 0 else f"{tender.tender}-again-{number}"
        return await settle._ask(tender, settle._acquirer.charge(key, tender.amount, tender.method))

    async def query(settle: Settle, tender: Tender) -> Charge:
        return await charge(settle, tender)

    monkeypatch.setattr(Settle, "_charge", charge)
    monkeypatch.setattr(Settle, "_query", query)
    day = caught()
    assert "no intent is committed" in (day.failure or "") or "double charge" in (day.failure or "")


def test_a_token_burned_by_being_scanned_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    proper = Lane._look_up

    async def look_up(lane: Lane, code: str) -> None:
        await proper(lane, code)
        admission = lane._happenings._queue[-1].admission  # type: ignore[attr-defined]
        if admission is not None:

            def burn(shop: Shop, now_ms: int) -> list[events.StoreEvent]:
                return payment.burn(shop, admission.token, lane.lane, now_ms=now_ms, new_id=lane._new_id)

            await lane._recorder.submit(burn)

    monkeypatch.setattr(Lane, "_look_up", look_up)
    assert "did not go through" in (caught().failure or "")


def test_a_forgotten_projection_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(PROJECTIONS, events.TenderCaptured)
    assert "paid 0" in (caught().failure or "")


def test_a_failing_day_is_shrunk_to_what_it_takes_and_says_how_to_see_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An outbox that does not sync loses what it recorded, but only when the power fails."""
    proper = outbox._open

    def careless(path: Path, epoch: int) -> sqlite3.Connection:
        database = proper(path, epoch)
        database.execute("PRAGMA synchronous = OFF")
        return database

    monkeypatch.setattr(outbox, "_open", careless)
    failed = caught()
    worst, faults = shrink(failed.seed, _TRIPS)
    assert worst.failure is not None
    assert "BROKEN" in worst.trace[-1]
    assert 1 <= len(faults) <= 3
    assert any("power" in fault.kind for fault in faults)
    numbers = ",".join(str(fault.number) for fault in faults)
    assert command(failed.seed, worst.trips, faults).endswith(f"--trips {worst.trips} --faults {numbers}")
    assert play(failed.seed, worst.trips, [fault.number for fault in faults]).digest == worst.digest
