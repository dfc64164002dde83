"""A dispute in a live shop: real programs, the real broker, and somebody at the console in a real Chromium."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from sim.live_shop import STAFF, LiveShop
from sim.processes import run_once
from sim.shop_files import program
from tests.chromium import chromium
from tests.processes.visit import PATIENCE_S, Visit

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"), pytest.mark.processes, pytest.mark.broker, pytest.mark.browser,
    pytest.mark.timeout(300),
]  # fmt: skip

DESK = {"width": 1280, "height": 900}


async def at_the_console(page: Page, shop: LiveShop) -> None:
    name, password = STAFF
    await page.goto(f"http://127.0.0.1:{shop.files.web_port}/console")
    await page.fill("#name", name)
    await page.fill("#password", password)
    await page.get_by_role("button", name="Sign in").click()


async def test_staff_ask_a_cart_and_replay_what_they_get(shop: LiveShop, visit: Visit, tmp_path: Path) -> None:
    await visit.begin("blossom honey", "vodka")
    async with chromium() as browser:
        expect.set_options(timeout=PATIENCE_S * 1_000)
        page = await browser.new_page(viewport=DESK)  # type: ignore[arg-type]
        await at_the_console(page, shop)
        await page.locator("#record-cart-c1").click()
        picture = page.locator(".record-picture img")
        await expect(picture).to_be_visible()
        drawn_px = await picture.evaluate("image => image.decode().then(() => image.naturalWidth)")
        assert drawn_px > 2_000
        await page.screenshot(path=tmp_path / "record.png", full_page=True)
        async with page.expect_download() as started:
            await page.locator("#file").click()
        file = tmp_path / "dispute.cartset"
        await (await started.value).save_as(file)
        expect.set_options(timeout=5_000)
    said = json.loads(await run_once([program("cart-firmware"), "replay", str(file), "--json"]))
    assert said["differences"] == []
    assert said["decisions"] > 5
