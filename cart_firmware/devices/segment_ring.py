"""A folder of recorded segments that never grows beyond its bound: the oldest goes, with price books nobody needs more.

segment-000017.cart    one segment (cart_firmware.core.recording)
book-5f3a….json.z      a price book or what was learned of masses, deflated, by the SHA-256 of its text
"""

import contextlib
import os
import re
import shutil
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

from cart_firmware.core.recording import (
    BUNDLE_MAGIC,
    FOR_EVER_MS,
    Bundle,
    Entry,
    Header,
    HeaderTornError,
    Listed,
    Reading,
    RecordingError,
    SegmentWriter,
    bundled,
    read_bundle,
    read_header,
)
from cart_protocol.ids import SessionId

_LOG = structlog.get_logger("recorder")
_SEGMENT = re.compile(r"segment-(\d{6,})\.cart")
_HEAD = 1 << 20
"""A header is whole within so many bytes of its file."""


class NoRoomError(OSError):
    """The disk has less room than must stay free for others."""


class _Kept(msgspec.Struct):
    """What is known of a segment without reading it."""

    path: Path
    size: int
    session: SessionId | None
    texts: frozenset[str]


class SegmentRing:
    """cart_firmware.ports.Recordings in `folder`, which is made where it is missing.

    Args:
        folder: Nothing else may be in it.
        most: Bytes that segments and books may take together.
        leave_free: Bytes of the disk that are left to others.
    """

    def __init__(self, folder: Path, most: int, leave_free: int) -> None:
        self._folder, self._most, self._leave_free = folder, most, leave_free
        self._lock = threading.Lock()
        self._kept: list[_Kept] | None = None
        self._file: int | None = None
        self._writer = SegmentWriter()

    def begin(self, header: Header, texts: Mapping[str, str]) -> int:
        """See ports.Recordings.begin."""
        with self._lock:
            self._close()
            kept = self._found()
            self._folder.mkdir(parents=True, exist_ok=True)
            for digest, text in texts.items():
                self._keep_text(digest, text)
            number = _number(kept[-1].path) + 1 if kept else 1
            path = self._folder / f"segment-{number:06}.cart"
            self._writer = SegmentWriter()
            head = self._writer.begin(header)
            self._check_room(len(head))
            self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
            kept.append(_Kept(path, 0, header.session, frozenset(texts)))
            return self._append(head)

    def append(self, entries: Sequence[Entry | Reading]) -> int:
        """See ports.Recordings.append."""
        with self._lock:
            if self._file is None:
                raise NoRoomError("no segment is open; begin one")
            return self._append(self._writer.chunk(entries))

    def record_of(self, session: SessionId | None, from_ms: int, until_ms: int) -> bytes:
        """See ports.Recordings.record_of."""

        def wanted(header: Header, written_ms: int) -> bool:
            return session in (None, header.session) and header.wall_ms <= until_ms and written_ms >= from_ms

        with self._lock:
            return record_of(self._folder, wanted)

    def erase(self, session: SessionId) -> int:
        """See ports.Recordings.erase."""
        with self._lock:
            self._close()
            gone = [each for each in self._found() if each.session == session]
            for each in gone:
                self._drop(each)
            self._drop_texts()
            return len(gone)

    def close(self) -> None:
        """Close the open segment, if there is one."""
        with self._lock:
            self._close()

    def _append(self, data: bytes) -> int:
        if self._file is None:
            raise AssertionError("a chunk without a file")  # both callers open or ask
        newest = self._found()[-1]
        try:
            self._bound(len(data))
            self._check_room(len(data))
            written = os.write(self._file, data)
            if written < len(data):
                raise NoRoomError(f"only {written} of {len(data)} bytes could be written to {newest.path}")
        except OSError:
            # The deflate stream has gone on without the file: what would follow could not be read.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, newest.size)
            self._close()
            if not newest.size:
                self._drop(newest)
            raise
        newest.size += len(data)
        return newest.size

    def _check_room(self, wanted: int) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < self._leave_free + wanted:
            raise NoRoomError(
                f"{free >> 20} MiB free on the disk of {self._folder}; {self._leave_free >> 20} are others'"
            )

    def _bound(self, wanted: int) -> None:
        """Make room within the bound: drop the oldest segments, never the newest."""
        kept = self._found()
        dropped = False
        while len(kept) > 1 and self._size() + wanted > self._most:
            self._drop(kept[0])
            dropped = True
        if dropped:
            self._drop_texts()

    def _size(self) -> int:
        books = sum(path.stat().st_size for path in self._folder.glob("book-*.json.z"))
        return books + sum(each.size for each in self._found())

    def _drop(self, each: _Kept) -> None:
        each.path.unlink(missing_ok=True)
        self._found().remove(each)

    def _drop_texts(self) -> None:
        needed = {book_name(digest) for each in self._found() for digest in each.texts}
        for path in self._folder.glob("book-*"):
            if path.name not in needed:
                path.unlink()

    def _keep_text(self, digest: str, text: str) -> None:
        path = self._folder / book_name(digest)
        if path.exists():
            return
        deflated = zlib.compress(text.encode(), 9)
        self._check_room(len(deflated))
        unready = path.with_suffix(".new")
        unready.write_bytes(deflated)
        unready.replace(path)

    def _found(self) -> list[_Kept]:
        """Return the segments, oldest first; what a killed program left is looked at once."""
        if self._kept is None:
            self._kept = [_looked_at(path) for path in segment_paths(self._folder)]
        return self._kept

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def segment_paths(folder: Path) -> list[Path]:
    """Return the segments in a folder, oldest first."""
    return sorted((path for path in folder.glob("segment-*.cart") if _SEGMENT.fullmatch(path.name)), key=_number)


