"""Programs that are looked after: what ends is started again, whoever ended it."""

import asyncio
import contextlib
import sys
from pathlib import Path

import pytest

from sim.processes import Processes, Program, _children
from sim.small_disk import SmallDisk

SLEEP = "import time; time.sleep(60)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}])"


def python(name: str, script: str, *, with_children: bool = False) -> Program:
    return Program(name=name, command=[sys.executable, "-c", script], with_children=with_children)


async def test_what_is_killed_or_ends_by_itself_is_started_again(tmp_path: Path) -> None:
    processes, ended = Processes(tmp_path), list[tuple[str, int]]()
    await processes.start(python("sleeper", SLEEP))
    await processes.start(python("quitter", "raise SystemExit(3)"))
    keeping = asyncio.create_task(processes.keep(lambda: 0.01, lambda name, status: ended.append((name, status))))
    while ended.count(("quitter", 3)) < 2 or ended.count(("sleeper", -9)) < 2:
        processes.crash("sleeper")
        await asyncio.sleep(0.05)
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping
    await processes.stop()


async def test_a_crash_takes_the_children_of_a_program_that_shares_its_memory_with_them(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    await processes.start(python("database", PARENT, with_children=True))
    process = processes._running["database"]
    while not _children(process.pid):  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.05)
    (child,) = _children(process.pid)
    assert processes.crash("database")
    while lives(child):  # noqa: ASYNC110 - likewise
        await asyncio.sleep(0.05)
    await processes.stop()


def lives(process: int) -> bool:
    """Return whether it runs; one that only waits to be buried has no command line any more."""
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())
    except OSError:
        return False


async def test_a_small_disk_is_full_until_it_is_freed(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "kept").write_text("from before")
    disk = SmallDisk(folder, 2)
    if not SmallDisk.possible() or not await disk.mount():
        pytest.skip("mounting needs root, and a kernel that lets it")
    try:
        assert (folder / "kept").read_text() == "from before"
        disk.fill()
        assert not fits(folder)
        disk.free()
        assert fits(folder)
    finally:
        await disk.unmount()
    assert not (folder / "new").exists()


def fits(folder: Path) -> bool:
    try:
        (folder / "new").write_bytes(bytes(10_000))
    except OSError:
        return False
    return True
