"""The one table of topics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.ids import CartId, StoreId
from cart_protocol.messages import (
    Ack,
    CartMessage,
    Events,
    LessonKept,
    LessonLearned,
    LessonShown,
    LessonWanted,
    Message,
    PicturesWanted,
    PriceBookIssue,
    ProductPicture,
    RecordPart,
    RecordUnavailable,
    RecordWanted,
    StoreBirth,
    StoreMessage,
)
from cart_protocol.topics import (
    TABLE,
    Direction,
    Place,
    TopicError,
    address,
    parse,
    subscriptions_of_cart,
    subscriptions_of_store,
)
from tests.strategies import members_of

SHOP, CART = StoreId("s1"), CartId("c1")
IDS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True)


def test_every_message_has_exactly_one_row() -> None:
    assert sorted(row.message.__name__ for row in TABLE) == sorted(kind.__name__ for kind in members_of(Message))


def test_no_two_messages_share_a_topic() -> None:
    assert len({(row.direction, row.leaf) for row in TABLE}) == len(TABLE)


def test_carts_speak_upwards_and_the_store_downwards() -> None:
    for row in TABLE:
        assert (row.direction is Direction.UP) == (row.message in members_of(CartMessage))
        assert (row.direction is not Direction.UP) == (row.message in members_of(StoreMessage))


def test_the_broker_acknowledges_what_no_exchange_repeats_and_no_command_outlives_its_use() -> None:
    for row in TABLE:
        # Events are sent again until the store acknowledges them; an Ack is cumulative, and the next one says more.
        # Parts of records are asked for until they come.
        again = {Ack, Events, PicturesWanted, ProductPicture, RecordPart, RecordUnavailable, RecordWanted}
        # So are lessons, which are said again until they are answered.
        again |= {LessonWanted, LessonShown, LessonLearned, LessonKept}
        assert row.qos == (0 if row.message in again else 1)
        if row.direction is Direction.DOWN:
            assert row.max_age_s is not None
            assert not row.retained, "a command kept by the broker would be carried out again"


def test_addresses_are_those_of_version_1() -> None:
    assert address(Events, SHOP, CART) == "cartwright/v1/s1/cart/c1/up/events"
    assert address(Ack, SHOP, CART) == "cartwright/v1/s1/cart/c1/down/ack"
    assert address(StoreBirth, SHOP) == "cartwright/v1/s1/all/store-birth"
    assert address(PriceBookIssue, SHOP, CART) == "cartwright/v1/s1/all/price-book"


def test_a_message_to_one_cart_needs_a_cart() -> None:
    with pytest.raises(TopicError, match="Ack travels down and needs a cart"):
        address(Ack, SHOP)


@given(IDS, IDS, st.sampled_from(TABLE))
def test_an_address_is_taken_apart_into_what_it_was_made_of(store: str, cart: str, row: object) -> None:
    assert row in TABLE
    index = TABLE.index(row)
    to_all = TABLE[index].direction is Direction.ALL
    topic = address(TABLE[index].message, StoreId(store), CartId(cart))
    assert parse(topic) == Place(store=StoreId(store), cart=None if to_all else CartId(cart), row=TABLE[index])


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "hello",
        "cartwright",
        "cartwright/v1",
        "cartwright/v2/s1/cart/c1/up/events",
        "cartwright/v1/s1",
        "cartwright/v1/s1/cart/c1/up",
        "cartwright/v1/s1/cart/c1/up/events/more",
        "cartwright/v1/s1/cart/c1/up/ack",
        "cartwright/v1/s1/cart/c1/down/events",
        "cartwright/v1/s1/cart/c1/all/store-birth",
        "cartwright/v1/s1/all/events",
        "cartwright/v1/s1/cart/c1/sideways/events",
        "cartwright/v1/s1/cart//up/events",
        "cartwright/v1//cart/c1/up/events",
        "cartwright/v1/s1/cart/C 1/up/events",
        "cartwright/v1/s1/cart/../up/events",
        "cartwright/v1/s1/cart/+/up/events",
        "/cartwright/v1/s1/cart/c1/up/events",
    ],
)
def test_malformed_topics_are_refused_by_name(topic: str) -> None:
    with pytest.raises(TopicError, match="topic ") as refusal:
        parse(topic)
    assert repr(topic) in str(refusal.value)


@given(st.text(max_size=60))
def test_any_text_is_a_place_or_a_topic_error(topic: str) -> None:
    with pytest.raises(TopicError):
        parse(topic)


def matches(subscription: str, topic: str) -> bool:
    """MQTT 5, section 4.7.1."""
    wanted, levels = subscription.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted, levels = wanted[:-1], levels[: len(wanted) - 1]
    return len(wanted) == len(levels) and all(one in ("+", other) for one, other in zip(wanted, levels, strict=True))


def test_each_side_subscribes_to_all_it_must_hear_and_to_nothing_of_others() -> None:
    for row in TABLE:
        own, foreign = address(row.message, SHOP, CART), address(row.message, SHOP, CartId("c2"))
        upwards = row.direction is Direction.UP
        assert any(matches(wanted, own) for wanted in subscriptions_of_store(SHOP)) == upwards
        assert any(matches(wanted, own) for wanted in subscriptions_of_cart(SHOP, CART)) == (not upwards)
        if row.direction is not Direction.ALL:
            assert not any(matches(wanted, foreign) for wanted in subscriptions_of_cart(SHOP, CART))
        elsewhere = address(row.message, StoreId("s2"), CART)
        assert not any(matches(wanted, elsewhere) for wanted in subscriptions_of_store(SHOP))
