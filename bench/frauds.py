"""Frauds that a cart could see (reference/features, section 4.5), and what looks like them, as plays on a trolley.

Each returns whether the goods went unnoticed, or, of an honest look-alike, whether it is accused.
"""

import random
from collections.abc import Callable

from bench.trolley import Pack, Trolley
from cart_firmware.core.decision import Context
from cart_firmware.core.hypotheses import Left, TareOut
from cart_firmware.core.touch import Container, Remove
from cart_protocol.ids import ProductId
from cart_protocol.mass import Mass, grams

Play = Callable[[Trolley, list[Pack], random.Random], bool | None]


def _unnoticed(trolley: Trolley, stolen: Pack, before: int = 0) -> bool:
    trolley.wait(5)
    return not trolley.is_open and trolley.bill().get(stolen.product.id, 0) <= before


def _count(trolley: Trolley, pack: Pack) -> int:
    return trolley.bill().get(pack.product.id, 0)


def _unscanned(trolley: Trolley, _packs: list[Pack], _dice: random.Random) -> bool:
    pack = trolley.shop.pack()
    before = _count(trolley, pack)
    trolley.put(pack)
    return _unnoticed(trolley, pack, before)


def _scanned_late(trolley: Trolley, _packs: list[Pack], dice: random.Random) -> bool:
    pack = trolley.shop.pack()
    trolley.put(pack, seconds=dice.choice((0.5, 2, 5)))
    trolley.show(pack.product)
    trolley.wait(5)
    return trolley.is_open


def _two_for_one(trolley: Trolley, _packs: list[Pack], _dice: random.Random) -> bool:
    scanned, hidden = trolley.shop.pack(), trolley.shop.pack()
    before = _count(trolley, hidden)
    trolley.show(scanned.product)
    trolley.put(scanned, hidden)
    return _unnoticed(trolley, hidden, before)


def _two_scanned(trolley: Trolley, _packs: list[Pack], _dice: random.Random) -> bool:
    packs = [trolley.shop.pack(), trolley.shop.pack()]
    for pack in packs:
        trolley.show(pack.product)
    trolley.put(*packs)
    trolley.wait(5)
    return trolley.is_open


def _cheap_scanned(trolley: Trolley, _packs: list[Pack], _dice: random.Random) -> bool:
    cheap = trolley.shop.pack()
    dear = trolley.shop.dearer(cheap.product)
    before = _count(trolley, dear)
    trolley.show(cheap.product)
    trolley.put(dear)
    return _unnoticed(trolley, dear, before)


def _bought(trolley: Trolley, _packs: list[Pack], _dice: random.Random) -> bool:
    trolley.buy(trolley.shop.pack())
    trolley.wait(5)
    return trolley.is_open


def _label_alike(trolley: Trolley, _packs: list[Pack], _dice: random.Random) -> bool | None:
    cheap = trolley.shop.pack()
    dear = trolley.shop.alike(cheap.product)
    if dear is None:
        return None
    before = _count(trolley, dear)
    trolley.show(cheap.product)
    trolley.put(dear)
    return _unnoticed(trolley, dear, before)


def _swapped_after(trolley: Trolley, _packs: list[Pack], _dice: random.Random) -> bool:
    """Scan and put in the cheap one; then lift it out and put in the dear one without a scan."""
    cheap = trolley.shop.pack()
    dear = trolley.shop.dearer(cheap.product)
    trolley.buy(cheap)
    before = _count(trolley, dear)
    trolley.take(cheap, seconds=2)
    trolley.put(dear)
    return _unnoticed(trolley, dear, before)


def _swapped_at_once(trolley: Trolley, packs: list[Pack], _dice: random.Random) -> bool:
    """One hand takes out what another puts in: the load changes once, by the difference."""
    dear = trolley.shop.dearer(packs[-1].product)
    before = _count(trolley, dear)
    trolley.load(Mass(dear.mass - packs[-1].mass))
    return _unnoticed(trolley, dear, before)


def _exchanged(trolley: Trolley, packs: list[Pack], _dice: random.Random) -> bool:
    other = trolley.shop.pack()
    trolley.take(packs[-1], seconds=2)
    _choose_line(trolley, packs[-1])
    trolley.show(other.product)
    trolley.put(other)
    trolley.wait(5)
    return trolley.is_open


def _off_the_list(trolley: Trolley, packs: list[Pack], _dice: random.Random) -> bool:
    """Say on the screen that it goes, and keep it."""
    line = trolley.line_of(packs[0].product)
    if line:
        trolley.say(Remove(lines=(line,)))
    trolley.wait(30)
    return not trolley.is_open and line not in trolley.basket.lines


def _taken_off(trolley: Trolley, packs: list[Pack], _dice: random.Random) -> bool:
    line = trolley.line_of(packs[0].product)
    if line:
        trolley.say(Remove(lines=(line,)))
    trolley.take(packs[0])
    trolley.wait(5)
    return trolley.is_open or line in trolley.basket.lines


def _heavier_back(trolley: Trolley, packs: list[Pack], _dice: random.Random) -> bool:
    trolley.take(packs[-1], seconds=3)
    _choose_line(trolley, packs[-1])
    back = trolley.shop.dearer(packs[-1].product)
    before = _count(trolley, back)
    trolley.put(back)
    return _unnoticed(trolley, back, before)


def _same_back(trolley: Trolley, packs: list[Pack], _dice: random.Random) -> bool:
    trolley.take(packs[-1], seconds=3)
    _choose_line(trolley, packs[-1])
    trolley.put(packs[-1])
    trolley.wait(5)
    return trolley.is_open


