"""The exit check: does what the lane weighed fit the paid order, and the cart's own total? Explained, in milligrams.

Tolerance is three standard deviations of the root sum of squares: per piece what the catalogue knows of the product,
for goods by weight what the cart knows of its own scale, and the exit scale's own error. Of the rules compared by
simulation it is the only one whose false alarms do not depend on the size of the order (reference/features, 4.3).
Three comparisons, an alarm on any: goods hidden in the cart before paying stand in the cart's total, so fusing the
totals into one estimate would hide them.
"""

from collections.abc import Iterable
from enum import StrEnum
from math import isqrt

import msgspec

from cart_protocol.ids import ProductId
from cart_protocol.mass import Mass, Variance, shown
from cart_protocol.pricing.price_book import PriceBook, SoldBy
from edge_agent.core.events import OrderLine

SIGMAS = 3
_IN_SERVICE = 2
"""In service the maximum permissible error is twice that at verification (OIML R 76-1, 3.5.2)."""


class Comparison(StrEnum):
    """Which two masses were compared."""

    EXIT_ORDER = "exit-order"
    EXIT_CART = "exit-cart"
    CART_ORDER = "cart-order"


class Cause(StrEnum):
    """What the shopper is asked to look for (S4: missing scan, wrong scan)."""

    NOT_SCANNED = "not-scanned"
    """Heavier than it should be."""
    WRONGLY_SCANNED = "wrongly-scanned"
    """Lighter than it should be."""


