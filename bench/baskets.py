"""From steps to the bill: what a cart's core makes of a detector's steps on an honest trip, and how often it asks.

The shopper of the trip scans and announces as the trip says, and answers the cart: two seconds after a question they
tap the tile that says what they did; where none does, they scan what they put in once more, or say on the list what
they took out. Where nothing helps, staff come to the cart when it calls them, and set its list right.

A change of the list is wrong when nobody did what it says. Goods are missed that are on no list, or still on it, while
nothing is asked.
"""

from collections import Counter, deque
from collections.abc import Iterable

import msgspec

from bench.core import Core
from bench.detectors import Found, Level, Outcome
from cart_firmware.core import fusion
from cart_firmware.core.decision import Context, Draft
from cart_firmware.core.hypotheses import (
    Arrived,
    CameBack,
    Cancelled,
    Hypothesis,
    Left,
    Several,
    Swapped,
)
from cart_firmware.core.touch import Choose, Container, Remove
from cart_firmware.core.weighing import Step
from cart_protocol.basket import CartEvent, ContainerAdded, ContainerRemoved, LineAdded, LineRemoved, WeightUnexplained
from cart_protocol.ids import LineId, ProductId, ScanId
from cart_protocol.mass import Mass, Variance
from cart_protocol.money import Money
from cart_protocol.pricing.line import price_line
from cart_protocol.pricing.price_book import PriceBook, Prices, Product, SoldBy, TaxClass
from sim.trips import Action, How, Kind, Scan, Trip

_TICK_S = 0.25
_SIGMA_OF_LEVEL_MG = 4_000
_THINKS_S = 2.0
"""From the question on the screen to the tap."""
_STAFF_S = 10.0
"""From the cart's call until somebody is there."""
_AT_REST_MG = 12_000
_FORGOTTEN_S = 45.0
"""After so long goods that are on no list, and nothing asked, are given away."""
_SETTLED_S = 5.0
_UNDONE_US = 4_000_000
_NOTHING: tuple[int, Kind, ProductId | None] = (-_UNDONE_US, Kind.ADD, None)


