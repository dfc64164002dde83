import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from cart_protocol.host.logs import MOST_A_MINUTE, REDACTED, FloodGate, redact_card_numbers, satisfies_luhn

CARD = "4111111111111111"  # the test number that every acquirer publishes


def logged(**event: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever one logs
    return dict(redact_card_numbers(None, "info", event))


@pytest.mark.parametrize("digits", [CARD, "5500005555555559", "378282246310005", "79927398713"])
def test_luhn_accepts_published_numbers_and_refuses_them_with_one_digit_changed(digits: str) -> None:
    assert satisfies_luhn(digits)
    assert not satisfies_luhn(digits[:-1] + str((int(digits[-1]) + 1) % 10))


@pytest.mark.parametrize("written", [CARD, "4111 1111 1111 1111", "4111-1111-1111-1111"])
def test_a_card_number_is_cut_out_wherever_it_stands(written: str) -> None:
    assert logged(event=f"paid with {written}.") == {"event": f"paid with {REDACTED}."}
    assert logged(detail={"pan": [written]}) == {"detail": {"pan": [REDACTED]}}
    assert logged(pan=int(CARD), card_number=CARD, context=CARD) == dict.fromkeys(
        ("pan", "card_number", "context"), REDACTED
    )


def test_what_is_no_card_number_stays() -> None:
    harmless = {
        "event": "charged 4111111111111112",  # the check digit is wrong
        "order": "0198f4d24111111111111111aa00bb11",  # a run of digits in a hexadecimal id
        "gtin": CARD,
        "text": CARD,
        "code": CARD,
        "observed_us": int(CARD),
        "amount": 1299,
        "ok": True,
        "nothing": None,
    }
    assert logged(**harmless) == harmless


PROGRAM = f"""
import logging, structlog
from cart_protocol.host.logs import configure
configure(verbose=False)
log = structlog.get_logger("lane")
log.info("paid", card="{CARD}", gtin="{CARD}")
log.debug("hidden")
logging.getLogger("other").warning("library says %s", "{CARD}")
try:
    raise ValueError("{CARD}")
except ValueError:
    log.exception("failed")
"""


@pytest.mark.processes
def test_a_program_logs_one_json_object_a_line_to_stderr_and_no_card_number() -> None:
    ran = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    paid, library, failed = [json.loads(line) for line in ran.stderr.splitlines()]
    assert (paid["event"], paid["level"], paid["logger"]) == ("paid", "info", "lane")
    assert (paid["card"], paid["gtin"]) == (REDACTED, CARD)
    assert library["event"] == f"library says {REDACTED}"
    assert "ValueError" in failed["exception"]
    assert CARD not in failed["exception"]
    assert "timestamp" in failed


class StoppedClock:
    """A clock that moves when it is told."""

    now_us = 0

    def monotonic_us(self) -> int:
        return self.now_us


class Gate:
    """A flood gate, what came through, and what it told."""

    def __init__(self) -> None:
        self.clock = StoppedClock()
        self.told: list[dict[str, Any]] = []
        self._gate = FloodGate(self.clock, self.told.append)  # type: ignore[arg-type]  # it reads one clock only

    def pour(self, count: int, **event: Any) -> int:  # noqa: ANN401  # whatever one logs
        record = logging.makeLogRecord({"name": "ingest", "levelno": logging.WARNING, "msg": event})
        return sum(self._gate.filter(record) for _ in range(count))


def test_a_flood_is_counted_and_told_in_one_line() -> None:
    gate = Gate()
    assert gate.pour(1_000, event="unreadable", cart="c1") == MOST_A_MINUTE
    assert [(said["of"], said["about"], said["lines"]) for said in gate.told] == [("unreadable", "c1", 0)]
    gate.clock.now_us = 61_000_000
    assert gate.pour(1, event="unreadable", cart="c1") == 1
    assert gate.told[-1]["lines"] == 1_000 - MOST_A_MINUTE


def test_one_carts_flood_does_not_silence_another_cart_nor_another_event() -> None:
    gate = Gate()
    gate.pour(1_000, event="unreadable", cart="c1")
    assert gate.pour(3, event="unreadable", cart="c2") == 3
    assert gate.pour(3, event="broker-lost") == 3


def test_what_is_counted_is_bounded_and_nothing_left_out_is_forgotten_unsaid() -> None:
    gate = Gate()
    gate.pour(100, event="unreadable", cart="first")
    for number in range(2_000):
        gate.pour(1, event="unreadable", cart=f"made-up-{number}")
    assert [said["lines"] for said in gate.told] == [0, 100 - MOST_A_MINUTE]


FLOOD = """
import structlog
from cart_protocol.host.logs import configure
configure(verbose=False)
for _ in range(500):
    structlog.get_logger("ingest").warning("unreadable", cart="c1")
"""


def test_a_programs_flood_is_cut_and_said_so() -> None:
    ran = subprocess.run([sys.executable, "-c", FLOOD], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert len(lines) == MOST_A_MINUTE + 1
    assert (lines[-1]["event"], lines[-1]["of"], lines[-1]["logger"]) == ("log-flood", "unreadable", "logs")
