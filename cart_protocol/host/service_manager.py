"""Talking to systemd: ready, watchdog, stopping (sd_notify(3)). Without NOTIFY_SOCKET every call does nothing."""

import os
import socket
from collections.abc import Mapping


class ServiceManager:
    """The notify socket of the unit we run in. Feed the watchdog from progress, never from a timer."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_us = int(environment.get("WATCHDOG_USEC", "0"))
        """How long systemd waits for progress before it restarts us; 0 when nobody watches."""

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={status}")

    def progress(self) -> None:
        """Say that the main loop turned over and its inputs were fresh."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(text.encode(), self._address)
