"""Messages to bytes and back; strangers are told apart from nonsense, and nonsense never does harm."""

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.basket import Basket, CartEvent, CodeOffered, Position, UnexplainedStep
from cart_protocol.codec import CodecError, MalformedError, UnsupportedVersionError, decode, encode
from cart_protocol.messages import (
    PROTOCOL_VERSION,
    Ack,
    CartTime,
    Command,
    Events,
    Instruction,
    Message,
    Presence,
    Recorded,
    Snapshot,
)
from tests.strategies import members_of, values_of

NOW = CartTime(boot="b1", monotonic_us=5, wall_ms=1_767_225_600_000, synchronised=True)
OFFER = Recorded(seq=1, at=NOW, event=CodeOffered(code="7K3M9Q"))


@pytest.mark.parametrize("kind", members_of(Message), ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_every_message_comes_back_as_it_was(kind: type, data: st.DataObject) -> None:
    message = data.draw(values_of(kind))
    decoded = decode(encode(message))
    assert decoded.message == message
    assert decoded.unknown_fields == ()


@pytest.mark.parametrize("kind", members_of(CartEvent), ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_every_event_travels(kind: type, data: st.DataObject) -> None:
    events = Events(epoch=1, events=(Recorded(seq=1, at=NOW, event=data.draw(values_of(kind))),))
    assert decode(encode(events)).message == events


@pytest.mark.parametrize("kind", members_of(Instruction), ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_every_instruction_travels(kind: type, data: st.DataObject) -> None:
    command = Command(id="k1", expires_ms=1, instruction=data.draw(values_of(kind)))
    assert decode(encode(command)).message == command


def test_the_bytes_of_version_1_are_fixed() -> None:
    """A change here changes the wire: raise PROTOCOL_VERSION if an older reader would misread it."""
    assert encode(Events(epoch=3, events=(OFFER,))) == (
        b'{"type":"Events","epoch":3,"events":[{"seq":1,"at":{"boot":"b1","monotonic_us":5,"wall_ms":1767225600000,'
        b'"synchronised":true},"event":{"type":"CodeOffered","code":"7K3M9Q"}}],"v":1}'
    )


def test_names_of_messages_and_events_are_unambiguous() -> None:
    for union in (Message, CartEvent, Instruction):
        names = [kind.__name__ for kind in members_of(union)]
        assert len(names) == len(set(names))


# ── strangers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def changed(message: Message, *path: str | int, **added: object) -> bytes:
    """Return the bytes of `message` with fields added to the object at `path`."""
    tree = json.loads(encode(message))
    place = tree
    for step in path:
        place = place[step]
    place.update(added)
    return json.dumps(tree).encode()


def test_a_field_of_a_newer_peer_is_reported_and_the_rest_is_used() -> None:
    events = Events(epoch=3, events=(OFFER, OFFER))
    decoded = decode(changed(events, battery=80))
    assert decoded.message == events
    assert decoded.unknown_fields == ("$.battery",)


def test_unknown_fields_are_found_at_any_depth() -> None:
    events = Events(epoch=3, events=(OFFER, OFFER))
    for path, reported in (
        (("events", 1), "$.events[1].colour"),
        (("events", 0, "at"), "$.events[0].at.colour"),
        (("events", 1, "event"), "$.events[1].event.colour"),
    ):
        decoded = decode(changed(events, *path, colour=[1, {"deep": None}]))
        assert (decoded.message, decoded.unknown_fields) == (events, (reported,))


def test_unknown_fields_are_found_inside_a_snapshots_mappings() -> None:
    step = UnexplainedStep(number=3, step=-250_000)
    snapshot = Snapshot(position=Position(epoch=1, seq=9), basket=Basket(unexplained={3: step}))
    decoded = decode(changed(snapshot, "basket", "unexplained", "3", colour="red"))
    assert decoded.message == snapshot
    assert decoded.unknown_fields == ("$.basket.unexplained[...].colour",)


def test_several_unknown_fields_are_all_reported() -> None:
    decoded = decode(changed(Presence(online=True), a=1, b=2, c=3))
    assert decoded.message == Presence(online=True)
    assert sorted(decoded.unknown_fields) == ["$.a", "$.b", "$.c"]


def test_a_flood_of_unknown_fields_is_refused() -> None:
    flood = {f"f{number}": number for number in range(65)}
    with pytest.raises(MalformedError, match="more than 64 unknown fields"):
        decode(changed(Presence(online=True), **flood))


def test_a_newer_version_is_refused_by_name_whatever_else_it_says() -> None:
    with pytest.raises(UnsupportedVersionError, match=f"version 2; this program speaks {PROTOCOL_VERSION}: update it"):
        decode(encode(Presence(online=True, v=PROTOCOL_VERSION + 1)))
    with pytest.raises(UnsupportedVersionError):
        decode(b'{"type":"Teleport","v":2,"to":"moon"}')
    with pytest.raises(UnsupportedVersionError):
        decode(changed(Presence(online=True), v=2, colour=1))


def test_a_message_without_a_version_is_of_the_first() -> None:
    assert decode(b'{"type":"Presence","online":false}').message == Presence(online=False)


# ── nonsense ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"{", "not JSON"),
        (b"null", "Expected `object`"),
        (b"[]", "Expected `object`"),
        (b'{"type":"Teleport"}', "Invalid value 'Teleport'"),
        (b'{"online":true}', "missing required field `type`"),
        (b'{"type":"Presence"}', "missing required field `online`"),
        (b'{"type":"Presence","online":"yes"}', r"Expected `bool`, got `str` - at `\$.online`"),
        (b'{"type":"Presence","online":true,"v":"2"}', "Expected `int`, got `str`"),
        (b'{"type":"Presence","online":true,"v":2.5}', "Expected `int`, got `float`"),
        (b'{"type":"Ack","position":{"epoch":1,"seq":-1}}', "Expected `int` >= 0"),
        (b'{"type":"Ack","position":{"epoch":1,"seq":' + b"9" * 40 + b"}}", "Expected `int` <="),
        (b"[" * 100_000, "not JSON"),
        (b'{"type":"Presence","online":true,"x":' + b"[" * 9_000 + b"]" * 9_000 + b"}", "not JSON"),
        (b'{"type":"Presence","online":true,"x":"\xed\xa0\x80"}', "not JSON"),
    ],
)
def test_nonsense_is_malformed_and_says_where(payload: bytes, said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        decode(payload)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_codec_error(payload: bytes) -> None:
    with contextlib.suppress(CodecError):
        decode(payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(values_of(Message), st.data())
def test_a_message_with_anything_changed_in_it_is_a_message_or_a_codec_error(
    message: Message, data: st.DataObject
) -> None:
    tree = json.loads(encode(message))
    place = tree
    while isinstance(place, (dict, list)) and place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if data.draw(st.booleans()) or not isinstance(place[key], (dict, list)):
            place[key] = data.draw(JSON)
            break
        place = place[key]
    try:
        decoded = decode(json.dumps(tree).encode())
    except CodecError:
        return
    assert isinstance(decoded.message, members_of(Message))


@given(st.binary(min_size=1, max_size=8), st.integers(0, 300))
def test_a_garbled_message_is_a_message_or_a_codec_error(noise: bytes, place: int) -> None:
    sound = bytearray(encode(Ack(position=Position(epoch=1, seq=2))))
    place %= len(sound)
    sound[place : place + len(noise)] = noise
    try:
        decoded = decode(bytes(sound))
    except CodecError:
        return
    assert isinstance(decoded.message, msgspec.Struct)
