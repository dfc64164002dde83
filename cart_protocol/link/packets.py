"""MQTT 5.0 packets of a client, without I/O: bytes in any portions to packets, and what we send to bytes.

Only what the link uses: QoS 0 and 1, no topic aliases, no user properties. Section numbers are those of the OASIS
standard "MQTT Version 5.0". Bytes that break its rules raise MalformedPacketError: the connection must end (4.13).
"""

from collections.abc import Sequence

import msgspec

from cart_protocol.link import Received, Will

LARGEST_PACKET = 32 << 20
"""Twice what a broker of ours lets through (edge_agent.devices.mosquitto); more is a peer gone mad."""
PING = b"\xc0\x00"
LEAVE = b"\xe0\x00"
"""DISCONNECT with reason 0x00: the broker discards the will (3.14.4)."""
GIVE_UP = b"\xe0\x01\x81"
"""DISCONNECT with reason 0x81, malformed packet: the will is published."""
_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK, _PINGRESP, _DISCONNECT = 1, 2, 3, 4, 8, 9, 13, 14
_SESSION_EXPIRY, _RECEIVE_MAXIMUM, _MESSAGE_EXPIRY, _SERVER_KEEP_ALIVE = 0x11, 0x21, 0x02, 0x13
_REASONS = {
    0x80: "unspecified error", 0x81: "malformed packet", 0x82: "protocol error", 0x84: "unsupported protocol version",
    0x85: "client identifier not valid", 0x86: "bad user name or password", 0x87: "not authorized",
    0x88: "server unavailable", 0x89: "server busy", 0x8A: "banned", 0x8B: "server shutting down",
    0x8D: "keep alive timeout", 0x8E: "session taken over", 0x8F: "topic filter invalid",
    0x93: "receive maximum exceeded",
    0x95: "packet too large", 0x96: "message rate too high", 0x97: "quota exceeded", 0x9D: "server moved",
}  # fmt: skip
"""Reason codes a broker gives a client of ours (2.4)."""
_FIXED_SIZES = {
    0x01: 1, 0x02: 4, 0x11: 4, 0x13: 2, 0x17: 1, 0x18: 4, 0x19: 1, 0x21: 2, 0x22: 2, 0x23: 2, 0x24: 1, 0x25: 1, 0x27: 4,
    0x28: 1, 0x29: 1, 0x2A: 1,
}  # fmt: skip
_TEXTS = {0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F}
"""Properties (2.2.2.2) by how long they are: so many bytes, or a length of two bytes and then as many."""


class MalformedPacketError(Exception):
    """The peer's bytes are no MQTT 5.0 that a client may receive; the text says which rule they break."""


class Connack(msgspec.Struct, frozen=True):
    """`reason` is empty when the broker accepted us."""

    reason: str
    receive_maximum: int
    """So many of our QoS 1 messages may be unacknowledged (3.2.2.3.3)."""
    keepalive_s: int | None
    """The broker's own, which replaces ours (3.2.2.3.14)."""


class Suback(msgspec.Struct, frozen=True):
    """What became of each subscription: empty, or why it was refused."""

    reasons: tuple[str, ...]


class Puback(msgspec.Struct, frozen=True, gc=False):
    mid: int


class Pingresp(msgspec.Struct, frozen=True):
    pass


class Disconnect(msgspec.Struct, frozen=True):
    """The broker ends the connection."""

    reason: str


class Publish(msgspec.Struct, frozen=True, gc=False):
    """A message, and what acknowledges it; `mid` is 0 where it came with QoS 0."""

    received: Received
    mid: int


Packet = Connack | Suback | Publish | Puback | Pingresp | Disconnect


class PacketReader:
    """Cuts a stream of bytes into packets. After MalformedPacketError it must not be used again."""

    def __init__(self) -> None:
        self._portions: list[bytes] = []
        self._held = 0
        self._wanted = 2
        self._topics: dict[bytes, str] = {}

    def feed(self, portion: bytes) -> list[Packet]:
        """Return the packets that are complete now.

        Raises:
            MalformedPacketError: these bytes cannot be understood, nor any that follow.
        """
        self._held += len(portion)
        if self._portions:
            # A large packet comes in many portions, which are put together once and not at every portion.
            self._portions.append(portion)
            if self._held < self._wanted:
                return []
            portion = b"".join(self._portions)
            self._portions = []
        try:
            packets, rest = self._cut(portion)
        except (IndexError, UnicodeDecodeError) as error:
            raise MalformedPacketError(f"a packet that contradicts its own length: {error}") from error
        self._held = len(rest)
        if rest:
            self._portions = [rest]
        return packets

    def _cut(self, data: bytes) -> tuple[list[Packet], bytes]:
        packets: list[Packet] = []
        start, end = 0, len(data)
        while end - start >= 2:
            size, body = data[start + 1], start + 2
            if size & 0x80:
                size, body = _length(data, start + 1, end)
                if body == 0:
                    self._wanted = end - start + 1
                    break
            if size > LARGEST_PACKET:
                raise MalformedPacketError(f"a packet of {size} bytes; {LARGEST_PACKET} are the most that make sense")
            stop = body + size
            if stop > end:
                self._wanted = stop - start
                break
            first = data[start]
            if first >> 4 == _PUBLISH:
                packets.append(self._publish(first, data, body, stop))
            else:
                packets.append(_other(first, data[body:stop]))
            start = stop
        else:
            self._wanted = 2
        return packets, data[start:]

    def _publish(self, first: int, data: bytes, at: int, stop: int) -> Publish:
        quality = first >> 1 & 3
        payload_at = at + 2 + (data[at] << 8 | data[at + 1])
        name = data[at + 2 : payload_at]
        topic = self._topics.get(name)
        if topic is None:
            topic = self._remember(name)
        mid = 0
        if quality:
            mid = data[payload_at] << 8 | data[payload_at + 1]
            payload_at += 2
            if quality != 1 or mid == 0:
                raise MalformedPacketError(f"a message with QoS {quality} and packet identifier {mid}; we asked for 1")
        properties = data[payload_at]
        payload_at += 1
        if properties & 0x80:
            properties, payload_at = _inner_length(data, payload_at - 1, stop)
        payload_at += properties
        if payload_at > stop:
            raise MalformedPacketError("a message whose topic or properties are longer than its packet")
        return Publish(Received(topic, data[payload_at:stop]), mid)

    def _remember(self, name: bytes) -> str:
        if not name:
            raise MalformedPacketError("a message without topic; we allow no topic aliases")
        if len(self._topics) >= _TOPICS_REMEMBERED:
            self._topics.clear()
        topic = self._topics[name] = name.decode()
        return topic


