"""The cart's page: what each situation shows, how it follows the cart live, and how its server starts and stops."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import cv2
import httpx
import msgspec
import numpy as np
import pytest
import zxingcpp
from playwright.async_api import Browser, expect
from playwright.async_api import Page as Tab

from cart_firmware.config import Screen
from cart_firmware.core.prompts import Prompt, Tone
from cart_firmware.core.tiles import Tile
from cart_firmware.core.touch import Add, Choose, Container, Help, Quantity, Remove, Touch, search
from cart_firmware.devices.picture_folder import PictureFolder
from cart_firmware.screen.page import Page
from cart_firmware.screen.server import ScreenServer
from cart_firmware.services.show import ScreenLine, ScreenScan, ScreenView, ShowCase
from cart_protocol.basket import Phase
from cart_protocol.gs1.gtin import gtin_of
from cart_protocol.host.clock import HostClock
from cart_protocol.host.configuration import ConfigurationError
from cart_protocol.ids import LineId, ProductId, ScanId
from cart_protocol.money import Money
from cart_protocol.pricing.price_book import Product
from cart_protocol.product_picture import name_of
from tests.cart_firmware.corner_shop import BOOK, LOOSE, PRICES
from tests.chromium import chromium

CODE_URL = "https://shop.example/phone?code=c1-7K3M9Q"


def euros(cents: int) -> Money:
    return Money(cents, "EUR")


def line(name: str, cents: int, amount: str = "1 x") -> ScreenLine:
    return ScreenLine(line=LineId(name), name=name, amount=amount, total=euros(cents))


def scan_of(name: str, pieces: int = 1, *, countable: bool = True) -> ScreenScan:
    return ScreenScan(scan=ScanId(name), name=name, pieces=pieces, countable=countable)


class Counter:
    """A desk that notes what was touched and finds in the corner shop."""

    def __init__(self) -> None:
        self.touched = list[Touch]()
        self._news = asyncio.Event()

    def touch(self, touch: Touch) -> None:
        self.touched.append(touch)
        self._news.set()

    async def heard(self, count: int) -> None:
        """Return once so many touches have come."""
        while len(self.touched) < count:
            self._news.clear()
            await self._news.wait()

    def search(self, text: str) -> tuple[Product, ...]:
        return search(PRICES, text)


def saying(tone: Tone, sentence: str) -> Prompt:
    return Prompt(kind="test", tone=tone, sentence=sentence)


CALM = saying(Tone.CALM, "Show the next product.")
FREE = ScreenView(revision=1, phase=Phase.IDLE, cart="c1", code="7K3M9Q", code_url=CODE_URL, prompt=CALM, offline=False)
TWO_THINGS = ScreenView(
    revision=2, phase=Phase.SHOPPING, cart="c1", prompt=CALM, offline=False, observed_us=123_456,
    lines=(line("Milk", 129), line("Bananas", 168, "≈ 0.842 kg")), total=euros(297), tax=euros(19),
)  # fmt: skip
FROZEN = ScreenView(
    revision=3, phase=Phase.FROZEN, cart="c1", lines=TWO_THINGS.lines, total=euros(297), offline=False,
    prompt=saying(Tone.GOOD, "Your order is ready. Pay on your phone, then go to the exit."),
)  # fmt: skip


def port_of(server: ScreenServer) -> int:
    return int(server.address.rsplit(":", 1)[1].strip("/"))


def changed(view: ScreenView, **changes: object) -> ScreenView:
    return ScreenView(**{name: changes.get(name, getattr(view, name)) for name in view.__struct_fields__})


def shown(view: ScreenView, offline_since: str = "") -> str:
    return Page("v1").fragment(view, offline_since)


# ── what each situation shows ────────────────────────────────────────────────────────────────────────────────────


def test_a_free_cart_welcomes_with_its_code_to_scan_and_to_type() -> None:
    html = shown(FREE)
    assert 'data-screen="welcome"' in html
    assert "c1-7K3M9Q" in html
    assert "shop.example/phone" in html
    assert "<svg" in html.partition('class="qr"')[2]


@pytest.mark.parametrize(
    "view",
    [
        changed(FREE, code="", code_url="", prompt=saying(Tone.ALARM, "This cart is out of service.")),
        changed(FREE, prompt=saying(Tone.ALARM, "This cart is out of service.")),
    ],
)
def test_a_cart_out_of_service_offers_no_code(view: ScreenView) -> None:
    html = shown(view)
    assert 'data-screen="closed"' in html
    assert "This cart is out of service." in html
    assert "7K3M9Q" not in html


def test_shopping_shows_the_newest_product_first_and_the_total_with_its_tax() -> None:
    html = shown(TWO_THINGS)
    assert 'data-screen="shopping"' in html
    assert html.index("Bananas") < html.index('data-line="Milk"')
    assert "≈ 0.842 kg" in html
    assert re.search(r'class="amount">€2\.97<', html)
    assert "includes €0.19 tax" in html
    assert "2 products" in html


def test_the_root_says_which_evidence_it_shows() -> None:
    html = shown(TWO_THINGS)
    assert 'data-revision="2"' in html
    assert 'data-observed-us="123456"' in html


def test_what_was_scanned_and_not_put_in_stands_above_the_products() -> None:
    html = shown(changed(TWO_THINGS, pending=(scan_of("Olive oil"),)))
    assert html.index("Olive oil") < html.index("now put it in the cart") < html.index('data-line="Bananas"')


def test_an_empty_cart_says_how_to_begin() -> None:
    html = shown(changed(TWO_THINGS, lines=(), total=euros(0), tax=euros(0)))
    assert "Your cart is empty" in html
    assert "Tap “Pay”" not in html


def test_a_frozen_basket_sends_the_shopper_to_pay_and_to_the_exit() -> None:
    html = shown(FROZEN)
    assert 'data-screen="frozen"' in html
    assert "To pay" in html
    assert "Go to the exit" in html


@pytest.mark.parametrize("view", [FREE, TWO_THINGS, FROZEN])
def test_an_offline_cart_says_since_when(view: ScreenView) -> None:
    assert "Offline" not in shown(view)
    assert "Offline since 10:42." in shown(changed(view, offline=True), "10:42")


@pytest.mark.parametrize("tone", list(Tone))
def test_a_prompt_is_told_by_words_and_sign_not_by_colour_alone(tone: Tone) -> None:
    html = shown(changed(TWO_THINGS, prompt=saying(tone, "Please look.")))
    prompt = html[html.index(f'class="prompt {tone}"') :]
    assert prompt.index("<svg") < prompt.index("Please look.")


def test_what_needs_an_answer_is_announced_and_so_is_the_total() -> None:
    html = shown(changed(TWO_THINGS, prompt=saying(Tone.ASK, "Please take it out.")))
    assert 'data-said-prompt="Please take it out."' in html
    assert 'data-said-total="Bananas, €1.68. Total €2.97"' in html
    assert 'data-said-prompt=""' in shown(TWO_THINGS)


def test_names_are_text_and_never_markup() -> None:
    hostile = "<script>alert(1)</script>"
    view = changed(
        TWO_THINGS, lines=(line(hostile, 1),), pending=(scan_of(hostile),), prompt=saying(Tone.ASK, f'"{hostile}')
    )
    assert "<script" not in shown(view)
    assert "<script>alert" not in Page("v1").whole(view, "")


def test_a_picture_is_shown_where_the_cart_has_it_and_initials_where_not() -> None:
    here, missing = "a" * 64, "b" * 64
    page = Page("v1", {here})
    tiles = tuple(Tile(key=name, what="Red onions", how="put in", picture=name) for name in (here, missing, ""))
    html = page.fragment(changed(TWO_THINGS, tiles=tiles), "")
    assert html.count(f'<img class="picture" src="/picture/{here}" alt=""') == 1
    assert html.count(">RO<") == 2
    assert missing not in html.replace(f'"{missing}"', "")
    product = msgspec.structs.replace(BOOK.products[0], picture=here)
    assert f"/picture/{here}" in page.found([product])


# ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def served(case: ShowCase, port: int = 0, desk: Counter | None = None) -> AsyncIterator[ScreenServer]:
    server = ScreenServer(case, desk or Counter(), Screen(port=port), HostClock())
    serving = asyncio.create_task(server.serve())
    try:
        yield server
    finally:
        server.close()
        await asyncio.wait_for(serving, 5)


@asynccontextmanager
async def reading(server: ScreenServer) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
    """The events of the page's stream, one by one."""
    async with httpx.AsyncClient(timeout=10) as client, client.stream("GET", f"{server.address}events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events(answer.aiter_lines())


async def events(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, str]]:
    event: dict[str, str] = {}
    async for text in lines:
        if not text and event:
            yield event
            event = {}
        elif text:
            field, _, value = text.partition(": ")
            event[field] = event[field] + "\n" + value if field in event else value


