"""What the page of goods by sight shows at one moment. Pure."""

from collections.abc import Callable, Mapping

from cart_protocol.ids import CartId, LessonId, ProductId
from cart_protocol.messages import LessonShown
from cart_protocol.sight import Learned
from edge_agent.core.picture import Surroundings
from edge_agent.core.shop import Shop
from edge_agent.core.sight_book import Lesson, LessonStage, SightVersion
from edge_agent.core.views import KnownCard, LessonCard, SightCart, SightView, TeachableCard, VersionCard

MOST_VERSIONS = 30
"""What a person looks through; older ones stand in the journal."""
MOST_LESSONS = 40
_SHOWN = (LessonStage.ASKED, LessonStage.TAKEN, LessonStage.FAILED)
_FAILED_FOR_MS = 3_600_000
"""How long the page remembers a lesson of which nothing came."""


def view(
    shop: Shop, around: Surroundings, carts: Mapping[CartId, SightCart],
    shown: Callable[[LessonId], LessonShown | None],
) -> SightView:  # fmt: skip
    """Return all of it.

    Args:
        shop: as it is.
        around: the moment.
        carts: what connected carts say that they know.
        shown: how far a lesson under way has come.
    """
    book = shop.sight
    newest = list(reversed(book.lessons.items()))
    lessons = [
        _lesson_card(shop, name, lesson, shown(name))
        for name, lesson in newest
        if lesson.stage in _SHOWN and not _long_over(lesson, around.now_ms)
    ]
    versions = [version for number, version in sorted(book.versions.items(), reverse=True)]
    able = sorted(cart for cart, said in carts.items() if said.takes_lessons and not _in_use(shop, cart))
    return SightView(
        revision=around.revision, now_ms=around.now_ms, version=book.latest.number,
        known=tuple(_known(shop, carts)), lessons=tuple(lessons[:MOST_LESSONS]),
        versions=tuple(_version_card(shop, each, book.latest) for each in versions[:MOST_VERSIONS]),
        carts=tuple(carts[cart] for cart in sorted(carts)), able=tuple(able), teachable=_teachable(shop),
        several_boxes=shop.partitions > 1,
    )  # fmt: skip


def _in_use(shop: Shop, cart: CartId) -> bool:
    return cart in shop.carts and shop.carts[cart].in_use


def _long_over(lesson: Lesson, now_ms: int) -> bool:
    return lesson.stage is LessonStage.FAILED and now_ms - lesson.at_ms > _FAILED_FOR_MS


def name_of(shop: Shop, name: str) -> str:
    """Return how the shop calls what goes by a name in pictures: its product, or the name as it was shipped."""
    latest = shop.books.latest
    if latest is None:
        return name
    if product := latest.find(ProductId(name)):
        return product.name
    named = [latest[each].name for each in latest.named_by_sight(name)]
    return " / ".join(named) if named else name.replace("-", " ")


def _known(shop: Shop, carts: Mapping[CartId, SightCart]) -> list[KnownCard]:
    """Return every product that carts know by sight, by name: taught, or connected with a shipped name."""
    latest, book = shop.sight.latest, shop.books.latest
    shipped = {product.id for product in book.book.products if product.sight} if book else set[ProductId]()
    cards = [_known_card(shop, product, carts) for product in {*latest.taught, *shipped}]
    return sorted(cards, key=lambda card: (card.name, card.product))


def _known_card(shop: Shop, product: ProductId, carts: Mapping[CartId, SightCart]) -> KnownCard:
    taken = shop.sight.learned(product)
    found = shop.books.latest.find(product) if shop.books.latest else None
    shipped = found.sight if found else ""
    networks = {said.network for said in carts.values()}
    card = KnownCard(
        product=product, name=found.name if found else product, listed=found is not None, shipped=shipped,
        in_season=product not in shop.sight.latest.out_of_season,
        alike=tuple(sorted({name_of(shop, name) for name in _alike(shop, product, shipped)})),
    )  # fmt: skip
    if taken is None:
        return card
    learned = taken.learned
    return _with_lesson(card, learned, other_network=bool(networks) and learned.taught.network_sha256 not in networks)


def _with_lesson(card: KnownCard, learned: Learned, *, other_network: bool) -> KnownCard:
    return KnownCard(
        product=card.product, name=card.name, listed=card.listed, shipped=card.shipped, in_season=card.in_season,
        alike=card.alike, shots=learned.taught.shots, verdict=learned.verdict.value, right=learned.right,
        together=learned.together, other_network=other_network,
    )  # fmt: skip


def _alike(shop: Shop, product: ProductId, shipped: str) -> set[str]:
    """Return the names that look like a product: said of it, or said of others that they look like it."""
    own = {product, shipped} - {""}
    names = set[str]()
    for other in shop.sight.latest.taught:
        taken = shop.sight.learned(other)
        theirs = set(taken.learned.taught.look_alikes) if taken else set[str]()
        if other == product:
            names |= theirs
        elif own & theirs:
            names.add(other)
    sharing = shop.books.latest.named_by_sight(shipped) if shipped and shop.books.latest else []
    return (names | set(sharing)) - own


def _lesson_card(shop: Shop, name: LessonId, lesson: Lesson, shown: LessonShown | None) -> LessonCard:
    learned = lesson.taken.learned if lesson.taken else None
    asked = lesson.asked
    cart = asked.cart if asked else lesson.taken.cart if lesson.taken else lesson.failed.cart if lesson.failed else ""
    listed = bool(shop.books.latest and shop.books.latest.find(lesson.product))
    return LessonCard(
        lesson=name, stage=lesson.stage.value, at_ms=lesson.at_ms, cart=CartId(cart), product=lesson.product,
        name=name_of(shop, lesson.product), listed=listed, asked_by=asked.staff if asked else None,
        shots=learned.taught.shots if learned else shown.shots if shown else 0,
        wanted=asked.shots if asked else learned.taught.shots if learned else 0, seen=shown.seen if shown else "",
        verdict=learned.verdict.value if learned else "", right=learned.right if learned else 0,
        together=learned.together if learned else 0,
        resembles=tuple((name_of(shop, each.name), each.percent) for each in learned.resembles) if learned else (),
        alike=tuple(name_of(shop, each) for each in learned.taught.look_alikes) if learned else (),
        sentence=lesson.failed.sentence if lesson.failed else "",
        known=lesson.product in shop.sight.latest.taught,
    )  # fmt: skip


def _version_card(shop: Shop, version: SightVersion, latest: SightVersion) -> VersionCard:
    change = version.change
    return VersionCard(
        number=version.number, at_ms=version.at_ms, staff=change.staff if change else None,
        doing=change.doing if change else "", name=name_of(shop, change.product) if change and change.product else "",
        to=change.to if change else None, taught=len(version.taught), out_of_season=len(version.out_of_season),
        same=version.same_as(latest),
    )  # fmt: skip


def _teachable(shop: Shop) -> tuple[TeachableCard, ...]:
    """Return the products of the book to choose from: loose goods first, then the others, each by name."""
    book = shop.books.latest
    if book is None:
        return ()
    products = sorted(book.book.products, key=lambda each: (not each.id.startswith("plu:"), each.name, each.id))
    return tuple(TeachableCard(product=each.id, name=each.name) for each in products)
