"""The wire to all carts: messages over a raw link, by the one topic table. Strangers become `Unreadable`."""

from cart_protocol.codec import CodecError, decode, encode
from cart_protocol.ids import CartId, StoreId
from cart_protocol.link import Down, RawLink, Received, Up
from cart_protocol.messages import CartMessage, StoreMessage
from cart_protocol.topics import BY_MESSAGE, Direction, TopicError, address, parse
from edge_agent.ports import Heard, LinkDown, LinkUp, Unreadable


class MqttCartLink:
    """edge_agent.ports.CartLink over an MQTT connection (or the stage's wire)."""

    def __init__(self, raw: RawLink, store: StoreId) -> None:
        self._raw = raw
        self._store = store

    def send(self, message: StoreMessage, cart: CartId | None = None) -> None:
        row = BY_MESSAGE[type(message)]
        topic = address(type(message), self._store, cart)
        self._raw.publish(topic, encode(message), qos=row.qos, retain=row.retained, expiry_s=row.max_age_s)

    async def receive(self) -> LinkUp | LinkDown | Heard | Unreadable:
        match await self._raw.receive():
            case Up():
                return LinkUp()
            case Down(reason):
                return LinkDown(reason)
            case Received(topic, payload):
                return self._read(topic, payload)

    async def close(self) -> None:
        await self._raw.close()

    def _read(self, topic: str, payload: bytes) -> Heard | Unreadable:
        try:
            place = parse(topic)
        except TopicError as error:
            return Unreadable(None, topic, str(error))
        if place.store != self._store or place.cart is None or place.row.direction is not Direction.UP:
            return Unreadable(None, topic, f"not a topic on which carts of store {self._store} speak")
        try:
            decoded = decode(payload)
        except CodecError as error:
            return Unreadable(place.cart, topic, str(error))
        message = decoded.message
        if not isinstance(message, place.row.message):
            expected = place.row.message.__name__
            return Unreadable(place.cart, topic, f"a {type(message).__name__} where {expected} is spoken")
        if not isinstance(message, CartMessage):
            return Unreadable(place.cart, topic, f"a {type(message).__name__} is not for carts to send")
        return Heard(place.cart, message, decoded.unknown_fields)
