"""A short day of the live fault runner: the long one is `cart-sim faults --kills 200`."""

import re
import subprocess

import pytest

from sim.shop_files import program

pytestmark = [pytest.mark.processes, pytest.mark.broker, pytest.mark.timeout(600)]


def test_a_shop_whose_programs_are_killed_at_random_loses_nothing_and_takes_nothing_twice() -> None:
    day = subprocess.run(
        [program("cart-sim"), "faults", "--kills", "10", "--carts", "1", "--seed", "3", "--longest", "500"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert day.returncode == 0, day.stdout[-6_000:] + day.stderr[-2_000:]
    assert "Nothing lost, nothing twice." in day.stdout
    assert re.search(r"kill -9 +10: ", day.stdout)
    assert re.search(r"recovery after the last fault +\d", day.stdout)
