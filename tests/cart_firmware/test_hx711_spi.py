"""The HX711 driver against byte vectors of the datasheet's timing, and against a chip that reacts to clock edges."""

import importlib.util
from collections.abc import Callable

import pytest

from cart_firmware.config import LoadCellSettings
from cart_firmware.devices.hx711_spi import FRAME, POWER_CYCLE, READY_TEST, Hx711Spi, decode
from cart_firmware.devices.load_cells import open_load_cell
from cart_firmware.ports import FrameError, LoadCell, LoadCellError, Sample, SaturatedError, SilentError
from cart_protocol.host.configuration import ConfigurationError

MS = 1_000
PERIOD_US = 12_500
SETTLING_US = 50_000


class EdgeChip:
    """An HX711 at 80 per second as its edges see it; time in microseconds. `counts` is what the bridge shows."""

    def __init__(self) -> None:
        self.now_us = 0.0
        self.counts = 0
        self.powered = True
        self.lost_pulses = 0
        """How many of the next rising edges the chip misses."""
        self.resets = 0
        self.closed = False
        self._high_since: float | None = None
        self._pulses = 0
        self._word = 0
        self._next = float(SETTLING_US)

    def xfer2(self, data: list[int], /) -> list[int]:
        return [self._byte(byte) for byte in data]

    def close(self) -> None:
        self.closed = True

    def _byte(self, byte: int) -> int:
        answer = 0
        for bit in range(7, -1, -1):
            self._clock(byte >> bit & 1)
            self.now_us += 0.5
            answer = answer << 1 | self._dout()
            self.now_us += 0.5
        return answer

    def _clock(self, level: int) -> None:
        if level and self._high_since is None:
            self._high_since = self.now_us
            self._rise()
        elif not level and self._high_since is not None:
            if self.now_us - self._high_since > 60:
                self.resets += 1
                self._pulses, self._next = 0, self.now_us + SETTLING_US
            self._high_since = None

    def _rise(self) -> None:
        if self.lost_pulses:
            self.lost_pulses -= 1
        elif self._pulses or self.now_us >= self._next:
            if not self._pulses:
                self._word = self.counts & 0xFFFFFF
            self._pulses += 1

    def _dout(self) -> int:
        if not self.powered:
            return 1
        if self._pulses >= 25:
            self._pulses, self._next = 0, self.now_us + PERIOD_US
        if self._pulses:
            return self._word >> (24 - self._pulses) & 1
        return 0 if self.now_us >= self._next else 1


def polled(cell: LoadCell, chip: EdgeChip, duration_us: int, *, every_us: int = 2 * MS) -> list[Sample]:
    """Poll as the service does, until `duration_us` passed; errors come through."""
    end, samples = chip.now_us + duration_us, []
    while chip.now_us < end:
        if sample := cell.poll(round(chip.now_us)):
            samples.append(sample)
        chip.now_us += every_us
    return samples


@pytest.fixture
def chip() -> EdgeChip:
    return EdgeChip()


@pytest.fixture
def cell(chip: EdgeChip) -> Hx711Spi:
    return Hx711Spi(chip, rate_hz=80)


def test_the_bytes_on_the_wire_are_those_of_the_wiring() -> None:
    assert READY_TEST.hex() == "00"
    assert FRAME.hex() == "aaaaaaaaaaaa80"
    assert POWER_CYCLE.hex() == "ff" * 10 + "00"


@pytest.mark.parametrize(
    ("answer", "counts", "extra"),
    [
        # Each data bit appears twice, in the high and the low half of its pulse; then DOUT is high.
        ("000000000000ff", 0, True),
        ("ffffffffffffff", -1, True),
        ("000000000003ff", 1, True),
        ("3fffffffffffff", 0x7FFFFF, True),
        ("c00000000000ff", -0x800000, True),
        ("0003030c0f33ff", 0x0112_35, True),
        ("0003030c0f333f", 0x0112_35, False),
        ("00000000000000", 0, False),
    ],
)
def test_pinned_answers_decode(answer: str, counts: int, extra: bool) -> None:
    assert decode(bytes.fromhex(answer)) == (counts, extra)


@pytest.mark.parametrize("counts", [0, -1, 1, 103_515, -103_515, 0x7FFFFE, -0x7FFFFF])
def test_every_count_comes_through_as_the_chip_clocked_it_out(chip: EdgeChip, cell: Hx711Spi, counts: int) -> None:
    chip.counts = counts
    samples = polled(cell, chip, 200 * MS)
    assert samples
    assert {sample.counts for sample in samples} == {counts}


def test_eighty_conversions_come_in_a_second_once_settled(chip: EdgeChip, cell: Hx711Spi) -> None:
    polled(cell, chip, SETTLING_US)
    assert 65 <= len(polled(cell, chip, 1_000 * MS)) <= 80


