"""The wire to the store: messages over a raw link, by the one topic table. Strangers are `Unreadable`, not errors."""

from cart_firmware.ports import Heard, LinkDown, LinkUp, Unreadable
from cart_protocol.codec import CodecError, decode, encode
from cart_protocol.ids import CartId, StoreId
from cart_protocol.link import Down, RawLink, Received, Up, Will
from cart_protocol.messages import CartMessage, Presence, StoreMessage
from cart_protocol.topics import BY_MESSAGE, Direction, TopicError, address, parse


def will(store: StoreId, cart: CartId) -> Will:
    """Return what the broker says in the cart's name when it vanishes."""
    return Will(topic=address(Presence, store, cart), payload=encode(Presence(online=False)))


class MqttStoreLink:
    """cart_firmware.ports.StoreLink over an MQTT connection (or the stage's wire)."""

    def __init__(self, raw: RawLink, store: StoreId, cart: CartId) -> None:
        self._raw = raw
        self._store = store
        self._cart = cart

    def send(self, message: CartMessage) -> None:
        row = BY_MESSAGE[type(message)]
        topic = address(type(message), self._store, self._cart)
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
            return Unreadable(topic, str(error))
        if place.store != self._store or place.cart not in (None, self._cart) or place.row.direction is Direction.UP:
            return Unreadable(topic, f"not a topic on which store {self._store} speaks to cart {self._cart}")
        try:
            decoded = decode(payload)
        except CodecError as error:
            return Unreadable(topic, str(error))
        message = decoded.message
        if not isinstance(message, place.row.message) or not isinstance(message, StoreMessage):
            expected = place.row.message.__name__
            return Unreadable(topic, f"a {type(message).__name__} where {expected} is spoken")
        return Heard(message, decoded.unknown_fields)
