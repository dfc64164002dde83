"""The program itself: what its commands say, what it refuses, and that it lives through kill -9 with its basket."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from msgspec.structs import replace

from cart_firmware.__main__ import main
from cart_firmware.services import report
from cart_protocol.basket import Basket, CartEvent, CodeOffered, SessionBegan, evolve
from cart_protocol.ids import CommandId
from cart_protocol.link.outbox import SqliteOutbox
from cart_protocol.messages import CartTime
from edge_agent.devices.authority import Authority
from tests.cart_firmware.cart_rig import KEY, issue
from tests.cart_firmware.corner_shop import BOOK, CODE, MILK, SESSION, TEA

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "cart_firmware"]
PATIENCE_S = 30.0
"""For a machine that is busy with other tests; nothing here asserts that something is fast, but for the end."""


class Bench:
    """A cart's folder with a configuration, and the files that lead its load cell and its camera."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.config, self.state = folder / "cart.toml", folder / "state"
        self.grams, self.shown = folder / "grams", folder / "shown"
        self.weigh(0)
        self.show("")
        held = authority.credentials("c1")
        held = held if held.certificate.exists() else authority.issue("c1", "cart")
        key = folder / "price-book-key.pem"
        key.write_bytes(
            KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        film = f"{sys.executable} -m tests.cart_firmware.bench {self.shown}"
        self.config.write_text(f"""
state = "{self.state}"
price_book_key = "{key}"

[identity]
cart = "c1"
store = "s1"
phone_page = "https://shop.example/phone"

[broker]
host = "127.0.0.1"
port = 9
authority = "{held.authority}"
certificate = "{held.certificate}"
key = "{held.key}"

[load_cell]
device = "hx711-spi:tests.cart_firmware.bench:connect?file={self.grams}"

[camera]
device = "pipe:{film}"
gain = 2

[screen]
port = 0
""")

    def weigh(self, grams: float) -> None:
        _replace(self.grams, str(grams))

    def show(self, code: str) -> None:
        _replace(self.shown, code)

    def begin(self) -> None:
        """Leave a cart as it is when a shopper has just taken it and the connection broke."""
        self.state.mkdir()
        outbox = SqliteOutbox(self.state / "outbox.sqlite", 1_000, 7)
        events: list[CartEvent] = [CodeOffered(code=CODE), SessionBegan(session=SESSION, command=CommandId("c"))]
        basket = Basket()
        for event in events:
            evolve(basket, event)
        outbox.record(events, CartTime(boot="b", monotonic_us=0, wall_ms=0, synchronised=False), basket)
        outbox.keep_price_book(issue(BOOK))
        outbox.close()

    def ask(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*PROGRAM, *words, "--config", str(self.config)], cwd=ROOT, capture_output=True, text=True, check=False
        )

    def status(self) -> dict[str, object]:
        answer = self.ask("status", "--json")
        assert answer.returncode == 0, answer.stderr
        found: dict[str, object] = json.loads(answer.stdout)
        return found


@pytest.fixture
def bench(tmp_path: Path, authority: Authority) -> Bench:
    return Bench(tmp_path, authority)


