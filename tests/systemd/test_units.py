"""The units are ones that systemd accepts, and they give the programs few rights."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = ("cartwright-cart.service", "cartwright-edge.service")
MAX_EXPOSURE = 2.0


def exposure(unit: Path) -> float:
    result = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", result.stdout)
    assert found, result.stdout + result.stderr
    return float(found[1])


def installed(unit: str, tmp_path: Path) -> Path:
    """The unit as installed, with programs that exist, so that only the unit itself can be wrong."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = re.sub(r"^(ExecStart=)\S+", rf"\1{program}", (ROOT / "systemd" / unit).read_text(), flags=re.MULTILINE)
    path = tmp_path / unit
    path.write_text(text)
    return path


def broker(tmp_path: Path) -> Path:
    """Debian's own unit with our drop-in."""
    unit = Path("/lib/systemd/system/mosquitto.service")
    if not unit.exists():
        pytest.fail("Debian's mosquitto.service is not installed; run scripts/setup test")
    shutil.copy(unit, tmp_path)
    shutil.copytree(ROOT / "systemd" / "mosquitto.service.d", tmp_path / "mosquitto.service.d")
    return tmp_path / unit.name


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_accepts_the_unit(unit: str, tmp_path: Path) -> None:
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", installed(unit, tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in result.stderr.splitlines() if unit in line]
    assert not complaints


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_gives_few_rights(unit: str, tmp_path: Path) -> None:
    assert exposure(installed(unit, tmp_path)) <= MAX_EXPOSURE


def test_the_brokers_drop_in_gives_few_rights(tmp_path: Path) -> None:
    assert exposure(broker(tmp_path)) <= MAX_EXPOSURE


@pytest.mark.parametrize("unit", UNITS)
def test_the_watchdog_and_the_restart_budget_are_set(unit: str) -> None:
    text = (ROOT / "systemd" / unit).read_text()
    for line in ("Type=notify", "Restart=always", "StartLimitBurst=5"):
        assert line in text
    assert re.search(r"^WatchdogSec=\d+$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").iterdir()))
def test_every_script_parses(script: str) -> None:
    path = ROOT / "scripts" / script
    if path.is_file() and path.read_text().startswith("#!/usr/bin/env bash"):
        subprocess.run(["bash", "-n", path], check=True)
