"""The picture of a record, drawn by a program of its own: a replay must not take the time of a reading."""

import asyncio
import sys
import tempfile
from pathlib import Path

import structlog

_LOG = structlog.get_logger("record")
_PATIENCE_S = 180.0
_LONGEST_SAID = 300
_DRAWN = (0, 1)
"""Exit statuses of `replay` with a picture: as recorded, and otherwise."""
_GENTLY = ("nice", "-n", "19")
_REPLAY = (sys.executable, "-m", "cart_firmware", "replay")


async def drawn_apart(record: bytes) -> bytes:
    """Return the timeline of a record as PNG; nothing where it cannot be drawn, the record is worth sending without."""
    try:
        with tempfile.TemporaryDirectory(prefix="record-") as folder:
            return await _drawn_in(Path(folder), record)
    except OSError as error:
        _LOG.warning("no picture of the record", said=str(error))
        return b""


async def _drawn_in(folder: Path, record: bytes) -> bytes:
    file, picture = folder / "record.cartset", folder / "record.png"
    await asyncio.to_thread(file.write_bytes, record)
    child = await asyncio.create_subprocess_exec(
        *_GENTLY, *_REPLAY, str(file), "--png", str(picture),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_PATIENCE_S):
            _, said = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode in _DRAWN:
        return await asyncio.to_thread(picture.read_bytes)
    raise OSError(said.decode(errors="replace").strip()[-_LONGEST_SAID:])
