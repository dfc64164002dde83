"""A load run: a thousand carts in one process shop at a real store, and the waiting is measured. `cart-sim load`."""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec

from cart_protocol.codec import encode
from cart_protocol.host.clock import HostClock, HostDice, IdMint
from cart_protocol.ids import CartId, StoreId
from cart_protocol.link import Will
from cart_protocol.link.asyncio_mqtt import AsyncioMqttLink
from cart_protocol.messages import Presence
from cart_protocol.pricing.price_book import Prices
from cart_protocol.topics import address, subscriptions_of_cart
from sim.histogram import Histogram
from sim.load_cart import LoadCart, sold_by_piece
from sim.load_shop import STORE, LoadShop, Used
from sim.phone import HttpPhone
from sim.processes import ProcessFailedError

_AT_ONCE = 50
"""Carts that come in, and phones that take one, at the same time."""
_BEAT_S = 0.01
_REPORT_S = 10.0
_SETTLE_S = 60.0
"""How long the last events may take to be acknowledged."""
_GROWTH = 1.2
"""A backlog that is this many times what it was, and a second's worth more, grows."""


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    carts: int
    rate: float
    seconds: float
    phones: int
    outage: float
    folder: Path
    database: str


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One second of the run."""

    second: int
    recorded: int
    backlog: int
    agent: Used


class Outcome(msgspec.Struct, kw_only=True):
    """What a run found."""

    recorded: int = 0
    committed: int = 0
    duplicates: int = 0
    unacknowledged: int = 0
    seconds: float = 0.0
    acknowledged: Histogram = msgspec.field(default_factory=Histogram)
    """From recorded on the cart to the store's acknowledgement, which follows the commit."""
    seen: Histogram = msgspec.field(default_factory=Histogram)
    """From recorded on the cart to the new picture on a phone that watches it."""
    samples: list[Sample] = []

    @property
    def grows(self) -> bool:
        """Whether the backlog of the last third is above that of the middle third."""
        third = len(self.samples) // 3
        if third == 0:
            return False
        middle = sorted(sample.backlog for sample in self.samples[third : 2 * third])[third // 2]
        last = sorted(sample.backlog for sample in self.samples[-third:])[third // 2]
        a_second = self.recorded / max(self.seconds, 1.0)
        return last > _GROWTH * middle + a_second

    def faults(self) -> list[str]:
        """Return what is wrong, in words; nothing for a good run."""
        found = []
        if self.committed != self.recorded:
            found.append(f"{self.recorded} events were recorded and {self.committed} are in the journal")
        if self.duplicates:
            found.append(f"{self.duplicates} events are in the journal twice")
        if self.unacknowledged:
            found.append(f"{self.unacknowledged} events were never acknowledged")
        if self.grows:
            found.append("the backlog grew")
        return found


def run_load(options: LoadOptions) -> int:
    """Run it, print what was found, and return 0 for a good run, 1 for a bad one, 2 where there was none."""
    try:
        outcome = asyncio.run(_until_closed(options))
    except ProcessFailedError as error:
        _say(f"the store could not go on: {error}")
        return 2
    if outcome is None:
        return 2
    _print(outcome)
    faults = outcome.faults()
    _say(f"VERDICT: {'; '.join(faults) or 'every event committed once, acknowledged, no backlog left or growing'}")
    return 1 if faults else 0


async def _until_closed(options: LoadOptions) -> Outcome | None:
    running = asyncio.create_task(load(options))
    for closing in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(closing, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        return await running
    return None


async def load(options: LoadOptions) -> Outcome:
    """Open a store, let the carts shop, settle, and compare the books."""
    if options.folder.exists():
        shutil.rmtree(options.folder)
    shop = LoadShop(options.folder, options.carts, options.database, _say)
    run = _Run(options, shop)
    try:
        await shop.open()
        await run.board()
        await run.shop_on()
        await run.settle()
        await run.leave()
        books = await shop.books()
        run.outcome.committed, run.outcome.duplicates = books.cart_events, books.duplicates
        return run.outcome
    finally:
        await run.leave()
        await shop.close()


class _Run:
    """The carts and phones of one run."""

    def __init__(self, options: LoadOptions, shop: LoadShop) -> None:
        self.outcome = Outcome()
        self._options, self._shop = options, shop
        self._clock = HostClock()
        self._mint = IdMint(self._clock, HostDice())
        self._carts: list[LoadCart] = []
        self._phones: list[HttpPhone] = []
        self._seen_us: list[int] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def board(self) -> None:
        """Switch every cart on and bind it to a shopper; some shoppers go on watching their phones."""
        self._prices = Prices(self._shop.book)
        self._products = sold_by_piece(self._prices)
        self._carts = [self._cart(CartId(f"c{number}")) for number in range(self._options.carts)]
        _say(f"{len(self._carts)} carts come in")
        gate = asyncio.Semaphore(_AT_ONCE)

        async def come_in(number: int, cart: LoadCart) -> None:
            async with gate:
                self._tasks.append(asyncio.create_task(cart.run()))
                await cart.up.wait()
                phone = HttpPhone(self._shop.web, number, self._clock.monotonic_us, self._seen_us)
                await _until(lambda: not cart.waiting)
                await phone.bind(cart.code)
                if number < self._options.phones:
                    self._phones.append(phone)
                else:
                    await phone.put_away()

        beat = asyncio.create_task(self._beat())
        self._tasks.append(beat)
        await asyncio.gather(*(come_in(number, cart) for number, cart in enumerate(self._carts)))
        self._seen_us.clear()

    async def shop_on(self) -> None:
        """Record events at the rate asked for, spread over all carts, and take a sample every second."""
        options, loop = self._options, asyncio.get_running_loop()
        _say(f"{options.rate:.0f} events/s for {options.seconds:.0f} s")
        self.outcome.acknowledged = Histogram()
        began, done, second = loop.time(), 0, 0
        outage = asyncio.create_task(self._outage()) if options.outage else None
        while (elapsed := loop.time() - began) < options.seconds:
            for number in range(done, int(elapsed * options.rate)):
                self._carts[number % len(self._carts)].shop(self._prices, self._products)
                done += 1
            if elapsed >= second + 1 and (outage is None or outage.done()):
                second = int(elapsed)
                self._sample(second)
            await asyncio.sleep(_BEAT_S)
        self.outcome.seconds = loop.time() - began
        if outage:
            await outage

    async def settle(self) -> None:
        """Wait until everything is acknowledged."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                await _until(lambda: not self._backlog())
        _say(f"settled {loop.time() - began:.2f} s after the last event")
        self.outcome.recorded = sum(cart.recorded for cart in self._carts)
        self.outcome.unacknowledged = self._backlog()
        for took_us in self._seen_us:
            self.outcome.seen.add(took_us)

    async def leave(self) -> None:
        """Put phones away and switch carts off; may be called twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(phone.put_away() for phone in self._phones), *(cart.close() for cart in self._carts))
        self._tasks, self._phones, self._carts = [], [], []

    def _cart(self, cart: CartId) -> LoadCart:
        store = StoreId(STORE)
        will = Will(topic=address(Presence, store, cart), payload=encode(Presence(online=False)))
        link = AsyncioMqttLink(
            self._shop.link_settings(cart), client_id=cart, subscriptions=subscriptions_of_cart(store, cart), will=will
        )
        epoch = self._clock.wall_ms()
        return LoadCart(
            cart, store, link, clock=self._clock, mint=self._mint, epoch=epoch,
            acknowledged_in=self._acknowledged,
        )  # fmt: skip

    def _acknowledged(self, took_us: int) -> None:
        self.outcome.acknowledged.add(took_us)

    async def _beat(self) -> None:
        """Let overdue carts ask again."""
        while True:
            for cart in self._carts:
                cart.tick()
            await asyncio.sleep(10 * _BEAT_S)

    async def _outage(self) -> None:
        """Kill the agent in the middle of the run, for as long as asked; everybody comes back at once."""
        await asyncio.sleep(self._options.seconds / 3)
        _say(f"the agent is killed for {self._options.outage:.0f} s")
        await self._shop.power_cut()
        await asyncio.sleep(self._options.outage)
        await self._shop.power_back()
        began, waiting = asyncio.get_running_loop().time(), self._backlog()
        await _until(lambda: self._backlog() <= self._options.rate)
        _say(f"{waiting} events that waited were caught up in {asyncio.get_running_loop().time() - began:.1f} s")

    def _backlog(self) -> int:
        return sum(cart.waiting for cart in self._carts)

    def _sample(self, second: int) -> None:
        self._shop.check()
        sample = Sample(
            second=second, recorded=sum(cart.recorded for cart in self._carts), backlog=self._backlog(),
            agent=self._shop.used()["store"],
        )  # fmt: skip
        samples = self.outcome.samples
        samples.append(sample)
        if second % _REPORT_S == 0:
            before = next((old for old in reversed(samples[:-1]) if old.second <= second - _REPORT_S), samples[0])
            span = max(second - before.second, 1)
            _say(
                f"{second:>4} s: {(sample.recorded - before.recorded) / span:>6.0f} events/s,"
                f" backlog {sample.backlog:>6}, acknowledged p50 {self.outcome.acknowledged.percentile_ms(50):.1f} ms"
                f" p99 {self.outcome.acknowledged.percentile_ms(99):.1f} ms,"
                f" agent {(sample.agent.cpu_s - before.agent.cpu_s) / span * 100:.0f} % of a core,"
                f" {sample.agent.resident_mb:.0f} MiB"
            )


async def _until(condition: Callable[[], bool]) -> None:
    """Return when `condition` holds; nothing that it is about tells of its changes."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(_BEAT_S)


def _print(outcome: Outcome) -> None:
    for name, histogram in (("scan to acknowledged", outcome.acknowledged), ("scan to mirror (page)", outcome.seen)):
        _say(
            f"{name}: n {histogram.count}, p50 {histogram.percentile_ms(50):.1f} ms,"
            f" p95 {histogram.percentile_ms(95):.1f} ms, p99 {histogram.percentile_ms(99):.1f} ms,"
            f" longest {histogram.longest_us / 1e3:.0f} ms"
        )
        for line in histogram.lines():
            _say(line)
    if len(outcome.samples) > 1:
        first, last = outcome.samples[0], outcome.samples[-1]
        cpu = (last.agent.cpu_s - first.agent.cpu_s) / max(last.second - first.second, 1)
        per_event = (last.agent.cpu_s - first.agent.cpu_s) / max(last.recorded - first.recorded, 1) * 1e6
        backlogs = [sample.backlog for sample in outcome.samples]
        _say(
            f"agent: {cpu * 100:.0f} % of one core, {per_event:.0f} us for each event, {last.agent.resident_mb:.0f} MiB"
            f"; backlog median {sorted(backlogs)[len(backlogs) // 2]}, most {max(backlogs)}"
        )
    _say(f"{outcome.recorded} events recorded, {outcome.committed} committed, {outcome.duplicates} twice")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a program for people
