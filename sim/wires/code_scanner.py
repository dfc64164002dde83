"""The order scanner at the lane's head: a handheld in USB-serial mode that sends each code and a carriage return."""

from pathlib import Path

from sim.wires.port import SerialPort


class CodeScanner:
    """A scanner on a serial line under a stable name. Nothing that the host sends makes it answer."""

    def __init__(self, link: Path) -> None:
        self._port = SerialPort(link)

    def plug(self) -> None:
        """Connect it. Needs a running loop; may be repeated."""
        self._port.plug()

    def unplug(self) -> None:
        """Pull its cable out. May be repeated."""
        self._port.unplug()

    def scan(self, text: str) -> None:
        """Read a code. Unplugged, or with a host that reads nothing, it is lost."""
        self._port.send(text.encode() + b"\r")