class Programs:
    """Starts the cart's program, and ends at the end of the test what still runs."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._started = list[subprocess.Popen[bytes]]()

    def start(self, **environment: str) -> "subprocess.Popen[bytes]":
        log = (self._bench.config.parent / f"log-{len(self._started)}").open("wb")
        with log:
            process = subprocess.Popen(
                [*PROGRAM, "run", "--config", str(self._bench.config)], cwd=ROOT, stderr=log,
                env=os.environ | environment,
            )  # fmt: skip
        self._started.append(process)
        return process

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait(10)


@pytest.fixture
def programs(bench: Bench) -> Iterator[Programs]:
    started = Programs(bench)
    yield started
    started.end()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


async def test_a_program_that_is_just_starting_is_waited_for(bench: Bench) -> None:
    """It has its memory open before all its devices are, and answers after that: on a Pi some seconds later."""
    bench.begin()
    with contextlib.closing(SqliteOutbox(bench.state / "outbox.sqlite", 1_000, 7)) as outbox:
        starting = report.status_of("c1", outbox.basket(), outbox.position, outbox.acknowledged)
        asked = asyncio.create_task(asyncio.to_thread(bench.status))
        await asyncio.sleep(6)
        serving = asyncio.create_task(report.serve(bench.state, lambda: replace(starting, running=True)))
        assert (await asked)["running"] is True
        serving.cancel()


@pytest.mark.processes
def test_killed_with_goods_in_it_the_program_comes_back_with_its_basket_and_ends_when_told(
    bench: Bench, programs: Programs
) -> None:
    bench.begin()
    first = programs.start()
    bench.show(MILK)
    until(lambda: bench.status()["recorded"] == 3)  # scanned
    bench.show("")
    bench.weigh(1_032)
    until(lambda: bench.status()["lines"] == 1)
    first.send_signal(signal.SIGKILL)
    first.wait(10)

    second = programs.start()
    until(lambda: bool(bench.status()["running"]))
    assert bench.status()["lines"] == 1
    assert bench.status()["camera_unmet"] == ["gain: asked 2, but a program behind a pipe has settings of its own"]
    bench.show(TEA)
    until(lambda: bench.status()["recorded"] == 6)  # added, settled; scanned
    bench.weigh(1_144)
    until(lambda: bench.status()["lines"] == 2)

    second.send_signal(signal.SIGTERM)
    assert second.wait(2) == 0
    after = bench.status()
    assert (after["running"], after["lines"], after["phase"]) == (False, 2, "shopping")
    assert not (bench.state / "status.sock").exists()


@pytest.mark.processes
def test_the_service_manager_hears_ready_progress_and_stopping(programs: Programs, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_S)
        process = programs.start(NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert manager.recv(256).startswith(b"READY=1")
        assert manager.recv(256) == b"WATCHDOG=1"
        process.send_signal(signal.SIGTERM)
        heard = b"WATCHDOG=1"
        while heard == b"WATCHDOG=1":
            heard = manager.recv(256)
        assert heard == b"STOPPING=1"
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.processes
def test_a_second_program_on_the_same_cart_is_refused(bench: Bench, programs: Programs) -> None:
    programs.start()
    until(lambda: bench.state.exists() and bool(bench.status()["running"]))
    answer = bench.ask("run")
    assert answer.returncode == 2
    assert "another program has it open" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_good_configuration_is_good(bench: Bench) -> None:
    answer = bench.ask("check")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "good. Cart c1 of store s1." in answer.stdout


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('store = "s1"', 'store = "s1"\nstoer = "s2"', "line 8: unknown key 'identity.stoer'; remove it"),
        ("port = 9", 'port = "9"', "line 12: broker.port: Expected `int`, got `str`; correct the value"),
        ('cart = "c1"', 'cart = "C 1"', "cart id 'C 1'"),
        ("port = 0", "port = 0\n[weighing]\nwindow_ms = 0", "weighing.window_ms is 0; it must be above zero"),
        ("[load_cell]", "[load_cell]\ncounts_per_kilogram = 0.0", "calibrate with a known mass"),
        ("price-book-key.pem", "nobody.pem", "copy the store's public key there"),
        ("[broker]", "[broker", "not TOML"),
    ],
)
def test_a_bad_configuration_is_refused_with_its_place_and_its_remedy(
    *, bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    bench.config.write_text(bench.config.read_text().replace(old, new))
    monkeypatch.setattr(sys, "argv", ["cart-firmware", "check", "--config", str(bench.config)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    command = [*PROGRAM, "run", "--config", str(tmp_path / "none.toml")]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "none.toml: cannot be read" in answer.stderr


def test_a_camera_that_is_none_is_refused_before_anything_runs(bench: Bench) -> None:
    text = bench.config.read_text()
    (line,) = [line for line in text.splitlines() if line.startswith('device = "pipe:')]
    bench.config.write_text(text.replace(line, 'device = "periscope"'))
    answer = bench.ask("run")
    assert answer.returncode == 2
    assert "'periscope' is none of" in answer.stderr


def test_a_cart_at_rest_tells_its_code_and_its_state_from_its_memory(bench: Bench) -> None:
    assert bench.ask("status").returncode == 2  # it never ran
    bench.begin()
    assert bench.status()["phase"] == "shopping"
    answer = bench.ask("code")
    assert answer.returncode == 1
    assert "offers no code" in answer.stderr


def test_help_names_every_key_of_the_configuration() -> None:
    answer = subprocess.run(
        [*PROGRAM, "run", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "200"},
    )
    for key in (
        "phone_page",
        "keepalive_s",
        "counts_per_kilogram",
        "frames_per_second",
        "scan_patience_s",
        "[weighing]",
    ):
        assert key in answer.stdout


def _replace(file: Path, text: str) -> None:
    """Change a file at once, for whoever reads it meanwhile."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)
