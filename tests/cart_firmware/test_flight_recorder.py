"""What a cart recorded is replayed to the same decisions, whatever became of the cart, its disk, or the file's end."""

import asyncio
import signal
import subprocess
import sys
import typing
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cart_firmware.core import recording
from cart_firmware.core.decision import Passed, Way
from cart_firmware.core.recording import (
    Bundle,
    Converted,
    Cropped,
    Decided,
    Header,
    Leaned,
    RecordingError,
    Segment,
    SegmentWriter,
    Ticked,
    read_segment,
)
from cart_firmware.core.touch import Container, Help, Quantity, Remove
from cart_firmware.devices.segment_ring import NoRoomError, SegmentRing, listed, read, segment_paths
from cart_firmware.ports import SilentError
from cart_firmware.services.decide import Matter
from cart_firmware.services.replay import Replayed, replay
from cart_protocol.ids import CommandId, SessionId, ShopperId
from cart_protocol.messages import BeginSession, Command, EndSession, Freeze
from sim.virtual_time import VirtualTimeLoop
from tests.cart_firmware.cart_rig import Rig, on_virtual_time
from tests.cart_firmware.corner_shop import CHEESE_LABEL, GUM, MILK, PASTA, SESSION, TEA
from tests.small_disk import small_disk

Story = Callable[[Rig], Awaitable[None]]
GOLDEN = Path(__file__).parent / "recordings" / "format-1.cartset"


def play(state: Path, story: Story, *, most: int = 1 << 20, segment_kib: int = 1_024) -> Path:
    """Tell a story on a rig that records; return the recording's folder."""

    state.mkdir(exist_ok=True)

    async def told(loop: VirtualTimeLoop) -> Path:
        rig = Rig(loop, state)
        rig.bounds, rig.segment_kib = (most, 0), segment_kib
        await story(rig)
        await rig.stop()
        return rig.folder / "recording"

    return on_virtual_time(told)


async def a_trip(rig: Rig) -> None:
    """Everything that a cart decides about, once."""
    await rig.start()
    await rig.begin()
    await rig.buy(MILK, 1_033)
    await rig.buy(PASTA, 505)
    await rig.scan("4006381333931")  # not this shop's
    await rig.buy(CHEESE_LABEL, 483)
    await rig.scan(GUM)
    await asyncio.sleep(22)  # never put in
    await rig.put(250)  # nobody scanned it
    await asyncio.sleep(5)
    await rig.put(-250)
    rig.platform.error = SilentError("unplugged")
    await asyncio.sleep(3)
    rig.platform.error = None
    await asyncio.sleep(3)
    await rig.scan(TEA)
    (scan,) = rig.cart.fuse.basket.pending
    rig.cart.fuse.touch(Quantity(scan=scan, pieces=2))
    await rig.put(113)
    rig.cart.recorder.crop(rig.clock.monotonic_us(), np.full((480, 640), 90, np.uint8))
    await rig.put(111)
    now_us = rig.clock.monotonic_us()
    rig.cart.fuse.submit(Passed(now_us - 700_000, now_us, Way.UNSEEN))
    rig.cart.fuse.touch(Remove(lines=(next(iter(rig.cart.fuse.basket.lines)),)))
    await rig.put(-1_033)
    rig.cart.fuse.touch(Container())
    await rig.put(60)
    rig.cart.fuse.touch(Help())
    await asyncio.sleep(1)
    rig.cart.fuse.touch(Help(wanted=False))
    await asyncio.sleep(2)
    rig.store.order("freeze", Freeze(session=SESSION))
    rig.platform.grams += 640  # the order must wait for the load
    await asyncio.sleep(6)
    rig.store.order("end", EndSession(session=SESSION, reason="left"))
    await asyncio.sleep(2)
    rig.platform.grams = 0
    await asyncio.sleep(3)


async def a_long_trip(rig: Rig) -> None:
    await rig.start()
    await rig.begin()
    for _ in range(12):
        await rig.buy(MILK, 1_033)
        await rig.buy(PASTA, 505)


