"""From what the camera reads, frame by frame, to a product that was shown: once each time it is shown.

A code counts when two frames agree on it. The same pack lying before the camera counts once: it must leave the view
for a second first, or for a moment if it was weighed in the meantime. That it left is seen, not inferred: at least one
frame without it, since a camera that stalls shows nothing either.
"""

from collections.abc import Iterable

import msgspec

from cart_protocol.gs1.check_digit import CheckDigitError, Gs1Error
from cart_protocol.gs1.scan import ScannedCode, product_of
from cart_protocol.ids import ProductId
from cart_protocol.pricing.price_book import Prices, Product, SoldBy

_AGREE_WITHIN_US = 700_000
"""Two looks at one code belong together: several frames at the slowest useful rate, less than a change of packs."""
_AWAY_US = 1_000_000
_AWAY_WEIGHED_US = 300_000
_REFUSED_ONCE_IN_US = 20_000_000
"""A poster or a phone in the background is refused once, not at every glance."""
_REMEMBERED_US = 60_000_000

Symbol = tuple[str, bytes]
"""A symbology identifier (ISO/IEC 15424) and the payload."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A product that was held before the camera; the frame of `at_us` completed the evidence."""

    at_us: int
    symbology: str
    code: ScannedCode
    product: Product


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A code that names nothing to sell here. `reason`: 'unknown-product', 'check-digit' or 'not-a-product'."""

    at_us: int
    symbology: str
    text: str
    reason: str


class _View(msgspec.Struct):
    """What is remembered of one thing shown, whatever codes it bears."""

    last_us: int
    frame: int
    """Number of the last frame that had it."""
    left: bool = False
    """A frame without it lay between the last two looks."""
    counted_us: int | None = None
    weighed: bool = False


class Scanner:
    """Fed the readings of one frame at a time, in order of time, an empty frame too."""

    def __init__(self, prices: Prices | None = None) -> None:
        self._prices = prices
        self._looks: dict[Symbol, int] = {}
        self._views: dict[str, _View] = {}
        self._frames = 0
        self.counts: dict[str, int] = {}
        """How often each reason for refusing came up."""

    def use(self, prices: Prices) -> None:
        """Look products up in another book from now on."""
        self._prices = prices

    def weighed(self, product: ProductId) -> None:
        """The product was put in: what is shown next is another piece."""
        for key, view in self._views.items():
            if key.partition("|")[0] == product:
                view.weighed = True

    def feed(self, at_us: int, symbols: Iterable[Symbol]) -> list[Shown | Refused]:
        """Return what this frame completed: usually nothing, at most once per thing shown."""
        self._forget(at_us)
        self._frames += 1
        found = list[Shown | Refused]()
        for symbol in dict.fromkeys(symbols):
            seen = identify(at_us, symbol, self._prices)
            view = self._look(at_us, seen)
            agreed = at_us - self._looks.get(symbol, -_AGREE_WITHIN_US - 1) <= _AGREE_WITHIN_US
            self._looks[symbol] = at_us
            if agreed and self._counts(at_us, seen, view):
                found.append(seen)
        return found

    def _look(self, at_us: int, seen: Shown | Refused) -> _View:
        """Note that this frame has it, and whether an earlier one had not."""
        view = self._views.setdefault(_key(seen), _View(at_us, self._frames))
        view.left = view.left or self._frames - view.frame > 1
        view.frame = self._frames
        return view

    def _counts(self, at_us: int, seen: Shown | Refused, view: _View) -> bool:
        """Return whether this is a new showing, and remember it."""
        counted = self._counted(view, at_us, seen)
        view.last_us, view.left = at_us, False
        if counted:
            return False
        view.counted_us, view.weighed = at_us, False
        if isinstance(seen, Refused):
            self.counts[seen.reason] = self.counts.get(seen.reason, 0) + 1
        return True

    def _counted(self, view: _View, at_us: int, seen: Shown | Refused) -> bool:
        """Return whether this is still the showing that was counted."""
        if view.counted_us is None:
            return False
        if isinstance(seen, Refused):
            return at_us - view.counted_us < _REFUSED_ONCE_IN_US
        away_us = _AWAY_WEIGHED_US if view.weighed else _AWAY_US
        return not view.left or at_us - view.last_us < away_us

    def _forget(self, at_us: int) -> None:
        for symbol in [symbol for symbol, last in self._looks.items() if at_us - last > _AGREE_WITHIN_US]:
            del self._looks[symbol]
        for key in [key for key, view in self._views.items() if at_us - view.last_us > _REMEMBERED_US]:
            del self._views[key]


def identify(at_us: int, symbol: Symbol, prices: Prices | None) -> Shown | Refused:
    """Return the product that one symbol names in this book, or why it names none."""
    symbology, payload = symbol
    patterns = prices.book.restricted_patterns if prices else ()
    currency = prices.currency if prices else ""
    try:
        code = product_of(symbology, payload, patterns, currency)
    except CheckDigitError:
        return _refused(at_us, symbol, "check-digit")
    except Gs1Error:
        return _refused(at_us, symbol, "not-a-product")
    product = prices.find(code.product) if prices else None
    if product is None:
        return _refused(at_us, symbol, "unknown-product")
    return Shown(at_us=at_us, symbology=symbology, code=_for_sale(code, product), product=product)


def _for_sale(code: ScannedCode, product: Product) -> ScannedCode:
    """Return the code without the mass and price of its elements where the price book sells by the piece.

    Its net mass is not what the scale will see, and what a piece costs is the shop's word.
    """
    if product.sold_by is SoldBy.PIECE and code.gtin is not None:
        return msgspec.structs.replace(code, marked=None, marked_mass=None)
    return code


def _refused(at_us: int, symbol: Symbol, reason: str) -> Refused:
    symbology, payload = symbol
    return Refused(at_us=at_us, symbology=symbology, text=payload.decode("utf-8", "backslashreplace"), reason=reason)


def _key(seen: Shown | Refused) -> str:
    """One product with one printed price or mass is one thing, though it bear two codes."""
    if isinstance(seen, Refused):
        return f"|{seen.symbology}|{seen.text}"
    marked = seen.code.marked.minor if seen.code.marked else ""
    return f"{seen.product.id}|{marked}|{seen.code.marked_mass or ''}"