class Bill(msgspec.Struct):
    """What came of trips; bills add up."""

    actions: int = 0
    prompts: int = 0
    wrong: int = 0
    taken_back: int = 0
    """Wrong changes that the cart itself took back within seconds: a hand lifted the basket by a product's mass."""
    missed: int = 0
    """Goods on no list, or still on it, and nothing asked."""
    staff: int = 0
    asked_of: Counter[str] = msgspec.field(default_factory=Counter)
    wrong_of: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, other: "Bill") -> None:
        for name in ("actions", "prompts", "wrong", "taken_back", "missed", "staff"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.asked_of.update(other.asked_of)
        self.wrong_of.update(other.wrong_of)

    def rates(self) -> dict[str, float]:
        count = max(1, self.actions)
        return {
            "wrong_per_1000": 1_000 * self.wrong / count,
            "missed_per_1000": 1_000 * self.missed / count,
            "taken_back_per_1000": 1_000 * self.taken_back / count,
            "prompts_per_20": 20 * self.prompts / count,
            "staff_per_100": 100 * self.staff / count,
        }


def bill(trip: Trip, outcome: Outcome) -> Bill:
    """Return what a cart's list and questions were on an honest trip, with these steps."""
    return Shopper(trip, outcome).shop()


class Shopper:
    """Somebody who does what the trip says with a cart that sees these steps, and answers it."""

    def __init__(self, trip: Trip, outcome: Outcome) -> None:
        self._trip = trip
        self._products = {each.product: self.listed(each) for each in trip.scans}
        self._cart = Core(Prices(_book(self._products.values())))
        self._found, self._levels = deque(outcome.found), deque(outcome.levels)
        self._scans, self._actions = deque(trip.scans), deque(trip.truth.actions)
        self._owed = list[Action]()
        self._level_mg = 0.0
        self._lately = _NOTHING
        self._lines = dict[LineId, ProductId]()
        self._asked_s: dict[int, float] = {}
        self._called_s: float | None = None
        self._bill = Bill(actions=len(trip.truth.actions))

    def listed(self, scan: Scan) -> Product:
        """Return what the shop's book says of a product."""
        return product_of(scan)

    def shop(self) -> Bill:
        """Do all of it."""
        for number in range(round(self._trip.seconds / _TICK_S) + 1):
            now_s = number * _TICK_S
            self._until(now_s)
            self._at(now_s)
            self._heard(self._cart.tick())
            self._answer(now_s)
            self._forget(now_s)
        self._count_missed(self._trip.seconds)
        return self._bill

    # ── what happens to the cart ──

    def _until(self, now_s: float) -> None:
        """Play all that happened up to now, in its order."""
        while True:
            scan_s = self._scans[0].at_s if self._scans else now_s + 1
            step_s = self._found[0].at_s if self._found else now_s + 1
            load_s = self._levels[0][0] if self._levels else now_s + 1
            first_s = min(scan_s, step_s, load_s)
            if first_s > now_s:
                return
            self._at(first_s)
            if first_s == scan_s:
                self._told(self._scans.popleft())
            elif first_s == step_s:
                self._heard(self._cart.step(_step(self._found.popleft())))
            else:
                self._loaded(self._levels.popleft())

    def _at(self, now_s: float) -> None:
        self._cart.now_us = round(now_s * 1e6)
        while self._actions and self._actions[0].began_s <= now_s:
            self._owed.append(self._actions.popleft())

    def _told(self, scan: Scan) -> None:
        product = self._products[scan.product]
        match scan.how:
            case How.SHOWN:
                self._heard(self._cart.scan(product))
            case How.STRUCK:
                self._heard(self._cart.touch(Remove(lines=_only(self._cart.line_of(product)))))
            case How.OWN:
                self._heard(self._cart.touch(Container()))

    def _loaded(self, level: Level) -> None:
        self._level_mg = level.mass_mg
        self._heard(self._cart.tell(_report, level))

    # ── what it makes of it ──

    def _heard(self, events: Iterable[CartEvent]) -> None:
        lines = dict(self._lines)
        for event in events:
            match event:
                case LineAdded():
                    self._account(Kind.ADD, event.product)
                case LineRemoved(line=line):
                    self._account(Kind.REMOVE, lines[line])
                case ContainerAdded():
                    self._account(Kind.TARE_IN)
                case ContainerRemoved():
                    self._account(Kind.TARE_OUT)
                case WeightUnexplained(number=number):
                    self._asked_s[number] = self._cart.now_us / 1e6
                    self._bill.prompts += 1
                    self._bill.asked_of[self._why()] += 1
        self._lines = {line.line: line.product for line in self._cart.basket.lines.values()}

    def _account(self, kind: Kind, product: ProductId | None = None) -> None:
        did = next((each for each in self._owed if each.kind is kind and product in (None, id_of(each.product))), None)
        if did is not None:
            self._owed.remove(did)
        elif not self._takes_back(kind, product):
            self._bill.wrong += 1
            self._bill.wrong_of[kind] += 1
            self._lately = (self._cart.now_us, kind, product)

    def _takes_back(self, kind: Kind, product: ProductId | None) -> bool:
        """Whether a wrong change only undoes the wrong one before it, soon enough for nobody to pay."""
        at_us, was, of = self._lately
        undone = self._cart.now_us - at_us <= _UNDONE_US and was is not kind and product == of
        if undone:
            self._bill.wrong -= 1
            self._bill.wrong_of[was] -= 1
            self._bill.taken_back += 1
            self._lately = _NOTHING
        return undone

    def _why(self) -> str:
        return " + ".join(sorted(f"{each.kind} {each.situation}" for each in self._owed)) or "nothing"

    # ── what the shopper and staff do about it ──

    def _answer(self, now_s: float) -> None:
        basket = self._cart.basket
        asked = [number for number in basket.unexplained if now_s - self._asked_s[number] >= _THINKS_S]
        if asked:
            right = next((choice for choice in self._cart.choices() if self._is_right(choice)), None)
            if right is not None:
                self._heard(self._cart.touch(Choose(key=right.key)))
                self._undo(right)
            else:
                self._help(now_s)
        if not basket.attention:
            self._called_s = None
        elif self._called_s is None:
            self._called_s = now_s
        elif now_s - self._called_s >= _STAFF_S and self._rests(now_s):
            self._set_right()

    def _help(self, now_s: float) -> None:
        """Say again what was done and is not on the list, once."""
        waiting = {each.product for each in self._cart.basket.pending.values()}
        for did in self._owed:
            product = self._products.get(did.product)
            if product is None or now_s - did.at_s < _THINKS_S:
                continue
            if did.kind is Kind.ADD and product.id not in waiting:
                self._heard(self._cart.scan(product))
                return
            line = self._cart.line_of(product)
            if did.kind is Kind.REMOVE and line and line not in self._cart.evidence.leaving_us:
                self._heard(self._cart.touch(Remove(lines=(line,))))
                return

    def _is_right(self, choice: Hypothesis) -> bool:
        """Whether the story tells what was done and is not on the list yet."""
        told = Counter[tuple[Kind, str]](_consequences(choice, self._cart))
        asked_s = min(self._asked_s.get(each.number or 0, self._cart.now_us / 1e6) for each in choice.questions)
        owed = Counter[tuple[Kind, str]](
            (each.kind, id_of(each.product)) for each in self._owed if each.at_s <= asked_s
        )
        if isinstance(choice.story, Cancelled):
            return not self._owed or bool(self._pair())
        return all(owed[key] >= count for key, count in told.items()) and bool(told)

    def _rests(self, now_s: float) -> bool:
        """Whether the cart knows of all that was done to it so far: whoever comes waits for that."""
        busy = any(each.began_s <= now_s <= each.at_s + _THINKS_S for each in self._owed)
        return not busy and abs(self._level_mg - self._trip.truth.total_mg(now_s)) < _AT_REST_MG

    def _undo(self, choice: Hypothesis) -> None:
        if isinstance(choice.story, Cancelled) and (pair := self._pair()):
            for each in pair:
                self._owed.remove(each)

    def _pair(self) -> tuple[Action, Action] | None:
        """Return an action and the one that undid it."""
        for place, one in enumerate(self._owed):
            for other in self._owed[place + 1 :]:
                if one.product == other.product and one.mass_mg * other.mass_mg < 0:
                    return one, other
        return None

    def _forget(self, now_s: float) -> None:
        while (pair := self._pair()) and now_s - pair[1].at_s > _FORGOTTEN_S:
            self._owed.remove(pair[0])
            self._owed.remove(pair[1])
        if self._rests(now_s) and self._count_missed(now_s):
            self._set_right(count=False)

    def _count_missed(self, now_s: float) -> bool:
        """Count what is given away, once some of it has been for long; return whether there is any."""
        open_ones = [each for each in self._owed if each not in (self._pair() or ())]
        if self._cart.is_open or not any(now_s - each.at_s > _FORGOTTEN_S for each in open_ones):
            return False
        missed = [each for each in open_ones if now_s - each.at_s > _SETTLED_S]
        self._bill.missed += len(missed)
        self._bill.wrong_of.update(f"missed: {each.kind} {each.situation}" for each in missed)
        return True

    def _set_right(self, *, count: bool = True) -> None:
        """Somebody of the staff looks into the cart, corrects its list and lets it go on."""
        self._bill.staff += count
        self._called_s = None
        self._cart.clear()
        self._cart.tell(_corrected, inside(self._trip, self._cart.now_us / 1e6))
        self._owed.clear()
        self._lines = {line.line: line.product for line in self._cart.basket.lines.values()}


def inside(trip: Trip, at_s: float) -> Counter[str]:
    """Return how many of each product of the shop truly lie in the cart."""
    found = Counter[str]()
    for action in trip.truth.actions:
        if action.at_s <= at_s and action.kind in (Kind.ADD, Kind.REMOVE):
            found[id_of(action.product)] += 1 if action.kind is Kind.ADD else -1
    return found


def _report(draft: Draft, level: Level, context: Context) -> None:
    variance = Variance(_SIGMA_OF_LEVEL_MG**2)
    fusion.load_reported(draft, Mass(round(level.mass_mg)), variance, context, quiet=level.quiet)


def _corrected(draft: Draft, truth: Counter[str], context: Context) -> None:
    for line in list(draft.basket.lines.values()):
        if truth[line.product] > 0:
            truth[line.product] -= 1
        else:
            draft.add(LineRemoved(line=line.line, mass=line.mass))
    for product, count in truth.items():
        for _ in range(count):
            draft.add(_line(ProductId(product), context))


def _line(named: ProductId, context: Context) -> LineAdded:
    """Return what staff put on the list by hand."""
    if context.prices is None:
        raise AssertionError("a cart of this bench has a price book")
    product = context.prices[named]
    return LineAdded(
        line=LineId(context.mint()), scan=ScanId(context.mint()), product=named, name=product.name, quantity=1,
        mass=product.mass, price=price_line(context.prices, product, mass=product.mass, marked=None), tagged=False,
    )  # fmt: skip


def _consequences(choice: Hypothesis, cart: Core) -> list[tuple[Kind, str]]:
    """Return what a story says was done."""
    basket = cart.basket
    match choice.story:
        case Arrived(scans=scans):
            return [(Kind.ADD, basket.pending[scan].product) for scan in scans]
        case Several(scan=scan, further=further):
            return [(Kind.ADD, basket.pending[scan].product)] * (further + 1)
        case Swapped(line=line, scan=scan):
            return [(Kind.REMOVE, basket.lines[line].product), (Kind.ADD, basket.pending[scan].product)]
        case CameBack(taken=taken):
            return [(Kind.ADD, taken.line.product)]
        case Left(lines=lines):
            return [(Kind.REMOVE, basket.lines[line].product) for line in lines]
        case _:
            return []


def _step(found: Found) -> Step:
    return Step(
        at_us=round(found.at_s * 1e6), mass=Mass(round(found.mass_mg)), variance=Variance(round(found.sigma_mg**2)),
        level=Mass(round(found.level_mg)),
        undoes_us=None if found.undoes_s is None else round(found.undoes_s * 1e6),
    )  # fmt: skip


def id_of(number: int) -> ProductId:
    return ProductId(f"{number:014d}")


def _only(line: LineId | None) -> tuple[LineId, ...]:
    return (line,) if line else ()


def product_of(scan: Scan) -> Product:
    return Product(
        id=id_of(scan.product), name=f"Product {scan.product}", sold_by=SoldBy.PIECE,
        price=Money(59 + scan.product * 7 % 1_941, "EUR"), tax_class="food", mass=Mass(scan.nominal_mg),
        mass_variance=Variance(scan.sigma_mg**2), department="shelf",
    )  # fmt: skip


def _book(products: Iterable[Product]) -> PriceBook:
    return PriceBook(
        version=1, currency="EUR", valid_from_ms=0,
        tax_classes=(TaxClass(code="food", name="Food", basis_points=700),), products=tuple(products),
    )  # fmt: skip
