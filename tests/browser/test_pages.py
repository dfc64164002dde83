"""The pages in a real Chromium: live without reloading, harmless when tapped twice, readable by scanners and people."""

import importlib.resources
import json
from collections.abc import AsyncIterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp
from msgspec.structs import replace
from playwright.async_api import Browser, Page, expect

from cart_protocol.ids import RecordId
from cart_protocol.money import Money
from edge_agent.core.views import PhonePhase
from tests.chromium import chromium
from tests.web_desk import CODE, EXIT_CODE, OPEN_SESAME, Shop, shopper_of, until
from tests.web_views import LINES, TAXES, a_sight

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
SMALLEST_TARGET_PX = 44
RECORD = RecordId("r1")
A_PICTURE = bytes(cv2.imencode(".png", np.full((30, 40), 255, np.uint8))[1])
RECORDS: dict[str, dict[str, object]] = {
    "coming": {"parts_here": 3, "parts": 7},
    "waiting": {"cart_online": False},
    "kept": {"stage": "kept", "file_size": 1_400_000, "has_picture": True, "shopper_here": True},
    "undrawn": {"has_picture": False},
    "failed": {"stage": "failed", "sentence": "This cart's flight recorder is switched off: nothing was recorded."},
}


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path, real_clock=True)


@pytest.fixture
async def address(shop: Shop) -> AsyncIterator[str]:
    async with shop.served() as listening:
        yield listening


@pytest.fixture
async def phone(browser: Browser, address: str) -> AsyncIterator[Page]:
    """A phone that has opened a cart's address, and fails the test on any script error."""
    context = await browser.new_context(viewport=PHONE, device_scale_factor=2, has_touch=True)  # type: ignore[arg-type]
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
    await page.goto(f"{address}/phone?code={CODE}")
    yield page
    assert errors == []
    await context.close()


async def bind(phone: Page) -> None:
    await phone.get_by_role("button", name="Start shopping with cart c1").click()
    await expect(phone.get_by_role("heading", name="Your cart")).to_be_visible()


