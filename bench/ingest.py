"""Ingest against raw mosquitto, in one run: how much of the bare wire's speed is left when nothing may be lost.

    scripts/bench ingest [--rounds 3] [--json]

Reference: QoS 1 publish to subscribe of messages as long as ours, counted and forgotten. Ours: carts' events, one in
each message, through the agent's process: read, put in order, deduplicated, folded, projected, committed durably and
acknowledged. Same broker, same window, same number of messages; rounds are interleaved, medians are shown.
"""

import argparse
import contextlib
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import create_engine, func, select

from bench.agent import BOUND_AT
from bench.broker import broker, cpu_s, resident_mb
from bench.carts import sizes
from edge_agent.core.events import CartReported
from edge_agent.store.schema import ENTRY, POSITION

CONNECTIONS = (50, 500)
BARS = {"sqlite": 0.6, "postgresql": 0.4}
"""What the store must reach, of raw mosquitto in the same run."""
MEMORY_BAR_MB = 200
_BATCH = 16
_PYTHON = sys.executable


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench ingest", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=40_000, help="messages of one measurement")
    parser.add_argument("--seconds", type=float, default=15.0, help="of the latency measurement")
    parser.add_argument("--backends", default="sqlite,postgresql")
    parser.add_argument("--connections", default=",".join(map(str, CONNECTIONS)))
    parser.add_argument("--folder", type=Path, help="where the databases lie; default: a new folder in the current one")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args(arguments)
    backends = options.backends.split(",")
    connections = [int(text) for text in options.connections.split(",")]
    with databases(backends, options.folder) as fresh:
        result = measure(fresh, connections, rounds=options.rounds, events=options.events, seconds=options.seconds)
    show(result)
    if options.json:
        print(json.dumps({"bench": "ingest", **result}))
    return 0


Fresh = dict[str, Callable[[], str]]
"""Per backend, what makes an empty database and returns its address."""


def measure(fresh: Fresh, connections: list[int], *, rounds: int, events: int, seconds: float) -> dict[str, Any]:
    """Return all figures: per number of connections raw and ours, then latency and memory."""
    rush: dict[str, dict[str, list[dict[str, float]]]] = {}
    for number in range(rounds):
        for carts in connections:
            found = rush.setdefault(str(carts), {})
            step = f"round {number + 1}/{rounds}, {carts} connections"
            _note(found, "raw", raw(carts, events), step)
            for backend, make in fresh.items():
                _note(found, backend, ours(make(), carts, events), step)
                _note(found, f"{backend}, {_BATCH} a message", ours(make(), carts, events, batch=_BATCH), step)
    latency = {}
    for backend, make in fresh.items():
        latency[backend] = paced(make(), max(connections), seconds)
        print(f"200 events/s on {backend}: {_figures(latency[backend])}", file=sys.stderr)
    return {
        "throughput": {
            carts: {name: _median(rounds_) for name, rounds_ in found.items()} for carts, found in rush.items()
        },
        "ratios": {
            carts: {name: _ratio(found["raw"], rounds_) for name, rounds_ in found.items() if name != "raw"}
            for carts, found in rush.items()
        },
        "at_200_per_s": latency,
    }


