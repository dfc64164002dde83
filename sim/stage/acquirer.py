"""The test acquirer on the stage: its ledger on a disk of its own, and the line to it, which can fail either way."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from cart_protocol.money import Money
from edge_agent.ports import Charge, ChargeStatus
from sim.acquirer_ledger import ChargeRecord, Delivery, LedgerError, Method, UnknownChargeError
from sim.acquirer_notices import Notice, NoticeHabits
from sim.disk import Platter
from sim.stage.machine import GoneError, Life, Machine, Main
from sim.stage.scene import Scenery
from sim.stage.witness import WitnessedLedger

_Wish = Callable[[], Coroutine[Any, Any, ChargeRecord]]
_TAKES_S = 0.05
_LOOK_S = 0.25
_BAD_REQUEST = 400
_LOST_S = 3.0
"""Longer than the store waits."""


class StagedAcquirer(Machine):
    """A process with a ledger; `edge_agent.ports.Acquirer` for the store, without HTTP."""

    def __init__(self, folder: Path, platter: Platter, scenery: Scenery) -> None:
        super().__init__("acquirer", scenery.loop, platter, dice=scenery.dice("acquirer/death"), trace=scenery.trace)
        self.merchant: Callable[[Notice], Coroutine[Any, Any, bool]] = _nobody
        """Takes a notice, or does not."""
        self.ledger: WitnessedLedger | None = None
        self.scripted: deque[tuple[Method, Callable[[], None]]] = deque()
        """How the next new charges by card go, and who is told when one went so."""
        self.offline = False
        self._path = folder / "acquirer.db"
        self._scenery = scenery

    # ── the machine ──────────────────────────────────────────────────────────────────────────────────────────────

    def _build(self, life: Life) -> Main:
        habits = NoticeHabits(self._scenery.dice(f"notices {self.deaths}"))
        self.ledger = WitnessedLedger(self._path, self.clock.wall_ms, self._scenery.witness, habits)
        return self._carry_notices(life, self.ledger)

    async def _carry_notices(self, life: Life, ledger: WitnessedLedger) -> None:
        """Tell the merchant what was concluded until it takes it, as sim.acquirer_courier does over HTTP."""
        notices = ledger.notices
        assert notices is not None  # noqa: S101 - it was given habits
        while True:
            for notice in notices.due(self.clock.wall_ms()):
                taken = await self.merchant(notice)
                if not life.alive:
                    return
                if taken:
                    notices.delivered(notice)
                else:
                    notices.failed(notice, self.clock.wall_ms())
            await asyncio.sleep(_LOOK_S)

    def _stop(self) -> None:
        if self.life and self.life.main:
            self.life.main.cancel()

    def _silence(self) -> None:
        """Requests race against the life that is over."""

    def _release(self) -> None:
        if self.ledger:
            self.ledger.close()

    # ── its line, as the store's adapter sees it (edge_agent.ports.Acquirer) ─────────────────────────────────────

    async def charge(self, key: str, amount: Money, method: str) -> Charge:
        try:
            record = await self._asked(lambda: self._charge(key, amount, method))
        except LedgerError as error:
            refused = ChargeStatus.REFUSED if error.status == _BAD_REQUEST else ChargeStatus.UNKNOWN
            return Charge(status=refused, amount=Money(0, amount.currency), reason=error.code)
        except (GoneError, OSError) as error:
            return _unknown(amount, f"no answer: {error}")
        if record.delivery in {Delivery.LOST, Delivery.ERROR}:
            await asyncio.sleep(_LOST_S)
            return _unknown(amount, record.delivery.value)
        return _answered(record)

    async def query(self, key: str, amount: Money) -> Charge:
        try:
            return _answered(await self._asked(lambda: self._query(key)))
        except UnknownChargeError:
            return Charge(status=ChargeStatus.NOT_FOUND, amount=Money(0, amount.currency))
        except LedgerError as error:
            return _unknown(amount, error.code)
        except (GoneError, OSError) as error:
            return _unknown(amount, f"no answer: {error}")

    async def _asked(self, wish: _Wish) -> ChargeRecord:
        if self.offline:
            raise ConnectionRefusedError("the line is down")
        return await self.serve(wish)

    async def _charge(self, key: str, amount: Money, method: str) -> ChargeRecord:
        ledger = self._open_ledger()
        if self.scripted and not method.startswith("test_") and not ledger.knows(key):
            goes, told = self.scripted.popleft()
            ledger.script([goes])
            told()
        record = ledger.begin(key, amount.minor, amount.currency, method)
        if record.status == "processing":
            await asyncio.sleep(_TAKES_S)
            record = ledger.finish(key)
        return record

    async def _query(self, key: str) -> ChargeRecord:
        await asyncio.sleep(_TAKES_S / 2)
        return self._open_ledger().query(key)

    def _open_ledger(self) -> WitnessedLedger:
        if self.ledger is None:
            raise GoneError(self.name)
        return self.ledger


async def _nobody(_: Notice) -> bool:
    return False


def _unknown(amount: Money, reason: str) -> Charge:
    return Charge(status=ChargeStatus.UNKNOWN, amount=Money(0, amount.currency), reason=reason)


def _answered(record: ChargeRecord) -> Charge:
    known = {"captured": ChargeStatus.CAPTURED, "declined": ChargeStatus.DECLINED}
    return Charge(
        status=known.get(record.status, ChargeStatus.UNKNOWN),
        amount=Money(record.captured, record.currency),
        reference=record.reference,
        reason=record.reason,
    )
