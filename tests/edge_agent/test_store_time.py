"""The store's time while somebody, or the network's time service, sets the machine's clock."""

import pytest

from edge_agent.services.store_time import StoreTime


class SetClock:
    """A machine's clocks, told to go on or to be set."""

    def __init__(self) -> None:
        self._us, self._ms = 1_000_000, 1_700_000_000_000

    def go_on(self, ms: int) -> None:
        self._us += ms * 1_000
        self._ms += ms

    def set_by(self, ms: int) -> None:
        self._ms += ms

    def monotonic_us(self) -> int:
        return self._us

    def wall_ms(self) -> int:
        return self._ms

    def synchronised(self) -> bool:
        return True

    def boot(self) -> str:
        return "b"


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


def test_it_is_the_wall_clock_as_long_as_that_goes_forward(clock: SetClock) -> None:
    time = StoreTime(clock)
    for step in (0, 10, 3_600_000):
        clock.set_by(step)
        clock.go_on(5)
        assert time.now_ms() == clock.wall_ms()


def test_a_clock_set_back_by_an_hour_is_not_waited_for(clock: SetClock) -> None:
    time = StoreTime(clock)
    before = time.now_ms()
    clock.set_by(-3_600_000)
    assert time.now_ms() == before
    clock.go_on(900_000)
    assert time.now_ms() == before + 900_000, "what was to expire in a quarter of an hour has not expired"
    clock.go_on(2_700_001)
    assert time.now_ms() == before + 3_600_001
    clock.set_by(+7_200_000)
    assert time.now_ms() == clock.wall_ms()


def test_a_small_step_back_only_makes_it_stand(clock: SetClock) -> None:
    time = StoreTime(clock)
    before = time.now_ms()
    clock.set_by(-400)
    clock.go_on(300)
    assert time.now_ms() == before
    clock.go_on(200)
    assert time.now_ms() == clock.wall_ms() == before + 100


def test_a_start_with_a_clock_behind_the_log_goes_on_from_the_log(clock: SetClock) -> None:
    time = StoreTime(clock)
    newest = clock.wall_ms() + 86_400_000
    time.seen(newest)
    clock.go_on(5_000)
    assert time.now_ms() == newest + 5_000
    time.seen(newest)
    assert time.now_ms() == newest + 5_000