@pytest.fixture(scope="module")
def trip(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read(play(tmp_path_factory.mktemp("trip") / "state", a_trip))


@pytest.fixture(scope="module")
def session(trip: Bundle) -> bytes:
    """The segment of the shopper's session."""
    return max(trip.segments.values(), key=len)


def rewritten(segment: Segment, header: Header) -> bytes:
    writer = SegmentWriter()
    return writer.begin(header) + writer.chunk(segment.entries)


def alone(data: bytes, trip: Bundle) -> Replayed:
    return replay(Bundle({"segment": data}, trip.texts))


# ── replaying ──


def test_a_trip_is_replayed_to_the_same_decisions(trip: Bundle) -> None:
    found = replay(trip)
    assert found.differences == []
    assert found.decisions > 60
    assert found.readings > 4_000
    assert found.torn == []


def test_every_segment_is_replayed_by_itself(tmp_path: Path) -> None:
    bundle = read(play(tmp_path / "state", a_long_trip, segment_kib=16))
    assert len(bundle.segments) >= 4
    for name, data in bundle.segments.items():
        found = replay(Bundle({name: data}, bundle.texts))
        assert found.differences == []
        assert found.readings


@pytest.mark.parametrize(
    ("part", "rule"),
    [
        ("decision", {"fusion": {"scan_patience_us": 5_000_000}}),
        ("weigher", {"weighing": {"smallest_step_mg": 300_000}}),
    ],
)
def test_a_rule_that_changed_is_found(trip: Bundle, session: bytes, part: str, rule: dict[str, dict[str, int]]) -> None:
    segment = read_segment(session, "session")
    ((table, changes),) = rule.items()
    other = msgspec.structs.replace(getattr(segment.header, table), **changes)
    header = msgspec.structs.replace(segment.header, **{table: other}, software="cart-firmware 0.0.9")
    found = alone(rewritten(segment, header), trip)
    assert part in {each.part for each in found.differences}
    assert {each.software for each in found.differences} == {"cart-firmware 0.0.9"}


def test_a_decision_that_somebody_changed_is_found(trip: Bundle, session: bytes) -> None:
    segment = read_segment(session, "session")
    place, entry = next(
        (place, each) for place, each in enumerate(segment.entries) if isinstance(each, Decided) and each.events
    )
    assert isinstance(entry, Decided)
    segment.entries[place] = msgspec.structs.replace(entry, events=())
    (difference, *_) = alone(rewritten(segment, segment.header), trip).differences
    assert (difference.at_us, difference.cart) == (entry.at_us, "nothing")


def test_what_another_format_wrote_is_refused_by_its_version(session: bytes, trip: Bundle) -> None:
    older = session[: len(recording.MAGIC)] + b"\0" + session[len(recording.MAGIC) + 1 :]
    with pytest.raises(RecordingError, match="format 0; this program reads format 1: replay it with the version"):
        alone(older, trip)


def test_a_weigher_that_remembered_other_things_is_refused_by_its_version(session: bytes, trip: Bundle) -> None:
    segment = read_segment(session, "session")
    kind, held = segment.header.weigher
    header = msgspec.structs.replace(segment.header, weigher=[kind, held | {"_colour": 1}], software="x 9")
    with pytest.raises(RecordingError, match=r"_colour.*the version that recorded it, x 9"):
        alone(rewritten(segment, header), trip)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"kind": "Whistled"}, "Whistled: this version knows no such matter"), ({"matter": msgspec.Raw(b"\x80")}, "x 9")],
)
def test_a_matter_that_this_version_does_not_know_is_refused(
    session: bytes, trip: Bundle, changes: dict[str, object], said: str
) -> None:
    segment = read_segment(session, "session")
    place = next(
        place for place, each in enumerate(segment.entries) if isinstance(each, Decided) and each.kind == "Seen"
    )
    segment.entries[place] = msgspec.structs.replace(segment.entries[place], **changes)
    with pytest.raises(RecordingError, match=said):
        alone(rewritten(segment, msgspec.structs.replace(segment.header, software="x 9")), trip)


def test_without_its_price_book_a_segment_is_refused(session: bytes) -> None:
    with pytest.raises(RecordingError, match=r"needs price book 3, which is not beside it"):
        replay(Bundle({"segment": session}, {}))


def test_the_first_record_of_all_is_still_replayed_or_refused_by_its_format() -> None:
    """Made by the first version that recorded. Rules may have changed since; that it can be read may not."""
    if recording.FORMAT > 1:
        with pytest.raises(RecordingError, match="recorded in format 1"):
            read(GOLDEN)
        return
    found = replay(read(GOLDEN))
    assert (found.segments, found.decisions) == (4, 114)
    assert found.torn == []


# ── the file ──


@settings(max_examples=60, deadline=None)
@given(cut=st.floats(0, 1), garbage=st.binary(max_size=40))
def test_of_a_torn_segment_all_that_is_whole_is_replayed(
    trip: Bundle, session: bytes, cut: float, garbage: bytes
) -> None:
    torn = session[: round(cut * len(session))] + garbage
    whole = read_segment(session, "session")
    try:
        found = read_segment(torn, "torn")
    except RecordingError:
        assert cut < 0.2  # not even the header
        return
    assert found.entries == whole.entries[: len(found.entries)]
    assert found.whole <= len(torn)
    replayed = alone(torn, trip)
    assert [each for each in replayed.differences if each.part == "decision"] == []