def raw(connections: int, messages: int) -> dict[str, float]:
    """Publish and count; no agent, no disk."""
    messages -= messages % connections
    payloads = "\n".join(bytes(size).hex() for size in sizes())
    with broker() as running:
        before = cpu_s(running.pid)
        port = ["--port", str(running.port), "--messages", str(messages)]
        listen = [_PYTHON, "-m", "bench.raw_mqtt", "listen", *port]
        with subprocess.Popen(listen, stdout=subprocess.PIPE, text=True) as listening:
            assert listening.stdout is not None
            listening.stdout.readline()
            publishing = subprocess.run(
                [_PYTHON, "-m", "bench.raw_mqtt", "publish", *port, "--connections", str(connections)],
                input=payloads, stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            heard = json.loads(listening.stdout.readline())
        elapsed = heard["moment"] - json.loads(publishing.stdout)["moment"]
        return {
            "per_s": messages / elapsed,
            "subscriber_us": heard["cpu_us"],
            "broker_us": (cpu_s(running.pid) - before) / messages * 1e6,
        }


def ours(database: str, carts: int, events: int, batch: int = 1) -> dict[str, float]:
    """Send carts' events as fast as the agent acknowledges them, and see that each is in the journal once.

    Raises:
        RuntimeError: the journal is not what was acknowledged.
    """
    with _served(database, carts) as served:
        agent_s, broker_s = cpu_s(served.agent), cpu_s(served.broker)
        found = _carts(served.port, carts, "--events", str(events), "--batch", str(batch))
        found["agent_us"] = (cpu_s(served.agent) - agent_s) / found["events"] * 1e6
        found["broker_us"] = (cpu_s(served.broker) - broker_s) / found["events"] * 1e6
        found["agent_mb"] = resident_mb(served.agent)
    found |= served.late
    _audit(database, carts, int(found["events"]))
    return found


def paced(database: str, carts: int, seconds: float, per_s: float = 200.0) -> dict[str, float]:
    """A big shop's peak: how long after it was published an event is acknowledged (which is after the commit).

    It lasts `seconds`, or as long as every cart takes to have an event of its own.
    """
    seconds = max(seconds, 1.2 * carts / per_s)
    with _served(database, carts) as served:
        at_rest_mb, agent_s = resident_mb(served.agent), cpu_s(served.agent)
        found = _carts(served.port, carts, "--per-s", str(per_s), "--seconds", str(seconds))
        found["agent_cpu"] = (cpu_s(served.agent) - agent_s) / seconds
        found["agent_mb_bound"] = at_rest_mb
        found["agent_mb_after"] = resident_mb(served.agent)
        found["carts"] = carts
    found |= served.late
    _audit(database, carts, int(found["events"]))
    return found


def _carts(port: int, carts: int, *arguments: str) -> dict[str, float]:
    command = [_PYTHON, "-m", "bench.carts", "--port", str(port), "--carts", str(carts), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    found: dict[str, float] = json.loads(done.stdout)
    return found


class _Served(msgspec.Struct):
    """A broker's port, process ids, and, after the block, how late the agent's loop was."""

    port: int
    agent: int
    broker: int
    late: dict[str, float] = {}


@contextlib.contextmanager
def _served(database: str, carts: int) -> Iterator[_Served]:
    """A broker and an agent with `carts` bound carts."""
    with broker() as running:
        command = [_PYTHON, "-m", "bench.agent", "--port", str(running.port), "--database", database]
        command += ["--carts", str(carts)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as agent:
            assert agent.stdout is not None
            try:
                if agent.stdout.readline().strip() != "ready":
                    raise RuntimeError(f"the agent did not come up: {' '.join(command)}")
                served = _Served(running.port, agent.pid, running.pid)
                yield served
            finally:
                agent.send_signal(signal.SIGTERM)
            served.late = json.loads(agent.stdout.readline())


def _audit(database: str, carts: int, events: int) -> None:
    """Raise unless the journal holds exactly the events that were sent, and says so in its positions."""
    engine = create_engine(database)
    with engine.connect() as connection:
        reported = select(func.count()).select_from(ENTRY).where(ENTRY.c.kind == CartReported.__name__)
        entries = connection.execute(reported).scalar_one() - BOUND_AT * carts
        position = connection.execute(select(func.sum(POSITION.c.seq))).scalar_one() - BOUND_AT * carts
    engine.dispose()
    if (entries, position) != (events, events):
        raise RuntimeError(f"{events} events were acknowledged; {entries} are in the journal, positions say {position}")


@contextlib.contextmanager
def databases(backends: list[str], folder: Path | None) -> Iterator[Fresh]:
    """Makers of empty databases: SQLite files on the disk of `folder`, and a PostgreSQL cluster of our own."""
    home = Path(tempfile.mkdtemp(prefix="bench-", dir=folder or Path.cwd()))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        fresh: Fresh = {}
        if "sqlite" in backends:
            fresh["sqlite"] = lambda: f"sqlite:///{home / f'{time.monotonic_ns()}.db'}"
        if "postgresql" in backends:
            from tests.postgres import Postgres

            cluster = Postgres()
            cluster.start()
            stack.callback(cluster.stop)
            fresh["postgresql"] = cluster.database
        yield fresh


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────


def show(result: dict[str, Any]) -> None:
    for carts, found in result["throughput"].items():
        print(f"\n{carts} connections")
        print(
            f"  {'':<26} {'events/s':>9} {'of raw':>7} {'bar':>5} {'agent us/event':>15} {'broker us/event':>16}"
            f" {'loop late, p99 ms':>18}"
        )
        for name, figures in found.items():
            ratio = result["ratios"][carts].get(name)
            bar = BARS.get(name)
            print(
                f"  {name:<26} {figures['per_s']:>9.0f} {'' if ratio is None else f'{ratio:.2f}':>7}"
                f" {'' if bar is None else f'{bar:.1f}':>5}"
                f" {figures.get('agent_us', figures.get('subscriber_us', 0)):>15.1f} {figures['broker_us']:>16.1f}"
                f" {figures.get('late_p99_ms', 0):>18.1f}"
            )
    print()
    for backend, found in result["at_200_per_s"].items():
        memory = "under" if found["agent_mb_bound"] < MEMORY_BAR_MB else "OVER"
        print(
            f"{backend} at 200 events/s: published to acknowledged p50 {found['p50_ms']:.1f} ms, p99"
            f" {found['p99_ms']:.1f} ms; agent {found['agent_cpu'] * 100:.0f} % of one core,"
            f" {found['agent_mb_bound']:.0f} MiB with {found['carts']:.0f} bound carts ({memory} {MEMORY_BAR_MB})"
        )


def _note(found: dict[str, list[dict[str, float]]], name: str, figures: dict[str, float], step: str) -> None:
    found.setdefault(name, []).append(figures)
    print(f"{step}: {name} {_figures(figures)}", file=sys.stderr)


def _figures(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {figure:.1f}" for name, figure in figures.items())


def _median(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}


def _ratio(reference: list[dict[str, float]], rounds: list[dict[str, float]]) -> float:
    """Return the median of the ratios within each round: load from elsewhere weighs on both."""
    return statistics.median(figures["per_s"] / raw_["per_s"] for raw_, figures in zip(reference, rounds, strict=True))
