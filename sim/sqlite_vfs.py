"""Something between this process's SQLite and its files: the layer below every sqlite3 connection, changed in place.

SQLite reaches its files through a table of functions, its VFS (sqlite.org/c3ref/vfs.html), and each open file through
another (sqlite.org/c3ref/io_methods.html). Ours stand before the usual ones: opening goes to the usual VFS, and then
write, truncate, sync and close of that file come by here first. Reads, locks and shared memory stay native and fast.

Callbacks keep the interpreter's lock, so what is written and what is noted of it happen as one, on whichever thread.
"""

import _sqlite3
import atexit
import ctypes
import os
import sqlite3
from collections.abc import Callable
from ctypes import CFUNCTYPE, PYFUNCTYPE, Structure, c_char_p, c_int, c_int64, c_void_p
from typing import Any, Protocol

_NAME = b"cartwright-disk"
_REMEDY = "use a Python whose sqlite3 is linked to the system's SQLite, such as Debian's own"


class VfsError(Exception):
    """This Python's SQLite cannot be reached; the text says why and what to do."""


def library(module: str | None) -> ctypes.CDLL:
    """Return the SQLite that Python's extension `module` is linked to; None: the one inside Python itself.

    Raises:
        VfsError: there is none that others could call.
    """
    # A symbol is looked for in the module and in what the module needs: it is the same SQLite, wherever it comes from.
    found = ctypes.CDLL(module)
    try:
        found.sqlite3_vfs_find.restype = c_void_p
        found.sqlite3_vfs_find.argtypes = (c_char_p,)
        found.sqlite3_vfs_register.argtypes = (c_void_p, c_int)
        found.sqlite3_vfs_unregister.argtypes = (c_void_p,)
    except AttributeError as error:
        raise VfsError(f"Python's sqlite3 hides its SQLite ({error}): {_REMEDY}") from error
    return found


class OpenedFile(Protocol):
    """What decides about one open file. Each method returns SQLite's result code (sqlite.org/rescode.html)."""

    def write(self, content: bytes, offset: int, real: "RealFile") -> int: ...
    def truncate(self, size: int, real: "RealFile") -> int: ...
    def sync(self) -> int: ...
    def closed(self) -> None: ...


class Below(Protocol):
    """What decides about all files. `really` does it at the usual VFS and returns its result code."""

    def open(self, name: str, really: Callable[[], int]) -> tuple[int, OpenedFile | None]:
        """Return the result code, and who decides about the file from now on; None leaves it to the usual VFS."""
        ...

    def delete(self, name: str, really: Callable[[], int], *, synced: bool) -> int: ...


class RealFile:
    """The usual VFS's file in the same memory, a sqlite3_file at `address`."""

    def __init__(self, address: int, methods: Callable[[int], int]) -> None:
        self._address = address
        self._file = _File.from_address(address)
        self._usual: int = self._file.pMethods
        usual = _Methods.from_address(self._usual)
        self._close = PYFUNCTYPE(*_CLOSE)(usual.xClose)
        self._write = PYFUNCTYPE(*_WRITE)(usual.xWrite)
        self._truncate = PYFUNCTYPE(*_TRUNCATE)(usual.xTruncate)
        self._file.pMethods = methods(self._usual)

    def write(self, content: bytes, offset: int) -> int:
        return int(self._write(self._address, content, len(content), offset))

    def truncate(self, size: int) -> int:
        return int(self._truncate(self._address, size))

    def close(self) -> int:
        self.give_back()
        return int(self._close(self._address))

    def give_back(self) -> None:
        """Leave the file to the usual VFS, open as it is."""
        self._file.pMethods = self._usual