_TIMES = st.integers(0, 1 << 50)
_VALUES = st.integers(-(1 << 31), 1 << 31)
_READINGS = st.one_of(
    st.builds(Converted, _TIMES, _VALUES),
    st.builds(Leaned, _TIMES, _VALUES, _VALUES, _VALUES),
    st.builds(Ticked, _TIMES),
    st.builds(Cropped, _TIMES, st.binary(max_size=8)),
)


@settings(max_examples=100, deadline=None)
@given(chunks=st.lists(st.lists(_READINGS, max_size=12), max_size=4))
def test_readings_come_back_as_they_were(session: bytes, chunks: list[list[recording.Reading]]) -> None:
    header = read_segment(session, "session").header
    writer = SegmentWriter()
    data = writer.begin(header) + b"".join(writer.chunk(chunk) for chunk in chunks)
    assert read_segment(data, "made").entries == [reading for chunk in chunks for reading in chunk]


@pytest.mark.parametrize("left", [0, 3, 9, 40])
def test_a_segment_that_was_only_begun_hides_no_other(trip: Bundle, session: bytes, tmp_path: Path, left: int) -> None:
    ring = SegmentRing(tmp_path, 1 << 20, 0)
    ring.begin(read_segment(session, "").header, trip.texts)
    ring.close()
    (tmp_path / "segment-000002.cart").write_bytes(session[:left])
    assert list(read(tmp_path).segments) == ["segment-000001.cart"]
    assert [each.file for each in listed(tmp_path)] == ["segment-000001.cart"]
    with pytest.raises(RecordingError, match="nothing in it can be replayed"):
        read(tmp_path / "segment-000002.cart")
    again = SegmentRing(tmp_path, 1 << 20, 0)
    again.begin(read_segment(session, "").header, trip.texts)
    assert list(read(tmp_path).segments) == ["segment-000001.cart", "segment-000003.cart"]


@pytest.mark.processes
def test_a_process_that_is_killed_in_mid_write_leaves_what_can_be_replayed(trip: Bundle, tmp_path: Path) -> None:
    saved, folder = tmp_path / "saved", tmp_path / "recording"
    saved.write_bytes(recording.bundled(trip))
    for life in range(1, 4):
        writer = subprocess.Popen([sys.executable, __file__, str(saved), str(folder)], stdout=subprocess.PIPE)
        assert writer.stdout
        for _ in range(life * 40):
            writer.stdout.read(1)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        bundle = read(folder)
        found = replay(bundle)
        assert found.differences == []
        assert found.readings
        assert len(found.torn) <= life


def _write_for_ever(saved: Path, folder: Path) -> None:
    """Write the trip's segments again and again, a chunk of a few entries at a time."""
    trip, ring = read(saved), SegmentRing(folder, 1 << 30, 0)
    while True:
        for data in trip.segments.values():
            segment = read_segment(data, "trip")
            ring.begin(segment.header, trip.texts)
            for first in range(0, len(segment.entries), 10):
                ring.append(segment.entries[first : first + 10])
                sys.stdout.write(".")
                sys.stdout.flush()


# ── the ring ──


def test_the_ring_drops_the_oldest_and_nothing_else(trip: Bundle, session: bytes, tmp_path: Path) -> None:
    most, segment = 60_000, read_segment(session, "session")
    ring = SegmentRing(tmp_path, most, 0)
    for _ in range(8):
        ring.begin(segment.header, trip.texts)
        for first in range(0, len(segment.entries), 1_000):
            ring.append(segment.entries[first : first + 1_000])
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= most
    numbers = [int(path.stem.partition("-")[2]) for path in segment_paths(tmp_path)]
    assert numbers[0] > 1
    assert numbers == list(range(numbers[0], 9))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) + len(session) > most  # no more than necessary
    assert replay(read(tmp_path)).differences == []


def test_books_go_with_the_last_segment_that_needs_them(trip: Bundle, tmp_path: Path) -> None:
    ring = SegmentRing(tmp_path / "recording", 1 << 20, 0)
    headers = {header.session: header for header in (read_segment(each, "").header for each in trip.segments.values())}
    ring.begin(headers[SESSION], trip.texts)
    assert len(list((tmp_path / "recording").glob("book-*"))) == 2
    assert ring.erase(SESSION) == 1
    assert list((tmp_path / "recording").iterdir()) == []


