"""The acquirer's notices: whoever sends what, however often and in which order, the effect is at most a question."""

import asyncio
import hashlib
import hmac
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from random import Random

import httpx
import msgspec
import pytest

from cart_protocol.host.clock import HostClock
from cart_protocol.money import Money
from edge_agent.core.views import PhonePhase
from edge_agent.devices.acquirer_notice import SignedNotices
from edge_agent.ports import Charge, ChargeStatus, DeviceError, NoticeRefusedError
from edge_agent.services.heed import Heed
from edge_agent.services.record import Recorder
from edge_agent.services.settle import Settle
from edge_agent.store.journal import SqlJournal
from sim.acquirer_ledger import Ledger
from sim.acquirer_notices import Notice, NoticeHabits, body, signature
from tests.edge_agent.shop_floor import ALICE, Bank, ShopFloor, euros, play
from tests.web_desk import CODE, Shop, Shopper, TestClock, until

SECRET = "secret of the two"  # noqa: S105 - of nobody
NOW_MS = 1_700_000_000_000
BODY = b'{"key":"t1"}'
# printf '%s' '1700000000.{"key":"t1"}' | openssl dgst -sha256 -hmac 'secret of the two'
OPENSSL_SAYS = "74aa601ee8a4e6cddd08db58080d45f3adbe48d1e656706a37503cdd8c70c865"
SIGNED = f"t=1700000000,v1={OPENSSL_SAYS}"


@pytest.fixture
def reader() -> SignedNotices:
    return SignedNotices(SECRET.encode())


