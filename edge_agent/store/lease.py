"""Who writes which partition: leases in the shared PostgreSQL, by its clock, each with a fence that only grows.

A lease is a row. Its owner moves `expires` forward again and again; whoever finds it expired may take it, which raises
the fence. Every append proves owner and fence in its own transaction (edge_agent/store/journal.py:SqlJournal), so an
agent that was frozen and does not know yet that it lost the lease writes nothing. Expiry decides when a partition may
be taken; only the fence decides who may write.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from edge_agent.store.database import JournalError, driver_on, open_engine, said, shown
from edge_agent.store.journal import FencedError

_ENTER = """
INSERT INTO lease (partition, owner, fence, address, expires)
SELECT p, '', coalesce((SELECT fence FROM entry WHERE partition = p ORDER BY number DESC LIMIT 1), 0), '',
       clock_timestamp()
FROM generate_series(0, %s - 1) AS p
ON CONFLICT DO NOTHING
"""
_CLAIM = """
UPDATE lease SET owner = %s, address = %s, fence = fence + 1, expires = clock_timestamp() + %s * interval '1 second'
WHERE partition = %s AND expires + %s * interval '1 second' < clock_timestamp()
RETURNING fence
"""
_RENEW = """
UPDATE lease SET expires = clock_timestamp() + %s * interval '1 second'
WHERE partition = %s AND owner = %s AND fence = %s
RETURNING fence
"""
_RELEASE = "UPDATE lease SET expires = clock_timestamp() WHERE partition = %s AND owner = %s AND fence = %s"


class Leases:
    """One agent's leases. Calls block and may be made from any thread, one at a time.

    Args:
        address: SQLAlchemy address of the shared database, whose tables are up to date.
        owner: this process, unlike any other that ever was: name and start.
        reach: how other agents' shoppers find us, e.g. https://box-2.shop.example:8443
        partitions: into how many the carts are divided.
        life_s: how long a lease lives without renewal.

    Raises:
        JournalError: the database does not answer, or is divided otherwise.
    """

    def __init__(self, address: str, *, owner: str, reach: str, partitions: int, life_s: float) -> None:
        self.owner = owner
        self.held: dict[int, int] = {}
        """Our partitions and the fence of each."""
        self._address, self._reach, self._partitions, self._life_s = address, reach, partitions, life_s
        try:
            self._connection: psycopg.Connection[Any] = driver_on(open_engine(address))
        except SQLAlchemyError as error:
            raise JournalError(f"journal {shown(address)}: cannot be opened: {said(error)}") from error
        self._connection.autocommit = True
        try:
            self._check_division()
            self._run(_ENTER, (partitions,))
        except JournalError:
            self._connection.close()
            raise

    def claim(self, wanted: Iterable[int], grace_s: float = 0.0) -> dict[int, int]:
        """Take those of `wanted` that nobody holds and nobody held for `grace_s`; return their fences.

        Raises:
            JournalError: the database does not answer.
        """
        taken: dict[int, int] = {}
        for partition in wanted:
            if partition not in self.held:
                fence = self._take(partition, grace_s)
                if fence is not None:
                    taken[partition] = fence
        self.held |= taken
        return taken

    def renew(self) -> None:
        """Move the end of all our leases forward.

        Raises:
            FencedError: somebody took one of them over.
            JournalError: the database does not answer.
        """
        for partition, fence in self.held.items():
            if self._one(_RENEW, (self._life_s, partition, self.owner, fence)) is None:
                raise FencedError(
                    f"journal {shown(self._address)}: partition {partition} was taken over from {self.owner}; this "
                    "agent was too slow and ends"
                )

    def release(self) -> None:
        """Give all our leases up, so that nobody has to wait for their end; after the last append."""
        for partition, fence in self.held.items():
            self._run(_RELEASE, (partition, self.owner, fence))
        self.held = {}

    def addresses(self) -> Mapping[int, str]:
        """Return where the owner of each partition is reached; empty where it has none.

        Raises:
            JournalError: the database does not answer.
        """
        found = self._run("SELECT partition, address FROM lease WHERE expires > clock_timestamp()", ()).fetchall()
        return dict(found)

    def close(self) -> None:
        self._connection.close()

    def _check_division(self) -> None:
        divided = self._one("SELECT count(*) FROM lease", ())
        written = self._one("SELECT max(partition) + 1 FROM entry", ())
        known = (divided or (0,))[0] or (written or (None,))[0]
        if known is not None and known != self._partitions:
            raise JournalError(
                f"journal {shown(self._address)}: is divided into {known}, the configuration says {self._partitions}; "
                "a journal that has entries cannot be divided anew"
            )

    def _take(self, partition: int, grace_s: float) -> int | None:
        try:
            row = self._one(_CLAIM, (self.owner, self._reach, self._life_s, partition, grace_s))
        except JournalError as error:
            # Its old owner's transaction still stands; the server ends that soon (postgresql.LIMITS).
            if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                return None
            raise
        return row[0] if row else None

    def _one(self, query: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._run(query, values).fetchone()
        return row

    def _run(self, query: str, values: tuple[object, ...]) -> "psycopg.Cursor[Any]":
        try:
            return self._connection.execute(query.encode(), values)
        except psycopg.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: psycopg.Error) -> JournalError:
        return JournalError(f"journal {shown(self._address)}: the leases cannot be seen to: {error}")
