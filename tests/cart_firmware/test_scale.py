"""The scale of a whole cart: an accelerometer on a slope, or a broken one; a cell that drifts; what status shows."""

import asyncio
import math
from pathlib import Path
from random import Random

import pytest

from cart_firmware.core.calibration import Calibration
from cart_firmware.core.health import Health
from cart_firmware.core.weighing import Weigher
from cart_firmware.ports import Acceleration, ImuError
from cart_firmware.services.observations import Observation, Stepped
from cart_firmware.services.recorder import Recorder
from cart_firmware.services.sense import Scale
from cart_protocol.basket import Fault, WeightUnexplained
from cart_protocol.mass import grams
from sim.virtual_time import VirtualClock, VirtualTimeLoop
from tests.cart_firmware.cart_rig import COUNTS_PER_GRAM, Platform, Rig, on_virtual_time
from tests.cart_firmware.corner_shop import MILK

MILK_G = 1_032.0
PLATFORM_G = 2_000.0


class Level:
    """An accelerometer that can be turned, and unplugged."""

    def __init__(self) -> None:
        self.degrees = 0.0
        self.plugged, self.closed = True, False

    def read(self, now_us: int) -> Acceleration:
        if not self.plugged:
            raise ImuError("no answer at address 0x68")
        lean = math.radians(self.degrees)
        return Acceleration(at_us=now_us, x=round(math.sin(lean) * 1e6), y=0, z=round(math.cos(lean) * 1e6))

    def close(self) -> None:
        self.closed = True


async def roll(rig: Rig, true_g: float, degrees: float, level: Level | None) -> None:
    """Roll for three seconds, to where the floor leans."""
    dice = Random(9)
    for _ in range(240):
        rig.platform.grams = true_g + dice.uniform(-400, 400)
        await asyncio.sleep(0.0125)
    rig.platform.grams = (true_g + PLATFORM_G) * math.cos(math.radians(degrees)) - PLATFORM_G
    if level:
        level.degrees = degrees
    await asyncio.sleep(1.5)


@pytest.mark.parametrize("fitted", [True, False])
def test_a_cart_that_stops_on_a_ramp_asks_nothing_and_charges_the_next_product_by_its_mass(
    *, fitted: bool, tmp_path: Path
) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        rig = Rig(loop, tmp_path)
        rig.imu = level = Level() if fitted else None
        await rig.start()
        await rig.begin()
        rig.platform.grams = 18_000.0
        await asyncio.sleep(5)
        asked = len(rig.store.of(WeightUnexplained))
        await roll(rig, 18_000, 3, level)
        await asyncio.sleep(5)
        assert len(rig.store.of(WeightUnexplained)) == asked
        await rig.buy(MILK, MILK_G * math.cos(math.radians(3)))
        (line,) = rig.cart.fuse.basket.lines.values()
        assert abs(line.mass - grams(MILK_G)) <= grams(4)
        await roll(rig, 18_000 + MILK_G, 0, level)
        assert abs(rig.cart.scale.level - grams(18_000 + MILK_G)) <= grams(5)
        await rig.stop()
        assert level is None or level.closed

    on_virtual_time(story)


def test_an_unplugged_accelerometer_is_counted_and_the_cart_weighs_on(tmp_path: Path) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        rig = Rig(loop, tmp_path)
        rig.imu = level = Level()
        level.plugged = False
        await rig.start()
        await rig.begin()
        await rig.buy(MILK, MILK_G)
        assert rig.names == ["Milk"]
        assert 2 <= rig.cart.status().readings_failed["ImuError"] <= 10  # asked once a second, not twenty times
        await rig.stop()

    on_virtual_time(story)


def test_a_drifting_cell_is_a_fault_before_the_shopper_is_asked_about_anything() -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        platform, health, heard = Platform(), Health(started_us=0, price_book=True), list[Observation]()
        calibration = Calibration(zero_counts=0, counts_per_kilogram=COUNTS_PER_GRAM * 1_000)
        weigher = Weigher(
            calibration, rate_hz=80, window_ms=400, band_mg=6_000, smallest_step_mg=12_000, level=grams(3_000)
        )
        clock = VirtualClock(loop)
        scale = Scale(platform, weigher, health, clock, heard.append, recorder=Recorder(None, clock))
        while loop.time() < 500:
            platform.grams = 3_000 + 0.09 * loop.time()
            await asyncio.sleep(scale.poll())
        health.framed(500_000_000)
        assert health.faults(500_000_000) == (Fault.LOAD_CELL_DRIFTS,)
        assert not [observed for observed in heard if isinstance(observed, Stepped)]
        assert scale.level == grams(3_000)
        assert abs(scale.drift - grams(45)) <= grams(2)

    on_virtual_time(story)


def test_status_shows_the_load_as_approximate(tmp_path: Path) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        rig = Rig(loop, tmp_path)
        await rig.start()
        rig.platform.grams = 1_500
        await asyncio.sleep(2)
        assert rig.cart.status().load == "≈ 1.500 kg"
        rig.platform.grams = 51_000
        await asyncio.sleep(2)
        assert rig.cart.status().load == "-----"
        await rig.stop()

    on_virtual_time(story)
