"""A broker without TLS or rights, for tests of the link's own behaviour. The shop's own is the `broker` fixture."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_PATIENCE_S = 20.0


class OpenBroker:
    """mosquitto on a free loopback port; forgets everything when killed. The port stays the same over a restart."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._log = folder / "mosquitto.log"
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["mosquitto", "-v", "-c", str(self._configuration)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        self.kill()
        pytest.fail(f"mosquitto does not listen:\n{self.log()}")

    def kill(self) -> None:
        """SIGKILL: sessions and retained messages are gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log(self) -> str:
        return self._log.read_text()


@pytest.fixture
def open_broker(tmp_path: Path) -> Iterator[OpenBroker]:
    """A real mosquitto, listening. Mark the test with pytest.mark.broker."""
    started = OpenBroker(tmp_path)
    started.start()
    yield started
    started.kill()