class Vfs:
    """The one VFS of ours that this process's SQLite knows: `Vfs.only()`. It asks whoever stands below at the time."""

    _only: "Vfs | None" = None

    @classmethod
    def only(cls) -> "Vfs":
        """Return it, made at the first call.

        Raises:
            VfsError: Python's sqlite3 module holds its SQLite where nobody else can reach it.
        """
        if cls._only is None:
            cls._only = cls()
        return cls._only

    def __init__(self) -> None:
        self._below: Below | None = None
        self._files: dict[int, tuple[RealFile, OpenedFile]] = {}
        self._trouble: list[BaseException] = []
        self._library = library(getattr(_sqlite3, "__file__", None))
        self._usual = self._library.sqlite3_vfs_find(None)
        usual = _Vfs.from_address(self._usual)
        self._real_open = PYFUNCTYPE(*_OPEN)(usual.xOpen)
        self._real_delete = PYFUNCTYPE(*_DELETE)(usual.xDelete)
        self._open_here, self._delete_here = CFUNCTYPE(*_OPEN)(self._x_open), CFUNCTYPE(*_DELETE)(self._x_delete)
        self._methods_here = {
            "xClose": CFUNCTYPE(*_CLOSE)(self._x_close), "xWrite": CFUNCTYPE(*_WRITE)(self._x_write),
            "xTruncate": CFUNCTYPE(*_TRUNCATE)(self._x_truncate), "xSync": CFUNCTYPE(*_SYNC)(self._x_sync),
        }  # fmt: skip
        self._vfs = _Vfs.from_buffer_copy(usual)
        self._vfs.pNext, self._vfs.zName = None, _NAME
        self._copies: dict[int, _Methods] = {}
        # A connection keeps our tables for its life, which may last until after the interpreter has cleaned up.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))
        atexit.register(self.give_back)

    def serve(self, below: Below) -> None:
        """Become SQLite's default VFS; connections opened from now on are the business of `below`.

        Raises:
            VfsError: somebody stands below already, or sqlite3 uses another library than the one we found.
        """
        if self._below is not None:
            raise VfsError("a disk is installed already: uninstall that one first")
        self._vfs.xOpen, self._vfs.xDelete = _pointer(self._open_here), _pointer(self._delete_here)
        self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1)
        self._below = below
        try:
            sqlite3.connect(f"file::memory:?vfs={_NAME.decode()}", uri=True).close()
        except sqlite3.OperationalError as error:
            self.give_back()
            raise VfsError(f"Python's sqlite3 does not use the SQLite that was found ({error}): {_REMEDY}") from error

    def give_back(self) -> None:
        """Leave everything to the usual VFS, files that are open included. Twice is once.

        Raises:
            BaseException: what went wrong in `below` where nobody could hear of it.
        """
        usual = _Vfs.from_address(self._usual)
        self._library.sqlite3_vfs_unregister(ctypes.byref(self._vfs))
        self._vfs.xOpen, self._vfs.xDelete = usual.xOpen, usual.xDelete
        for real, _ in self._files.values():
            real.give_back()
        self._files.clear()
        self._below = None
        if self._trouble:
            raise self._trouble.pop()

    # ── called by SQLite: no exception may pass ──────────────────────────────────────────────────────────────────

    def _x_open(self, _: int, path: int | None, address: int, flags: int, out: int | None) -> int:
        def really() -> int:
            return int(self._real_open(self._usual, path, address, flags, out))

        below = self._below
        if below is None or not path:  # a temporary file without a name is nobody's
            return really()

        def decided() -> int:
            code, file = below.open(os.fsdecode(ctypes.string_at(path)), really)
            if file is not None:
                self._files[address] = RealFile(address, self._methods), file
            return code

        return self._guarded(decided, sqlite3.SQLITE_CANTOPEN)

    def _x_delete(self, _: int, path: bytes, sync: int) -> int:
        def really() -> int:
            return int(self._real_delete(self._usual, path, sync))

        below = self._below
        if below is None:
            return really()
        return self._guarded(
            lambda: below.delete(os.fsdecode(path), really, synced=bool(sync)), sqlite3.SQLITE_IOERR_DELETE
        )

    def _x_close(self, address: int) -> int:
        real, file = self._files.pop(address)
        file.closed()
        return real.close()

    def _x_write(self, address: int, content: int, amount: int, offset: int) -> int:
        real, file = self._files[address]
        return self._guarded(
            lambda: file.write(ctypes.string_at(content, amount), offset, real), sqlite3.SQLITE_IOERR_WRITE
        )

    def _x_truncate(self, address: int, size: int) -> int:
        real, file = self._files[address]
        return self._guarded(lambda: file.truncate(size, real), sqlite3.SQLITE_IOERR_TRUNCATE)

    def _x_sync(self, address: int, _flags: int) -> int:
        return self._guarded(self._files[address][1].sync, sqlite3.SQLITE_IOERR_FSYNC)

    def _guarded(self, decided: Callable[[], int], failed: int) -> int:
        try:
            return decided()
        except BaseException as error:  # noqa: BLE001 - kept, and raised by give_back
            self._trouble.append(error)
            return failed

    def _methods(self, usual: int) -> int:
        """Return the address of our copy of a file's table of functions."""
        if usual not in self._copies:
            ours = _Methods.from_buffer_copy(_Methods.from_address(usual))
            for name, function in self._methods_here.items():
                setattr(ours, name, _pointer(function))
            self._copies[usual] = ours
        return ctypes.addressof(self._copies[usual])


# ── sqlite3.h ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Vfs(Structure):
    _fields_ = (
        ("iVersion", c_int), ("szOsFile", c_int), ("mxPathname", c_int), ("pNext", c_void_p), ("zName", c_char_p),
        ("pAppData", c_void_p), ("xOpen", c_void_p), ("xDelete", c_void_p), ("others", c_void_p * 14),
    )  # fmt: skip


class _Methods(Structure):
    _fields_ = (
        ("iVersion", c_int), ("xClose", c_void_p), ("xRead", c_void_p), ("xWrite", c_void_p), ("xTruncate", c_void_p),
        ("xSync", c_void_p), ("others", c_void_p * 13),
    )  # fmt: skip


class _File(Structure):
    _fields_ = (("pMethods", c_void_p),)


_OPEN = (c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_DELETE = (c_int, c_void_p, c_char_p, c_int)
_CLOSE = (c_int, c_void_p)
_WRITE = (c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = (c_int, c_void_p, c_int64)
_SYNC = (c_int, c_void_p, c_int)


def _pointer(function: Any) -> int | None:  # noqa: ANN401 - ctypes makes a type per signature
    return ctypes.cast(function, c_void_p).value