def test_a_restarted_cart_goes_on_behind_what_the_last_program_left(tmp_path: Path) -> None:
    async def killed(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        await rig.buy(MILK, 1_033)
        await rig.kill()
        await rig.start(online=False)
        await rig.buy(PASTA, 505)

    folder = play(tmp_path / "state", killed)
    found = replay(read(folder))
    assert found.differences == []
    headers = [read_segment(data, name).header for name, data in read(folder).segments.items()]
    assert [header.session for header in headers].count(SESSION) >= 2


def test_a_full_disk_stops_the_recording_and_never_the_trip(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:

        async def full(rig: Rig) -> None:
            rig.ring_folder = disk.folder / "recording"
            await rig.start()
            await rig.begin()
            await rig.buy(MILK, 1_033)
            disk.fill()
            await asyncio.sleep(5)  # a page has room for a moment
            await rig.buy(PASTA, 505)
            assert rig.names == ["Milk", "Pasta"]
            assert rig.cart.recorder.lost
            disk.empty()
            await asyncio.sleep(15)
            await rig.buy(TEA, 112)

        play(tmp_path / "state", full)
        assert all(path.stat().st_size for path in segment_paths(disk.folder / "recording"))
        bundle = read(disk.folder / "recording")
        found = replay(bundle)
        assert found.differences == []
        assert found.torn == []
        last = read_segment(list(bundle.segments.values())[-1], "last")
        added = [entry for entry in last.entries if isinstance(entry, Decided) and "Tea" in repr(entry.events)]
        assert added


def test_recording_leaves_the_room_that_is_others(trip: Bundle, tmp_path: Path) -> None:
    ring = SegmentRing(tmp_path, 1 << 20, leave_free=1 << 60)
    header = read_segment(next(iter(trip.segments.values())), "").header
    with pytest.raises(NoRoomError, match="MiB free"):
        ring.begin(header, {})
    assert segment_paths(tmp_path) == []


def test_what_no_file_can_hold_stops_the_recording_and_never_the_trip(tmp_path: Path) -> None:
    async def nonsense(rig: Rig) -> None:
        await rig.start()
        await rig.begin()
        rig.store.say(Command(id=CommandId("odd"), expires_ms=1 << 60, instruction=Freeze(session=SESSION), sent_ms=0))
        rig.cart.recorder.crop(0, np.zeros((3, 3, 3), np.uint8))
        await asyncio.sleep(3)
        assert rig.cart.recorder.lost
        await rig.buy(MILK, 1_033)
        assert rig.names == ["Milk"]
        await asyncio.sleep(12)
        await rig.buy(PASTA, 505)

    found = replay(read(play(tmp_path / "state", nonsense)))
    assert found.differences == []
    assert found.decisions


# ── people ──


def test_nothing_that_is_recorded_could_say_who_the_shopper_is() -> None:
    """A cart is never told: no message to it, and so nothing in its record, has a place for a shopper's id."""

    def kinds(kind: object) -> Iterator[object]:
        yield kind
        parts = list(typing.get_args(kind))
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            parts += [field.type for field in msgspec.structs.fields(kind)]
        for part in parts:
            yield from kinds(part)

    found = list(kinds(Matter | Header | recording.Entry))
    assert SessionId in found
    assert ShopperId not in found


def test_the_record_of_a_session_can_be_saved_and_erased(tmp_path: Path) -> None:
    async def two_shoppers(rig: Rig) -> None:
        await a_trip(rig)
        second = SessionId("second")
        rig.store.order("early", BeginSession(session=SessionId("stranger"), code="NOTTHIS"))
        await asyncio.sleep(1)
        rig.store.order("begin-2", BeginSession(session=second, code=rig.cart.fuse.basket.code))
        await asyncio.sleep(1)
        rig.store.order("late", EndSession(session=SESSION, reason="left"))
        await rig.buy(MILK, 1_033)
        saved = await rig.cart.recorder.record_of(SESSION)
        (rig.folder / "saved").write_bytes(saved)
        everything = recording.read_bundle(await rig.cart.recorder.record_of(until_ms=rig.clock.wall_ms()), "all")
        assert len(everything.segments) > 3
        with pytest.raises(RecordingError, match="nothing is recorded of that"):
            await rig.cart.recorder.record_of(until_ms=1)
        assert await rig.cart.recorder.erase(SESSION) == 1
        await rig.buy(PASTA, 505)

    folder = play(tmp_path / "state", two_shoppers)
    saved = read(folder.parent / "saved")
    assert {read_segment(data, "").header.session for data in saved.segments.values()} == {SESSION}
    assert replay(saved).differences == []
    left = read(folder)
    assert replay(left).differences == []
    told = repr([read_segment(data, name) for name, data in left.segments.items()])
    assert "second" in told
    assert f"'{SESSION}'" not in told
    assert "stranger" not in told


if __name__ == "__main__":
    _write_for_ever(Path(sys.argv[1]), Path(sys.argv[2]))
