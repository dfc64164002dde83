"""A record in parts: whatever is lost, repeated, late or changed, what comes out is the whole, or nothing."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.codec import decode, encode
from cart_protocol.ids import RecordId, SessionId
from cart_protocol.messages import RecordPart
from cart_protocol.parcel import PART_BYTES, Arrival, Assembly, Parcel, parts_of

RECORD = RecordId("r1")
PICTURE, FILE = b"\x89PNG" + bytes(20_000), bytes(range(256)) * 100
MOST = 1_000_000


def a_parcel(file: bytes = FILE, picture: bytes = PICTURE) -> Parcel:
    return Parcel(RECORD, picture, file, (SessionId("s1"),))


def parts_in(parcel: Parcel) -> list[RecordPart]:
    return [parcel.part(number) for number in range(parts_of(parcel.part(0).size))]


def body(assembly: Assembly) -> bytes:
    assert assembly.whole
    return b"".join(assembly.whole[1])


@given(st.binary(max_size=4 * PART_BYTES), st.binary(min_size=1, max_size=2 * PART_BYTES), st.data())
def test_parts_in_any_order_as_often_as_you_like_become_the_whole(
    picture: bytes, file: bytes, data: st.DataObject
) -> None:
    assembly, parts = Assembly(MOST), parts_in(a_parcel(file, picture))
    for part in data.draw(st.lists(st.sampled_from(parts), max_size=20)):
        before = assembly.there
        took = assembly.take(part)
        assert took in {Arrival.NOTHING, Arrival.NEXT, Arrival.WHOLE}
        assert assembly.there == before + (took is not Arrival.NOTHING)
    while not assembly.whole:
        assembly.take(parts[assembly.there])
    assert body(assembly) == picture + file
    assert assembly.take(parts[0]) is Arrival.NOTHING


def test_the_first_part_says_what_is_picture_and_of_whom_it_tells() -> None:
    first = a_parcel().part(0)
    assert (first.picture, first.size, first.sessions) == (len(PICTURE), len(PICTURE) + len(FILE), ("s1",))


def test_a_part_fits_what_a_bad_radio_carries_in_a_fifth_of_a_second() -> None:
    encoded = encode(a_parcel().part(0))
    assert len(encoded) < 22_500
    assert decode(encoded).message == a_parcel().part(0)


def test_a_part_that_there_is_not_is_answered_by_the_first() -> None:
    assert a_parcel().part(99) == a_parcel().part(0)


def test_parts_of_another_body_begin_anew_at_whichever_they_are() -> None:
    old, new = parts_in(a_parcel()), parts_in(a_parcel(FILE + b"more"))
    for number in (0, 1):
        assembly = Assembly(MOST)
        assembly.take(old[0])
        assembly.take(old[1])
        assert assembly.take(new[number]) is Arrival.ANEW
        assert assembly.there == (1 if number == 0 else 0)
        while not assembly.whole:
            assembly.take(new[assembly.there])
        assert body(assembly) == PICTURE + FILE + b"more"


def test_a_body_of_one_part_is_whole_at_once_also_when_it_replaces_another() -> None:
    assembly = Assembly(MOST)
    assembly.take(a_parcel().part(0))
    assert assembly.take(a_parcel(b"short", b"").part(0)) is Arrival.WHOLE


def test_a_changed_byte_spoils_the_whole_and_nothing_is_left_of_it() -> None:
    assembly, parts = Assembly(MOST), parts_in(a_parcel())
    parts[1] = msgspec.structs.replace(parts[1], data=b"x" + parts[1].data[1:])
    assert [assembly.take(part) for part in parts][-1] is Arrival.DAMAGED
    assert (assembly.there, assembly.parts, assembly.whole) == (0, 0, None)
    assert [assembly.take(part) for part in parts_in(a_parcel())][-1] is Arrival.WHOLE


@pytest.mark.parametrize(
    "nonsense",
    [
        {"size": 0}, {"size": MOST + 1}, {"size": 10}, {"part": 3}, {"part": 2**62}, {"picture": 10**9},
        {"data": b""}, {"data": bytes(PART_BYTES + 1)}, {"data": bytes(PART_BYTES - 1)},
    ],
    ids=str,
)  # fmt: skip
def test_a_part_that_contradicts_itself_or_is_too_large_changes_nothing(nonsense: dict[str, object]) -> None:
    assembly, parts = Assembly(MOST), parts_in(a_parcel())
    assembly.take(parts[0])
    assert assembly.take(msgspec.structs.replace(parts[1], **nonsense)) is Arrival.NONSENSE
    assert assembly.there == 1