async def test_bind_see_an_item_arrive_pay_and_show_a_code_that_scanners_read(shop: Shop, phone: Page) -> None:
    await bind(phone)
    me = shopper_of(shop.desk)
    await phone.evaluate("window.sameDocument = true")
    shop.desk.put_in(me, LINES[0])
    await expect(phone.get_by_text("Whole milk, 1 l")).to_be_visible()
    await phone.get_by_role("button", name="Pay €2.58").click()
    await expect(phone.get_by_text("TEST PAYMENT")).to_be_visible()
    await phone.locator("#pay").click()
    await expect(phone.get_by_role("img", name="Exit code")).to_be_visible()
    await expect(phone.locator(".order-number")).to_have_text("40128-7")
    assert await phone.evaluate("window.sameDocument") is True
    picture = cv2.imdecode(np.frombuffer(await phone.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert [code.text for code in zxingcpp.read_barcodes(picture)] == [EXIT_CODE]


async def test_the_order_code_is_readable_before_payment(shop: Shop, phone: Page) -> None:
    await bind(phone)
    me = shopper_of(shop.desk)
    shop.desk.put_in(me, LINES[0])
    await shop.desk.freeze(me)
    code = phone.get_by_role("img", name="Order code")
    await code.scroll_into_view_if_needed()
    picture = cv2.imdecode(np.frombuffer(await code.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert [read.text for read in zxingcpp.read_barcodes(picture)] == [shop.desk.phone(me).order_id]


async def test_tapping_pay_many_times_pays_once(shop: Shop, phone: Page) -> None:
    await bind(phone)
    me = shopper_of(shop.desk)
    shop.desk.put_in(me, LINES[0])
    await shop.desk.freeze(me)
    shop.desk.pay_takes.clear()
    pay = phone.locator("#pay:not([aria-disabled])")
    await pay.wait_for()
    await phone.evaluate("for (let tap = 0; tap < 5; tap++) document.getElementById('pay').click()")
    await expect(phone.get_by_role("heading", name="Paying €2.58")).to_be_visible()
    shop.desk.pay_takes.set()
    await expect(phone.get_by_role("img", name="Exit code")).to_be_visible()
    assert sum(call.startswith("pay") for call in shop.desk.calls) == 1


async def test_the_second_half_of_a_double_tap_on_checkout_does_not_pay(shop: Shop, phone: Page) -> None:
    await bind(phone)
    shop.desk.put_in(shopper_of(shop.desk), LINES[0])
    await phone.locator("#checkout:not([aria-disabled])").click()
    await phone.locator("#pay").wait_for()
    await phone.evaluate("document.getElementById('pay').click()")
    await phone.locator("#pay:not([aria-disabled])").wait_for()
    assert not any(call.startswith("pay") for call in shop.desk.calls)


async def test_a_declined_card_is_told_and_another_one_pays(shop: Shop, phone: Page) -> None:
    await bind(phone)
    me = shopper_of(shop.desk)
    shop.desk.put_in(me, LINES[0])
    await shop.desk.freeze(me)
    for method in ("test_declined", "test_declined", "test_ok"):
        await phone.check(f"#method-{method}")
        asked = len(shop.desk.calls)
        await phone.locator("#pay:not([aria-disabled])").click()
        await until(lambda asked=asked: len(shop.desk.calls) > asked)
        if method == "test_declined":
            await expect(phone.locator("#view .notice-bad")).to_be_visible()
            await expect(phone.locator("#notice")).to_be_hidden()  # said once is enough
    await expect(phone.get_by_role("img", name="Exit code")).to_be_visible()


async def test_a_refusal_is_told_on_the_open_page(shop: Shop, phone: Page) -> None:
    await bind(phone)
    me = shopper_of(shop.desk)
    shop.desk.put_in(me, LINES[0])
    shop.desk.change(me, attention="Something was put in without a scan: please take it out.")
    await phone.locator("#checkout:not([aria-disabled])").click()
    await expect(phone.locator("#notice")).to_contain_text("Please take it out or ask for help.")


async def test_a_new_picture_keeps_open_details_focus_and_choices(shop: Shop, phone: Page) -> None:
    await bind(phone)
    me = shopper_of(shop.desk)
    shop.desk.put_in(me, LINES[0])
    await phone.locator("#details-l1 summary").click()
    await phone.locator("#checkout").focus()
    shop.desk.put_in(me, LINES[1])
    await expect(phone.get_by_text("Bananas")).to_be_visible()
    await expect(phone.get_by_text("Dairy of the Seven Hills, Bavaria")).to_be_visible()
    await expect(phone.locator("#checkout")).to_be_focused()
    await expect(phone.locator("#say")).to_have_text("2 products, total €3.54")
    await shop.desk.freeze(me)
    await phone.check("#method-test_declined")
    shop.desk.change(me, attention="The cart moved.")
    await expect(phone.locator(".notice-warn")).to_have_text("The cart moved.")
    assert await phone.is_checked("#method-test_declined")


async def test_the_page_comes_back_by_itself_after_the_store_restarted(
    browser: Browser, tmp_path: Path, shop: Shop
) -> None:
    context = await browser.new_context(viewport=PHONE)  # type: ignore[arg-type]
    async with shop.served() as address:
        port = int(address.rpartition(":")[2])
        page = await context.new_page()
        await page.goto(f"{address}/phone?code={CODE}")
        await bind(page)
    await expect(page.locator("#link-lost")).to_be_visible()
    reborn = Shop(tmp_path, type(shop.web)(port=port), real_clock=True)
    reborn.desk.phones = shop.desk.phones
    async with reborn.served():
        reborn.desk.put_in(shopper_of(reborn.desk), LINES[1])
        await expect(page.get_by_text("Bananas")).to_be_visible(timeout=15_000)
        await expect(page.locator("#link-lost")).to_be_hidden()
    await context.close()


async def test_without_script_a_whole_trip_works_by_forms(browser: Browser, shop: Shop, address: str) -> None:
    context = await browser.new_context(viewport=PHONE, java_script_enabled=False)  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(address)
    await page.fill("#code", "C1 7k3m9q")
    await page.get_by_role("button", name="Continue").click()
    await page.get_by_role("button", name="Start shopping with cart c1").click()
    shop.desk.put_in(shopper_of(shop.desk), LINES[0])
    await page.get_by_role("link", name="Refresh").click()
    await page.get_by_role("button", name="Pay €2.58").click()
    await page.get_by_role("button", name="Pay €2.58").click()
    await expect(page.get_by_role("img", name="Exit code")).to_be_visible()
    await context.close()


async def test_staff_resolve_an_alarm_and_see_it_go(browser: Browser, address: str) -> None:
    page = await browser.new_page()
    await page.goto(f"{address}/console")
    await page.fill("#name", "adam")
    await page.fill("#password", OPEN_SESAME)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_title("(1) Console · Corner Market")
    await page.locator("#resolve-i2").click()
    await expect(page.get_by_text("No open alarms.")).to_be_visible()
    await expect(page).to_have_title("Console · Corner Market")
    await page.close()


async def test_staff_let_a_stopped_shopper_through(browser: Browser, shop: Shop, address: str) -> None:
    page = await browser.new_page()
    await page.goto(f"{address}/console")
    await page.fill("#name", "adam")
    await page.fill("#password", OPEN_SESAME)
    await page.get_by_role("button", name="Sign in").click()
    await page.locator("#let-through-i2:not([aria-disabled])").click()
    await expect(page.get_by_text("No open alarms.")).to_be_visible()
    assert shop.desk.calls == ["let-through i2 adam"]
    await page.close()


async def test_staff_see_a_record_come_part_by_part_and_then_the_picture(
    browser: Browser, shop: Shop, address: str, tmp_path: Path
) -> None:
    page = await browser.new_page()
    await page.goto(f"{address}/console")
    await page.fill("#name", "adam")
    await page.fill("#password", OPEN_SESAME)
    await page.get_by_role("button", name="Sign in").click()
    await page.locator("#record-alarm-i2").click()
    await expect(page.get_by_role("heading", name="The cart is preparing its record")).to_be_visible()
    await page.evaluate("window.sameDocument = true")
    shop.desk.change_record(RECORD, parts_here=3, parts=7)
    await expect(page.get_by_role("heading", name="3 of 7 parts")).to_be_visible()
    shop.desk.bodies[RECORD] = (A_PICTURE, b"the file")
    shop.desk.change_record(RECORD, stage="kept", file_size=38_000, has_picture=True)
    picture = page.locator(".record-picture img")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 40
    assert await page.evaluate("window.sameDocument") is True
    async with page.expect_download() as started:
        await page.locator("#file").click()
    download = await started.value
    assert download.suggested_filename == f"c1-{RECORD}.cartset"
    await download.save_as(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"the file"
    await page.locator("#again:not([aria-disabled])").click()
    await expect(page.get_by_role("heading", name="The cart is preparing its record")).to_be_visible()
    assert shop.desk.calls == ["ask about i2 adam", f"ask again {RECORD} adam"]
    await page.close()


async def test_staff_show_a_cart_a_product_see_it_come_and_have_all_carts_taught_it(
    browser: Browser, shop: Shop, address: str
) -> None:
    page = await browser.new_page()
    await page.goto(f"{address}/console")
    await page.fill("#name", "mina")
    await page.fill("#password", OPEN_SESAME)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("link", name="Goods by sight").click()
    empty = replace(a_sight(), lessons=(), known=(), version=0, versions=a_sight().versions[-1:])
    shop.desk.show_sight(empty)
    await expect(page.get_by_text("Nothing yet.")).to_be_visible()
    await page.locator("select[name=product]").select_option("Figs, loose")
    await page.locator("input[name=cart]").fill("c2")
    await page.locator("select[name=shots]").select_option("5")
    await page.get_by_role("button", name="Begin").click()
    await until(lambda: shop.desk.calls == ["teach c2 plu:00071 5 mina"])
    await page.locator("#lesson-l1").wait_for(state="detached")
    await page.evaluate("window.sameDocument = true")
    await page.locator("select[name=product]").select_option("Whole milk, 1 l")
    shown, taken = a_sight().lessons[:2]
    for shots in range(6):
        shop.desk.show_sight(replace(empty, lessons=(replace(shown, shots=shots),)))
        await expect(page.locator("#lesson-l1 .pill")).to_have_text(f"{shots} of 5")
    assert await page.locator("select[name=product]").input_value() == "09520101000019", (
        "what is being chosen is left alone"
    )
    shop.desk.show_sight(replace(empty, lessons=(taken,)))
    await expect(page.get_by_text("It can be taken for")).to_be_visible()
    await page.get_by_role("button", name="Teach it to all carts Boskoop apples").click()
    await until(lambda: shop.desk.calls[-1] == "use l2 mina")
    shop.desk.show_sight(replace(a_sight(), lessons=()))
    await expect(page.locator("#known-plu-00073")).to_contain_text("Taught from 5 shots")
    await page.locator("#restore-0:not([aria-disabled])").click()
    await until(lambda: shop.desk.calls[-1] == "roll back 0 mina")
    await page.locator("#retire-plu-00073:not([aria-disabled])").click()
    await until(lambda: shop.desk.calls[-1] == "retire plu:00073 mina")
    assert await page.evaluate("window.sameDocument") is True, "all of it on the open page"
    await page.close()


# ── for everybody ────────────────────────────────────────────────────────────────────────────────────────────────


async def violations(page: Page) -> list[str]:
    """Return what axe-core finds against WCAG 2.2 A and AA on the page as it is."""
    axe = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    await page.evaluate(axe)
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    options = json.dumps({"runOnly": {"type": "tag", "values": rules}})
    found = await page.evaluate(f"axe.run(document, {options})")
    assert len(found["passes"]) > 10, "axe looked at nothing"
    return [f"{each['id']}: {[node['html'][:120] for node in each['nodes']]}" for each in found["violations"]]


async def small_targets(page: Page) -> list[str]:
    """Return every button, link and field that a thumb would miss."""
    small: list[str] = await page.evaluate(
        """(least) => [...document.querySelectorAll('button, a[href], input:not([type=hidden], [type=radio]), summary')]
            .filter((each) => each.checkVisibility() && !each.matches('.skip, p a:not(.plain-link)'))
            .filter((each) => each.getBoundingClientRect().height < least)
            .map((each) => each.outerHTML.slice(0, 80))""",
        SMALLEST_TARGET_PX,
    )
    return small


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_every_screen_is_accessible_in_both_colour_schemes(
    browser: Browser, shop: Shop, address: str, colours: str
) -> None:
    context = await browser.new_context(viewport=PHONE, color_scheme=colours, reduced_motion="reduce")  # type: ignore[arg-type]
    page = await context.new_page()
    faults: dict[str, list[str]] = {}

    async def look(name: str) -> None:
        overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found = await violations(page) + await small_targets(page) + (["scrolls sideways"] if overflow > 0 else [])
        if found:
            faults[name] = found

    for path in ("/", "/console/sign-in", "/nowhere", f"/phone?code={CODE}"):
        await page.goto(address + path)
        await look(path)
    await bind(page)
    me = shopper_of(shop.desk)
    for line in LINES:
        shop.desk.put_in(me, line)
    total = Money(1402, "EUR")
    for phase in PhonePhase:
        if phase is PhonePhase.UNBOUND:
            continue
        shop.desk.change(
            me, phase=phase, attention="Please take it out.", problem="It did not work.", cart_online=False, paid=total,
            order_number="40128-7", order_id="018f3a5ac0de", taxes=TAXES, exit_token=EXIT_CODE,
        )  # fmt: skip
        await page.locator(f".screen-{phase.value}").wait_for()
        await page.locator("button[aria-disabled]").first.wait_for(state="detached")
        await look(phase.value)
    await page.goto(f"{address}/console/sign-in")
    await page.fill("#name", "mina")
    await page.fill("#password", OPEN_SESAME)
    await page.get_by_role("button", name="Sign in").click()
    await page.locator(".carts").wait_for()
    await page.locator("#levels > summary").click()
    await page.locator(".levels").wait_for()
    await look("console")
    await page.locator("#record-alarm-i2:not([aria-disabled])").click()
    await page.locator(".record").wait_for()
    for name, record in RECORDS.items():
        shop.desk.bodies[RECORD] = (A_PICTURE, b"the file")
        shop.desk.change_record(RECORD, **record)
        await page.goto(f"{address}/console/records/{RECORD}")
        await look(f"record {name}")
    await page.goto(f"{address}/console/sight")
    await page.locator(".sight").wait_for()
    await look("goods by sight")
    await context.close()
    assert faults == {}
