"""What the two ends of an exchange ask of their shells, what they count, and how a shell can go wrong."""

import msgspec

from cart_protocol.basket import Position
from cart_protocol.ids import Epoch
from cart_protocol.messages import Message, Recorded, Snapshot


class ExchangeError(Exception):
    """Base: LocalProtocolError, OutboxFullError. What the other side does wrong is never raised: see `Counts`."""


class LocalProtocolError(ExchangeError):
    """Our own side misused the exchange: a bug in the caller."""


class OutboxFullError(ExchangeError):
    """The outbox holds as many unacknowledged events as it may, or the disk is full; nothing was recorded."""


class Counts(msgspec.Struct):
    """What the outside world did to us; shown to staff, never fatal."""

    repeated: int = 0
    """STORE: events that came again."""
    gaps: int = 0
    """STORE: messages that began after the next expected event."""
    nonsense: int = 0
    """Messages that contradict themselves or what we know."""
    refused: int = 0
    """CART: messages of ours that the store could not read."""
    timeouts: int = 0
    """CART: answers that did not come in time."""


class Send(msgspec.Struct, frozen=True, gc=False):
    message: Message


class SendEvents(msgspec.Struct, frozen=True):
    """CART: load events `after` < seq <= `through` from the outbox and send them as one Events message.

    If an acknowledgement already took some or all of them, send what is left, or nothing.
    """

    after: int
    through: int


class SendSnapshot(msgspec.Struct, frozen=True):
    """CART: send Snapshot(position and basket as they are now, answers=`answers`)."""

    answers: Position


class PruneThrough(msgspec.Struct, frozen=True):
    """CART: the store has committed everything up to `seq`; the outbox may forget it."""

    seq: int


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """STORE: the next events of the stream: commit them, then call committed()."""

    epoch: Epoch
    events: tuple[Recorded, ...]


class Adopt(msgspec.Struct, frozen=True):
    """STORE: replace the mirror by this basket, commit, then call committed(snapshot.position)."""

    snapshot: Snapshot


Effect = Send | SendEvents | SendSnapshot | PruneThrough | Deliver | Adopt
