"""The shopper's pages without a browser: forms, JSON and the live stream."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from cart_protocol.money import Money
from edge_agent.config import Limits
from edge_agent.core.views import PhonePhase
from edge_agent.web.phone import METHODS, read_code
from tests.web_desk import CODE, EXIT_CODE, Shop, Shopper, shopper_of, until
from tests.web_views import LINES


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
async def shopper(shop: Shop) -> AsyncIterator[Shopper]:
    async with shop.phone() as http:
        yield Shopper(http)


async def shopping(shop: Shop, shopper: Shopper) -> None:
    await shopper.open()
    assert (await shopper.post("/phone/bind", code=CODE)).status_code == 200
    shop.desk.put_in(shopper_of(shop.desk), LINES[0])


# ── taking a cart ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_landing_page_asks_for_a_code(shopper: Shopper) -> None:
    page = await shopper.http.get("/")
    assert page.status_code == 200
    assert 'name="code"' in page.text
    assert "Corner Market" in page.text


async def test_opening_a_carts_address_takes_nothing(shop: Shop, shopper: Shopper) -> None:
    page = await shopper.http.get("/phone", params={"code": CODE})
    assert "Start shopping with cart c1" in page.text
    assert shop.desk.calls == []


async def test_a_shopper_without_script_binds_by_the_pages_own_form(shop: Shop, shopper: Shopper) -> None:
    page = (await shopper.http.get("/phone", params={"code": CODE})).text
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    answer = await shopper.http.post("/phone/bind", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/phone")
    assert "Nothing in the cart yet" in (await shopper.http.get("/phone")).text
    assert shop.desk.calls == [f"bind {CODE}"]


async def test_the_code_of_a_cart_of_another_agent_leads_to_its_page(shop: Shop, shopper: Shopper) -> None:
    await shopper.open()
    shop.app.state.phone_pages.elsewhere = {"c1": "https://box-2"}.get
    page = await shopper.http.get("/phone", params={"code": CODE})
    assert (page.status_code, page.headers["Location"]) == (303, f"https://box-2/phone?code={CODE}")
    refused = await shopper.post("/phone/bind", code=CODE)
    assert refused.status_code == 409
    assert f"https://box-2/phone?code={CODE}" in refused.text
    assert shop.desk.calls == []
    assert (await shopper.http.get("/phone", params={"code": "c2-7K3M9Q"})).status_code == 200


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("c1-7K3M9Q", "c1-7K3M9Q"),
        (" C1 7k3m9q ", "c1-7K3M9Q"),
        ("c1-7k3mOl", "c1-7K3M01"),
        ("https://shop.example/phone?code=trolley-12-0A1B2C", "trolley-12-0A1B2C"),
    ],
)
def test_a_code_is_read_as_people_type_it(typed: str, read: str) -> None:
    code = read_code(typed)
    assert code is not None
    assert code.text == read


@pytest.mark.parametrize("typed", ["", "7K3M9Q", "c1-7K3M", "c1-7K3M9Q5", "c_1-7K3M9Q", "<b>-7K3M9Q", "c1-7K3M9!"])
def test_what_is_no_code_is_not_read(typed: str) -> None:
    assert read_code(typed) is None


async def test_a_malformed_code_is_refused_in_a_sentence_and_never_reaches_the_counter(
    shop: Shop, shopper: Shopper
) -> None:
    await shopper.open()
    answer = await shopper.post("/phone/bind", code="c1/../7K3M9Q")
    assert (answer.status_code, answer.json()["reason"]) == (422, "malformed-code")
    assert "c1-7K3M9Q" in answer.json()["sentence"]
    assert shop.desk.calls == []


async def test_of_two_phones_one_gets_the_cart_and_the_other_the_reason(shop: Shop) -> None:
    async with shop.phone() as one, shop.phone() as two:
        phones = [Shopper(one), Shopper(two)]
        for phone in phones:
            await phone.open()
        answers = await asyncio.gather(*(phone.post("/phone/bind", code=CODE) for phone in phones))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    (refused,) = [answer for answer in answers if answer.status_code == 409]
    assert refused.json() == {
        "reason": "busy",
        "sentence": "Somebody else is using this cart. Please take another one.",
    }


async def test_a_refusal_without_script_is_the_page_with_the_sentence(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    async with shop.phone() as http:
        late = Shopper(http)
        await late.open()
        page = await late.post("/phone/bind", accept="text/html", code=CODE)
    assert page.status_code == 409
    assert "Somebody else is using this cart" in page.text
    assert "Start shopping with cart c1" in page.text


async def test_binding_ones_own_cart_again_is_fine(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    assert (await shopper.post("/phone/bind", code=CODE)).status_code == 200


async def test_a_shopper_with_a_cart_gets_no_second_one(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    answer = await shopper.post("/phone/bind", code="c2-000000")
    assert (answer.status_code, answer.json()["reason"]) == (409, "has-cart")
    page = await shopper.http.get("/phone", params={"code": "c2-000000"})
    assert "You are shopping with cart c1" in page.text


# ── shopping and paying ──────────────────────────────────────────────────────────────────────────────────────────


async def test_the_page_shows_amount_unit_price_total_and_what_the_product_is(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    page = (await shopper.http.get("/phone")).text
    for shown in (
        "Whole milk, 1 l",
        "2 \N{MULTIPLICATION SIGN}",
        "€1.29 each",
        "€2.58",
        "Dairy of the Seven Hills",
        "Contains milk",
        "64 kcal",
    ):
        assert shown in page


async def test_names_from_the_catalogue_cannot_be_markup(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    shop.desk.change(shopper_of(shop.desk), attention="<script>alert(1)</script>")
    page = (await shopper.http.get("/phone")).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


async def test_programs_read_the_same_view_as_json(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    shop.desk.change(shopper_of(shop.desk), observed_us=77)
    view = await shopper.open()
    assert view["phase"] == "shopping"
    assert view["observed_us"] == 77
    assert view["total"] == {"minor": 258, "currency": "EUR"}


async def test_a_basket_with_something_unexplained_is_not_closed(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    shop.desk.change(shopper_of(shop.desk), attention="Something was put in without a scan.")
    answer = await shopper.post("/phone/checkout")
    assert (answer.status_code, answer.json()["reason"]) == (409, "unexplained")


async def test_from_checkout_to_the_exit_code(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    assert (await shopper.post("/phone/checkout")).json()["phase"] == "to-pay"
    page = (await shopper.http.get("/phone")).text
    assert "TEST PAYMENT" in page
    assert "40128-7" in page
    assert "Order code" in page
    for method in METHODS:
        assert method.name in page
    (key,) = re.findall(r'name="key" value="(\w+)"', page)
    answer = await shopper.post("/phone/pay", method="test_ok", key=key)
    assert answer.json()["phase"] == "paid"
    assert answer.json()["exit_token"] == EXIT_CODE
    assert "Exit code" in (await shopper.http.get("/phone")).text


async def test_keep_shopping_goes_back_to_the_open_basket(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    await shopper.post("/phone/checkout")
    assert (await shopper.post("/phone/resume")).json()["phase"] == "shopping"


async def test_a_double_tap_pays_once_and_both_get_the_same_answer(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    await shopper.post("/phone/checkout")
    shop.desk.pay_takes.clear()
    taps = [asyncio.create_task(shopper.post("/phone/pay", method="test_ok", key="k1")) for _ in range(3)]
    await until(lambda: shop.desk.phone(shopper_of(shop.desk)).phase is PhonePhase.PAYING)
    shop.desk.pay_takes.set()
    answers = [await tap for tap in taps] + [await shopper.post("/phone/pay", method="test_ok", key="k1")]
    assert [answer.json()["phase"] for answer in answers] == ["paid"] * 4
    assert [call for call in shop.desk.calls if call.startswith("pay")] == ["pay test_ok k1"]


async def test_a_payment_needs_a_key_and_a_method(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    await shopper.post("/phone/checkout")
    assert (await shopper.post("/phone/pay", method="test_ok")).json()["reason"] == "bad-key"
    assert (await shopper.post("/phone/pay", key="k")).json()["reason"] == "bad-method"
    assert not any(call.startswith("pay") for call in shop.desk.calls)


async def test_after_each_attempt_the_page_carries_a_new_key_and_before_it_the_same(
    shop: Shop, shopper: Shopper
) -> None:
    await shopping(shop, shopper)
    await shopper.post("/phone/checkout")
    keys: list[str] = []
    for _ in range(3):
        first, again = [
            re.findall(r'name="key" value="(\w+)"', (await shopper.http.get("/phone")).text)[0] for _ in range(2)
        ]
        assert first == again
        keys.append(first)
        await shopper.post("/phone/pay", method="test_declined", key=first)
    assert len(set(keys)) == 3
    assert "Your card was declined" in (await shopper.http.get("/phone")).text


async def test_an_exit_code_past_its_time_is_not_shown(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    soon = shop.clock.wall_ms() + 60_000
    me = shopper_of(shop.desk)
    shop.desk.change(
        me, phase=PhonePhase.PAID, paid=Money(258, "EUR"), exit_token=EXIT_CODE, exit_token_expires_ms=soon
    )
    assert 'aria-label="Exit code"' in (await shopper.http.get("/phone")).text
    shop.clock.sleep(61)
    page = (await shopper.http.get("/phone")).text
    assert 'aria-label="Exit code"' not in page
    assert "has run out" in page


async def test_after_the_goodbye_a_new_visit_is_a_new_shopper(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    before = shopper_of(shop.desk)
    shop.desk.change(before, phase=PhonePhase.GOODBYE)
    assert "Thank you" in (await shopper.http.get("/phone")).text
    await shopper.http.get("/")
    await shopper.open()
    shop.desk.phones.clear()
    await shopper.post("/phone/bind", code=CODE)
    assert shopper_of(shop.desk) != before


async def after_the_visit(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    shop.desk.change(shopper_of(shop.desk), phase=PhonePhase.GOODBYE, order_number="40128-7")


async def test_who_left_may_be_forgotten_by_the_pages_own_form_and_the_cookie_goes(
    shop: Shop, shopper: Shopper
) -> None:
    await after_the_visit(shop, shopper)
    page = (await shopper.http.get("/phone")).text
    assert "Forget me" in page
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    before = dict(shopper.http.cookies)
    answer = await shopper.http.post("/phone/forget", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/phone/forgotten")
    assert "you are forgotten" in (await shopper.http.get("/phone/forgotten")).text
    assert dict(shopper.http.cookies) != before
    assert shop.desk.calls[-1] == "forget"
    assert shop.desk.phones == {}
    again = await shopper.http.post("/phone/forget", data=form)
    assert again.status_code == 403, "the old page's token is worth nothing"


async def test_a_program_that_asks_to_be_forgotten_gets_a_new_session(shop: Shop, shopper: Shopper) -> None:
    await after_the_visit(shop, shopper)
    old = shopper.csrf
    answer = await shopper.post("/phone/forget")
    assert (answer.status_code, answer.json()["phase"]) == (200, "unbound")
    assert answer.headers["X-CSRF"] != old


async def test_who_still_has_a_cart_is_not_forgotten_and_reads_why(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    answer = await shopper.post("/phone/forget")
    assert (answer.status_code, answer.json()["reason"]) == (409, "has-cart")
    assert "hand it back first" in (await shopper.post("/phone/forget", accept="text/html")).text
    assert "set-cookie" not in answer.headers


async def test_nobody_can_have_another_forgotten(shop: Shop, shopper: Shopper) -> None:
    await after_the_visit(shop, shopper)
    shopper.csrf = "0" * 32
    assert (await shopper.post("/phone/forget")).status_code == 403
    assert "forget" not in shop.desk.calls


async def test_what_the_pages_remembered_of_a_session_goes_with_it(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    me = shopper_of(shop.desk)
    await shopper.post("/phone/checkout")
    await shopper.post("/phone/pay", method="test_ok", key="k1")
    shop.desk.change(me, phase=PhonePhase.GOODBYE)
    pages = shop.app.state.phone_pages
    assert me in repr(pages._once._runs)
    assert me in pages._doorkeeper._session_commands._buckets
    await shopper.post("/phone/forget")
    assert me not in repr(pages._once._runs)
    assert me not in pages._doorkeeper._session_commands._buckets


async def test_handing_back_frees_the_phone(shop: Shop, shopper: Shopper) -> None:
    await shopping(shop, shopper)
    assert (await shopper.post("/phone/hand-back")).json()["phase"] == "unbound"


@pytest.mark.parametrize("phase", list(PhonePhase))
async def test_every_phase_has_a_screen(shop: Shop, shopper: Shopper, phase: PhonePhase) -> None:
    await shopping(shop, shopper)
    me = shopper_of(shop.desk)
    shop.desk.change(me, phase=phase, order_number="40128-7", exit_token=EXIT_CODE, problem="It did not work.")
    page = await shopper.http.get("/phone")
    assert page.status_code == 200
    assert f"screen-{phase.value}" in page.text
    assert "It did not work." in page.text


# ── the stream ───────────────────────────────────────────────────────────────────────────────────────────────────


class Heard:
    """What a phone hears on the live stream."""

    def __init__(self) -> None:
        self.events: list[dict[str, str]] = []
        self.headers = httpx.Headers()

    def of(self, kind: str) -> list[dict[str, str]]:
        return [event for event in self.events if event.get("event") == kind]


@contextlib.asynccontextmanager
async def listening(http: httpx.AsyncClient, address: str = "/phone/stream", **headers: str) -> AsyncIterator[Heard]:
    heard = Heard()

    async def listen() -> None:
        async with http.stream("GET", address, headers=headers, timeout=10) as stream:
            heard.headers = stream.headers
            event: dict[str, str] = {}
            async for line in stream.aiter_lines():
                if not line:
                    heard.events.append(event)
                    event = {}
                    continue
                name, _, value = line.partition(":")
                event[name] = event.get(name, "") + value.removeprefix(" ")

    task = asyncio.create_task(listen())
    try:
        await until(lambda: bool(heard.events) or task.done())
        yield heard
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, httpx.HTTPError):
            await task


async def test_what_is_put_in_arrives_on_the_open_page(shop: Shop) -> None:
    async with shop.served() as address, httpx.AsyncClient(base_url=address) as http:
        shopper = Shopper(http)
        await shopping(shop, shopper)
        async with listening(http) as heard:
            await until(lambda: len(heard.of("view")) == 1)
            shop.desk.put_in(shopper_of(shop.desk), LINES[1], observed_us=4711)
            await until(lambda: len(heard.of("view")) == 2)
    newest = heard.of("view")[-1]
    assert heard.headers["content-type"].startswith("text/event-stream")
    assert heard.headers["x-accel-buffering"] == "no"
    assert newest["id"] == str(shop.desk.revision)
    assert "Bananas" in newest["data"]
    assert 'data-observed-us="4711"' in newest["data"]


async def test_other_shoppers_changes_do_not_wake_a_phone(shop: Shop) -> None:
    async with shop.served() as address, httpx.AsyncClient(base_url=address) as http:
        shopper = Shopper(http)
        await shopping(shop, shopper)
        me = shopper_of(shop.desk)
        async with listening(http) as heard:
            for _ in range(5):
                shop.desk.bump()
                await asyncio.sleep(0.01)
            shop.desk.put_in(me, LINES[1])
            await until(lambda: "Bananas" in str(heard.events))
    assert len(heard.of("view")) == 2


async def test_a_page_that_shows_the_newest_picture_is_not_sent_it_again(shop: Shop) -> None:
    async with shop.served() as address, httpx.AsyncClient(base_url=address) as http:
        shopper = Shopper(http)
        await shopping(shop, shopper)
        page = (await http.get("/phone")).text
        (stream,) = re.findall(r'data-stream="([^"]+)"', page)
        async with listening(http, stream.replace("&amp;", "&")) as heard:
            shop.desk.put_in(shopper_of(shop.desk), LINES[1])
            await until(lambda: len(heard.of("view")) == 1)
        assert "Bananas" in heard.of("view")[0]["data"]


async def test_a_page_of_an_earlier_run_of_the_store_is_sent_the_picture_whatever_its_revision(shop: Shop) -> None:
    async with shop.served() as address, httpx.AsyncClient(base_url=address) as http:
        shopper = Shopper(http)
        await shopping(shop, shopper)
        headers = {"Last-Event-ID": str(shop.desk.revision)}
        async with listening(http, "/phone/stream?boot=another", **headers) as heard:
            await until(lambda: len(heard.of("view")) == 1)


async def test_a_quiet_stream_says_that_it_lives(tmp_path: Path) -> None:
    shop = Shop(tmp_path, heartbeat_s=0.05)
    async with shop.served() as address, httpx.AsyncClient(base_url=address) as http:
        await Shopper(http).open()
        async with listening(http) as heard:
            await until(lambda: len(heard.of("heartbeat")) >= 3)
    assert len(heard.of("view")) == 1


async def test_the_server_stops_at_once_though_streams_are_open(shop: Shop) -> None:
    async with httpx.AsyncClient() as http, contextlib.AsyncExitStack() as stack:
        address = await stack.enter_async_context(shop.served())
        http.base_url = httpx.URL(address)
        await Shopper(http).open()
        async with listening(http) as one, listening(http) as two:
            assert one.events
            assert two.events
            loop = asyncio.get_running_loop()
            asked = loop.time()
            await stack.aclose()
            assert loop.time() - asked < 2.0  # the bound that systemd's stop needs, not a speed
        with pytest.raises(httpx.ConnectError):
            await http.get("/phone")


async def test_one_phone_cannot_open_streams_without_end(shop: Shop) -> None:
    async with shop.served() as address, httpx.AsyncClient(base_url=address) as http:
        await Shopper(http).open()
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(6):
                await stack.enter_async_context(listening(http))
            refused = await http.get("/phone/stream")
        assert refused.status_code == 429


async def test_the_store_serves_no_more_streams_than_it_may(tmp_path: Path) -> None:
    shop = Shop(tmp_path, limits=Limits(pages=10, pages_per_client=6))
    async with shop.served() as address, contextlib.AsyncExitStack() as stack:
        for _ in range(5):
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=address))
            await Shopper(http).open()
            for _ in range(2):
                await stack.enter_async_context(listening(http))
        late = await stack.enter_async_context(httpx.AsyncClient(base_url=address))
        await Shopper(late).open()
        refused = await late.get("/phone/stream", headers={"Accept": "application/json"})
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "5"
        assert refused.json()["sentence"] == "The store is very busy: the page refreshes itself soon."
        assert (await late.get("/phone")).status_code == 200, "the page itself is always served"


async def test_a_trip_survives_a_restart_of_the_store(shop: Shop, tmp_path: Path) -> None:
    async with shop.phone() as http:
        shopper = Shopper(http)
        await shopping(shop, shopper)
        reborn = Shop(tmp_path)
        reborn.desk.phones = shop.desk.phones  # what the journal brings back
        async with reborn.phone() as again:
            again.cookies = http.cookies
            assert (await Shopper(again).open())["phase"] == "shopping"