@pytest.fixture
def case() -> ShowCase:
    case = ShowCase("c1")
    case.show(FREE)
    return case


async def test_the_page_needs_nothing_from_anywhere_else(case: ShowCase) -> None:
    async with served(case) as server, httpx.AsyncClient() as client:
        answer = await client.get(server.address)
        assert answer.status_code == 200
        assert "c1-7K3M9Q" in answer.text
        assert '<html lang="en">' in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assets = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', answer.text)
        assert len(assets) == 2
        for asset in assets:
            fetched = await client.get(server.address + asset.lstrip("/"))
            assert fetched.status_code == 200
            assert "immutable" in fetched.headers["cache-control"]
            assert not re.search(r"https?://|@import", fetched.text)


async def test_nothing_else_is_served(case: ShowCase) -> None:
    async with served(case) as server, httpx.AsyncClient() as client:
        assert (await client.get(f"{server.address}server.py")).status_code == 404
        assert (await client.get(f"{server.address}..%2Fserver.py")).status_code == 404
        assert (await client.post(server.address)).status_code == 405


async def test_pictures_are_served_by_their_name_and_nothing_else_in_their_folder(
    case: ShowCase, tmp_path: Path
) -> None:
    shelf = PictureFolder(tmp_path / "pictures", 0)
    content = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    shelf.put(content)
    (tmp_path / "pictures" / "secret").write_text("not a picture")
    server = ScreenServer(case, Counter(), Screen(port=0), HostClock(), shelf)
    serving = asyncio.create_task(server.serve())
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{server.address}picture/{name_of(content)}")
        assert (answer.content, answer.headers["content-type"]) == (content, "image/png")
        assert "immutable" in answer.headers["cache-control"]
        for other in ("secret", "..%2Foutbox", "0" * 64):
            assert (await client.get(f"{server.address}picture/{other}")).status_code == 404
    server.close()
    await asyncio.wait_for(serving, 5)


