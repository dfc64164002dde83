"""Several cells under one platform: summed, and the one that lies is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_firmware.core.cross_check import CrossCheck
from cart_firmware.devices.platform import Platform
from cart_firmware.ports import DisagreementError, LoadCellError, Quality, Sample, SilentError

KG = 84_000
"""Counts."""
RATE_HZ = 80
PLACES = st.integers(0, 3)
LOADS = st.tuples(st.floats(0, 30), st.floats(-1, 1), st.floats(-1, 1))
"""Kilograms, and where they lie."""


def plate(kilograms: float, x: float = 0.0, y: float = 0.0) -> list[float]:
    """Return what four equal springs under a rigid plate carry of a load at (x, y), each from -1 to 1."""
    corners = ((-1, 1), (1, 1), (1, -1), (-1, -1))
    return [kilograms * KG / 4 * (1 + x * left + y * front) for left, front in corners]


def check(cells: int = 4, zeros: tuple[int, ...] = ()) -> CrossCheck:
    return CrossCheck(cells, counts_per_kilogram=KG, rate_hz=RATE_HZ, zeros=zeros)


def told(checked: CrossCheck, counts: list[float], times: int = 2 * RATE_HZ) -> int | None:
    found = None
    for _ in range(times):
        found = checked.judge([round(count) for count in counts])
    return found


@given(kilograms=st.floats(0, 100), x=st.floats(-1, 1), y=st.floats(-1, 1))
def test_no_load_anywhere_on_the_platform_accuses_a_cell(kilograms: float, x: float, y: float) -> None:
    checked = check()
    told(checked, plate(0))
    assert told(checked, plate(kilograms, x, y)) is None


@given(load=LOADS, place=PLACES, astray=st.floats(3, 20) | st.floats(-20, -3))
def test_a_cell_that_goes_astray_under_a_load_is_the_one_that_is_named(
    load: tuple[float, float, float], place: int, astray: float
) -> None:
    checked = check(zeros=(0, 0, 0, 0))
    loaded = plate(*load)
    assert told(checked, loaded) is None
    loaded[place] += astray * KG
    assert told(checked, loaded) == place


def test_a_moment_of_warp_is_a_cart_that_rolls() -> None:
    checked = check()
    told(checked, plate(5))
    shaken = plate(5)
    shaken[1] += 4 * KG
    assert told(checked, shaken, RATE_HZ // 2) is None
    assert told(checked, plate(5)) is None


def test_two_cells_cannot_warp_but_one_that_pulls_is_named() -> None:
    checked = check(2, zeros=(0, 0))
    assert told(checked, [5 * KG, 9 * KG]) is None
    assert told(checked, [14 * KG, -11 * KG]) == 1


class Cell:
    """Says what it is told to say."""

    rate_hz = 80.0

    def __init__(self, counts: int) -> None:
        self.says: int | LoadCellError | None = counts
        self.closed = False
        self.near = False

    def poll(self, now_us: int) -> Sample | None:
        if isinstance(self.says, LoadCellError):
            raise self.says
        if self.says is None:
            return None
        return Sample(now_us, self.says, Quality.NEAR_END if self.near else Quality.GOOD)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def cells() -> list[Cell]:
    return [Cell(1_000), Cell(2_000), Cell(3_000), Cell(4_000)]


def test_the_sum_waits_for_all_and_is_trimmed(cells: list[Cell]) -> None:
    platform = Platform(cells, check(), trims=(1.0, 1.0, 1.0, 1.01))
    cells[2].says = None
    assert platform.poll(0) is None
    cells[2].says = 3_000
    assert platform.poll(6_000) == Sample(6_000, 10_040, parts=(1_000, 2_000, 3_000, 4_040))


def test_conversions_that_belong_to_different_moments_are_not_summed(cells: list[Cell]) -> None:
    platform = Platform(cells, check())
    for cell in cells[:3]:
        cell.says = None
    assert platform.poll(0) is None
    cells[3].says = None
    for cell in cells[:3]:
        cell.says = 1
    assert platform.poll(1_000_000) is None


def test_the_cell_that_fails_is_named_and_the_others_keep_their_pace(cells: list[Cell]) -> None:
    platform = Platform(cells, check())
    cells[1].says = SilentError("HX711: no conversion")
    with pytest.raises(SilentError, match="front right: HX711: no conversion") as failed:
        platform.poll(0)
    assert failed.value.cell == "front right"
    cells[1].says = 2_000
    assert platform.poll(12_500) == Sample(12_500, 10_000, parts=(1_000, 2_000, 3_000, 4_000))


def test_a_cell_near_its_end_is_said_of_the_sum(cells: list[Cell]) -> None:
    cells[0].near = True
    sample = Platform(cells, check()).poll(0)
    assert sample is not None
    assert sample.quality is Quality.NEAR_END


def test_a_cell_that_contradicts_the_others_is_named_and_the_sum_withheld(cells: list[Cell]) -> None:
    platform = Platform(cells, check())
    platform.poll(0)
    cells[3].says = 10 * KG
    with pytest.raises(DisagreementError, match="rear left: counts of the cells are") as disagreement:
        _poll_on(platform)
    assert disagreement.value.cell == "rear left"


def _poll_on(platform: Platform) -> None:
    for tick in range(1, 200):
        platform.poll(tick * 12_500)


def test_closing_closes_all(cells: list[Cell]) -> None:
    Platform(cells, check()).close()
    assert all(cell.closed for cell in cells)
