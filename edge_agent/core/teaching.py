"""What carts are taught of goods by sight: who may be shown what, and what becomes of it. Pure."""

import struct
from collections.abc import Collection

from cart_protocol.ids import CartId, LessonId, ProductId, StaffId
from cart_protocol.messages import LessonLearned
from cart_protocol.pricing.price_book import Product
from cart_protocol.sight import MOST_SHOTS, Learned, Verdict
from edge_agent.core.events import (
    LessonAsked,
    LessonFailed,
    LessonSetAside,
    LessonTaken,
    NewId,
    SightChanged,
    StoreEvent,
)
from edge_agent.core.refusals import StaffRefusedError
from edge_agent.core.shop import Shop
from edge_agent.core.sight_book import Lesson, LessonStage

MOST_WAITING = 100
"""Lessons that nobody has decided about; a cart keeps what is more."""
MOST_TAUGHT = 2_000
"""Some 2.6 MB for every cart that connects."""
GIVEN_UP = ("offline", "no-answer")
"""Why the store, and not the cart or staff, ended a lesson."""
_MOST_OPEN = 8
_LENGTH_WITHIN = 0.01
_MOST_NAMES, _LONGEST_NAME = 100, 100
"""What a cart may say of one product: what it said is shown on the console, and sent to all carts."""


# ── showing ──


def ask(
    shop: Shop, cart: CartId, product: ProductId, *, shots: int, staff: StaffId, able: Collection[CartId], new_id: NewId
) -> list[StoreEvent]:
    """Have a product shown to a cart; nothing to do where it is being shown to it already.

    Args:
        shop: as it is.
        cart: that is to look.
        product: of the price book.
        shots: how many it is to take.
        staff: who wants it.
        able: carts that are connected and can be taught.
        new_id: makes the lesson's id.

    Raises:
        StaffRefusedError: reason several-boxes, unknown-product, bad-shots, not-able, in-use, busy or too-many.
    """
    _one_box(shop)
    _product(shop, product)
    if not 1 <= shots <= MOST_SHOTS:
        raise StaffRefusedError("bad-shots", f"Choose 1 to {MOST_SHOTS} shots.")
    if cart not in able:
        raise StaffRefusedError("not-able", "This cart is not connected, or does not know goods by sight.")
    if cart in shop.carts and shop.carts[cart].in_use:
        raise StaffRefusedError("in-use", "A shopper has this cart. Please take another one.")
    open_ones = [each.asked for _, each in shop.sight.of_stage(LessonStage.ASKED) if each.asked]
    here = [each for each in open_ones if each.cart == cart]
    if any(each.product == product for each in here):
        return []
    if here:
        raise StaffRefusedError("busy", "Another product is being shown to this cart. End that first.")
    if len(open_ones) >= _MOST_OPEN:
        raise StaffRefusedError("too-many", f"{_MOST_OPEN} products are being shown already. End one of them first.")
    return [LessonAsked(lesson=LessonId(new_id()), cart=cart, product=product, staff=staff, shots=shots)]


def stop(shop: Shop, lesson: LessonId) -> list[StoreEvent]:
    """End a lesson that is under way; one that is over is ended already. Raises StaffRefusedError unknown-lesson."""
    _lesson(shop, lesson)
    return fail(shop, lesson, "stopped", "It was ended.")


def fail(shop: Shop, lesson: LessonId, reason: str, sentence: str) -> list[StoreEvent]:
    """Nothing comes of a lesson; nothing to do where nobody waits for it."""
    known = shop.sight.lessons.get(lesson)
    if known is None or known.stage is not LessonStage.ASKED or known.asked is None:
        return []
    return [LessonFailed(lesson=lesson, cart=known.asked.cart, reason=reason, sentence=sentence)]


def take(shop: Shop, cart: CartId, message: LessonLearned) -> list[StoreEvent]:
    """Take in what a cart learned, asked for or not. What is here already, or was given up, changes nothing."""
    known = shop.sight.lessons.get(message.lesson)
    if known is not None and not _awaited(known, cart):
        return []
    if problem := _nonsense(shop, message.learned, known):
        return [LessonFailed(lesson=message.lesson, cart=cart, reason="not-ours", sentence=problem)]
    return [LessonTaken(lesson=message.lesson, cart=cart, learned=message.learned)]


def _awaited(lesson: Lesson, cart: CartId) -> bool:
    """Return whether this cart's answer is still wanted: also one that was given up and came back with it."""
    given_up = lesson.failed is not None and lesson.failed.reason in GIVEN_UP
    open_one = lesson.stage is LessonStage.ASKED or (lesson.stage is LessonStage.FAILED and given_up)
    return open_one and lesson.asked is not None and lesson.asked.cart == cart


def has_room(shop: Shop) -> bool:
    """Return whether what a cart learned without being asked can be taken in."""
    return len(shop.sight.of_stage(LessonStage.TAKEN)) < MOST_WAITING