async def test_a_page_of_another_site_cannot_reach_it_under_its_own_name(case: ShowCase) -> None:
    async with served(case) as server, httpx.AsyncClient() as client:
        assert (await client.get(server.address, headers={"Host": "evil.example"})).status_code == 400


async def test_the_stream_tells_the_present_view_and_then_each_change(case: ShowCase) -> None:
    async with served(case) as server, reading(server) as stream:
        first = await anext(stream)
        assert first["event"] == "view"
        assert 'data-screen="welcome"' in first["data"]
        case.show(TWO_THINGS)
        second = await asyncio.wait_for(anext(stream), 5)
        assert 'data-screen="shopping"' in second["data"]
        assert second["id"] == str(case.view().revision)
        assert int(second["retry"]) <= 2_000


async def test_changes_that_come_faster_than_they_are_sent_arrive_as_the_last_one(case: ShowCase) -> None:
    async with served(case) as server, reading(server) as stream:
        await anext(stream)
        for count in range(50):
            case.show(changed(TWO_THINGS, total=euros(count)))
        while f'data-revision="{case.view().revision}"' not in (await asyncio.wait_for(anext(stream), 5))["data"]:
            pass


async def test_a_stream_too_many_is_refused_and_the_others_go_on(case: ShowCase) -> None:
    async with served(case) as server, contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(reading(server)) for _ in range(8)]
        for stream in streams:
            await anext(stream)
        async with httpx.AsyncClient() as client:
            refused = await client.get(f"{server.address}events")
        assert refused.status_code == 503
        assert "open too often" in refused.text
        case.show(TWO_THINGS)
        assert 'data-screen="shopping"' in (await asyncio.wait_for(anext(streams[0]), 5))["data"]


