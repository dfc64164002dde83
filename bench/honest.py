"""Shoppers who do nothing wrong, at the level of settled steps: what they buy, count, take out and put back."""

import random
from collections.abc import Callable
from typing import Any

import msgspec

from bench.frauds import lines_of
from bench.trolley import Pack, Shop, Trolley
from cart_firmware.core.hypotheses import Cancelled, Left
from cart_firmware.core.touch import Quantity, Remove
from cart_protocol.ids import ProductId, ScanId


class Trips(msgspec.Struct):
    """What honest actions led to: in all, and by kind of action (number, questions, wrong changes, left to staff)."""

    actions: int = 0
    prompts: int = 0
    wrong: int = 0
    unresolved: int = 0
    kinds: dict[str, list[int]] = {}

    def note(self, name: str, prompts: int, *, wrong: bool, unresolved: bool) -> None:
        self.actions += 1
        self.prompts += prompts
        self.wrong += wrong
        self.unresolved += unresolved
        kind = self.kinds.setdefault(name, [0, 0, 0, 0])
        for place, count in enumerate((1, prompts, wrong, unresolved)):
            kind[place] += count


def honest_trips(shop: Shop, dice: random.Random, actions: int) -> Trips:
    """Play trips of up to forty actions until so many are done; one that needs staff ends there."""
    found = Trips()
    while found.actions < actions:
        trolley, inside = Trolley(shop, dice), list[Pack]()
        for _ in range(dice.randint(25, 40)):
            if not _act(trolley, inside, dice, found):
                break
    return found


def _act(trolley: Trolley, inside: list[Pack], dice: random.Random, found: Trips) -> bool:
    """Do one thing, answer what the cart asks, and return whether its list is as the goods are."""
    possible = [name for name, (_, _, needs) in _HONEST.items() if len(inside) >= needs]
    name = dice.choices(possible, [_HONEST[each][0] for each in possible])[0]
    asked = trolley.asked
    right = _HONEST[name][1](trolley, inside, dice)
    trolley.wait(4)
    prompts = trolley.asked - asked
    if trolley.is_open:
        trolley.answer(lambda story: right(trolley, story))
    bill = dict[ProductId, int]()
    for pack in inside:
        bill[pack.product.id] = bill.get(pack.product.id, 0) + 1
    wrong = trolley.bill() != bill and not trolley.is_open
    found.note(name, prompts, wrong=wrong, unresolved=trolley.is_open)
    return not wrong and not trolley.is_open


Right = Callable[[Trolley, Any], bool]


def _nothing_right(_trolley: Trolley, _story: Any) -> bool:
    return False


def _undone(_trolley: Trolley, story: Any) -> bool:
    return isinstance(story, Cancelled)


def _left(*packs: Pack) -> Right:
    wanted = sorted(pack.product.id for pack in packs)
    return lambda trolley, story: isinstance(story, Left) and sorted(lines_of(trolley, story)) == wanted


def _buy_one(trolley: Trolley, inside: list[Pack], _dice: random.Random) -> Right:
    pack = trolley.shop.pack()
    trolley.buy(pack)
    inside.append(pack)
    return _nothing_right


def _buy_then_scan(trolley: Trolley, inside: list[Pack], _dice: random.Random) -> Right:
    pack = trolley.shop.pack()
    trolley.put(pack, seconds=1)
    trolley.show(pack.product)
    inside.append(pack)
    return _nothing_right


def _buy_two_at_once(trolley: Trolley, inside: list[Pack], _dice: random.Random) -> Right:
    packs = [trolley.shop.pack(), trolley.shop.pack()]
    for pack in packs:
        trolley.show(pack.product)
    trolley.put(*packs)
    inside += packs
    return _nothing_right


def _buy_some_of_one(trolley: Trolley, inside: list[Pack], dice: random.Random) -> Right:
    """One scan, the number on the screen, and down they go, in one go or in two."""
    first = trolley.shop.pack()
    packs = [first, *(trolley.shop.pack(first.product) for _ in range(dice.randint(1, 5)))]
    trolley.show(first.product)
    scan = next((scan for scan, each in trolley.basket.pending.items() if each.product == first.product.id), ScanId(""))
    trolley.say(Quantity(scan=scan, pieces=len(packs)))
    cut = dice.randint(0, len(packs) - 1)
    for some in (packs[:cut], packs[cut:]):
        if some:
            trolley.put(*some)
    inside += packs
    return _nothing_right


def _take_one(trolley: Trolley, inside: list[Pack], dice: random.Random) -> Right:
    pack = inside.pop(dice.randrange(len(inside)))
    trolley.take(pack)
    return _left(pack)


def _take_announced(trolley: Trolley, inside: list[Pack], dice: random.Random) -> Right:
    pack = inside.pop(dice.randrange(len(inside)))
    line = trolley.line_of(pack.product)
    trolley.say(Remove(lines=(line,) if line else ()))
    trolley.take(pack)
    return _left(pack)


def _take_and_put_back(trolley: Trolley, inside: list[Pack], dice: random.Random) -> Right:
    pack = dice.choice(inside)
    trolley.take(pack, seconds=2)
    trolley.put(pack)
    return _undone


def _lean(trolley: Trolley, _inside: list[Pack], _dice: random.Random) -> Right:
    trolley.lean()
    return _undone


_HONEST: dict[str, tuple[float, Callable[[Trolley, list[Pack], random.Random], Right], int]] = {
    "scan, put in": (60, _buy_one, 0),
    "put in, scan": (8, _buy_then_scan, 0),
    "two at once": (4, _buy_two_at_once, 0),
    "some of one": (5, _buy_some_of_one, 0),
    "take out": (6, _take_one, 1),
    "take out, announced": (2, _take_announced, 1),
    "take out, put back": (5, _take_and_put_back, 1),
    "lean": (10, _lean, 0),
}
"""How often, what, and how many packs there must be. The shares are our own guess of a trip."""