def book_name(digest: str) -> str:
    """Return the file that holds the text with this SHA-256."""
    return f"book-{digest[:32]}.json.z"


def _number(path: Path) -> int:
    found = _SEGMENT.fullmatch(path.name)
    return int(found[1]) if found else 0


def _looked_at(path: Path) -> _Kept:
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            header = read_header(file.read(_HEAD), path.name)
    except RecordingError as error:
        _LOG.info("a segment of no use is kept until its turn", reason=str(error))
        return _Kept(path, size, None, frozenset())
    return _Kept(path, size, header.session, _texts_of(header))


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────

Wanted = Callable[[Header, int], bool]
"""Whether a segment is meant, by its header and the wall time of its last write in milliseconds."""


def listed(folder: Path) -> list[Listed]:
    """Return what a folder holds, oldest first; a segment of another format is not listed."""
    found = list[Listed]()
    for path in segment_paths(folder):
        with contextlib.suppress(RecordingError), path.open("rb") as file:
            header, stat = read_header(file.read(_HEAD), path.name), path.stat()
            found.append(
                Listed(
                    file=path.name, from_ms=header.wall_ms, until_ms=stat.st_mtime_ns // 1_000_000, size=stat.st_size,
                    session=header.session, software=header.software,
                )
            )  # fmt: skip
    return found


def record_of(folder: Path, wanted: Wanted) -> bytes:
    """Return the segments of a folder that are meant as one file; see ports.Recordings.record_of for errors."""
    bundle = read(folder, wanted)
    if not bundle.segments:
        raise RecordingError(f"{folder}: nothing is recorded of that, or not any more; 'cart-firmware recording' lists")
    return bundled(bundle)


def read(path: Path, wanted: Wanted = lambda _header, _until_ms: True) -> Bundle:
    """Return the segments in a folder, a segment's file or a bundle that are meant, with the texts they refer to.

    Raises:
        RecordingError: there is no such file, or it is no record that this version can read.
    """
    try:
        if path.is_file() and (data := path.read_bytes()).startswith(BUNDLE_MAGIC):
            return _chosen(read_bundle(data, path.name), wanted)
        paths = segment_paths(path) if path.is_dir() else [path]
        found = {each: each.read_bytes() for each in paths}
        until_ms = {each: each.stat().st_mtime_ns // 1_000_000 for each in paths}
    except OSError as error:
        raise RecordingError(
            f"{path}: cannot be read ({error.strerror}); name a folder or file of a recording"
        ) from error
    segments, digests = dict[str, bytes](), set[str]()
    for each, data in found.items():
        try:
            header = read_header(data, each.name)
        except HeaderTornError:
            if path.is_file():
                raise
            continue  # of a folder, the others are as good without it
        if wanted(header, until_ms[each]):
            segments[each.name] = data
            digests |= _texts_of(header)
    folder = path if path.is_dir() else path.parent
    texts = {digest: text for digest in digests if (text := _text(folder / book_name(digest))) is not None}
    return Bundle(segments, texts)


def _chosen(bundle: Bundle, wanted: Wanted) -> Bundle:
    chosen = {name: data for name, data in bundle.segments.items() if wanted(read_header(data, name), FOR_EVER_MS)}
    return Bundle(chosen, bundle.texts)


def _text(path: Path) -> str | None:
    return zlib.decompress(path.read_bytes()).decode() if path.exists() else None


def _texts_of(header: Header) -> frozenset[str]:
    return frozenset((header.book.book, header.book.learned)) if header.book else frozenset()
