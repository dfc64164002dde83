"""Frauds and their look-alikes with all their physics: each staged by itself on a cart that stands, again and again.

A fraud is caught when at its end a question stays open, somebody was called, or all that lies in the cart is on the
list. It is played twice: by a thief who leaves questions alone, and by one who taps any answer that is not the truth.
An honest act is accused when at its end a question is open although the shopper answered truly, or when the list is not
what lies in the cart.
"""

from collections import Counter

import msgspec

from bench.baskets import Shopper, inside, product_of
from bench.detectors import Outcome, weigher
from cart_firmware.core.decision import Context
from cart_firmware.core.touch import Choose, Container
from cart_protocol.mass import ZERO
from cart_protocol.pricing.price_book import Product, SoldBy
from sim.trips import Deed, How, Kind, Scan, Settings, Trip, trip
from sim.trips.deeds import Play

_BY_KILOGRAM, _SUBMITTED, _CALLED_OWN = 5, 16, 22
"""Frauds by number: loose goods; what happens to an order; what is said of goods afterwards."""
_CALLS_AFTER_S = 4.0
HEAVIEST_OWN_MG = Context(prices=None, mint=str, now_us=0).heaviest_container_mg
_BESIDE = "hangs it beside the platform"
INVISIBLE = ("label of one as heavy", "dear goods as bananas", _BESIDE)
"""Of these weight cannot know."""
BY_RULE = ("brings a heavy bag, heavy bag", "lifts the bag, sets it down, heavy bag")
"""A bag of more than 400 g is staff's to see, whoever brings it."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of deed: how often it was staged, and how often caught, or accused where it is honest."""

    number: int
    name: str
    honest: bool
    visible: bool
    staged: int
    noticed: int
    noticed_lying: int
    """Of a thief who lies on the screen; an honest shopper does not."""

    @property
    def pct(self) -> float:
        return 100 * self.noticed / self.staged

    @property
    def lying_pct(self) -> float:
        return 100 * self.noticed_lying / self.staged


def rows(play: Play, trials: int, seed: int) -> list[Row]:
    """Return what became of a play that was staged so often; one about bags has a row for light and for heavy ones."""
    found = dict[str, list[tuple[bool, bool]]]()
    for number in range(trials):
        played = trip(seed * 1_000_003 + number, Settings(play=play.name))
        seen = weigher(played)
        silent = lying = _Customer(played, seen, lies=False)
        silent.shop()
        if not play.honest:
            lying = _Customer(played, seen, lies=True)
            lying.shop()
        if not silent.spoilt:
            found.setdefault(_suffix(played), []).append((silent.noticed, lying.noticed))
    return [
        Row(
            number=play.number, name=play.name + suffix, honest=play.honest, visible=play.name not in INVISIBLE,
            staged=len(answers), noticed=sum(silent for silent, _ in answers),
            noticed_lying=sum(lying for _, lying in answers),
        )
        for suffix, answers in sorted(found.items())
    ]  # fmt: skip


class _Customer(Shopper):
    """Shops, and then does the deed."""

    def __init__(self, played: Trip, outcome: Outcome, *, lies: bool) -> None:
        self._deed: Deed = played.truth.deeds[0]
        super().__init__(played, outcome)
        self._lies = lies
        self.spoilt = False
        """Whether the cart asked about something before it began."""
        self._began = self._called = False

    def listed(self, scan: Scan) -> Product:
        product = product_of(scan)
        if self._deed.number == _BY_KILOGRAM and scan.at_s >= self._deed.from_s:
            return msgspec.structs.replace(product, sold_by=SoldBy.KILOGRAM, mass=ZERO)
        return product

    @property
    def noticed(self) -> bool:
        goods = inside(self._trip, self._trip.seconds)
        listed = Counter[str](line.product for line in self._cart.basket.lines.values())
        if self._deed.honest:
            return self._cart.is_open or +goods != +listed
        return self._cart.is_open or (bool(goods) and not goods - listed and self._deed.name != _BESIDE)

    def _answer(self, now_s: float) -> None:
        if not self._began and now_s >= self._deed.from_s - 1.0:
            self._began, self.spoilt = True, self._cart.is_open
            if self._deed.number == _SUBMITTED:
                self._heard(self._cart.freeze())
        if self._deed.number == _CALLED_OWN and not self._called and now_s >= self._deed.until_s + _CALLS_AFTER_S:
            self._called = True
            self._heard(self._cart.touch(Container()))
        if not self._began or self._deed.honest:
            super()._answer(now_s)
        elif self._lies and self._cart.basket.unexplained:
            lie = next((choice for choice in self._cart.choices() if not self._is_right(choice)), None)
            if lie is not None:
                self._heard(self._cart.touch(Choose(key=lie.key)))

    def _set_right(self, *, count: bool = True) -> None:
        """Nobody comes before the end."""


def _suffix(played: Trip) -> str:
    """Return whether the shopper's own bag was more than a cart takes for one unseen."""
    if not any(told.how is How.OWN for told in played.scans):
        return ""
    moved = [action for action in played.truth.actions if action.deed == 0]
    bags = [action for action in moved if action.kind is Kind.TARE_IN]
    return f", {'heavy' if bags[0].mass_mg > HEAVIEST_OWN_MG else 'light'} bag"
