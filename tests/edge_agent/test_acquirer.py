"""The adapter against the real test acquirer in its own process, and the acquirer's ledger by itself."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import httpx
import pytest

from cart_protocol.money import Money
from edge_agent.devices.acquirer_http import HttpAcquirer, open_acquirer
from edge_agent.ports import ChargeStatus, DeviceError
from sim.acquirer_ledger import (
    BadAmountError,
    CardNumberError,
    Delivery,
    InFlightError,
    KeyReusedError,
    Ledger,
    Method,
    OfflineError,
    OverRefundError,
    UnknownChargeError,
    UnknownMethodError,
    looks_like_card_number,
)
from sim.acquirer_mishaps import FAULTS, Mishaps

API_KEY = "key-of-the-demo"
PRICE = Money(1_999, "EUR")
PROGRAM = """
import asyncio, sys
from sim.acquirer import serve
asyncio.run(serve("127.0.0.1", int(sys.argv[1]), sys.argv[2], sys.argv[3]))
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Process:
    """The acquirer as a program."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self._child = subprocess.Popen([sys.executable, "-c", PROGRAM, str(self.port), str(self._database), API_KEY])
        for _ in range(300):
            try:
                httpx.get(self.address, timeout=1)
            except httpx.TransportError:
                assert self.running
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the acquirer did not come up")

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()

    def stop(self) -> int:
        self._child.send_signal(signal.SIGTERM)
        return self._child.wait(20)

    @property
    def running(self) -> bool:
        return self._child.poll() is None


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    made = Process(tmp_path_factory.mktemp("acquirer") / "ledger.db")
    yield made
    if made.running:
        made.stop()


@pytest.fixture
async def acquirer(process: Process) -> AsyncIterator[HttpAcquirer]:
    made = open_acquirer(f"test:{process.address}", API_KEY, timeout_s=1.5)
    yield made
    await made.close()


@pytest.fixture
async def raw(process: Process) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=process.address, headers={"X-Api-Key": API_KEY}) as client:
        yield client


@pytest.fixture
def key() -> str:
    return os.urandom(16).hex()


async def captured_so_far(raw: httpx.AsyncClient) -> int:
    return int((await raw.get("/totals")).json()["captured_minor"])


# ── over HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_charge_is_captured_and_found_again(acquirer: HttpAcquirer, key: str) -> None:
    charge = await acquirer.charge(key, PRICE, "card")
    assert (charge.status, charge.amount) == (ChargeStatus.CAPTURED, PRICE)
    assert charge.reference.startswith("TEST-")
    assert await acquirer.query(key, PRICE) == charge


async def test_the_same_charge_sent_five_times_at_once_takes_the_money_once(
    acquirer: HttpAcquirer, raw: httpx.AsyncClient, key: str
) -> None:
    before = await captured_so_far(raw)
    charges = await asyncio.gather(*(acquirer.charge(key, PRICE, "wallet") for _ in range(5)))
    assert {charge.amount for charge in charges} == {PRICE}
    assert await captured_so_far(raw) - before == PRICE.minor


async def test_a_decline_takes_nothing_and_says_why(acquirer: HttpAcquirer, key: str) -> None:
    charge = await acquirer.charge(key, PRICE, "test_declined")
    assert (charge.status, charge.amount.minor, charge.reason) == (ChargeStatus.DECLINED, 0, "do-not-honour")


async def test_a_partial_approval_returns_what_was_really_captured(acquirer: HttpAcquirer, key: str) -> None:
    charge = await acquirer.charge(key, PRICE, "test_insufficient")
    assert (charge.status, charge.amount) == (ChargeStatus.CAPTURED, Money(999, "EUR"))


async def test_a_lost_answer_is_unknown_and_the_query_tells_that_it_was_charged(
    acquirer: HttpAcquirer, raw: httpx.AsyncClient, key: str
) -> None:
    before = await captured_so_far(raw)
    assert (await acquirer.charge(key, PRICE, "test_timeout_after")).status is ChargeStatus.UNKNOWN
    found = await acquirer.query(key, PRICE)
    assert (found.status, found.amount) == (ChargeStatus.CAPTURED, PRICE)
    assert await captured_so_far(raw) - before == PRICE.minor


async def test_a_request_lost_on_the_way_is_unknown_until_the_query_says_not_found(
    acquirer: HttpAcquirer, raw: httpx.AsyncClient, key: str
) -> None:
    before = await captured_so_far(raw)
    assert (await acquirer.charge(key, PRICE, "test_timeout_before")).status is ChargeStatus.UNKNOWN
    assert (await acquirer.query(key, PRICE)).status is ChargeStatus.NOT_FOUND
    assert await captured_so_far(raw) == before


async def test_a_server_error_is_unknown_and_the_query_clears_it(acquirer: HttpAcquirer, key: str) -> None:
    for _ in range(2):
        assert (await acquirer.charge(key, PRICE, "test_error_500")).status is ChargeStatus.UNKNOWN
    found = await acquirer.query(key, PRICE)
    assert (found.status, found.reason) == (ChargeStatus.DECLINED, "acquirer-error")


async def test_a_charge_in_flight_answers_409_which_is_unknown_and_is_charged_once(
    acquirer: HttpAcquirer, raw: httpx.AsyncClient, key: str
) -> None:
    body = {"amount": 500, "currency": "EUR", "method": "test_slow"}
    first = asyncio.create_task(raw.post("/charges", json=body, headers={"Idempotency-Key": key}))
    while (await acquirer.query(key, Money(500, "EUR"))).status is ChargeStatus.NOT_FOUND:
        pass  # not arrived yet
    again = await acquirer.charge(key, Money(500, "EUR"), "test_slow")
    assert (again.status, again.reason) == (ChargeStatus.UNKNOWN, "http-409")
    assert (await first).json()["captured"] == 500


async def test_another_body_under_a_used_key_is_refused_and_leaves_the_question_open(
    acquirer: HttpAcquirer, key: str
) -> None:
    await acquirer.charge(key, PRICE, "card")
    other = await acquirer.charge(key, Money(1, "EUR"), "card")
    assert (other.status, other.reason) == (ChargeStatus.UNKNOWN, "http-422")
    assert (await acquirer.query(key, PRICE)).amount == PRICE


async def test_a_request_that_was_turned_away_is_no_word_about_an_earlier_one(acquirer: HttpAcquirer, key: str) -> None:
    charge = await acquirer.charge(key, PRICE, "cowrie-shells")
    assert (charge.status, charge.reason) == (ChargeStatus.REFUSED, "unknown-method")


async def test_while_the_acquirer_is_offline_every_question_stays_open(acquirer: HttpAcquirer, key: str) -> None:
    first = await acquirer.charge(key, PRICE, "test_offline")
    assert (first.status, first.reason) == (ChargeStatus.UNKNOWN, "http-503")
    assert (await acquirer.query(key, PRICE)).status is ChargeStatus.UNKNOWN, "not 'not found': nobody looked"
    assert (await acquirer.charge(key, PRICE, "test_offline")).status is ChargeStatus.UNKNOWN
    assert (await acquirer.query(key, PRICE)).status is ChargeStatus.NOT_FOUND
    assert (await acquirer.charge(key, PRICE, "test_offline")).status is ChargeStatus.CAPTURED


async def test_a_wrong_api_key_is_refused_everywhere(process: Process, key: str) -> None:
    stranger = open_acquirer(f"test:{process.address}", "guessed", timeout_s=1.5)
    assert (await stranger.charge(key, PRICE, "card")).reason == "http-401"
    assert (await stranger.query(key, PRICE)).status is ChargeStatus.UNKNOWN
    await stranger.close()


async def test_nobody_there_is_unknown_since_an_earlier_request_may_have_arrived(key: str) -> None:
    nobody = open_acquirer(f"test:http://127.0.0.1:{free_port()}", API_KEY, timeout_s=1.5)
    assert (await nobody.charge(key, PRICE, "card")).reason == "connect-error"
    assert (await nobody.query(key, PRICE)).status is ChargeStatus.UNKNOWN
    await nobody.close()


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", b"HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n", b"\x00"],
)
async def test_an_answer_of_something_else_proves_nothing(answer: bytes, key: str) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        proxy = open_acquirer(f"test:http://127.0.0.1:{port}", API_KEY, timeout_s=1.5)
        assert (await proxy.charge(key, PRICE, "card")).status is ChargeStatus.UNKNOWN
        assert (await proxy.query(key, PRICE)).status is ChargeStatus.UNKNOWN
        await proxy.close()


async def test_the_next_ordinary_charge_can_be_scripted_to_fail(
    acquirer: HttpAcquirer, raw: httpx.AsyncClient, key: str
) -> None:
    await raw.post("/script", json={"methods": ["test_declined"]})
    assert (await acquirer.charge(key, PRICE, "card")).status is ChargeStatus.DECLINED
    assert (await acquirer.charge(f"{key}-2", PRICE, "card")).status is ChargeStatus.CAPTURED


async def test_everything_says_test_and_card_data_is_refused(raw: httpx.AsyncClient, key: str) -> None:
    good = {"amount": 100, "currency": "EUR", "method": "card"}
    headers = {"Idempotency-Key": key}
    with_pan = await raw.post("/charges", json=good | {"method": "4111 1111 1111 1111"}, headers=headers)
    assert (with_pan.status_code, with_pan.json()["code"]) == (400, "looks-like-card-number")
    assert (await raw.post("/charges", json=good | {"pan": "x"}, headers=headers)).status_code == 400
    assert (await raw.post("/charges", json=good)).status_code == 400
    taken = await raw.post("/charges", json=good, headers=headers)
    assert taken.json()["test"] == (await raw.get("/totals")).json()["test"] == "TEST - no real money"


async def test_the_settlement_file_adds_up_to_the_totals(raw: httpx.AsyncClient, key: str) -> None:
    await raw.post(
        "/charges", json={"amount": 700, "currency": "EUR", "method": "card"}, headers={"Idempotency-Key": key}
    )
    given_back = await raw.post(f"/charges/{key}/refund", json={"amount": 300}, headers={"Idempotency-Key": f"{key}-r"})
    assert given_back.json()["refunded"] == 300
    too_much = await raw.post(f"/charges/{key}/refund", json={"amount": 401}, headers={"Idempotency-Key": f"{key}-s"})
    assert (too_much.status_code, too_much.json()["code"]) == (422, "over-refund")
    label, columns, *rows = (await raw.get("/settlement")).text.splitlines()
    assert label == "# TEST - no real money"
    cells = [dict(zip(columns.split(";"), row.split(";"), strict=True)) for row in rows]
    totals = (await raw.get("/totals")).json()
    assert sum(int(cell["captured"]) for cell in cells) == totals["captured_minor"]
    assert sum(int(cell["refunded"]) for cell in cells) == totals["refunded_minor"]


@pytest.mark.processes
async def test_killed_and_started_again_it_still_knows_every_charge(tmp_path: Path, key: str) -> None:
    mine = Process(tmp_path / "ledger.db")
    acquirer = open_acquirer(f"test:{mine.address}", API_KEY, timeout_s=1.5)
    charge = await acquirer.charge(key, PRICE, "card")
    mine.kill()
    assert (await acquirer.query(key, PRICE)).status is ChargeStatus.UNKNOWN
    mine.start()
    assert await acquirer.charge(key, PRICE, "card") == charge
    await acquirer.close()
    assert mine.stop() in {0, -signal.SIGTERM}


def test_another_acquirer_is_refused_with_the_remedy() -> None:
    with pytest.raises(DeviceError, match="write 'test:http://HOST:PORT'"):
        open_acquirer("bank:https://bank.example", API_KEY, 1)


# ── the ledger by itself, as the stage uses it ───────────────────────────────────────────────────────────────────


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    made = Ledger(":memory:", lambda: 42)
    yield made
    made.close()


def test_the_ledger_charges_a_key_once(ledger: Ledger) -> None:
    first = ledger.charge("k", 500, "EUR", "card")
    assert (first.captured, first.at_ms, first.delivery) == (500, 42, Delivery.DELIVERED)
    assert ledger.charge("k", 500, "EUR", "card") == first
    assert ledger.totals().captured_minor == 500


@pytest.mark.parametrize(
    ("minor", "currency", "method"), [(501, "EUR", "card"), (500, "KRW", "card"), (500, "EUR", "wallet")]
)
def test_a_key_is_one_charge_for_life(ledger: Ledger, minor: int, currency: str, method: str) -> None:
    ledger.charge("k", 500, "EUR", "card")
    with pytest.raises(KeyReusedError):
        ledger.charge("k", minor, currency, method)


def test_a_lost_answer_was_charged_and_a_lost_request_was_not(ledger: Ledger) -> None:
    assert ledger.charge("after", 500, "EUR", "test_timeout_after").delivery is Delivery.LOST
    assert ledger.query("after").captured == 500
    assert ledger.charge("before", 500, "EUR", "test_timeout_before").delivery is Delivery.LOST
    with pytest.raises(UnknownChargeError):
        ledger.query("before")
    assert ledger.totals().captured_minor == 500
    assert ledger.charge("before", 500, "EUR", "test_timeout_before").captured == 500, "the same request gets through"


def test_a_repeated_request_gets_the_answer_that_was_lost(ledger: Ledger) -> None:
    ledger.charge("k", 500, "EUR", "test_timeout_after")
    assert ledger.charge("k", 500, "EUR", "test_timeout_after").delivery is Delivery.DELIVERED


def test_two_at_once_is_in_flight(ledger: Ledger) -> None:
    ledger.begin("k", 500, "EUR", "card")
    with pytest.raises(InFlightError):
        ledger.begin("k", 500, "EUR", "card")
    assert ledger.finish("k").captured == 500
    assert ledger.finish("k").captured == 500


def test_a_charge_in_flight_when_the_acquirer_died_took_nothing(tmp_path: Path) -> None:
    before = Ledger(tmp_path / "l.db")
    before.begin("k", 500, "EUR", "card")
    before.close()
    after = Ledger(tmp_path / "l.db")
    assert (after.query("k").status, after.query("k").captured) == ("declined", 0)
    late = after.charge("k", 500, "EUR", "card")
    assert (late.status, late.reason) == ("declined", "interrupted"), "the same request arriving late charges nothing"
    assert after.finish("k").captured == 0
    assert after.totals().captured_minor == 0
    after.close()


def test_what_goes_wrong_is_decided_by_the_seed_and_every_fault_comes(tmp_path: Path) -> None:
    def a_day(name: str, seed: int) -> tuple[list[str], dict[Method, int]]:
        mishaps = Mishaps(Random(seed), 0.5)
        ledger, heard = Ledger(tmp_path / name, mishap=mishaps), []
        for number in range(120):
            try:
                record = ledger.charge(f"k{number}", 500, "EUR", "card")
            except OfflineError:
                heard.append("offline")
            else:
                heard.append(f"{record.status} {record.captured} {record.delivery}")
        ledger.close()
        return heard, dict(mishaps.drawn)

    first = a_day("first.db", 5)
    assert first == a_day("again.db", 5)
    assert first != a_day("other.db", 6)
    assert set(first[1]) == set(FAULTS)
    assert {"captured 500 delivered", "captured 250 delivered", "captured 500 lost", "captured 500 slow", "lost 0 lost",
            "declined 0 delivered", "declined 0 error", "offline"} == set(first[0])  # fmt: skip


def test_no_more_is_given_back_than_was_taken(ledger: Ledger) -> None:
    ledger.charge("k", 500, "EUR", "test_insufficient")
    assert ledger.refund("k", "r1", 200).refunded == 200
    assert ledger.refund("k", "r1", 200).refunded == 200
    with pytest.raises(OverRefundError):
        ledger.refund("k", "r2", 51)
    with pytest.raises(KeyReusedError):
        ledger.refund("k", "r1", 50)
    with pytest.raises(UnknownChargeError):
        ledger.refund("nobody", "r3", 1)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("k", 0, "EUR", "card"), BadAmountError),
        (("k", -5, "EUR", "card"), BadAmountError),
        (("k", 5, "EURO", "card"), BadAmountError),
        (("k", 5, "EUR", "cowrie"), UnknownMethodError),
        (("k", 5, "EUR", "4111-1111-1111-1111"), CardNumberError),
        (("4111111111111111", 5, "EUR", "card"), CardNumberError),
    ],
)
def test_what_cannot_be_charged_is_refused_by_name(
    ledger: Ledger, arguments: tuple[str, int, str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        ledger.charge(*arguments)


@pytest.mark.parametrize(
    "text", ["4111111111111111", "4111 1111 1111 1111", "pay 378282246310005 please", "5555-5555-5555-4444"]
)
def test_card_numbers_are_recognised(text: str) -> None:
    assert looks_like_card_number(text)


@pytest.mark.parametrize("text", ["4111111111111112", "123456789012", "0199c82cc0007a11b2c3d4e5f6071829", "card"])
def test_other_numbers_are_not(text: str) -> None:
    assert not looks_like_card_number(text)
