"""Files that only their owner may read, and files that are either old or new, never half."""

import os
from pathlib import Path

_OWNER_ONLY = 0o600
_EVERYONE_READS = 0o644


def write_secret(path: Path, content: bytes) -> None:
    """Create or replace `path` with mode 0600; at no moment could anybody else read it."""
    _replace(path, content, _OWNER_ONLY)


def write_public(path: Path, content: bytes) -> None:
    """Create or replace `path` with mode 0644."""
    _replace(path, content, _EVERYONE_READS)


def _replace(path: Path, content: bytes, mode: int) -> None:
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
