"""The rooms hold: the import contracts pass on our tree and catch each violation seeded into a copy of it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("cart_protocol", "cart_firmware", "edge_agent", "sim")

VIOLATIONS = {
    "a clock in the cart's core": ("cart_firmware/core/weighing.py", "import time"),
    "a log in the store's core": ("edge_agent/core/order.py", "import logging"),
    "a database in the agreement": ("cart_protocol/basket.py", "import sqlite3"),
    "a cart that imports the store": ("cart_firmware/services/fuse.py", "import edge_agent.core.views"),
    "a store that imports the simulator": ("edge_agent/services/ingest.py", "import sim.goods"),
    "a simulator that imports the product": ("sim/goods.py", "import cart_firmware.core.weighing"),
    "a service that builds a device": ("edge_agent/services/lane.py", "import edge_agent.devices.scale_8217"),
    "a core that calls a device": ("cart_firmware/core/fusion.py", "import cart_firmware.devices.hx711_spi"),
    "MQTT outside the link": ("edge_agent/services/ingest.py", "import paho.mqtt.client"),
    "a room that nobody drew": ("cart_firmware/utils.py", ""),
}


@pytest.fixture
def copy_of_tree(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(tree), "PATH": "/usr/bin:/bin"},
    )


def test_our_tree_keeps_the_contracts(copy_of_tree: Path) -> None:
    result = lint_imports(copy_of_tree)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_seeded_violation_is_caught(copy_of_tree: Path, violation: str) -> None:
    path, line = VIOLATIONS[violation]
    target = copy_of_tree / path
    target.write_text(f"{target.read_text() if target.exists() else ''}\n{line}\n")
    result = lint_imports(copy_of_tree)
    assert result.returncode != 0, f"{violation} went unnoticed:\n{result.stdout}"


def test_the_clock_is_banned_outside_its_room(tmp_path: Path) -> None:
    source = tmp_path / "cart_firmware" / "core" / "seeded.py"
    source.parent.mkdir(parents=True)
    source.write_text("from time import time as t\n\nt()\n")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    result = subprocess.run(
        [Path(sys.executable).with_name("ruff"), "check", "--no-cache", "--select", "TID251", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "injected clock" in result.stdout
