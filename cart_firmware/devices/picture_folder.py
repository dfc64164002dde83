"""Pictures of products on the cart's disk: one file each, named by the SHA-256 of what is in it."""

import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from cart_protocol.product_picture import PICTURE_ID, name_of

_NAME = re.compile(rf"[0-9a-f]{{{PICTURE_ID}}}")
_LEAVE_FREE = 96 << 20
"""Bytes of the disk that are left to others: the outbox comes first."""


class PictureFolder:
    """cart_firmware.ports.PictureShelf in `folder`, which is made where it is missing.

    Files are not synced: one that a power cut tore is recognised by its name when it is read, and fetched again.
    """

    def __init__(self, folder: Path, leave_free: int = _LEAVE_FREE) -> None:
        self._folder, self._leave_free = folder, leave_free
        try:
            self._names = {path.name for path in folder.iterdir() if _NAME.fullmatch(path.name)}
        except FileNotFoundError:
            self._names = set()

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def content(self, name: str) -> bytes | None:
        """See ports.PictureShelf.content."""
        if name not in self._names:
            return None
        try:
            content = (self._folder / name).read_bytes()
        except OSError:
            content = b""
        if name_of(content) == name:
            return content
        self._names.discard(name)
        return None

    def put(self, content: bytes) -> None:
        """See ports.PictureShelf.put."""
        name = name_of(content)
        self._folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self._folder).free < self._leave_free + len(content):
            raise OSError(f"{self._folder}: less than {self._leave_free >> 20} MiB are free; nothing is kept there")
        draft = self._folder / f"{name}.new"
        draft.write_bytes(content)
        draft.replace(self._folder / name)
        self._names.add(name)

    def keep_only(self, names: Collection[str]) -> None:
        """See ports.PictureShelf.keep_only."""
        for path in self._folder.glob("*") if self._folder.is_dir() else ():
            if path.name not in names:
                os.unlink(path)  # noqa: PTH108 - a folder in it is somebody's mistake, and to be heard of
        self._names &= set(names)
