"""What a shopper does on the cart's screen, and what follows. Pure.

Nothing that is touched changes the bill by itself: a product is charged when its weight comes, and a line leaves when
its weight goes. So there is nothing to gain from saying that goods are one's own, or that they were taken out.
"""

from collections.abc import Callable
from math import log
from typing import Any

import msgspec

from cart_firmware.core.decision import Context, Draft
from cart_firmware.core.fusion import choices, expect, reconsider, tell
from cart_firmware.core.hypotheses import Arrived, Hypothesis, Several, clues_of
from cart_protocol.basket import AttentionChanged, ItemScanned, PendingScan, Phase, ScanAbandoned
from cart_protocol.gs1.restricted import plu
from cart_protocol.ids import LineId, ProductId, ScanId
from cart_protocol.pricing.price_book import Prices, Product, SoldBy

MOST_PIECES = 24
_MOST_FOUND = 12
_MOST_LOOSE = 120
"""A shop with more finds the others by their letters."""
_LOOSE = plu("")
"""What the numbers of goods begin with that bear no code of their maker."""
_DOUBTED = log(2_000)
"""Odds of a picture against the shopper's word, above which staff should have a look. The shopper is told nothing."""
_BY_HAND = ""
"""Symbology of what was not read from a symbol."""


class _Touch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="touch", tag=str.lower):
    """Base of all touches; on the wire `touch` is the class name in lower case."""


class Add(_Touch, frozen=True):
    """Products chosen from the list, by name or number, to be put in next: as if each had been scanned."""

    product: ProductId
    pieces: int = 1


class Quantity(_Touch, frozen=True):
    """There are so many of what was scanned."""

    scan: ScanId
    pieces: int


class Remove(_Touch, frozen=True):
    """These lines are about to be taken out. They stay on the bill until they are."""

    lines: tuple[LineId, ...]


class Cancel(_Touch, frozen=True):
    """What was scanned and not put in (all of it, where no `scan` is named), and what was announced, is not to be."""

    scan: ScanId | None = None


class Choose(_Touch, frozen=True):
    """The answer to a question: the key of its tile."""

    key: str


class Container(_Touch, frozen=True):
    """A bag or container of my own comes next."""


class Help(_Touch, frozen=True):
    """Somebody of the staff should come; or, `wanted` false, need not any more."""

    wanted: bool = True


Touch = Add | Quantity | Remove | Cancel | Choose | Container | Help


def touched(draft: Draft, touch: Touch, context: Context) -> None:
    """Decide on a touch. What the basket has no use for any more, because it changed meanwhile, does nothing."""
    if draft.basket.phase is Phase.SHOPPING or (isinstance(touch, Help) and draft.basket.session):
        _DO[type(touch)](draft, touch, context)


def search(prices: Prices | None, text: str) -> tuple[Product, ...]:
    """Return products to choose from: by the first letters of any word of the name, or by the end of the number.

    Without a text it is all that bears no code, to be picked by its picture. What is being recalled must be scanned:
    only the code says which packs are meant.
    """
    wanted = text.casefold().split()
    products = prices.book.products if prices else ()
    sold = (product for product in products if not prices or not prices.recalls_of(product.id))
    if not wanted:
        loose = (product for product in sold if product.id.startswith(_LOOSE))
        return tuple(sorted(loose, key=lambda product: product.name.casefold()))[:_MOST_LOOSE]
    named = (product for product in sold if _matches(product, wanted))
    return tuple(sorted(named, key=lambda product: _nearness(product, wanted)))[:_MOST_FOUND]


def _matches(product: Product, wanted: list[str]) -> bool:
    words = product.name.casefold().split()
    number = product.id.removeprefix(_LOOSE)
    return all(
        any(word.startswith(part) for word in words)
        or (part.isdigit() and number.lstrip("0").startswith(part.lstrip("0")))
        for part in wanted
    )


def _nearness(product: Product, wanted: list[str]) -> tuple[bool, bool, str]:
    """Those whose name begins so first, then loose goods, which bear no code, then by the alphabet."""
    name = product.name.casefold()
    return (not name.startswith(wanted[0]), product.sold_by is SoldBy.PIECE, name)


