"""The store's end: takes the next event and no other, and speaks only of what it has committed."""

from collections import deque
from enum import Enum

from cart_protocol.basket import Position
from cart_protocol.exchange.effects import Adopt, Counts, Deliver, Effect, LocalProtocolError, Send
from cart_protocol.ids import Epoch, Seq
from cart_protocol.messages import Ack, Birth, Events, Message, Presence, Snapshot, SnapshotRequest

_NEVER_HEARD = Position(epoch=Epoch(0), seq=Seq(0))
_LARGEST = 2**53 - 1
"""Of epoch and seq: what every JSON reader holds exactly (RFC 8259, section 6) and every database can store."""


class _Need(Enum):
    """Why a snapshot was asked for; it decides which answers are of use."""

    OTHER_OUTBOX = "other-outbox"
    PRUNED = "pruned"
    """The store was restored from an older copy; the cart no longer has what comes next."""
    WENT_BACK = "went-back"
    """The cart has less than was committed: its Birth was late, or its disk was restored from an older copy."""


class StoreEnd:
    """See Exchange, whose STORE role this is."""

    def __init__(self, position: Position, counts: Counts) -> None:
        self.accepted = position
        self._committed = position
        self._uncommitted: deque[Position] = deque()
        """Ends of deliveries whose commit is not yet reported, oldest first."""
        self._asked: tuple[Epoch, _Need] | None = None
        self._counts = counts

    def receive(self, message: Message) -> list[Effect]:
        match message:
            case Birth():
                return self._born(message)
            case Events():
                return self._heard(message)
            case Snapshot():
                return self._offered(message)
            case Presence():
                return []
        raise LocalProtocolError(f"a store does not receive {type(message).__name__}")

    def committed(self, position: Position) -> list[Effect]:
        if position == self._committed:
            return []
        while self._uncommitted:
            end = self._uncommitted[0]
            if end.epoch == position.epoch and position.seq <= end.seq:
                if position == end:
                    self._uncommitted.popleft()
                self._committed = position
                return self._acknowledge()
            self._uncommitted.popleft()
        raise LocalProtocolError(f"committed {position}, which was not delivered; accepted is {self.accepted}")

    def _born(self, birth: Birth) -> list[Effect]:
        if not _is_possible(birth.position) or not 1 <= birth.oldest <= birth.position.seq + 1:
            return self._wonder()
        epoch = birth.position.epoch
        if self.accepted == _NEVER_HEARD and birth.oldest == 1:
            # A cart that is new to us and still has all its history: nothing is skipped, so no snapshot is needed.
            self.accepted = self._committed = Position(epoch=epoch, seq=Seq(0))
        if epoch != self.accepted.epoch:
            return self._ask(epoch, _Need.OTHER_OUTBOX)
        if birth.oldest > self.accepted.seq + 1:
            return self._ask(epoch, _Need.PRUNED)
        if birth.position.seq < self.accepted.seq:
            return self._ask(epoch, _Need.WENT_BACK)
        # While a commit runs, its Ack is the answer: a store that is slow must not invite what it already has.
        return [] if self._uncommitted else self._acknowledge()

    def _heard(self, batch: Events) -> list[Effect]:
        if not _is_consecutive(batch):
            return self._wonder()
        first, last = batch.events[0].seq, batch.events[-1].seq
        if batch.epoch != self.accepted.epoch or first > self.accepted.seq + 1:
            # Another outbox's cart answers this Ack with a Birth, which says whether a snapshot is needed.
            self._counts.gaps += 1
            return self._acknowledge()
        known = min(self.accepted.seq + 1 - first, len(batch.events))
        self._counts.repeated += known
        if last <= self.accepted.seq:
            return []  # no Ack: answering a repetition could cause the next one, for ever (RFC 1123, section 4.2.3.1)
        self._accept(Position(epoch=batch.epoch, seq=last))
        return [Deliver(epoch=batch.epoch, events=batch.events[known:])]

    def _offered(self, snapshot: Snapshot) -> list[Effect]:
        """Adopt a snapshot only where it was made for, so that a late or repeated one never takes the mirror back.

        `answers` is compared with where we stand, and adopting moves us from there: a compare-and-swap.
        """
        if not _is_possible(snapshot.position):
            return self._wonder()
        if self._asked is None or self._uncommitted:
            return []  # if it is needed after all, the cart's timer brings another one
        if not self._is_of_use(snapshot.position, self._asked[1]):
            self._asked = None
            return self._acknowledge()
        if not self._is_fresh(snapshot, *self._asked):
            return []
        self._accept(snapshot.position)
        return [Adopt(snapshot)]

    def _is_of_use(self, offered: Position, need: _Need) -> bool:
        """Events we could still get one by one are not skipped: late news of a cart that goes on needs no snapshot."""
        if offered.epoch != self.accepted.epoch:
            return True
        return {
            _Need.OTHER_OUTBOX: False,
            _Need.PRUNED: offered.seq > self.accepted.seq,
            _Need.WENT_BACK: offered.seq < self.accepted.seq,
        }[need]

    def _is_fresh(self, snapshot: Snapshot, epoch: Epoch, need: _Need) -> bool:
        if snapshot.answers is None:  # older software: believed, save where a late one would do harm unseen
            return snapshot.position.epoch == epoch and need is not _Need.WENT_BACK
        return snapshot.answers == self.accepted

    def _accept(self, position: Position) -> None:
        self.accepted = position
        self._uncommitted.append(position)
        self._asked = None

    def _ask(self, epoch: Epoch, need: _Need) -> list[Effect]:
        self._asked = (epoch, need)
        return [Send(SnapshotRequest(position=self.accepted))]

    def _wonder(self) -> list[Effect]:
        """Answer nonsense with where we stand."""
        self._counts.nonsense += 1
        return self._acknowledge()

    def _acknowledge(self) -> list[Effect]:
        return [Send(Ack(position=self._committed))]


def _is_possible(position: Position) -> bool:
    return 1 <= position.epoch <= _LARGEST and 0 <= position.seq <= _LARGEST


def _is_consecutive(batch: Events) -> bool:
    events = batch.events
    if not events or not _is_possible(Position(epoch=batch.epoch, seq=events[-1].seq)):
        return False
    first: int = events[0].seq
    if first < 1 or events[-1].seq - first != len(events) - 1:
        return False
    return len(events) <= 2 or [recorded.seq for recorded in events] == list(range(first, first + len(events)))
