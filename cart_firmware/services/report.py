"""How a cart is doing, for those who look after it: asked over a socket in its own folder."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from cart_protocol.basket import Basket, Position

_LOG = structlog.get_logger("report")
SOCKET = "status.sock"
_LONGEST_PATH = 100
"""An address of AF_UNIX has 108 bytes (unix(7))."""
_PATIENCE_S = 2.0


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What a cart says of itself. Without `running` it is what its memory says, and nothing is counted."""

    cart: str
    running: bool
    phase: str
    code: str
    epoch: int
    recorded: int
    acknowledged: int
    lines: int
    faults: tuple[str, ...]
    offline: bool = True
    book_version: int = 0
    load_mg: int = 0
    """What is accounted for."""
    load: str = ""
    """What the scale shows."""
    zero_mg: int = 0
    """How far the scale's zero has moved since the start."""
    codes_refused: dict[str, int] = {}
    readings_failed: dict[str, int] = {}
    frames_read: int = 0
    frames_failed: int = 0
    camera_unmet: tuple[str, ...] = ()
    messages_unreadable: int = 0
    price_books_refused: int = 0
    sight_version: int = 0
    """Of what the store taught of goods by sight."""
    sights_refused: int = 0
    records_lost: int = 0
    """What the flight recorder could not keep."""


def status_of(cart: str, basket: Basket, position: Position, acknowledged: int) -> Status:
    """Return what a cart's memory says."""
    return Status(
        cart=cart,
        running=False,
        phase=basket.phase.value,
        code=basket.code,
        epoch=position.epoch,
        recorded=position.seq,
        acknowledged=acknowledged,
        lines=len(basket.lines),
        faults=tuple(fault.value for fault in basket.faults),
    )


Report = Callable[[], Status]


async def serve(folder: Path, report: Report) -> None:
    """Answer every connection to the socket in `folder` with one report, until cancelled."""
    path = folder / SOCKET
    if len(bytes(path)) > _LONGEST_PATH:
        _LOG.warning("no status socket: its path is too long", path=str(path))
        return

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(msgspec.json.encode(report()))
            await writer.drain()
        writer.close()

    path.unlink(missing_ok=True)  # left by a program that was killed
    server = await asyncio.start_unix_server(answer, path)
    try:
        await server.serve_forever()
    finally:
        path.unlink(missing_ok=True)


async def ask(folder: Path) -> Status | None:
    """Return the report of the program that runs on `folder`, or None where none runs."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            reader, writer = await asyncio.open_unix_connection(folder / SOCKET)
            said = await reader.read()
            writer.close()
    except (OSError, TimeoutError):
        return None
    return msgspec.json.decode(said, type=Status)
