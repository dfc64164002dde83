"""A shopper's id taken out of the database: entries and read tables first, then the bytes that lay there before.

Facts are written anew in one transaction (core.erasure.rewritten), so a crash leaves all of it or nothing. What a
database keeps of former content is its own business: SQLite's is cleaned here and searched, PostgreSQL's goes with
its own VACUUM and the recycling of its log.
"""

import subprocess
from collections.abc import Sequence

from cart_protocol.ids import ShopperId
from edge_agent.core.erasure import rewritten
from edge_agent.core.events import OrderPlaced, decode, encode
from edge_agent.store.writer import DatabaseError, Writer

_ENTRIES = 'SELECT "partition", "number", "body" FROM "entry" WHERE "stream" = ?'
_WRITE = 'UPDATE "entry" SET "body" = ? WHERE "partition" = ? AND "number" = ? RETURNING "number"'
_ORDER = 'UPDATE "shop_order" SET "shopper" = ? WHERE "order_id" = ? RETURNING "order_id"'
_PATIENCE_MS = 250
"""How long a commit may wait for a reader of the old pages."""
_GREP = ("/bin/grep", "--quiet", "--fixed-strings", "--file=-", "--")


def erase(writer: Writer, shopper: ShopperId, pseudonym: ShopperId, streams: Sequence[str]) -> None:
    """Write anew what their streams, and the read tables, say of `shopper`. Call it within a transaction.

    Raises:
        DatabaseError: the transaction cannot be continued.
    """
    for stream in streams:
        for partition, number, body in writer.read(_ENTRIES, (stream,)):
            event = rewritten(decode(body), shopper, pseudonym)
            if event is not None:
                writer.read(_WRITE, (encode(event), partition, number))
            if isinstance(event, OrderPlaced):
                writer.read(_ORDER, (pseudonym, event.order))


def scrub(writer: Writer, shopper: ShopperId) -> bool:
    """Leave no byte of the id in SQLite's files; return whether that came about. Call it outside any transaction.

    secure_delete zeroes what is overwritten or freed, and truncating the write-ahead log drops the frames from before.
    A page that was rearranged may still keep a copy between its cells; then the file is written anew (VACUUM). A reader
    who holds an old page (a backup, a person with SQL) keeps the log from being truncated: it goes at the next start.
    """
    try:
        return truncate_log(writer) and (_is_clean(writer, shopper) or _written_anew(writer, shopper))
    except (DatabaseError, OSError):
        return False  # e.g. no room to write it anew; that nobody finds the shopper any more is durable already


def truncate_log(writer: Writer) -> bool:
    """Bring SQLite's write-ahead log into the file and cut it off; return False where a reader still needs it.

    Raises:
        DatabaseError: it cannot be written.
    """
    ((before_ms,),) = writer.read("PRAGMA busy_timeout")
    writer.read(f"PRAGMA busy_timeout={_PATIENCE_MS}")
    try:
        ((busy, _, _),) = writer.read("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        writer.read(f"PRAGMA busy_timeout={before_ms}")
    return not busy


def make_certain(writer: Writer) -> None:
    """Sync what an earlier run left in SQLite's log, before anybody builds on it; and end an erasure of that run.

    A killed agent may have written a commit that was not synced. It is found at the next start as if it were durable;
    were it acknowledged then, the next power cut would lose it for good.

    Raises:
        DatabaseError: it cannot be written.
    """
    if not truncate_log(writer):
        writer.read("PRAGMA user_version=0")  # a reader keeps the log: any commit of our own syncs all of it


def _written_anew(writer: Writer, shopper: ShopperId) -> bool:
    writer.read("VACUUM")
    return truncate_log(writer) and _is_clean(writer, shopper)


def _is_clean(writer: Writer, shopper: ShopperId) -> bool:
    """Return whether the database's file has the id's bytes nowhere.

    A child looks: were we to open and close the file ourselves, every lock that SQLite holds on it would be gone
    (sqlite.org/howtocorrupt.html, section 2.2). It is told the id where no list of processes shows it.
    """
    (file,) = (path for _, name, path in writer.read("PRAGMA database_list") if name == "main")
    looked = subprocess.run([*_GREP, file], input=shopper.encode(), env={"LC_ALL": "C"}, check=False)  # noqa: S603
    return looked.returncode == 1
