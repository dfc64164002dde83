"""sd_notify over a real datagram socket, by path and in Linux's abstract namespace."""

import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cart_protocol.host.service_manager import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The manager's end of the socket, and what it would put into NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        if request.param == "path":
            address = str(tmp_path / "notify")
            sock.bind(address)
        else:
            name = f"cartwright-{secrets.token_hex(8)}"
            sock.bind(f"\0{name}")
            address = f"@{name}"
        yield sock, address


def test_ready_progress_and_stopping_are_heard(systemd: tuple[socket.socket, str]) -> None:
    sock, address = systemd
    manager = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"})
    manager.ready("3 carts, 1 lane")
    manager.progress()
    manager.stopping()
    assert sock.recv(4096) == b"READY=1\nSTATUS=3 carts, 1 lane"
    assert sock.recv(4096) == b"WATCHDOG=1"
    assert sock.recv(4096) == b"STOPPING=1"
    assert manager.watchdog_us == 30_000_000


def test_without_a_service_manager_nothing_happens() -> None:
    manager = ServiceManager({})
    manager.ready("alone")
    manager.progress()
    manager.stopping()
    assert manager.watchdog_us == 0


def test_the_process_environment_is_used_unless_another_is_given(
    systemd: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sock, address = systemd
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    ServiceManager().progress()
    assert sock.recv(4096) == b"WATCHDOG=1"
