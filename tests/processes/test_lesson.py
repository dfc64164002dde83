"""A product is taught in a live shop: real programs and broker, somebody at the console, and the next cart knows it."""

import json
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import cv2
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from cart_firmware.config import RecognitionSettings
from cart_firmware.devices import sight_files
from cart_firmware.devices.sight_files import SightFolder
from cart_firmware.services.sight import Sights
from sim.live_shop import LiveShop
from sim.processes import run_once
from sim.shop_files import program
from tests.cart_firmware.test_lesson import fruit
from tests.chromium import chromium
from tests.processes.test_dispute import DESK, at_the_console
from tests.processes.visit import PATIENCE_S

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"), pytest.mark.processes, pytest.mark.broker, pytest.mark.browser,
    pytest.mark.timeout(300),
]  # fmt: skip

_FIRST_PORT, _BLOCKS, _PORTS = 20_000, 600, 20
APPLES = "plu:00042"


class Counter:
    """What lies before the camera of the first cart."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "side"
        self.lay("")

    def lay(self, side: str) -> None:
        draft = self.file.with_suffix(".new")
        draft.write_text(side, encoding="utf-8")
        draft.replace(self.file)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeing() -> AsyncIterator[tuple[LiveShop, Counter]]:
    """A shop with two carts that know goods by sight; the first one's camera looks at a counter."""
    with tempfile.TemporaryDirectory(prefix="shop-") as folder:
        counter = Counter(Path(folder))
        shop = LiveShop(Path(folder), 2, 5, first_port=_FIRST_PORT + os.getpid() % _BLOCKS * _PORTS)
        try:
            await shop.prepare()
            for number in (1, 2):
                config = shop.files.cart_config(number)
                text = config.read_text(encoding="utf-8")
                if number == 1:
                    film = f"{sys.executable} -m tests.cart_firmware.fruit_film {counter.file}"
                    text = re.sub(r'^device = "pipe:.*"$', f'device = "pipe:{film}"', text, flags=re.MULTILINE)
                    text = re.sub(r"^width = .*$", "width = 320", text, flags=re.MULTILINE)
                    text = re.sub(r"^height = .*$", "height = 240", text, flags=re.MULTILINE)
                text = re.sub(r"^\[recognition\]\nuse = \w+$", "[recognition]\nuse = true", text, flags=re.MULTILINE)
                config.write_text(text, encoding="utf-8")
            await shop.open()
            yield shop, counter
        finally:
            await shop.close()


def anybody(_message: bytes, _signature: bytes) -> bool:
    """The cart has checked who signed it."""
    return True


async def known(shop: LiveShop, cart: int) -> list[str]:
    """Return what a cart knows by sight, as its own command says."""
    said = await run_once([program("cart-firmware"), "sight", "--json", "--config", str(shop.files.cart_config(cart))])
    names: list[str] = json.loads(said)["names"]
    return names


async def lesson(page: Page, counter: Counter) -> None:
    """Show the fruit from five sides, each until the console says that it was seen."""
    for side in range(5):
        counter.lay(str(side))
        await expect(page.locator(".sight-lessons .pill").first).not_to_have_text(f"{side} of 5")


async def test_a_product_is_enrolled_on_the_console_while_the_shop_runs_and_known_to_the_next_cart(
    seeing: tuple[LiveShop, Counter], tmp_path: Path
) -> None:
    shop, counter = seeing
    assert APPLES not in await known(shop, 2)
    async with chromium() as browser:
        expect.set_options(timeout=PATIENCE_S * 1_000)
        page = await browser.new_page(viewport=DESK)  # type: ignore[arg-type]
        await at_the_console(page, shop)
        await page.locator("#goods-by-sight").click()
        await expect(page.get_by_text("all 2 connected carts have it")).to_be_visible()
        await page.locator("select[name=product]").select_option(APPLES)
        await page.locator("input[name=cart]").fill("c1")
        await page.get_by_role("button", name="Begin").click()
        await expect(page.get_by_text("Show the product to the camera.")).to_be_visible()
        await lesson(page, counter)
        await page.get_by_role("button", name="Teach it to all carts").click()
        await expect(page.locator("#known-plu-00042")).to_be_visible()
        await expect(page.get_by_text("Version 1 · all 2 connected carts have it")).to_be_visible()
        await page.screenshot(path=tmp_path / "sight.png", full_page=True)
        assert APPLES in await known(shop, 2)
        state = shop.files.cart_config(2).parent / "state"
        sights = Sights(*sight_files.load(RecognitionSettings()), anybody, SightFolder(state))
        assert sights.recognise([fruit(77)[55:185, 95:225]]).best(1)[0][0] == APPLES
        await page.locator("#restore-0:not([aria-disabled])").click()
        await expect(page.get_by_text("Version 2 · all 2 connected carts have it")).to_be_visible()
        assert APPLES not in await known(shop, 2)
        expect.set_options(timeout=5_000)


async def test_what_was_shown_on_the_carts_own_machine_waits_on_the_console_when_it_runs_again(
    seeing: tuple[LiveShop, Counter], tmp_path: Path
) -> None:
    shop, _ = seeing
    await shop.processes.kill("cart-2")
    files = []
    for side in range(3):
        file = tmp_path / f"side-{side}.png"
        assert cv2.imwrite(str(file), fruit(side)[55:185, 95:225])
        files += ["--from", str(file)]
    config = str(shop.files.cart_config(2))
    await run_once([program("cart-firmware"), "enrol", "00042", "--config", config, *files])
    await shop.processes.restart("cart-2")
    async with chromium() as browser:
        expect.set_options(timeout=PATIENCE_S * 1_000)
        page = await browser.new_page(viewport=DESK)  # type: ignore[arg-type]
        await at_the_console(page, shop)
        await page.goto(f"http://127.0.0.1:{shop.files.web_port}/console/sight")
        await expect(page.get_by_text("shown at the cart")).to_be_visible()
        await page.get_by_role("button", name="Do not use it").click()
        await expect(page.locator(".sight-lessons")).to_have_count(0)
        expect.set_options(timeout=5_000)
