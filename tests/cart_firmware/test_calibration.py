"""Calibrating: what comes out weighs right, and what cannot be right is refused in plain words."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load_cell_rigs import RIGS, Conditions, Rig
from cart_firmware.config import LoadCellSettings
from cart_firmware.core.calibration import (
    Calibration,
    CalibrationRecord,
    Limits,
    Outcome,
    RefusedError,
    Rest,
    Weighed,
    calibrated,
    compare,
)
from cart_firmware.core.cross_check import CrossCheck, places
from cart_firmware.devices import calibration_file
from cart_firmware.devices.platform import Platform
from cart_firmware.ports import Acceleration, ImuError, LoadCell, Quality, Sample
from cart_firmware.screen import certificate
from cart_firmware.services.calibrate import Session, feel_upright
from cart_protocol.host.configuration import ConfigurationError
from cart_protocol.mass import grams, kilograms
from sim.wires.rpi_gpio import WireTime
from tests.cart_firmware.test_cart_main import PROGRAM, ROOT, Bench, Programs, bench, programs, until

__all__ = ["bench", "programs"]

MILLIVOLTS_PER_KG = 10 / 50
"""A 50 kg cell of 2 mV/V at 5 V."""
COUNTS_PER_KG = 83_886.08
MASSES = (kilograms(2), kilograms(5), kilograms(10))
LIMITS = Limits()


class Clock:
    def __init__(self, time: WireTime) -> None:
        self._time = time

    def monotonic_us(self) -> int:
        return self._time.microseconds()

    def wall_ms(self) -> int:
        return 0

    def synchronised(self) -> bool:
        return True

    def boot(self) -> str:
        return "test"


class Person:
    """Does what the cart asks, to the gram, unless told otherwise. `put` is told kilograms and where."""

    def __init__(self, put: Callable[[float, str], None]) -> None:
        self._put = put
        self.asked: list[str] = []

    def ask(self, what: str) -> None:
        self.asked.append(what)
        found = re.match(r"Put ([\d.]+) (kg|g) (.*)", what)
        kilogram = float(found[1]) / (1 if found[2] == "kg" else 1_000) if found else 0.0
        self._put(kilogram, found[3] if found else "")


def weigh(cell: LoadCell, time: WireTime, person: Person, *, corner_kg: float = 5, repeats: int = 3) -> Weighed:
    session = Session(
        cell, Clock(time), time.take, person, counts_per_kilogram=COUNTS_PER_KG, limits=LIMITS
    )  # fmt: skip
    return session.weigh(MASSES, corner_mass=kilograms(corner_kg), repeats=repeats)


@pytest.fixture(params=["hx711-spi", "hx711-bitbang", "nau7802"])
def rig(request: pytest.FixtureRequest) -> Rig:
    return RIGS[request.param](Conditions())


def on(rig: Rig, wrong: Callable[[float, str, int], float] = lambda kilogram, _where, _step: kilogram) -> Person:
    """A person at a rig; `wrong` says what really lands on the platform."""
    steps = iter(range(100))

    def put(kilogram: float, where: str) -> None:
        rig.bridge.value = 0.3 + wrong(kilogram, where, next(steps)) * MILLIVOLTS_PER_KG

    return Person(put)


def test_a_calibrated_scale_weighs_other_loads_to_two_grams(rig: Rig) -> None:
    person = on(rig)
    outcome = calibrated(weigh(rig.cell, rig.time, person), LIMITS)
    assert len(person.asked) == 1 + 3 + 1 + 4 + 2 * 3
    scale = Calibration(zero_counts=outcome.zero_counts, counts_per_kilogram=outcome.counts_per_kilogram)
    for kilogram in (0.0, 0.25, 7.3, 20.0):
        rig.bridge.value = 0.3 + kilogram * MILLIVOLTS_PER_KG
        rig.run(0.2)
        samples = rig.run(2.0)
        found = scale.mass(sum(sample.counts for sample in samples), len(samples))
        assert found == pytest.approx(kilograms(kilogram), abs=grams(2))
    assert abs(outcome.figures.noise - grams(0.5)) < grams(0.6)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda kilogram, _where, _step: kilogram * (1.05 if kilogram == 5 else 1), "do not lie on one line: 5.000 kg"),
        (lambda _kilogram, _where, _step: 0.0, "no more than the noise; put the mass on"),
        (lambda kilogram, where, _step: kilogram + 0.05 * ("rear right" in where), "corners differ: rear right"),
        (lambda kilogram, _where, step: kilogram + 0.02 * (step == 4), "after the masses"),
        (lambda kilogram, _where, step: kilogram + 0.02 * (step == 12), "more or less each time"),
    ],
    ids=["wrong mass", "forgotten mass", "corner", "zero does not return", "repeatability"],
)  # fmt: skip
def test_what_cannot_be_right_is_refused_by_name(wrong: Callable[[float, str, int], float], said: str) -> None:
    rig = RIGS["hx711-spi"](Conditions())
    weighed = weigh(rig.cell, rig.time, on(rig, wrong))
    with pytest.raises(RefusedError, match=said):
        calibrated(weighed, LIMITS)


def test_a_load_that_never_rests_is_refused_and_says_what_to_do() -> None:
    rig = RIGS["hx711-spi"](Conditions())
    dice = Random(1)

    class Swaying:
        def millivolts(self, _: float) -> float:
            return 1.0 + dice.gauss(0, 0.02)

    rig.bridge.millivolts = Swaying().millivolts  # type: ignore[method-assign]
    rig.cell._wire._bus.chip._millivolts = rig.bridge.millivolts  # type: ignore[attr-defined]
    with pytest.raises(RefusedError, match="does not rest: it moved by"):
        weigh(rig.cell, rig.time, Person(lambda _kilogram, _where: None))


def test_an_overload_is_refused() -> None:
    rig = RIGS["hx711-spi"](Conditions())
    with pytest.raises(RefusedError, match="at its end: take the load off"):
        weigh(rig.cell, rig.time, on(rig, lambda kilogram, _where, _step: kilogram * 12))


def test_an_unplugged_cell_is_refused_with_its_own_words() -> None:
    rig = RIGS["hx711-spi"](Conditions())
    rig.unplug()
    with pytest.raises(RefusedError, match="gives no readings: HX711: no conversion"):
        weigh(rig.cell, rig.time, on(rig))


# ── four cells ───────────────────────────────────────────────────────────────────────────────────────────────────────

CORNERS = {"front left": (-1, 1), "front right": (1, 1), "rear right": (1, -1), "rear left": (-1, -1)}
OUT = 0.8
"""How far towards the corner a mass can lie."""


class Turned:
    """An accelerometer, mounted askew, that feels what it is told to."""

    def __init__(self, share: float = 1.0, noise_ug: float = 2_000, *, answers: bool = True) -> None:
        self._share, self._noise, self._answers = share, noise_ug, answers
        self._dice = Random(3)

    def read(self, now_us: int) -> Acceleration:
        if not self._answers:
            raise ImuError("no answer at address 0x68; check its wires")
        x, y, z = (round(self._share * axis + self._dice.gauss(0, self._noise)) for axis in (30_000, -52_000, 998_000))
        return Acceleration(at_us=now_us, x=x, y=y, z=z)

    def close(self) -> None: ...


def test_the_accelerometer_is_read_on_level_floor() -> None:
    time, person = WireTime(), Person(lambda _kilogram, _where: None)
    x, y, z = feel_upright(Turned(), Clock(time), time.take, person)
    assert (x, y, z) == pytest.approx((30_000, -52_000, 998_000), abs=1_000)
    assert "level floor" in person.asked[0]


@pytest.mark.parametrize(
    ("imu", "said"),
    [
        (Turned(noise_ug=30_000), "sways by .* let go of the cart"),
        (Turned(share=0.5), "feels 0.50 times gravity .* broken"),
        (Turned(answers=False), "no answer at address 0x68"),
    ],
)
def test_an_accelerometer_that_cannot_be_used_is_refused_by_name(imu: Turned, said: str) -> None:
    time = WireTime()
    with pytest.raises(RefusedError, match=said):
        feel_upright(imu, Clock(time), time.take, Person(lambda _kilogram, _where: None))


class Corner:
    """One cell under a rigid plate, of its own sensitivity."""

    rate_hz = 80.0

    def __init__(self, sensitivity: float, seed: int) -> None:
        self._sensitivity, self._dice = sensitivity, Random(seed)
        self.force_kg = 0.0

    def poll(self, now_us: int) -> Sample | None:
        counts = self.force_kg * COUNTS_PER_KG * self._sensitivity + self._dice.gauss(1_000, 38)
        return Sample(now_us, round(counts), Quality.GOOD)

    def close(self) -> None:
        """It is screwed on."""


def test_cells_of_different_sensitivity_are_trimmed_by_the_corner_check() -> None:
    sensitivities = (1.03, 0.97, 1.01, 0.98)
    cells = [Corner(sensitivity, seed) for seed, sensitivity in enumerate(sensitivities)]

    def put(kilogram: float, where: str) -> None:
        x, y = next((CORNERS[name] for name in CORNERS if name in where), (0, 0))
        for cell, (left, front) in zip(cells, CORNERS.values(), strict=True):
            cell.force_kg = kilogram / 4 * (1 + OUT * (x * left + y * front))

    time = WireTime()
    check = CrossCheck(4, counts_per_kilogram=COUNTS_PER_KG, rate_hz=80)
    weighed = weigh(Platform(cells, check), time, Person(put))
    outcome = calibrated(weighed, LIMITS)
    assert max(map(abs, outcome.figures.corners)) < grams(2)
    untrimmed = [corner.total((1, 1, 1, 1)) for corner in weighed.corners]
    assert max(untrimmed) - min(untrimmed) > 0.05 * COUNTS_PER_KG, "fifty grams and more before"
    assert len(outcome.trims) == len(outcome.zeros) == 4


# ── the arithmetic ───────────────────────────────────────────────────────────────────────────────────────────────────


@given(
    zero=st.integers(-(2**22), 2**22),
    slope=st.floats(1_000, 500_000) | st.floats(-500_000, -1_000),
    masses=st.lists(st.integers(500, 40_000), min_size=1, max_size=5, unique=True),
)
def test_points_on_a_line_give_that_line(zero: int, slope: float, masses: list[int]) -> None:
    def load(mass_g: int) -> Rest:
        return Rest(parts=(zero + mass_g / 1_000 * slope,), sigma=1.0)

    weighed = Weighed(
        zero=load(0), zero_after=load(0), span=tuple((grams(mass), load(mass)) for mass in sorted(masses))
    )
    outcome = calibrated(weighed, LIMITS)
    assert outcome.zero_counts == zero
    assert outcome.counts_per_kilogram == pytest.approx(slope, rel=1e-6)
    assert all(abs(error) <= 1 for _, error in outcome.figures.errors)


def outcome(slope: float = COUNTS_PER_KG) -> Outcome:
    def load(kilogram: float) -> Rest:
        return Rest(parts=(kilogram * slope + 1_234,), sigma=38.0)

    corners = tuple(load(5) for _ in range(4))
    return calibrated(
        Weighed(
            zero=load(0), zero_after=load(0), span=tuple((mass, load(mass / 1e6)) for mass in MASSES),
            corner_mass=kilograms(5), corners=corners,
        ),
        LIMITS,
    )  # fmt: skip


def test_a_slope_far_from_the_last_one_is_a_wrong_mass_or_another_cell() -> None:
    compare(outcome(), COUNTS_PER_KG * 1.01)
    with pytest.raises(RefusedError, match=r"90\.9% of the counts .* --new-cell"):
        compare(outcome(), COUNTS_PER_KG * 1.1)
    with pytest.raises(RefusedError):
        compare(outcome(), -COUNTS_PER_KG)


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────────────


def record() -> CalibrationRecord:
    found = outcome()
    return CalibrationRecord(
        cart="c1", devices=("hx711-spi:0.0",), rate_hz=80, gain=128, made_at="2026-01-01T00:00:00+00:00",
        made_by="A. <Tester>", zero_counts=found.zero_counts, counts_per_kilogram=found.counts_per_kilogram,
        trims=found.trims, zeros=found.zeros, figures=found.figures, limits=LIMITS,
    )  # fmt: skip


def test_what_is_kept_is_what_is_loaded_and_applied(tmp_path: Path) -> None:
    assert calibration_file.load(tmp_path) is None
    kept = calibration_file.keep(tmp_path, record(), certificate.page(record()))
    assert "A. &lt;Tester&gt;" in kept.read_text()
    found = calibration_file.load(tmp_path)
    assert found == record()
    applied = calibration_file.apply(record(), LoadCellSettings(), "c1")
    assert (applied.zero_counts, applied.counts_per_kilogram) == (1_234, COUNTS_PER_KG)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calibration.html", "calibration.json"]


@pytest.mark.parametrize(
    ("settings", "cart", "what"),
    [
        (LoadCellSettings(gain=64), "c1", "gain 128, and now it is 64"),
        (LoadCellSettings(rate_hz=10), "c1", "rate_hz 80"),
        (LoadCellSettings(device="hx711-spi:0.1"), "c1", "device"),
        (LoadCellSettings(), "c2", "cart c1"),
    ],
)
def test_a_calibration_of_something_else_is_not_used(settings: LoadCellSettings, cart: str, what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        calibration_file.apply(record(), settings, cart)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "calibrate again"),
        (b"", "calibrate again"),
        (msgspec.json.encode(msgspec.structs.replace(record(), v=2)), "version 2"),
    ],
)
def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / calibration_file.FILE).write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        calibration_file.load(tmp_path)


def test_the_certificate_says_the_same_as_text_and_as_a_page() -> None:
    text, html = certificate.plain(record()), certificate.page(record())
    for figure in ("83886.080 counts per kilogram", "1234 counts", "Known mass 10.000 kg", *places(4), "limit 10.0 g"):
        assert figure in text
        assert figure in html


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_leads_through_and_the_cart_then_weighs_by_it(bench: Bench, programs: Programs) -> None:
    bench.config.write_text(bench.config.read_text().replace("[camera]", "counts_per_kilogram = 80000.0\n\n[camera]"))
    with subprocess.Popen(
        [*PROGRAM, "calibrate", "--config", str(bench.config), "--mass", "5", "--no-corners", "--repeats", "0"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as program:  # fmt: skip
        assert program.stdin is not None
        assert program.stdout is not None
        for load in (40.0, 5_040.0, 40.0):
            said = ""
            while "press Enter" not in said:
                letter = program.stdout.read(1)
                assert letter, program.communicate()
                said += letter
            bench.weigh(load)
            program.stdin.write("\n")
            program.stdin.flush()
        rest, complaint = program.communicate(timeout=60)
    assert program.returncode == 0, complaint
    assert "counts per kilogram" in rest
    found = calibration_file.load(bench.state)
    assert found is not None
    assert found.counts_per_kilogram == pytest.approx(COUNTS_PER_KG, rel=1e-3)
    assert found.zero_counts == pytest.approx(0.040 * COUNTS_PER_KG, abs=60)
    programs.start()
    bench.weigh(1_040.0)
    until((bench.state / "status.sock").exists)
    until(lambda: abs(int(str(bench.status()["load_mg"])) - grams(1_000)) < grams(5))


def test_without_anybody_at_the_terminal_nothing_is_changed(bench: Bench) -> None:
    answer = bench.ask("calibrate", "--mass", "5")
    assert answer.returncode == 2
    assert "nobody pressed Enter" in answer.stderr
    assert not bench.state.exists()


def test_a_mass_of_nothing_is_refused(bench: Bench) -> None:
    assert "above zero" in bench.ask("calibrate", "--mass", "0").stderr