def _nonsense(shop: Shop, learned: Learned, known: Lesson | None) -> str:
    """Return what is wrong with what a cart says that it learned: one bad prototype would spoil every cart's issue."""
    taught = learned.taught
    if known is not None and known.asked is not None and known.asked.product != taught.product:
        return "The cart learned another product than it was shown. Please have its software looked at."
    names = (taught.product, taught.network_sha256, *taught.look_alikes, *(each.name for each in learned.resembles))
    if len(names) > _MOST_NAMES or any(len(name) > _LONGEST_NAME for name in names):
        return "What the cart says of it is too long. Please have its software looked at."
    if len(taught.vector) % 2 or not taught.vector:
        return "What the cart learned is damaged. Please show the product again."
    length = sum(each * each for each in struct.unpack(f"<{len(taught.vector) // 2}e", taught.vector)) ** 0.5
    if not abs(length - 1) <= _LENGTH_WITHIN:
        return "What the cart learned is damaged. Please show the product again."
    same_network = (
        each.taken.learned.taught
        for each in shop.sight.lessons.values()
        if each.taken is not None and each.taken.learned.taught.network_sha256 == taught.network_sha256
    )
    if any(len(each.vector) != len(taught.vector) for each in same_network):
        return "The cart's files do not belong together. Please have its software looked at."
    return ""


# ── deciding ──


def use(shop: Shop, lesson: LessonId, staff: StaffId, *, above: int) -> list[StoreEvent]:
    """Have all carts know a product by what was learned; nothing to do where they do.

    Args:
        shop: as it is.
        lesson: that is to be used.
        staff: who decides.
        above: the highest version that a cart says it has: the new one is above it, even if our log is a restored one.

    Raises:
        StaffRefusedError: reason several-boxes, unknown-lesson, not-learned, scattered, unknown-product or too-many.
    """
    _one_box(shop)
    known = _lesson(shop, lesson)
    if known.taken is None or known.stage is LessonStage.SET_ASIDE:
        raise StaffRefusedError("not-learned", "Nothing was learned there. Please show the product again.")
    if known.taken.learned.verdict is Verdict.SCATTERED:
        sentence = "The shots do not look like one another: carts would take other goods for it. Show it again."
        raise StaffRefusedError("scattered", sentence)
    product = _product(shop, known.product).id
    latest = shop.sight.latest
    if latest.taught.get(product) == lesson and product not in latest.out_of_season:
        return []
    if product not in latest.taught and len(latest.taught) >= MOST_TAUGHT:
        raise StaffRefusedError("too-many", f"Carts were taught {MOST_TAUGHT} products already. Forget some first.")
    return [_change(shop, staff, above, doing="taught", product=product, lesson=lesson)]


def set_aside(shop: Shop, lesson: LessonId, staff: StaffId) -> list[StoreEvent]:
    """Do not use what was learned. Raises StaffRefusedError unknown-lesson."""
    known = _lesson(shop, lesson)
    if known.stage is not LessonStage.TAKEN or known.taken is None:
        return []
    return [LessonSetAside(lesson=lesson, cart=known.taken.cart, staff=staff)]


def forget(shop: Shop, product: ProductId, staff: StaffId, *, above: int) -> list[StoreEvent]:
    """Have carts know a product no better than they were shipped. Raises StaffRefusedError several-boxes."""
    _one_box(shop)
    if product not in shop.sight.latest.taught:
        return []
    return [_change(shop, staff, above, doing="forgotten", product=product)]


def retire(shop: Shop, product: ProductId, staff: StaffId, *, above: int) -> list[StoreEvent]:
    """Have carts not look for a product out of season.

    Raises:
        StaffRefusedError: reason several-boxes or unknown-product.
    """
    _one_box(shop)
    if product in shop.sight.latest.out_of_season:
        return []
    if product not in shop.sight.latest.taught and not _product(shop, product).sight:
        raise StaffRefusedError("unknown-product", "Carts do not know this product by sight.")
    return [_change(shop, staff, above, doing="retired", product=product)]


def bring_back(shop: Shop, product: ProductId, staff: StaffId, *, above: int) -> list[StoreEvent]:
    """Have carts look for a product again. Raises StaffRefusedError several-boxes."""
    _one_box(shop)
    if product not in shop.sight.latest.out_of_season:
        return []
    return [_change(shop, staff, above, doing="brought-back", product=product)]


def roll_back(shop: Shop, to: int, staff: StaffId, *, above: int) -> list[StoreEvent]:
    """Make the content of an older version that of a new one; nothing to do where it is the present one's.

    Raises:
        StaffRefusedError: reason several-boxes or unknown-version.
    """
    _one_box(shop)
    older = shop.sight.versions.get(to)
    if older is None:
        raise StaffRefusedError("unknown-version", "There is no such version.")
    if older.same_as(shop.sight.latest):
        return []
    return [_change(shop, staff, above, doing="rolled-back", to=to)]


def _change(
    shop: Shop, staff: StaffId, above: int, *, doing: str, product: ProductId | None = None,
    lesson: LessonId | None = None, to: int | None = None,
) -> SightChanged:  # fmt: skip
    version = max(shop.sight.latest.number, above) + 1
    return SightChanged(version=version, staff=staff, doing=doing, product=product, lesson=lesson, to=to)


def _one_box(shop: Shop) -> None:
    """Several agents would each number versions of their own (decision 0034)."""
    if shop.partitions > 1:
        sentence = "This store runs on several boxes: carts cannot be taught goods by sight there yet."
        raise StaffRefusedError("several-boxes", sentence)


def _lesson(shop: Shop, lesson: LessonId) -> Lesson:
    known = shop.sight.lessons.get(lesson)
    if known is None:
        raise StaffRefusedError("unknown-lesson", "There is no such lesson.")
    return known


def _product(shop: Shop, product: ProductId) -> Product:
    found = shop.books.latest.find(product) if shop.books.latest else None
    if found is None:
        raise StaffRefusedError("unknown-product", "This product is not in the price book. Put it there first.")
    return found
