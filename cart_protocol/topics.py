"""The one table of topics: message type -> address, direction, QoS, retention, age. The ACL is made from it."""

from enum import StrEnum

import msgspec

from cart_protocol.ids import CartId, InvalidIdError, StoreId, cart_id, store_id
from cart_protocol.messages import (
    Ack,
    Birth,
    Command,
    Events,
    LessonKept,
    LessonLearned,
    LessonShown,
    LessonWanted,
    Message,
    PicturesWanted,
    Presence,
    PriceBookIssue,
    ProductPicture,
    RecordPart,
    RecordUnavailable,
    RecordWanted,
    Refusal,
    SightIssue,
    Snapshot,
    SnapshotRequest,
    StoreBirth,
)

ROOT = "cartwright/v1"


class Direction(StrEnum):
    UP = "up"
    """From one cart to its store."""
    DOWN = "down"
    """From the store to one cart."""
    ALL = "all"
    """From the store to all its carts."""


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `max_age_s` becomes the MQTT 5 message expiry; None lives until delivered."""

    message: type[Message]
    leaf: str
    direction: Direction
    qos: int = 1
    retained: bool = False
    max_age_s: int | None = None


TABLE = (
    Topic(message=Birth, leaf="birth", direction=Direction.UP),
    Topic(message=Events, leaf="events", direction=Direction.UP, qos=0),
    Topic(message=Snapshot, leaf="snapshot", direction=Direction.UP),
    Topic(message=Presence, leaf="presence", direction=Direction.UP, retained=True),
    Topic(message=RecordPart, leaf="record-part", direction=Direction.UP, qos=0, max_age_s=60),
    Topic(message=RecordUnavailable, leaf="record-unavailable", direction=Direction.UP, qos=0, max_age_s=60),
    Topic(message=PicturesWanted, leaf="pictures-wanted", direction=Direction.UP, qos=0, max_age_s=60),
    Topic(message=LessonShown, leaf="lesson-shown", direction=Direction.UP, qos=0, max_age_s=60),
    Topic(message=LessonLearned, leaf="lesson-learned", direction=Direction.UP, qos=0, max_age_s=60),
    Topic(message=Ack, leaf="ack", direction=Direction.DOWN, qos=0, max_age_s=60),
    Topic(message=SnapshotRequest, leaf="snapshot-request", direction=Direction.DOWN, max_age_s=60),
    Topic(message=Refusal, leaf="refusal", direction=Direction.DOWN, max_age_s=60),
    Topic(message=Command, leaf="command", direction=Direction.DOWN, max_age_s=60),
    Topic(message=RecordWanted, leaf="record-wanted", direction=Direction.DOWN, qos=0, max_age_s=60),
    Topic(message=ProductPicture, leaf="product-picture", direction=Direction.DOWN, qos=0, max_age_s=60),
    Topic(message=LessonWanted, leaf="lesson-wanted", direction=Direction.DOWN, qos=0, max_age_s=60),
    Topic(message=LessonKept, leaf="lesson-kept", direction=Direction.DOWN, qos=0, max_age_s=60),
    Topic(message=StoreBirth, leaf="store-birth", direction=Direction.ALL),
    Topic(message=PriceBookIssue, leaf="price-book", direction=Direction.ALL, retained=True),
    Topic(message=SightIssue, leaf="sight", direction=Direction.ALL, retained=True),
)
BY_MESSAGE = {row.message: row for row in TABLE}
_BY_PLACE = {(row.direction, row.leaf): row for row in TABLE}


class TopicError(ValueError):
    """A topic that is not in the table: somebody else's, or malformed."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A topic taken apart. `cart` is None for messages to all carts."""

    store: StoreId
    cart: CartId | None
    row: Topic


def address(message: type[Message], store: StoreId, cart: CartId | None = None) -> str:
    """Return the topic of a message; `cart` is required unless the message goes to all."""
    row = BY_MESSAGE[message]
    if row.direction is Direction.ALL:
        return f"{ROOT}/{store}/all/{row.leaf}"
    if cart is None:
        raise TopicError(f"{message.__name__} travels {row.direction.value} and needs a cart")
    return f"{ROOT}/{store}/cart/{cart}/{row.direction.value}/{row.leaf}"


def parse(topic: str) -> Place:
    """Return where a topic belongs, or raise TopicError saying which part is not as the table has it."""
    parts = topic.split("/")
    if "/".join(parts[:2]) != ROOT:
        raise TopicError(f"topic {topic!r} does not begin with {ROOT!r}")
    try:
        match parts[2:]:
            case [store, "all", leaf]:
                return Place(store=store_id(store), cart=None, row=_row(topic, Direction.ALL.value, leaf))
            case [store, "cart", cart, (Direction.UP.value | Direction.DOWN.value) as direction, leaf]:
                return Place(store=store_id(store), cart=cart_id(cart), row=_row(topic, direction, leaf))
    except InvalidIdError as error:
        raise TopicError(f"topic {topic!r}: {error}") from error
    raise TopicError(f"topic {topic!r} is neither {ROOT}/STORE/all/LEAF nor {ROOT}/STORE/cart/CART/(up|down)/LEAF")


def subscriptions_of_store(store: StoreId) -> tuple[str, ...]:
    return (f"{ROOT}/{store}/cart/+/{Direction.UP.value}/#",)


def subscriptions_of_cart(store: StoreId, cart: CartId) -> tuple[str, ...]:
    return (f"{ROOT}/{store}/cart/{cart}/{Direction.DOWN.value}/#", f"{ROOT}/{store}/all/#")


def _row(topic: str, direction: str, leaf: str) -> Topic:
    for (known, name), row in _BY_PLACE.items():
        if known.value == direction and name == leaf:
            return row
    leaves = ", ".join(f"{known.value}/{name}" for known, name in _BY_PLACE)
    raise TopicError(f"topic {topic!r}: no message travels {direction}/{leaf}; known are {leaves}")
