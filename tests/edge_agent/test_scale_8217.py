"""The 8217 scale: the wire held to byte vectors, and the real pyserial on a real pseudo-terminal."""

import asyncio
import json
import os
import tty
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cart_protocol.mass import Mass, grams
from edge_agent.devices.code_scanner import LONGEST, LineReader, open_scanner
from edge_agent.devices.scale_8217 import WEIGH, Reader, Scale8217, open_scale
from edge_agent.ports import DeviceError, Weight

VECTORS = json.loads((Path(__file__).parents[1] / "contract" / "vectors" / "8217.json").read_text())
ANSWERS: list[dict[str, Any]] = VECTORS["answers"]
KILO_AND_A_QUARTER = bytes.fromhex("02 30 31 2e 32 35 30 0d")
MOVING = bytes.fromhex("02 3f 41 0d")
E5 = grams(5)


def octets(row: dict[str, Any]) -> bytes:
    return bytes.fromhex(row["bytes"])


def weight_of(row: dict[str, Any]) -> Weight:
    flags = {name: bool(row.get(name)) for name in ("in_motion", "over_capacity", "under_zero", "net")}
    return Weight(mass=Mass(row["mass_mg"]) if "mass_mg" in row else None, **flags)


def by_name(rows: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=lambda row: row["name"])


# ── the wire ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_request_is_one_letter() -> None:
    assert bytes.fromhex(VECTORS["request"]["weigh"]) == WEIGH


@by_name(ANSWERS)
def test_an_answer_read_whole(row: dict[str, Any]) -> None:
    assert Reader().feed(octets(row)) == weight_of(row)


@by_name(ANSWERS)
def test_an_answer_read_byte_by_byte_is_there_with_its_last_byte_and_not_before(row: dict[str, Any]) -> None:
    reader = Reader()
    read = [reader.feed(bytes([byte])) for byte in octets(row)]
    assert read == [None] * (len(read) - 1) + [weight_of(row)]


@by_name(ANSWERS)
@pytest.mark.parametrize("garbage", [b"\x00\xff\xfe", b"123\r", b"\x0201.2", b"\x02\x02", bytes(range(3, 64))])
def test_an_answer_after_garbage_is_read_and_the_garbage_counted(row: dict[str, Any], garbage: bytes) -> None:
    reader = Reader()
    assert reader.feed(garbage + octets(row)) == weight_of(row)
    assert reader.garbled > 0


@by_name(VECTORS["garbled"])
def test_a_garbled_frame_is_no_weight(row: dict[str, Any]) -> None:
    reader = Reader()
    assert reader.feed(octets(row)) is None
    assert reader.garbled > 0
    assert reader.feed(KILO_AND_A_QUARTER) == Weight(mass=grams(1_250))


@given(noise=st.binary(max_size=60), cut=st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_noise_in_any_portions_raises_nothing_and_the_second_answer_after_it_is_read(noise: bytes, cut: int) -> None:
    reader = Reader()
    reader.feed(noise[:cut])
    reader.feed(noise[cut:])
    reader.feed(KILO_AND_A_QUARTER)  # may complete a frame that the noise began
    assert reader.feed(KILO_AND_A_QUARTER) == Weight(mass=grams(1_250))


def test_while_the_load_moves_the_last_weight_is_not_shown_again() -> None:
    reader = Reader()
    assert reader.feed(KILO_AND_A_QUARTER + MOVING) == Weight(mass=None, in_motion=True)


# ── the line ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Instrument:
    """The far end of a pseudo-terminal, in the test's own loop: answers every W by what it was told to."""

    def __init__(self) -> None:
        self._master, self._slave = os.openpty()  # holding the slave keeps the line up between two clients
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self.answer: Callable[[], bytes] = lambda: KILO_AND_A_QUARTER
        self.asked = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._serve)

    def send(self, said: bytes) -> None:
        os.write(self._master, said)

    def unplug(self) -> None:
        self._loop.remove_reader(self._master)
        os.close(self._slave)
        os.close(self._master)

    def _serve(self) -> None:
        for _ in range(os.read(self._master, 100).count(WEIGH)):
            self.asked += 1
            os.write(self._master, self.answer())


@pytest.fixture
async def instrument() -> AsyncIterator[Instrument]:
    made = Instrument()
    yield made
    made.unplug()