class ExpectedLine(msgspec.Struct, frozen=True, kw_only=True):
    """What one line of the order should weigh, and how well that is known."""

    product: ProductId
    name: str
    quantity: int
    mass: Mass
    """Of the whole line."""
    variance: Variance
    weighed: bool = False
    """The mass is what the cart measured, not what the catalogue says."""

    @property
    def piece(self) -> Mass:
        return Mass(self.mass // max(self.quantity, 1))

    @property
    def piece_variance(self) -> Variance:
        return Variance(self.variance // max(self.quantity, 1))


class CartTotal(msgspec.Struct, frozen=True, kw_only=True):
    """The cart's own settled net load when the order was made."""

    mass: Mass
    variance: Variance


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison. `difference` is first minus second; positive means more than there should be."""

    comparison: Comparison
    difference: Mass
    tolerance: Mass

    @property
    def passed(self) -> bool:
        return abs(self.difference) <= self.tolerance


class ExitCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome with its reasons; `cause` is None exactly when it passed."""

    expected: Mass
    measured: Mass
    tolerance: Mass
    """Of the comparison with the order."""
    verdicts: tuple[Verdict, ...]
    reasons: tuple[str, ...]
    """Where the tolerance comes from, a line each, largest share first."""
    cause: Cause | None = None
    amiss: Mass = Mass(0)
    """How much there is too much (or, negative, too little)."""
    likely: str = ""
    """Name of the product that explains it best; empty where none does."""
    suspect_cart: bool = False
    """Exit scale and order agree, only the cart's own total does not: staff should look at its load cell."""

    @property
    def passed(self) -> bool:
        return self.cause is None

    def evidence(self) -> tuple[str, ...]:
        """Return the lines that staff read with an alarm."""
        lines = [f"expected {shown(self.expected)}, measured {shown(self.measured)}, tolerance {shown(self.tolerance)}"]
        for verdict in self.verdicts:
            word = "passed" if verdict.passed else "FAILED"
            by, limit = signed(verdict.difference), shown(verdict.tolerance)
            lines.append(f"{verdict.comparison}: {word}, {by} of {limit} allowed")
        if self.suspect_cart:
            lines.append("exit scale and order agree: the cart's load cell is the likely cause")
        return (*lines, *self.reasons)


def signed(mass: Mass) -> str:
    """Return a difference as staff read it: '+212 g'."""
    return f"{'+' if mass > 0 else ''}{shown(mass)}"


def expected_lines(lines: Iterable[OrderLine], cart_variance: Variance) -> tuple[ExpectedLine, ...]:
    """Return what each line of an order should weigh.

    Pieces are taken from the catalogue; goods by weight, and pieces of unknown mass, from what the cart saw.
    `cart_variance` is the cart's live variance of one settled load: a step is the difference of two.
    """
    return tuple(_expected(line, Variance(2 * cart_variance)) for line in lines)


def total_of(lines: Iterable[ExpectedLine]) -> tuple[Mass, Variance]:
    """Return the mass that an order should have and its variance, without any scale's error."""
    known = list(lines)
    return Mass(sum(line.mass for line in known)), Variance(sum(line.variance for line in known))


def scale_variance(load: Mass, division: Mass) -> Variance:
    """Return the exit scale's variance at `load`: in-service error limit as three sigma, and rounding to `division`.

    Class III (OIML R 76-1, table 6): half a division up to 500 e, one to 2,000 e, one and a half above; twice that in
    service. Rounding to e is uniform: e squared / 12.
    """
    halves = 1 if load <= 500 * division else 2 if load <= 2_000 * division else 3
    limit = _IN_SERVICE * halves * division // 2
    return Variance((limit * limit) // (SIGMAS * SIGMAS) + division * division // 12)


def tolerance_of(variance: Variance) -> Mass:
    """Return three standard deviations, rounded up to the milligram."""
    square = SIGMAS * SIGMAS * variance
    root = isqrt(square)
    return Mass(root if root * root == square else root + 1)


def check_exit(
    lines: Iterable[ExpectedLine], measured: Mass, division: Mass, cart: CartTotal | None, book: PriceBook | None
) -> ExitCheck:
    """Return the three verdicts (one where the cart had no scale: `cart` is None), the cause and the likely product.

    `book` is searched for the name of something that lies there unscanned; without one nothing is named.
    """
    known = tuple(lines)
    expected, order_variance = total_of(known)
    scale = scale_variance(measured, division)
    verdicts = _verdicts(expected, order_variance, measured, scale, cart)
    outcome = ExitCheck(
        expected=expected,
        measured=measured,
        tolerance=verdicts[0].tolerance,
        verdicts=verdicts,
        reasons=_reasons(known, scale, cart, division),
    )
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if not failed:
        return outcome
    sharpest = min(failed, key=lambda verdict: verdict.tolerance)
    amiss = sharpest.difference
    cause = Cause.NOT_SCANNED if amiss > 0 else Cause.WRONGLY_SCANNED
    spread = Variance((sharpest.tolerance // SIGMAS) ** 2)
    likely = _likely_extra(amiss, spread, known, book) if amiss > 0 else _likely_missing(amiss, spread, known)
    suspect_cart = verdicts[0].passed and all(verdict in failed for verdict in verdicts[1:])
    return msgspec.structs.replace(outcome, cause=cause, amiss=amiss, likely=likely, suspect_cart=suspect_cart)


def _expected(line: OrderLine, step_variance: Variance) -> ExpectedLine:
    weighed = line.price.sold_by is SoldBy.KILOGRAM or line.nominal <= 0
    return ExpectedLine(
        product=line.product,
        name=line.name,
        quantity=line.quantity,
        mass=line.mass if weighed else line.nominal,
        variance=step_variance if weighed else line.nominal_variance,
        weighed=weighed,
    )


def _verdicts(
    expected: Mass, order: Variance, measured: Mass, scale: Variance, cart: CartTotal | None
) -> tuple[Verdict, ...]:
    def verdict(comparison: Comparison, first: Mass, second: Mass, variance: int) -> Verdict:
        tolerance = tolerance_of(Variance(variance))
        return Verdict(comparison=comparison, difference=Mass(first - second), tolerance=tolerance)

    exit_order = verdict(Comparison.EXIT_ORDER, measured, expected, order + scale)
    if cart is None:
        return (exit_order,)
    return (
        exit_order,
        verdict(Comparison.EXIT_CART, measured, cart.mass, cart.variance + scale),
        verdict(Comparison.CART_ORDER, cart.mass, expected, order + cart.variance),
    )


def _reasons(
    lines: tuple[ExpectedLine, ...], scale: Variance, cart: CartTotal | None, division: Mass
) -> tuple[str, ...]:
    shares = [(line.variance, _described(line)) for line in lines]
    shares.append((scale, f"exit scale, class III in service, e = {shown(division)}"))
    if cart is not None:
        shares.append((cart.variance, "cart's own total"))
    shares.sort(key=lambda share: share[0], reverse=True)
    return tuple(f"{shown(tolerance_of(variance))} from {reason}" for variance, reason in shares)


def _described(line: ExpectedLine) -> str:
    return f"{line.quantity} x {line.name}{', as weighed by the cart' if line.weighed else ''}"


def _likely_missing(amiss: Mass, spread: Variance, lines: tuple[ExpectedLine, ...]) -> str:
    """Name the line of which a piece is not there."""
    return _closest(Mass(-amiss), spread, [(line.piece, line.piece_variance, line.name) for line in lines])


def _likely_extra(amiss: Mass, spread: Variance, lines: tuple[ExpectedLine, ...], book: PriceBook | None) -> str:
    """Name what lies there unscanned; at equal mass rather a second piece of something on the order."""
    pieces = [(line.piece, line.piece_variance, line.name) for line in lines if not line.weighed]
    shelf = [(product.mass, product.mass_variance, product.name) for product in book.products] if book else []
    return _closest(amiss, spread, pieces + [candidate for candidate in shelf if candidate[0] > 0])


def _closest(mass: Mass, spread: Variance, candidates: list[tuple[Mass, Variance, str]]) -> str:
    """Return the candidate nearest to `mass` among those that it could be (within three sigma), or nothing."""
    possible = [
        (abs(mass - candidate), place, name)
        for place, (candidate, variance, name) in enumerate(candidates)
        if abs(mass - candidate) <= tolerance_of(Variance(variance + spread))
    ]
    return min(possible)[2] if possible else ""
