"""A whole trip in a real Chromium against the live shop: every code is read off the glass, as a scanner would."""

from collections.abc import AsyncIterator

import cv2
import httpx
import msgspec
import numpy as np
import pytest
import pytest_asyncio
import zxingcpp
from playwright.async_api import Browser, Page, expect

from cart_protocol.host.clock import HostDice
from cart_protocol.money import Money
from edge_agent.core.views import PhoneView
from edge_agent.web.sessions import PhoneSessions
from sim.goods import Unit
from sim.live_shop import LiveShop
from sim.processes import run_once
from sim.shop_files import program
from tests.browser.test_pages import PHONE
from tests.chromium import chromium
from tests.processes.visit import PATIENCE_S, Visit, agreed_books, eventually

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"), pytest.mark.processes, pytest.mark.broker, pytest.mark.browser,
    pytest.mark.timeout(300),
]  # fmt: skip

CART_SCREEN = {"width": 1280, "height": 800}
_USUAL_MS, _PATIENCE_MS = 5_000, PATIENCE_S * 1_000


@pytest_asyncio.fixture(loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        expect.set_options(timeout=_PATIENCE_MS)
        yield browser
        expect.set_options(timeout=_USUAL_MS)  # it holds for every test of the run


@pytest_asyncio.fixture(loop_scope="module")
async def phone(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport=PHONE, device_scale_factor=2, has_touch=True)  # type: ignore[arg-type]
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    assert errors == []
    await context.close()


async def codes_on(page: Page) -> list[str]:
    """Return what a reader finds in a picture of the page as it stands."""
    picture = cv2.imdecode(np.frombuffer(await page.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    return [code.text for code in zxingcpp.read_barcodes(picture)]


async def state_of(phone: Page) -> PhoneView:
    """Return what the store says to a program with this phone's cookie."""
    answer = await phone.context.request.get(phone.url.partition("/phone")[0] + "/api/phone")
    return msgspec.json.decode(await answer.body(), type=PhoneView)


async def put_in(visit: Visit, phone: Page, unit: Unit) -> None:
    await visit.show(unit)
    await expect(phone.locator(".line-pending").get_by_text(unit.name)).to_be_visible()
    visit.put(unit)
    await expect(phone.locator(".lines:not(.pending)").get_by_text(unit.name)).to_be_visible()


async def reconciled(shop: LiveShop) -> None:
    """The acquirer's own settlement file and the store's books match, says the store's own program."""
    async with httpx.AsyncClient(headers={"X-Api-Key": shop.files.api_key.read_text().strip()}) as http:
        settlement = await http.get(f"http://127.0.0.1:{shop.files.acquirer_port}/settlement")
    file = shop.files.folder / "settlement.csv"
    file.write_text(settlement.text)
    said = await run_once([program("edge-agent"), "reconcile", str(file), "--config", str(shop.files.edge_config)])
    assert "payments match" in said


async def forgotten(shop: LiveShop, phone: Page) -> None:
    """From the goodbye page, nothing that the store wrote knows the phone any more."""
    cookies = {cookie["name"]: cookie["value"] for cookie in await phone.context.cookies()}
    shopper = PhoneSessions(HostDice(), secure=False).of(cookies).shopper.encode()
    assert shopper in written_by(shop)
    await phone.get_by_text("Forget me").click()
    await phone.get_by_role("button", name="Delete what you know of me").click()
    await expect(phone.get_by_role("heading", name="Done: you are forgotten")).to_be_visible()
    assert shopper not in written_by(shop)
    assert (await state_of(phone)).phase == "unbound"
    assert {cookie["value"] for cookie in await phone.context.cookies()}.isdisjoint(cookies.values())


def written_by(shop: LiveShop) -> bytes:
    """Every byte of the store's state, and of everybody's logs."""
    places = (shop.files.store / "state", shop.files.folder / "logs")
    return b"".join(path.read_bytes() for place in places for path in place.rglob("*") if path.is_file())


async def test_from_the_carts_screen_to_goodbye(shop: LiveShop, visit: Visit, browser: Browser, phone: Page) -> None:
    glass = await browser.new_page(viewport=CART_SCREEN)  # type: ignore[arg-type]
    await glass.goto(f"http://127.0.0.1:{shop.files.screen_ports[0]}/")
    await expect(glass.get_by_role("img", name="Code to take this cart")).to_be_visible()
    (address,) = await codes_on(glass)

    await phone.goto(address)
    await phone.get_by_role("button", name="Start shopping with cart c1").click()
    await expect(phone.get_by_role("heading", name="Your cart")).to_be_visible()
    await phone.evaluate("window.sameDocument = true")
    goods = [visit.fetch("blossom honey"), visit.fetch("vodka")]
    for unit in goods:
        await put_in(visit, phone, unit)
        await expect(glass.locator("li[data-line]").get_by_text(unit.name)).to_be_visible()
    total = Money(sum(unit.product.price.minor for unit in goods), "EUR")
    await expect(phone.locator(".total")).to_have_text(str(total))

    await phone.get_by_role("button", name=f"Pay {total}").click()
    await phone.get_by_text("Test card", exact=True).click()
    await phone.locator("#pay:not([aria-disabled])").click()
    exit_code = phone.get_by_role("img", name="Exit code")
    await expect(exit_code).to_be_visible()
    await exit_code.scroll_into_view_if_needed()
    (token,) = await codes_on(phone)
    assert token == (await state_of(phone)).exit_token

    await visit.weigh_out(token)
    assert await visit.lane.walk_through(visit.in_cart), "the vodka's tag was still live"
    visit.lane.clear()
    await expect(phone.get_by_role("heading", name="Thank you, and have a nice day")).to_be_visible()
    assert await phone.evaluate("window.sameDocument") is True
    books = await agreed_books(shop)
    assert books.acquirer_minor == total.minor
    await eventually(visit.cart.read_code, lambda code: code and code != address.rpartition("=")[2])
    await glass.close()
    await reconciled(shop)
    await forgotten(shop, phone)
