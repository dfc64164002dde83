"""The exit scale as its manual describes it, byte by byte; and on a pty, polled by a real serial client."""

import asyncio
import termios
from pathlib import Path

import pytest
import serial

from sim.wires.scale_8217 import Scale8217, ScalePort

MOVING = bytes((2, ord("?"), 0x40 | 0x08 | 0x01, 13))
"""Above two per cent of the capacity a load is also outside the zero setting range."""


class Platform:
    def __init__(self) -> None:
        self.grams, self.now_s = 0.0, 100.0
        self.scale = Scale8217(lambda: self.grams, clock=lambda: self.now_s)

    def lay(self, grams: float, wait_s: float = 1.0) -> None:
        self.grams = grams
        self.scale.tick()
        self.now_s += wait_s

    def ask(self, command: bytes) -> bytes:
        return self.scale.feed(command)


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.mark.parametrize(
    ("grams", "answer"),
    [
        (1_250, b"\x0201.250\r"),
        (0, b"\x0200.000\r"),
        (1_252, b"\x0201.250\r"),
        (1_253, b"\x0201.255\r"),
        (59_995, b"\x0259.995\r"),
    ],
)
def test_a_resting_load_is_told_in_kilograms_and_divisions(platform: Platform, grams: int, answer: bytes) -> None:
    platform.lay(grams)
    assert platform.ask(b"W") == answer


def test_the_vector_of_the_reference_is_met(platform: Platform) -> None:
    platform.lay(1_250)
    assert platform.ask(b"W") == bytes.fromhex("02 30 31 2e 32 35 30 0d")


def test_while_the_platform_moves_there_is_only_a_status(platform: Platform) -> None:
    platform.lay(1_250, wait_s=0.39)
    assert platform.ask(b"W") == MOVING
    platform.now_s += 0.02
    assert platform.ask(b"W") == b"\x0201.250\r"


def test_a_load_that_nobody_asked_about_has_settled_all_the_same(platform: Platform) -> None:
    platform.lay(700, wait_s=30)
    assert platform.ask(b"W") == b"\x0200.700\r"


def test_over_capacity_and_under_zero_are_told(platform: Platform) -> None:
    platform.lay(60_045)
    assert platform.ask(b"W") == b"\x0260.045\r"
    platform.lay(60_060)
    assert platform.ask(b"W") == bytes((2, ord("?"), 0x40 | 0x02 | 0x08, 13))
    platform.lay(-20)
    assert platform.ask(b"W") == bytes((2, ord("?"), 0x40 | 0x04, 13))


def test_zero_follows_a_dirty_platform_but_not_a_load(platform: Platform) -> None:
    platform.lay(40)
    assert platform.ask(b"Z") == bytes((2, ord("?"), 0x40 | 0x10, 13))
    assert platform.ask(b"W") == b"\x0200.000\r"
    platform.lay(5_000)
    assert platform.ask(b"Z") == bytes((2, ord("?"), 0x40 | 0x08, 13))
    assert platform.ask(b"W") == b"\x0204.960\r"


def test_a_platform_tare_gives_net_weights_until_cleared(platform: Platform) -> None:
    platform.lay(800)
    assert platform.ask(b"T") == b""
    platform.now_s += 0.15
    assert platform.scale.tick() == bytes((2, ord("?"), 0x40 | 0x20, 13))
    platform.lay(2_000)
    assert platform.ask(b"W") == b"\x0201.200N\r"
    platform.ask(b"C")
    assert platform.ask(b"W") == b"\x0202.000\r"


def test_a_digital_tare_has_five_digits(platform: Platform) -> None:
    assert platform.ask(b"T00250") == bytes((2, ord("?"), 0x40 | 0x20 | 0x10 | 0x04, 13))
    platform.lay(1_000)
    assert platform.ask(b"W") == b"\x0200.750N\r"


def test_the_echo_probe_finds_an_8217(platform: Platform) -> None:
    assert platform.ask(b"Ehello") == b"\x02E\rhello"
    assert platform.ask(b"F") == b""
    assert platform.ask(b"W") == b"\x0200.000\r"


def test_the_confidence_test_passes_once(platform: Platform) -> None:
    assert platform.ask(b"A") == b"\x02\r"
    assert platform.ask(b"B") == b"\x02?@\r"
    assert platform.ask(b"B") == b"\x02?\x00\r"


def test_parity_bits_are_not_commands(platform: Platform) -> None:
    assert platform.ask(bytes((ord("W") | 0x80,))) == b"\x0200.000\r"


def test_nonsense_is_answered_by_a_status_and_changes_nothing(platform: Platform) -> None:
    platform.lay(500)
    for byte in range(256):
        if byte & 0x7F not in b"WZTCABE\r\n":
            assert platform.ask(bytes((byte,))) == b"\x02?\x40\r"
    assert platform.ask(b"\r\nW") == b"\x0200.500\r"


# ── on a line ────────────────────────────────────────────────────────────────────────────────────────────────────


def open_line(link: Path) -> serial.Serial:
    return serial.Serial(str(link), 9600, bytesize=7, parity="E", stopbits=1, timeout=2, write_timeout=2)


def poll(line: serial.Serial) -> bytes:
    line.write(b"W")
    return line.read_until(b"\r")


async def test_a_serial_client_polls_it_through_a_pty(tmp_path: Path) -> None:
    load = [0.0]
    port = ScalePort(Scale8217(lambda: load[0], settle_s=0.1), tmp_path / "lane" / "scale")
    port.plug()
    try:
        with open_line(tmp_path / "lane" / "scale") as line:
            assert {await asyncio.to_thread(poll, line) for _ in range(50)} == {b"\x0200.000\r"}
            load[0] = 1_250.0
            assert await asyncio.to_thread(poll, line) == MOVING
            await asyncio.sleep(0.2)
            assert await asyncio.to_thread(poll, line) == b"\x0201.250\r"
            port.spoil()
            assert await asyncio.to_thread(poll, line) not in {b"\x0201.250\r", MOVING}
            assert await asyncio.to_thread(poll, line) == b"\x0201.250\r"
    finally:
        port.unplug()


async def test_a_late_tare_answer_reaches_the_client(tmp_path: Path) -> None:
    port = ScalePort(Scale8217(lambda: 800.0), tmp_path / "scale")
    port.plug()
    try:
        with open_line(tmp_path / "scale") as line:
            line.write(b"T")
            assert await asyncio.to_thread(line.read_until, b"\r") == b"\x02?\x60\r"
    finally:
        port.unplug()


async def test_a_client_that_was_restarted_opens_the_line_again(tmp_path: Path) -> None:
    port = ScalePort(Scale8217(lambda: 500.0), tmp_path / "scale")
    port.plug()
    try:
        for _ in range(3):
            with open_line(tmp_path / "scale") as line:
                assert await asyncio.to_thread(poll, line) == b"\x0200.500\r"
            await asyncio.sleep(0.1)
    finally:
        port.unplug()


async def test_a_pulled_plug_fails_the_client_and_a_new_one_finds_it_under_the_same_name(tmp_path: Path) -> None:
    link = tmp_path / "scale"
    port = ScalePort(Scale8217(lambda: 500.0), link)
    port.plug()
    line = open_line(link)
    assert await asyncio.to_thread(poll, line) == b"\x0200.500\r"
    port.unplug()
    with pytest.raises((serial.SerialException, termios.error, OSError)):
        await asyncio.to_thread(poll, line)
    line.close()
    assert not link.is_symlink()
    port.plug()
    try:
        with open_line(link) as again:
            assert await asyncio.to_thread(poll, again) == b"\x0200.500\r"
    finally:
        port.unplug()
