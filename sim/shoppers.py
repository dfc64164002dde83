"""Shoppers: what people do in the shop, honest ones and thieves. They act on the world and read only screens.

The same script runs live (real time, HTTP phones) and staged (virtual time): all waiting is asyncio.sleep.
"""

import asyncio
import contextlib
import random
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Protocol

import msgspec

from cart_protocol.pricing.price_book import Product
from sim.goods import Shelves, Unit
from sim.phone import Phone, PhoneState, RefusedError

_LOOSE_SHARE = 0.3
"""Of what shoppers take, loose goods without a label (sim.goods.Shelves.by_sight)."""


_EMPTIES_S = 2.5
"""How long the cart of a shopper who gives up is empty before it is handed back: longer than a load takes to rest."""


class Character(StrEnum):
    HONEST = "honest"
    POCKETS = "pockets"
    """Hides a tagged product on the body: no scale sees it, the EAS gate does."""
    SLIPS = "slips"
    """Puts something into the cart without scanning and hopes."""
    ADDS_AFTER_PAYING = "adds-after-paying"
    SWITCHES = "switches"
    """Sticks the label of something cheap on dear goods of the same mass."""


class CartAtHand(Protocol):
    """One cart in a shopper's hands."""

    @property
    def name(self) -> str: ...
    async def read_code(self) -> str | None:
        """Return the code on its screen, or None when it shows none."""

    async def present(self, unit: Unit, seconds: float) -> None:
        """Hold the unit's label before the camera, turning it as hands do."""

    async def answer(self, what: str) -> bool:
        """Tap the tile on its screen that says `what`; return whether there was one."""

    async def look_up(self, product: Product) -> None:
        """Choose a product on its screen, by its name or picture."""

    def put(self, unit: Unit) -> None: ...
    def take(self, unit: Unit) -> None: ...
    def roll(self, seconds: float) -> None: ...
    def empty(self) -> None: ...


class ExitLane(Protocol):
    """The lane as a shopper meets it: a scanner, a platform, a barrier, and pedestals that see live tags."""

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Queue for the lane and have it to oneself."""

    def scan(self, text: str) -> None: ...
    def place(self, units: list[Unit]) -> None: ...
    def clear(self) -> None: ...
    async def outcome(self, timeout_s: float) -> str:
        """Wait for the barrier ('open') or the red lamp ('alarm'); 'nothing' after the time-out."""

    async def walk_through(self, carried: list[Unit]) -> bool | None:
        """Go through the pedestals; return whether they stayed silent, or None if the barrier fell before."""

    async def call_attendant(self, *, goods_paid: bool) -> None:
        """An attendant looks at the goods and says on the console: let through, or try again without the rest."""


class Tally(msgspec.Struct, kw_only=True):
    """What the world knows to be true, for the scoreboard."""

    finished: int = 0
    shown: int = 0
    """Units held before a camera."""
    scanned: int = 0
    """Of those, how many the cart recognised and the shopper saw listed."""
    not_read: int = 0
    put: int = 0
    """Weight steps made with a scanned unit: putting in or taking out."""
    matched: int = 0
    """Of those, how many appeared as a line (or left it)."""
    orders: int = 0
    orders_minor: int = 0
    """Sum of what phones said was to pay and then was paid."""
    honest: int = 0
    honest_stopped: int = 0
    thieves: int = 0
    """Whom the shop must stop; labels that were switched are counted by themselves."""
    thieves_stopped: int = 0
    loose: int = 0
    """Goods without a label that were put in."""
    named: int = 0
    """Of those, how many the cart offered by sight; the others were looked up."""
    named_s: list[float] = []
    """From the hand's moving off to the right tile."""
    new: int = 0
    """Of the loose goods, those that carts were taught while the shop ran ..."""
    new_named: int = 0
    """... and how many of these the cart offered."""
    switched: int = 0
    """Goods under the label of others that were put in."""
    switched_asked: int = 0
    """Of those, how many the cart asked about."""
    gave_up: int = 0
    """Shoppers who left without buying because the shop did not work for them."""
    notes: list[str] = []
    waits_s: list[float] = []
    """Time at the exit lane per shopper, from first scan to open barrier."""


