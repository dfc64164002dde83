"""The street between the world and its plug-ins, each plug-in as the product opens it."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import gpiozero
import numpy as np
import pytest
import serial
import zxingcpp
from gpiozero.pins.mock import MockFactory

from cart_protocol.host.clock import HostClock
from sim.optics.label import Label
from sim.optics.scene import Scene
from sim.physics.load import LoadAct, Put
from sim.wires import pins, spi
from sim.wires.code_scanner import CodeScanner
from sim.wires.street import Street

FRAME = bytes([0xAA] * 6 + [0x80])
COUNTS_PER_KILOGRAM = 83_886.08
PATIENCE_S = 10.0


def now_s() -> float:
    return HostClock().monotonic_us() / 1e6


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110  # what is awaited happens in another thread or process
            await asyncio.sleep(0.005)


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    street = Street(tmp_path / "street")
    await street.start()
    yield street
    await street.close()


def socket_of(street: Street) -> str:
    return str(street._path)


def weigh(bus: spi.StreetBus, conversions: int = 4) -> float | None:
    """Return the mean of some conversions in kilograms, or None when the chip stays silent."""
    pause, counts = threading.Event(), []
    for _ in range(800):
        if bus.xfer2([0]) == [0]:
            bits = "".join(f"{byte:08b}" for byte in bus.xfer2(list(FRAME)))
            word = int(bits[1:48:2], 2)
            counts.append(word - (word >> 23 << 24))
        if len(counts) == conversions:
            return sum(counts) / conversions / COUNTS_PER_KILOGRAM
        pause.wait(0.001)
    return None


async def test_a_load_on_the_platform_is_weighed_through_the_bus(street: Street) -> None:
    street.set_load("c1", [Put(now_s() - 5, 1_500_000)])
    bus = await asyncio.to_thread(spi.connect, socket_of(street), "c1")
    assert await asyncio.to_thread(weigh, bus) == pytest.approx(1.5, abs=0.005)
    street.add_load("c1", Put(now_s() - 3, 250_000))
    await asyncio.sleep(0.1)
    assert await asyncio.to_thread(weigh, bus) == pytest.approx(1.75, abs=0.005)
    await asyncio.to_thread(bus.close)


async def test_a_cart_that_comes_back_finds_its_platform_as_it_was(street: Street) -> None:
    street.set_load("c1", [Put(now_s() - 9, 900_000)])
    street.add_load("c1", Put(now_s() - 8, 300_000))
    street.set_load("c2", [Put(now_s() - 9, 100_000)])
    for _ in range(2):
        bus = await asyncio.to_thread(spi.connect, socket_of(street), "c1", "80", "7")
        assert await asyncio.to_thread(weigh, bus) == pytest.approx(1.2, abs=0.005)
        await asyncio.to_thread(bus.close)


async def test_a_long_history_is_folded_and_means_the_same(street: Street) -> None:
    acts: list[LoadAct] = [Put(now_s() - 500 + number, 1_000) for number in range(420)]
    for act in acts:
        street.add_load("c1", act)
    assert len(street._acts["c1"]) < 100
    bus = await asyncio.to_thread(spi.connect, socket_of(street), "c1")
    assert await asyncio.to_thread(weigh, bus) == pytest.approx(0.42, abs=0.005)
    await asyncio.to_thread(bus.close)


async def test_the_last_load_stays_when_the_street_goes_and_a_new_street_is_found(tmp_path: Path) -> None:
    street = Street(tmp_path / "street")
    await street.start()
    street.set_load("c1", [Put(now_s() - 5, 800_000)])
    bus = await asyncio.to_thread(spi.connect, socket_of(street), "c1")
    await street.close()
    assert await asyncio.to_thread(weigh, bus) == pytest.approx(0.8, abs=0.005)
    again = Street(tmp_path / "street")
    again.set_load("c1", [Put(now_s() - 5, 600_000)])
    await again.start()
    await asyncio.wait_for(again.joined("load", "c1"), PATIENCE_S)
    await asyncio.sleep(0.1)
    assert await asyncio.to_thread(weigh, bus) == pytest.approx(0.6, abs=0.005)
    await asyncio.to_thread(bus.close)
    await again.close()


async def test_a_platform_that_is_not_known_does_not_look_empty(tmp_path: Path) -> None:
    bus = await asyncio.to_thread(spi.connect, str(tmp_path / "nobody"), "c1")
    assert {bus.xfer2([0])[0] for _ in range(100)} == {0xFF}
    await asyncio.to_thread(bus.close)


async def test_an_unplugged_converter_is_silent_until_it_is_plugged_in(street: Street) -> None:
    street.set_load("c1", [Put(now_s() - 5, 800_000)])
    bus = await asyncio.to_thread(spi.connect, socket_of(street), "c1")
    street.set_plugged("c1", plugged=False)
    await asyncio.sleep(0.1)
    assert await asyncio.to_thread(weigh, bus) is None
    street.set_plugged("c1", plugged=True)
    await asyncio.sleep(0.1)
    assert await asyncio.to_thread(weigh, bus) == pytest.approx(0.8, abs=0.005)
    await asyncio.to_thread(bus.close)


def test_an_hx711_has_two_rates() -> None:
    with pytest.raises(ValueError, match="10 or 80"):
        spi.connect("nowhere", "c1", rate_hz="50")


def test_a_path_too_long_for_a_socket_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="107"):
        Street(tmp_path / ("x" * 120))


# ── lanes ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def factory(street: Street) -> AsyncIterator[MockFactory]:
    factory = pins.connect(socket_of(street), "lane-2")
    await asyncio.wait_for(street.joined("pins", "lane-2"), PATIENCE_S)
    yield factory
    await asyncio.to_thread(factory.close)


async def test_the_world_sees_a_barrier_open_and_close(street: Street, factory: MockFactory) -> None:
    lane = street.lane_pins("lane-2")
    seen: list[bool] = []
    lane.on_output(27, seen.append)
    with gpiozero.OutputDevice(27, pin_factory=factory) as barrier:
        barrier.on()
        await until(lambda: lane.level(27))
        barrier.off()
        await until(lambda: not lane.level(27))
        barrier.on()
        await until(lambda: lane.level(27))
    await until(lambda: not lane.level(27))
    assert seen == [True, False, True, False]


async def test_an_active_low_output_is_told_as_it_stands_on_the_wire(street: Street, factory: MockFactory) -> None:
    lane = street.lane_pins("lane-2")
    with gpiozero.OutputDevice(17, active_high=False, initial_value=False, pin_factory=factory) as relay:
        await until(lambda: lane.level(17))
        relay.on()
        await until(lambda: not lane.level(17))


async def test_the_pedestals_alarm_reaches_a_real_gpiozero_input(street: Street, factory: MockFactory) -> None:
    lane = street.lane_pins("lane-2")
    edges: list[bool] = []
    with gpiozero.DigitalInputDevice(22, pull_up=False, pin_factory=factory) as alarm:
        alarm.when_activated = lambda: edges.append(True)
        alarm.when_deactivated = lambda: edges.append(False)
        for level in (True, False, True):
            lane.drive(22, level)
            await until(lambda wanted=level: alarm.value == wanted)
        await until(lambda: len(edges) == 3)
    assert edges == [True, False, True]


async def test_an_edge_may_set_an_output(street: Street, factory: MockFactory) -> None:
    lane = street.lane_pins("lane-2")
    with (
        gpiozero.DigitalInputDevice(23, pull_up=True, pin_factory=factory) as passage,
        gpiozero.OutputDevice(27, initial_value=True, pin_factory=factory) as barrier,
    ):
        await until(lambda: lane.level(27))
        passage.when_activated = barrier.off
        lane.drive(23, level=False)
        await until(lambda: not lane.level(27))


async def test_an_input_that_joins_late_stands_as_the_world_drives_it(street: Street, factory: MockFactory) -> None:
    street.lane_pins("lane-2").drive(23, level=False)
    await until(lambda: factory._driven)
    with gpiozero.Button(23, pin_factory=factory) as passage:
        assert passage.is_pressed, "the world holds the line low against the pull-up"


async def test_when_the_agent_dies_its_outputs_fall(street: Street) -> None:
    lane = street.lane_pins("lane-2")
    agent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys, time, gpiozero; from sim.wires.pins import connect;"
        "barrier = gpiozero.OutputDevice(27, initial_value=True, pin_factory=connect(sys.argv[1], 'lane-2'));"
        "time.sleep(60)",
        socket_of(street),
        cwd=Path(__file__).parents[2],
    )
    await until(lambda: lane.level(27))
    agent.kill()
    await until(lambda: not lane.level(27))
    await agent.wait()


async def test_a_new_street_hears_how_the_outputs_stand(tmp_path: Path) -> None:
    factory = pins.connect(str(tmp_path / "street"), "lane-2")
    with gpiozero.OutputDevice(5, initial_value=True, pin_factory=factory):
        street = Street(tmp_path / "street")
        await street.start()
        await until(lambda: street.lane_pins("lane-2").level(5))
        await asyncio.to_thread(factory.close)
        await street.close()


async def test_a_lane_that_ran_for_months_remembers_no_old_levels(factory: MockFactory) -> None:
    with gpiozero.OutputDevice(27, pin_factory=factory) as barrier:
        for _ in range(500):
            barrier.toggle()
        assert len(barrier.pin.states) <= 2


async def test_nonsense_on_the_street_costs_only_its_sender(street: Street, factory: MockFactory) -> None:
    _, writer = await asyncio.open_unix_connection(socket_of(street))
    writer.write(b'{"type":"hello","part":"tank","of":"x"}\n')
    await until(lambda: street.nonsense == 1)
    writer.close()
    with gpiozero.OutputDevice(27, initial_value=True, pin_factory=factory):
        await until(lambda: street.lane_pins("lane-2").level(27))


# ── scanner and camera ───────────────────────────────────────────────────────────────────────────────────────────


async def test_the_order_scanner_sends_a_code_and_a_carriage_return(tmp_path: Path) -> None:
    scanner = CodeScanner(tmp_path / "scanner")
    scanner.plug()
    with serial.Serial(str(tmp_path / "scanner"), 9600, timeout=5) as line:
        scanner.scan("6BFOXN%TSMAHN")
        assert await asyncio.to_thread(line.read_until, b"\r") == b"6BFOXN%TSMAHN\r"
    scanner.unplug()
    scanner.scan("nobody hears this")


async def test_the_camera_child_shows_what_the_world_puts_before_it_and_ends_with_its_reader(street: Street) -> None:
    size = 640 * 480 * 3 // 2
    street.set_scene("c1", Scene(label=Label("400638133393", name="Tea")))
    camera = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sim.optics.camera", "--socket", socket_of(street), "--cart", "c1", "--fps", "30"),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert camera.stdout
    read: set[str] = set()
    async with asyncio.timeout(PATIENCE_S):
        while not read:
            frame = np.frombuffer(await camera.stdout.readexactly(size), np.uint8)
            read = {barcode.text for barcode in zxingcpp.read_barcodes(frame[: 640 * 480].reshape(480, 640))}
    assert read == {"4006381333931"}
    camera._transport.get_pipe_transport(1).close()
    assert await asyncio.wait_for(camera.wait(), PATIENCE_S) == 0
