"""A real mosquitto with the product's own configuration, for tests that need the wire. See the `broker` fixture."""

import getpass
import signal
import socket
import subprocess
import time
from pathlib import Path

from cart_protocol.ids import StoreId
from edge_agent.devices import mosquitto
from edge_agent.devices.authority import AGENT, Authority, Credentials

STORE = StoreId("teststore")
_HOST = "127.0.0.1"
_PATIENCE_S = 20.0
_READ_ACCESS_LIST = b"/all/store-birth' does not contain"
"""What mosquitto logs about the access list each time it reads it."""


class Broker:
    """mosquitto on a free loopback port, mutual TLS by `authority`. The port stays the same over a restart."""

    host = _HOST

    def __init__(self, authority: Authority, folder: Path) -> None:
        self.authority = authority
        self.store = STORE
        self.log = folder / "mosquitto.log"
        self.port = 0
        self._folder = folder
        self._configuration = folder / "mosquitto.conf"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and return when it listens. A port that somebody else took meanwhile is given up for another."""
        first = self.port == 0
        for _ in range(5):
            if first:
                self.port = _free_port()
            self._configure()
            if self._listens():
                return
        raise RuntimeError(f"mosquitto does not start:\n{self.log.read_text()}")

    def kill(self) -> None:
        """Take it down as a power cut would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Take it down in good order (SIGTERM)."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Start again on the same port, reading certificates and revocations anew; stops in good order if running."""
        self.stop()
        self.start()

    def reread(self) -> None:
        """Have it read revocations and access list anew (SIGHUP), and return when it has."""
        assert self._process is not None
        read = self.log.read_bytes().count(_READ_ACCESS_LIST)
        self._process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + _PATIENCE_S
        while self.log.read_bytes().count(_READ_ACCESS_LIST) == read and time.monotonic() < deadline:
            time.sleep(0.01)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def client_files(self, common_name: str) -> Credentials:
        """Return the certificate files of a cart, or of 'agent'; issued when first asked for."""
        held = self.authority.credentials(common_name)
        if held.certificate.exists():
            return held
        return self.authority.issue(common_name, "agent" if common_name == AGENT else "cart")

    def _configure(self) -> None:
        access_list = self._folder / "access.txt"
        access_list.write_text(mosquitto.access_list(self.store))
        access_list.chmod(0o600)
        settings = mosquitto.settings_for(
            self.authority, access_list, host=self.host, port=self.port, user=getpass.getuser()
        )
        self._configuration.write_text(mosquitto.configuration(settings))

    def _listens(self) -> bool:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["mosquitto", "-c", str(self._configuration)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _PATIENCE_S
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return True
        self.kill()
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port