def _add(draft: Draft, touch: Add, context: Context) -> None:
    product = context.prices.find(touch.product) if context.prices else None
    if context.prices is None or product is None or context.prices.recalls_of(product.id):
        return
    pieces = _pieces(touch.pieces) if product.sold_by is SoldBy.PIECE else 1
    for _ in range(pieces):
        _wait_for(draft, product.id, product.name, context)


def _quantity(draft: Draft, touch: Quantity, context: Context) -> None:
    """Make as many scans wait as there are pieces; a labelled pack is one of its kind and is scanned each time."""
    one = draft.basket.pending.get(touch.scan)
    if one is None or not _by_the_piece(one, context.prices):
        return
    alike = [scan for scan, each in draft.basket.pending.items() if each.product == one.product]
    wanted = _pieces(touch.pieces)
    for scan in alike[wanted:]:
        draft.add(ScanAbandoned(scan=scan))
    for _ in range(wanted - len(alike)):
        _wait_for(draft, one.product, one.name, context)


def _remove(draft: Draft, touch: Remove, context: Context) -> None:
    for line in touch.lines:
        if line in draft.basket.lines:
            draft.evidence.leaving_us[line] = context.now_us
    _look_again(draft, context)


def _cancel(draft: Draft, touch: Cancel, _context: Context) -> None:
    for scan in list(draft.basket.pending):
        if touch.scan in (None, scan):
            draft.add(ScanAbandoned(scan=scan))
    if touch.scan is None:
        draft.evidence.leaving_us.clear()
        draft.evidence.container_us = None


def _choose(draft: Draft, touch: Choose, context: Context) -> None:
    chosen = next((story for story in choices(draft, context) if story.key == touch.key), None)
    if chosen is not None:
        doubted = _seen_otherwise(draft, chosen)
        tell(draft, chosen, context)
        if doubted and not draft.basket.attention:
            draft.add(AttentionChanged(reason="doubted"))
        draft.settle()


def _seen_otherwise(draft: Draft, chosen: Hypothesis) -> bool:
    """Return whether the pictures are all but certain that it was something else than the shopper says was put in."""
    sight = clues_of(chosen.questions).sight
    if sight is None or not isinstance(chosen.story, Arrived | Several):
        return False
    scans = chosen.story.scans if isinstance(chosen.story, Arrived) else (chosen.story.scan,)
    told = max(sight.of(draft.basket.pending[scan].product) for scan in scans)
    return max((ratio for _, ratio in sight.products), default=0.0) - told >= _DOUBTED


def _container(draft: Draft, _touch: Container, context: Context) -> None:
    """Only for what comes next: what lies there already unexplained is not made one's own by saying so."""
    if not draft.basket.unexplained and not draft.evidence.held:
        draft.evidence.container_us = context.now_us


def _help(draft: Draft, touch: Help, _context: Context) -> None:
    if touch.wanted and draft.basket.attention != "help":
        draft.add(AttentionChanged(reason="help"))
    elif not touch.wanted and draft.basket.attention == "help":
        draft.add(AttentionChanged(reason=""))


def _wait_for(draft: Draft, product: ProductId, name: str, context: Context) -> None:
    scanned = ItemScanned(
        scan=ScanId(context.mint()), product=product, name=name, text=str(product), symbology=_BY_HAND
    )
    expect(draft, scanned, context.now_us, context)


def _look_again(draft: Draft, context: Context) -> None:
    before = len(draft.events)
    reconsider(draft, context)
    if len(draft.events) > before:
        draft.settle()


def _by_the_piece(waiting: PendingScan, prices: Prices | None) -> bool:
    product = prices.find(waiting.product) if prices else None
    return product is not None and product.sold_by is SoldBy.PIECE and waiting.marked is None


def _pieces(wanted: int) -> int:
    return max(1, min(wanted, MOST_PIECES))


_DO: dict[type[Touch], Callable[[Draft, Any, Context], None]] = {
    Add: _add,
    Quantity: _quantity,
    Remove: _remove,
    Cancel: _cancel,
    Choose: _choose,
    Container: _container,
    Help: _help,
}
"""A test holds it against Touch, so that none is missing."""
