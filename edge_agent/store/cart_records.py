"""The bytes of carts' records: written and deleted with the facts that say so, read beside the running agent."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import select

from edge_agent.core.events import Fact, RecordDropped, RecordKept
from edge_agent.store.schema import CART_RECORD
from edge_agent.store.status import reading
from edge_agent.store.writer import How, Statement, Writer

_ADD = Statement(how=How.ADD, table=CART_RECORD.name, columns=("record", "part", "data"))
_DELETE = 'DELETE FROM "cart_record" WHERE "record" = ? RETURNING "part"'
_PART = 'SELECT "data" FROM "cart_record" WHERE "record" = ? AND "part" = ?'
_NAMES = 'SELECT DISTINCT "record" FROM "cart_record" ORDER BY "record"'


def carry_out(writer: Writer, facts: Sequence[Fact], parts: Sequence[bytes]) -> None:
    """Write the parts of the record that is kept, and delete those that are dropped. Call it within a transaction.

    Raises:
        DatabaseError: the transaction cannot be continued.
    """
    for fact in facts:
        match fact.event:
            case RecordKept(record=record):
                writer.write(_ADD, [(record, number, data) for number, data in enumerate(parts)])
            case RecordDropped(record=record):
                writer.read(_DELETE, (record,))


def body_of(address: str, record: str) -> bytes:
    """Return all bytes of a record, none where there is no such (any more). May run beside the agent.

    Raises:
        JournalError: the journal cannot be read.
    """
    wanted = select(CART_RECORD.c.data).where(CART_RECORD.c.record == record).order_by(CART_RECORD.c.part)
    with reading(address) as connection:
        return b"".join(bytes(data) for data in connection.execute(wanted).scalars())


def differences(writer: Writer, kept: Mapping[str, RecordKept]) -> Iterator[str]:
    """Yield what is wrong with the stored records, `kept` being those that the log knows."""
    there = {str(name) for (name,) in writer.read(_NAMES)}
    for name in sorted(there - set(kept)):
        yield f"cart_record {name}: is there, and the log knows nothing of it"
    for name, said in kept.items():
        digest = hashlib.sha256()
        for data in _parts(writer, name):
            digest.update(data)
        if digest.hexdigest() != said.sha256:
            yield f"cart_record {name}: {'is damaged: its SHA-256 is another' if name in there else 'is missing'}"


def _parts(writer: Writer, record: str) -> Iterator[bytes]:
    number = 0
    while found := writer.read(_PART, (record, number)):
        yield bytes(found[0][0])
        number += 1