_TOPICS_REMEMBERED = 20_000
"""A shop of 1,000 carts speaks on 4,000."""


def _length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a variable byte integer (1.5.5) and where it ends; (0, 0) while its end is not there yet."""
    value = 0
    for place in range(4):
        if at + place >= end:
            return 0, 0
        byte = data[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise MalformedPacketError("a length of more than four bytes")


def _inner_length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a length within a packet that is all there, and where it ends."""
    value, after = _length(data, at, end)
    if after == 0:
        raise MalformedPacketError("a length that goes beyond its packet")
    return value, after


def _other(first: int, body: bytes) -> Packet:
    match first >> 4:
        case 2:  # CONNACK
            properties = _properties(body, 2) if len(body) > 2 else {}
            window = properties.get(_RECEIVE_MAXIMUM, 65_535)
            return Connack(_reason(body[1]), window, properties.get(_SERVER_KEEP_ALIVE))
        case 4:  # PUBACK
            return Puback(body[0] << 8 | body[1])
        case 9:  # SUBACK
            size, at = _inner_length(body, 2, len(body))
            return Suback(tuple(_reason(code) for code in body[at + size :]))
        case 13:
            return Pingresp()
        case 14:
            return Disconnect(_reason(body[0]) if body else "without a reason")
    raise MalformedPacketError(f"a packet of type {first >> 4}, which no broker sends to a client like us")


def _properties(body: bytes, at: int) -> dict[int, int]:
    """Return the properties that are numbers; the others are stepped over."""
    found: dict[int, int] = {}
    size, at = _inner_length(body, at, len(body))
    end = at + size
    if end > len(body):
        raise MalformedPacketError("properties that are longer than their packet")
    while at < end:
        name, at = body[at], at + 1
        if name in _FIXED_SIZES:
            found[name] = int.from_bytes(body[at : at + _FIXED_SIZES[name]], "big")
            at += _FIXED_SIZES[name]
        elif name in _TEXTS:
            at += 2 + (body[at] << 8 | body[at + 1])
        elif name == 0x26:  # user property: two texts
            at += 2 + (body[at] << 8 | body[at + 1])
            at += 2 + (body[at] << 8 | body[at + 1])
        else:
            raise MalformedPacketError(f"property {name:#04x}, which MQTT 5.0 does not have here")
    if at != end:
        raise MalformedPacketError("properties that are longer than they say")
    return found


def _reason(code: int) -> str:
    return "" if code < 0x80 else _REASONS.get(code, f"reason {code:#04x}")


# ── what we send ─────────────────────────────────────────────────────────────────────────────────────────────────


def connect(
    client_id: str, *, keepalive_s: int, session_expiry_s: int, receive_maximum: int, will: Will | None
) -> bytes:
    """Return a CONNECT that keeps the session: clean start 0 (3.1.2.4)."""
    flags = 0
    payload = _text(client_id)
    if will is not None:
        flags = 0x04 | will.qos << 3 | will.retain << 5
        payload += b"\x00" + _text(will.topic) + len(will.payload).to_bytes(2, "big") + will.payload
    properties = (
        bytes([_SESSION_EXPIRY]) + session_expiry_s.to_bytes(4, "big")
        + bytes([_RECEIVE_MAXIMUM]) + receive_maximum.to_bytes(2, "big")
    )  # fmt: skip
    head = b"\x00\x04MQTT\x05" + bytes([flags]) + keepalive_s.to_bytes(2, "big")
    return _packet(_CONNECT << 4, head + _varint(len(properties)) + properties + payload)


def subscribe(mid: int, topics: Sequence[str], *, qos: int = 1) -> bytes:
    """Return a SUBSCRIBE to all `topics` with one QoS."""
    body = b"".join(_text(topic) + bytes([qos]) for topic in topics)
    return _packet(_SUBSCRIBE << 4 | 2, mid.to_bytes(2, "big") + b"\x00" + body)


def publish(topic: str, payload: bytes, *, mid: int, retain: bool, expiry_s: int | None) -> bytes:
    """Return a PUBLISH, QoS 1 where `mid` is not 0."""
    first = _PUBLISH << 4 | (2 if mid else 0) | retain
    head = _text(topic) + (mid.to_bytes(2, "big") if mid else b"")
    properties = b"\x00" if expiry_s is None else b"\x05\x02" + expiry_s.to_bytes(4, "big")
    return _packet(first, head + properties + payload)


def puback(mid: int) -> bytes:
    return b"\x40\x02" + mid.to_bytes(2, "big")


def _packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes([value])
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded
