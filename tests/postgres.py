"""A real PostgreSQL of the tests' own: one temporary cluster per session, one fresh database per test.

Debian's own cluster is not touched. PostgreSQL refuses to run as root, so it runs as the user that its package made.
The socket lies in a short folder: its path must fit into 107 bytes (unix(7)), which pytest's own folders may not.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

_USER = "postgres"
_PATIENCE_S = 60.0


class Postgres:
    """A cluster with fsync on, reached by a unix socket only."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self.log = self.folder / "postgres.log"
        self._account: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = pwd.getpwnam(_USER)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._account = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None
        self._names = count(1)

    def start(self) -> None:
        """Make the cluster if need be, start it, and return when it answers."""
        if not (self.folder / "data").exists():
            self._run("initdb", "-D", "data", "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [program("postgres"), "-D", "data", "-k", self.folder, "-c", "listen_addresses=", "-c", "fsync=on"],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._account,
            )  # fmt: skip
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                psycopg.connect(self._dsn(_USER)).close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"PostgreSQL does not start:\n{self.log.read_text()}")

    def kill(self) -> None:
        """Take the server down as a power cut would: no checkpoint, recovery at the next start."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)  # "immediate shutdown" (PostgreSQL manual, section 19.5)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Take it down and forget it."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self) -> str:
        """Make an empty database and return its SQLAlchemy address."""
        name = f"shop{next(self._names)}"
        with psycopg.connect(self._dsn(_USER), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql+psycopg://{_USER}@/{name}?host={self.folder}"

    def load(self, address: str, dump: Path) -> None:
        """Run a dump's SQL in a database of ours."""
        database = address.partition("@/")[2].partition("?")[0]
        self._run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-U", _USER, database, stdin=dump)

    def _dsn(self, database: str) -> str:
        return f"host={self.folder} user={_USER} dbname={database}"

    def _run(self, name: str, *arguments: str, stdin: Path | None = None) -> None:
        text = stdin.read_bytes() if stdin else b""
        done = subprocess.run(
            [program(name), *arguments], cwd=self.folder, input=text, capture_output=True, check=False, **self._account
        )
        if done.returncode:
            raise RuntimeError(f"{name} {' '.join(arguments)}: {done.stderr.decode()}")


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs, which Debian keeps out of PATH; the newest version's."""
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda home: int(home.parent.name))
    found = shutil.which(name, path=str(homes[-1])) if homes else shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed; run scripts/setup test")
    return found