async def test_the_server_ends_within_a_second_with_a_stream_open(case: ShowCase) -> None:
    server = ScreenServer(case, Counter(), Screen(port=0), HostClock())
    serving = asyncio.create_task(server.serve())
    async with reading(server) as stream:
        await anext(stream)
        server.close()
        await asyncio.wait_for(serving, 1)


async def test_cancelling_ends_it_as_well_and_frees_the_port(case: ShowCase) -> None:
    server = ScreenServer(case, Counter(), Screen(port=0), HostClock())
    port = port_of(server)
    serving = asyncio.create_task(server.serve())
    async with reading(server) as stream:
        await anext(stream)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(serving, 1)
    async with served(case, port) as again, httpx.AsyncClient() as client:
        assert (await client.get(again.address)).status_code == 200


def test_a_server_that_never_served_frees_its_port_when_closed(case: ShowCase) -> None:
    server = ScreenServer(case, Counter(), Screen(port=0), HostClock())
    server.close()
    ScreenServer(case, Counter(), Screen(port=port_of(server)), HostClock()).close()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "shop.example"])  # noqa: S104 - must be refused
def test_the_screen_is_the_carts_own(host: str) -> None:
    with pytest.raises(ConfigurationError, match="no loopback address"):
        ScreenServer(ShowCase("c1"), Counter(), Screen(host=host), HostClock())


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_taken_port_is_refused_with_its_number(taken_port: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{taken_port}.*choose another port"):
        ScreenServer(ShowCase("c1"), Counter(), Screen(port=taken_port), HostClock())


async def test_a_touch_reaches_the_desk_and_what_is_none_is_refused(case: ShowCase) -> None:
    desk = Counter()
    async with served(case, desk=desk) as server, httpx.AsyncClient(base_url=server.address) as client:
        assert (await client.post("touch", json={"touch": "choose", "key": "left x @1"})).status_code == 204
        assert (await client.post("touch", json={"touch": "buy-everything"})).status_code == 400
        assert (await client.post("touch", json={"touch": "choose", "key": "x", "price": 1})).status_code == 400
        plain = await client.post("touch", content=b'{"touch": "help"}', headers={"Content-Type": "text/plain"})
        assert plain.status_code == 400
        assert (await client.post("touch", json={"touch": "choose", "key": "x" * 30_000})).status_code == 413
    assert desk.touched == [Choose(key="left x @1")]


async def test_products_are_found_by_name_and_shown_as_text(case: ShowCase) -> None:
    async with served(case) as server, httpx.AsyncClient(base_url=server.address) as client:
        assert "Nuts" in (await client.get("find", params={"text": "nu"})).text
        assert "first letters" in (await client.get("find", params={"text": "<b>"})).text


# ── in a browser ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


async def opened(browser: Browser, server: ScreenServer, width: int, height: int) -> tuple[Tab, list[str]]:
    """A tab on the cart's page, and the list to which its complaints and foreign requests are added."""
    tab, complaints = await browser.new_page(viewport={"width": width, "height": height}), list[str]()
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    tab.on("request", lambda asked: None if asked.url.startswith(server.address) else complaints.append(asked.url))
    await tab.goto(server.address)
    return tab, complaints


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(1024, 600), (600, 1024), (390, 844)])
async def test_the_code_on_the_glass_can_be_read_and_shopping_appears_live(
    browser: Browser, case: ShowCase, width: int, height: int
) -> None:
    async with served(case) as server:
        tab, complaints = await opened(browser, server, width, height)
        picture = cv2.imdecode(np.frombuffer(await tab.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert [symbol.text for symbol in zxingcpp.read_barcodes(picture)] == [CODE_URL]

        case.show(changed(TWO_THINGS, prompt=saying(Tone.ASK, "Please take it out.")))
        await expect(tab.locator(".amount")).to_have_text("€2.97")
        await expect(tab.locator("#said-total")).to_have_text("Bananas, €1.68. Total €2.97")
        await expect(tab.locator("#said-prompt")).to_have_text("Please take it out.")
        assert await tab.locator(".view").get_attribute("data-observed-us") == "123456"
        case.show(FROZEN)
        await expect(tab.get_by_text("Go to the exit with the code")).to_be_visible()
        assert complaints == []


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(1024, 600), (600, 1024), (390, 844)])
async def test_every_screen_fits_its_glass(browser: Browser, case: ShowCase, width: int, height: int) -> None:
    full = tuple(line(f"Extra virgin olive oil, cold pressed, {n} ml", 99_999 + n) for n in range(40))
    alarm = saying(
        Tone.ALARM, "Something was put in without a scan. Please take it out again, or show it to the camera."
    )
    long = changed(
        TWO_THINGS, lines=full, pending=(scan_of("Sourdough bread, sliced"),), total=euros(4_000_740), prompt=alarm
    )
    views = [FREE, TWO_THINGS, long, FROZEN, changed(FREE, code_url="", prompt=alarm)]
    async with served(case) as server:
        tab, _ = await opened(browser, server, width, height)
        for view in [*views, *(changed(each, offline=True) for each in views)]:
            case.show(view)
            await expect(tab.locator(f'[data-revision="{case.view().revision}"]')).to_be_visible()
            assert await tab.evaluate(_OUTSIDE) == [], view


