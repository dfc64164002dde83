"""A record on its way: cut into parts by the cart, put together by the store. Both sides bound what they hold.

The store asks for one part after the other (messages.RecordWanted). What arrives twice, late or out of order changes
nothing; what belongs to another body than the one begun, because the cart made the record anew meanwhile, begins anew.
"""

import hashlib
from enum import StrEnum

from cart_protocol.ids import RecordId, SessionId
from cart_protocol.messages import RecordPart

PART_BYTES = 16_384
"""Some 22 kB on the wire: a fifth of a second of a bad radio (1 Mbit/s), and as long as an event may have to wait."""


class Parcel:
    """One record, ready to be sent.

    Args:
        record: what it answers.
        picture: a picture of it as PNG; may be empty.
        file: the record itself.
        sessions: of whom it tells.
    """

    def __init__(self, record: RecordId, picture: bytes, file: bytes, sessions: tuple[SessionId, ...]) -> None:
        self.record = record
        self._body = picture + file
        self._picture, self._sessions = len(picture), sessions
        self._sha256 = hashlib.sha256(self._body).hexdigest()

    def part(self, number: int) -> RecordPart:
        """Return a part; the first one in place of one that there is not."""
        part = number if number < parts_of(len(self._body)) else 0
        data = self._body[part * PART_BYTES : (part + 1) * PART_BYTES]
        return RecordPart(
            record=self.record, part=part, size=len(self._body), sha256=self._sha256, picture=self._picture,
            sessions=self._sessions, data=data,
        )  # fmt: skip


class Arrival(StrEnum):
    """What a part did to an assembly."""

    NOTHING = "nothing"
    """It was there already, or its turn has not come."""
    NEXT = "next"
    """There is more now, and still something missing."""
    ANEW = "anew"
    """It belongs to another body than what was there, which is given up."""
    WHOLE = "whole"
    DAMAGED = "damaged"
    """All parts are there and not what their SHA-256 says; all are given up."""
    NONSENSE = "nonsense"
    """It contradicts itself, or is larger than what was asked for."""


class Assembly:
    """The parts of one record that have arrived, in order, up to `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._first: RecordPart | None = None
        self._parts: list[bytes] = []

    @property
    def there(self) -> int:
        """How many parts are here, which is the number of the one to ask for."""
        return len(self._parts)

    @property
    def parts(self) -> int:
        """How many there are in all; 0 while nobody knows."""
        return parts_of(self._first.size) if self._first else 0

    @property
    def whole(self) -> tuple[RecordPart, list[bytes]] | None:
        """Return the first part, which says what the whole is, and all parts' bytes, once all are here."""
        return (self._first, self._parts) if self._first and self.there == self.parts else None

    def take(self, part: RecordPart) -> Arrival:
        """Take in what arrived."""
        if not _is_sound(part, self._most):
            return Arrival.NONSENSE
        first = self._first
        other = first is not None and (part.sha256, part.size) != (first.sha256, first.size)
        if other:
            self._give_up()
        if part.part != self.there or self.whole:
            return Arrival.ANEW if other else Arrival.NOTHING
        self._first = self._first or part
        self._parts.append(part.data)
        if self.there == self.parts:
            return self._checked()
        return Arrival.ANEW if other else Arrival.NEXT

    def _give_up(self) -> None:
        self._first, self._parts = None, []

    def _checked(self) -> Arrival:
        digest = hashlib.sha256()
        for data in self._parts:
            digest.update(data)
        if self._first and digest.hexdigest() == self._first.sha256:
            return Arrival.WHOLE
        self._give_up()
        return Arrival.DAMAGED


def parts_of(size: int) -> int:
    """Return into how many parts a body of so many bytes is cut."""
    return -(-size // PART_BYTES)


def _is_sound(part: RecordPart, most: int) -> bool:
    expected = min(PART_BYTES, part.size - part.part * PART_BYTES)
    return 0 < part.size <= most and part.picture <= part.size and len(part.data) == expected > 0
