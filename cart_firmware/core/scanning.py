"""From what the camera reads, frame by frame, to a product that was shown: once each time it is shown.

A code counts when the evidence for it is enough (cart_firmware.core.acceptance): for most, two frames that agree. The
same pack lying before the camera counts once: it must leave the view for a second first, or for a moment if it was
weighed in the meantime. That it left is seen, not inferred: at least one frame without it, since a camera that stalls
shows nothing either.
"""

import datetime as dt
from collections.abc import Iterable, Mapping

import msgspec

from cart_firmware.core import acceptance
from cart_firmware.core.acceptance import Evidence, Symbol
from cart_protocol.gs1.check_digit import CheckDigitError, Gs1Error
from cart_protocol.gs1.coupon import CouponCode
from cart_protocol.gs1.scan import ScannedCode, read_code
from cart_protocol.ids import ProductId
from cart_protocol.money import Money
from cart_protocol.pricing.fit_for_sale import tells_packs_apart, unfit
from cart_protocol.pricing.price_book import Nutrition, Prices, Product, Provenance, SoldBy

_AWAY_US = 1_000_000
_AWAY_WEIGHED_US = 300_000
_REFUSED_ONCE_IN_US = 20_000_000
"""A poster or a phone in the background is refused once, not at every glance."""
_REMEMBERED_US = 60_000_000
_UNFIT_US = 60_000_000
"""A pack that must not be sold is not sold by its other code either, which says neither lot nor date."""


class Shown(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A product that was held before the camera; the frame of `at_us` completed the evidence."""

    at_us: int
    symbology: str
    code: ScannedCode
    product: Product


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A code that names nothing to sell here.

    `reason`: 'unknown-product', 'check-digit', 'not-a-product', 'coupon', or one of `fit_for_sale.Unfit`.
    """

    at_us: int
    symbology: str
    text: str
    reason: str
    product: Product | None = None
    """Of a pack that must not be sold."""


class _View(msgspec.Struct):
    """What is remembered of one thing shown, whatever codes it bears."""

    last_us: int
    frame: int
    """Number of the last frame that had it."""
    left: bool = False
    """A frame without it lay between the last two looks."""
    counted_us: int | None = None
    weighed: bool = False


REMEMBERED = (_View, Refused, Product, SoldBy, Money, Nutrition, Provenance, *acceptance.REMEMBERED)
"""What a scanner holds, for a recording (cart_firmware.core.remembered)."""


class Scanner:
    """Fed the readings of one frame at a time, in order of time, an empty frame too."""

    def __init__(self, prices: Prices | None = None) -> None:
        self._prices = prices
        self._evidence = Evidence()
        self._views: dict[str, _View] = {}
        self._unfit: dict[ProductId, Refused] = {}
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

    def feed(
        self,
        at_us: int,
        symbols: Iterable[Symbol],
        today: dt.date | None = None,
        likelihoods: Mapping[Symbol, float] | None = None,
    ) -> list[Shown | Refused]:
        """Return what this frame completed: usually nothing, at most once per thing shown.

        `likelihoods`: by how many nats the picture fits a symbol better than any other, where the reader compared.
        """
        self._forget(at_us)
        self._frames += 1
        found = list[Shown | Refused]()
        named = {symbol: identify(at_us, symbol, self._prices, today) for symbol in symbols}
        self._evidence.saw(at_us, named, likelihoods)
        agreed = [
            symbol for symbol, seen in named.items() if self._evidence.accepts(symbol, known=isinstance(seen, Shown))
        ]
        for symbol in agreed:
            self._learn_of_pack(named[symbol])
        for symbol, alone in named.items():
            seen = self._as_one_pack(alone)
            view = self._look(at_us, seen)
            if symbol in agreed and self._counts(at_us, seen, view):
                found.append(seen)
        return found

    def _learn_of_pack(self, seen: Shown | Refused) -> None:
        """Remember a pack that must not be sold until one that may be is shown, or for a while."""
        if isinstance(seen, Shown):
            if tells_packs_apart(seen.code):
                self._unfit.pop(seen.product.id, None)
        elif seen.product:
            self._unfit[seen.product.id] = seen

    def _as_one_pack(self, seen: Shown | Refused) -> Shown | Refused:
        """Return the refusal of the pack's other code in place of a code that does not tell packs apart."""
        if isinstance(seen, Refused) or tells_packs_apart(seen.code):
            return seen
        refused = self._unfit.get(seen.product.id)
        if refused is None:
            return seen
        return msgspec.structs.replace(refused, at_us=seen.at_us, symbology=seen.symbology, text=seen.code.text)

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
        for key in [key for key, view in self._views.items() if at_us - view.last_us > _REMEMBERED_US]:
            del self._views[key]
        self._unfit = {id_: refused for id_, refused in self._unfit.items() if at_us - refused.at_us <= _UNFIT_US}


def identify(at_us: int, symbol: Symbol, prices: Prices | None, today: dt.date | None = None) -> Shown | Refused:
    """Return the product that one symbol names in this book, or why it names none that may be sold.

    `today` is what the cart's clock says; a day before the book's own, or none, is taken for the book's.
    """
    symbology, payload = symbol
    patterns = prices.book.restricted_patterns if prices else ()
    currency = prices.currency if prices else ""
    try:
        code = read_code(symbology, payload, patterns, currency)
    except CheckDigitError:
        return _refused(at_us, symbol, "check-digit")
    except Gs1Error:
        return _refused(at_us, symbol, "not-a-product")
    if isinstance(code, CouponCode):
        return _refused(at_us, symbol, "coupon")
    product = prices.find(code.product) if prices else None
    if prices is None or product is None:
        return _refused(at_us, symbol, "unknown-product")
    if reason := unfit(code, prices, max(today or prices.valid_from, prices.valid_from)):
        return _refused(at_us, symbol, reason, product)
    return Shown(at_us=at_us, symbology=symbology, code=_for_sale(code, product), product=product)


def _for_sale(code: ScannedCode, product: Product) -> ScannedCode:
    """Return the code without the mass and price of its elements where the price book sells by the piece.

    Its net mass is not what the scale will see, and what a piece costs is the shop's word.
    """
    if product.sold_by is SoldBy.PIECE and code.gtin is not None:
        return msgspec.structs.replace(code, marked=None, marked_mass=None)
    return code


def _refused(at_us: int, symbol: Symbol, reason: str, product: Product | None = None) -> Refused:
    symbology, payload = symbol
    text = payload.decode("utf-8", "backslashreplace")
    return Refused(at_us=at_us, symbology=symbology, text=text, reason=reason, product=product)


def _key(seen: Shown | Refused) -> str:
    """One product with one printed price or mass is one thing, though it bear two codes."""
    if isinstance(seen, Refused):
        return f"|{seen.product.id}|{seen.reason}" if seen.product else f"|{seen.symbology}|{seen.text}"
    marked = seen.code.marked.minor if seen.code.marked else ""
    return f"{seen.product.id}|{marked}|{seen.code.marked_mass or ''}"