_OUTSIDE = """() => [...document.querySelectorAll("h1, h2, p, ol:not(.lines), .qr svg")].filter((each) => {
  if (each.closest(".lines, .said, [hidden]")) return false;
  const box = each.getBoundingClientRect();
  const frame = (each.closest("aside, .prompt, .bar") || document.body).getBoundingClientRect();
  return box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < -1
    || box.bottom > Math.min(frame.bottom, innerHeight) + 1
    || each.scrollWidth > each.clientWidth + 2;
}).map((each) => each.outerHTML.slice(0, 120))"""


@pytest.mark.browser
async def test_a_page_says_that_it_lost_the_cart_and_finds_it_again(browser: Browser, case: ShowCase) -> None:
    async with served(case) as server:
        port = port_of(server)
        tab, _ = await opened(browser, server, 1024, 600)
        await expect(tab.get_by_text("Reconnecting")).to_be_hidden()
    await expect(tab.get_by_text("Reconnecting")).to_be_visible()
    await expect(tab.get_by_text("c1-7K3M9Q")).to_be_visible()
    case.show(TWO_THINGS)
    async with served(case, port):
        await expect(tab.locator(".amount")).to_have_text("€2.97", timeout=10_000)
        await expect(tab.get_by_text("Reconnecting")).to_be_hidden()
        await tab.close()


@pytest.mark.browser
async def test_what_is_touched_on_the_glass_is_what_the_desk_hears(browser: Browser, case: ShowCase) -> None:
    desk = Counter()
    tiles = (Tile(key="left pasta @1", what="Pasta", how="taken out"), Tile(key="k'\"<", what="Rice", how="taken out"))
    async with served(case, desk=desk) as server:
        tab, complaints = await opened(browser, server, 1024, 600)
        case.show(changed(TWO_THINGS, pending=(scan_of("Tea", 2),), tiles=tiles))
        for name in ("Rice", "One more", "Take out Milk", "My own bag", "Help"):
            await tab.get_by_role("button", name=name).first.click()
        await tab.get_by_role("button", name="Find a product").click()
        for letter in "NU":
            await tab.get_by_role("button", name=letter, exact=True).click()
        await tab.get_by_role("button", name="Nuts").click()
        await expect(tab.locator("dialog")).to_be_hidden()
        async with asyncio.timeout(10):
            await desk.heard(6)
        assert complaints == []
    assert desk.touched == [
        Choose(key="k'\"<"),
        Quantity(scan=ScanId("Tea"), pieces=3),
        Remove(lines=(LineId("Milk"),)),
        Container(),
        Help(),
        Add(product=ProductId(gtin_of(LOOSE))),
    ]