def _lifted_while_adding(trolley: Trolley, _packs: list[Pack], dice: random.Random) -> bool:
    """Hold the cart up while something unscanned goes in, and let go."""
    pack, lift = trolley.shop.pack(), grams(dice.uniform(100, 1_500))
    before = _count(trolley, pack)
    trolley.load(Mass(pack.mass - lift))
    trolley.load(lift)
    return _unnoticed(trolley, pack, before)


def _leant_while_adding(trolley: Trolley, _packs: list[Pack], dice: random.Random) -> bool:
    pack, lean = trolley.shop.pack(), grams(dice.uniform(100, 1_500))
    trolley.show(pack.product)
    trolley.load(Mass(pack.mass + lean))
    trolley.load(Mass(-lean))
    trolley.wait(5)
    return trolley.is_open


def _hidden_in_a_bag(heavy: bool) -> Play:
    def play(trolley: Trolley, _packs: list[Pack], dice: random.Random) -> bool | None:
        bag, pack = grams(dice.uniform(15, 120)), trolley.shop.pack()
        if (bag + pack.mass > Context(prices=None, mint=str, now_us=0).heaviest_container_mg) is not heavy:
            return None
        before = _count(trolley, pack)
        trolley.say(Container())
        trolley.load(Mass(bag + pack.mass))
        return _unnoticed(trolley, pack, before)

    return play


def _own_bag(trolley: Trolley, _packs: list[Pack], dice: random.Random) -> bool:
    trolley.say(Container())
    trolley.load(grams(dice.uniform(15, 300)))
    trolley.buy(trolley.shop.pack())
    trolley.wait(5)
    return trolley.is_open


def _bag_for_goods(trolley: Trolley, _packs: list[Pack], dice: random.Random) -> bool:
    """A container goes in as tare and out again, and goods come in its place."""
    bag, pack = grams(dice.uniform(15, 380)), trolley.shop.pack()
    before = _count(trolley, pack)
    trolley.say(Container())
    trolley.load(bag, seconds=2)
    trolley.load(Mass(-bag), seconds=2)
    trolley.answer(lambda story: isinstance(story, TareOut))
    trolley.put(pack)
    return _unnoticed(trolley, pack, before)


def _bag_out(trolley: Trolley, _packs: list[Pack], dice: random.Random) -> bool:
    bag = grams(dice.uniform(15, 300))
    trolley.say(Container())
    trolley.load(bag, seconds=2)
    trolley.load(Mass(-bag), seconds=4)
    if trolley.is_open:
        trolley.answer(lambda story: isinstance(story, TareOut))
    trolley.wait(5)
    return trolley.is_open


def _after_submit(trolley: Trolley, _packs: list[Pack], _dice: random.Random) -> bool:
    trolley.freeze()
    return _unscanned(trolley, _packs, _dice)


def _leant_after_submit(trolley: Trolley, _packs: list[Pack], _dice: random.Random) -> bool:
    trolley.freeze()
    trolley.lean()
    trolley.wait(5)
    return trolley.is_open


def _called_ones_own(trolley: Trolley, _packs: list[Pack], _dice: random.Random) -> bool:
    """Goods go in, the cart asks, and the shopper says that it is a bag of theirs."""
    pack = trolley.shop.pack()
    before = _count(trolley, pack)
    trolley.put(pack)
    trolley.say(Container())
    return _unnoticed(trolley, pack, before)


def _off_the_cell(trolley: Trolley, _packs: list[Pack], _dice: random.Random) -> bool:
    return _unnoticed(trolley, trolley.shop.pack(), 1_000_000)


def _choose_line(trolley: Trolley, pack: Pack) -> None:
    """Answer which line left, where the cart asks."""
    trolley.wait(3)
    line = trolley.line_of(pack.product)
    if line and trolley.is_open:
        trolley.answer(lambda story: isinstance(story, Left) and lines_of(trolley, story) == [pack.product.id])


def lines_of(trolley: Trolley, story: Left) -> list[ProductId]:
    return [trolley.basket.lines[line].product for line in story.lines]


ROWS: tuple[tuple[str, Play, Play | None], ...] = (
    ("1 put in without a scan", _unscanned, _scanned_late),
    ("2 two in, one scanned", _two_for_one, _two_scanned),
    ("3 cheap scanned, any dearer one put in", _cheap_scanned, _bought),
    ("6 swapped for a dearer one afterwards", _swapped_after, _exchanged),
    ("6 swapped within one step", _swapped_at_once, None),
    ("7 taken off the list and kept", _off_the_list, _taken_off),
    ("8 taken out, dearer one put back", _heavier_back, _same_back),
    ("9 cart lifted while adding", _lifted_while_adding, _leant_while_adding),
    ("11 goods in an own bag, above the limit", _hidden_in_a_bag(heavy=True), _own_bag),
    ("12 goods in place of an own container", _bag_for_goods, _bag_out),
    ("16 added after the order", _after_submit, _leant_after_submit),
    ("22 asked about, then called one's own", _called_ones_own, None),
)
INVISIBLE: tuple[tuple[str, Play], ...] = (
    ("4 label of a product within 5 % of the mass", _label_alike),
    ("10 goods off the platform", _off_the_cell),
    ("11 goods in an own bag, below the limit", _hidden_in_a_bag(heavy=False)),
)
ELSEWHERE = (
    "5 dear loose goods by a cheap number weigh the same; 13-15, 17-20 are the exit's and the till's; 21 is the robot's"
)
