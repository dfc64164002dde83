import json
import subprocess
import sys
from typing import Any

import pytest

from cart_protocol.host.logs import REDACTED, redact_card_numbers, satisfies_luhn

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
