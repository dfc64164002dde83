"""The live world: carts, shelves and the exit lane as steel and light around the product's running processes."""

import asyncio
import contextlib
import html
import json
import re
from random import Random

import httpx

from cart_protocol.host.clock import HostClock
from cart_protocol.ids import ProductId
from cart_protocol.pricing.price_book import Product
from sim.exit_lane import LANE, ExitLane
from sim.goods import Unit
from sim.optics.contents import Contents
from sim.optics.label import Label, Symbology
from sim.optics.scene import Pass, Scene
from sim.phone import HttpPhone
from sim.physics.load import Put, Roll
from sim.shop_files import ShopFiles
from sim.wires.code_scanner import CodeScanner
from sim.wires.scale_8217 import Scale8217, ScalePort
from sim.wires.street import Street

_CODE = re.compile(r"Code to take this cart: ([a-z0-9-]+-[0-9A-Z]{6})")
_OBSERVED = re.compile(r'data-observed-us="(\d+)"')
_TILE = re.compile(
    r"data-touch='([^']*)'><(?:img|span) class=\"picture\"[^>]*>\s*(?:[^<]*</span>)?\s*<span>([^<]*)<small>"
)
_LESSON = re.compile(r'action="/console/sight/lessons/([^/"]+)/use"')
_CSRF = re.compile(r'name="_csrf" value="([^"]+)"')
_PHOTOGRAPH_NOISE = 2.0
"""Grey levels on top of the noise that a photograph has of its own."""
_EMPTY_S = 0.25
"""Until a basket that is emptied in one go rests."""


class LiveCart:
    """One cart as a shopper holds it."""

    def __init__(self, name: str, street: Street, screen: str, clock: HostClock, dice: Random) -> None:
        self.name = name
        self._street = street
        self._screen = httpx.AsyncClient(base_url=screen, timeout=10.0)
        self._clock = clock
        self._dice = dice
        self._on_platform: list[int] = []
        self._contents = Contents(Random(dice.random()))
        self._last_observed = 0

    async def read_code(self) -> str | None:
        try:
            page = await self._screen.get("/")
        except httpx.TransportError:
            return None
        found = _CODE.search(page.text)
        return found[1] if found else None

    async def screen(self) -> str:
        """Return the page that its screen shows now (HTML); nothing while it is dark."""
        try:
            return (await self._screen.get("/")).text
        except httpx.TransportError:
            return ""

    async def present(self, unit: Unit, seconds: float) -> None:
        now_s = self._now_s()
        if not unit.code:
            self._street.set_scene(self.name, self._contents.show(unit, now_s, seconds))
            await asyncio.sleep(seconds)
            return
        scene = (
            Scene(photograph=unit.photograph, noise=_PHOTOGRAPH_NOISE, inside=self._contents.inside)
            if unit.photograph
            else Scene(label=_label(unit), inside=self._contents.inside)
        )
        self._street.set_scene(
            self.name, Pass(scene=scene, at_s=now_s, duration_s=seconds, seed=self._dice.randrange(1 << 30))
        )
        await asyncio.sleep(seconds)

    async def answer(self, what: str) -> bool:
        for touch, said in _TILE.findall(await self.screen()):
            if html.unescape(said) == what:
                await self._touch(touch)
                return True
        return False

    async def look_up(self, product: Product) -> None:
        await self._touch(json.dumps({"touch": "add", "product": product.id}))

    async def _touch(self, touch: str) -> None:
        with contextlib.suppress(httpx.TransportError):
            await self._screen.post("/touch", content=touch, headers={"Content-Type": "application/json"})

    def put(self, unit: Unit) -> None:
        view, lands_s = self._contents.put(unit, self._now_s())
        self._street.set_scene(self.name, view)
        self._on_platform.append(unit.mass_mg)
        self._street.add_load(self.name, Put(lands_s, unit.mass_mg))

    def take(self, unit: Unit) -> None:
        view, lands_s = self._contents.take(unit, self._now_s())
        self._street.set_scene(self.name, view)
        self._on_platform.remove(unit.mass_mg)
        self._street.add_load(self.name, Put(lands_s, -unit.mass_mg))

    def roll(self, seconds: float) -> None:
        now_s = self._now_s()
        self._street.add_load(self.name, Roll(now_s, now_s + seconds))

    def empty(self) -> None:
        if self._on_platform:
            self._street.add_load(self.name, Put(self._now_s() + _EMPTY_S, -sum(self._on_platform)))
            self._on_platform.clear()
            self._contents.empty()
            self._street.set_scene(self.name, Scene(inside=self._contents.inside))

    async def watch_screen(self, latencies_us: list[int]) -> None:
        """Look at the cart's screen for ever; note how old the evidence behind each new picture is when it arrives."""
        while True:
            with contextlib.suppress(httpx.TransportError):
                async with self._screen.stream("GET", "/events", timeout=httpx.Timeout(10, read=45)) as stream:
                    async for line in stream.aiter_lines():
                        self._seen(line, latencies_us)
            await asyncio.sleep(0.5)

    async def close(self) -> None:
        await self._screen.aclose()

    def _seen(self, line: str, latencies_us: list[int]) -> None:
        if line.startswith("data:") and (found := _OBSERVED.search(line)):
            observed = int(found[1])
            if observed > self._last_observed:
                if self._last_observed:
                    latencies_us.append(self._clock.monotonic_us() - observed)
                self._last_observed = observed

    def _now_s(self) -> float:
        return self._clock.monotonic_us() / 1e6


