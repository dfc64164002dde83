"""From names that goods go by in pictures to products of the shop. Pure.

A name is either a product's own id, where the store taught it, or one that was shipped with the network, which the
price book connects with products (`sight`).
"""

from collections.abc import Collection, Iterable, Mapping

from cart_protocol.ids import ProductId
from cart_protocol.pricing.price_book import Prices


def products_named(name: str, prices: Prices, out_of_season: Collection[ProductId] = ()) -> list[ProductId]:
    """Return the products of the book that go by a name and are in season; several where they look the same."""
    product = ProductId(name)
    found = [product] if prices.find(product) else prices.named_by_sight(name)
    return [each for each in found if each not in out_of_season]


def products_of(
    shares: Iterable[tuple[str, float]], prices: Prices, out_of_season: Collection[ProductId] = ()
) -> tuple[tuple[ProductId, float], ...]:
    """Return how likely each product is that sight names, the likeliest first.

    What goes by several names has their sum; what shares a name has an equal part of it. Goods that are known by sight
    and not sold here keep their share, so the sum is at most that of `shares`: it says how likely it is none of ours.
    """
    found = dict[ProductId, float]()
    for name, share in shares:
        products = products_named(name, prices, out_of_season)
        for product in products:
            found[product] = found.get(product, 0.0) + share / len(products)
    return tuple(sorted(found.items(), key=lambda each: (-each[1], each[0])))


def look_alikes(
    product: ProductId,
    alike: Mapping[str, Collection[str]],
    prices: Prices,
    out_of_season: Collection[ProductId] = (),
) -> frozenset[ProductId]:
    """Return the products from which sight cannot tell this one: never settle between them without a tap.

    Args:
        product: of the book.
        alike: name to the names that look like it, as the self-tests found; said of one, it holds for both.
        prices: the book.
        out_of_season: products that are not looked for at present.
    """
    found = prices.find(product)
    own = {product, found.sight} if found and found.sight else {product}
    names = set[str](own)
    for name, theirs in alike.items():
        if name in own:
            names.update(theirs)
        elif not own.isdisjoint(theirs):
            names.add(name)
    return frozenset(each for name in names for each in products_named(name, prices, out_of_season) if each != product)
