"""Whoever sits at the terminal and moves the masses, or writes to its input."""

from rich.console import Console

from cart_firmware.core.calibration import RefusedError


class Terminal:
    """services.calibrate.Person on standard input and output: a line for each thing that was done."""

    def __init__(self) -> None:
        self._console = Console()
        self._step = 0

    def ask(self, what: str) -> None:
        self._step += 1
        try:
            self._console.input(f"[bold]{self._step}.[/] {what}, then press Enter. ")
        except EOFError as error:
            raise RefusedError("nobody pressed Enter: the input has ended; nothing was changed") from error
        self._console.print("   Wait until it rests ...")