def sign(text: bytes, at_s: int = NOW_MS // 1_000, shared: str = SECRET) -> str:
    """As an integrator would, from the description alone."""
    return f"t={at_s},v1={hmac.new(shared.encode(), f'{at_s}.'.encode() + text, hashlib.sha256).hexdigest()}"


# ── who signed, and when ─────────────────────────────────────────────────────────────────────────────────────────


def test_what_openssl_signs_is_read(reader: SignedNotices) -> None:
    assert reader.key_of(SIGNED, BODY, NOW_MS) == "t1"
    assert signature(SECRET, NOW_MS // 1_000, BODY) == SIGNED, "the test acquirer signs the same way"


def test_while_the_secret_is_replaced_either_signature_will_do(reader: SignedNotices) -> None:
    both = f"t=1700000000, v1={'0' * 64}, v0=old, v1={OPENSSL_SAYS}"
    assert reader.key_of(both, BODY, NOW_MS) == "t1"


@pytest.mark.parametrize(
    "header",
    [
        "", "t=1700000000", f"v1={OPENSSL_SAYS}", f"t=1700000001,v1={OPENSSL_SAYS}", f"t=1700000000,v0={OPENSSL_SAYS}",
        f"t=1700000000,t=1700000000,v1={OPENSSL_SAYS}", f"t=-1700000000,v1={OPENSSL_SAYS}",
        f"t=1700000000,v1={OPENSSL_SAYS[:-1]}", f"t=1700000000,v1={OPENSSL_SAYS.upper()}", "t=1700000000,v1=",
        f"t={'9' * 5000},v1={OPENSSL_SAYS}", f"t=\u0661\u0667,v1={OPENSSL_SAYS}", "t=1700000000,v1=ü", ",,==,",
    ],
)  # fmt: skip
def test_a_forged_notice_is_refused(reader: SignedNotices, header: str) -> None:
    with pytest.raises(NoticeRefusedError) as refused:
        reader.key_of(header, BODY, NOW_MS)
    assert refused.value.reason == "forged"


def test_another_body_or_secret_is_forged(reader: SignedNotices) -> None:
    for header, text in ((SIGNED, BODY + b" "), (sign(BODY, shared="another"), BODY)):
        with pytest.raises(NoticeRefusedError, match="forged"):
            reader.key_of(header, text, NOW_MS)


@pytest.mark.parametrize(("later_s", "taken"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_a_copy_of_an_old_notice_is_stale(reader: SignedNotices, later_s: int, taken: bool) -> None:
    if taken:
        assert reader.key_of(SIGNED, BODY, NOW_MS + later_s * 1_000) == "t1"
        return
    with pytest.raises(NoticeRefusedError, match="stale"):
        reader.key_of(SIGNED, BODY, NOW_MS + later_s * 1_000)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"key":1}', b"\xff", b'{"key":"\xff"}', b"[" * 2_000])
def test_a_signed_body_that_names_no_payment_is_unreadable(reader: SignedNotices, text: bytes) -> None:
    with pytest.raises(NoticeRefusedError, match="unreadable"):
        reader.key_of(sign(text), text, NOW_MS)


def test_an_empty_secret_is_refused_with_the_remedy() -> None:
    with pytest.raises(DeviceError, match="put the secret into it"):
        SignedNotices(b"")


# ── at the door ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def heed(tmp_path: Path) -> Iterator[Heed]:
    clock = TestClock()
    with SqlJournal(f"sqlite:///{tmp_path / 'store.db'}") as journal:
        settle = Settle(Recorder(journal, clock), Bank(), str, issue_token=lambda *_: ("", 0), timeout_s=3)
        yield Heed(SignedNotices(SECRET.encode()), settle, clock)


async def test_the_door_takes_signed_notices_and_counts_the_others(tmp_path: Path, heed: Heed) -> None:
    shop = Shop(tmp_path, notice_desk=heed)
    now_s = shop.clock.wall_ms() // 1_000

    async def knock(text: bytes, header: str) -> int:
        async with shop.phone() as http:
            sent = {"Acquirer-Signature": header, "Content-Type": "application/json"}
            return (await http.post("/acquirer/notice", content=text, headers=sent)).status_code

    assert [await knock(BODY, sign(BODY, now_s)) for _ in range(3)] == [200, 200, 200]
    assert await knock(BODY, sign(BODY, now_s, "guessed")) == 403
    assert await knock(BODY, sign(BODY, now_s - 301)) == 403
    assert await knock(b"no", sign(b"no", now_s)) == 422
    long = b'{"key":"t1","more":"' + b"x" * 4_096 + b'"}'
    assert await knock(long, sign(long, now_s)) == 413
    async with shop.phone() as http:
        assert (await http.post("/acquirer/notice", content=BODY)).status_code == 403
        assert (await http.get("/acquirer/notice")).status_code == 405
    assert (heed.heard, dict(heed.refused)) == (3, {"forged": 2, "stale": 1, "unreadable": 1})
    assert heed._settle.notices_unknown == 3, "no payment of ours has that key"


async def test_a_burst_of_notices_leaves_the_phones_their_turn(tmp_path: Path, heed: Heed) -> None:
    shop = Shop(tmp_path, notice_desk=heed)
    sent = {"Acquirer-Signature": sign(BODY, shop.clock.wall_ms() // 1_000), "Sec-Fetch-Site": "none"}
    async with shop.phone() as http:
        taken = [(await http.post("/acquirer/notice", content=BODY, headers=sent)).status_code for _ in range(301)]
        assert taken == [200] * 300 + [429], "and they have their own measure"
        shopper = Shopper(http)
        await shopper.open()
        assert (await shopper.post("/phone/bind", code=CODE)).status_code == 200


async def test_a_store_without_the_secret_takes_none(tmp_path: Path) -> None:
    async with Shop(tmp_path).phone() as http:
        answer = await http.post("/acquirer/notice", content=BODY, headers={"Acquirer-Signature": SIGNED})
    assert answer.status_code == 404


# ── what a notice brings about ───────────────────────────────────────────────────────────────────────────────────


def the_tender(floor: ShopFloor) -> str:
    (tender,) = floor.agent.recorder.shop.tenders.by_id
    return str(tender)


def begin_to_pay(floor: ShopFloor) -> "asyncio.Task[None]":
    return asyncio.create_task(floor.agent.counter.pay(ALICE, "card", "k1"))


def test_a_lost_answer_is_settled_by_the_notice_within_moments(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.frozen()
        floor.bank.mood = "silent-after"
        paying = begin_to_pay(floor)
        await floor.quiet(0.2)
        assert floor.agent.settle.noticed(the_tender(floor))
        began_ms = floor.clock.wall_ms()
        await paying
        assert floor.clock.wall_ms() - began_ms < 100, "the call would have hung for three seconds"
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.PAID
        assert floor.bank.charges == [the_tender(floor)]

    play(tmp_path, story)


def test_an_unknown_payment_is_settled_by_the_notice_and_not_when_the_next_query_is_due(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.frozen()
        floor.bank.mood = "down"
        await begin_to_pay(floor)
        await floor.quiet(200)  # by now there are thirty seconds between queries
        floor.bank.mood = "good"
        floor.bank.captured[the_tender(floor)] = euros("2.40")
        await floor.quiet(4)
        if floor.agent.counter.phone(ALICE).phase is PhonePhase.PAID:
            pytest.fail("the query came by itself: this proves nothing")
        floor.agent.settle.noticed(the_tender(floor))
        await floor.quiet(0.01)
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.PAID

    play(tmp_path, story)


def test_a_notice_about_a_charge_that_the_acquirer_does_not_know_charges_nothing_twice(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.frozen()
        floor.bank.mood = "silent-before"
        paying = begin_to_pay(floor)
        await floor.quiet(0.2)
        floor.bank.mood = "good"
        floor.agent.settle.noticed(the_tender(floor))
        await floor.quiet(0.2)
        assert floor.bank.charges == [the_tender(floor)], "the first request is still under way"
        await paying
        await floor.quiet(5)
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.PAID
        assert floor.bank.total() == euros("2.40")

    play(tmp_path, story)


def test_notices_in_any_number_and_order_leave_one_charge(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        await floor.frozen()
        floor.bank.mood = "silent-after"
        paying = begin_to_pay(floor)
        await floor.quiet(0.2)
        noticed = [floor.agent.settle.noticed(key) for key in [the_tender(floor), "somebody-else's", ""] * 50]
        assert noticed == [True, False, False] * 50
        await paying
        await floor.quiet(5)
        before = len(floor.agent.recorder.shop.tenders.by_id), floor.agent.recorder.commits
        assert not any(floor.agent.settle.noticed(the_tender(floor)) for _ in range(50)), "it has its answer"
        await floor.quiet(5)
        assert (len(floor.agent.recorder.shop.tenders.by_id), floor.agent.recorder.commits) == before
        assert floor.agent.settle.notices_unknown == 100
        assert floor.bank.total() == euros("2.40")

    play(tmp_path, story)


class ThoughtfulBank(Bank):
    """Takes a second over each question, and answers what was so when it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = 0
        self.concluded = False

    async def query(self, key: str, amount: Money) -> Charge:
        self.queries += 1
        concluded = self.concluded
        await asyncio.sleep(1)
        unknown = Charge(status=ChargeStatus.UNKNOWN, amount=amount, reason="status-processing")
        return await super().query(key, amount) if concluded else unknown


def test_a_notice_that_comes_while_the_question_is_under_way_is_not_lost(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        bank = floor.bank = ThoughtfulBank()
        await floor.restart()
        await floor.frozen()
        bank.mood = "silent-after"
        paying = begin_to_pay(floor)
        await floor.quiet(0.2)
        floor.agent.settle.noticed(the_tender(floor))
        await floor.quiet(0.5)
        bank.concluded = True
        floor.agent.settle.noticed(the_tender(floor))
        await floor.quiet(1.6)
        assert bank.queries == 2, "asked again as soon as the first answer was there"
        await paying
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.PAID

    play(tmp_path, story)


class ClosedBank(Bank):
    """Loses the first request, which arrives late after all; meanwhile somebody revoked our API key."""

    def __init__(self) -> None:
        super().__init__()
        self.locked = True

    async def charge(self, key: str, amount: Money, method: str) -> Charge:
        if self.charges and self.locked:
            self.charges.append(key)
            return Charge(status=ChargeStatus.REFUSED, amount=Money(0, amount.currency), reason="http-401")
        return await super().charge(key, amount, method)


def test_a_repeat_that_is_turned_away_is_no_word_about_the_first_request(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        bank = floor.bank = ClosedBank()
        await floor.restart()
        await floor.frozen()
        bank.mood = "silent-before"
        await begin_to_pay(floor)
        await floor.quiet(10)
        assert len(bank.charges) > 1
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.PAYING, "no second payment may begin"
        bank.captured[the_tender(floor)] = euros("2.40")  # the first request, late
        await floor.quiet(60)
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.PAID
        assert set(bank.charges) == {the_tender(floor)}

    play(tmp_path, story)


def test_a_first_request_that_is_turned_away_moved_nothing(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        bank = floor.bank = ClosedBank()
        bank.charges.append("an earlier one")
        await floor.restart()
        await floor.frozen()
        paying = begin_to_pay(floor)
        await floor.quiet(1)
        assert floor.agent.counter.phone(ALICE).phase is PhonePhase.TO_PAY
        assert isinstance(paying.exception(), Exception)

    play(tmp_path, story)


# ── what the test acquirer has to tell ───────────────────────────────────────────────────────────────────────────


class Now:
    def __init__(self) -> None:
        self.ms = NOW_MS

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def open_ledger(tmp_path: Path, now: Now) -> Iterator[Callable[..., Ledger]]:
    opened: list[Ledger] = []

    def open_it(seed: int = 1, **habits: float) -> Ledger:
        made = Ledger(tmp_path / "ledger.db", now, habits=NoticeHabits(Random(seed), **habits))  # type: ignore[arg-type]
        opened.append(made)
        return made

    yield open_it
    for ledger in opened:
        ledger.close()


def due(ledger: Ledger, now_ms: int) -> list[Notice]:
    assert ledger.notices is not None
    return ledger.notices.due(now_ms)


def test_whatever_was_concluded_is_told(open_ledger: Callable[..., Ledger], now: Now) -> None:
    ledger = open_ledger(repeated=0, late=0)
    ledger.charge("a", 500, "EUR", "card")
    ledger.charge("b", 500, "EUR", "test_declined")
    ledger.charge("c", 500, "EUR", "test_timeout_after")
    ledger.charge("d", 500, "EUR", "test_timeout_before")
    ledger.charge("a", 500, "EUR", "card")
    ledger.refund("a", "r1", 200)
    ledger.refund("a", "r1", 200)
    told = [(notice.kind, notice.key) for notice in due(ledger, now.ms)]
    assert told == [
        ("charge.captured", "a"), ("charge.declined", "b"), ("charge.captured", "c"), ("charge.refunded", "a")
    ]  # fmt: skip


def test_notices_come_twice_late_and_out_of_order_by_seed(open_ledger: Callable[..., Ledger], now: Now) -> None:
    ledger = open_ledger(3)
    for number in range(40):
        ledger.charge(f"k{number:02}", 500, "EUR", "card")
    assert 0 < len(due(ledger, now.ms)) < 40, "some are late"
    told = [notice.key for notice in due(ledger, now.ms + 5_000)]
    assert set(told) == {f"k{number:02}" for number in range(40)}
    assert len(told) > 40, "some come twice"
    assert told != sorted(told), "some are overtaken"


def test_a_notice_goes_when_it_was_taken_and_survives_a_restart_until_then(
    open_ledger: Callable[..., Ledger], now: Now
) -> None:
    ledger = open_ledger(repeated=0, late=0)
    ledger.charge("a", 500, "EUR", "card")
    ledger.charge("b", 500, "EUR", "card")
    ledger.begin("c", 500, "EUR", "card")
    first, _ = due(ledger, now.ms)
    assert ledger.notices is not None
    ledger.notices.delivered(first)
    ledger.close()

    again = open_ledger(repeated=0, late=0)
    told = due(again, now.ms)
    assert [(notice.kind, notice.key) for notice in told] == [("charge.captured", "b"), ("charge.declined", "c")]
    assert again.notices is not None
    for notice in told * 2:
        again.notices.delivered(notice)
    assert again.notices.next_ms() is None


def test_a_notice_that_nobody_takes_is_tried_again_ever_later(open_ledger: Callable[..., Ledger], now: Now) -> None:
    ledger = open_ledger(repeated=0, late=0)
    ledger.charge("a", 500, "EUR", "card")
    assert ledger.notices is not None
    pauses = []
    for _ in range(9):
        (notice,) = ledger.notices.due(now.ms)
        ledger.notices.failed(notice, now.ms)
        due_ms = ledger.notices.next_ms()
        assert due_ms is not None
        pauses.append((due_ms - now.ms) // 1_000)
        assert ledger.notices.due(due_ms - 1) == []
        now.ms = due_ms
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


# ── over the wire ────────────────────────────────────────────────────────────────────────────────────────────────

PROGRAM = """
import asyncio, sys
from sim.acquirer import serve
from sim.acquirer_courier import Merchant
merchant = Merchant(address=sys.argv[3], secret=sys.argv[4])
asyncio.run(serve("127.0.0.1", int(sys.argv[1]), sys.argv[2], "key", merchant=merchant, seed=2))
"""


class Door:
    """A merchant's endpoint: takes notices once it is open, and keeps what it took."""

    def __init__(self) -> None:
        self.open = False
        self.refused = 0
        self.heard: list[str] = []
        self._reader = SignedNotices(SECRET.encode())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with_headers = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in with_headers.split("\r\n")[1:] if line)
        fields = {name.lower(): value for name, value in headers.items()}
        text = await reader.readexactly(int(fields["content-length"]))
        if self.open:
            self.heard.append(self._reader.key_of(fields["acquirer-signature"], text, HostClock().wall_ms()))
        else:
            self.refused += 1
        answer = b"200 OK" if self.open else b"503 Closed"
        writer.write(b"HTTP/1.1 " + answer + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.fixture
async def door() -> AsyncIterator[tuple[Door, str]]:
    made = Door()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        yield made, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/acquirer/notice"


def start(arguments: list[str]) -> "subprocess.Popen[bytes]":
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments])
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(arguments[0]))) == 0:
                return child
        assert child.poll() is None
        time.sleep(0.05)
    raise AssertionError("the acquirer did not come up")


@pytest.mark.processes
async def test_an_acquirer_killed_with_notices_to_deliver_delivers_them_when_it_is_back(
    tmp_path: Path, door: tuple[Door, str]
) -> None:
    merchant, address = door
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    arguments = [str(port), str(tmp_path / "ledger.db"), address, SECRET]
    child = await asyncio.to_thread(start, arguments)
    keys = {os.urandom(8).hex() for _ in range(6)}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"X-Api-Key": "key"}) as http:
        for key in keys:
            asked = {"amount": 500, "currency": "EUR", "method": "card"}
            await http.post("/charges", json=asked, headers={"Idempotency-Key": key})
    await until(lambda: merchant.refused > 0, 60)
    child.kill()
    await asyncio.to_thread(child.wait)
    merchant.open = True
    child = await asyncio.to_thread(start, arguments)
    try:
        await until(lambda: set(merchant.heard) == keys, 60)
    finally:
        child.send_signal(signal.SIGTERM)
        await asyncio.to_thread(child.wait, 20)


def test_a_notice_says_that_it_is_a_test() -> None:
    notice = Notice(number=1, notice="charge/a", kind="charge.captured", key="a", at_ms=5)
    assert msgspec.json.decode(body(notice)) == {
        "id": "charge/a", "type": "charge.captured", "key": "a", "at_ms": 5, "test": True
    }  # fmt: skip
