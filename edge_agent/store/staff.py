"""The staff file: names, roles and Argon2 hashes of the people who may sign in at the console.

The file is JSON, readable by its owner only, and replaced as a whole, so a reader never sees half of one.
"""

import os
import re
from pathlib import Path

import argon2
import msgspec

from cart_protocol.ids import StaffId
from edge_agent.core.staff import Role, StaffMember

SHORTEST_PASSWORD = 8
"""Characters; NIST SP 800-63B, section 5.1.1.2."""
LONGEST_PASSWORD = 256
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


class StaffFileError(Exception):
    """The staff file, or what should be written to it, cannot be used; the text says why and what to do."""


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    role: Role
    password: str
    """Argon2id hash in PHC form (RFC 9106)."""


class _Roll(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    staff: tuple[_Record, ...] = ()


class StaffFile:
    """The people in `path`. A missing file is an empty roll: nobody can sign in.

    Changes made to the file by another process count from the next look: who is removed is out at once.
    """

    def __init__(self, path: Path, hasher: argon2.PasswordHasher | None = None) -> None:
        self._path = path
        self._hasher = hasher or argon2.PasswordHasher()
        self._nobody = self._hasher.hash("nobody")  # checked in place of an unknown name's hash: both take as long
        self._stamp: tuple[int, int, int] | None = None
        self._roll: dict[str, _Record] = {}

    def add(self, name: str, role: Role, password: str) -> StaffMember:
        """Write `name` with `role` and `password`; an existing person of that name is replaced.

        Raises:
            StaffFileError: the name or password cannot be used, or the file cannot be read or written.
        """
        if not _NAME.fullmatch(name):
            raise StaffFileError(
                f"{name!r} is no staff name: use 1 to 40 lower-case letters, digits, '.', '_' or '-', "
                "beginning with a letter or digit"
            )
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise StaffFileError(
                f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters, not {len(password)}"
            )
        record = _Record(name=name, role=role, password=self._hasher.hash(password))
        self._write({**self._read(), name: record})
        return _member(record)

    def remove(self, name: str) -> bool:
        """Take `name` off the roll; return whether they were on it."""
        roll = dict(self._read())
        gone = roll.pop(name, None)
        if gone:
            self._write(roll)
        return gone is not None

    def find(self, name: str) -> StaffMember | None:
        """Return the person of that name as the file has them now."""
        record = self._read().get(name)
        return _member(record) if record else None

    def everyone(self) -> tuple[StaffMember, ...]:
        return tuple(_member(record) for record in self._read().values())

    def verify(self, name: str, password: str) -> StaffMember | None:
        """Return the person when name and password belong together. Slow on purpose, and as slow for unknown names."""
        record = self._read().get(name)
        try:
            self._hasher.verify(record.password if record else self._nobody, password[: LONGEST_PASSWORD + 1])
        except argon2.exceptions.VerificationError:
            return None
        except argon2.exceptions.InvalidHashError as error:
            raise StaffFileError(f"{self._path}: the hash of {name!r} is not Argon2; set the password anew") from error
        return _member(record) if record else None

    def _read(self) -> dict[str, _Record]:
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp != self._stamp:
                roll = msgspec.json.decode(self._path.read_bytes(), type=_Roll)
                self._roll = {record.name: record for record in roll.staff}
                self._stamp = stamp
        except FileNotFoundError:
            self._roll, self._stamp = {}, None
        except (OSError, msgspec.MsgspecError) as error:
            raise StaffFileError(f"{self._path}: cannot be used ({error}); mend it or add staff anew") from error
        return self._roll

    def _write(self, roll: dict[str, _Record]) -> None:
        body = msgspec.json.format(msgspec.json.encode(_Roll(staff=tuple(roll.values()))), indent=2)
        draft = self._path.with_name(self._path.name + ".new")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(body + b"\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            raise StaffFileError(f"{self._path}: cannot be written ({error.strerror})") from error


def _member(record: _Record) -> StaffMember:
    return StaffMember(staff=StaffId(record.name), role=record.role)
