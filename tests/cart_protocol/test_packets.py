"""MQTT packets: bytes of the standard's own layout, whole, byte by byte, and garbage."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.link import Received, Will, packets
from cart_protocol.link.packets import (
    Connack,
    Disconnect,
    MalformedPacketError,
    Packet,
    PacketReader,
    Pingresp,
    Puback,
    Publish,
    Suback,
)

# Written by hand after OASIS MQTT 5.0, sections 3.2, 3.3, 3.4, 3.9, 3.13 and 3.14.
CONNACK = bytes.fromhex("20 0b 00 00 08 21 0014 13 003c 24 01")
CONNACK_NOT_AUTHORIZED = bytes.fromhex("20 03 00 87 00")
CONNACK_WITH_TEXTS = bytes.fromhex("20 15 00 00 12 12 0003 633031 26 0001 61 0001 62 1f 0002 6f6b")
PUBLISH_QOS_0 = b"\x30\x08\x00\x03a/b\x00hi"
PUBLISH_QOS_1 = b"\x32\x0a\x00\x03a/b\x01\x02\x00hi"
PUBLISH_RETAINED_WITH_PROPERTIES = b"\x33\x0f\x00\x03a/b\x00\x07\x05\x02\x00\x00\x00\x3chi"
PUBACK = bytes.fromhex("40 02 0007")
PUBACK_NO_SUBSCRIBER = bytes.fromhex("40 03 0008 10")
SUBACK = bytes.fromhex("90 05 0001 00 01 87")
PINGRESP = bytes.fromhex("d0 00")
DISCONNECT_TAKEN_OVER = bytes.fromhex("e0 01 8e")

STREAM: list[tuple[bytes, Packet]] = [
    (CONNACK, Connack("", 20, 60)),
    (CONNACK_NOT_AUTHORIZED, Connack("not authorized", 65_535, None)),
    (CONNACK_WITH_TEXTS, Connack("", 65_535, None)),
    (PUBLISH_QOS_0, Publish(Received("a/b", b"hi"), 0)),
    (PUBLISH_QOS_1, Publish(Received("a/b", b"hi"), 258)),
    (PUBLISH_RETAINED_WITH_PROPERTIES, Publish(Received("a/b", b"hi"), 7)),
    (PUBACK, Puback(7)),
    (PUBACK_NO_SUBSCRIBER, Puback(8)),
    (SUBACK, Suback(("", "not authorized"))),
    (PINGRESP, Pingresp()),
    (DISCONNECT_TAKEN_OVER, Disconnect("session taken over")),
]
WIRE = b"".join(written for written, _ in STREAM)
PACKETS = [packet for _, packet in STREAM]


def test_a_stream_in_one_piece() -> None:
    assert PacketReader().feed(WIRE) == PACKETS


def test_a_stream_byte_by_byte() -> None:
    reader = PacketReader()
    assert [packet for byte in WIRE for packet in reader.feed(bytes([byte]))] == PACKETS


@given(st.lists(st.integers(1, 60), min_size=1))
def test_a_stream_in_any_portions(sizes: list[int]) -> None:
    reader, found, at = PacketReader(), list[Packet](), 0
    for size in [*sizes, len(WIRE)]:
        found += reader.feed(WIRE[at : at + size])
        at += size
    assert found == PACKETS


@given(st.binary(max_size=40_000), st.integers(1, 65_535))
def test_what_we_publish_can_be_read(payload: bytes, mid: int) -> None:
    sent = packets.publish("cartwright/v1/s/cart/c1/up/events", payload, mid=mid, retain=True, expiry_s=60)
    received = Received("cartwright/v1/s/cart/c1/up/events", payload)
    reader = PacketReader()
    portions = [sent[at : at + 1_000] for at in range(0, len(sent), 1_000)]
    assert [packet for portion in portions for packet in reader.feed(portion)] == [Publish(received, mid)]


@given(st.binary(max_size=400))
def test_garbage_is_packets_or_malformed_and_nothing_else(garbage: bytes) -> None:
    reader = PacketReader()
    try:
        for at in range(0, len(garbage), 7):
            reader.feed(garbage[at : at + 7])
    except MalformedPacketError:
        pass


@given(st.integers(0, len(WIRE) - 1), st.integers(0, 255))
def test_a_stream_with_one_wrong_byte_is_survived(place: int, byte: int) -> None:
    wrong = WIRE[:place] + bytes([byte]) + WIRE[place + 1 :]
    with contextlib.suppress(MalformedPacketError):
        PacketReader().feed(wrong)


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("82 02 0001", "type 8"),
        ("34 0a 0003 612f62 0102 00 6869", "QoS 2"),
        ("32 0a 0003 612f62 0000 00 6869", "packet identifier 0"),
        ("30 05 0000 00 6869", "without topic"),
        ("30 08 0003 612f62 09 6869", "longer than its packet"),
        ("30 ff ff ff ff 01", "more than four bytes"),
        ("30 ff ff ff 7f", "are the most that make sense"),
        ("40 01 00", "contradicts its own length"),
        ("20 05 00 00 02 7e 00", "property 0x7e"),
    ],
)
def test_what_breaks_the_standard_is_named(written: str, rule: str) -> None:
    with pytest.raises(MalformedPacketError, match=rule):
        PacketReader().feed(bytes.fromhex(written))


def test_our_connect_keeps_the_session_and_says_how_much_may_be_on_its_way() -> None:
    will = Will(topic="p", payload=b"gone")
    sent = packets.connect("c1", keepalive_s=15, session_expiry_s=3_600, receive_maximum=1_000, will=will)
    assert sent == bytes.fromhex(
        "10 21  0004 4d515454 05 2c 000f  08 11 00000e10 21 03e8  0002 6331  00 0001 70 0004 676f6e65"
    )


def test_our_subscribe_asks_for_quality_1() -> None:
    assert packets.subscribe(1, ["a/#", "b"]) == bytes.fromhex("82 0d 0001 00 0003 612f23 01 0001 62 01")
