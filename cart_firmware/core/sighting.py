"""What a recogniser says, as evidence for a posterior: likelihood ratios against goods at large. Pure.

Goods at large are what shoppers put into carts: some that the recogniser knows, more that it does not. Whatever a
picture says of a product is said against that mixture, so that something unknown needs no picture to be judged by.
"""

from collections.abc import Iterable, Sequence
from math import exp, log

from cart_firmware.core.decision import Sighted
from cart_protocol.ids import ProductId

_UNKNOWN_SHARE = 0.7
"""Of what goes into a cart is not known by sight. Fresh produce is a tenth to a third of a basket (guess: 0.3)."""
_MOST = log(1_000)
"""No picture says more than this, one way or the other: it may show the hand, or the goods of before."""


def sighted(
    from_us: int, until_us: int, products: Sequence[tuple[ProductId, float]], *, names: int, unknown: float
) -> Sighted:
    """Return what the pictures of a passage say.

    What the recogniser knows and the shop does not sell is as strange as what it does not know.

    Args:
        from_us: when the passage began (monotonic).
        until_us: when it was over.
        products: probability of each product of the shop that is known by sight, if it is one of the names.
        names: how many the recogniser knows, each as likely as any other before it looked.
        unknown: probability that it is none of them, before which both were as likely.
    """
    strange = min(unknown, 1 - 1e-9) / (1 - min(unknown, 1 - 1e-9))
    sold = sum(share for _, share in products)
    if not_sold := names - len(products):
        strange = (strange + max(0.0, 1 - sold) * names / not_sold) / 2
    known = sold * names / len(products) if products else 0.0
    at_large = log((1 - _UNKNOWN_SHARE) * known + _UNKNOWN_SHARE * strange + _LEAST)
    ratios = tuple((product, _bounded(share * names, at_large)) for product, share in products)
    return Sighted(from_us, until_us, ratios, _bounded(strange, at_large))


def together(sights: Iterable[Sighted]) -> Sighted | None:
    """Return what several passages say of one change: any of them may have carried what made it. None of none."""
    seen = tuple(sights)
    if len(seen) < 2:
        return seen[0] if seen else None
    named = dict.fromkeys(product for each in seen for product, _ in each.products)
    return Sighted(
        min(each.from_us for each in seen),
        max(each.until_us for each in seen),
        tuple((product, _mean([each.of(product) for each in seen])) for product in named),
        _mean([each.others for each in seen]),
    )


_LEAST = 1e-12


def _bounded(likelihood: float, at_large: float) -> float:
    return round(max(-_MOST, min(_MOST, log(max(likelihood, _LEAST)) - at_large)), 2)


def _mean(ratios: Sequence[float]) -> float:
    """Return the logarithm of the mean of ratios that are given as logarithms."""
    highest = max(ratios)
    return highest + log(sum(exp(ratio - highest) for ratio in ratios) / len(ratios))