def test_nothing_is_believed_before_the_chip_was_reset_and_settled_and_its_first_conversion_dropped(
    chip: EdgeChip, cell: Hx711Spi
) -> None:
    chip.now_us = 500 * MS
    samples = polled(cell, chip, 300 * MS)
    assert chip.resets == 1
    assert samples[0].at_us >= 500 * MS + SETTLING_US + PERIOD_US


def test_a_lost_clock_edge_is_an_error_and_never_a_wrong_weight(chip: EdgeChip, cell: Hx711Spi) -> None:
    chip.counts = 0x2AAAAA
    polled(cell, chip, 200 * MS)
    chip.lost_pulses = 1
    with pytest.raises(FrameError, match="bit 25"):
        polled(cell, chip, 100 * MS)
    assert chip.resets == 2
    afterwards = polled(cell, chip, 300 * MS)
    assert {sample.counts for sample in afterwards} == {0x2AAAAA}


def test_a_data_line_held_low_is_an_error() -> None:
    class Grounded(EdgeChip):
        def xfer2(self, data: list[int], /) -> list[int]:
            return [0] * len(super().xfer2(data))

    grounded = Grounded()
    with pytest.raises(FrameError):
        polled(Hx711Spi(grounded, rate_hz=80), grounded, 1_000 * MS)


@pytest.mark.parametrize("end", [0x7FFFFF, -0x800000])
def test_the_ends_of_the_range_are_saturation_and_the_chip_goes_on(chip: EdgeChip, cell: Hx711Spi, end: int) -> None:
    polled(cell, chip, 200 * MS)
    chip.counts = end
    with pytest.raises(SaturatedError):
        polled(cell, chip, 100 * MS)
    chip.counts = 1_234
    assert polled(cell, chip, 100 * MS)[-1].counts == 1_234
    assert chip.resets == 1


def test_an_unplugged_chip_is_silent_after_ten_conversions_and_is_tried_again(chip: EdgeChip, cell: Hx711Spi) -> None:
    polled(cell, chip, 200 * MS)
    chip.powered, unplugged_us = False, chip.now_us
    with pytest.raises(SilentError, match="no conversion for"):
        polled(cell, chip, 1_000 * MS)
    assert 9 * PERIOD_US <= chip.now_us - unplugged_us <= 10 * PERIOD_US + 3 * MS
    assert chip.resets == 2
    with pytest.raises(SilentError):
        polled(cell, chip, 1_000 * MS)
    chip.powered, chip.counts = True, 77
    assert polled(cell, chip, 400 * MS)[-1].counts == 77


def test_all_errors_are_load_cell_errors() -> None:
    assert all(issubclass(error, LoadCellError) for error in (FrameError, SaturatedError, SilentError))


def test_ten_per_second_settles_for_four_tenths_of_a_second(chip: EdgeChip) -> None:
    slow = Hx711Spi(chip, rate_hz=10)
    polled(slow, chip, 398 * MS)
    assert chip.now_us < 400 * MS
    assert slow.poll(round(chip.now_us)) is None


def test_closing_closes_the_bus(chip: EdgeChip, cell: Hx711Spi) -> None:
    cell.close()
    assert chip.closed


def test_a_configured_class_path_is_the_bus() -> None:
    cell = open_load_cell(LoadCellSettings(device="hx711-spi:test_hx711_spi_bus:connect?cart=c7"))
    assert cell.rate_hz == 80
    assert cell.poll(0) is None
    cell.close()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (LoadCellSettings(device="hx711:5"), "no driver 'hx711'"),
        (LoadCellSettings(device="hx711-spi:zero"), "'zero' is no SPI bus"),
        (LoadCellSettings(device="hx711-spi:0.0", rate_hz=20), "10 or 80"),
        (LoadCellSettings(device="hx711-spi:types:SimpleNamespace?a=b"), "no xfer2() and close()"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_a_remedy(settings: LoadCellSettings, said: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        open_load_cell(settings)
    assert said in str(refusal.value)


@pytest.mark.skipif(importlib.util.find_spec("spidev") is not None, reason="spidev is installed here")
def test_without_spidev_the_error_names_the_extra() -> None:
    with pytest.raises(ConfigurationError, match=r"pip install 'cartwright\[pi\]'"):
        open_load_cell(LoadCellSettings())


@pytest.fixture(autouse=True)
def _bus_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of somebody else that a class path can name."""
    import sys
    from types import ModuleType

    module = ModuleType("test_hx711_spi_bus")
    connect: Callable[[str], EdgeChip] = lambda cart: EdgeChip() if cart == "c7" else pytest.fail(cart)  # noqa: E731
    module.connect = connect  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "test_hx711_spi_bus", module)
