"""Which faults a cart finds in itself, and when."""

import pytest

from cart_firmware.core.health import Health, progressing
from cart_firmware.services.watch import Watch
from cart_protocol.basket import Fault
from cart_protocol.host.service_manager import ServiceManager

SECOND = 1_000_000


def healthy() -> Health:
    health = Health(started_us=0, price_book=True)
    health.weighed(60 * SECOND)
    health.framed(60 * SECOND)
    return health


def test_a_cart_that_just_started_is_given_time_for_its_sensors() -> None:
    health = Health(started_us=0)
    assert health.faults(SECOND) == (Fault.NO_PRICE_BOOK,)
    assert health.faults(4 * SECOND) == (Fault.LOAD_CELL_SILENT, Fault.NO_PRICE_BOOK)
    assert health.faults(16 * SECOND) == (Fault.LOAD_CELL_SILENT, Fault.CAMERA_SILENT, Fault.NO_PRICE_BOOK)


def test_an_unplugged_load_cell_is_silent_after_two_seconds_and_well_when_it_weighs_again() -> None:
    health = healthy()
    assert health.faults(61 * SECOND) == ()
    health.framed(63 * SECOND)
    assert health.faults(63 * SECOND) == (Fault.LOAD_CELL_SILENT,)
    health.weighed(63 * SECOND)
    assert health.faults(63 * SECOND) == ()


def test_a_camera_without_frames_is_silent() -> None:
    health = healthy()
    health.weighed(66 * SECOND)
    assert health.faults(66 * SECOND) == (Fault.CAMERA_SILENT,)


def test_an_overloaded_cell_is_saturated_and_not_silent() -> None:
    health = healthy()
    for tick in range(20):
        health.saturated(60 * SECOND + tick * SECOND // 10)
    health.framed(62 * SECOND)
    assert health.faults(62 * SECOND) == (Fault.LOAD_CELL_SATURATED,)
    health.weighed(62 * SECOND)
    assert health.faults(62 * SECOND) == ()


def test_a_cell_whose_zero_wanders_is_named_as_long_as_it_does() -> None:
    health = healthy()
    health.drifting = True
    assert health.faults(61 * SECOND) == (Fault.LOAD_CELL_DRIFTS,)
    health.drifting = False
    assert health.faults(61 * SECOND) == ()


@pytest.mark.parametrize("fault", [Fault.LOAD_CELL_SLOW_CLOCK, Fault.LOAD_CELL_LOST_FRAMES])
def test_now_and_then_a_lost_reading_is_no_fault_and_ten_in_ten_seconds_are_named(fault: Fault) -> None:
    health = healthy()
    for tick in range(9):
        health.reading_failed(60 * SECOND + tick * SECOND // 10, fault)
    assert health.faults(61 * SECOND) == ()
    health.reading_failed(61 * SECOND, fault)
    assert health.faults(61 * SECOND) == (fault,)
    health.weighed(71 * SECOND)
    health.framed(71 * SECOND)
    assert health.faults(71 * SECOND) == ()


def test_readings_that_fail_in_several_ways_have_no_one_name() -> None:
    health = healthy()
    for tick in range(10):
        kind = Fault.LOAD_CELL_SLOW_CLOCK if tick % 2 else Fault.LOAD_CELL_LOST_FRAMES
        health.reading_failed(60 * SECOND + tick, kind)
    assert health.faults(60 * SECOND + 10) == (Fault.LOAD_CELL_UNRELIABLE,)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.LOAD_CELL_SILENT, Fault.LOAD_CELL_STUCK, Fault.LOAD_CELL_WRONG_GAIN, Fault.LOAD_CELL_WRONG_RATE,
        Fault.LOAD_CELLS_DISAGREE,
    ],
)  # fmt: skip
def test_what_a_converter_needs_long_to_find_is_shown_at_once_and_gone_two_seconds_later(fault: Fault) -> None:
    health = healthy()
    health.reading_failed(60 * SECOND, fault)
    assert health.faults(61 * SECOND) == (fault,)
    health.weighed(61 * SECOND)
    assert health.faults(61 * SECOND) == (fault,), "long enough to be read"
    assert health.faults(62 * SECOND) == ()


def test_a_loop_that_worked_and_stopped_is_no_progress_and_one_that_never_worked_is_a_fault_to_show() -> None:
    assert progressing(None, 100 * SECOND, 10 * SECOND)
    assert progressing(90 * SECOND, 100 * SECOND, 10 * SECOND)
    assert not progressing(89 * SECOND, 100 * SECOND, 10 * SECOND)


class Clock:
    """Stands where it is put."""

    def __init__(self) -> None:
        self.now_us = 0

    def monotonic_us(self) -> int:
        return self.now_us

    def wall_ms(self) -> int:
        return self.now_us // 1_000

    def synchronised(self) -> bool:
        return False

    def boot(self) -> str:
        return "test"


class Loop:
    turned_us: int | None = None


def test_the_watchdog_names_the_loop_that_hangs() -> None:
    clock, scale, camera = Clock(), Loop(), Loop()
    watch = Watch(ServiceManager({}), clock, {"scale": scale, "camera": camera})
    scale.turned_us = 0
    clock.now_us = 11 * SECOND
    assert watch.hanging() == ["scale"]
    scale.turned_us = clock.now_us
    assert watch.hanging() == []
