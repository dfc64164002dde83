"""The wire to all carts: messages over a raw link, by the one topic table. Strangers become `Unreadable`."""

from collections.abc import Callable, Iterator

from cart_protocol.codec import CodecError, decode, encode
from cart_protocol.ids import CartId, StoreId
from cart_protocol.link import Down, RawLink, Received, Up
from cart_protocol.messages import CartMessage, Message, StoreMessage
from cart_protocol.topics import BY_MESSAGE, Direction, TopicError, address, parse
from edge_agent.ports import Heard, LinkDown, LinkUp, Unreadable

_PLACES_REMEMBERED = 20_000
"""A shop of 1,000 carts speaks on 4,000 topics."""


class MqttCartLink:
    """edge_agent.ports.CartLink over an MQTT connection (or the stage's wire).

    Args:
        ours: whether a cart is ours to hear, where several agents share a store; what others say is not even read.
    """

    def __init__(self, raw: RawLink, store: StoreId, ours: Callable[[CartId], bool] = lambda _: True) -> None:
        self._raw = raw
        self._store = store
        self._ours = ours
        self._places: dict[str, tuple[CartId, type[Message]]] = {}
        """Topics that were understood, and what is said on them: carts repeat themselves."""

    def send(self, message: StoreMessage, cart: CartId | None = None) -> None:
        row = BY_MESSAGE[type(message)]
        topic = address(type(message), self._store, cart)
        self._raw.publish(topic, encode(message), qos=row.qos, retain=row.retained, expiry_s=row.max_age_s)

    async def receive(self) -> LinkUp | LinkDown | Heard | Unreadable:
        while (told := self._told(await self._raw.receive())) is None:
            pass
        return told

    def drain(self) -> Iterator[LinkUp | LinkDown | Heard | Unreadable]:
        return (told for told in map(self._told, self._raw.drain()) if told is not None)

    async def close(self) -> None:
        await self._raw.close()

    def _told(self, item: Up | Down | Received) -> LinkUp | LinkDown | Heard | Unreadable | None:
        match item:
            case Received(topic, payload):
                return self._read(topic, payload)
            case Up():
                return LinkUp()
            case Down(reason):
                return LinkDown(reason)

    def _read(self, topic: str, payload: bytes) -> Heard | Unreadable | None:
        try:
            cart, expected = self._places.get(topic) or self._place(topic)
        except TopicError as error:
            return Unreadable(None, topic, str(error))
        if not self._ours(cart):
            return None
        try:
            decoded = decode(payload)
        except CodecError as error:
            return Unreadable(cart, topic, str(error))
        message = decoded.message
        if not isinstance(message, expected):
            return Unreadable(cart, topic, f"a {type(message).__name__} where {expected.__name__} is spoken")
        if not isinstance(message, CartMessage):
            return Unreadable(cart, topic, f"a {type(message).__name__} is not for carts to send")
        return Heard(cart, message, decoded.unknown_fields)

    def _place(self, topic: str) -> tuple[CartId, type[Message]]:
        place = parse(topic)
        if place.store != self._store or place.cart is None or place.row.direction is not Direction.UP:
            raise TopicError(f"not a topic on which carts of store {self._store} speak")
        if len(self._places) >= _PLACES_REMEMBERED:
            self._places.clear()
        found = self._places[topic] = (place.cart, place.row.message)
        return found
