"""An exit lane in a whole shop on a virtual clock: the real agent, journal and lane, and small honest hardware."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from cart_protocol.ids import LaneId, StaffId, TokenId
from cart_protocol.mass import Mass, grams
from edge_agent.core.folds import Token
from edge_agent.core.lane_sequence import LaneState
from edge_agent.ports import DeviceError, EasSignal, LampColour, LaneDevices, Weight
from edge_agent.services.lane import Lane
from tests.edge_agent.shop_floor import ALICE, STORE, ShopFloor, play

TWO_MILKS = grams(2_060)
HOLD_S = 20.0
STAFF = StaffId("jo")
Result = TypeVar("Result")


class Part:
    """Hardware that can be broken and mended."""

    broken = ""

    def check(self) -> None:
        if self.broken:
            raise DeviceError(self.broken)


class Platform(Part):
    division = grams(5)

    def __init__(self) -> None:
        self.load, self.moving = Mass(0), False

    async def weigh(self) -> Weight:
        await asyncio.sleep(0.001)
        self.check()
        return Weight(mass=None if self.moving else self.load, in_motion=self.moving)

    async def close(self) -> None: ...


class Scanner(Part):
    def __init__(self) -> None:
        self.codes: asyncio.Queue[str | None] = asyncio.Queue()

    async def read(self) -> str:
        self.check()
        code = await self.codes.get()
        if code is None:
            self.check()
        return code or ""

    def unplug(self) -> None:
        self.broken = "scanner: no such device"
        self.codes.put_nowait(None)

    async def close(self) -> None: ...


class Gate(Part):
    def __init__(self) -> None:
        self.is_open, self.signals, self.openings = False, asyncio.Queue[EasSignal](), 0

    def open(self) -> None:
        self.check()
        self.is_open = True
        self.openings += 1

    def close_barrier(self) -> None:
        self.is_open = False

    async def signal(self) -> EasSignal:
        return await self.signals.get()


class Pad(Part):
    live = False

    def enable(self) -> None:
        self.check()
        self.live = True

    def disable(self) -> None:
        self.live = False


class Lamp:
    colour = LampColour.OFF

    def show(self, colour: LampColour) -> None:
        self.colour = colour


class Tone:
    on = False

    def sound(self, on: bool) -> None:
        self.on = on


class Voice(Part):
    def __init__(self) -> None:
        self.said: list[str] = []

    async def say(self, sentence: str) -> None:
        self.check()
        self.said.append(sentence)
        await asyncio.sleep(0.05 * len(sentence.split()))


class Bay:
    """One lane with its hardware, and what a shopper does there."""

    def __init__(self, floor: ShopFloor, name: str = "lane-2", holds: dict[TokenId, LaneId] | None = None) -> None:
        self.floor = floor
        self.scale, self.scanner, self.gate, self.pad = Platform(), Scanner(), Gate(), Pad()
        self.lamp, self.tone, self.voice = Lamp(), Tone(), Voice()
        devices = LaneDevices(
            lane=LaneId(name), scale=self.scale, scanner=self.scanner, deactivator=self.pad, gate=self.gate,
            lights=self.lamp, tone=self.tone, speaker=self.voice,
        )  # fmt: skip
        self.lane = Lane(
            devices, floor.agent.recorder, floor.mint.uuid, store=STORE, hold_s=HOLD_S, holds=holds,
            verify=lambda _, signature: signature == bytes(64),
        )  # fmt: skip
        floor.agent.lanes.append(self.lane)  # so that the counter knows it
        self.running = asyncio.create_task(self.lane.run())

    @property
    def state(self) -> LaneState:
        return self.lane.state

    @property
    def shut(self) -> bool:
        return not self.gate.is_open and not self.pad.live

    async def scan(self, code: str, wait_s: float = 1.0) -> None:
        self.scanner.codes.put_nowait(code)
        await asyncio.sleep(wait_s)

    async def signal(self, signal: EasSignal) -> None:
        self.gate.signals.put_nowait(signal)
        await asyncio.sleep(0.1)

    async def come(self, code: str, load: Mass, wait_s: float = 3.0) -> None:
        self.scale.load = load
        await self.scan(code, wait_s)

    async def resolve(self) -> None:
        for incident in list(self.floor.agent.recorder.shop.incidents.newest_first()):
            await self.floor.agent.counter.resolve(incident.raised.incident, STAFF)
        await asyncio.sleep(0.1)

    async def let_through(self) -> None:
        """Staff let through whoever the newest alarm stopped."""
        newest = next(self.floor.agent.recorder.shop.incidents.newest_first())
        await self.floor.agent.counter.resolve(newest.raised.incident, STAFF, let_through=True)
        await asyncio.sleep(0.1)

    async def stop(self) -> None:
        self.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.running


def token_of(floor: ShopFloor, shopper: str = ALICE) -> Token:
    shop = floor.agent.recorder.shop
    order = shop.orders.of_session(shop.bindings.latest_of[shopper].session)  # type: ignore[index]
    assert order is not None
    token = shop.tokens.of_order(order.id)
    assert token is not None
    return token


def recorded(floor: ShopFloor, kind: type[Result]) -> list[Result]:
    return [fact.event for fact in floor.heard if isinstance(fact.event, kind)]  # type: ignore[attr-defined]


def lane_story(folder: Path, story: Callable[[ShopFloor, Bay], Awaitable[None]]) -> None:
    """A shop with one lane, and Alice's two milks paid."""

    async def whole(floor: ShopFloor) -> None:
        floor.heard = []  # type: ignore[attr-defined]
        floor.agent.recorder.listen(floor.heard.extend)  # type: ignore[attr-defined]
        await floor.paid()
        await floor.quiet(0.5)
        bay = Bay(floor)
        try:
            await story(floor, bay)
        finally:
            await bay.stop()

    play(folder, whole)