class ConsoleAttendant:
    """A person of the store at the console: sees alarms, takes what is not paid, resolves."""

    def __init__(self, store: str, name: str, password: str) -> None:
        self._http = httpx.AsyncClient(base_url=store, timeout=15.0, headers={"Accept": "application/json"})
        self._name = name
        self._password = password

    async def sign_in(self) -> None:
        page = await self._http.get("/console/sign-in", headers={"Accept": "text/html"})
        found = _CSRF.search(page.text)
        form = {"_csrf": found[1] if found else "", "name": self._name, "password": self._password}
        await self._http.post("/console/sign-in", data=form)

    async def resolve_all(self, where: str, *, goods_paid: bool) -> int:
        """Resolve every open alarm of a place, letting through whose goods are all paid; return how many there were."""
        answer = await self._console()
        resolved = 0
        for incident in answer.json()["incidents"]:
            if incident["where"] == where and not incident["resolved_by"]:
                decision = "let-through" if goods_paid and incident["may_let_through"] else "resolve"
                done = await self._http.post(
                    f"/console/incidents/{incident['incident']}/{decision}",
                    headers={"X-CSRF": answer.headers["X-CSRF"]},
                )
                resolved += done.is_success
        return resolved

    async def teach(self, product: ProductId, cart: str, shots: int) -> bool:
        """Have a cart shown a product; return whether the store agreed."""
        form = {"product": product, "cart": cart, "shots": str(shots)}
        return (await self._post("/console/sight/teach", form)).is_success

    async def use_lessons(self) -> int:
        """Teach all carts whatever was learned and waits for a decision; return how much that was."""
        page = await self._http.get("/console/sight", headers={"Accept": "text/html"})
        used = 0
        for lesson in _LESSON.findall(page.text):
            used += (await self._post(f"/console/sight/lessons/{lesson}/use", {})).is_success
        return used

    async def teach_all(self, products: int) -> int:
        """Wait for what a cart learned of so many products, half a minute at most, and teach it to all."""
        taught = 0
        for _ in range(60):
            taught += await self.use_lessons()
            if taught >= products:
                break
            await asyncio.sleep(0.5)
        return taught

    async def _post(self, path: str, form: dict[str, str]) -> httpx.Response:
        answer = await self._console()
        return await self._http.post(path, data=form, headers={"X-CSRF": answer.headers["X-CSRF"]})

    async def console(self) -> bytes:
        """Return what the console shows, as JSON (edge_agent.core.views.ConsoleView)."""
        return (await self._console()).content

    async def counters(self) -> dict[str, int]:
        counters: dict[str, int] = (await self._console()).json()["counters"]
        return counters

    async def close(self) -> None:
        await self._http.aclose()

    async def _console(self) -> httpx.Response:
        for _ in range(5):
            with contextlib.suppress(httpx.TransportError):
                answer = await self._http.get("/api/console")
                if answer.status_code == httpx.codes.OK:
                    return answer
                await self.sign_in()
            await asyncio.sleep(0.5)
        raise ConnectionError("the console does not answer the attendant")


class LiveWorld:
    """Everything outside the product's processes, for one demo shop."""

    def __init__(
        self,
        files: ShopFiles,
        carts: int,
        dice: Random,
        clock: HostClock,
        screen_us: list[int],
        *,
        staff: tuple[str, str],
    ) -> None:
        self._web = f"http://127.0.0.1:{files.web_port}"
        self._clock = clock
        self.street = Street(files.street)
        self._screen_us = screen_us
        self.attendant = ConsoleAttendant(self._web, *staff)
        self.carts = [
            LiveCart(
                f"c{number}",
                self.street,
                f"http://127.0.0.1:{files.screen_ports[number - 1]}",
                clock,
                Random(dice.random()),
            )
            for number in range(1, carts + 1)
        ]
        self._scanner = CodeScanner(files.scanner)
        self.lane = ExitLane(self.street.lane_pins(LANE), self._scanner.scan, self.attendant)
        self.scale = ScalePort(Scale8217(self.lane.grams), files.scale)
        self._watchers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Build the street and the lane; the product's processes find them when they start."""
        await self.street.start()
        self.lane.plug()
        self.scale.plug()
        self._scanner.plug()

    async def connect(self) -> None:
        """Begin to look at screens, now that there are some."""
        await self.attendant.sign_in()
        self._watchers = [asyncio.create_task(cart.watch_screen(self._screen_us)) for cart in self.carts]

    def phone(self, number: int, latencies_us: list[int]) -> HttpPhone:
        return HttpPhone(self._web, number, self._clock.monotonic_us, latencies_us)

    async def counters(self) -> dict[str, int]:
        """Return the console's counters."""
        return await self.attendant.counters()

    async def console(self) -> bytes:
        """Return what the console shows, as JSON (edge_agent.core.views.ConsoleView)."""
        return await self.attendant.console()

    async def stop(self) -> None:
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for cart in self.carts:
            await cart.close()
        await self.attendant.close()
        self.scale.unplug()
        self._scanner.unplug()
        await self.street.close()


def _label(unit: Unit) -> Label:
    return Label(payload=unit.code, symbology=Symbology(unit.symbology), name=unit.name)
