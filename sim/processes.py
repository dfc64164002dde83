"""The demo's processes: one table of what runs, started in order, stopped in reverse, watched meanwhile."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

_STOP_PATIENCE_S = 8.0


class ProcessFailedError(Exception):
    """A program of the shop ended when it should run, or did not come up; the text shows its last words."""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """One program of the shop. `host` and `port` are where it listens once it is up, if it does."""

    name: str
    command: Sequence[str]
    host: str = "127.0.0.1"
    port: int | None = None
    with_children: bool = False
    """Its children share its memory, and a crash takes all of them."""
    environment: Mapping[str, str] = {}


class Processes:
    """Starts programs with their output in log files, and ends exactly those."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._programs: dict[str, Program] = {}
        logs.mkdir(parents=True, exist_ok=True)

    async def start(self, program: Program, patience_s: float = 30.0) -> None:
        """Start a program and wait until its port answers.

        Raises:
            ProcessFailedError: it ended, or did not listen in time.
        """
        await self._spawn(program)
        if program.port is None:
            return
        deadline = asyncio.get_running_loop().time() + patience_s
        while not _listens(program.host, program.port):
            self.check()
            if asyncio.get_running_loop().time() > deadline:
                raise ProcessFailedError(
                    f"{program.name} does not listen on port {program.port} after {patience_s:.0f} s: "
                    f"{self._last_words(program.name)}"
                )
            await asyncio.sleep(0.05)

    def check(self) -> None:
        """Raise ProcessFailedError if any program has ended by itself."""
        for name, process in self._running.items():
            if process.returncode is not None:
                raise ProcessFailedError(f"{name} ended with status {process.returncode}: {self._last_words(name)}")

    def pid(self, name: str) -> int:
        """Return the process id of a running program."""
        return self._running[name].pid

    async def kill(self, name: str) -> None:
        """SIGKILL a program, as a power cut would."""
        process = self._running.pop(name)
        process.kill()
        await process.wait()

    async def restart(self, name: str) -> None:
        await self.start(self._programs[name])

    async def keep(self, pause_s: Callable[[], float], ended: Callable[[str, int], None]) -> NoReturn:
        """Start again whatever ends, for ever, as a service manager does: `pause_s` later, after telling `ended`."""

        async def keep_one(name: str) -> NoReturn:
            while True:
                ended(name, await self._running[name].wait())
                await asyncio.sleep(pause_s())
                await self._spawn(self._programs[name])

        await asyncio.gather(*map(keep_one, self._running))
        raise AssertionError("nothing to keep")

    @property
    def names(self) -> Sequence[str]:
        """Every program that was started and not taken away by `kill`."""
        return list(self._running)

    def crash(self, name: str) -> bool:
        """SIGKILL a program that `keep` looks after; return whether it was running."""
        process = self._running[name]
        if process.returncode is not None:
            return False
        children = _children(process.pid) if self._programs[name].with_children else ()
        process.kill()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        return True

    def last_words(self, name: str) -> str:
        """Return the end of a program's log."""
        path = self._log(name)
        return path.read_text(errors="replace")[-600:] if path.exists() else ""

    async def stop(self) -> None:
        """Ask every program to end, last started first; end those that do not."""
        for process in reversed(list(self._running.values())):
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                try:
                    await asyncio.wait_for(process.wait(), _STOP_PATIENCE_S)
                except TimeoutError:
                    process.kill()
                    await process.wait()
        self._running.clear()

    async def _spawn(self, program: Program) -> None:
        with self._log(program.name).open("ab") as log:
            self._running[program.name] = await asyncio.create_subprocess_exec(
                *program.command,
                stdout=log,
                stderr=log,
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, **program.environment},
                start_new_session=True,
            )
        self._programs[program.name] = program

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _last_words(self, name: str) -> str:
        path = self._log(name)
        text = path.read_text(errors="replace")[-1500:] if path.exists() else ""
        return f"see {path}; it ends with:\n{text}"


async def run_once(command: Sequence[str]) -> str:
    """Run a command to its end and return what it printed.

    Raises:
        ProcessFailedError: it ended with another status than 0.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise ProcessFailedError(
            f"{' '.join(command)} ended with status {process.returncode}: {err.decode(errors='replace')[-1500:]}"
        )
    return out.decode()


def free_port(wanted: int) -> int:
    """Return `wanted` if nothing listens there, else a port that the system has to spare."""
    for candidate in (wanted, 0):
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", candidate))
                return int(probe.getsockname()[1])
    raise ProcessFailedError("no free port on 127.0.0.1")


def _listens(host: str, port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex((host, port)) == 0


def _children(parent: int) -> Sequence[int]:
    """Return the processes that a process has started and that still run (proc(5))."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            # pid (name) state ppid; the name may hold anything, brackets included.
            if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(status.parent.name))
    return found
