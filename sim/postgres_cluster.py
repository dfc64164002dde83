"""A PostgreSQL of the live shop's own, reached by a unix socket only. Debian's own cluster is not touched."""

import asyncio
import os
import pwd
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sim.processes import ProcessFailedError, Program, run_once

_USER = "postgres"
"""PostgreSQL refuses to run as root; Debian's package makes this user."""
_DATABASE = "shop"
_PATIENCE_S = 60.0


class PostgresCluster:
    """A cluster in a temporary folder, which is short enough for a unix socket (107 characters, unix(7))."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="cwpg-"))
        self._user = _USER if os.geteuid() == 0 else None

    @property
    def address(self) -> str:
        """Where the agent finds its database."""
        return f"postgresql+psycopg://{_USER}@/{_DATABASE}?host={self._folder}"

    async def create(self) -> None:
        """Make the cluster's files.

        Raises:
            ProcessFailedError: PostgreSQL is not installed, or does not want to.
        """
        if self._user:
            shutil.chown(self._folder, self._user)
        await self._run(
            "initdb", "-D", str(self._folder / "data"), "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"
        )

    def program(self) -> Program:
        return Program(
            name="database",
            command=self._as_user(
                _found("postgres"), "-D", str(self._folder / "data"), "-k", str(self._folder), "-c", "listen_addresses="
            ),
            with_children=True,
        )

    async def ready(self) -> None:
        """Wait until it answers, and make the shop's database.

        Raises:
            ProcessFailedError: it does not come up.
        """
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            try:
                await self._run("createdb", "-h", str(self._folder), "-U", _USER, _DATABASE)
            except ProcessFailedError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.2)
            else:
                return

    def remove(self) -> None:
        """Forget it; nothing of it runs any more."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def query(self, sql: str) -> list[list[str]]:
        """Return what a query finds, as texts."""
        printed = await self._run("psql", "-At", "-F", "\t", "-h", str(self._folder), "-U", _USER, "-c", sql, _DATABASE)
        return [line.split("\t") for line in printed.splitlines()]

    async def _run(self, name: str, *arguments: str) -> str:
        return await run_once(self._as_user(_found(name), *arguments))

    def _as_user(self, *command: str) -> Sequence[str]:
        if self._user is None:
            return command
        account = pwd.getpwnam(self._user)
        return ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", *command]


def _found(name: str) -> str:
    """Return the path of one of PostgreSQL's programs, which Debian keeps out of PATH; the newest version's."""
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda home: int(home.parent.name))
    found = shutil.which(name, path=str(homes[-1])) if homes else shutil.which(name)
    if found is None:
        raise ProcessFailedError(f"{name} is not installed: install Debian's package postgresql")
    return found