@pytest.fixture
async def scale(instrument: Instrument) -> AsyncIterator[Scale8217]:
    made = open_scale(instrument.path, E5)
    yield made
    await made.close()


async def test_a_weight_over_the_line(instrument: Instrument, scale: Scale8217) -> None:
    assert await scale.weigh() == Weight(mass=grams(1_250))
    assert instrument.asked == 1


async def test_an_answer_ends_the_wait_a_thousand_polls_do_not_take_a_thousand_timeouts(scale: Scale8217) -> None:
    async with asyncio.timeout(60):
        for _ in range(1_000):
            assert (await scale.weigh()).mass == grams(1_250)


async def test_a_moving_load_has_no_weight(instrument: Instrument, scale: Scale8217) -> None:
    await scale.weigh()
    instrument.answer = lambda: MOVING
    assert await scale.weigh() == Weight(mass=None, in_motion=True)


async def test_a_status_of_the_value_of_cr_is_read_to_its_end(instrument: Instrument, scale: Scale8217) -> None:
    instrument.answer = lambda: b"\x02?\r\r"
    assert await scale.weigh() == Weight(mass=None, in_motion=True, under_zero=True)


async def test_what_nobody_asked_for_is_not_taken_for_the_answer(instrument: Instrument, scale: Scale8217) -> None:
    await scale.weigh()
    instrument.send(b"\x0209.990\r")
    instrument.answer = lambda: b"\x0200.500\r"
    assert (await scale.weigh()).mass == grams(500)


async def test_a_silent_scale_is_named_with_what_to_do(instrument: Instrument, scale: Scale8217) -> None:
    instrument.answer = lambda: b""
    with pytest.raises(DeviceError, match=r"was silent for 0\.5 s.*check cable"):
        await scale.weigh()


async def test_a_scale_of_another_protocol_is_told_by_what_it_answered(
    instrument: Instrument, scale: Scale8217
) -> None:
    instrument.answer = lambda: b"\n01.250KG\r\n"
    with pytest.raises(DeviceError, match=r"answered b'.n01\.250KG.r'"):
        await scale.weigh()


async def test_a_port_is_ours_alone(instrument: Instrument, scale: Scale8217) -> None:
    await scale.weigh()
    second = open_scale(instrument.path, E5)
    with pytest.raises(DeviceError, match="is it plugged in, and free"):
        await second.weigh()


async def test_an_agent_that_was_killed_and_is_back_reads_the_same_line_again(instrument: Instrument) -> None:
    # glibc refuses seven bits on a pseudo-terminal once nothing else about it changes: the second opening
    for _ in range(3):
        scale = open_scale(instrument.path, E5)
        assert (await scale.weigh()).mass == grams(1_250)
        await scale.close()


async def test_an_unplugged_scale_is_an_error_and_works_again_when_it_is_back(tmp_path: Path) -> None:
    link, first = tmp_path / "exit-scale", Instrument()
    link.symlink_to(first.path)
    scale = open_scale(str(link), E5)
    assert (await scale.weigh()).mass == grams(1_250)
    first.unplug()
    link.unlink()
    for _ in range(2):
        with pytest.raises(DeviceError, match="exit-scale"):
            await scale.weigh()
    second = Instrument()
    link.symlink_to(second.path)
    assert (await scale.weigh()).mass == grams(1_250)
    await scale.close()
    second.unplug()


# ── the order scanner on the same kind of line ───────────────────────────────────────────────────────────────────


async def test_codes_arrive_one_by_one_without_their_terminators(instrument: Instrument) -> None:
    scanner = open_scanner(instrument.path)
    await asyncio.to_thread(scanner._port.read_some)  # opens it; what was sent before is dropped
    instrument.send(b"1000017\r\n6BF+70790\r")
    assert [await scanner.read(), await scanner.read()] == ["1000017", "6BF+70790"]
    await scanner.close()


def test_a_code_in_portions_and_noise_that_never_ends_a_line() -> None:
    reader = LineReader()
    assert reader.feed(b"100") == []
    assert reader.feed(b"0017\r") == ["1000017"]
    assert reader.feed(b"\r\n\n") == []
    assert reader.feed(b"x" * (LONGEST + 1) + b"\r") == []
    assert reader.dropped == 1
    assert reader.feed(b"\xff7\r") == ["\N{REPLACEMENT CHARACTER}7"]
