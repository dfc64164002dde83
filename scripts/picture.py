"""Takes pictures of a running shop: real programs, a shopper half way through a trip, real Chromium."""

import asyncio
import random
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from sim.goods import Unit
from sim.live_shop import STAFF, LiveShop
from sim.phone import HttpPhone
from sim.shoppers import Character, Tally, Trip

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
SIZES = {"phone": (390, 844), "tablet": (820, 1180), "desktop": (1440, 900)}
SCREEN = (1024, 600)
"""The cart's own touch screen."""
SEED = 4


async def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cw-") as shop_folder:
        shop = LiveShop(Path(shop_folder), carts=3, seed=SEED, say=print)
        try:
            await shop.open()
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
                await Photographer(shop, browser, folder).take_all()
                await browser.close()
        finally:
            await shop.close()


class Photographer:
    """Walks one shopper through the shop with a real browser as the phone, and takes a picture of every page."""

    def __init__(self, shop: LiveShop, browser: Browser, folder: Path) -> None:
        self._shop = shop
        self._browser = browser
        self._folder = folder
        self._dice = random.Random(SEED)
        self._web = f"http://127.0.0.1:{shop.files.web_port}"

    async def take_all(self) -> None:
        others = asyncio.create_task(self._others())
        cart, lane = self._shop.world.carts[0], self._shop.world.lane
        screen = await self._page(SCREEN, f"http://127.0.0.1:{self._shop.files.screen_ports[0]}/")
        await self._take(screen, "cart-free")
        phone = await self._page(SIZES["phone"], f"{self._web}/")
        await self._each_size(phone, "phone-welcome")
        code = None
        while not code:
            code = await cart.read_code()
            await asyncio.sleep(0.2)
        await phone.goto(f"{self._web}/phone?code={code}")
        await self._each_size(phone, "phone-take-cart")
        await phone.locator("form[action='/phone/bind'] button").click()
        await phone.wait_for_selector("[data-phase='shopping']")
        units = [self._shop.shelves.pick(self._dice) for _ in range(5)]
        for number, unit in enumerate(units):
            await self._buy(phone, unit, number)
        await cart.present(self._shop.shelves.pick(self._dice), 1.2)  # shown and not yet put in
        await asyncio.sleep(1)
        await self._take(screen, "cart-shopping")
        await self._each_size(phone, "phone-shopping")
        await self._console("console")
        await self._pay(phone, screen)
        async with lane.turn():
            lane.place([*units, self._shop.shelves.pick(self._dice)])
            cart.empty()
            token = (await self._state(phone))["exit_token"]
            lane.scan(token)
            await lane.outcome(20)
            await self._console("console-alarm")
            await lane.call_attendant(goods_paid=False)
            lane.place(units)
            lane.scan(token)
            await lane.outcome(20)
            await lane.walk_through(units)
        await phone.wait_for_selector("[data-phase='goodbye']")
        await self._each_size(phone, "phone-goodbye")
        others.cancel()
        await asyncio.gather(others, return_exceptions=True)
        self._compose()

    async def _others(self) -> None:
        """Two other carts in use, so that the console shows a shop."""
        shop, tally = self._shop, Tally()
        await asyncio.gather(*(
            Trip(
                character=Character.HONEST, shelves=shop.shelves, cart=shop.world.carts[number], lane=shop.world.lane,
                phone=HttpPhone(self._web, 50 + number, shop.clock.monotonic_us, []), tally=tally,
                dice=random.Random(number), items=40,
            ).run()
            for number in (1, 2)
        ))  # fmt: skip

    async def _buy(self, phone: Page, unit: Unit, number: int) -> None:
        cart = self._shop.world.carts[0]
        for _ in range(4):
            await cart.present(unit, 1.2)
            if (await self._state(phone))["pending"]:
                break
        cart.put(unit)
        for _ in range(100):
            if len((await self._state(phone))["lines"]) > number:
                return
            await asyncio.sleep(0.1)

    async def _pay(self, phone: Page, screen: Page) -> None:
        await asyncio.sleep(20)  # the scan without goods is given up
        await phone.get_by_role("button", name=re.compile("^Pay")).click()
        await phone.wait_for_selector("[data-phase='to-pay']")
        await self._each_size(phone, "phone-to-pay")
        await self._take(screen, "cart-closed")
        await asyncio.sleep(0.8)
        await phone.get_by_role("button", name=re.compile("^Pay")).click()
        await phone.wait_for_selector("[data-phase='paid']")
        await self._each_size(phone, "phone-paid")

    async def _state(self, phone: Page) -> dict[str, Any]:
        answer = await phone.context.request.get(f"{self._web}/api/phone")
        state: dict[str, Any] = await answer.json()
        return state

    async def _console(self, name: str) -> None:
        context = await self._browser.new_context()
        page = await context.new_page()
        await page.goto(f"{self._web}/console/sign-in")
        if name == "console":
            await self._each_size(page, "console-sign-in")
        await page.fill("[name=name]", STAFF[0])
        await page.fill("[name=password]", STAFF[1])
        await page.locator("form[action='/console/sign-in'] button").click()
        await page.wait_for_url("**/console")
        await asyncio.sleep(0.5)
        await self._each_size(page, name)
        await context.close()

    async def _page(self, size: tuple[int, int], address: str) -> Page:
        context: BrowserContext = await self._browser.new_context(viewport={"width": size[0], "height": size[1]})
        page = await context.new_page()
        await page.goto(address)
        return page

    async def _each_size(self, page: Page, name: str) -> None:
        for size, (width, height) in SIZES.items():
            await page.set_viewport_size({"width": width, "height": height})
            await asyncio.sleep(0.2)
            await self._take(page, f"{name}-{size}")
        await page.set_viewport_size({"width": SIZES["phone"][0], "height": SIZES["phone"][1]})

    async def _take(self, page: Page, name: str) -> None:
        await asyncio.sleep(0.3)
        await page.screenshot(path=self._folder / f"{name}.png")
        print(name)

    def _compose(self) -> None:
        """Put cart, phone and console into the one picture that the README shows."""
        parts = [self._read("cart-shopping"), self._read("phone-shopping-phone"), self._read("console-desktop")]
        height = 620
        scaled = [
            cv2.resize(part, (round(part.shape[1] * height / part.shape[0]), height), interpolation=cv2.INTER_AREA)
            for part in parts
        ]
        gap = np.full((height, 24, 3), 255, np.uint8)
        row = np.hstack([scaled[0], gap, scaled[1], gap, scaled[2]])
        cv2.imwrite(
            str(self._folder / "shop.png"), cv2.resize(row, None, fx=0.72, fy=0.72, interpolation=cv2.INTER_AREA)
        )

    def _read(self, name: str) -> NDArray[np.uint8]:
        return np.asarray(cv2.imread(str(self._folder / f"{name}.png")), np.uint8)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs/pictures")))