class Trip:
    """One shopper's visit."""

    def __init__(
        self,
        *,
        character: Character,
        shelves: Shelves,
        phone: Phone,
        cart: CartAtHand,
        lane: ExitLane,
        tally: Tally,
        dice: random.Random,
        items: int,
        by_sight: bool = False,
        wishes: list[Product] | None = None,
    ) -> None:
        self._by_sight, self._wishes = by_sight, wishes if wishes is not None else []
        self._character = character
        self._shelves = shelves
        self._phone = phone
        self._cart = cart
        self._lane = lane
        self._tally = tally
        self._dice = dice
        self._items = items
        self._in_cart: list[Unit] = []
        self._hidden: list[Unit] = []
        self._caught = False
        self._gave_up = False

    async def run(self) -> None:
        """Visit the shop from the door to the exit. Never raises for what a shop can do to a shopper; it is tallied."""
        honest, switches = self._character is Character.HONEST, self._character is Character.SWITCHES
        self._tally.honest += honest
        self._tally.thieves += not honest and not switches
        try:
            if await self._begin():
                await self._shop()
                await self._leave()
        except RefusedError as refusal:
            self._give_up(f"refused: {refusal.reason}: {refusal}")
        finally:
            self._cart.empty()
            if self._gave_up:
                await asyncio.sleep(_EMPTIES_S)  # what is in it goes back to the shelves before the next shopper comes
            with contextlib.suppress(RefusedError):
                await self._phone.hand_back()  # whoever paid has no cart any more; whoever gave up leaves it to others
            await self._phone.put_away()
        self._tally.thieves_stopped += self._caught and not honest and not switches
        self._tally.honest_stopped += self._caught and honest
        self._tally.finished += 1

    # ── in the shop ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _begin(self) -> bool:
        for _ in range(40):
            code = await self._cart.read_code()
            if code:
                try:
                    await self._phone.bind(code)
                except RefusedError as refusal:
                    if refusal.reason not in {
                        "offline",
                        "no-answer",
                        "unknown-code",
                        "busy",
                    }:  # the cart is in hand: try again
                        raise
                else:
                    if await self._phone.until(lambda state: state.phase == "shopping", 10):
                        return True
            await asyncio.sleep(0.5)
        self._give_up(f"{self._cart.name} could not be bound")
        return False

    async def _shop(self) -> None:
        crime_at = self._dice.randrange(self._items)
        for number in range(self._items):
            await self._walk()
            if self._wishes:
                named = self._tally.named
                await self._buy_loose(self._wishes.pop())
                self._tally.new += 1
                self._tally.new_named += self._tally.named > named
            elif self._by_sight and self._dice.random() < _LOOSE_SHARE:
                await self._buy_loose(self._dice.choice(self._shelves.by_sight[:-1]))
            else:
                await self._buy(self._shelves.pick(self._dice))
            if number == crime_at:
                await self._misbehave()
            if len(self._in_cart) > 1 and self._dice.random() < 0.12:
                await self._put_back()

    async def _walk(self) -> None:
        seconds = self._dice.uniform(0.6, 1.6)
        self._cart.roll(seconds)
        await asyncio.sleep(seconds + self._dice.uniform(0.2, 0.6))

    async def _buy(self, unit: Unit) -> None:
        """Show the label until the screen lists it, then put it in and see it confirmed."""
        lines = len((await self._look()).lines)
        if not await self._show(unit):
            return
        self._cart.put(unit)
        self._tally.put += 1
        if await self._confirmed(unit, lines):
            return
        # The screen did not confirm: take it out again, as the cart asks.
        self._note(
            f"{unit.name} ({unit.mass_mg / 1000:.0f} g) was put in but not confirmed: {(await self._look()).attention}"
        )
        self._cart.take(unit)
        await asyncio.sleep(2)

    async def _confirmed(self, unit: Unit, lines: int) -> bool:
        """Wait for the line of what was put in; where the cart doubts the label, say that it is right."""
        for _ in range(2):
            if await self._phone.until(lambda state: len(state.lines) > lines, 5):
                self._tally.matched += 1
                self._in_cart.append(unit)
                return True
            await self._cart.answer(unit.name)
        return False

    async def _buy_loose(self, product: Product) -> None:
        """Put goods in that bear no label, and tap what they are; where the cart does not offer that, look it up."""
        unit = self._shelves.take_loose(product, self._dice)
        before = (await self._look()).lines
        self._cart.put(unit)
        self._tally.put += 1
        self._tally.loose += 1
        began = asyncio.get_running_loop().time()
        for _ in range(16):
            await asyncio.sleep(0.5)
            if await self._cart.answer(unit.name):
                self._tally.named += 1
                self._tally.named_s.append(asyncio.get_running_loop().time() - began)
                break
        else:
            await self._cart.look_up(unit.product)
            if not await self._phone.until(lambda state: len(state.lines) > len(before), 2):
                await self._cart.answer(unit.name)  # the cart saw something else, and asks
        state = await self._phone.until(lambda state: len(state.lines) > len(before), 8)
        if state and [line.name for line in state.lines].count(unit.name) > [line.name for line in before].count(
            unit.name
        ):
            self._tally.matched += 1
            self._in_cart.append(unit)
            return
        self._note(
            f"{unit.name}, {unit.mass_mg / 1000:.0f} g without a label: {(await self._look()).attention or 'no line'}"
        )
        self._cart.take(unit)
        await asyncio.sleep(2)

    async def _show(self, unit: Unit) -> bool:
        self._tally.shown += 1
        for _ in range(4):
            seen = asyncio.create_task(
                self._phone.until(lambda state: any(p["name"] == (unit.said or unit.name) for p in state.pending), 2.5)
            )
            await self._cart.present(unit, self._dice.uniform(0.9, 1.3))
            if await seen:
                self._tally.scanned += 1
                return True
        self._tally.not_read += 1
        if not unit.photograph:  # of those some no reader can read; they are counted
            self._note(f"the label of {unit.name} was not read ({unit.symbology} {unit.code})")
        return False

    async def _put_back(self) -> None:
        unit = self._dice.choice(self._in_cart)
        lines = len((await self._look()).lines)
        self._cart.take(unit)
        self._in_cart.remove(unit)
        self._tally.put += 1
        if await self._phone.until(lambda state: len(state.lines) < lines, 5):
            self._tally.matched += 1
            return
        await self._cart.answer(unit.name)  # something else in the cart weighs alike, and the cart asks which it was
        if await self._phone.until(lambda state: len(state.lines) < lines, 8):
            self._tally.matched += 1
        else:
            self._note(f"{unit.name} ({unit.mass_mg / 1000:.0f} g) was taken out but its line stayed")

    async def _misbehave(self) -> None:
        match self._character:
            case Character.POCKETS:
                self._hidden.append(self._shelves.pick_tagged(self._dice))
            case Character.SLIPS:
                await self._slip()
            case Character.SWITCHES:
                await self._switch()
            case Character.HONEST | Character.ADDS_AFTER_PAYING:
                pass

    async def _slip(self) -> None:
        unit = self._shelves.pick(self._dice)
        self._cart.put(unit)
        if await self._phone.until(lambda state: bool(state.attention), 8):
            self._caught = True  # the cart asks, and would not let the shopper pay
            try:
                await self._phone.checkout()
            except RefusedError:
                self._cart.take(unit)
                await self._phone.until(lambda state: not state.attention, 8)
                return
            self._caught = False
        self._hidden.append(unit)
        self._cart.take(unit)

    async def _switch(self) -> None:
        """Hope that the scale is all there is. A question is a discovery: the goods go back to their crate."""
        unit = self._shelves.switched(self._dice)
        lines = len((await self._look()).lines)
        if not await self._show(unit):
            return
        self._cart.put(unit)
        self._tally.switched += 1
        state = await self._phone.until(lambda state: bool(state.attention) or len(state.lines) > lines, 8)
        if state and len(state.lines) > lines:
            self._in_cart.append(unit)
            return
        if state is None:
            self._note(f"{unit.name} under the label of {unit.said}: neither a line nor a question")
        else:
            self._tally.switched_asked += 1
        self._cart.take(unit)
        await self._phone.until(lambda state: not state.attention, 8)

    # ── paying and leaving ───────────────────────────────────────────────────────────────────────────────────────

    async def _leave(self) -> None:
        if not self._in_cart:
            await self._phone.hand_back()
            self._give_up("nothing was bought")
            return
        to_pay = await self._checkout()
        paid = await self._pay() if to_pay else None
        if not to_pay or not paid or not paid.exit_token:
            return
        self._tally.orders += 1
        self._tally.orders_minor += to_pay.total_minor
        if self._character is Character.ADDS_AFTER_PAYING:
            self._hidden.append(self._shelves.pick(self._dice))
        async with self._lane.turn():
            await self._pass_lane(paid.exit_token)

    async def _checkout(self) -> PhoneState | None:
        for _ in range(12):  # a scan that never reached the scale is forgotten after 20 s
            try:
                await self._phone.checkout()
            except RefusedError as refusal:
                if refusal.reason not in {"pending", "unexplained", "offline", "no-answer"}:
                    raise
                await asyncio.sleep(2)
                continue
            state = await self._phone.until(lambda state: state.phase == "to-pay", 10)
            if state:
                return state
        self._give_up(f"could not check out: {(await self._look()).attention or (await self._look()).problem}")
        return None

    async def _pay(self) -> PhoneState | None:
        for method in [*self._dice.choices(["test_ok", "test_declined", "test_timeout_after"], [8, 1, 1]), "test_ok"]:
            try:
                await self._phone.pay(method)
            except RefusedError as refusal:
                if refusal.reason != "declined":
                    raise
                continue
            state = await self._phone.until(
                lambda state: state.phase == "paid" or (state.phase == "to-pay" and bool(state.problem)), 40
            )
            if state and state.phase == "paid":
                return state
        self._give_up(f"could not pay: {(await self._look()).problem}")
        return None

    async def _pass_lane(self, token: str) -> None:
        on_scale = list(self._in_cart)
        if self._character is Character.ADDS_AFTER_PAYING:
            on_scale += self._hidden
        self._cart.empty()
        began = asyncio.get_running_loop().time()
        for _ in range(4):
            self._lane.place(on_scale)
            self._lane.scan(token)
            outcome = await self._lane.outcome(20)
            if outcome == "open":
                self._tally.waits_s.append(asyncio.get_running_loop().time() - began)
                silent = await self._walk_out()
                if silent:
                    return
                outcome = "nothing" if silent is None else "alarm"
            if outcome == "nothing":
                self._note(f"the lane did nothing for {self._cart.name}")
            self._caught = self._caught or outcome == "alarm"
            await self._lane.call_attendant(goods_paid=not self._hidden)
            if not self._hidden and await self._lane.outcome(5) == "open":
                await self._walk_out()
                return
            self._lane.clear()
            self._hidden.clear()
            on_scale = list(self._in_cart)
            await asyncio.sleep(1)
        self._give_up("the lane never let the shopper through")

    async def _walk_out(self) -> bool | None:
        """Go through the gate with everything; return whether it stayed silent, or None if it shut too early."""
        silent = await self._lane.walk_through(self._in_cart + self._pocketed())
        if not silent:
            return silent
        self._lane.clear()
        await self._phone.until(lambda state: state.phase in {"goodbye", "unbound"}, 10)
        return True

    def _pocketed(self) -> list[Unit]:
        return self._hidden if self._character is not Character.ADDS_AFTER_PAYING else []

    # ── small things ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _look(self) -> PhoneState:
        state = await self._phone.until(lambda _: True, 10)
        if state is None:
            raise RefusedError("phone", "the phone shows nothing")
        return state

    def _give_up(self, why: str) -> None:
        self._gave_up = True
        self._tally.gave_up += 1
        self._note(f"a shopper ({self._character.value}) gave up: {why}")

    def _note(self, text: str) -> None:
        self._tally.notes.append(f"{self._cart.name}: {text}")


def characters(trips: int, dice: random.Random, *, by_sight: bool = False) -> list[Character]:
    """Return who comes: one in five steals, and each kind of thief comes before any comes twice.

    Labels are switched where carts know goods `by_sight`; elsewhere nothing could notice it.
    """
    thieves = [Character.POCKETS, Character.SLIPS, Character.ADDS_AFTER_PAYING]
    thieves += [Character.SWITCHES] if by_sight else []
    crowd = [thieves[number % len(thieves)] for number in range(max(1, trips // 5))] if trips > 1 else []
    crowd += [Character.HONEST] * (trips - len(crowd))
    dice.shuffle(crowd)
    return crowd
