"""How much of it to try: a share of the points by default, every one with CARTWRIGHT_CRASH_STATES=all."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.power_cut.crash_states import Report

_REPORTS: list[str] = []


@pytest.fixture
def share() -> float:
    """Multiply a test's share of points by this; from 1 on, every point is tried."""
    return 1_000.0 if os.environ.get("CARTWRIGHT_CRASH_STATES") == "all" else 1.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory, where there is one: whatever is durable here, the disk of the tests decides."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as made:
        yield Path(made)


@pytest.fixture
def tell() -> Callable[[str, Report], None]:
    return lambda name, report: _REPORTS.append(f"{name}: {report}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _REPORTS:
        terminalreporter.section("crash states")
        for line in _REPORTS:
            terminalreporter.write_line(line)
